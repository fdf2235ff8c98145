"""Keeping the store small: limits, removal, and contents that nothing refers to any more."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from sphinx_nbcache.store.access import encoded
from sphinx_nbcache.store.records import Limits, Stored
from sphinx_nbcache.store.shelf import ShelfError
from sphinx_nbcache.store.store import Store
from sphinx_nbcache.store.usage import forget_uses, last_uses

_LIMITS_KEY = "limits"
# Where the size is too large, so much more is removed that not every run has to remove again.
_SIZE_SHARE = 0.9


def read_limits(store: Store) -> Limits:
    """Return how much the store keeps."""
    return store.access.read(_LIMITS_KEY, Limits) or Limits()


def write_limits(store: Store, limits: Limits) -> None:
    """Set how much the store keeps. It takes effect when something is run next.

    Raises:
        ShelfError: The store cannot be written.
    """
    store.access.write({_LIMITS_KEY: encoded(limits)})


def remove_results(store: Store, results: Sequence[Stored]) -> None:
    """Remove results, and the contents that only they referred to.

    Raises:
        ShelfError: The store cannot be written.
    """
    if not results:
        return
    with store.access.transaction():
        store.remove(results)
        forget_uses(store, [stored.id for stored in results])
        collect_blobs(store)


def collect_blobs(store: Store) -> list[str]:
    """Remove contents to which no result refers; return their digests.

    A result and its contents are written in one transaction, and so is this: what belongs to a
    result that is being written is never taken for waste.

    Raises:
        ShelfError: The store cannot be written.
    """
    with store.access.transaction():
        needed = {digest for stored in store.all_results() for digest in stored.result.blobs}
        present = (key.removeprefix("blob/") for key in store.access.keys("blob/"))
        waste = [digest for digest in present if digest not in needed]
        store.access.write({}, gone=[f"blob/{digest}" for digest in waste])
    return waste


def keep_limits(store: Store) -> list[Stored]:
    """Remove results, those first that were not used for the longest time, until limits are kept.

    Where the store cannot be written nothing is removed.

    Returns:
        The results that were removed.
    """
    limits = read_limits(store)
    removed: list[Stored] = []
    with suppress(ShelfError):
        count = len(store.access.keys("result/"))
        if limits.count is not None and count > limits.count:
            removed += _remove_oldest(store, count - limits.count)
        while limits.size is not None and (size := store.access.size()) > limits.size:
            results = store.access.keys("result/")
            excess = 1 - _SIZE_SHARE * limits.size / size
            gone = _remove_oldest(store, max(1, int(len(results) * excess)))
            removed += gone
            if not gone:
                break
    return removed


def _remove_oldest(store: Store, count: int) -> list[Stored]:
    with store.access.transaction():
        used = last_uses(store)
        results = store.all_results()
        results.sort(key=lambda stored: (used.get(stored.id, stored.result.finished), stored.id))
        oldest = results[:count]
        remove_results(store, oldest)
    return oldest
