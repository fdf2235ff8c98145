"""When results were last used, which decides what is evicted first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from sphinx_nbcache.bounded import Id, Many, Moment
from sphinx_nbcache.store.access import encoded
from sphinx_nbcache.store.store import Store

_KEY = "used"
# An hour is precise enough to find the least recently used results.
_EXACT_SECONDS = 3600
Times = Annotated[dict[Id, Moment], Many]


def last_uses(store: Store) -> dict[int, int]:
    """Return when results were last used, by id: seconds since the epoch.

    A build in which nothing changed does not write its time, and others are up to an hour late.

    A result without an entry has not been used since it was created.
    """
    return store.access.read(_KEY, Times) or {}


def note_uses(store: Store, ids: Iterable[int], now: float) -> None:
    """Remember that results are used now (seconds since the epoch), with the next regular write."""
    wanted = set(ids)
    known = last_uses(store)
    if all(now - known.get(number, 0) < _EXACT_SECONDS for number in wanted):
        return
    known |= dict.fromkeys(wanted, int(now))
    store.access.write_later({_KEY: encoded(known)})


def forget_uses(store: Store, ids: Iterable[int]) -> None:
    """Forget when removed results were used.

    Raises:
        ShelfError: The store cannot be written.
    """
    gone = set(ids)
    known = last_uses(store)
    if gone & known.keys():
        left = {number: time for number, time in known.items() if number not in gone}
        store.access.write({_KEY: encoded(left)})
