"""What becomes of the notebooks of a plan, and of the files that they write."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Protocol

from sphinx_nbcache.notices import Notice, Topic
from sphinx_nbcache.planning import Action, Decision, Plan, Planned, Reason, Why
from sphinx_nbcache.project.artifacts import Artifacts, Change
from sphinx_nbcache.project.run import Settled
from sphinx_nbcache.project.validity import Validity
from sphinx_nbcache.store.records import Result
from sphinx_nbcache.store.store import Store


class _Planner(Protocol):
    """What is asked of the planner."""

    changes: dict[str, list[Change]]

    def previous(self, name: str) -> list[Result]: ...


class Settlement:
    """The state of a plan's notebooks while it is carried out.

    Args:
        store: The store.
        planner: Knows what notebooks last were.
        validity: Tells whether results still hold.
        artifacts: The files that notebooks have written.
    """

    def __init__(
        self, store: Store, planner: _Planner, validity: Validity, artifacts: Artifacts
    ) -> None:
        self._store = store
        self._planner = planner
        self._validity = validity
        self._artifacts = artifacts
        self._settled: dict[str, Settled] = {}
        self._written_here: dict[str, set[str]] = defaultdict(set)

    def begin(self, plan: Plan) -> None:
        """Settle the notebooks that are not run: put back what they once wrote."""
        waiting = {planned.name for planned in plan.to_run}
        for planned in plan:
            if planned.name not in waiting:
                self.settle(Settled(planned, planned.decision.result))

    def settle(self, settled: Settled) -> None:
        """Take note of what became of a notebook, and change files accordingly."""
        name = settled.planned.name
        before = self._settled.get(name)
        self._settled[name] = settled
        changes = self._planner.changes.pop(name, [])
        result = settled.result.result if settled.result is not None else None
        if settled.ran_here and result is not None:
            old = [before.result.result] if before and before.result else []
            changes = self._validity.to_remove(name, [*old, *self._planner.previous(name)], result)
        if changes:
            for changed in self._artifacts.carry_out(changes):
                self._written_here[changed].add(name)

    def of(self, plan: Plan) -> tuple[Settled, ...]:
        """Return what became of the notebooks of a plan, in its order."""
        nothing = {planned.name: Settled(planned, planned.decision.result) for planned in plan}
        return tuple(self._settled.get(name, settled) for name, settled in nothing.items())

    def outdated(self, plan: Plan, written: Mapping[str, set[str]]) -> list[Planned]:
        """Return the notebooks whose results do not hold any more, because others wrote files.

        Args:
            plan: The plan.
            written: Which notebooks have written a file in this build, by its name.
        """
        writers = {
            path: written.get(path, set()) | self._written_here.get(path, set())
            for path in {*written, *self._written_here}
        }
        found = []
        for settled in self.of(plan):
            planned, stored = settled.planned, settled.result
            shown = settled.ran_here or planned.decision.action in (Action.REUSE, Action.DEPENDS)
            if stored is None or not (shown or settled.ran_elsewhere):
                continue
            trace = self._validity.trace(stored.result)
            if trace is None or trace.unreliable is not None:
                continue
            fault = self._validity.mismatch(planned, stored.result)
            if fault is None or fault.fact is None:
                continue
            if reason := _blame(planned.name, getattr(fault.fact, "path", ""), fault.text, writers):
                decision = Decision(Action.EXECUTE, reason)
                found.append(replace(planned, decision=decision))
        return found

    def notices(self) -> Iterator[Notice]:
        """Yield what has to be said of files that several notebooks write."""
        by_path: dict[str, dict[str, str]] = defaultdict(dict)
        for name, settled in self._settled.items():
            result = settled.result.result if settled.result is not None else None
            if result is not None and not result.temporary:
                for artifact in result.artifacts:
                    by_path[artifact.path][name] = artifact.digest
        for path, contents in sorted(by_path.items()):
            if len(set(contents.values())) > 1:
                names = ", ".join(sorted(contents))
                last = self._validity.owners.get(path) or max(contents)
                text = (
                    f"{path} is written by several notebooks ({names}); what {last} writes counts"
                )
                yield Notice(Topic.ARTIFACT, text)


def _blame(name: str, path: str, text: str, writers: Mapping[str, set[str]]) -> Reason | None:
    """Return why a notebook is run again; `None` if no other one has changed what it read."""
    others = {
        changed: by - {name}
        for changed, by in writers.items()
        if by - {name} and (changed == path or changed.startswith(path + "/") or path == ".")
    }
    if not others:
        return None
    changed, by = min(others.items())
    who = ", ".join(sorted(by))
    return Reason(Why.REWRITTEN, f"reads {changed}, which {who} rewrote ({text})")
