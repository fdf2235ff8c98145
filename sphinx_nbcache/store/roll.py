"""The list of a project's notebooks in the store."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from sphinx_nbcache.store.access import encoded
from sphinx_nbcache.store.records import Roll
from sphinx_nbcache.store.shelf import ShelfError
from sphinx_nbcache.store.store import Store

_KEY = "notebooks"


def read_roll(store: Store) -> Roll:
    """Return the list; empty if there is none."""
    return store.access.read(_KEY, Roll) or Roll()


def change_roll(store: Store, change: Callable[[Roll], Roll]) -> Roll:
    """Change the list atomically: concurrent changes do not overwrite each other.

    Args:
        store: The store.
        change: Returns the new list from the current one.

    Raises:
        ShelfError: The store cannot be written.
    """
    with store.access.transaction():
        old = read_roll(store)
        new = change(old)
        if new != old:
            store.access.write({_KEY: encoded(new)})
    return new


def try_to_change_roll(store: Store, change: Callable[[Roll], Roll]) -> None:
    """Change the list if necessary and possible."""
    if change(old := read_roll(store)) != old:
        with suppress(ShelfError):
            change_roll(store, change)
