"""Running notebooks again whose results are valid, to see whether their outputs are the same.

Such a run goes into nothing: its result is not kept, and the files that it has written give way
to those that were there before.
"""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sphinx_nbcache.config import Settings
from sphinx_nbcache.notebooks.scan import ScannedCell
from sphinx_nbcache.notices import Notice, Notify, Topic
from sphinx_nbcache.planning import Action, Decision, Planned, Reason, Why
from sphinx_nbcache.project.differences import differences
from sphinx_nbcache.project.jobs import Observed, Observer
from sphinx_nbcache.project.ledger import BuildLedger
from sphinx_nbcache.project.order import Footprint, former_runs, producers
from sphinx_nbcache.project.planner import Planner
from sphinx_nbcache.project.products import Artifacts, Change
from sphinx_nbcache.project.run import Progress, Run, Settled
from sphinx_nbcache.project.scheduler import Scheduler
from sphinx_nbcache.project.validity import Validity
from sphinx_nbcache.results.artifacts import Artifact
from sphinx_nbcache.results.outputs import OutputsError, RunOutputs
from sphinx_nbcache.results.records import Result, Stored
from sphinx_nbcache.store.store import Store
from sphinx_nbcache.traces.fingerprints import GONE
from sphinx_nbcache.traces.trace import Trace

if TYPE_CHECKING:
    from sphinx_nbcache.execution.job import Job, Outcome

_UNTRACED = Trace()
_REASON = Reason(Why.FORCED, "it is run again, to compare outputs")


@dataclass(frozen=True, slots=True)
class CellDifference:
    """A cell that shows something else when it is run again.

    Attributes:
        cell: The cell, with its number and line.
        diff: The beginning of what differs, from the stored outputs to the new ones.
    """

    cell: ScannedCell
    diff: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of running a notebook again.

    Attributes:
        planned: The notebook.
        result: The stored result with which its outputs were compared.
        again: The result of the second run. It is not in the store.
        cells: The cells whose outputs differ.
    """

    planned: Planned
    result: Stored
    again: Result
    cells: tuple[CellDifference, ...]

    @property
    def is_same(self) -> bool:
        """Whether the second run ended well, with the same outputs."""
        return not self.cells and self.again.failure is None


class Reruns:
    """Runs notebooks again. It is the ledger of these runs, which keeps no result.

    Attributes:
        producers: For each notebook those before it that must have ended.

    Args:
        store: Where the results are.
        settings: The options.
        planner: Knows what notebooks last were.
        validity: Knows what results depend on.
        artifacts: The files that notebooks have written.
        observer: Watches what runs do.
        notify: Takes warnings.
    """

    def __init__(  # noqa: PLR0913 (what a project consists of)
        self,
        *,
        store: Store,
        settings: Settings,
        planner: Planner,
        validity: Validity,
        artifacts: Artifacts,
        observer: Observer,
        notify: Notify,
    ) -> None:
        self._store = store
        self.producers: Mapping[str, frozenset[str]] = {}
        # A failure counts as a difference.
        self._settings = replace(settings, on_error="warn")
        self._planner = planner
        self._validity = validity
        self._artifacts = artifacts
        self._observer = observer
        self._notify = notify
        # The ledger of the build knows the files of the other notebooks.
        self._build = BuildLedger(store, planner, validity, artifacts)
        self._last = RunOutputs([]), _UNTRACED
        self._stored: dict[str, Stored] = {}
        self._before: dict[str, dict[str, Artifact | None]] = {}
        self._found: dict[str, Comparison] = {}

    def of(self, run: Run, progress: Progress) -> tuple[Comparison, ...]:
        """Run again what was reused, and return what came of each notebook."""
        reused = list(_reused(run))
        self._stored = {settled.planned.name: stored for settled, stored in reused}
        notebooks = [
            replace(settled.planned, decision=Decision(Action.EXECUTE, _REASON))
            for settled, _ in reused
        ]
        for settled in run.notebooks:
            self._build.settle(settled)
        if notebooks:
            try:
                self._run(notebooks, progress)
            finally:
                # Clean up after interrupted runs.
                for name in list(self._before):
                    self._put_back(name, _UNTRACED)
        return tuple(self._found[item.name] for item in notebooks if item.name in self._found)

    def _run(self, notebooks: list[Planned], progress: Progress) -> None:
        self.producers = self._one_by_one([planned.name for planned in notebooks])
        self._artifacts.writers.clear()
        scheduler = Scheduler(
            ledger=self,
            claims=self._store.claims(),
            settings=self._settings,
            progress=progress,
            observer=self._observer,
            former=partial(former_runs, self._store),
            since=0.0,
            notify=self._notify,
        )
        scheduler.run(notebooks)

    def results(self, _planned: Planned) -> Sequence[Stored]:
        """Return no result: each notebook has to be run."""
        return ()

    def planned_again(self, _planned: Planned) -> None:
        """Leave out a notebook that was edited: its outputs cannot be compared."""

    def objection(self, _planned: Planned, _stored: Stored) -> None:
        """Object to nothing: there are no results to choose from."""

    def adopt(self, _planned: Planned, _stored: Stored) -> None:
        """Take no other result."""

    def written_by_others(self, name: str) -> Collection[str]:
        """Return the names of the files that other notebooks have written."""
        return self._artifacts.of_others(name)

    def commit(self, job: Job, result: Result, outcome: Outcome, observed: Observed) -> Stored:
        """Keep the outputs until they are compared, and nothing in the store."""
        trace = observed.trace
        self._artifacts.note_written(job.notebook, (*trace.changed(), *trace.made_folders()))
        self._last = outcome.outputs, trace
        return Stored(0, "", result)

    def _one_by_one(self, names: list[str]) -> Mapping[str, frozenset[str]]:
        """Return of each notebook those before it that it must not run beside.

        While one of them runs, the files that it writes are not what others have read.
        """
        results = {name: self._stored[name].result for name in names}
        prints = {name: self._validity.footprint([result]) for name, result in results.items()}
        # A notebook that writes the same file counts as a reader of it.
        reading = {
            name: Footprint(found.reads | found.writes, found.questions, found.writes)
            for name, found in prints.items()
        }
        order = {name: number for number, name in enumerate(names)}
        waits: dict[str, set[str]] = {}
        for name, others in producers(reading).items():
            for other in others:
                first, second = sorted((name, other), key=order.__getitem__)
                waits.setdefault(second, set()).add(first)
        return {name: frozenset(others) for name, others in waits.items()}

    def clear_before(self, planned: Planned) -> Collection[str]:
        """Let a run find what the first one has found, and remember what was there."""
        result = self._stored[planned.name].result
        kept = () if result.temporary else result.artifacts
        self._before[planned.name] = {a.path: self._as_it_is(a) for a in kept}
        return self._build.clear_before(planned)

    def _as_it_is(self, artifact: Artifact) -> Artifact | None:
        state = self._artifacts.state_now(artifact.path)
        if state == GONE:
            return None
        found = Path(self._artifacts.path(artifact.path)).stat()
        pieces = artifact.pieces if state == artifact.digest else ()
        mode = stat.S_IMODE(found.st_mode) & 0o777
        return Artifact(artifact.path, state, found.st_size, mode, artifact.created, pieces)

    def settle(self, settled: Settled) -> None:
        """Compare, and put back what was there."""
        planned, stored = settled.planned, self._stored[settled.planned.name]
        outputs, trace = self._last
        if planned.name in self._before:
            self._put_back(planned.name, trace)
        if settled.result is None:
            return
        try:
            found = differences(self._store.outputs(stored.result), outputs)
        except OutputsError as error:
            text = f"its outputs cannot be compared: {error}"
            self._notify(Notice(Topic.STORE, text, planned.path))
            return
        cells = planned.scan.cells
        self._found[planned.name] = Comparison(
            planned,
            stored,
            settled.result.result,
            tuple(CellDifference(cells[n], diff) for n, diff in sorted(found.items())),
        )

    def _put_back(self, name: str, trace: Trace) -> None:
        before, folders = self._before.pop(name), trace.made_folders()
        # A write that was not seen may be the user's.
        seen = {w.path: w for w in trace.written if not w.inferred}
        changes = [
            # Where the run left nothing, the file is put back only if nothing is there.
            Change(
                path, artifact, seen[path].digest if path in seen else GONE, name, _mode(artifact)
            )
            for path, artifact in before.items()
            if artifact is not None or path in seen
        ]
        changes += [
            Change(path, None, written.digest, name, folders=folders)
            for path, written in seen.items()
            if written.created and path not in before
        ]
        self._artifacts.carry_out(changes)


def _mode(artifact: Artifact | None) -> int:
    return artifact.mode if artifact is not None else 0


def _reused(run: Run) -> Iterator[tuple[Settled, Stored]]:
    """Yield the notebooks whose valid results are older than this run, with them."""
    new = {item.result.digest for item in run.notebooks if item.ran_here and item.result}
    for settled in run.notebooks:
        stored = settled.result
        if stored is None or settled.failed or settled.ran_here or settled.ran_elsewhere:
            continue
        if stored.digest not in new:
            yield settled, stored
