"""Turns a project's records into the items that commands list, show, or write as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from sphinx_nbcache.cli.documents import (
    ArtifactItem,
    CellItem,
    FactItem,
    FailureItem,
    ListedItem,
    NotebookItem,
    ResultDetails,
    ResultItem,
    SettledItem,
    TraceItem,
)
from sphinx_nbcache.notebooks.notebook import refuse_pipe
from sphinx_nbcache.notebooks.scan import Scan
from sphinx_nbcache.planning import Action, Plan, Planned, failed_line, failure_place
from sphinx_nbcache.project import Project, Settled
from sphinx_nbcache.project.outcomes import settled_outcome
from sphinx_nbcache.project.requests import UnknownReferenceError
from sphinx_nbcache.project.results import StoredInfo
from sphinx_nbcache.results.records import CellRun, Failure, Registered, Result, Status, Stored
from sphinx_nbcache.traces.trace import Trace

# State and reason of a notebook that cannot be planned.
MISSING = "missing"
_NO_FILE = MISSING, "there is no such file"
_NO_NOTEBOOK = "unreadable", "it is no notebook: nothing in it names a kernel or a format"


def utc_time(seconds: float) -> datetime:
    """Return the UTC time for seconds since the epoch."""
    return datetime.fromtimestamp(seconds, UTC)


def listed_item(registered: Registered) -> ListedItem:
    """Return the item of a notebook without its state."""
    return ListedItem(
        id=registered.id,
        path=registered.name,
        reader=registered.reader,
        assets=registered.assets,
        added=utc_time(registered.added),
        by_build=registered.by_build,
    )


def notebook_items(
    project: Project, notebooks: Iterable[Registered], plan: Plan
) -> list[NotebookItem]:
    """Return items for notebooks of a project.

    Args:
        project: The project.
        notebooks: The notebooks.
        plan: The plan for them.
    """
    planned = {item.name: item for item in plan}
    stored = present_results(project, plan)
    return [
        notebook_item(project, item, planned.get(item.name), stored.get(item.name))
        for item in notebooks
    ]


def notebook_item(
    project: Project, registered: Registered, planned: Planned | None, stored: Stored | None
) -> NotebookItem:
    """Return the item of a notebook.

    Args:
        project: The project.
        registered: The notebook.
        planned: The planned notebook; `None` if it cannot be planned.
        stored: The result of its present code, from [](present_results).
    """
    # The subclass repeats the fields of the item that it extends.
    listed = _fields_of(listed_item(registered))
    if planned is None:
        status, reason = _why_not_planned(project.root / registered.name)
        return NotebookItem(
            **listed, status=status, result=None, action=None, why=None, reason=reason
        )
    decision = planned.decision
    return NotebookItem(
        **listed,
        status=_status(planned, stored),
        result=stored.id if stored is not None else None,
        action=decision.action.value,
        why=decision.reason.why.value,
        reason=decision.reason.text,
    )


def _why_not_planned(path: Path) -> tuple[str, str]:
    """Return the state of a file that cannot be planned as a notebook, and the reason."""
    try:
        refuse_pipe(path)
        # Opened, because `os.access` does not know the access lists of Windows and network drives
        # (https://docs.python.org/3/library/os.html#os.access).
        path.open("rb").close()
    # ValueError: a name with NUL, or one that cannot be encoded.
    except (FileNotFoundError, ValueError):
        return _NO_FILE
    except OSError as error:
        return "unreadable", f"it cannot be read ({error.strerror or error})"
    return _NO_NOTEBOOK


def present_results(project: Project, plan: Plan) -> dict[str, Stored]:
    """Return the results of the present code of notebooks, by the notebooks' names.

    The result of a notebook is the one to reuse, or else its last failure.
    """
    stale = [item for item in plan if item.decision.action in (Action.EXECUTE, Action.REFUSE)]
    # One look-up for all notebooks.
    results = project.store.results_of(item.code_key for item in stale)
    found = {item.name: item.decision.result for item in plan}
    for item in stale:
        newest = next(iter(results[item.code_key]), None)
        # A stale success says nothing of the present state; a failure is what users ask about.
        if newest is not None and newest.result.status is not Status.OK:
            found[item.name] = newest
    return {name: stored for name, stored in found.items() if stored is not None}


def _status(planned: Planned, stored: Stored | None) -> str:
    if stored is not None:
        return stored.result.status.value
    action = planned.decision.action
    return action.value if action in (Action.AS_IS, Action.UNREADABLE) else "none"


def result_item(info: StoredInfo) -> ResultItem:
    """Return the item of a result."""
    return ResultItem(
        id=info.id,
        digest=info.digest,
        notebook=info.notebook,
        status=str(info.status),
        created=utc_time(info.created),
        accessed=utc_time(info.accessed) if info.accessed else None,
        seconds=info.seconds,
        kernel=info.kernel,
        bytes=info.bytes,
        artifacts=tuple(
            ArtifactItem(path=a.path, digest=a.digest, size=a.size) for a in info.artifacts
        ),
    )


def result_items(project: Project, *, latest_only: bool = False) -> list[ResultItem]:
    """Return items for all results; the most recently used come first.

    Args:
        project: The project.
        latest_only: Whether to leave out all but the newest result of each notebook.
    """
    # The id breaks ties: times of use are exact to the hour only.
    infos = sorted(project.results, key=lambda info: (info.accessed, info.id), reverse=True)
    if latest_only:
        newest: dict[str, int] = {}
        for info in infos:
            # By id, because an older result may have been used last.
            newest[info.notebook] = max(info.id, newest.get(info.notebook, 0))
        infos = [info for info in infos if newest[info.notebook] == info.id]
    return [result_item(info) for info in infos]


def info_of(project: Project, stored: Stored) -> StoredInfo:
    """Return when a result was made and used, and how large it is.

    Raises:
        UnknownReferenceError: Another process has removed the result meanwhile.
    """
    for info in project.results:
        if info.id == stored.id:
            return info
    raise UnknownReferenceError(f"result {stored.id} was removed meanwhile")


def failure_item(
    failure: Failure | None, scan: Scan | None, cells: Sequence[CellRun] = ()
) -> FailureItem | None:
    """Return the item for the failure of a run, if it failed.

    Args:
        failure: The failure.
        scan: The scan of its notebook, which has the numbers and lines of cells.
        cells: The run of each cell.
    """
    if failure is None:
        return None
    place = failure_place(failure, cells, scan) if scan is not None else None
    # Without a scan, blank cells are unknown, so this is the number among cells with code.
    number = None if failure.position is None else failure.position + 1
    return FailureItem(
        name=failure.name,
        message=failure.message,
        cell=place.cell.number if place is not None else number,
        line_in_cell=failed_line(failure, cells),
        line=place.line_in_file if place is not None else None,
        traceback=failure.traceback,
    )


def result_details(info: StoredInfo, result: Result, scan: Scan | None = None) -> ResultDetails:
    """Return the details of a result."""
    return ResultDetails(
        **_fields_of(result_item(info)),
        code_key=result.code_key,
        executor=result.executor,
        language=str(result.language_info.get("name") or ""),
        cells=tuple(
            CellItem(execution_count=c.execution_count, seconds=c.seconds, error=c.error)
            for c in result.cells
        ),
        failure=failure_item(result.failure, scan, result.cells),
        retried=tuple(item for f in result.retried if (item := failure_item(f, scan))),
    )


def trace_item(trace: Trace) -> TraceItem:
    """Return the item for the trace of a run."""
    return TraceItem(
        tracked=None if trace.tracked is None else tuple(map(str, trace.tracked)),
        tracer=trace.tracer,
        facts=tuple(
            FactItem(kind=fact.kind.value, text=text, baseline=fact.is_baseline)
            for fact, text in trace.in_words()
        ),
        written=tuple(written.path for written in trace.written),
        removed=trace.removed,
        untracked=trace.untracked,
        unreliable=trace.unreliable,
    )


def settled_item(settled: Settled, number: int) -> SettledItem:
    """Return the item for the outcome of a notebook with this id."""
    planned, stored = settled.planned, settled.result
    result = stored.result if stored is not None else None
    outcome, reason = settled_outcome(settled)
    return SettledItem(
        id=number,
        path=planned.name,
        outcome=outcome.item,
        failed=settled.failed,
        reason=reason,
        result=stored.id if stored is not None else None,
        status=result.status.value if result is not None else None,
        seconds=result.seconds if result is not None else None,
        failure=failure_item(result.failure, planned.scan, result.cells) if result else None,
    )


def _fields_of(item: msgspec.Struct) -> dict[str, Any]:
    return {name: getattr(item, name) for name in item.__struct_fields__}
