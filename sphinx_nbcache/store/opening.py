"""Opening the store's shelf from a folder in any state, and the folders of older formats."""

from __future__ import annotations

import re
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

from diskcache.core import DBNAME

from sphinx_nbcache.store.disk import foreign_entry, refuse_link
from sphinx_nbcache.store.disk_shelf import DiskShelf
from sphinx_nbcache.store.read_only import ReadOnlyShelf
from sphinx_nbcache.store.shelf import MemoryShelf, Shelf, ShelfError

_FOLDER = re.compile(r"nbcache-([0-9]{1,6})")
# SQLite's codes for problems of the surroundings (locks, permissions, space), not the database.
_SURROUNDINGS = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
    }
)
_PRIMARY_CODE = 0xFF
# Long enough for another build to move a large store; only a rename is expected.
_MOVE_SECONDS = 60
# A file that marks the folder of a database that proved damaged after it was opened.
_MARK = "damaged"


def folder_name(schema: int) -> str:
    """Return the name of the folder that holds records of this format."""
    return f"nbcache-{schema}"


def older_folders(folder: Path) -> list[Path]:
    """Return the folders of older formats next to a store's folder, the oldest first."""
    own = _schema_of(folder)
    try:
        neighbours = list(folder.parent.iterdir())
    except OSError:
        return []
    # Only folders with a database: the place may be a folder of the user with other content.
    found = [path for path in neighbours if 0 < _schema_of(path) < own and _is_store(path)]
    return sorted(found, key=_schema_of)


def remove_older_folders(folder: Path) -> list[Path]:
    """Remove the folders of older formats next to a store's folder.

    Returns:
        The folders that were removed.

    Raises:
        OSError: One of them cannot be removed.
    """
    found = older_folders(folder)
    for path in found:
        shutil.rmtree(path)
        # The lock file is next to the folder, because the folder itself is moved.
        path.with_name(f"{path.name}.moving.lock").unlink(missing_ok=True)
    return found


def _schema_of(path: Path) -> int:
    matched = _FOLDER.fullmatch(path.name)
    return int(matched[1]) if matched else 0


def _is_store(path: Path) -> bool:
    return not path.is_symlink() and (path / DBNAME).is_file()


def open_shelf(folder: Path, *, again: bool = False) -> tuple[Shelf, str | None]:
    """Open the shelf of a folder.

    A folder without a database of ours is moved aside, and the store starts empty. If the disk
    cannot be written, the fallback is a shelf that only reads, or one in memory.

    Args:
        folder: The folder of the database.
        again: Whether this build has opened it before. A build keeps using the database that it
            began with: damage found later (see [](mark_if_malformed)) is left to the next build.

    Returns:
        The shelf, and the problem if the database could not be opened normally.
    """
    # First of all: everything below opens files in the folder, and would follow a link.
    if foreign_entry(folder) is not None:
        return _start_anew(DiskShelf(folder))
    if ReadOnlyShelf.is_needed(folder):
        return _tried(ReadOnlyShelf(folder)) or (_in_memory(folder, "it is read-only and damaged"))
    shelf = DiskShelf(folder)
    if not again and (folder / _MARK).exists():
        return _start_anew(shelf)
    try:
        # Not `get`, which would write.
        list(shelf.get_many([""]))
    except ShelfError as error:
        # A locked database or a full disk says nothing about the records: moving the store aside
        # would lose all results for a passing problem.
        if is_damage(error.__cause__):
            return _start_anew(shelf)
        return _tried(ReadOnlyShelf(folder, str(error))) or _in_memory(folder, str(error))
    return shelf, None


def _file_above(folder: Path) -> Path | None:
    """Return the parent of a folder that is a file, as when `nbcache_store` names a file."""
    return next((path for path in folder.parents if path.is_file()), None)


def mark_if_malformed(folder: Path, error: ShelfError | None = None) -> None:
    """Make the next build start with a new store if the database is malformed anywhere.

    Call this when an entry proved damaged, or could not be written. A malformed database may
    open without errors, and never again keep what is written to it.

    Args:
        folder: The folder of the database.
        error: The error of the failed write.
    """
    if (error is not None and is_damage(error.__cause__)) or _is_malformed(folder / DBNAME):
        # Marked, not moved: this and other processes still have the database open.
        with suppress(OSError):
            (folder / _MARK).touch()


def _is_malformed(database: Path) -> bool:
    try:
        uri = f"{database.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            # The argument stops at the first fault; a whole check reads every page
            # (https://www.sqlite.org/pragma.html#pragma_integrity_check).
            return bool(connection.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",))
    except (sqlite3.Error, UnicodeDecodeError) as error:
        return is_damage(error)


def _tried(shelf: Shelf) -> tuple[Shelf, None] | None:
    """Return a shelf if it is readable, else `None`."""
    try:
        shelf.get("")
    except ShelfError:
        return None
    return shelf, None


def _in_memory(folder: Path, why: str) -> tuple[Shelf, str]:
    if (file := _file_above(folder)) is not None:
        why = f"{file} is a file, not a folder"
    return MemoryShelf(), f"the store {folder} cannot be used ({why})"


def is_damage(error: BaseException | None) -> bool:
    """Tell whether SQLite reports a fault of the database, not of its surroundings."""
    if not isinstance(error, sqlite3.Error):
        return isinstance(error, UnicodeDecodeError)  # from a name, or SQLite's message
    # No code means that this package refused the database (see `foreign`).
    code = getattr(error, "sqlite_errorcode", None)
    return code is None or code & _PRIMARY_CODE not in _SURROUNDINGS


def _start_anew(shelf: DiskShelf) -> tuple[Shelf, str | None]:
    """Move a damaged store aside, unless another process has done so in the meantime."""
    import filelock

    folder = shelf.folder
    with suppress(Exception):
        shelf.close()
    aside = folder.with_name(f"{folder.name}.damaged-{time.time_ns():x}")
    lock_file = folder.with_name(f"{folder.name}.moving.lock")
    # Two builds that find the damage at once would otherwise move each other's fresh store.
    lock = filelock.FileLock(lock_file, timeout=_MOVE_SECONDS)
    fresh = DiskShelf(folder)
    try:
        refuse_link(lock_file)
        with lock:
            # Look again inside the lock: the process that held it may have moved the store.
            if (damage := _damage_on_opening(fresh)) is None:
                return fresh, None
            fresh.close()
            # Moved, not removed: users may want to recover results, and what is there may not be a
            # store. A folder that is a link is renamed itself, not its target
            # (https://docs.python.org/3/library/shutil.html#shutil.move).
            shutil.move(folder, aside)
            fresh.get("")
            return fresh, f"the store {folder} is damaged ({damage}); it was moved to {aside.name}"
    except (OSError, ShelfError, filelock.Timeout) as trouble:
        return _in_memory(folder, f"it is damaged, and cannot be moved aside: {trouble}")


def _damage_on_opening(shelf: DiskShelf) -> str | None:
    """Open a shelf, which creates missing tables; return what is wrong with it, in words.

    Raises:
        ShelfError: It cannot be opened now, and that says nothing about its content.
    """
    if (foreign := foreign_entry(shelf.folder)) is not None:
        return foreign
    if (shelf.folder / _MARK).exists():
        return "the last build found it so"
    try:
        # Open with diskcache, which creates the tables that a new or emptied database lacks.
        shelf.size()
        shelf.get("")
    except ShelfError as error:
        # A database that is locked, or a full disk, is no reason to move a store here either.
        if not is_damage(error.__cause__):
            raise
        return str(error)
    return None
