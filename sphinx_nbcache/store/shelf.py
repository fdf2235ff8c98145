"""The narrow seam to the disk: bytes under text keys.

Shelves keep one contract (`tests/units/test_shelf.py`): one on diskcache, one in memory, which
takes over when the disk cannot be used, and one that only reads, where nothing can be written.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class ShelfError(Exception):
    """The disk did not do what was asked. The message says why, in the system's words."""


class DamagedEntryError(Exception):
    """One entry is there but cannot be read."""


class Shelf(Protocol):
    """Bytes under text keys."""

    def get(self, key: str) -> bytes | None:
        """Return a value, or `None`; [](DamagedEntryError) if it cannot be read."""

    def get_many(self, keys: Iterable[str]) -> Iterator[tuple[str, bytes | DamagedEntryError]]:
        """Yield those of the keys that are there, each with its value or what is wrong with it."""

    def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin so, in order; [](ShelfError) if they cannot be read."""

    def file_names(self) -> frozenset[str]:
        """Return the names of files that hold values; [](ShelfError) if they cannot be read."""

    def size(self) -> int:
        """Return how much room everything takes, in bytes; [](ShelfError) if that fails."""

    def set(self, key: str, value: bytes) -> None:
        """Keep a value; [](ShelfError) if that fails."""

    def delete(self, key: str) -> None:
        """Forget a key, if it is there."""

    def transaction(self) -> AbstractContextManager[None]:
        """Make what is set and deleted within it visible all at once, or not at all."""

    def close(self) -> None:
        """Let go of the disk. The next use takes hold of it again."""


class MemoryShelf:
    """A shelf that lasts as long as the process (and, by fork, its children)."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}
        self._lock = threading.RLock()

    def __getstate__(self) -> dict[str, bytes]:
        return self._values

    def __setstate__(self, values: dict[str, bytes]) -> None:
        self.__init__()  # type: ignore[misc]
        self._values = values

    def get(self, key: str) -> bytes | None:
        """Return a value, or `None`."""
        return self._values.get(key)

    def get_many(self, keys: Iterable[str]) -> Iterator[tuple[str, bytes | DamagedEntryError]]:
        """Yield those of the keys that are there, each with its value."""
        for key in keys:
            if (value := self._values.get(key)) is not None:
                yield key, value

    def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin so, in order."""
        with self._lock:
            return sorted(key for key in self._values if key.startswith(prefix))

    def file_names(self) -> frozenset[str]:
        """Return nothing: no value is in a file."""
        return frozenset()

    def size(self) -> int:
        """Return how much room everything takes, in bytes."""
        with self._lock:
            return sum(map(len, self._values.values()))

    def set(self, key: str, value: bytes) -> None:
        """Keep a value."""
        with self._lock:
            self._values[key] = value

    def delete(self, key: str) -> None:
        """Forget a key, if it is there."""
        with self._lock:
            self._values.pop(key, None)

    def transaction(self) -> AbstractContextManager[None]:
        """Make what is set and deleted within it count as a whole, or not at all."""
        return self._all_or_nothing()

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        with self._lock:
            before = dict(self._values)
            try:
                yield
            except BaseException:
                self._values = before
                raise

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""
