"""The report as a JSON document. Fields may be added; existing ones stay.

Times are in UTC, as ISO 8601. Sizes are in bytes, durations in seconds. A value is `null` where it
is unknown, does not apply, or is left out of a reproducible build.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from sphinx_nbcache.report.model import Report, ReportEntry, ReportFailure, ReportRun

# The docstrings of the classes and fields below are the descriptions of the JSON schema in the docs
# (https://jcristharif.com/msgspec/jsonschema.html). After a change, run `tests/report_schema.py`.
REPORT_SCHEMA = 1
SCHEMA_FILE = f"nbcache-report-{REPORT_SCHEMA}.schema.json"


class ReportTotals(msgspec.Struct, frozen=True, kw_only=True):
    """The totals of a report."""

    notebooks: int
    """How many notebooks there are."""
    executed: int | None
    """How many were executed."""
    reused: int | None
    """How many pages show a valid result from the store."""
    not_tried_again: int | None
    """How many failed earlier and would only fail again."""
    to_be_executed: int | None
    """How many would have to be executed; in a build there are none."""
    failed: int
    """How many have no valid result."""
    seconds: float | None
    """How long this build spent on executing notebooks."""
    seconds_saved: float | None
    """How long the runs of the reused results took."""


class ReportCellItem(msgspec.Struct, frozen=True, kw_only=True):
    """The run of a code cell that has code."""

    number: int
    """Its number among all code cells, counted from 1."""
    seconds: float | None
    """How long it took; `null` if it was not run."""
    error: str | None
    """Name of the exception that it raised."""


class ReportRunItem(msgspec.Struct, frozen=True, kw_only=True):
    """A run of a notebook, possibly with different code."""

    started: datetime
    """When it began."""
    seconds: float
    """How long it took."""
    status: str
    """How it ended: `ok`, `failed`, `timeout`, `died`."""
    reason: str | None
    """Why it was run, if that is known."""


class ReportFailureItem(msgspec.Struct, frozen=True, kw_only=True):
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
    source: str | None
    """Source of that cell."""
    traceback: str
    """As the kernel sent it, with ANSI colours."""


class DependencyItem(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a notebook depends on."""

    kind: str
    """`file`, `folder`, `module`, `package`, `variable` or `place`."""
    text: str
    """A path, a package with its version, the name of a variable, or a description."""


class ProducedItem(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a run wrote."""

    path: str
    """Relative to the root, or to the temporary folder if the run had one."""
    size: int | None
    """In bytes; `null` if the store keeps no copy."""


class ReportEntryItem(msgspec.Struct, frozen=True, kw_only=True):
    """A notebook of a report."""

    path: str
    """Relative to the root."""
    docname: str | None
    """Its document in the build."""
    decision: str | None
    """The decision on it: `executed`, `reused`, `as it is`, `refused`, `unreadable`, `removed` (its
    file was removed before its turn) or `edited` (its file was being edited); in a report of the
    command line also `to be executed` and `may be executed`."""
    reason: str | None
    """The reason for the decision."""
    changed: str | None
    """The change since its last run that made it run again."""
    status: str | None
    """How the run of the shown result ended: `ok`, `failed`, `timeout`, `died`."""
    failed: bool
    """Whether it has no valid result."""
    started: datetime | None
    """When that run began."""
    seconds: float | None
    """How long it took."""
    kernel: str | None
    """Name of the kernel that ran it."""
    executor: str | None
    """The executor that ran it; `added` if it was run elsewhere."""
    peak_memory: int | None
    """The most memory that the kernel used, in bytes."""
    cells: tuple[ReportCellItem, ...]
    """The run of each code cell that has code."""
    retried: tuple[str, ...]
    """Why earlier attempts of that run failed, one line for each."""
    silent: tuple[str, ...]
    """Cells that did not raise the exception that their metadata declares, in words."""
    runs: tuple[ReportRunItem, ...]
    """Its last runs, at most twelve, the oldest first."""
    depends_on: tuple[DependencyItem, ...]
    """Its main dependencies besides its own code. `sphinx-nbcache explain -v` lists all of them."""
    untracked: tuple[str, ...]
    """Possible dependencies that cannot be verified, in words."""
    tracer: str | None
    """The tracer of its run: `python` or `system`; `null` if there was none, or in old results."""
    produced: tuple[ProducedItem, ...]
    """The files that it wrote."""
    removed: tuple[str, ...]
    """The files that it removed, relative to the root."""
    failure: ReportFailureItem | None
    """Why it failed."""


class ReportDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`report`, and the file `nbcache-report.json` of a build."""

    schema: int = REPORT_SCHEMA
    """Version of this format. It is raised if a field is removed or changes its meaning."""
    summary: str
    """The totals in one line."""
    totals: ReportTotals
    """The totals."""
    renderers: tuple[str, ...]
    """The extensions that render the notebooks of a build instead of this one."""
    notebooks: tuple[ReportEntryItem, ...]
    """In the order of their names."""


def report_document(report: Report) -> ReportDocument:
    """Return a report as a document."""
    # `null` instead of absent fields, so that the document always has the same structure.
    told = not report.is_reproducible
    totals = ReportTotals(
        notebooks=len(report.entries),
        executed=report.executed if told else None,
        reused=report.reused if told else None,
        not_tried_again=report.not_tried_again if told else None,
        to_be_executed=report.waiting if told else None,
        failed=len(report.failed),
        seconds=report.seconds if told else None,
        seconds_saved=report.saved if told else None,
    )
    return ReportDocument(
        summary=report.summary,
        totals=totals,
        renderers=report.renderers,
        notebooks=tuple(map(_item, report.entries)),
    )


def report_json(report: Report) -> str:
    """Return a report as JSON text."""
    return msgspec.json.format(msgspec.json.encode(report_document(report)), indent=2).decode()


def _item(entry: ReportEntry) -> ReportEntryItem:
    return ReportEntryItem(
        path=entry.name,
        docname=entry.docname or None,
        decision=entry.decision or None,
        reason=entry.reason or None,
        changed=entry.changed or None,
        status=entry.status or None,
        failed=entry.failed,
        started=None if entry.started is None else _utc(entry.started),
        seconds=entry.seconds,
        kernel=entry.kernel or None,
        executor=entry.executor or None,
        peak_memory=entry.peak_memory,
        cells=tuple(
            ReportCellItem(number=c.number, seconds=c.seconds, error=c.error) for c in entry.cells
        ),
        retried=entry.retried,
        silent=entry.silent,
        runs=tuple(map(_run, entry.runs)),
        depends_on=tuple(DependencyItem(kind=d.kind, text=d.text) for d in entry.depends_on),
        untracked=entry.untracked,
        tracer=entry.tracer or None,
        produced=tuple(ProducedItem(path=p.path, size=p.size) for p in entry.produced),
        removed=entry.removed,
        failure=_failure(entry.failure) if entry.failure is not None else None,
    )


def _run(run: ReportRun) -> ReportRunItem:
    return ReportRunItem(
        started=_utc(run.started),
        seconds=run.seconds,
        status=run.status,
        reason=run.reason or None,
    )


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _failure(failure: ReportFailure) -> ReportFailureItem:
    return ReportFailureItem(
        name=failure.name,
        message=failure.message,
        cell=failure.cell,
        line_in_cell=failure.line_in_cell,
        line=failure.line,
        source=failure.source or None,
        traceback=failure.traceback,
    )
