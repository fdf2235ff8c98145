"""Opening the store's shelf, whatever state its folder is in."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from sphinx_nbcache.store.disk_shelf import DiskShelf
from sphinx_nbcache.store.read_only import ReadOnlyShelf
from sphinx_nbcache.store.shelf import MemoryShelf, Shelf, ShelfError

# How SQLite says that the surroundings are at fault (locks, rights, space), not the database.
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
_MOVE_SECONDS = 60


def open_shelf(folder: Path) -> tuple[Shelf, str | None]:
    """Open the shelf of a folder.

    A folder that holds something else than a database of ours is moved aside, and the store
    starts anew. Where nothing can be kept on the disk, the shelf only reads, or is in memory.

    Returns:
        The shelf, and what had to be done instead of opening what was there.
    """
    if ReadOnlyShelf.is_needed(folder):
        return _tried(ReadOnlyShelf(folder)) or (_in_memory(folder, "it is read-only and damaged"))
    shelf = DiskShelf(folder)
    try:
        shelf.get("")
    except ShelfError as error:
        if _is_damage(error):
            return _start_anew(shelf)
        return _tried(ReadOnlyShelf(folder)) or _in_memory(folder, str(error))
    return shelf, None


def _tried(shelf: Shelf) -> tuple[Shelf, None] | None:
    """Return a shelf if it can be read."""
    try:
        shelf.get("")
    except ShelfError:
        return None
    return shelf, None


def _in_memory(folder: Path, why: str) -> tuple[Shelf, str]:
    return MemoryShelf(), f"the store {folder} cannot be used ({why})"


def _is_damage(error: ShelfError) -> bool:
    cause = error.__cause__
    if not isinstance(cause, sqlite3.Error):
        return False
    code = getattr(cause, "sqlite_errorcode", None)
    return code is None or code & _PRIMARY_CODE not in _SURROUNDINGS


def _start_anew(shelf: DiskShelf) -> tuple[Shelf, str | None]:
    """Move a damaged store aside, unless another process has done so meanwhile."""
    import filelock

    folder = shelf.folder
    with suppress(Exception):
        shelf.close()
    aside = folder.with_name(f"{folder.name}.damaged-{time.time_ns():x}")
    lock = filelock.FileLock(folder.with_name(f"{folder.name}.moving.lock"), timeout=_MOVE_SECONDS)
    fresh = DiskShelf(folder)
    try:
        with lock:
            try:
                fresh.get("")
            except ShelfError as error:
                fresh.close()
                shutil.move(folder, aside)
                fresh.get("")
                return (
                    fresh,
                    f"the store {folder} is damaged ({error}); it was moved to {aside.name}",
                )
    except (OSError, ShelfError, filelock.Timeout) as trouble:
        return _in_memory(folder, f"it is damaged, and cannot be moved aside: {trouble}")
    return fresh, None
