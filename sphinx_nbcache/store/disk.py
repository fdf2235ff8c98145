"""The way diskcache reads and writes here: bytes under text keys, and nothing else.

Many rows of its table are read at once.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeGuard

import diskcache
from diskcache.core import MODE_BINARY, MODE_RAW

from sphinx_nbcache.bounded import LARGEST_VALUE, LONGEST_NAME
from sphinx_nbcache.store.foreign import Execute
from sphinx_nbcache.store.shelf import DamagedEntryError

# A store may be foreign: its files can be links to the user's files, or pipes, on which `open`
# would wait for a writer (https://man7.org/linux/man-pages/man2/open.2.html). Windows has neither
# flag.
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
# `diskcache.Disk.filename`: two levels of folders, then the rest of 128 random bits.
_FILE_NAME = re.compile(r"[0-9a-f]{2}[/\\][0-9a-f]{2}[/\\][0-9a-f]{28}\.val")
# SQLite allows 999 parameters in a statement by default (32,766 since version 3.32):
# https://www.sqlite.org/limits.html#max_variable_number
_AT_ONCE = 500
# Values from 32 KiB on are separate files (see `disk_shelf`); a later version may change that.
_LARGEST_IN_ROW = 1 << 20
# A prefix and a path.
_LONGEST_KEY = LONGEST_NAME + 100
_LONGEST_FILE_NAME = 100


class UnsafeEntryError(Exception):
    """An entry that this store never writes: foreign, damaged or hostile. It is not read."""


# diskcache 5.6.3 unpickles keys and values whose row says so, which runs the code of whoever wrote
# the store (CVE-2025-69872, https://github.com/grantjenks/python-diskcache/issues/357). Most
# overrides below close a way to that, or to a file outside of the store.
class SafeDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache ships no types
    """Text keys and bytes values in, text keys and bytes values out.

    Attributes:
        put_off: The files to remove when the open transaction succeeds.
        written: The files to remove if it fails.
    """

    put_off: list[str] | None = None
    written: list[str] | None = None

    def put(self, key: object) -> tuple[str, bool]:
        """Return the database form of a key."""
        # Not `isinstance`: diskcache compares exact types, and pickles instances of subclasses.
        if type(key) is not str:
            raise UnsafeEntryError(f"a key must be text, not {type(key).__name__}")
        return key, True

    def get(self, key: object, raw: object) -> str:
        """Return the key from its database form."""
        if not raw or type(key) is not str:
            raise UnsafeEntryError("a key that is not text")
        return key

    def store(self, value: object, read: bool, key: object = None) -> tuple[Any, ...]:  # noqa: FBT001 (diskcache's signature)
        """Return the database form of a value; a large value is written to a file first."""
        if type(value) is not bytes or read:
            raise UnsafeEntryError(f"a value must be bytes, not {type(value).__name__}")
        if len(value) > LARGEST_VALUE:
            # An OSError, because callers fall back to memory for it, as for a full disk.
            raise OSError(errno.EFBIG, f"a value of {len(value)} bytes would not be read again")
        stored: tuple[Any, ...] = super().store(value, read, key=key)
        if self.written is not None and is_file_name(stored[2]):
            self.written.append(stored[2])
        return stored

    def _write(self, full_path: str, *arguments: Any, **options: Any) -> Any:
        # Workaround: diskcache 5.6.3 leaves a file behind when writing fails (core.py,
        # Disk._write).
        try:
            return super()._write(full_path, *arguments, **options)
        except BaseException:
            Path(full_path).unlink(missing_ok=True)
            raise

    def fetch(self, mode: int, filename: str | None, value: object, read: bool) -> bytes:  # noqa: FBT001 (diskcache's signature)
        """Return the value from its database form."""
        if read or mode not in (MODE_RAW, MODE_BINARY):
            raise UnsafeEntryError(f"a value of a kind that is never written (mode {mode!r})")
        # The name is joined to the folder: `../` or an absolute path would lead out of the store.
        if mode == MODE_BINARY and not is_file_name(filename):
            raise UnsafeEntryError(f"a file name that is never written: {filename!r}")
        if filename is not None and mode == MODE_BINARY:
            if self._is_outside(filename):
                raise UnsafeEntryError("a folder that is a link")
            return _read_file(Path(self._directory, filename))
        fetched = super().fetch(mode, filename, value, read)
        if type(fetched) is not bytes:
            raise UnsafeEntryError("a value that is not bytes")
        return fetched

    def filename(self, key: object = None, value: object = None) -> tuple[str, str]:
        """Return the name and the path of a new value's file.

        Raises:
            OSError: The folder is replaced by a link that leads out of the store.
        """
        name, path = super().filename(key, value)
        if self._is_outside(name):
            raise OSError(f"a link is in the place of the folder of {path}")
        return name, path

    def _is_outside(self, filename: str) -> bool:
        """Tell whether one of the two folders above a file is a link out of the store."""
        folder = Path(self._directory, filename).parent
        return folder.is_symlink() or folder.parent.is_symlink()

    def remove(self, file_path: object) -> None:
        """Remove the file of a value; leave foreign files alone.

        Within a transaction the removal is deferred: diskcache removes replaced files before the
        transaction ends, and a rollback would restore a row without its file.
        """
        if not is_file_name(file_path) or self._is_outside(file_path):
            return
        if self.put_off is not None:
            self.put_off.append(file_path)
        else:
            super().remove(file_path)


def _read_file(path: Path) -> bytes:
    """Return the content of a regular file.

    Raises:
        UnsafeEntryError: The path is not a regular file, or the file is too large.
        OSError: The file cannot be read.
    """
    # Without O_BINARY, Windows translates line ends. The checks use the open descriptor: between a
    # check of the path and `open`, the file could be replaced.
    descriptor = os.open(path, _READ | getattr(os, "O_BINARY", 0))
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST_VALUE:
        os.close(descriptor)
        raise UnsafeEntryError("a file that is never written")
    with open(descriptor, "rb") as file:  # noqa: PTH123 (a descriptor)
        # A size, because a file that grows meanwhile must not exceed the limit.
        return file.read(found.st_size)


def foreign_entry(folder: Path) -> str | None:
    """Return an entry in a store's folder that no store creates: a link, a pipe or a device.

    diskcache, SQLite and locks would follow a link to files of the user, and would write to a file
    that has a second name elsewhere: archives can contain such hard links. Entries two levels down
    are checked when they are used.
    """
    if folder.is_symlink():
        return f"{folder.name} is a link"
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if not _is_plain(entry)]
    except OSError:
        # Without a folder there is nothing to follow; opening the store reports the cause.
        return None
    return f"{min(names)} is a link, or no regular file" if names else None


def _is_plain(entry: os.DirEntry[str]) -> bool:
    if entry.is_dir(follow_symlinks=False):
        return True
    # On Windows the number of links is always 0 here
    # (https://docs.python.org/3/library/os.html#os.DirEntry.stat).
    is_file = entry.is_file(follow_symlinks=False)
    return is_file and entry.stat(follow_symlinks=False).st_nlink <= 1


def refuse_link(path: Path) -> None:
    """Refuse to lock a file that is a link, or whose folder is a link.

    filelock before 3.20.1 follows links, and truncates the file (CVE-2025-68146). Later versions
    still do so for hard links.

    Raises:
        OSError: The file or its folder is a link.
    """
    # The parent, too: filelock's fix, O_NOFOLLOW, covers only the last part of a path. The
    # flag also closes the race between this check and the lock
    # (https://github.com/tox-dev/filelock/pull/461).
    if path.is_symlink() or path.parent.is_symlink():
        raise OSError(f"{path} is a link")
    with suppress(FileNotFoundError):
        if path.stat().st_nlink > 1:
            raise OSError(f"{path} is a hard link")


def is_file_name(filename: object) -> TypeGuard[str]:
    """Tell whether an object is a valid name of a value's file, relative to the store."""
    return isinstance(filename, str) and _FILE_NAME.fullmatch(filename) is not None


def stored_rows(
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
        # SQLite stores a value of any type in any column
        # (https://www.sqlite.org/flextypegood.html).
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
    # A range of keys, which the index serves; LIKE would ignore case, and take `_` and `%` in a
    # path for wildcards (https://www.sqlite.org/lang_expr.html#like).
    query = (
        "SELECT key FROM Cache WHERE raw = 1 AND key >= ? AND key < ? AND length(key) <= ?"
        " ORDER BY key"
    )
    # No key of ours has a character above this one.
    rows = execute(query, (prefix, f"{prefix}\U0010ffff", _LONGEST_KEY)).fetchall()
    return [key for (key,) in rows if isinstance(key, str)]


def blob_files_of(execute: Execute) -> frozenset[str]:
    """Return the names of the files that hold values.

    Raises:
        sqlite3.Error: The table cannot be read.
    """
    query = "SELECT substr(filename, 1, ?) FROM Cache WHERE filename IS NOT NULL"
    rows = execute(query, (_LONGEST_FILE_NAME,)).fetchall()
    # diskcache joins these names with the system's separator, so Windows writes backslashes.
    return frozenset(name.replace(os.sep, "/") for (name,) in rows if isinstance(name, str))


def _value(
    disk: SafeDisk, mode: int, filename: str | None, type_: str, value: object
) -> bytes | DamagedEntryError:
    # The CASE of the query has left the value out.
    if value is None and type_ == "blob":
        return DamagedEntryError("a value that is larger than any that is written there")
    try:
        return disk.fetch(mode, filename, value, read=False)
    except FileNotFoundError:
        return DamagedEntryError("its file is missing")
    except (UnsafeEntryError, TypeError, ValueError, OSError) as error:
        return DamagedEntryError(str(error))
