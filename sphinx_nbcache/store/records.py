"""The records of the store: msgspec structs, as JSON on the disk.

`SCHEMA` stands in the name of the store's folder. It must be raised whenever a record, the
code key, or what a reader makes of a source changes in a way that old records do not tell.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Annotated

import msgspec

from sphinx_nbcache.bounded import (
    Count,
    Digest,
    Id,
    Json,
    Limit,
    Many,
    MaybeDigest,
    Moment,
    Name,
    PerCell,
    Position,
    Seconds,
    ShortDigest,
    State,
    Text,
    Time,
    is_deep,
)
from sphinx_nbcache.notebooks.assets import is_inner_path
from sphinx_nbcache.store.artifacts import Artifact

SCHEMA = 2

# Cells are told apart by their *position*: counted from 0, among the code cells that have code.
# It follows from the code key. The *number* that readers see counts the blank ones as well, so
# two notebooks with one code key may number their cells differently.


class Status(StrEnum):
    """How a run ended."""

    OK = "ok"
    """Every cell was run; exceptions came only from cells that may raise."""
    FAILED = "failed"
    """A cell raised an exception, or the kernel could not be started."""
    TIMEOUT = "timeout"
    """A cell took longer than it may."""
    DIED = "died"
    """The kernel died."""


class Promise(msgspec.Struct, frozen=True, array_like=True):
    """What a cell is to raise, as its metadata say."""

    position: Position
    """Position of the cell."""
    exceptions: Annotated[tuple[Name, ...], PerCell]
    """Names of classes: an exception of one of them, or of one derived from it."""


class Rules(msgspec.Struct, frozen=True):
    """Acceptance rules: what a notebook allows a run to do."""

    timeout: Limit | None = None
    """Seconds a cell may take."""
    allow_errors: bool = False
    raising: Annotated[tuple[Position, ...], PerCell] = ()
    """Positions of the cells tagged `raises-exception`."""
    notebook_timeout: Limit | None = None
    """Seconds the whole notebook may take."""
    output_limit: Limit | None = None
    """Megabytes a cell may put out."""
    notebook_output_limit: Limit | None = None
    """Megabytes the whole notebook may put out."""
    promises: Annotated[tuple[Promise, ...], PerCell] = ()
    """The cells that are to raise certain exceptions. Of these, only that counts."""
    retries: Count = 0
    """How often a run that failed is begun anew."""

    def promised_at(self, position: int) -> tuple[str, ...]:
        """Return what the cell at that position is to raise; nothing if its metadata say none."""
        return next((p.exceptions for p in self.promises if p.position == position), ())

    def allows_error_at(self, position: int) -> bool:
        """Tell whether the cell at that position may raise an exception of any kind."""
        if self.promises and self.promised_at(position):
            return False
        return self.allow_errors or position in self.raising

    def allows(self, position: int, classes: Collection[str]) -> bool:
        """Tell whether the cell at that position may raise an exception of these classes."""
        promised = self.promised_at(position) if self.promises else ()
        return self.allows_error_at(position) or not set(promised).isdisjoint(classes)


class CellRun(msgspec.Struct, frozen=True):
    """What a run did with one code cell that has code, in the order of the notebook."""

    digest: State
    """Digest of the source that was run."""
    execution_count: Count | None = None
    """`None` if the cell was not run."""
    seconds: Seconds | None = None
    error: Name | None = None
    """Name of the exception that the cell raised."""
    bases: Annotated[tuple[Name, ...], PerCell] = ()
    """Names of the classes from which that exception is derived, if they had to be known."""

    @property
    def was_run(self) -> bool:
        """Whether the cell was run, to its end or not."""
        return self.seconds is not None or self.execution_count is not None


class Failure(msgspec.Struct, frozen=True):
    """Why a run did not end well."""

    name: Name
    """Name of the exception, such as `ValueError` or `CellTimeoutError`."""
    message: Text
    traceback: Text
    """As the kernel sent it, with ANSI colours; a plain text where there was none."""
    position: Position | None = None
    """Position of the code cell, if it is one cell's fault."""

    @property
    def headline(self) -> str:
        """The failure in one line, such as `ValueError: no such column`."""
        first = self.message.strip().splitlines()[0] if self.message.strip() else ""
        return f"{self.name}: {first}" if first else self.name


class Result(msgspec.Struct, frozen=True):
    """What the store remembers of one run under a code key."""

    code_key: Digest
    status: Status
    rules: Rules
    cells: Annotated[tuple[CellRun, ...], PerCell]
    outputs: MaybeDigest
    """Digest of the blob that holds the outputs (see [](sphinx_nbcache.store.outputs))."""
    render_id: ShortDigest
    """Digest of what a page shows of the result."""
    kernel: Name
    """Name of the kernel that ran it."""
    language_info: Json
    started: Time
    """Seconds since the epoch, UTC."""
    seconds: Seconds
    executor: Name
    notebook: Name
    """The notebook that was run, as a path relative to the root."""
    failure: Failure | None = None
    sources: MaybeDigest = ""
    """Digest of the blob that holds the sources of the cells, a JSON list."""
    blobs: Annotated[tuple[State, ...], Many] = ()
    """Digests of all blobs that belong to the result."""
    bytes: Count = 0
    """How large they are together."""
    artifacts: Annotated[tuple[Artifact, ...], Many] = ()
    """What the run created or changed: under the root, or in its temporary folder."""
    trace: MaybeDigest = ""
    """Digest of the blob that holds what it depended on."""
    temporary: bool = False
    """Whether it was run in a temporary folder: then artifacts stay in the store."""
    peak_memory: Count | None = None
    """The most memory that the kernel used, in bytes, if it was measured."""
    retried: Annotated[tuple[Failure, ...], PerCell] = ()
    """Why earlier attempts of the same run failed, without their tracebacks."""

    @property
    def finished(self) -> float:
        """When the run ended: seconds since the epoch, UTC."""
        return self.started + self.seconds


class Stored(msgspec.Struct, frozen=True):
    """A result as the store has it."""

    id: int
    """A small integer, local to the store and never reused; 0 if it was not looked up."""
    digest: str
    """The SHA-256 of the record, in hexadecimal."""
    result: Result
    is_marked: bool = False
    """Whether a run of this account made it. Else it serves pages, but it is not trusted with
    files (see `docs/explanation/security.md`)."""


class HistoryCell(msgspec.Struct, frozen=True, array_like=True):
    """A code cell as the reader last saw it."""

    number: Position
    digest: State
    skipped: bool


class PastRun(msgspec.Struct, frozen=True, array_like=True):
    """A run of a notebook, as it is remembered when its result may have gone."""

    started: Time
    """Seconds since the epoch, UTC."""
    seconds: Seconds
    status: Status
    reason: Text = ""
    """Why it was run; empty if that was not for this store to decide."""


class History(msgspec.Struct, frozen=True):
    """What a notebook last was, and the result that its page last showed."""

    result: Digest
    """Digest of the result."""
    kernel: Name
    language: Name
    directory: Name
    cells: Annotated[tuple[HistoryCell, ...], PerCell]
    temporary: bool = False
    assets: Annotated[tuple[Name, ...], Many] = ()
    arguments: Annotated[tuple[Name, ...], Many] = ()
    runs: Annotated[tuple[PastRun, ...], PerCell] = ()
    """Its last runs, also of other code, the oldest first."""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One line of the list of results under a code key."""

    id: Id
    digest: Digest


class Registered(msgspec.Struct, frozen=True):
    """A notebook of the project, in the list that the store keeps."""

    id: Count
    """Local to the store, and never given to another notebook."""
    name: Name
    """Path relative to the root, POSIX."""
    reader: Name = ""
    """The reader that was named for it; empty if its suffix tells."""
    assets: Annotated[tuple[Name, ...], Many] = ()
    """Files that it needs, as paths relative to its folder."""
    added: Time = 0.0
    """When it was added: seconds since the epoch, UTC."""
    by_build: bool = False
    """Whether a build found it among its documents, rather than a user having added it."""

    def __post_init__(self) -> None:
        parts = self.name.split("/")
        if "\0" in self.name or "" in parts[1:] or not {".", ".."}.isdisjoint(parts):
            raise ValueError(f"a notebook with the name {self.name!r:.200}")
        if self.assets and not all(map(is_inner_path, self.assets)):
            raise ValueError(f"assets out of the folder of the notebook: {self.assets!r:.200}")


class Roll(msgspec.Struct, frozen=True):
    """The list of the project's notebooks."""

    next_id: Id = 1
    notebooks: Annotated[tuple[Registered, ...], Many] = ()
    executor: Name = ""
    """The executor that was chosen for them, where no `conf.py` says which; empty if none was."""


Sources = Annotated[list[str], PerCell]
"""The sources of code cells, as a blob has them."""


MISSING_KEY = "missing"


class Missing(msgspec.Struct, frozen=True):
    """What the store remembers of files that were missing when they were last looked for."""

    looked: Annotated[dict[Name, Moment], Many]
    """When they were, by checkout."""
    since: Annotated[dict[Name, Moment], Many]
    """When each was missed first, by the key of its record."""


class Limits(msgspec.Struct, frozen=True):
    """How much the store keeps. What was not used for the longest time goes first."""

    count: Id | None = 10_000
    """Results; `None` for no limit."""
    size: Id | None = 4 * 2**30
    """Bytes on the disk; `None` for no limit."""


def contradiction(result: Result, encoded: bytes) -> str:
    """Return what does not fit together in a result of a store; empty if all does.

    Args:
        result: The result.
        encoded: The JSON that it was decoded from.
    """
    if is_deep(result.language_info, encoded):
        return "what it says of its language is nested too deep"
    if any(position >= len(result.cells) for position in _positions(result)):
        return "it names a cell that it does not have"
    blobs = result.blobs
    if result.outputs not in blobs or result.sources not in blobs or result.trace not in blobs:
        return "it names a content that is not among its contents"
    return _contradiction_of_files(result) if result.artifacts else ""


def _positions(result: Result) -> Iterable[int]:
    rules, failures = result.rules, (result.failure, *result.retried)
    if not rules.raising and not rules.promises and failures == (None,):
        return ()  # what most results are like
    failed = (f.position for f in failures if f is not None and f.position is not None)
    return (*rules.raising, *(promise.position for promise in rules.promises), *failed)


def _contradiction_of_files(result: Result) -> str:
    if not {blob for file in result.artifacts for blob in file.blobs}.issubset(result.blobs):
        return "it names a file that is not among its contents"
    if len({file.path for file in result.artifacts}) < len(result.artifacts):
        return "it has two files of one path"
    return ""


def content_digest(content: bytes) -> str:
    """Return the name of a piece of content: its SHA-256, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
