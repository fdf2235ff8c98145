"""Makes the report from a plan or a run, with dependencies and products from the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import PurePosixPath

import msgspec

from sphinx_nbcache import __version__
from sphinx_nbcache.planning import Action, Plan, Planned, Why, broken_promise, failed_attempts
from sphinx_nbcache.project.outcomes import planned_outcome, settled_outcome
from sphinx_nbcache.project.run import Run, Settled
from sphinx_nbcache.report.model import (
    Dependency,
    Produced,
    Report,
    ReportCell,
    ReportEntry,
    ReportFailure,
    ReportRun,
)
from sphinx_nbcache.results.outputs import OutputsError
from sphinx_nbcache.results.records import PastRun, Result, Sources, Stored, content_digest
from sphinx_nbcache.store.store import Store
from sphinx_nbcache.traces.fact import REPORT_KINDS, Kind
from sphinx_nbcache.traces.facts import (
    Declared,
    Fact,
)
from sphinx_nbcache.traces.trace import Trace

# Reasons to run a notebook other than a change.
_NO_CHANGE = frozenset(
    {
        Why.NO_RESULT,
        Why.FAILED_BEFORE,
        Why.ERROR_NOT_ALLOWED,
        Why.FORCED,
        Why.DAMAGED,
        Why.UNKNOWN_DEPENDENCIES,
        Why.PRODUCER_RUNS,
    }
)
Past = Callable[[Planned], Sequence[PastRun]]
"""Callback that returns the last runs of a notebook, the oldest first."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The dependencies and products of a notebook.

    Attributes:
        depends_on: Its dependencies, except its own code.
        untracked: Descriptions of possible dependencies that cannot be verified.
        produced: The files that it wrote.
        removed: The files that it removed.
        tracer: The tracer of its run: `python` or `system`; empty if there was none.
    """

    depends_on: tuple[Dependency, ...] = ()
    untracked: tuple[str, ...] = ()
    produced: tuple[Produced, ...] = ()
    removed: tuple[str, ...] = ()
    tracer: str = ""


def changed_since(planned: Planned) -> str:
    """Return the change that made a notebook stale; empty if there is none."""
    reason = planned.decision.reason
    is_run = planned.decision.action in (Action.EXECUTE, Action.REFUSE)
    return reason.text if is_run and reason.why not in _NO_CHANGE else ""


def facts_of(planned: Planned, result: Result | None, trace: Trace | None) -> Facts:
    """Return the dependencies and products of a notebook.

    Args:
        planned: The planned notebook.
        result: The result on its page.
        trace: The trace of that run, if there is one.
    """
    if result is None:
        return Facts(_assets(planned))
    if trace is None and result.trace:
        # Another process pruned the store meanwhile, or the blob is damaged.
        return Facts(_assets(planned), ("what was seen of its run has gone from the store",))
    trace = trace or Trace()
    reasons = ["it was not traced"] if trace.tracked is None else []
    reasons += [trace.unreliable] if trace.unreliable else []
    return Facts(
        depends_on=tuple(dict.fromkeys(_dependencies(planned, trace))),
        untracked=(*reasons, *trace.untracked),
        produced=_produced(result, trace),
        removed=trace.removed,
        tracer=trace.tracer,
    )


def _assets(planned: Planned) -> tuple[Dependency, ...]:
    folder = PurePosixPath(planned.name).parent
    return tuple(Dependency("file", str(folder / asset)) for asset in planned.key.assets)


def _dependencies(planned: Planned, trace: Trace) -> Iterator[Dependency]:
    """Yield the dependencies of a run: files first, then modules, packages and the rest."""
    assets = _assets(planned)
    yield from assets
    # Each asset is also a declared dependency, as a file and as a folder.
    declared = {glob for asset in assets for glob in (asset.text, f"{asset.text}/**")}
    found = [
        dependency
        for fact in trace.facts
        if not (isinstance(fact, Declared) and fact.glob in declared)
        for dependency in _of_fact(fact, trace)
    ]
    yield from sorted(found, key=lambda item: (REPORT_KINDS.index(item.kind), item.text))


def _of_fact(fact: Fact, trace: Trace) -> Iterator[Dependency]:
    """Yield what the report shows of a fact; a module comes with the file that imports it."""
    importer = trace.by_importer(fact) if fact.kind is Kind.IMPORTS else ""
    for kind, text in fact.in_report():
        yield Dependency(kind, f"{text}, {importer}" if importer else text)


def _produced(result: Result, trace: Trace) -> tuple[Produced, ...]:
    """Return the files that a run wrote: those in the store first."""
    # The trace has all written files, the result those with a copy in the store. A temporary run
    # wrote its artifacts outside the root, where the trace lists nothing.
    kept = {artifact.path: artifact.size for artifact in result.artifacts}
    others = () if result.temporary else (written.path for written in trace.written)
    return tuple(Produced(path, kept.get(path)) for path in dict.fromkeys([*kept, *others]))


def no_past(_planned: Planned) -> tuple[PastRun, ...]:
    """Return no runs: the default if the history of a notebook is unknown."""
    return ()


class Draft:
    """The part of a report that is available without the store.

    A build without changes needs only this part, and reads neither traces nor blobs.

    Attributes:
        outline: The report without dependencies, written files, and sources of failed cells.
        digest: Digest of all data in the whole report.

    Args:
        notebooks: The outcome of each notebook.
        outline: The outline of the report on them.
    """

    def __init__(self, notebooks: Sequence[Settled], outline: Report) -> None:
        self.outline = outline
        self.digest = _digest(notebooks, outline)
        self._notebooks = tuple(notebooks)

    def reproducible(self) -> Draft:
        """Return the draft without the parts that vary between builds on the same store."""
        return Draft(self._notebooks, self.outline.without_what_varies())

    def whole(self, store: Store) -> Report:
        """Return the whole report.

        Args:
            store: The store with the traces and the sources of failed cells.
        """
        # One call for all traces is much faster than one for each notebook.
        results = [item.result.result for item in self._notebooks if item.result is not None]
        traces = store.traces(results)
        entries = (
            _with_facts(entry, item, store, traces)
            for entry, item in zip(self.outline.entries, self._notebooks, strict=True)
        )
        return replace(self.outline, entries=tuple(entries))


def draft(
    run: Run,
    docnames: Mapping[str, str],
    past: Past = no_past,
    renderers: Sequence[str] = (),
) -> Draft:
    """Return the draft of the report on a run.

    Args:
        run: The outcome of the notebooks.
        docnames: The documents of notebooks, by name.
        past: Returns the last runs of a notebook.
        renderers: Titles of the extensions that render the notebooks instead of this one.
    """
    entries = tuple(
        _entry(item, docnames.get(item.planned.name, ""), past(item.planned))
        for item in run.notebooks
    )
    executed = any(item.ran_here for item in run.notebooks)
    report = Report(entries, run.seconds if executed else 0.0, renderers=tuple(renderers))
    return Draft(run.notebooks, report)


def draft_of_plan(plan: Plan, present: Mapping[str, Stored], past: Past = no_past) -> Draft:
    """Return the draft of the report on a plan, without running anything.

    Stale notebooks are listed as `to be executed`, or as `may be executed` if that depends on files
    that other notebooks will write.

    Args:
        plan: The plan.
        present: The results of the notebooks' present code, by name, including failed ones.
        past: Returns the last runs of a notebook.
    """
    entries = []
    shown = [Settled(item, present.get(item.name, item.decision.result)) for item in plan]
    for settled in shown:
        planned = settled.planned
        entry = _entry(settled, "", past(planned))
        decision = planned.decision
        # No notebook has been run, so the planned action is the outcome.
        outcome, reason = planned_outcome(decision.action), decision.reason.text
        entries.append(replace(entry, decision=outcome, reason=reason))
    return Draft(shown, Report(tuple(entries)))


def failed_source(result: Result, store: Store) -> str:
    """Return the source of the code cell at which a run failed; empty if unknown."""
    position = result.failure.position if result.failure is not None else None
    if position is None or not result.sources:
        return ""
    try:
        sources = msgspec.json.decode(store.blob(result.sources), type=Sources)
    except (OutputsError, msgspec.MsgspecError, ValueError):
        return ""
    # `contradiction` compares the position with the cells of the record, not with this blob.
    return sources[position] if 0 <= position < len(sources) else ""


def _digest(notebooks: Sequence[Settled], outline: Report) -> str:
    """Return the digest of a report from its outline and the digests of the missing parts."""
    # The version is included, because a new version may render the same data differently.
    results = ((item, item.result.result) for item in notebooks if item.result is not None)
    looked_up = [
        (item.planned.key.assets, result.trace, result.sources, result.artifacts, result.temporary)
        for item, result in results
    ]
    shown = (__version__, outline, looked_up)
    return content_digest(msgspec.json.encode(shown, order="deterministic"))[:32]


def _entry(item: Settled, docname: str, past: Sequence[PastRun]) -> ReportEntry:
    planned = item.planned
    decision, reason = settled_outcome(item)
    entry = ReportEntry(
        planned.name,
        docname,
        decision,
        reason,
        failed=item.failed,
        changed=changed_since(planned),
    )
    if item.result is None:
        return entry
    result = item.result.result
    return replace(
        entry,
        status=result.status.value,
        started=result.started,
        seconds=result.seconds,
        cells=_cells(item, result),
        failure=_failure(item, result),
        kernel=result.kernel,
        executor=result.executor,
        peak_memory=result.peak_memory,
        runs=tuple(ReportRun(r.started, r.seconds, r.status.value, r.reason) for r in past),
        retried=tuple(failed_attempts(result, planned.scan)),
        silent=tuple(map(broken_promise, item.kept_silent)),
    )


def _with_facts(
    entry: ReportEntry, item: Settled, store: Store, traces: Mapping[str, Trace]
) -> ReportEntry:
    result = item.result.result if item.result is not None else None
    facts = facts_of(item.planned, result, traces.get(result.trace) if result else None)
    failure = entry.failure
    if failure is not None and result is not None:
        failure = replace(failure, source=failed_source(result, store))
    return replace(
        entry,
        failure=failure,
        depends_on=facts.depends_on,
        untracked=facts.untracked,
        produced=facts.produced,
        removed=facts.removed,
        tracer=facts.tracer,
    )


def _cells(item: Settled, result: Result) -> tuple[ReportCell, ...]:
    # The page may show a result of earlier code, with another number of cells.
    numbers = (cell.number for cell in item.planned.scan.cells)
    return tuple(
        ReportCell(number or position, run.seconds, run.error)
        for position, (run, number) in enumerate(zip_longest(result.cells, numbers), start=1)
        if run is not None
    )


def _failure(item: Settled, result: Result) -> ReportFailure | None:
    if (failure := result.failure) is None:
        return None
    failed = ReportFailure(failure.name, failure.message, failure.traceback)
    if (place := item.failed_place) is None:
        return failed
    return replace(failed, cell=place.cell.number, line_in_cell=place.line, line=place.line_in_file)
