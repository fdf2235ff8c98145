"""Limits the size of the store: last uses, limits, removal, and unreferenced contents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Annotated

from sphinx_nbcache.bounded import Digest, Id, Many, Moment
from sphinx_nbcache.results.records import Stored, StoreLimits
from sphinx_nbcache.store.access import encoded
from sphinx_nbcache.store.file_records import HTML
from sphinx_nbcache.store.shelf import ShelfError
from sphinx_nbcache.store.store import Store

_KEY = "used"
# An hour is precise enough to find the least recently used results.
_EXACT_SECONDS = 3600
Times = Annotated[dict[Id, Moment], Many]
# Prefixes of keys: the packs of a remote that were read, by digest, and what it was given.
PACK, PUBLISHED = "pack/", "published/"
Digests = Annotated[list[Digest], Many]
_LIMITS_KEY = "limits"
# The share of the size limit down to which results are removed, so that not every run has to.
_SIZE_SHARE = 0.9


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
    # Two builds may overwrite each other's times; that only makes a result look older.
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


def read_limits(store: Store) -> StoreLimits:
    """Return the limits of the store."""
    return store.access.read(_LIMITS_KEY, StoreLimits) or StoreLimits()


def write_limits(store: Store, limits: StoreLimits) -> None:
    """Set the limits of the store. They take effect at the next run.

    Raises:
        ShelfError: The store cannot be written.
    """
    store.access.write({_LIMITS_KEY: encoded(limits)})


def remove_results(store: Store, results: Sequence[Stored]) -> None:
    """Remove results, and the contents that only they refer to.

    Raises:
        ShelfError: The store cannot be written.
    """
    if not results:
        return
    # One transaction: a build that reads meanwhile sees results with contents, or neither.
    with store.access.transaction():
        store.remove(results)
        forget_uses(store, [stored.id for stored in results])
        collect_blobs(store)


def collect_blobs(store: Store) -> list[str]:
    """Remove contents to which no result refers; return their digests.

    A result and its contents are written in one transaction, and this is one as well: contents of
    a result that is being written are never mistaken for waste.

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
    """Remove the least recently used results until the store is within its limits.

    If the store cannot be written, nothing is removed.

    Returns:
        The results that were removed.
    """
    limits = read_limits(store)
    removed: list[Stored] = []
    with suppress(ShelfError):
        count = len(store.access.keys("result/"))
        if limits.count is not None and count > limits.count:
            removed += _remove_oldest(store, count - limits.count)
        if limits.size is not None and store.access.size() > limits.size:
            # First what costs only time: a result costs a run.
            gone_first = [*store.access.keys(HTML), *store.access.keys(PACK)]
            store.access.write({}, gone=gone_first)
        # The file shrinks with each removal, because diskcache sets `auto_vacuum` to FULL
        # (https://www.sqlite.org/pragma.html#pragma_auto_vacuum). How much is not known beforehand,
        # as results share contents: hence the loop.
        while limits.size is not None and (size := store.access.size()) > limits.size:
            results = store.access.keys("result/")
            excess = 1 - _SIZE_SHARE * limits.size / size
            gone = _remove_oldest(store, max(1, int(len(results) * excess)))
            removed += gone
            # Scans and histories alone may exceed the limit.
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
