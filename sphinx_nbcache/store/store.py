"""The store: persistent records of sources, runs, and notebooks. Damaged records read as absent."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from sphinx_nbcache.bounded import LARGEST_RECORD
from sphinx_nbcache.notebooks.scan import Scan
from sphinx_nbcache.notices import Notify
from sphinx_nbcache.results.artifacts import Artifact, MadeFile
from sphinx_nbcache.results.outputs import OutputsError, RunOutputs, pack, unpack
from sphinx_nbcache.results.records import (
    SCHEMA,
    History,
    Registration,
    Result,
    Status,
    Stored,
    content_digest,
    contradiction,
)
from sphinx_nbcache.store.access import Access, batches, encoded
from sphinx_nbcache.store.claims import Claims
from sphinx_nbcache.store.file_records import note_made
from sphinx_nbcache.store.marks import MARK_SIZE, NO_MARK, Marks
from sphinx_nbcache.store.opening import folder_name
from sphinx_nbcache.store.shelf import ShelfError
from sphinx_nbcache.traces.trace import Trace, decode_trace

# How many results one code key keeps, the newest first. The next result replaces a failed one.
_RESULTS_PER_KEY = 20
# Prefixes of the keys of scans and histories; a path relative to the root follows.
SCANS, HISTORIES = "scan/", "history/"
_NEXT_ID = "next-id"
# Numbers of this length may exceed 64 bits; a damaged one must not reach `int`.
_ID_DIGITS = 19
# Larger files are stored in pieces of this size: only one piece at a time is in memory.
PIECE = 1 << 23
_UNTRACED = Trace()

# A longer list is forged: it could name one large record a million times.
Entries = Annotated[list[Registration], msgspec.Meta(max_length=_RESULTS_PER_KEY)]
_Kind = TypeVar("_Kind")


class Store:
    """Records kept between builds, in a folder that may be deleted at any time.

    The folder is opened at first use. [](close) releases it, so that no open resource survives
    into forked processes; the next use, here or there, opens it again.

    Attributes:
        access: Reads and writes single records.

    Args:
        place: The folder that the store shares with other tools and other schemas.
        notify: Takes warnings about damage and failures.
    """

    def __init__(self, place: Path, notify: Notify) -> None:
        self.folder = place / folder_name(SCHEMA)
        self.access = Access(self.folder, notify, Marks(SCHEMA, notify))

    def claims(self) -> Claims:
        """Return claims for one runner of notebooks; each runner needs claims of its own."""
        return Claims(self.folder / "locks")

    # -- scans and history

    def scans(self, paths: Iterable[str]) -> dict[str, Scan]:
        """Return the remembered scans of source files, by path relative to the root."""
        return self._by_path(SCANS, paths, Scan)

    def histories(self, paths: Iterable[str]) -> dict[str, History]:
        """Return the last known states of notebooks, by path relative to the root."""
        return self._by_path(HISTORIES, paths, History)

    def keep(self, scans: Mapping[str, Scan], histories: Mapping[str, History]) -> None:
        """Remember scans and histories, by path relative to the root, in one transaction.

        A failure costs only time: the next build reads the sources again. It causes no warning, for
        the sake of builds that turn warnings into errors.
        """
        records: dict[str, Scan | History] = {SCANS + path: scan for path, scan in scans.items()}
        records |= {HISTORIES + path: history for path, history in histories.items()}
        if records:
            with suppress(ShelfError):
                self.access.write({key: encoded(record) for key, record in records.items()})

    def keep_later(self, scans: Mapping[str, Scan]) -> None:
        """Remember scans that equal the previous ones, together with the next regular write."""
        self.access.write_later({SCANS + path: encoded(scan) for path, scan in scans.items()})

    # -- results

    def results(self, code_key: str) -> list[Stored]:
        """Return the results under a code key, the newest first."""
        return self.results_of([code_key])[code_key]

    def results_of(self, code_keys: Iterable[str]) -> dict[str, list[Stored]]:
        """Return the results under each of several code keys, the newest first."""
        found: dict[str, list[Stored]] = {}
        for batch in batches(code_keys):
            found |= self._results_of(batch)
        return found

    def _results_of(self, code_keys: Iterable[str]) -> dict[str, list[Stored]]:
        keys = {f"results/{code_key}": code_key for code_key in code_keys}
        found: dict[str, list[Stored]] = {}
        lists, records = self._lists(keys)
        for key, code_key in keys.items():
            entries = lists.get(key, [])
            found[code_key] = [
                msgspec.structs.replace(stored, id=entry.id)
                for entry in entries
                if (stored := self._checked(entry.digest, records)) is not None
                # A list can be forged to name the results of other code.
                and stored.result.code_key == code_key
            ]
            whole = {stored.digest for stored in found[code_key]}
            if damaged := {entry.digest for entry in entries} - whole:
                self._drop_damaged(key, damaged)
        return found

    def _lists(self, keys: Iterable[str]) -> tuple[dict[str, list[Registration]], dict[str, bytes]]:
        """Return the lists under some keys, and the records of results that they name."""
        lists, records = self._read_lists(keys)
        if _are_complete(lists, records):
            return lists, records
        # Another build may have replaced a result after the list was read, and before its record
        # was. In a store that cannot be written, nothing is replaced.
        with suppress(ShelfError), self.access.transaction():
            return self._read_lists(keys)
        return lists, records

    def _read_lists(
        self, keys: Iterable[str]
    ) -> tuple[dict[str, list[Registration]], dict[str, bytes]]:
        lists = self.access.read_many(keys, Entries)
        digests = [entry.digest for entries in lists.values() for entry in entries]
        return lists, self.access.get_many(f"result/{digest}" for digest in digests)

    def all_results(self) -> list[Stored]:
        """Return all results in the order of their creation."""
        keys = [key.removeprefix("results/") for key in self.access.keys("results/")]
        found = [stored for results in self.results_of(keys).values() for stored in results]
        # By id, not by time: clocks of machines that share a store differ.
        return sorted(found, key=lambda stored: stored.id)

    def outputs(self, result: Result) -> RunOutputs:
        """Return the outputs of a result.

        Raises:
            OutputsError: The outputs, or some of their parts, are missing or damaged.
        """
        outputs = unpack(self.blob(result.outputs), self.blob)
        if len(outputs.cells) != len(result.cells):
            raise OutputsError("outputs of another number of cells")
        return outputs

    def missing_outputs(self, result: Result) -> str | None:
        """Return, and report, what is wrong with a result's outputs; `None` if nothing is."""
        try:
            self.outputs(result)
        except OutputsError as error:
            self.access.damaged(f"result {result.render_id[:12]} of {result.notebook}: {error}")
            return str(error)
        return None

    def records(self, digests: Iterable[str]) -> dict[str, Stored]:
        """Return the results that exist, by digest. Their ids are not looked up."""
        found = self.access.get_many(f"result/{digest}" for digest in digests)
        names = (key.removeprefix("result/") for key in found)
        return {n: stored for n in names if (stored := self._checked(n, found)) is not None}

    def traces(self, results: Iterable[Result]) -> dict[str, Trace]:
        """Return the traces of results, by digest. Damaged traces are left out."""
        wanted = {result.trace for result in results if result.trace}
        found: dict[str, Trace] = {}
        for key, content in self.access.get_many(f"blob/{digest}" for digest in wanted).items():
            digest = key.removeprefix("blob/")
            if content_digest(content) != digest:
                self.access.damaged(f"trace {digest[:12]} is not what was written")
            elif (trace := self.access.decoded(key, content, Trace, decode_trace)) is not None:
                found[digest] = trace.listing_secrets(self.access.marks.variable_key)
        return found

    def blob(self, digest: str) -> bytes:
        """Return a content that a result refers to, such as an image or an artifact.

        Raises:
            OutputsError: The content is missing or damaged.
        """
        content = self.access.get(f"blob/{digest}")
        if content is None:
            raise OutputsError(f"output {digest[:12]} is missing")
        if content_digest(content) != digest:
            raise OutputsError(f"output {digest[:12]} is not what was written")
        return content

    def content(self, artifact: Artifact) -> Iterator[bytes]:
        """Yield the content of an artifact, piece by piece.

        Raises:
            OutputsError: A part is missing or damaged; that may show only at the end.
        """
        whole, left = hashlib.sha256(), artifact.size
        for digest in artifact.blobs:
            piece = self.blob(digest)
            left -= len(piece)
            # A record can name one blob a million times, so the size is checked after every piece.
            if left < 0 or (left and len(piece) != PIECE):
                raise OutputsError(f"file {artifact.digest[:12]} has not the size that it says")
            whole.update(piece)
            yield piece
        if left or whole.hexdigest() != artifact.digest:
            raise OutputsError(f"file {artifact.digest[:12]} is not what was written")

    def commit(  # noqa: PLR0913 (what belongs to a result)
        self,
        result: Result,
        outputs: RunOutputs,
        files: Iterable[MadeFile] = (),
        sources: Sequence[str] = (),
        trace: Trace = _UNTRACED,
        *,
        checkout: str = "",
    ) -> Stored:
        """Remember a result with its outputs. It can be found once everything is written.

        Args:
            result: The result. References to its contents are filled in here.
            outputs: The outputs of the run.
            files: The files that it created.
            sources: The sources of its code cells that have code.
            trace: Its dependencies, as far as they are known.
            checkout: The checkout where a run of this account just created it (see `checkout_id`):
                only then it is marked. A result from elsewhere never is.
        """
        try:
            with self.access.transaction():
                return self._commit(result, outputs, files, sources, trace, checkout)
        except ShelfError as error:
            self.access.use_overlay(error)
            # The transaction was rolled back, contents included: everything is written once more.
            return self._commit(result, outputs, files, sources, trace, checkout)

    def accept(self, result: Result, record: bytes, contents: Mapping[str, bytes]) -> Stored:
        """Add a result that another store had, with all its contents. It is not marked.

        It comes after those that are here: where several hold, a page does not change. If this
        store has it, only contents that are missing or damaged are written.

        Args:
            result: The result.
            record: Its record.
            contents: Its contents, the trace included, by digest.

        Raises:
            ShelfError: The store cannot be written.
        """
        digest = content_digest(record)
        with self.access.transaction():
            self._keep_blobs(contents)
            here = self.results(result.code_key)
            if known := next((stored for stored in here if stored.digest == digest), None):
                return known
            listed = [Registration(stored.id, stored.digest) for stored in here]
            before, dropped = listed[: _RESULTS_PER_KEY - 1], listed[_RESULTS_PER_KEY - 1 :]
            number = self._register(result, digest, NO_MARK + record, (before, ()), dropped)
        return Stored(number, digest, result)

    def remove(self, results: Iterable[Stored]) -> None:
        """Forget results. [](collect_blobs) removes contents that no other result refers to.

        Raises:
            ShelfError: The store cannot be written.
        """
        by_key: dict[str, set[str]] = {}
        for stored in results:
            by_key.setdefault(f"results/{stored.result.code_key}", set()).add(stored.digest)
        with self.access.transaction():
            # Read inside the transaction, or a result that another build adds meanwhile would be
            # lost.
            lists = self.access.read_many(by_key, Entries)
            changed: dict[str, bytes] = {}
            gone = [f"result/{digest}" for digests in by_key.values() for digest in digests]
            for key, digests in by_key.items():
                left = [entry for entry in lists.get(key, []) if entry.digest not in digests]
                if left:
                    changed[key] = encoded(left)
                else:
                    gone.append(key)
            self.access.write(changed, gone)

    def close(self) -> None:
        """Release the disk."""
        self.access.close()

    def _by_path(self, prefix: str, paths: Iterable[str], kind: type[_Kind]) -> dict[str, _Kind]:
        keys = [prefix + path for path in paths]
        found = self.access.read_many(keys, kind)
        return {key.removeprefix(prefix): record for key, record in found.items()}

    def _checked(self, digest: str, records: Mapping[str, bytes]) -> Stored | None:
        kept = records.get(f"result/{digest}")
        if kept is None:
            self.access.damaged(f"result {digest[:12]} is missing")
            return None
        mark, record = kept[:MARK_SIZE], kept[MARK_SIZE:]
        if content_digest(record) != digest:
            self.access.damaged(f"result {digest[:12]} is not what was written")
            return None
        key = f"result/{digest}"
        result = self.access.decoded(key, record, Result)
        if result is None:
            return None
        if fault := contradiction(result, record):
            self.access.damaged(f"result {digest[:12]} cannot be used: {fault}")
            return None
        return Stored(0, digest, result, self.access.marks.is_ours(mark, key, record))

    def _drop_damaged(self, key: str, damaged: Container[str]) -> None:
        """Remove damaged results from a list: the next build must not find them again."""
        # A reader of a store that cannot be written sees the same list, and warns again.
        with suppress(ShelfError), self.access.transaction():
            # Read again, or a result that another build has added meanwhile would be lost.
            entries = self.access.read(key, Entries) or []
            left = [entry for entry in entries if entry.digest not in damaged]
            self.access.write({key: encoded(left)})

    def _commit(  # noqa: PLR0913, PLR0917 (as above)
        self,
        result: Result,
        outputs: RunOutputs,
        files: Iterable[MadeFile],
        sources: Sequence[str],
        trace: Trace,
        checkout: str,
    ) -> Stored:
        """Write a result and all its contents in one transaction, so that none can be lost."""
        packed, blobs = pack(outputs)
        listed, traced = encoded(sources), _encoded(trace)
        for content in (packed, listed, traced):
            blobs[content_digest(content)] = content
        artifacts = tuple(self._keep_files(files, result))
        self._keep_blobs(blobs)
        result = msgspec.structs.replace(
            result,
            outputs=content_digest(packed),
            sources=content_digest(listed),
            trace=content_digest(traced),
            artifacts=artifacts,
            bytes=sum(map(len, blobs.values())) + sum(a.size for a in artifacts),
            blobs=tuple(sorted({*blobs, *(blob for a in artifacts for blob in a.blobs)})),
        )
        if checkout and not result.temporary:
            # A file that was not seen being written may be another process's, or the user's.
            seen = {a.path: a.digest for a in artifacts if not a.inferred}
            note_made(self.access, seen, checkout)
        record = encoded(result)
        digest = content_digest(record)
        mark = self.access.marks.of(f"result/{digest}", record) if checkout else NO_MARK
        staying, dropped = self._make_room(result)
        number = self._register(result, digest, mark + record, ((), staying), dropped)
        if all(entry.digest != digest for entry in self.results(result.code_key)):
            # For example, a bit was flipped in the definition of the table.
            # The cause makes `is_damage` say yes, so that the next build starts with a new store.
            raise ShelfError("it does not keep what is written") from sqlite3.DatabaseError()
        return Stored(number, digest, result, is_marked=bool(checkout))

    def _register(
        self,
        result: Result,
        digest: str,
        kept: bytes,
        others: tuple[Sequence[Registration], Sequence[Registration]],
        dropped: Iterable[Registration],
    ) -> int:
        """Write a record, and put it into the list of its code key; return its number.

        Args:
            result: The result.
            digest: Its digest.
            kept: The mark and the record.
            others: The other results of the list: those before it, and those after it.
            dropped: The results that leave the list.
        """
        number = _number(self.access.get(_NEXT_ID)) or 1
        before, after = others
        self.access.write(
            {
                _NEXT_ID: str(number + 1).encode(),
                f"result/{digest}": kept,
                f"results/{result.code_key}": encoded(
                    [*before, Registration(number, digest), *after]
                ),
            },
            gone=[f"result/{entry.digest}" for entry in dropped],
        )
        return number

    def _keep_blobs(self, blobs: Mapping[str, bytes]) -> None:
        """Write contents; skip those that are already stored undamaged."""
        missing = {}
        for digest, content in blobs.items():
            key = f"blob/{digest}"
            # Compare contents, not keys: a damaged blob is replaced here.
            if self.access.get(key) != content:
                missing[key] = content
        self.access.write(missing)

    def _keep_files(self, files: Iterable[MadeFile], result: Result) -> Iterable[Artifact]:
        """Write the contents of files; warn about files that cannot be kept."""
        for file in files:
            try:
                yield self._keep_file(file)
            except (OSError, ValueError) as error:
                self.access.tell(
                    f"a file that {result.notebook} wrote, {file.path!r}, is not kept: {error}"
                )

    def _keep_file(self, file: MadeFile) -> Artifact:
        """Write the content of a file, piece by piece.

        Raises:
            OSError: The file cannot be read.
            ValueError: The file has changed, or has a path that cannot be kept.
        """
        Artifact(file.path, "", 0, file.mode)  # validated before anything is written
        digests: list[str] = []
        whole, size = hashlib.sha256(), 0
        with Path(file.kept_in).open("rb") as source:
            # An empty file has one empty piece.
            while (piece := source.read(PIECE)) or not digests:
                whole.update(piece)
                size += len(piece)
                digests.append(content_digest(piece))
                self._keep_blobs({digests[-1]: piece})
        digest = whole.hexdigest()
        # A process that the notebook left running may still write to it.
        if file.digest not in (None, digest):
            raise ValueError("it changed right after the run")
        pieces = tuple(digests) if len(digests) > 1 else ()
        return Artifact(
            file.path, digest, size, file.mode, file.created, pieces, inferred=file.inferred
        )

    def _make_room(self, result: Result) -> tuple[list[Registration], list[Registration]]:
        """Split the results under a key into those that stay next to a new one, and the rest."""
        kept: list[Registration] = []
        dropped: list[Registration] = []
        for stored in self.results(result.code_key):
            stays = stored.result.status is Status.OK and len(kept) < _RESULTS_PER_KEY - 1
            (kept if stays else dropped).append(Registration(stored.id, stored.digest))
        return kept, dropped


def _are_complete(lists: Mapping[str, Iterable[Registration]], records: Container[str]) -> bool:
    entries = (entry for entries in lists.values() for entry in entries)
    return all(f"result/{entry.digest}" in records for entry in entries)


def _encoded(trace: Trace) -> bytes:
    """Return the JSON of a trace; for a trace too large to read back, of one that says so."""
    content = encoded(trace)
    if len(content) <= LARGEST_RECORD:
        return content
    return encoded(Trace(unreliable="what it depends on is more than the store keeps"))


def _number(text: bytes | None) -> int | None:
    """Return the next id, unless the text is not a valid one."""
    plausible = text is not None and len(text) < _ID_DIGITS and text.isdigit()
    return int(text) if text is not None and plausible else None
