"""From a plan and its outcome to the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import zip_longest

import msgspec

from sphinx_nbcache.planning import Action, Plan
from sphinx_nbcache.project.run import Run, Settled
from sphinx_nbcache.report.facts import facts_of
from sphinx_nbcache.report.model import (
    AS_IS,
    EXECUTED,
    MAY_WAIT,
    REFUSED,
    REUSED,
    UNREADABLE,
    WAITING,
    Report,
    ReportCell,
    ReportEntry,
    ReportFailure,
)
from sphinx_nbcache.store.outputs import OutputsError
from sphinx_nbcache.store.records import Result, Stored
from sphinx_nbcache.store.store import Store
from sphinx_nbcache.traces.facts import Trace

_DECISIONS = {
    Action.EXECUTE: EXECUTED,
    Action.DEPENDS: MAY_WAIT,
    Action.REUSE: REUSED,
    Action.AS_IS: AS_IS,
    Action.REFUSE: REFUSED,
    Action.UNREADABLE: UNREADABLE,
}


def make_report(run: Run, docnames: Mapping[str, str], store: Store) -> Report:
    """Return the report on a run.

    Args:
        run: What became of the notebooks.
        docnames: Name of a notebook → its document.
        store: Where the sources of cells that failed are.
    """
    traces = _traces(run.notebooks, store)
    entries = tuple(
        _entry(item, docnames.get(item.planned.name, ""), store, traces) for item in run.notebooks
    )
    executed = any(item.ran_here for item in run.notebooks)
    return Report(entries, run.seconds if executed else 0.0)


def report_of_plan(plan: Plan, present: Mapping[str, Stored], store: Store) -> Report:
    """Return the report on a project in which nothing is run, as it stands.

    What would have to be executed is listed as `to be executed`, or as `may be executed` if that
    depends on what other notebooks will write.

    Args:
        plan: What would be done.
        present: Name of a notebook → the result of its present code, also if it failed.
        store: Where the sources of cells that failed are.
    """
    entries = []
    shown = [Settled(item, present.get(item.name, item.decision.result)) for item in plan]
    traces = _traces(shown, store)
    for settled in shown:
        planned, entry = settled.planned, _entry(settled, "", store, traces)
        if planned.decision.action is Action.EXECUTE:
            entry = replace(entry, decision=WAITING, reason=planned.decision.reason.text)
        entries.append(entry)
    return Report(tuple(entries))


def failed_source(result: Result, store: Store) -> str:
    """Return the source of the code cell at which a run failed; empty if it is not known."""
    position = result.failure.position if result.failure is not None else None
    if position is None or not result.sources:
        return ""
    try:
        sources = msgspec.json.decode(store.blob(result.sources), type=list[str])
    except (OutputsError, msgspec.MsgspecError):
        return ""
    return sources[position] if 0 <= position < len(sources) else ""


def _traces(notebooks: Iterable[Settled], store: Store) -> dict[str, Trace]:
    """Return the traces of the results of notebooks, by digest: all at once, which is quick."""
    return store.traces(item.result.result for item in notebooks if item.result is not None)


def _entry(item: Settled, docname: str, store: Store, traces: Mapping[str, Trace]) -> ReportEntry:
    planned = item.planned
    decision, reason = _DECISIONS[planned.decision.action], planned.decision.reason.text
    if planned.decision.action is Action.EXECUTE and not item.ran_here:
        decision, reason = REUSED, _who_ran(item)
    result = item.result.result if item.result is not None else None
    facts = facts_of(planned, result, traces.get(result.trace) if result is not None else None)
    entry = ReportEntry(
        planned.name,
        docname,
        decision,
        reason,
        failed=item.failed,
        depends_on=facts.depends_on,
        untracked=facts.untracked,
        produced=facts.produced,
        removed=facts.removed,
        changed=facts.changed,
        peak_memory=facts.peak_memory,
    )
    if result is None:
        return entry
    return replace(
        entry,
        status=result.status.value,
        started=result.started,
        seconds=result.seconds,
        cells=_cells(item, result),
        failure=_failure(item, result, store),
        kernel=result.kernel,
        executor=result.executor,
    )


def _cells(item: Settled, result: Result) -> tuple[ReportCell, ...]:
    numbers = (cell.number for cell in item.planned.scan.cells)
    return tuple(
        ReportCell(number or position, run.seconds, run.error)
        for position, (run, number) in enumerate(zip_longest(result.cells, numbers), start=1)
        if run is not None
    )


def _failure(item: Settled, result: Result, store: Store) -> ReportFailure | None:
    if (failure := result.failure) is None:
        return None
    cell = item.failed_cell
    number = cell.number if cell is not None else None
    source = failed_source(result, store)
    return ReportFailure(failure.name, failure.message, failure.traceback, number, source)


def _who_ran(item: Settled) -> str:
    """Say where the result of a notebook came from that was to be run, but was not."""
    if item.ran_elsewhere:
        return "another build has run it meanwhile"
    name = item.result.result.notebook if item.result is not None else ""
    return f"same code as {name}, which this build has run" if name else "it was being edited"
