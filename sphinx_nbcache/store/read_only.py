"""A shelf on a folder that cannot be written; reading it changes no file."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from diskcache.core import DBNAME

from sphinx_nbcache.store.disk import SafeDisk, blob_files_of, keys_of, stored_rows
from sphinx_nbcache.store.disk_shelf import OUR_SETTINGS, translated
from sphinx_nbcache.store.foreign import has_journal, limit_steps, refuse_foreign
from sphinx_nbcache.store.shelf import DamagedEntryError, ShelfError, only_value

_LOGS = (f"{DBNAME}-wal", f"{DBNAME}-journal")
# Large values are files of their own, so a database of this size has tens of thousands of results.
_LARGEST_COPY = 1 << 30


class ReadOnlyShelf:
    """Reads a diskcache folder; every attempt to write raises a [](ShelfError).

    Args:
        folder: The folder.
        why: The reason why nothing can be written.
    """

    def __init__(self, folder: Path, why: str = "it is read-only") -> None:
        self.folder = folder
        self._why = why
        self._disk = SafeDisk(str(folder))
        self._connection: sqlite3.Connection | None = None

    @staticmethod
    def is_needed(folder: Path) -> bool:
        """Tell whether a folder holds a database that this process can read but not write."""
        database = folder / DBNAME
        if not database.exists():
            return False
        # The folder counts as well: SQLite creates its logs next to the database
        # (https://www.sqlite.org/tempfiles.html).
        return not (os.access(folder, os.W_OK) and os.access(database, os.W_OK))

    def get(self, key: str) -> bytes | None:
        """Return a value, or `None`.

        Raises:
            DamagedEntryError: The entry exists but cannot be read.
            ShelfError: The database cannot be read.
        """
        return only_value(self.get_many([key]))

    def get_many(self, keys: Iterable[str]) -> Iterator[tuple[str, bytes | DamagedEntryError]]:
        """Yield each key that is present, with its value or the damage found.

        Raises:
            ShelfError: The database cannot be read.
        """
        with translated():
            yield from stored_rows(self._opened().execute, self._disk, keys)

    def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin with a prefix, in order.

        Raises:
            ShelfError: The database cannot be read.
        """
        with translated():
            return keys_of(self._opened().execute, prefix)

    def file_names(self) -> frozenset[str]:
        """Return the names of the files that hold values, relative to the folder.

        Raises:
            ShelfError: The database cannot be read.
        """
        with translated():
            return blob_files_of(self._opened().execute)

    def size(self) -> int:
        """Return the size of the files, in bytes.

        Raises:
            ShelfError: The files cannot be examined.
        """
        with translated():
            return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def set(self, key: str, value: bytes) -> None:  # noqa: ARG002 (the contract's signature)
        """Refuse to store a value."""
        raise ShelfError(self._why)

    def delete(self, key: str) -> None:  # noqa: ARG002 (the contract's signature)
        """Refuse to delete a key."""
        raise ShelfError(self._why)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Refuse to begin a transaction."""
        raise ShelfError(self._why)
        yield

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            # Kept only once it is accepted: the next read must not use a refused database.
            self._connection = _accepted(_connected(self.folder))
        limit_steps(self._connection)
        return self._connection

    def __getstate__(self) -> tuple[Path, str]:
        return self.folder, self._why

    def __setstate__(self, state: tuple[Path, str]) -> None:
        self.__init__(*state)  # type: ignore[misc]


def _connected(folder: Path) -> sqlite3.Connection:
    logs = [folder / name for name in _LOGS]
    # A log holds committed rows that `immutable` would ignore, and to read it, SQLite has to write
    # to the folder (https://www.sqlite.org/wal.html#read_only_databases).
    if any(log.exists() and log.stat().st_size for log in logs):
        return _from_copy(folder)
    uri = f"{(folder / DBNAME).absolute().as_uri()}?mode=ro&immutable=1"
    return sqlite3.connect(uri, uri=True, check_same_thread=False)


def _accepted(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Return a connection to a database that could be ours; close it if it could not.

    Raises:
        sqlite3.DatabaseError: The database is foreign.
    """
    limit_steps(connection)
    try:
        refuse_foreign(connection.execute, OUR_SETTINGS)
    except BaseException:
        connection.close()
        raise
    return connection


def _from_copy(folder: Path) -> sqlite3.Connection:
    """Return a connection to an in-memory copy of a database and its logs.

    Raises:
        sqlite3.DatabaseError: The database is too large to be ours, such as a sparse file.
    """
    present = [folder / name for name in (DBNAME, *_LOGS) if (folder / name).exists()]
    if sum(path.stat().st_size for path in present) > _LARGEST_COPY:
        raise sqlite3.DatabaseError("a database that is too large to be copied")
    with tempfile.TemporaryDirectory(prefix="nbcache-") as scratch:
        for path in present:
            # The last process that closes the database removes the log.
            with suppress(FileNotFoundError):
                shutil.copy(path, Path(scratch) / path.name)
        has_journal(Path(scratch) / DBNAME)  # raises if SQLite would remove another file
        memory = sqlite3.connect(":memory:", check_same_thread=False)
        copied = sqlite3.connect(Path(scratch) / DBNAME)
        try:
            # Into memory, so that the scratch folder need not outlive this function
            # (https://docs.python.org/3/library/sqlite3.html#sqlite3.Connection.backup).
            copied.backup(memory)
        finally:
            copied.close()
    return memory
