"""The documents that `--json` writes. Fields may be added; existing ones stay.

Times are in UTC, as ISO 8601. Sizes are in bytes, durations in seconds. A value is `null` where it
is unknown or does not apply.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from sphinx_nbcache.report.as_json import ReportDocument

# Not raised for new fields: readers ignore fields that they do not know. `tests/report_schema.py`
# writes the schemas from these types.
JSON_SCHEMA = 1


# Fields that are `null` are written all the same (no `omit_defaults`), so that readers need not
# distinguish absence. `kw_only` lets a subclass add fields in any order.
class _Document(msgspec.Struct, frozen=True, kw_only=True):
    """A whole document."""

    schema: int = JSON_SCHEMA
    """Version of this format. It is raised if a field is removed or changes its meaning."""


class ListedItem(msgspec.Struct, frozen=True, kw_only=True):
    """A notebook in the list of the project."""

    id: int
    """Its id: local to the store, never reused."""
    path: str
    """Relative to the root."""
    reader: str
    """The reader that it was added with; empty if its suffix determines it."""
    assets: tuple[str, ...]
    """Files that it needs, relative to its folder."""
    added: datetime
    """When it was added."""
    by_build: bool
    """Whether a build found it among its documents; `false` if a user added it."""


class NotebookItem(ListedItem, frozen=True, kw_only=True):
    """A notebook of the project, with its state."""

    status: str
    """State of the result of its present code: `ok`, `failed`, `timeout`, `died`, or `none` if
    there is no result; `as-is` if it is not executed; `unreadable`, also if it is not a notebook;
    `missing` if there is no such file."""
    result: int | None
    """Id of that result."""
    action: str | None
    """The planned action: `reuse`, `execute`, `depends` (it is executed if another notebook
    rewrites a file that it reads), `as-is`, `refuse`, `unreadable`; `null` if there is no such
    notebook."""
    why: str | None
    """The kind of reason for the action, for programs."""
    reason: str
    """The reason, for people."""


# Types of their own, not the store's records: those may change with each format of the store, these
# may not.
class FailureItem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run did not succeed."""

    name: str
    """Name of the exception."""
    message: str
    """Its message."""
    cell: int | None
    """Number of the code cell, counted from 1; `null` if no single cell failed."""
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
    """Its id: local to the store, never reused."""
    digest: str
    """Its digest. Commands accept its first digits as well."""
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
    """Its size in the store."""
    artifacts: tuple[ArtifactItem, ...]
    """Files that the run wrote."""


class CellItem(msgspec.Struct, frozen=True, kw_only=True):
    """The run of a code cell that has code."""

    execution_count: int | None
    """`null` if it was not run."""
    seconds: float | None
    """How long it took."""
    error: str | None
    """Name of the exception that it raised."""


class ResultDetails(ResultItem, frozen=True, kw_only=True):
    """A result in the store, with the details of its run."""

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
    """A description, for people."""
    baseline: bool
    """Whether every run in such a kernel depends on it."""


class TraceItem(msgspec.Struct, frozen=True, kw_only=True):
    """The dependencies and writes that were observed in a run."""

    tracked: tuple[str, ...] | None
    """The kinds of facts that counted; `null` if the run could not be traced."""
    tracer: str
    """The tracer: `python` or `system`; empty if it was not traced, or by an older version."""
    facts: tuple[FactItem, ...]
    """Its dependencies."""
    written: tuple[str, ...]
    """Files that it created or changed, relative to the root."""
    removed: tuple[str, ...]
    """Files that it removed, relative to the root."""
    untracked: tuple[str, ...]
    """Actions of the run that cannot be verified."""
    unreliable: str | None
    """Why its result is never reused; otherwise `null`."""


class SettledItem(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a notebook that was to be executed."""

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
    """The reason for the outcome."""
    result: int | None
    """Id of its result."""
    status: str | None
    """State of its result."""
    seconds: float | None
    """How long the run of that result took."""
    failure: FailureItem | None
    """Why it failed."""


class DifferingCellItem(msgspec.Struct, frozen=True, kw_only=True):
    """A cell whose outputs differed when it was run again."""

    cell: int
    """Number of the code cell, counted from 1."""
    line: int | None
    """The line of the file at which it starts."""
    diff: str
    """The first differences: lines that begin with `-` are stored, those with `+` are new."""


class ComparedItem(msgspec.Struct, frozen=True, kw_only=True):
    """A notebook that was run again, to compare its outputs with those in the store."""

    id: int
    """Its id in the project."""
    path: str
    """Relative to the root."""
    result: int
    """Id of the stored result."""
    same: bool
    """Whether the second run succeeded, with the same outputs."""
    cells: tuple[DifferingCellItem, ...]
    """The cells whose outputs differ."""
    failure: FailureItem | None
    """Why the second run failed."""


class FindingItem(msgspec.Struct, frozen=True, kw_only=True):
    """Something in the store that is damaged or not needed."""

    key: str
    """The key of the entry, or the name of its file."""
    what: str
    """The damage, for people."""
    fixed: bool
    """Whether it was removed from the store."""


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
    """The result of its present code, even if it failed."""
    trace: TraceItem | None
    """The trace of the last run of its present code; `null` if there is none."""


class ExecutionSummary(_Document, frozen=True, kw_only=True):
    """`execute`."""

    seconds: float
    """How long the whole execution took."""
    notebooks: tuple[SettledItem, ...]
    """In the order of their ids."""
    compared: tuple[ComparedItem, ...] | None = None
    """The notebooks that `--check-reproducible` ran again; `null` without the option."""


class ResultList(_Document, frozen=True, kw_only=True):
    """`cache list`."""

    store: str
    """The folder of the store."""
    results: tuple[ResultItem, ...]
    """The most recently used come first."""


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
    """The reason, for people."""


class AddedResults(_Document, frozen=True, kw_only=True):
    """`cache add`, `cache add-with-artifacts`, `cache import-jupyter-cache`."""

    added: tuple[AddedItem, ...]
    """In the order in which they were named."""
    refused: tuple[RefusedItem, ...]
    """In the same order. If there are any, the exit code is 2."""


class LeftOutItem(msgspec.Struct, frozen=True, kw_only=True):
    """A result that is not in the archive."""

    id: int
    """Its id."""
    notebook: str
    """Relative to the root."""
    reason: str
    """The reason, for people."""


class ExportedResults(_Document, frozen=True, kw_only=True):
    """`cache export`."""

    exported: tuple[int, ...]
    """Ids of the results in the archive."""
    left_out: tuple[LeftOutItem, ...]
    """The results that must not leave this machine, or that no other one could reuse."""


class ImportedResults(_Document, frozen=True, kw_only=True):
    """`cache import`."""

    added: tuple[AddedItem, ...]
    """In the order of their runs."""
    present: int
    """How many results of the archives were in the store."""


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
    """The findings; empty if the store is intact."""


# Every document has to be listed: the reference and the schemas are made from this list.
DOCUMENTS: tuple[type[msgspec.Struct], ...] = (
    NotebookList,
    NotebookDetails,
    ExecutionSummary,
    RegisterChange,
    ResultList,
    ResultDocument,
    AddedResults,
    ExportedResults,
    ImportedResults,
    RemovedResults,
    Limits,
    StoreCheck,
    ReportDocument,
)


def json_of(document: Any) -> str:
    """Return the JSON text of a document."""
    # Indented for people, and for diffs of two reports; the order of keys is that of the fields.
    # msgspec writes datetimes as RFC 3339
    # (https://jcristharif.com/msgspec/supported-types.html#datetime).
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
