"""The documents that `--json` writes. Fields may be added; those that are here stay.

Times are in UTC, as ISO 8601. Sizes are in bytes, durations in seconds. `null` stands where
something is not known or does not apply.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from sphinx_nbcache.report.as_json import ReportDocument

JSON_SCHEMA = 1


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    """A whole document."""

    schema: int = JSON_SCHEMA
    """Number of this description. It is raised if a field goes or changes its meaning."""


class ListedItem(msgspec.Struct, frozen=True, kw_only=True):
    """A notebook as the list of the project has it."""

    id: int
    """Its id: local to the store, never used again."""
    path: str
    """Relative to the root."""
    reader: str
    """The reader that it was added with; empty if its suffix tells."""
    assets: tuple[str, ...]
    """Files that it needs, relative to its folder."""
    added: datetime
    """When it was added."""
    by_build: bool
    """Whether a build found it among its documents, rather than a user having added it."""


class NotebookItem(ListedItem, frozen=True, kw_only=True):
    """A notebook of the project, and the state that it is in."""

    status: str
    """State of the result of its present code: `ok`, `failed`, `timeout`, `died`, or `none` if
    there is no result; `as-is` if it is not executed; `unreadable`, also if it is no notebook;
    `missing` if the file has gone."""
    result: int | None
    """Id of that result."""
    action: str | None
    """What would be done with it now: `reuse`, `execute`, `depends` (it is executed if what it
    reads is rewritten before), `as-is`, `refuse`, `unreadable`; `null` if there is no such
    notebook."""
    why: str | None
    """The kind of reason for this, for programs."""
    reason: str
    """The reason, for people."""


class FailureItem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run did not end well."""

    name: str
    """Name of the exception."""
    message: str
    """Its message."""
    cell: int | None
    """Number of the code cell, counted from 1, if it was one cell."""
    line_in_cell: int | None
    """The line of that cell, counted from 1, if it is known."""
    line: int | None
    """The line of the notebook's file, if it is known."""
    traceback: str
    """As the kernel sent it, with ANSI colours."""


class ArtifactItem(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a run wrote, kept in the store."""

    path: str
    """Relative to the folder of the notebook."""
    digest: str
    """SHA-256 of its content."""
    size: int
    """In bytes."""


class ResultItem(msgspec.Struct, frozen=True, kw_only=True):
    """A result in the store."""

    id: int
    """Its id: local to the store, never used again."""
    digest: str
    """Its digest. The first digits are a name for it as well."""
    notebook: str
    """The notebook that was run, relative to the root at that time."""
    status: str
    """How the run ended: `ok`, `failed`, `timeout`, `died`."""
    created: datetime
    """When it was put into the store."""
    accessed: datetime | None
    """When it was last used."""
    seconds: float
    """How long the run took."""
    kernel: str
    """Name of the kernel."""
    bytes: int | None
    """Size of what the store keeps of it."""
    artifacts: tuple[ArtifactItem, ...]
    """Files that the run wrote."""


class CellItem(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did with a code cell that has code."""

    execution_count: int | None
    """`null` if it was not run."""
    seconds: float | None
    """How long it took."""
    error: str | None
    """Name of the exception that it raised."""


class ResultDetails(ResultItem, frozen=True, kw_only=True):
    """A result in the store, with all that is known of its run."""

    code_key: str
    """Digest of what the notebook's code could observe of the notebook."""
    executor: str
    """The executor that ran it."""
    language: str
    """Name of the kernel's language."""
    cells: tuple[CellItem, ...]
    """Its code cells that have code."""
    failure: FailureItem | None
    """Why it failed."""
    retried: tuple[FailureItem, ...]
    """Why earlier attempts of the same run failed; without tracebacks."""


class FactItem(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a run depended on."""

    kind: str
    """`files`, `imports`, `versions`, `environment`; `always` if it was declared."""
    text: str
    """What it is, for people."""
    baseline: bool
    """Whether every run in such a kernel depends on it."""


class TraceItem(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was seen to depend on, and to write."""

    tracked: tuple[str, ...] | None
    """The kinds of facts that counted; `null` if the run could not be traced."""
    facts: tuple[FactItem, ...]
    """What it depended on."""
    written: tuple[str, ...]
    """Files that it created or changed, relative to the root."""
    removed: tuple[str, ...]
    """Files that it removed, relative to the root."""
    untracked: tuple[str, ...]
    """What it did that cannot be verified."""
    unreliable: str | None
    """Why its result is never reused, if so."""


class SettledItem(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a notebook that was to be executed."""

    id: int
    """Its id in the project."""
    path: str
    """Relative to the root."""
    outcome: str
    """`executed`, `reused`, `as-is`, `refused`, `unreadable`, `missing`; `removed` if its file was
    removed before its turn, `edited` if it was being edited then."""
    failed: bool
    """Whether it has no valid result."""
    reason: str
    """Why this was done."""
    result: int | None
    """Id of its result."""
    status: str | None
    """State of its result."""
    seconds: float | None
    """How long the run of that result took."""
    failure: FailureItem | None
    """Why it failed."""


class DifferingCellItem(msgspec.Struct, frozen=True, kw_only=True):
    """A cell whose outputs were others when it was run again."""

    cell: int
    """Number of the code cell, counted from 1."""
    line: int | None
    """The line of the file at which it starts."""
    diff: str
    """The beginning of what differs: lines that begin with `-` are stored, with `+` new."""


class ComparedItem(msgspec.Struct, frozen=True, kw_only=True):
    """A notebook that was run again, to compare its outputs with those in the store."""

    id: int
    """Its id in the project."""
    path: str
    """Relative to the root."""
    result: int
    """Id of the stored result."""
    same: bool
    """Whether the second run ended well, with the same outputs."""
    cells: tuple[DifferingCellItem, ...]
    """The cells whose outputs differ."""
    failure: FailureItem | None
    """Why the second run failed."""


class FindingItem(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is wrong in the store."""

    key: str
    """Where."""
    what: str
    """What."""
    fixed: bool
    """Whether it was taken out."""


class NotebookList(_Document, frozen=True, kw_only=True):
    """`project list`, `project plan`."""

    root: str
    """The directory to which paths are relative."""
    store: str
    """The folder of the store."""
    notebooks: tuple[NotebookItem, ...]
    """In the order of their ids."""


class NotebookDetails(_Document, frozen=True, kw_only=True):
    """`project show`, `explain`."""

    notebook: NotebookItem
    """The notebook."""
    code_key: str | None
    """Digest of what its code can observe of the notebook."""
    result: ResultDetails | None
    """The result of its present code, also if it failed."""
    trace: TraceItem | None
    """What the last run of its present code depended on; `null` if it is not known."""


class ExecutionSummary(_Document, frozen=True, kw_only=True):
    """`execute`."""

    seconds: float
    """How long all of it took."""
    notebooks: tuple[SettledItem, ...]
    """In the order of their ids."""
    compared: tuple[ComparedItem, ...] | None = None
    """What `--check-reproducible` has run again; `null` without it."""


class ResultList(_Document, frozen=True, kw_only=True):
    """`cache list`."""

    store: str
    """The folder of the store."""
    results: tuple[ResultItem, ...]
    """The ones used last come first."""


class ResultDocument(_Document, frozen=True, kw_only=True):
    """`cache show`."""

    result: ResultDetails
    """The result."""


class AddedItem(msgspec.Struct, frozen=True, kw_only=True):
    """An executed notebook that was added."""

    path: str
    """Relative to the root."""
    result: int
    """Id of the result that it became."""


class RefusedItem(msgspec.Struct, frozen=True, kw_only=True):
    """A notebook that was not added."""

    path: str
    """Relative to the root."""
    reason: str
    """Why, for people."""


class AddedResults(_Document, frozen=True, kw_only=True):
    """`cache add`, `cache add-with-artifacts`."""

    added: tuple[AddedItem, ...]
    """In the order in which they were named."""
    refused: tuple[RefusedItem, ...]
    """In the same order. If there are any, the exit code is 2."""


class RemovedResults(_Document, frozen=True, kw_only=True):
    """`cache remove`, `cache clear`, `cache prune`, `project invalidate`."""

    removed: tuple[int, ...]
    """Ids of the results that were removed."""


class RegisterChange(_Document, frozen=True, kw_only=True):
    """`project add`, `project add-with-assets`, `project remove`, `project clear`."""

    notebooks: tuple[ListedItem, ...]
    """The notebooks that were added or removed."""


class Limits(_Document, frozen=True, kw_only=True):
    """`cache limit`, `project cache-limit`."""

    count: int | None
    """How many results are kept; `null` for no limit."""
    size: int | None
    """How many bytes they may take; `null` for no limit."""


class StoreCheck(_Document, frozen=True, kw_only=True):
    """`cache check`."""

    findings: tuple[FindingItem, ...]
    """What is wrong; empty if the store is whole."""


DOCUMENTS: tuple[type[msgspec.Struct], ...] = (
    NotebookList,
    NotebookDetails,
    ExecutionSummary,
    RegisterChange,
    ResultList,
    ResultDocument,
    AddedResults,
    RemovedResults,
    Limits,
    StoreCheck,
    ReportDocument,
)


def encoded(document: Any) -> str:
    """Return the JSON text of a document."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
