"""Claims, which make sure that only one of several builds on a store runs a notebook."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import filelock


class Claims:
    """Locks in a folder of the store.

    Keys share a fixed number of lock files, so that the folder does not grow. If two keys share
    a file, two builds may wait for each other unnecessarily.
    The locks are the operating system's: it releases those of a killed process at once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._locks: dict[str, filelock.BaseFileLock] = {}
        self._held: set[str] = set()

    def try_claim(self, key: str) -> bool:
        """Claim the right to run notebooks with this code key, without waiting.

        If no lock can be created (a read-only store), every claim is granted: two builds may
        then run one notebook at once, which costs time, not correctness.
        """
        # The lock is per process: it would be granted to a second notebook with the same code.
        if key in self._held:
            return False
        bucket = _bucket(key)
        if bucket not in self._locks:
            import filelock

            from sphinx_nbcache.store.disk import refuse_link

            # `thread_local=False`, because a claim may be released in another thread. A lock that
            # the system holds ends with its process, even if that is killed
            # (https://man7.org/linux/man-pages/man2/flock.2.html).
            lock = filelock.FileLock(self._folder / f"{bucket}.lock", thread_local=False)
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                refuse_link(Path(lock.lock_file))
                lock.acquire(blocking=False)
            except filelock.Timeout:
                return False
            # filelock raises NotImplementedError on systems without `flock`, up to 3.20 at least;
            # version 4 falls back to a soft lock.
            except (OSError, NotImplementedError):
                return True
            self._locks[bucket] = lock
        self._held.add(key)
        return True

    def holds(self, key: str) -> bool:
        """Tell whether this process holds the claim."""
        return key in self._held

    def release(self, key: str) -> None:
        """Release a claim."""
        self._held.discard(key)
        bucket = _bucket(key)
        # Another held key may share the file.
        if bucket in self._locks and all(_bucket(held) != bucket for held in self._held):
            self._locks.pop(bucket).release(force=True)

    def release_all(self) -> None:
        """Release every claim, even if releasing one fails."""
        for key in list(self._held):
            with suppress(OSError):
                self.release(key)


def _bucket(key: str) -> str:
    return key[:2]
