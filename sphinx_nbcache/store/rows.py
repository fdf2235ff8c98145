"""Reading many rows of diskcache's table at once.

diskcache reads one key at a time, which for a thousand notebooks takes longer than everything else
in a build where nothing has changed. This module therefore reads the table directly. The table has
not changed since diskcache 3, and any program that uses SQLite may read it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from sphinx_nbcache.bounded import LONGEST_NAME
from sphinx_nbcache.store.disk import SafeDisk, UnsafeEntryError
from sphinx_nbcache.store.foreign import Execute
from sphinx_nbcache.store.shelf import DamagedEntryError

# SQLite allows 999 parameters in a statement by default (32,766 since version 3.32).
_AT_ONCE = 500
# Values from 32 KiB on are separate files (see `disk_shelf`); a later version may change that.
_LARGEST_IN_ROW = 1 << 20
# A prefix and a path.
_LONGEST_KEY = LONGEST_NAME + 100
_LONGEST_FILE_NAME = 100


def rows_of(
    execute: Execute, disk: SafeDisk, keys: Iterable[str]
) -> Iterator[tuple[str, bytes | DamagedEntryError]]:
    """Yield each key that is present, with its value or the damage found.

    Raises:
        sqlite3.Error: The table cannot be read.
    """
    wanted = list(dict.fromkeys(keys))
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        marks = ",".join("?" * len(some))
        # Values that are too large, or of a type that is never written, do not leave the database.
        query = (
            "SELECT key, mode, substr(filename, 1, ?), typeof(value),"  # noqa: S608 (only question marks are put in)
            " CASE WHEN typeof(value) = 'blob' AND length(value) <= ? THEN value END"
            f" FROM Cache WHERE raw = 1 AND key IN ({marks})"
        )
        rows = execute(query, (_LONGEST_FILE_NAME, _LARGEST_IN_ROW, *some)).fetchall()
        for key, mode, filename, type_, value in rows:
            yield key, _value(disk, mode, filename, type_, value)


def keys_of(execute: Execute, prefix: str) -> list[str]:
    """Return the keys that begin with a prefix, in order.

    Raises:
        sqlite3.Error: The table cannot be read.
    """
    query = (
        "SELECT key FROM Cache WHERE raw = 1 AND key >= ? AND key < ? AND length(key) <= ?"
        " ORDER BY key"
    )
    # No key of ours has a character above this one.
    rows = execute(query, (prefix, f"{prefix}\U0010ffff", _LONGEST_KEY)).fetchall()
    return [key for (key,) in rows if isinstance(key, str)]


def files_of(execute: Execute) -> frozenset[str]:
    """Return the names of the files that hold values.

    Raises:
        sqlite3.Error: The table cannot be read.
    """
    query = "SELECT substr(filename, 1, ?) FROM Cache WHERE filename IS NOT NULL"
    rows = execute(query, (_LONGEST_FILE_NAME,)).fetchall()
    return frozenset(name.replace(os.sep, "/") for (name,) in rows if isinstance(name, str))


def _value(
    disk: SafeDisk, mode: int, filename: str | None, type_: str, value: object
) -> bytes | DamagedEntryError:
    if value is None and type_ == "blob":
        return DamagedEntryError("a value that is larger than any that is written there")
    try:
        return disk.fetch(mode, filename, value, read=False)
    except FileNotFoundError:
        return DamagedEntryError("its file is missing")
    except (UnsafeEntryError, TypeError, ValueError, OSError) as error:
        return DamagedEntryError(str(error))
