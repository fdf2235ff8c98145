"""Dependencies, products and changes of a notebook: from records to plain words.

Only this module of the report knows where these facts are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from sphinx_nbcache.planning import Action, Planned, Why
from sphinx_nbcache.report.model import Dependency, Produced
from sphinx_nbcache.results.records import Result
from sphinx_nbcache.traces.facts import REPORT_KINDS, Declared
from sphinx_nbcache.traces.trace import Trace

# Reasons to run a notebook that are not changes.
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


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts about a notebook that the report shows besides its run.

    Attributes:
        depends_on: Its dependencies besides its own code.
        untracked: Possible dependencies that cannot be verified, in words.
        produced: The files that it wrote.
        removed: The files that it removed.
    """

    depends_on: tuple[Dependency, ...] = ()
    untracked: tuple[str, ...] = ()
    produced: tuple[Produced, ...] = ()
    removed: tuple[str, ...] = ()


def changed_since(planned: Planned) -> str:
    """Return the change since the last run of a notebook; empty if there is none."""
    reason = planned.decision.reason
    is_run = planned.decision.action in (Action.EXECUTE, Action.REFUSE)
    return reason.text if is_run and reason.why not in _NO_CHANGE else ""


def facts_of(planned: Planned, result: Result | None, trace: Trace | None) -> Facts:
    """Return the facts about a notebook.

    Args:
        planned: The planned notebook.
        result: The result that its page shows.
        trace: The trace of that run, if there is one.
    """
    if result is None:
        return Facts(_assets(planned))
    if trace is None and result.trace:
        return Facts(_assets(planned), ("what was seen of its run has gone from the store",))
    trace = trace or Trace()
    reasons = ["it was not traced"] if trace.tracked is None else []
    reasons += [trace.unreliable] if trace.unreliable else []
    return Facts(
        depends_on=tuple(dict.fromkeys(_dependencies(planned, trace))),
        untracked=(*reasons, *trace.untracked),
        produced=_produced(result, trace),
        removed=trace.removed,
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
        Dependency(kind, f"{text}, {by}" if by else text)
        for fact in trace.facts
        if not (isinstance(fact, Declared) and fact.glob in declared)
        for by in (trace.by_importer(fact),)
        for kind, text in fact.in_report()
    ]
    yield from sorted(found, key=lambda item: (REPORT_KINDS.index(item.kind), item.text))


def _produced(result: Result, trace: Trace) -> tuple[Produced, ...]:
    """Return the files that a run wrote: those that the store keeps, then the others."""
    kept = {artifact.path: artifact.size for artifact in result.artifacts}
    others = () if result.temporary else (written.path for written in trace.written)
    return tuple(Produced(path, kept.get(path)) for path in dict.fromkeys([*kept, *others]))
