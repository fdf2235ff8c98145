"""The shelf on a folder that cannot be written, such as one on a read-only mount.

diskcache writes to a database as soon as it opens it. SQLite itself can read one in place, if it
is told that nobody else writes (`immutable=1`). That leaves out what stands in the write-ahead
log, so a database that has one is read from a copy.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from diskcache.core import DBNAME

from sphinx_nbcache.store.disk import SafeDisk, UnsafeEntryError
from sphinx_nbcache.store.disk_shelf import translated
from sphinx_nbcache.store.shelf import DamagedEntryError, ShelfError

_LOG = f"{DBNAME}-wal"


class ReadOnlyShelf:
    """Reads what a diskcache folder holds; every attempt to write is a [](ShelfError)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._disk = SafeDisk(str(folder))
        self._connection: sqlite3.Connection | None = None

    @staticmethod
    def is_needed(folder: Path) -> bool:
        """Tell whether a folder holds a database that this process may read but not write."""
        database = folder / DBNAME
        if not database.exists():
            return False
        return not (os.access(folder, os.W_OK) and os.access(database, os.W_OK))

    def get(self, key: str) -> bytes | None:
        """Return a value, or `None`.

        Raises:
            DamagedEntryError: The entry is there but cannot be read.
            ShelfError: The database cannot be read.
        """
        query = "SELECT mode, filename, value FROM Cache WHERE key = ? AND raw = 1"
        with translated():
            row = self._opened().execute(query, (key,)).fetchone()
        if row is None:
            return None
        try:
            mode, filename, value = row
            return self._disk.fetch(mode, filename, value, read=False)
        except FileNotFoundError:
            return None
        except (UnsafeEntryError, TypeError, ValueError, OSError) as error:
            raise DamagedEntryError(str(error)) from None

    def set(self, key: str, value: bytes) -> None:  # noqa: ARG002 (the contract's signature)
        """Refuse to keep a value."""
        raise ShelfError("it is read-only")

    def delete(self, key: str) -> None:  # noqa: ARG002 (the contract's signature)
        """Refuse to forget a key."""
        raise ShelfError("it is read-only")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Refuse to begin one."""
        raise ShelfError("it is read-only")
        yield

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            database = self.folder / DBNAME
            log = self.folder / _LOG
            if log.exists() and log.stat().st_size:
                self._connection = _from_copy(self.folder)
            else:
                uri = f"{database.absolute().as_uri()}?mode=ro&immutable=1"
                self._connection = sqlite3.connect(uri, uri=True)
        return self._connection

    def __getstate__(self) -> Path:
        return self.folder

    def __setstate__(self, folder: Path) -> None:
        self.__init__(folder)  # type: ignore[misc]


def _from_copy(folder: Path) -> sqlite3.Connection:
    """Return a connection to an image in memory of a database and its log."""
    with tempfile.TemporaryDirectory(prefix="nbcache-") as scratch:
        for name in (DBNAME, _LOG):
            shutil.copy(folder / name, Path(scratch) / name)
        memory = sqlite3.connect(":memory:")
        copied = sqlite3.connect(Path(scratch) / DBNAME)
        try:
            copied.backup(memory)
        finally:
            copied.close()
    return memory
