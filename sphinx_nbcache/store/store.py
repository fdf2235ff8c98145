"""The store: typed records over a shelf. Whatever is damaged reads as absent, with a notice."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from sphinx_nbcache.notebooks.scan import Scan
from sphinx_nbcache.notices import Notice, Notify, Topic
from sphinx_nbcache.store.claims import Claims
from sphinx_nbcache.store.opening import mark_if_malformed, open_shelf
from sphinx_nbcache.store.outputs import OutputsError, RunOutputs, pack, unpack
from sphinx_nbcache.store.records import (
    SCHEMA,
    Entry,
    History,
    Result,
    Status,
    Stored,
    content_digest,
)
from sphinx_nbcache.store.seal import sealed, unsealed
from sphinx_nbcache.store.shelf import DamagedEntryError, MemoryShelf, Shelf, ShelfError

# How many results one code key keeps, the newest first. A failed one gives way to the next.
_RESULTS_PER_KEY = 20
_NEXT_ID = "next-id"
_ID_DIGITS = 19
# How many things that are damaged are listed one by one.
_TOLD_AT_MOST = 10

_Record = TypeVar("_Record")


class Store:
    """What is remembered between builds, in a folder that may be deleted at any time.

    The folder is opened at first use. [](close) lets go of it, so that nothing open survives
    into forked processes; the next use, there or here, opens it again.

    Args:
        place: The folder that the store shares with other tools and other schemas.
        notify: Takes the warnings about damage and trouble.
    """

    def __init__(self, place: Path, notify: Notify) -> None:
        self.folder = place / f"nbcache-{SCHEMA}"
        self.claims = Claims(self.folder / "locks")
        self._notify = notify
        self._shelf: Shelf | None = None
        # Takes over, for writing, when the disk cannot be written; it is read first.
        self._overlay: MemoryShelf | None = None
        self._told: set[str] = set()
        self._was_opened = self._was_examined = False

    # -- scans and history

    def scan(self, path: str) -> Scan | None:
        """Return the remembered scan of a source file."""
        return self._read(f"scan/{path}", Scan)

    def history(self, path: str) -> History | None:
        """Return what a notebook last was."""
        return self._read(f"history/{path}", History)

    def keep(self, scans: dict[str, Scan], histories: dict[str, History]) -> None:
        """Remember scans and histories, by path relative to the root, in one transaction.

        If that fails, nothing is lost but time: the next build reads the sources again. So it
        is no warning, for the sake of builds that turn warnings into errors.
        """
        records: dict[str, Scan | History] = {f"scan/{path}": scan for path, scan in scans.items()}
        records |= {f"history/{path}": history for path, history in histories.items()}
        if records:
            encoded = {key: msgspec.json.encode(record) for key, record in records.items()}
            with suppress(ShelfError):
                self._write(encoded)

    # -- results

    def results(self, code_key: str) -> list[Stored]:
        """Return the results under a code key, the newest first."""
        entries = self._entries(code_key)
        found = []
        for entry in entries:
            result = self._checked_result(entry.digest)
            if result is not None and result.code_key == code_key:
                found.append(Stored(entry.id, entry.digest, result))
        if len(found) < len(entries):
            # Told once: the next build must not find the same damage.
            whole = [Entry(stored.id, stored.digest) for stored in found]
            with suppress(ShelfError):
                self._write({f"results/{code_key}": msgspec.json.encode(whole)})
        return found

    def outputs(self, result: Result) -> RunOutputs:
        """Return the outputs of a result.

        Raises:
            OutputsError: They, or one of their parts, are missing or damaged.
        """
        return unpack(self._blob(result.outputs), self._blob)

    def missing_outputs(self, result: Result) -> str | None:
        """Say, to the user as well, what is wrong with a result's outputs; `None`: nothing."""
        try:
            self.outputs(result)
        except OutputsError as error:
            self._damaged(f"result {result.render_id[:12]} of {result.notebook}: {error}")
            return str(error)
        return None

    def commit(self, result: Result, outputs: RunOutputs) -> Stored:
        """Remember a result, with its outputs. It is found once everything is written.

        `result.outputs` is filled in here.
        """
        packed, blobs = pack(outputs)
        blobs[digest := content_digest(packed)] = packed
        result = msgspec.structs.replace(result, outputs=digest)
        encoded = msgspec.json.encode(result)
        # Blobs first: should the process be killed here, nothing refers to what is missing.
        stored = Stored(0, content_digest(encoded), result)
        values = {f"blob/{name}": content for name, content in blobs.items()}
        try:
            self._write(values, once=True)
            with self._writable().transaction():
                return self._list_result(stored, encoded)
        except ShelfError as error:
            self._use_overlay(error)
            self._write(values)
            return self._list_result(stored, encoded)

    def close(self) -> None:
        """Let go of the disk, and of every claim."""
        self.claims.release_all()
        if self._shelf is not None:
            self._shelf.close()
            if not isinstance(self._shelf, MemoryShelf):
                self._shelf = None  # to be looked at afresh when it is opened again

    # -- the shelf, and what to do when it fails

    def _list_result(self, stored: Stored, encoded: bytes) -> Stored:
        key = f"results/{stored.result.code_key}"
        shelf = self._writable()
        number = _number(self._get(_NEXT_ID)) or 1
        kept, dropped = self._make_room(stored.result)
        entries = [Entry(number, stored.digest), *kept]
        values = {
            _NEXT_ID: str(number + 1).encode(),
            f"result/{stored.digest}": encoded,
            key: msgspec.json.encode(entries),
        }
        for name, value in values.items():
            shelf.set(name, sealed(name, value))
        for entry in dropped:
            shelf.delete(f"result/{entry.digest}")
        if all(entry.digest != stored.digest for entry in self.results(stored.result.code_key)):
            # Such as where a bit was flipped in the definition of its table.
            raise ShelfError("it does not keep what is written") from sqlite3.DatabaseError()
        return msgspec.structs.replace(stored, id=number)

    def _make_room(self, result: Result) -> tuple[list[Entry], list[Entry]]:
        """Split the results under a key into those that stay beside a new one, and the rest."""
        kept: list[Entry] = []
        dropped: list[Entry] = []
        for stored in self.results(result.code_key):
            stays = stored.result.status is Status.OK and len(kept) < _RESULTS_PER_KEY - 1
            (kept if stays else dropped).append(Entry(stored.id, stored.digest))
        return kept, dropped

    def _entries(self, code_key: str) -> list[Entry]:
        return self._read(f"results/{code_key}", list[Entry]) or []

    def _checked_result(self, digest: str) -> Result | None:
        encoded = self._get(f"result/{digest}")
        if encoded is None:
            self._damaged(f"result {digest[:12]} is missing")
            return None
        if content_digest(encoded) != digest:
            self._damaged(f"result {digest[:12]} is not what was written")
            return None
        return self._decoded(f"result/{digest}", encoded, Result)

    def _blob(self, digest: str) -> bytes:
        content = self._get(f"blob/{digest}")
        if content is None:
            raise OutputsError(f"output {digest[:12]} is missing")
        if content_digest(content) != digest:
            raise OutputsError(f"output {digest[:12]} is not what was written")
        return content

    def _read(self, key: str, kind: type[_Record]) -> _Record | None:
        encoded = self._get(key)
        return None if encoded is None else self._decoded(key, encoded, kind)

    def _decoded(self, key: str, encoded: bytes, kind: type[_Record]) -> _Record | None:
        try:
            return msgspec.json.decode(encoded, type=kind)
        except (ValueError, RecursionError) as error:
            self._damaged(f"{key[:40]} cannot be read ({error})")
            return None

    def _get(self, key: str) -> bytes | None:
        kept = self._kept(key)
        if kept is None:
            return None
        content = unsealed(key, kept)
        if content is None:
            self._damaged(f"{key[:40]} is not what was written")
        return content

    def _kept(self, key: str) -> bytes | None:
        if self._overlay is not None and (kept := self._overlay.get(key)) is not None:
            return kept
        try:
            return self._opened().get(key)
        except DamagedEntryError as error:
            self._damaged(f"{key[:40]} cannot be read ({error})")
        except ShelfError as error:
            self._damaged(str(error))
        return None

    def _write(self, values: dict[str, bytes], *, once: bool = False) -> None:
        """Write values in one transaction; `once`: those that are there already are left.

        Raises:
            ShelfError: They cannot be written.
        """
        shelf = self._writable()
        with shelf.transaction():
            for key, value in values.items():
                if not (once and self._get(key) == value):
                    shelf.set(key, sealed(key, value))

    def _writable(self) -> Shelf:
        return self._overlay if self._overlay is not None else self._opened()

    def _opened(self) -> Shelf:
        if self._shelf is None:
            self._shelf, trouble = open_shelf(self.folder, again=self._was_opened)
            self._was_opened = True
            if trouble is not None:
                consequence = "; results are kept for this build only"
                lasting = isinstance(self._shelf, MemoryShelf)
                self._notify(Notice(Topic.STORE, trouble + (consequence if lasting else "")))
        return self._shelf

    def _use_overlay(self, error: ShelfError) -> None:
        """From now on, keep in memory what cannot be written."""
        mark_if_malformed(self.folder, error)
        self._notify(
            Notice(
                Topic.STORE,
                f"the store {self.folder} cannot be written ({error});"
                " new results are kept for this build only",
            )
        )
        self._overlay = self._overlay or MemoryShelf()

    def _damaged(self, what: str) -> None:
        self._look_for_more()
        if what in self._told or len(self._told) > _TOLD_AT_MOST:
            return
        self._told.add(what)
        text = f"in the store {self.folder}: {what}; it counts as absent"
        if len(self._told) > _TOLD_AT_MOST:
            text = f"in the store {self.folder}: more is damaged, and not listed here"
        self._notify(Notice(Topic.STORE, text))

    def _look_for_more(self) -> None:
        if not self._was_examined:
            self._was_examined = True
            mark_if_malformed(self.folder)


def _number(encoded: bytes | None) -> int | None:
    """Return the next id, unless what stands there can be none."""
    plausible = encoded is not None and len(encoded) < _ID_DIGITS and encoded.isdigit()
    return int(encoded) if encoded is not None and plausible else None
