"""The narrow seam to the disk: bytes under text keys.

Two shelves keep one contract (`tests/store/test_shelf.py`): one on diskcache, and one in
memory, which takes over when the disk cannot be used.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import Protocol

import diskcache
from diskcache.core import DBNAME, DEFAULT_SETTINGS, METADATA

from sphinx_nbcache.store.disk import SafeDisk, UnsafeEntryError

# From this size on a value is a file of its own, not a row of the database.
_FILE_SIZE = 32 * 1024
_BUSY_SECONDS = 60
# All of diskcache's settings are given, so that none is taken from the database.
_SETTINGS = {
    **DEFAULT_SETTINGS,
    "disk_min_file_size": _FILE_SIZE,
    # Eviction is by whole results, and ours: see docs/architecture.md.
    "eviction_policy": "none",
    "cull_limit": 0,
}


class ShelfError(Exception):
    """The disk did not do what was asked. The message says why, in the system's words."""


class DamagedEntryError(Exception):
    """One entry is there but cannot be read."""


class Shelf(Protocol):
    """Bytes under text keys."""

    def get(self, key: str) -> bytes | None:
        """Return a value, or `None`; [](DamagedEntryError) if it cannot be read."""

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

    def get(self, key: str) -> bytes | None:
        """Return a value, or `None`."""
        return self._values.get(key)

    def set(self, key: str, value: bytes) -> None:
        """Keep a value."""
        self._values[key] = value

    def delete(self, key: str) -> None:
        """Forget a key, if it is there."""
        self._values.pop(key, None)

    def transaction(self) -> AbstractContextManager[None]:
        """Make what is set and deleted within it count as a whole, or not at all."""
        return self._all_or_nothing()

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        before = dict(self._values)
        try:
            yield
        except BaseException:
            self._values = before
            raise

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""


class DiskShelf:
    """A shelf in a diskcache folder, opened at first use and after every [](close)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._cache: diskcache.Cache | None = None

    def get(self, key: str) -> bytes | None:
        """Return a value, or `None`.

        Raises:
            DamagedEntryError: The entry is there but cannot be read.
            ShelfError: The database cannot be read.
        """
        with _translated():
            try:
                value = self._open().get(key, default=None, retry=True)
            except (UnsafeEntryError, TypeError, ValueError) as error:
                raise DamagedEntryError(str(error)) from None
        if value is not None and type(value) is not bytes:
            raise DamagedEntryError("a value that is not bytes")
        return value

    def set(self, key: str, value: bytes) -> None:
        """Keep a value.

        Raises:
            ShelfError: The disk is full, read-only or broken.
        """
        with _translated():
            self._open().set(key, value, retry=True)

    def delete(self, key: str) -> None:
        """Forget a key, if it is there.

        Raises:
            ShelfError: The disk is read-only or broken.
        """
        with _translated(), suppress(UnsafeEntryError):
            self._open().delete(key, retry=True)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what is set and deleted within it visible all at once, or not at all."""
        with _translated():
            cache = self._open()
            outermost = cache.disk.put_off is None
            if outermost:
                cache.disk.put_off = []
            try:
                with cache.transact(retry=True):
                    yield
                removable = cache.disk.put_off if outermost else []
            finally:
                if outermost:
                    cache.disk.put_off = None
            for name in removable:
                cache.disk.remove(name)

    def close(self) -> None:
        """Close this thread's connection."""
        if self._cache is not None:
            self._cache.close()
            self._cache = None

    def _open(self) -> diskcache.Cache:
        if self._cache is None:
            _refuse_foreign_settings(self.folder)
            folder = str(self.folder)
            self._cache = diskcache.Cache(folder, timeout=_BUSY_SECONDS, disk=SafeDisk, **_SETTINGS)
        return self._cache

    def __getstate__(self) -> Path:
        return self.folder

    def __setstate__(self, folder: Path) -> None:
        self.__init__(folder)  # type: ignore[misc]


def _refuse_foreign_settings(folder: Path) -> None:
    """Look whether a database has settings that diskcache would act on, and that we never write.

    Raises:
        ShelfError: It has. diskcache makes attributes, arguments and pragmas of them.
    """
    database = folder / DBNAME
    if not database.exists():
        return
    with closing(
        sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)
    ) as connection:
        try:
            names = {row[0] for row in connection.execute("SELECT key FROM Settings")}
        except sqlite3.OperationalError:
            return  # just being made by another process, or unreadable: diskcache will tell
    if foreign := names - _SETTINGS.keys() - METADATA.keys():
        raise sqlite3.DatabaseError(f"settings that are never written: {sorted(map(str, foreign))}")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error, diskcache.Timeout) as error:
        raise ShelfError(f"{type(error).__name__}: {error}") from error


def open_shelf(folder: Path) -> tuple[Shelf, str | None]:
    """Open the shelf of a folder.

    A folder that holds something else than a database of ours is moved aside, and the store
    starts anew. Where nothing can be kept on the disk, the shelf is in memory.

    Returns:
        The shelf, and what had to be done instead of opening what was there.
    """
    shelf = DiskShelf(folder)
    try:
        shelf.get("")
    except ShelfError as error:
        if not isinstance(error.__cause__, sqlite3.DatabaseError) or _is_operational(error):
            return MemoryShelf(), f"the store {folder} cannot be used ({error})"
        return _start_anew(shelf, error)
    return shelf, None


def _is_operational(error: ShelfError) -> bool:
    """Tell trouble with the surroundings (locks, rights, space) from a damaged database."""
    return isinstance(error.__cause__, sqlite3.OperationalError)


def _start_anew(shelf: DiskShelf, error: ShelfError) -> tuple[Shelf, str]:
    aside = shelf.folder.with_name(f"{shelf.folder.name}.damaged-{time.time_ns():x}")
    with suppress(Exception):
        shelf.close()
    try:
        shutil.move(shelf.folder, aside)
        fresh = DiskShelf(shelf.folder)
        fresh.get("")
    except (OSError, ShelfError) as trouble:
        return MemoryShelf(), f"the store {shelf.folder} is damaged and stays so ({trouble})"
    return fresh, f"the store {shelf.folder} is damaged ({error}); it was moved to {aside.name}"
