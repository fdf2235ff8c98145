"""The ledger of a build: the final state of its notebooks, and of the files that they write."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sphinx_nbcache.notices import Notice, Topic
from sphinx_nbcache.planning import Action, Decision, Plan, Planned, Reason, Why
from sphinx_nbcache.project.jobs import Observed
from sphinx_nbcache.project.order import acyclic, in_order, producers
from sphinx_nbcache.project.planner import Planner
from sphinx_nbcache.project.products import Artifacts
from sphinx_nbcache.project.run import Settled
from sphinx_nbcache.project.validity import Validity
from sphinx_nbcache.results.artifacts import Artifact
from sphinx_nbcache.results.records import Result, Stored
from sphinx_nbcache.store.store import Store

if TYPE_CHECKING:
    from sphinx_nbcache.execution.job import Job, Outcome


class BuildLedger:
    """The ledger of a build: the final state of each notebook of a plan, and of its files.

    Attributes:
        producers: For each notebook, the notebooks that write what it reads.
        doubted: The results of the last [](outdated) that must not be reused: during their runs,
            another notebook wrote files that they observed.

    Args:
        store: The store that receives results.
        planner: Provides the history of notebooks.
        validity: Checks whether results are still valid.
        artifacts: The files that notebooks write.
    """

    def __init__(
        self, store: Store, planner: Planner, validity: Validity, artifacts: Artifacts
    ) -> None:
        self.producers: Mapping[str, frozenset[str]] = planner.producers
        self.doubted: list[Stored] = []
        self._store = store
        self._planner = planner
        self._validity = validity
        self._artifacts = artifacts
        self._settled: dict[str, Settled] = {}

    def begin(self, plan: Plan) -> None:
        """Settle the notebooks that are not run, which restores the files that they wrote."""
        # A project can be executed several times; writers of an earlier build do not count.
        self._artifacts.writers.clear()
        waiting = {planned.name for planned in plan.to_run}
        for planned in plan:
            if planned.name not in waiting:
                self.settle(Settled(planned, planned.decision.result))

    def settle(self, settled: Settled) -> None:
        """Record the result of a notebook, and change files accordingly."""
        name = settled.planned.name
        self._settled[name] = settled
        self._artifacts.settle(name, ran_here=settled.ran_here)
        if settled.ran_elsewhere and settled.result is not None:
            # This build may have taken fingerprints of the files before the other one wrote them.
            # To count them as written makes readers run again.
            trace = self._validity.trace(settled.result.result)
            if trace is not None and not settled.result.result.temporary:
                self._artifacts.note_run(name, trace)

    def results(self, planned: Planned) -> Sequence[Stored]:
        """Return the results under a notebook's code key whose outputs are undamaged."""
        return self._planner.whole_results(planned)

    def objection(
        self, planned: Planned, stored: Stored, others: Iterable[Stored]
    ) -> Reason | None:
        """Return why a notebook cannot use one of some results; `None` if it can."""
        return self._validity.objection(planned, stored, others)

    def adopt(self, planned: Planned, stored: Stored) -> None:
        """Plan the changes of files that a notebook needs to reuse a result after all."""
        self._planner.adopt(planned, stored)

    def clear_before(self, planned: Planned) -> frozenset[str]:
        """Remove the files that earlier runs of a notebook left, right before it is run.

        Returns:
            The names of the remaining files that its runs seem to have written.
        """
        before = self._settled.get(planned.name)
        shown = [before.result] if before is not None and before.result is not None else []
        old = [*shown, *self._planner.earlier(planned)]
        changes = self._validity.to_clear(planned, old)
        left_over = self._artifacts.left_over(old)
        if changes or left_over:
            others = self._artifacts_of_others(planned.name)
            written = {artifact.path for artifact in others}
            changes = [change for change in changes if change.name not in written]
            # Files whose writes by others were observed belong to these: the earlier run only
            # saw them appear.
            left_over -= {artifact.path for artifact in others if not artifact.inferred}
        self._artifacts.change(planned.name, changes)
        return left_over

    def written_by_others(self, name: str) -> set[str]:
        """Return the names of the files that other notebooks of this build have written."""
        return self._artifacts.of_others(name)

    def commit(self, job: Job, result: Result, outcome: Outcome, observed: Observed) -> Stored:
        """Store the result of a run, with its outputs, sources, trace, and the files it wrote."""
        self._artifacts.note_run(job.notebook, observed.trace)
        return self._store.commit(
            result,
            outcome.outputs,
            observed.files,
            [cell.source for cell in job.cells],
            observed.trace,
            checkout=self._artifacts.checkout,
        )

    def _artifacts_of_others(self, name: str) -> list[Artifact]:
        """Return the files that other notebooks of the plan have written."""
        return [
            artifact
            for other, settled in self._settled.items()
            for result in _results(settled)
            if other != name and not result.temporary
            for artifact in result.artifacts
        ]

    def planned_again(self, planned: Planned) -> Planned | None:
        """Plan a notebook again; the reason names the notebook that rewrote what it reads."""
        again = self._planner.again(planned)
        if again is None:
            return None
        reason = blamed(again.decision.reason, again.name, self._artifacts.writers)
        return replace(again, decision=replace(again.decision, reason=reason))

    def of(self, plan: Plan) -> tuple[Settled, ...]:
        """Return the final state of the notebooks of a plan, in its order."""
        nothing = {planned.name: Settled(planned, planned.decision.result) for planned in plan}
        return tuple(self._settled.get(name, settled) for name, settled in nothing.items())

    def settled(self, plan: Plan) -> tuple[Settled, ...]:
        """Return the state of the notebooks of a plan that are settled already, in its order."""
        return tuple(settled for settled in self.of(plan) if settled.planned.name in self._settled)

    def outdated(self, plan: Plan) -> list[Planned]:
        """Return the notebooks whose results became stale, because others wrote files."""
        found = []
        self.doubted = []
        for settled in self.of(plan):
            planned, stored = settled.planned, settled.result
            shown = settled.ran_here or planned.decision.action in (Action.REUSE, Action.DEPENDS)
            if stored is None or not (shown or settled.ran_elsewhere):
                continue
            reason = self._rewritten_meanwhile(settled)
            if reason is not None:
                self.doubted.append(stored)
            elif objection := self._validity.changed_since(planned, stored):
                # Only changes by notebooks of this build count. If a user edits a file during the
                # build, the next build notices.
                blamed_on = blamed(objection, planned.name, self._artifacts.writers)
                reason = blamed_on if blamed_on is not objection else None
            if reason is not None:
                decision = Decision(Action.EXECUTE, reason)
                found.append(replace(planned, decision=decision))
        # After the loop: the writers must stay the same for all notebooks that it judges.
        for stored in self.doubted:
            self._unblame(stored.result)
        return found

    def _unblame(self, result: Result) -> None:
        """Discard the inferred writes of a doubted run, which may be those of other notebooks."""
        trace = self._validity.trace(result)
        for written in trace.written if trace is not None else ():
            if written.inferred:
                self._artifacts.writers.get(written.path, set()).discard(result.notebook)

    def find_producers(self, plan: Plan) -> None:
        """Update the producers: after the runs, more reads and writes are known."""
        # Files in a temporary folder are seen by no other notebook.
        footprints = {
            settled.planned.name: self._validity.footprint(_results(settled))
            for settled in self.of(plan)
            if not any(result.temporary for result in _results(settled))
        }
        found = producers(footprints)
        found = acyclic(in_order(footprints, found), found)
        self.producers = {**self._planner.producers, **found}

    def _rewritten_meanwhile(self, settled: Settled) -> Reason | None:
        """Return the reason if another notebook wrote files that this one observed in its run.

        Its observations are then uncertain, and inferred writes may belong to the other notebook.
        """
        name = settled.planned.name
        trace = self._validity.trace(settled.result.result) if settled.result else None
        if settled.ran_elsewhere and self._is_withdrawn(settled):
            return Reason(Why.REWRITTEN, "the build that ran it has withdrawn its result")
        if trace is None or not (settled.ran_here or settled.ran_elsewhere):
            return None
        inferred = {written.path for written in trace.written if written.inferred}
        for path, by in sorted(self._artifacts.writers.items()):
            others = ", ".join(sorted(by - {name}))
            # `unreliable` is a text that starts with the file in doubt: see `Trace`.
            doubted = path in inferred or (trace.unreliable or "").startswith(f"{path} ")
            if others and doubted:
                return Reason(Why.REWRITTEN, f"reads {path}, which {others} rewrote", path)
        return None

    def _is_withdrawn(self, settled: Settled) -> bool:
        """Tell whether the other build that ran a notebook has withdrawn its result."""
        present = {stored.digest for stored in self._planner.whole_results(settled.planned)}
        return settled.result is not None and settled.result.digest not in present

    def notices(self) -> Iterator[Notice]:
        """Yield a warning for each file to which several notebooks write different content."""
        by_path: dict[str, dict[str, str]] = defaultdict(dict)
        for name, settled in self._settled.items():
            result = settled.result.result if settled.result is not None else None
            if result is not None and not result.temporary:
                for artifact in result.artifacts:
                    by_path[artifact.path][name] = artifact.digest
        for path, contents in sorted(by_path.items()):
            if len(set(contents.values())) > 1:
                names = ", ".join(sorted(contents))
                last = self._artifacts.owners.get(path) or max(contents)
                text = (
                    f"{path} is written by several notebooks ({names}); what {last} writes counts"
                )
                yield Notice(Topic.ARTIFACT, text)


def _results(settled: Settled) -> list[Result]:
    return [settled.result.result] if settled.result is not None else []


def blamed(reason: Reason, name: str, writers: Mapping[str, set[str]]) -> Reason:
    """Return the reason, extended by the notebook that changed the named file, if one did.

    Args:
        reason: Why a notebook is run.
        name: The notebook.
        writers: The notebooks that wrote a file in this build, by the name of the file.
    """
    path = reason.path
    if reason.why is not Why.DEPENDENCY_CHANGED or not path:
        return reason
    # The path of a directory listing is the directory: a write below it changes the listing. The
    # root is listed as `.`.
    others = {
        changed: by - {name}
        for changed, by in writers.items()
        if by - {name} and (changed == path or changed.startswith(path + "/") or path == ".")
    }
    if not others:
        return reason
    # Any choice is correct; the smallest name makes messages reproducible.
    changed, by = min(others.items())
    who = ", ".join(sorted(by))
    return Reason(Why.REWRITTEN, f"reads {changed}, which {who} rewrote", path)
