"""The shelf on diskcache."""

from __future__ import annotations

import errno
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import diskcache
from diskcache.core import DBNAME, DEFAULT_SETTINGS

from sphinx_nbcache.files.atomic import trouble_in_words
from sphinx_nbcache.store.disk import (
    SafeDisk,
    UnsafeEntryError,
    blob_files_of,
    keys_of,
    stored_rows,
)
from sphinx_nbcache.store.foreign import Execute, has_journal, limit_steps, refuse_foreign
from sphinx_nbcache.store.shelf import DamagedEntryError, ShelfError, only_value
from sphinx_nbcache.store.snapshot import Snapshot

_Value = TypeVar("_Value")

# Larger values are files of their own instead of rows in the database.
_FILE_SIZE = 32 * 1024
# How long to wait for another process's transaction. diskcache itself waits as long while it opens
# (https://github.com/grantjenks/python-diskcache/issues/85).
_BUSY_SECONDS = 60
# The low byte of an extended code is the primary one (https://www.sqlite.org/rescode.html).
_PRIMARY_CODE = 0xFF
# All of diskcache's settings are passed, so that none is read from the database.
_SETTINGS = {
    **DEFAULT_SETTINGS,
    "disk_min_file_size": _FILE_SIZE,
    # Eviction is our own, of whole results: see docs/architecture.md. With its defaults, diskcache
    # would remove single rows of a result from 1 GiB on.
    "eviction_policy": "none",
    "cull_limit": 0,
}
OUR_SETTINGS = frozenset(_SETTINGS)


class DiskShelf:
    """A shelf in a diskcache folder, opened at first use and again after [](close).

    Threads may share it; a lock serialises their access.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._cache: diskcache.Cache | None = None
        self._snapshot: Snapshot | None = None
        # Reentrant: within a transaction, the same thread calls `get`, `set` and `delete`.
        self._lock = threading.RLock()

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
        wanted = list(keys)
        nothing: list[tuple[str, bytes | DamagedEntryError]] = []
        with self._lock, translated(self.folder):
            # The list ends the query within `_read`, which can then tell whether a process wrote to
            # the database meanwhile.
            found = self._read(
                lambda execute, disk: list(stored_rows(execute, disk, wanted)), nothing
            )
        # Without the lock: a caller may stop after the first, and another thread may then collect
        # the generator, which could not release it.
        yield from found

    def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin with a prefix, in order.

        Raises:
            ShelfError: The database cannot be read.
        """
        with self._lock, translated(self.folder):
            return self._read(lambda execute, _: keys_of(execute, prefix), [])

    def file_names(self) -> frozenset[str]:
        """Return the names of the files that hold values, relative to the folder.

        Raises:
            ShelfError: The database cannot be read.
        """
        with self._lock, translated(self.folder):
            return self._read(lambda execute, _: blob_files_of(execute), frozenset())

    def size(self) -> int:
        """Return the size of the database and its files, in bytes.

        Raises:
            ShelfError: The database cannot be read.
        """
        with self._lock, translated(self.folder):
            return 0 if self._is_absent else int(self._open().volume())

    def set(self, key: str, value: bytes) -> None:
        """Store a value.

        Raises:
            ShelfError: The disk is full, read-only or broken, or the value is too large.
        """
        with self._lock, translated(self.folder):
            self._open().set(key, value, retry=True)

    def delete(self, key: str) -> None:
        """Delete a key if it exists.

        Raises:
            ShelfError: The disk is read-only or broken.
        """
        with self._lock, translated(self.folder), suppress(UnsafeEntryError):
            self._open().delete(key, retry=True)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all changes within the context visible at once, or not at all."""
        with self._lock, translated(self.folder):
            cache = self._open()
            disk: SafeDisk = cache.disk
            if disk.put_off is not None:
                # diskcache makes this a part of the outer transaction, which also handles the files
                # (https://grantjenks.com/docs/diskcache/api.html).
                with cache.transact(retry=True):  # nested
                    yield
                return
            replaced: list[str] = []
            removable: list[str] = []
            # Rows are rolled back by SQLite, files by no one: "this could potentially leak files"
            # (https://github.com/grantjenks/python-diskcache/issues/112).
            disk.put_off, disk.written = replaced, removable
            try:
                with cache.transact(retry=True):
                    yield
                # Reached after COMMIT only. If that fails, the written files are removed instead.
                removable = replaced
            finally:
                # Reset first: `remove` defers removals while there is a list.
                disk.put_off = disk.written = None
                for name in removable:
                    disk.remove(name)

    def close(self) -> None:
        """Close this thread's connection."""
        # SQLite forbids carrying an open connection over a fork: the child may damage the database
        # (https://www.sqlite.org/howtocorrupt.html, section 2.6).
        if self._cache is not None:
            self._cache.close()
            self._cache = None
        if self._snapshot is not None:
            self._snapshot.close()
            self._snapshot = None

    @property
    def _is_absent(self) -> bool:
        """Whether there is nothing to read: commands that only read must not create the folder."""
        if self._cache is not None or self.folder.parent.exists():
            return False
        # If a file is in the way, or there is no such drive on Windows, opening must fail with the
        # system's message.
        above = next((path for path in self.folder.parents if path.exists()), None)
        return above is not None and above.is_dir()

    def _read(self, query: Callable[[Execute, SafeDisk], _Value], nothing: _Value) -> _Value:
        """Read without writing if possible.

        Args:
            query: Takes a function that executes statements, and the disk that decodes values.
            nothing: The result for an empty database.
        """
        if self._is_absent:
            return nothing
        # diskcache writes its settings whenever it opens a folder (`Cache.__init__`), so a command
        # that only reads would contend for the lock, and fail on a full disk.
        if self._cache is None and self._snapshot is None:
            self._snapshot = _accepted_snapshot(self.folder)
        if self._snapshot is not None:
            disk = SafeDisk(str(self.folder))
            found = self._snapshot.read(lambda execute: query(execute, disk))
            if found is not None:
                return found
        cache = self._open()
        return query(cache._sql_retry, cache.disk)  # noqa: SLF001 (there is no public way to query)

    def _open(self) -> diskcache.Cache:
        # An immutable connection would not see what is written from now on.
        if self._snapshot is not None:
            self._snapshot.close()
            self._snapshot = None
        if self._cache is None:
            folder = str(self.folder)
            try:
                _refuse_foreign_database(self.folder)
                self._cache = diskcache.Cache(
                    folder, timeout=_BUSY_SECONDS, disk=SafeDisk, **_SETTINGS
                )
            except (ValueError, TypeError, AttributeError) as error:
                # Settings are damaged: for example, a number is not a number.
                raise sqlite3.DatabaseError(f"damaged settings: {error}") from None
        # Every time: the limit counts the steps of one call, and diskcache connects again in a new
        # thread.
        limit_steps(self._cache._con)  # noqa: SLF001 (each thread has its own)
        return self._cache

    def __getstate__(self) -> Path:
        # Neither locks nor connections can be pickled; the copy opens the folder itself
        # (https://docs.python.org/3/library/pickle.html#what-can-be-pickled-and-unpickled).
        return self.folder

    def __setstate__(self, folder: Path) -> None:
        self.__init__(folder)  # type: ignore[misc]


def _accepted_snapshot(folder: Path) -> Snapshot | None:
    """Return a snapshot of a database that could be ours; `None` if no snapshot can be read.

    Raises:
        sqlite3.DatabaseError: The database is foreign.
    """
    snapshot = Snapshot.of(folder)
    if snapshot is None:
        return None
    is_accepted: bool | None = None
    try:
        is_accepted = snapshot.read(_is_ours)
    finally:
        # A snapshot is kept only after a check: the next read must not use a refused database. If
        # the database was in use during the check, `read` returns `None`.
        if not is_accepted:
            snapshot.close()
    return snapshot if is_accepted else None


def _is_ours(execute: Execute) -> bool:
    refuse_foreign(execute, OUR_SETTINGS)
    return True


def _refuse_foreign_database(folder: Path) -> None:
    """Check that a database could be ours, before diskcache opens it.

    Raises:
        sqlite3.DatabaseError: The database is foreign.
    """
    database = folder / DBNAME
    if not database.exists():
        return
    # SQLite rolls back only where it may write (https://www.sqlite.org/lockingv3.html#rollback).
    mode = "rw" if has_journal(database) else "ro"
    uri = f"{database.absolute().as_uri()}?mode={mode}"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        limit_steps(connection)
        refuse_foreign(connection.execute, OUR_SETTINGS)


@contextmanager
def translated(folder: Path | None = None) -> Iterator[None]:
    """Turn errors of the disk and the database into a ShelfError.

    A UnicodeDecodeError comes from a damaged name in a database, or from SQLite's message about it.

    Args:
        folder: The folder of the database, if its disk may be full: SQLite reports "disk I/O error"
            if it cannot create the file that it shares between processes.
    """
    try:
        yield
    except (OSError, sqlite3.Error, diskcache.Timeout, UnicodeDecodeError) as error:
        raise ShelfError(_in_words(error, folder)) from error


def _in_words(error: Exception, folder: Path | None) -> str:
    if isinstance(error, OSError):
        # diskcache (5.6, `Cache.__init__`) replaces the system's words by its own.
        cause = error.__context__
        return trouble_in_words(cause if isinstance(cause, OSError) else error)
    # Errors that this package raises itself have no code
    # (https://docs.python.org/3/library/sqlite3.html#sqlite3.Error.sqlite_errorcode).
    code = (getattr(error, "sqlite_errorcode", None) or 0) & _PRIMARY_CODE
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _is_full(folder)):
        return trouble_in_words(OSError(errno.ENOSPC, str(error)))
    return f"{type(error).__name__}: {error}"


def _is_full(folder: Path | None) -> bool:
    with suppress(OSError):
        # The shared-memory file takes 32 KiB (https://www.sqlite.org/walformat.html), by chance the
        # same number.
        return folder is not None and shutil.disk_usage(folder).free < _FILE_SIZE
    return False
