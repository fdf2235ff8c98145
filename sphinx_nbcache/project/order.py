"""The order in which notebooks run: writers before readers, the longest first.

All functions here are pure, except for [](former_runs).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sphinx_nbcache.planning import Planned
from sphinx_nbcache.project.run import FormerRun
from sphinx_nbcache.results.records import Rules
from sphinx_nbcache.store.store import Store
from sphinx_nbcache.traces.fact import BaseFact
from sphinx_nbcache.traces.trace import Trace

Group = list[Planned]
"""Notebooks that share one run."""


@dataclass
class Footprint:
    """The names that the known runs of one notebook have read and written.

    Attributes:
        reads: Files that it reads or looks for.
        questions: Directories that it lists, and globs that are declared for it.
        writes: Files under the root that it writes or removes.
    """

    reads: set[str] = field(default_factory=set)
    questions: set[BaseFact] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)

    def add(self, trace: Trace) -> None:
        """Add the observations of one run."""
        for fact in trace.facts:
            self.reads.update(fact.paths)
            if (question := fact.question) is not None:
                self.questions.add(question)
        # The inferred writes of an unreliable run may be those of another notebook, so they must
        # not make this one a producer.
        self.writes.update(
            written.path
            for written in trace.written
            if trace.unreliable is None or not written.inferred
        )
        self.writes.update(trace.removed)

    def depends_on(self, path: str) -> bool:
        """Tell whether a change of a file can affect the notebook."""
        return path in self.reads or any(asked.concerns(path) for asked in self.questions)


def producers(footprints: Mapping[str, Footprint]) -> dict[str, frozenset[str]]:
    """Map each reader to the notebooks that write its inputs; most notebooks have no entry."""
    writers: dict[str, set[str]] = defaultdict(set)
    for name, footprint in footprints.items():
        for path in footprint.writes:
            writers[path].add(name)
    if not writers:
        return {}
    # Intersect with the inverted writes: a comparison of all pairs of notebooks is quadratic.
    found: dict[str, frozenset[str]] = {}
    for name, footprint in footprints.items():
        read = footprint.reads & writers.keys()
        if footprint.questions:
            read |= {path for path in writers if footprint.depends_on(path)}
        sources = {writer for path in read for writer in writers[path]} - {name}
        if sources:
            found[name] = frozenset(sources)
    return found


def in_order(names: Iterable[str], sources: Mapping[str, frozenset[str]]) -> list[str]:
    """Return names in topological order, dependencies first; otherwise keep their order.

    In a cycle, the name that comes first stays first.

    Args:
        names: The names, in their own order.
        sources: The names that each name depends on.
    """
    wanted = dict.fromkeys(names)
    ordered: dict[str, None] = {}
    entered: set[str] = set()
    # Not `graphlib`, which raises CycleError, and not recursive, as chains may be long:
    # https://docs.python.org/3/library/graphlib.html
    for first in wanted:
        stack = [(first, False)]
        while stack:
            name, is_ready = stack.pop()
            if is_ready:
                ordered[name] = None
            elif name not in entered:
                entered.add(name)
                stack.append((name, True))
                above = sources.get(name, frozenset())
                stack += [(n, False) for n in sorted(above, reverse=True) if n in wanted]
    return list(ordered)


def acyclic(
    order: Iterable[str], sources: Mapping[str, frozenset[str]]
) -> dict[str, frozenset[str]]:
    """Return the dependencies that agree with an order, which breaks all cycles."""
    before: set[str] = set()
    kept: dict[str, frozenset[str]] = {}
    for name in order:
        if found := sources.get(name, frozenset()) & before:
            kept[name] = found
        before.add(name)
    return kept


def former_runs(store: Store, notebooks: Iterable[Planned]) -> dict[str, FormerRun]:
    """Return the durations of the runs that pages last showed, by name of the notebook."""
    histories = store.histories(planned.name for planned in notebooks)
    results = store.records(history.result for history in histories.values())
    return {
        name: FormerRun(
            stored.result.seconds,
            {cell.digest: cell.seconds for cell in stored.result.cells if cell.seconds is not None},
        )
        for name, history in histories.items()
        if (stored := results.get(history.result)) is not None
    }


def same_runs(notebooks: Iterable[Planned]) -> list[Group]:
    """Group notebooks that can share one run: same code key, same rules."""
    # Rules, such as the timeout, are not part of the code key, but affect how a run ends.
    groups: dict[tuple[str, Rules], Group] = {}
    for planned in notebooks:
        groups.setdefault((planned.code_key, planned.rules), []).append(planned)
    return list(groups.values())


def in_start_order(
    groups: Iterable[Group], former: Mapping[str, FormerRun], slots: int
) -> Iterable[Group]:
    """Return groups in the order in which to start them; the order is stable.

    If several groups run at once, the longest start first: a long run that starts late delays the
    end of the build. Groups of unknown duration precede them. Groups that must run alone come last,
    when they no longer block others.

    Args:
        groups: Groups in the order of the plan.
        former: The durations of the last runs of notebooks, by name.
        slots: The number of groups that run at once.
    """

    # Longest processing time first, the usual heuristic for parallel jobs:
    # https://en.wikipedia.org/wiki/Longest-processing-time-first_scheduling
    def rank(group: Group) -> tuple[bool, float]:
        known = former.get(group[0].name)
        return is_alone(group), -known.seconds if known is not None else float("-inf")

    return groups if slots == 1 else sorted(groups, key=rank)


def is_alone(group: Group) -> bool:
    """Tell whether a group must run alone, because one of its notebooks requires it."""
    return any(planned.scan.alone for planned in group)
