"""The records of the store: msgspec structs, stored as JSON.

`SCHEMA` is part of the name of the store's directory. Increase it whenever a record, the code key,
or a reader's interpretation of a source changes in a way that old records do not show.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any

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
from sphinx_nbcache.files.paths import is_inner_path
from sphinx_nbcache.results.artifacts import Artifact
from sphinx_nbcache.text import first_line

SCHEMA = 2

# Records identify a cell by its *position*: its index among the code cells with code, from 0. The
# code key determines it. The *number* shown to users also counts blank cells, so two notebooks with
# the same code key may number their cells differently.


class Status(StrEnum):
    """How a run ended."""

    OK = "ok"
    """All cells were run; only cells that may raise raised exceptions."""
    FAILED = "failed"
    """A cell raised an exception, or the kernel could not be started."""
    TIMEOUT = "timeout"
    """A cell exceeded its time limit."""
    DIED = "died"
    """The kernel died."""


class Promise(msgspec.Struct, frozen=True, array_like=True):
    """The exceptions that a cell is expected to raise according to its metadata."""

    position: Position
    """Position of the cell."""
    exceptions: Annotated[tuple[Name, ...], PerCell]
    """Names of exception classes; subclasses match as well."""


class Rules(msgspec.Struct, frozen=True):
    """The acceptance rules of a notebook for its runs."""

    timeout: Limit | None = None
    """Seconds that a cell may take."""
    allow_errors: bool = False
    raising: Annotated[tuple[Position, ...], PerCell] = ()
    """Positions of the cells tagged `raises-exception`."""
    notebook_timeout: Limit | None = None
    """Seconds that the whole notebook may take."""
    output_limit: Limit | None = None
    """Megabytes that a cell may output."""
    notebook_output_limit: Limit | None = None
    """Megabytes that the whole notebook may output."""
    promises: Annotated[tuple[Promise, ...], PerCell] = ()
    """The cells that must raise certain exceptions; `allow_errors` and `raising` do not apply."""
    retries: Count = 0
    """The number of times that a failed run is repeated."""

    def promised_at(self, position: int) -> tuple[str, ...]:
        """Return the exceptions that the cell at a position declares; empty if there are none."""
        return next((p.exceptions for p in self.promises if p.position == position), ())

    def allows_error_at(self, position: int) -> bool:
        """Tell whether the cell at a position may raise any exception."""
        if self.promises and self.promised_at(position):
            return False
        return self.allow_errors or position in self.raising

    def allows(self, position: int, classes: Collection[str]) -> bool:
        """Tell whether the cell at a position may raise an exception with these classes."""
        promised = self.promised_at(position) if self.promises else ()
        return self.allows_error_at(position) or not set(promised).isdisjoint(classes)


class CellRun(msgspec.Struct, frozen=True):
    """The run of one code cell with code."""

    digest: State
    """Digest of its source."""
    execution_count: Count | None = None
    """`None` if the cell was not run."""
    seconds: Seconds | None = None
    error: Name | None = None
    """Name of the exception that the cell raised."""
    bases: Annotated[tuple[Name, ...], PerCell] = ()
    """Names of the exception's base classes, if the rules need them."""

    @property
    def was_run(self) -> bool:
        """Whether the cell was run, completely or in part."""
        # A cell that was interrupted, or that ended its kernel, may have only one of the two.
        return self.seconds is not None or self.execution_count is not None


class Failure(msgspec.Struct, frozen=True):
    """Why a run failed."""

    name: Name
    """Name of the exception, such as `ValueError` or `CellTimeoutError`."""
    message: Text
    traceback: Text
    """The kernel's traceback, with ANSI colours; a plain text if the kernel sent none."""
    position: Position | None = None
    """Position of the code cell, if a single cell caused the failure."""

    @property
    def headline(self) -> str:
        """The failure in one line, such as `ValueError: no such column`."""
        first = first_line(self.message)
        return f"{self.name}: {first}" if first else self.name


class Result(msgspec.Struct, frozen=True):
    """The record of one run under a code key."""

    code_key: Digest
    status: Status
    rules: Rules
    cells: Annotated[tuple[CellRun, ...], PerCell]
    outputs: MaybeDigest
    """Digest of the blob that holds the outputs (see [](sphinx_nbcache.results.outputs))."""
    render_id: ShortDigest
    """Digest of what a page shows of the result."""
    kernel: Name
    """Name of the kernel that ran the notebook."""
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
    """Digests of all blobs of the result."""
    bytes: Count = 0
    """Total size of the blobs."""
    artifacts: Annotated[tuple[Artifact, ...], Many] = ()
    """Files that the run created or changed under the root or in its temporary directory."""
    trace: MaybeDigest = ""
    """Digest of the blob that holds the trace."""
    temporary: bool = False
    """Whether the run was in a temporary directory. Its artifacts stay in the store."""
    peak_memory: Count | None = None
    """The kernel's peak memory use in bytes, if it was measured."""
    retried: Annotated[tuple[Failure, ...], PerCell] = ()
    """Why earlier attempts of the same run failed, without their tracebacks."""

    @property
    def finished(self) -> float:
        """The end of the run: seconds since the epoch, UTC."""
        return self.started + self.seconds


class Stored(msgspec.Struct, frozen=True):
    """A result as stored."""

    id: int
    """A small integer, local to the store and never reused; 0 if it was not looked up."""
    digest: str
    """The SHA-256 of the record, in hexadecimal."""
    result: Result
    is_marked: bool = False
    """Whether a run of this user account created the result. Otherwise pages show it, but its
    artifacts are not trusted (see `docs/explanation/security.md`)."""


class HistoryCell(msgspec.Struct, frozen=True, array_like=True):
    """A code cell as the reader last saw it."""

    number: Position
    digest: State
    skipped: bool


class PastRun(msgspec.Struct, frozen=True, array_like=True):
    """A run of a notebook, remembered even after its result is removed."""

    started: Time
    """Seconds since the epoch, UTC."""
    seconds: Seconds
    status: Status
    reason: Text = ""
    """Why the notebook was run; empty if this store did not decide to run it."""


class History(msgspec.Struct, frozen=True):
    """The last known state of a notebook, and the last result that its page showed."""

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
    """The last runs, including runs of other code, the oldest first."""
    options: Annotated[dict[Name, Text], Many] | msgspec.UnsetType = msgspec.UNSET
    """The options in the code key, as JSON."""
    expressions: Annotated[tuple[Annotated[tuple[Text, ...], Many], ...], PerCell] = ()
    """The expressions in the text before the first cell, and after each one."""


class Registration(msgspec.Struct, frozen=True, array_like=True):
    """One entry of the list of results under a code key."""

    id: Id
    digest: Digest


class Registered(msgspec.Struct, frozen=True):
    """A notebook of the project, as listed in the store."""

    id: Count
    """Local to the store, never reused for another notebook."""
    name: Name
    """Path relative to the root, POSIX."""
    reader: Name = ""
    """The reader chosen by the user; empty if the suffix decides."""
    assets: Annotated[tuple[Name, ...], Many] = ()
    """Files that the notebook needs, relative to its directory."""
    added: Time = 0.0
    """When the notebook was added: seconds since the epoch, UTC."""
    by_build: bool = False
    """Whether a build found the notebook among its documents; otherwise a user added it."""

    def __post_init__(self) -> None:
        # A forged store must not make commands read or remove files outside the project.
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
    """The chosen executor if no `conf.py` sets one; empty if none was chosen."""


Sources = Annotated[list[str], PerCell]
"""The sources of code cells, as stored in a blob."""


MISSING_KEY = "missing"


class Missing(msgspec.Struct, frozen=True):
    """Files that were missing at the last search. Their records are removed after some time."""

    looked: Annotated[dict[Name, Moment], Many]
    """The time of the last search for the files, by checkout."""
    since: Annotated[dict[Name, Moment], Many]
    """The time at which a file was first missing, by the key of its record."""


class StoreLimits(msgspec.Struct, frozen=True):
    """The limits of the store. The least recently used results are removed first."""

    count: Id | None = 10_000
    """Number of results; `None` for no limit."""
    size: Id | None = 4 * 2**30
    """Bytes on disk; `None` for no limit."""


def contradiction(result: Result, encoded: bytes) -> str:
    """Return an inconsistency of a stored result; empty if there is none.

    Args:
        result: The result.
        encoded: Its JSON.
    """
    # msgspec checks each field on its own. A damaged record may still refer to missing cells.
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
        return ()  # fast path for most results
    failed = (f.position for f in failures if f is not None and f.position is not None)
    return (*rules.raising, *(promise.position for promise in rules.promises), *failed)


def _contradiction_of_files(result: Result) -> str:
    if not {blob for file in result.artifacts for blob in file.blobs}.issubset(result.blobs):
        return "it names a file that is not among its contents"
    if len({file.path for file in result.artifacts}) < len(result.artifacts):
        return "it has two files of one path"
    return ""


def content_digest(content: bytes) -> str:
    """Return the name of a blob with this content: its SHA-256, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def lexer_of(language_info: Mapping[str, Any]) -> str:
    """Return the name of the Pygments lexer for a kernel's language; empty if it is unknown."""
    # https://jupyter-client.readthedocs.io/en/stable/messaging.html#kernel-info
    return str(language_info.get("pygments_lexer") or language_info.get("name") or "")
