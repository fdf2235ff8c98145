"""Protection from foreign databases, which must cost no more than ours, nor do anything else.

The effect of a statement depends on the database as well. A view or a trigger can compute without
end, and pages can refer to each other so that a table of a few pages has more rows than can ever
be read. Definitions are therefore compared with those of diskcache, and long statements are
interrupted.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import diskcache
from diskcache.core import DBNAME, METADATA

Execute = Callable[..., Any]
"""Executes a statement with parameters, and returns a cursor."""

# Instructions of SQLite's virtual machine: about ten per row, less than two seconds in all.
# SQLite advises such a limit for untrusted files (https://www.sqlite.org/security.html).
_STEP, _MOST_STEPS = 1_000_000, 50
# diskcache has about twenty definitions and as many settings.
_MOST_ROWS = 100
# Far above any disk, and sums of a few stay within 64 bits.
_LARGEST_SIZE = 1 << 53
# The end of a rollback journal that names another file (`readSuperJournal` in pager.c of SQLite;
# https://www.sqlite.org/fileformat2.html, section 3).
_NAMES_A_FILE = bytes.fromhex("d9d505f920a163d7")
# The definitions of diskcache 5.6.3, so that no database has to be created for comparison.
# Another version is compared with what it creates itself, which costs a temporary database.
KNOWN = frozenset(
    {
        "1609245ab9385ad3",
        "20449cc051481e07",
        "288284b4c5dac98a",
        "314f99712c1a0440",
        "7c77a1c1b40a9c03",
        "aac61ccafe9c61bb",
        "aae37c3acd1d6a1d",
        "b6aea2528f5e2c65",
        "b9221b950916e1eb",
        "c3e6e14c99048362",
    }
)


def limit_steps(connection: sqlite3.Connection) -> None:
    """Interrupt statements from now on if they take many times as long as with our data."""
    # A true result of the handler interrupts the statement
    # (https://docs.python.org/3/library/sqlite3.html#sqlite3.Connection.set_progress_handler).
    steps = iter(range(_MOST_STEPS))
    connection.set_progress_handler(lambda: next(steps, None) is None, _STEP)


def refuse_foreign(execute: Execute, settings: frozenset[str]) -> None:
    """Refuse a database whose content diskcache would act on but this package never writes.

    Args:
        execute: Executes a statement.
        settings: The names of the settings that ours replace.

    Raises:
        sqlite3.DatabaseError: The database is foreign. diskcache turns settings into attributes and
            pragmas.
    """
    _refuse_definitions(execute)
    try:
        rows = list(islice(execute("SELECT key, value FROM Settings"), _MOST_ROWS))
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return  # another process is creating it
        raise
    values = dict(rows)
    foreign = values.keys() - settings - METADATA.keys()
    # Fewer values than rows: a forged table may lack the UNIQUE constraint, and diskcache reads
    # the settings twice, by different queries.
    if foreign or len(values) < len(rows):
        raise sqlite3.DatabaseError(f"settings that are never written: {sorted(map(str, foreign))}")
    # diskcache adds them up (`Cache.volume`).
    if not all(_is_size(values[name]) for name in METADATA.keys() & values.keys()):
        raise sqlite3.DatabaseError("a size that is none")


def has_journal(database: Path) -> bool:
    """Tell whether a process was killed in a transaction that SQLite has yet to roll back.

    That happens on file systems on which SQLite has no write-ahead log.

    Raises:
        sqlite3.DatabaseError: The journal names a file. SQLite would remove that file afterwards,
            wherever it is (`pager_delsuper` in pager.c, SQLite 3.40). Only a transaction over
            several databases makes such a journal, and diskcache has one.
    """
    try:
        with journal_of(database).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - len(_NAMES_A_FILE)))
            end = file.read()
    except OSError:
        return False
    if end == _NAMES_A_FILE:
        raise sqlite3.DatabaseError("a journal that names another file")
    return size > 0


def journal_of(database: Path) -> Path:
    """Return the path of the rollback journal of a database."""
    return database.with_name(f"{database.name}-journal")


def definitions(execute: Execute) -> frozenset[str]:
    """Return digests of the definitions of a database: its tables, indexes and triggers."""
    rows = execute("SELECT type, name, tbl_name, sql FROM sqlite_master")
    return frozenset(map(_digest, islice(rows, _MOST_ROWS)))


def _refuse_definitions(execute: Execute) -> None:
    # Some may be missing: another process may be creating the database.
    found = definitions(execute)
    if not found <= KNOWN and not found <= made_by_diskcache():
        raise sqlite3.DatabaseError("tables, views or triggers that are never written")


def made_by_diskcache() -> frozenset[str]:
    """Return the definitions that the installed version of diskcache creates."""
    with tempfile.TemporaryDirectory(prefix="nbcache-") as folder:
        # The policy decides which indexes diskcache creates, so it has to be ours.
        diskcache.Cache(folder, eviction_policy="none").close()
        with closing(sqlite3.connect(Path(folder, DBNAME))) as connection:
            return definitions(connection.execute)


def _digest(row: tuple[Any, ...]) -> str:
    # `repr` also takes values of types that no real definition has.
    return hashlib.sha256(repr(row).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _is_size(value: object) -> bool:
    return type(value) is int and value <= _LARGEST_SIZE
