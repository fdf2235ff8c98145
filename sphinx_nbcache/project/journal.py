"""The journal of file changes in progress, from which the next build recovers after a crash."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec

from sphinx_nbcache.bounded import Many, Name
from sphinx_nbcache.files.moving import Move
from sphinx_nbcache.store.access import encoded
from sphinx_nbcache.store.shelf import ShelfError
from sphinx_nbcache.store.store import Store

if TYPE_CHECKING:
    import filelock

_PREFIX = "moving/"
# Another build holds the lock while it writes its files. After a minute it is assumed to hang, and
# the change is made without a lock: `moving` still refuses to overwrite foreign content.
_LOCK_SECONDS = 60


class _Entry(msgspec.Struct, frozen=True):
    checkout: Name
    moves: Annotated[tuple[Move, ...], Many]


class Journal:
    """The file changes that builds in this checkout have begun.

    If the store cannot be written, there is no journal: a build that is killed during a change may
    then leave a file under a temporary name.

    Args:
        store: The store. It marks the entries, so that another account cannot forge them.
        checkout: The checkout: see [](sphinx_nbcache.store.file_records.checkout_id).
    """

    def __init__(self, store: Store, checkout: str) -> None:
        self._access = store.access
        self._lock = store.folder / "locks" / "moving.lock"
        self._checkout = checkout

    @contextmanager
    def of(self, moves: Sequence[Move]) -> Iterator[None]:
        """Keep an entry while files are changed. After an exception it stays for recovery."""
        # A random key, because builds in several checkouts may write entries at the same time.
        key = _PREFIX + secrets.token_hex(8)
        with _held(self._lock, _LOCK_SECONDS):
            with suppress(ShelfError):
                self._access.write({key: encoded(_Entry(self._checkout, tuple(moves)))})
            yield
            # Not in `finally`: an exception, such as Ctrl-C, may leave a file moved aside.
            with suppress(ShelfError):
                self._access.write({}, gone=[key])

    @contextmanager
    def interrupted(self) -> Iterator[list[Move]]:
        """Provide the interrupted changes; the caller removes those that it has recovered.

        The entries of the others stay, and the next build tries them again. The list is empty if
        another build is changing files now.
        """
        keys = self._access.keys(_PREFIX)
        if not keys:
            yield []
            return
        with _held(self._lock, 0) as is_held:
            found = self._access.read_many(keys, _Entry) if is_held else {}
            # Paths are relative to the root, so the changes of another checkout do not apply here.
            mine = {key: e for key, e in found.items() if e.checkout == self._checkout}
            left = [move for entry in mine.values() for move in entry.moves if move.is_plausible]
            yield left
            gone = [key for key, entry in mine.items() if not any(m in left for m in entry.moves)]
            with suppress(ShelfError):
                self._access.write({}, gone=gone)


@contextmanager
def _held(path: Path, seconds: float) -> Iterator[bool]:
    """Hold a lock; continue without it if it cannot be created or is not granted in time."""
    lock = _acquired(path, seconds)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()


def _acquired(path: Path, seconds: float) -> filelock.BaseFileLock | None:
    import filelock

    from sphinx_nbcache.store.disk import refuse_link

    lock = filelock.FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        refuse_link(path)
        lock.acquire(timeout=seconds)
    # Older filelock raises NotImplementedError if the file system does not support flock. It falls
    # back to a soft lock since https://github.com/tox-dev/filelock/pull/480
    except (OSError, NotImplementedError, filelock.Timeout):
        return None
    return lock
