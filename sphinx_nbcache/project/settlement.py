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


class _Planner(Protocol):
    """What is asked of the planner."""

    changes: dict[str, list[Change]]

    def previous(self, name: str) -> list[Result]: ...

    def again(self, planned: Planned) -> Planned | None: ...


class Settlement:
    """The state of a plan's notebooks while it is carried out.

    Attributes:
        writers: Which notebooks have written a file in this build, by its name.

    Args:
        planner: Knows what notebooks last were.
        validity: Tells whether results still hold.
        artifacts: The files that notebooks have written.
    """

    def __init__(self, planner: _Planner, validity: Validity, artifacts: Artifacts) -> None:
        self.writers: dict[str, set[str]] = {}
        self._planner = planner
        self._validity = validity
        self._artifacts = artifacts
        self._settled: dict[str, Settled] = {}

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
                self.writers.setdefault(changed, set()).add(name)

    def planned_again(self, planned: Planned) -> Planned | None:
        """Plan a notebook anew; the reason tells which other one has rewritten what it reads."""
        again = self._planner.again(planned)
        if again is None:
            return None
        reason = blamed(again.decision.reason, again.name, self.writers)
        return replace(again, decision=replace(again.decision, reason=reason))

    def of(self, plan: Plan) -> tuple[Settled, ...]:
        """Return what became of the notebooks of a plan, in its order."""
        nothing = {planned.name: Settled(planned, planned.decision.result) for planned in plan}
        return tuple(self._settled.get(name, settled) for name, settled in nothing.items())

    def outdated(self, plan: Plan) -> list[Planned]:
        """Return the notebooks whose results do not hold any more, because others wrote files."""
        found = []
        for settled in self.of(plan):
            planned, stored = settled.planned, settled.result
            shown = settled.ran_here or planned.decision.action in (Action.REUSE, Action.DEPENDS)
            if stored is None or not (shown or settled.ran_elsewhere):
                continue
            objection = self._validity.changed_since(planned, stored)
            if objection is None:
                continue
            reason = blamed(objection, planned.name, self.writers)
            if reason is not objection:
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


def blamed(reason: Reason, name: str, writers: Mapping[str, set[str]]) -> Reason:
    """Return the reason, with the notebook that has changed what it names, if another one has.

    Args:
        reason: Why a notebook is run.
        name: That notebook.
        writers: Which notebooks have written a file in this build, by its name.
    """
    path = reason.path
    if reason.why is not Why.DEPENDENCY_CHANGED or not path:
        return reason
    others = {
        changed: by - {name}
        for changed, by in writers.items()
        if by - {name} and (changed == path or changed.startswith(path + "/") or path == ".")
    }
    if not others:
        return reason
    changed, by = min(others.items())
    who = ", ".join(sorted(by))
    return Reason(Why.REWRITTEN, f"reads {changed}, which {who} rewrote", path)
