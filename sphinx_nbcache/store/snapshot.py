"""Reading a database that no process is writing, without touching any file."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from diskcache.core import DBNAME

from sphinx_nbcache.files.stats import Stat
from sphinx_nbcache.store.foreign import journal_of, limit_steps

_Value = TypeVar("_Value")


class Snapshot:
    """A database while no process writes to it."""

    def __init__(self, path: Path, stat: Stat) -> None:
        self._path = path
        self._stat = stat
        # `immutable` makes SQLite skip locks and logs, so it touches no file; if the file does
        # change, results may be wrong (https://www.sqlite.org/uri.html#uriimmutable). Hence the
        # checks below. `as_uri` escapes `?` and `#` in the path.
        uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        # The lock of the shelf, not Python's check, keeps threads apart.
        self._connection = sqlite3.connect(uri, uri=True, check_same_thread=False)

    @classmethod
    def of(cls, folder: Path) -> Snapshot | None:
        """Open the database of a folder; `None` if it is missing, in use, or just written."""
        path = folder / DBNAME
        stat = _quiet_stat(path)
        # A change within the resolution of the clock leaves the stat as it is, as in git's index
        # (https://git-scm.com/docs/racy-git).
        if stat is None or stat.is_racy(time.time_ns()):
            return None
        return cls(path, stat)

    def read(self, query: Callable[[Callable[..., Any]], _Value]) -> _Value | None:
        """Return the result of a query; `None` if the database was in use in the meantime.

        Args:
            query: Takes a function that executes statements.

        Raises:
            sqlite3.Error: The database cannot be read.
        """
        limit_steps(self._connection)
        try:
            found = query(self._connection.execute)
        except sqlite3.Error:
            # A half-written page reads as damage: that is only certain if no one wrote.
            if not self._is_current:
                return None
            raise
        return found if self._is_current else None

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @property
    def _is_current(self) -> bool:
        return _quiet_stat(self._path) == self._stat


def _quiet_stat(database: Path) -> Stat | None:
    """Return a stat that reveals changes of a database; `None` if it is missing or in use.

    A process that has written to the database has a write-ahead log, which SQLite removes when
    the last process closes it; or a rollback journal, on file systems without such a log.
    """
    logs = (database.with_name(f"{database.name}-wal"), journal_of(database))
    try:
        return None if any(map(_has_content, logs)) else Stat.of(database)
    except OSError:
        return None


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False
