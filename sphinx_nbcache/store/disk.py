"""How diskcache reads and writes: bytes under text keys, and nothing else.

diskcache's own `Disk` unpickles what it finds and trusts the file names in its database
(CVE-2025-69872). A store may come from a CI cache that others can write to, so here every
pickle mode is refused, in reading and in writing, and files are confined to the store.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeGuard

import diskcache
from diskcache.core import MODE_BINARY, MODE_RAW

# What `diskcache.Disk.filename` makes: two levels of folders, then the rest of 128 random bits.
_FILE_NAME = re.compile(r"[0-9a-f]{2}[/\\][0-9a-f]{2}[/\\][0-9a-f]{28}\.val")


class UnsafeEntryError(Exception):
    """An entry that this store never writes: foreign, damaged or hostile. It is not read."""


class SafeDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache ships no types
    """Text keys and bytes values in, text keys and bytes values out.

    Attributes:
        put_off: The files to remove when the transaction that is open has succeeded.
        written: The files to remove if it fails.
    """

    put_off: list[str] | None = None
    written: list[str] | None = None

    def put(self, key: object) -> tuple[str, bool]:
        """Return the database form of a key."""
        if type(key) is not str:
            raise UnsafeEntryError(f"a key must be text, not {type(key).__name__}")
        return key, True

    def get(self, key: object, raw: object) -> str:
        """Return the key for its database form."""
        if not raw or type(key) is not str:
            raise UnsafeEntryError("a key that is not text")
        return key

    def store(self, value: object, read: bool, key: object = None) -> tuple[Any, ...]:  # noqa: FBT001 (diskcache's signature)
        """Return the database form of a value, after writing its file if it is large."""
        if type(value) is not bytes or read:
            raise UnsafeEntryError(f"a value must be bytes, not {type(value).__name__}")
        stored: tuple[Any, ...] = super().store(value, read, key=key)
        if self.written is not None and is_file_name(stored[2]):
            self.written.append(stored[2])
        return stored

    def _write(self, full_path: str, *arguments: Any, **options: Any) -> Any:
        # diskcache 5.6.3 leaves a file that it cannot write to its end (core.py, Disk._write).
        try:
            return super()._write(full_path, *arguments, **options)
        except BaseException:
            Path(full_path).unlink(missing_ok=True)
            raise

    def fetch(self, mode: int, filename: str | None, value: object, read: bool) -> bytes:  # noqa: FBT001 (diskcache's signature)
        """Return the value for its database form."""
        if read or mode not in (MODE_RAW, MODE_BINARY):
            raise UnsafeEntryError(f"a value of a kind that is never written (mode {mode!r})")
        if mode == MODE_BINARY and not is_file_name(filename):
            raise UnsafeEntryError(f"a file name that is never written: {filename!r}")
        fetched = super().fetch(mode, filename, value, read)
        if type(fetched) is not bytes:
            raise UnsafeEntryError("a value that is not bytes")
        return fetched

    def remove(self, file_path: object) -> None:
        """Remove the file of a value; a file that is not ours is left alone.

        Within a transaction the removal is put off: diskcache removes what was replaced before
        the transaction is over, and a rollback would bring back a row without its file.
        """
        if not is_file_name(file_path):
            return
        if self.put_off is not None:
            self.put_off.append(file_path)
        else:
            super().remove(file_path)


def is_file_name(filename: object) -> TypeGuard[str]:
    """Tell whether something is a name that a value's file can have, relative to the store."""
    return isinstance(filename, str) and _FILE_NAME.fullmatch(filename) is not None
