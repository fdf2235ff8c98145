"""Typed access to a shelf in any state.

Damaged values read as absent, with a notice. If the disk cannot be written, values are kept in
memory for this process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from diskcache.core import DBNAME

from sphinx_nbcache.bounded import LARGEST_RECORD
from sphinx_nbcache.files.mounts import network_file_system
from sphinx_nbcache.notices import Notice, Notify, Topic
from sphinx_nbcache.store.marks import BrokenChecksumError, Marks, unwrapped, wrapped
from sphinx_nbcache.store.opening import is_damage, mark_if_malformed, older_folders, open_shelf
from sphinx_nbcache.store.shelf import DamagedEntryError, MemoryShelf, Shelf, ShelfError
from sphinx_nbcache.text import one_line

# How many values are read at once: larger batches are not faster, and take more memory.
_BATCH = 200
# How many damaged entries are listed individually.
_TOLD_AT_MOST = 10

_Record = TypeVar("_Record")


class Access:
    """The shelf of a folder, opened at first use, with a fallback to memory.

    Args:
        folder: The folder of the shelf.
        notify: Takes warnings about damage and failures.
        marks: Marks the records that this account writes.
    """

    def __init__(self, folder: Path, notify: Notify, marks: Marks) -> None:
        self.folder = folder
        self.marks = marks
        self._notify = notify
        self._shelf: Shelf | None = None
        # Takes over writes when the disk cannot be written; reads look here first.
        self._overlay: MemoryShelf | None = None
        # Values that wait for the next write.
        self._later: dict[str, bytes] = {}
        self._told: set[str] = set()
        self._was_opened = self._was_examined = False
        self._opening = threading.RLock()

    @property
    def is_lasting(self) -> bool:
        """Whether written values outlive this process."""
        return not isinstance(self._writable(), MemoryShelf)

    @property
    def is_readable(self) -> bool:
        """Whether the folder can be read; true until it has been opened."""
        return not isinstance(self._shelf, MemoryShelf)

    def get(self, key: str) -> bytes | None:
        """Return a value; `None` if it is absent or damaged."""
        return self.get_many([key]).get(key)

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the values of those keys that are present and not damaged."""
        keys = list(keys)
        # Newest first: a waiting value, then the overlay, then the disk.
        found = {key: self._later[key] for key in keys if key in self._later}
        if self._overlay is not None:
            self._collect(self._overlay, keys, found)
        wanted = [key for key in keys if key not in found]
        try:
            self._collect(self._opened(), wanted, found)
        except ShelfError as error:
            self.damaged(str(error))
            # One bad page fails the whole query; the rows on other pages can still be read.
            if len(wanted) > 1 and is_damage(error.__cause__):
                self._collect_singly(wanted, found)
        return found

    def each(self, keys: Iterable[str]) -> Iterator[tuple[str, bytes | DamagedEntryError]]:
        """Yield each key that is present, with its value or the damage found.

        Raises:
            ShelfError: The values cannot be read.
        """
        yield from self._unwrapped(self._writable().get_many(keys))

    def file_names(self) -> frozenset[str]:
        """Return the names of the files that hold values, relative to the folder.

        Raises:
            ShelfError: The names cannot be read.
        """
        return self._opened().file_names()

    def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin with a prefix, in order."""
        overlaid = self._overlay.keys(prefix) if self._overlay is not None else []
        try:
            return sorted({*self._opened().keys(prefix), *overlaid})
        except ShelfError as error:
            self.damaged(str(error))
            return overlaid

    def size(self) -> int:
        """Return the total size in bytes; 0 if it cannot be determined."""
        try:
            return self._opened().size()
        except ShelfError as error:
            self.damaged(str(error))
            return 0

    def read(self, key: str, kind: type[_Record]) -> _Record | None:
        """Return a record; `None` if it is absent or damaged."""
        encoded = self.get(key)
        return None if encoded is None else self.decoded(key, encoded, kind)

    def read_many(self, keys: Iterable[str], kind: type[_Record]) -> dict[str, _Record]:
        """Return the records of those keys that are present and not damaged."""
        found = {}
        for batch in batches(keys):
            for key, encoded in self.get_many(batch).items():
                if (record := self.decoded(key, encoded, kind)) is not None:
                    found[key] = record
        return found

    def decoded(
        self,
        key: str,
        encoded: bytes,
        kind: type[_Record],
        decode: Callable[[bytes], _Record] | None = None,
    ) -> _Record | None:
        """Decode a record from JSON; return `None` if it is damaged.

        Args:
            key: The record's key, for the warning.
            encoded: The JSON.
            kind: The record's type.
            decode: Decodes the JSON, if the type alone is not enough.
        """
        if len(encoded) > LARGEST_RECORD:
            self.damaged(f"{key[:40]} cannot be read (it has {len(encoded)} bytes)")
            return None
        try:
            return decode(encoded) if decode else msgspec.json.decode(encoded, type=kind)
        # msgspec raises RecursionError for JSON nested too deeply, and `__post_init__` of a record
        # or a decoder may raise ValueError.
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            self.damaged(f"{key[:40]} cannot be read ({error})")
            return None

    def write(self, values: Mapping[str, bytes], gone: Iterable[str] = ()) -> None:
        """Write values and delete keys, in one transaction.

        Raises:
            ShelfError: The store cannot be written.
        """
        shelf, gone = self._writable(), list(gone)
        later = {key: value for key, value in self._later.items() if key not in gone}
        with shelf.transaction():
            for key, value in (later | dict(values)).items():
                shelf.set(key, wrapped(key, value, self.marks))
            for key in gone:
                shelf.delete(key)
        # Only after the transaction: if it fails, the values wait for the next write.
        self._later.clear()

    def write_later(self, values: Mapping[str, bytes]) -> None:
        """Write values together with the next regular write.

        A build in which nothing changed writes nothing: these values only save time later, and are
        lost if this process writes nothing else.
        """
        self._later |= values

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make the reads and writes within the context one step for all other processes.

        Raises:
            ShelfError: The store cannot be written.
        """
        with self._writable().transaction():
            yield

    def use_overlay(self, error: ShelfError) -> None:
        """Keep in memory what cannot be written, from now on."""
        mark_if_malformed(self.folder, error)
        self.tell(
            f"the store {self.folder} cannot be written ({error});"
            " new results are kept for this build only"
        )
        self._overlay = self._overlay or MemoryShelf()

    def damaged(self, what: str) -> None:
        """Warn the user, once, about a damaged entry."""
        if not self._was_examined:
            self._was_examined = True
            # Once for each process, because the check reads the whole database.
            mark_if_malformed(self.folder)
        if what in self._told or len(self._told) > _TOLD_AT_MOST:
            return
        self._told.add(what)
        text = f"in the store {self.folder}: {one_line(what)}; it counts as absent"
        if len(self._told) > _TOLD_AT_MOST:
            text = f"in the store {self.folder}: more is damaged, and not listed here"
        self.tell(text)

    def tell(self, text: str) -> None:
        """Warn the user about the store."""
        self._notify(Notice(Topic.STORE, text))

    def inform(self, text: str) -> None:
        """Inform the user about the store, without a warning."""
        self._notify(Notice(Topic.STORE, text, is_information=True))

    def close(self) -> None:
        """Release the disk. The next use opens it again."""
        if self._shelf is not None:
            self._shelf.close()
            # A shelf in memory would lose what it holds.
            if not isinstance(self._shelf, MemoryShelf):
                self._shelf = None  # examined again when it is reopened

    def _collect(self, shelf: Shelf, keys: Iterable[str], found: dict[str, bytes]) -> None:
        for key, value in self._unwrapped(shelf.get_many(keys)):
            if isinstance(value, DamagedEntryError):
                # A reader reports missing content once, for the whole result.
                if not key.startswith("blob/"):
                    self.damaged(f"{key[:40]} {value}")
            else:
                found[key] = value

    def _collect_singly(self, keys: Iterable[str], found: dict[str, bytes]) -> None:
        """Read as much as possible from a malformed database, key by key."""
        for key in keys:
            if key not in found:
                with suppress(ShelfError):
                    self._collect(self._opened(), [key], found)

    def _unwrapped(
        self, values: Iterable[tuple[str, bytes | DamagedEntryError]]
    ) -> Iterator[tuple[str, bytes | DamagedEntryError]]:
        """Yield the contents of stored values, leaving out records of other accounts."""
        for key, value in values:
            if isinstance(value, DamagedEntryError):
                yield key, DamagedEntryError(f"cannot be read ({value})")
                continue
            try:
                content = unwrapped(key, value, self.marks)
            except BrokenChecksumError as error:
                yield key, DamagedEntryError(str(error))
                continue
            if content is not None:
                yield key, content

    def _writable(self) -> Shelf:
        return self._overlay if self._overlay is not None else self._opened()

    def _opened(self) -> Shelf:
        with self._opening:
            if self._shelf is None:
                if not self._was_opened:
                    self._warn_of_network()
                    if not (self.folder / DBNAME).exists():
                        self._explain_upgrade()
                self._shelf, trouble = open_shelf(self.folder, again=self._was_opened)
                self._was_opened = True
                if trouble is not None:
                    consequence = "; results are kept for this build only"
                    lasting = isinstance(self._shelf, MemoryShelf)
                    self.tell(trouble + (consequence if lasting else ""))
            return self._shelf

    def _warn_of_network(self) -> None:
        if kind := network_file_system(self.folder):
            self.tell(
                f"the store {self.folder} is on a network file system ({kind}), whose locks and"
                " databases may fail; keep it on a local disk, and share results by"
                f' nbcache_remote = "file://{self.folder.parent.as_posix()}-shared"'
            )

    def _explain_upgrade(self) -> None:
        if older := older_folders(self.folder):
            self.inform(
                f"the store has a new format, so every notebook runs once; results in"
                f" {older[-1]} are not used any more (`sphinx-nbcache cache prune` removes them)"
            )

    def __getstate__(self) -> dict[str, Any]:
        # A lock cannot be pickled.
        return {name: value for name, value in self.__dict__.items() if name != "_opening"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._opening = threading.RLock()


def batches(keys: Iterable[str]) -> Iterator[list[str]]:
    """Yield keys in groups, so that only one group of encoded values is in memory at a time."""
    every = iter(keys)
    while batch := list(islice(every, _BATCH)):
        yield batch


def encoded(record: Any) -> bytes:
    """Encode a record as JSON."""
    return msgspec.json.encode(record)
