"""Claims: of several builds on one store, each notebook is run by one of them at a time."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import filelock


class Claims:
    """Locks in a folder of the store.

    Keys share a fixed number of lock files, so that the folder does not grow. That two keys
    meet in one file only means that one of them waits for the other. The locks are the
    operating system's: those of a process that was killed are free at once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, filelock.BaseFileLock] = {}

    def try_claim(self, key: str) -> bool:
        """Claim the right to run what has this code key, without waiting.

        Where no lock can be made (a read-only store), every claim is granted: two builds may
        then run one notebook at once, which costs time, not correctness.
        """
        bucket = key[:2]
        if bucket in self._held:
            return False
        lock = filelock.FileLock(self._folder / f"{bucket}.lock", thread_local=False)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(blocking=False)
        except filelock.Timeout:
            return False
        except (OSError, NotImplementedError):
            return True
        self._held[bucket] = lock
        return True

    def release(self, key: str) -> None:
        """Give up a claim."""
        if lock := self._held.pop(key[:2], None):
            lock.release(force=True)

    def release_all(self) -> None:
        """Give up every claim, whatever happened before."""
        for bucket in list(self._held):
            with suppress(OSError):
                self.release(bucket)
