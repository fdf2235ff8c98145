"""Running notebooks again whose results are valid, to see whether their outputs are the same.

Such a run goes into nothing: its result is not kept, and the files that it has written give way
to those that were there before.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sphinx_nbcache.config import Settings
from sphinx_nbcache.notebooks.scan import ScannedCell
from sphinx_nbcache.notices import Notice, Notify, Topic
from sphinx_nbcache.planning import Action, Decision, Planned, Reason, Why
from sphinx_nbcache.project.differences import differences
from sphinx_nbcache.project.jobs import Observer
from sphinx_nbcache.project.ledger import Settlement
from sphinx_nbcache.project.order import Footprint, producers
from sphinx_nbcache.project.planner import Planner
from sphinx_nbcache.project.products import Artifacts, Change
from sphinx_nbcache.project.run import Progress, Run, Settled
from sphinx_nbcache.project.scheduler import Turns
from sphinx_nbcache.project.validity import Validity
from sphinx_nbcache.results.artifacts import Artifact, MadeFile
from sphinx_nbcache.results.outputs import OutputsError, RunOutputs
from sphinx_nbcache.results.records import Result, Stored
from sphinx_nbcache.store.store import Store
from sphinx_nbcache.traces.fingerprints import GONE
from sphinx_nbcache.traces.trace import Trace

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


class _Apart(Store):
    """A store that takes results, and keeps none: only the last one can be asked for."""

    def __init__(self, store: Store) -> None:
        self.folder, self.access = store.folder, store.access
        self.last = RunOutputs([]), _UNTRACED

    def commit(  # noqa: PLR0913 (as of every store)
        self,
        result: Result,
        outputs: RunOutputs,
        files: Iterable[MadeFile] = (),  # noqa: ARG002 (as of every store)
        sources: object = (),  # noqa: ARG002
        trace: Trace = _UNTRACED,
        *,
        checkout: str = "",  # noqa: ARG002
    ) -> Stored:
        """Keep nothing of a result."""
        self.last = outputs, trace
        return Stored(0, "", result)


class Reruns:
    """Runs notebooks again.

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
        self._apart = _Apart(store)
        # That one fails is a difference as others are.
        self._settings = replace(settings, on_error="warn")
        self._planner = planner
        self._validity = validity
        self._artifacts = artifacts
        self._observer = observer
        self._notify = notify
        self._settlement = Settlement(planner, validity, artifacts)
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
            self._settlement.settle(settled)
        if notebooks:
            try:
                self._turns(notebooks, progress).take(notebooks)
            finally:
                # Clean up after interrupted runs.
                for name in list(self._before):
                    self._put_back(name, _UNTRACED)
        return tuple(self._found[item.name] for item in notebooks if item.name in self._found)

    def _turns(self, notebooks: list[Planned], progress: Progress) -> Turns:
        return Turns(
            store=self._apart,
            claims=self._store.claims(),
            settings=self._settings,
            progress=progress,
            results=lambda _: (),
            # One that was edited meanwhile has no outputs that could be compared.
            replan=lambda _: None,
            observer=self._observer,
            objection=lambda *_: None,
            adopt=lambda *_: None,
            prepare=self._prepare,
            settle=self._settle,
            producers=self._one_by_one([planned.name for planned in notebooks]),
            written={},
            since=0.0,
            notify=self._notify,
        )

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

    def _prepare(self, planned: Planned) -> frozenset[str]:
        """Let a run find what the first one has found, and remember what was there."""
        result = self._stored[planned.name].result
        kept = () if result.temporary else result.artifacts
        self._before[planned.name] = {a.path: self._as_it_is(a) for a in kept}
        return self._settlement.clear_before(planned)

    def _as_it_is(self, artifact: Artifact) -> Artifact | None:
        state = self._artifacts.state_now(artifact.path)
        if state == GONE:
            return None
        found = Path(self._artifacts.path(artifact.path)).stat()
        pieces = artifact.pieces if state == artifact.digest else ()
        mode = stat.S_IMODE(found.st_mode) & 0o777
        return Artifact(artifact.path, state, found.st_size, mode, artifact.created, pieces)

    def _settle(self, settled: Settled) -> None:
        """Compare, and put back what was there."""
        planned, stored = settled.planned, self._stored[settled.planned.name]
        outputs, trace = self._apart.last
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
