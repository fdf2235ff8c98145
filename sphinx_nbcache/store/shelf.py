"""The narrow interface to the disk: bytes under text keys.

All shelves keep one contract (`tests/units/test_shelf.py`): one on diskcache, one in memory as the
fallback if the disk cannot be used, and one that only reads, if nothing can be written.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class ShelfError(Exception):
    """A disk operation failed. The message says why, in the system's words."""


class DamagedEntryError(Exception):
    """An entry exists but cannot be read."""


class Shelf(Protocol):
    """Bytes under text keys."""

    def get(self, key: str) -> bytes | None:
        """Return a value, or `None`; [](DamagedEntryError) if it cannot be read."""

    def get_many(self, keys: Iterable[str]) -> Iterator[tuple[str, bytes | DamagedEntryError]]:
        """Yield each key that is present, with its value or the damage found."""

    def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin with a prefix, in order; [](ShelfError) if that fails."""

    def file_names(self) -> frozenset[str]:
        """Return the names of files that hold values; [](ShelfError) if that fails."""

    def size(self) -> int:
        """Return the total size in bytes; [](ShelfError) if that fails."""

    def set(self, key: str, value: bytes) -> None:
        """Store a value; [](ShelfError) if that fails."""

    def delete(self, key: str) -> None:
        """Delete a key if it exists."""

    def transaction(self) -> AbstractContextManager[None]:
        """Make all changes within the context visible at once, or not at all."""

    def close(self) -> None:
        """Release the disk. The next use opens it again."""


def only_value(found: Iterable[tuple[str, bytes | DamagedEntryError]]) -> bytes | None:
    """Return the value that a look-up of one key has found; raise its damage."""
    for _, value in found:
        if isinstance(value, DamagedEntryError):
            raise value
        return value
    return None


class MemoryShelf:
    """A shelf that lasts as long as the process (and, by fork, its children)."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}
        # Iterating over a dict raises RuntimeError if another thread adds a key meanwhile.
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
        """Yield each key that is present, with its value."""
        for key in keys:
            if (value := self._values.get(key)) is not None:
                yield key, value

    def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin with a prefix, in order."""
        with self._lock:
            return sorted(key for key in self._values if key.startswith(prefix))

    def file_names(self) -> frozenset[str]:
        """Return an empty set: no value is in a file."""
        return frozenset()

    def size(self) -> int:
        """Return the total size in bytes."""
        with self._lock:
            return sum(map(len, self._values.values()))

    def set(self, key: str, value: bytes) -> None:
        """Store a value."""
        with self._lock:
            self._values[key] = value

    def delete(self, key: str) -> None:
        """Delete a key if it exists."""
        with self._lock:
            self._values.pop(key, None)

    def transaction(self) -> AbstractContextManager[None]:
        """Make all changes within the context take effect as a whole, or not at all."""
        return self._all_or_nothing()

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        with self._lock:
            # A shallow copy is a full one: bytes do not change.
            before = dict(self._values)
            try:
                yield
            except BaseException:
                self._values = before
                raise

    def close(self) -> None:
        """Do nothing: there is nothing to release."""
