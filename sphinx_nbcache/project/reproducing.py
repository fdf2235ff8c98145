"""Runs notebooks with valid results again, and compares the outputs.

The results of these runs are not stored, and the previous content of written files is restored.
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
    """A cell with different outputs in the second run.

    Attributes:
        cell: The cell, with its number and line.
        diff: The beginning of the diff from the stored outputs to the new ones.
    """

    cell: ScannedCell
    diff: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of running a notebook again.

    Attributes:
        planned: The notebook.
        result: The stored result that the outputs were compared with.
        again: The result of the second run, which is not in the store.
        cells: The cells whose outputs differ.
    """

    planned: Planned
    result: Stored
    again: Result
    cells: tuple[CellDifference, ...]

    @property
    def is_same(self) -> bool:
        """Whether the second run succeeded with the same outputs."""
        return not self.cells and self.again.failure is None


class Reruns:
    """Runs notebooks again. It is also the ledger of these runs, which stores no results.

    Attributes:
        producers: For each notebook, the earlier ones that must end before it starts.

    Args:
        store: The store of the results.
        settings: The options.
        planner: Provides the history of notebooks.
        validity: Provides the dependencies of results.
        artifacts: The files that notebooks have written.
        observer: Observes the runs.
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
        self._settings = settings
        self._planner = planner
        self._validity = validity
        self._artifacts = artifacts
        self._observer = observer
        self._notify = notify
        # `clear_before` must spare the files of the other notebooks, which the ledger of a build
        # knows.
        self._build = BuildLedger(store, planner, validity, artifacts)
        self._last = RunOutputs([]), _UNTRACED
        self._stored: dict[str, Stored] = {}
        self._before: dict[str, dict[str, Artifact | None]] = {}
        self._found: dict[str, Comparison] = {}

    def of(self, run: Run, progress: Progress) -> tuple[Comparison, ...]:
        """Run the reused notebooks again, and return the comparison for each of them."""
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
                # Ctrl-C ends the scheduler before `settle`: restore the files of these runs too.
                for name in list(self._before):
                    self._put_back(name, _UNTRACED)
        return tuple(self._found[item.name] for item in notebooks if item.name in self._found)

    def _run(self, notebooks: list[Planned], progress: Progress) -> None:
        # `_last` holds the outputs of one run only. It is enough, because the scheduler calls
        # `settle` right after `commit`.
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
            # A failure counts as a difference, so it must not stop the other comparisons.
            may_stop=False,
        )
        scheduler.run(notebooks)

    def results(self, _planned: Planned) -> Sequence[Stored]:
        """Return no results, so that each notebook is run."""
        return ()

    def planned_again(self, _planned: Planned) -> None:
        """Skip a notebook that was edited: its outputs cannot be compared."""

    def objection(self, _planned: Planned, _stored: Stored, _others: object) -> None:
        """Return no objection. This method is not called, as there are no results."""

    def adopt(self, _planned: Planned, _stored: Stored) -> None:
        """Do nothing. This method is not called, as there are no results."""

    def written_by_others(self, name: str) -> Collection[str]:
        """Return the names of the files that other notebooks have written."""
        return self._artifacts.of_others(name)

    def commit(self, job: Job, result: Result, outcome: Outcome, observed: Observed) -> Stored:
        """Keep the outputs in memory until they are compared."""
        self._artifacts.note_run(job.notebook, observed.trace)
        self._last = outcome.outputs, observed.trace
        return Stored(0, "", result)

    def _one_by_one(self, names: list[str]) -> Mapping[str, frozenset[str]]:
        """Map each notebook to the earlier ones that must not run at the same time.

        While a notebook runs, its files temporarily differ from the ones that others have read.
        """
        results = {name: self._stored[name].result for name in names}
        prints = {name: self._validity.footprint([result]) for name, result in results.items()}
        # A notebook that writes the same file counts as a reader of it.
        reading = {
            name: Footprint(found.reads | found.writes, found.questions, found.writes)
            for name, found in prints.items()
        }
        # A conflict holds in both directions, as each run restores its files afterwards. To let
        # the later notebook wait for the earlier one cannot form a cycle.
        order = {name: number for number, name in enumerate(names)}
        waits: dict[str, set[str]] = {}
        for name, others in producers(reading).items():
            for other in others:
                first, second = sorted((name, other), key=order.__getitem__)
                waits.setdefault(second, set()).add(first)
        return {name: frozenset(others) for name, others in waits.items()}

    def clear_before(self, planned: Planned) -> Collection[str]:
        """Remember the present files, and prepare the state that the first run found."""
        # The inventory precedes `clear_before`, which removes files.
        result = self._stored[planned.name].result
        kept = () if result.temporary else result.artifacts
        self._before[planned.name] = {a.path: self._as_it_is(a) for a in kept}
        return self._build.clear_before(planned)

    def _as_it_is(self, artifact: Artifact) -> Artifact | None:
        state = self._artifacts.state_now(artifact.path)
        if state == GONE:
            return None
        found = Path(self._artifacts.path(artifact.path)).stat()
        # The store keeps a large file in pieces, whose digests only its artifact lists. Other
        # content can be restored only if the store has it in one piece.
        pieces = artifact.pieces if state == artifact.digest else ()
        mode = stat.S_IMODE(found.st_mode) & 0o777
        return Artifact(artifact.path, state, found.st_size, mode, artifact.created, pieces)

    def settle(self, settled: Settled) -> None:
        """Compare the outputs, and restore the previous files."""
        planned, stored = settled.planned, self._stored[settled.planned.name]
        outputs, trace = self._last
        if planned.name in self._before:
            self._put_back(planned.name, trace)
        # The notebook was removed or edited before its turn.
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
        # An inferred write may be the user's, so it is not undone.
        seen = {w.path: w for w in trace.written if not w.inferred}
        changes = [
            # If the run did not write the file, it is restored only where no file is now.
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
    """Yield the notebooks that reused a valid result older than this run, with that result."""
    # A notebook with the same code as one that was run has a new result as well.
    new = {item.result.digest for item in run.notebooks if item.ran_here and item.result}
    for settled in run.notebooks:
        stored = settled.result
        if stored is None or settled.failed or settled.ran_here or settled.ran_elsewhere:
            continue
        if stored.digest not in new:
            yield settled, stored
