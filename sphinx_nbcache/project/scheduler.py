"""Running the notebooks of a plan, each when there is a slot for it and its claim is granted."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Protocol

from sphinx_nbcache.config import Settings
from sphinx_nbcache.notebooks.notebook import NotebookError
from sphinx_nbcache.notices import Notice, Notify, Topic
from sphinx_nbcache.planning import Action, Planned, Reason, Why, why_not
from sphinx_nbcache.project.jobs import (
    Observed,
    Observer,
    SourceChangedError,
    WatchedRun,
    make_job,
    make_result,
    outcome_of,
    read_planned,
)
from sphinx_nbcache.project.order import Group, in_start_order, is_alone, same_runs
from sphinx_nbcache.project.run import FormerRun, NotebookFailedError, Progress, Settled
from sphinx_nbcache.results.records import Result, Stored
from sphinx_nbcache.store.claims import Claims

if TYPE_CHECKING:
    from sphinx_nbcache.execution.executors import Executor
    from sphinx_nbcache.execution.job import Job, Outcome
    from sphinx_nbcache.kernels.choosing import KernelStarts

# How often to look whether another build is done with a notebook.
_CLAIM_SECONDS = 0.05
# How often to poll jobs: a cancelled future may not wake the waiting thread.
_LOOK_SECONDS = 1.0
# How often to plan a notebook again that is edited while the build runs.
_EDITS = 3


class Ledger(Protocol):
    """The scheduler's view of what notebooks are, were, and become.

    Attributes:
        producers: For each notebook, the notebooks that write what it reads and must be settled
            first.
    """

    producers: Mapping[str, frozenset[str]]

    def results(self, planned: Planned) -> Sequence[Stored]:
        """Return the results under a notebook's code key whose outputs are whole."""

    def planned_again(self, planned: Planned) -> Planned | None:
        """Plan a notebook again that was edited since, or had to wait for others.

        Return `None` if its file is gone.
        """

    def objection(self, planned: Planned, stored: Stored) -> Reason | None:
        """Return why a notebook cannot use a result; `None` if it can."""

    def adopt(self, planned: Planned, stored: Stored) -> None:
        """Take a result for a notebook that was to be run."""

    def clear_before(self, planned: Planned) -> Collection[str]:
        """Clean up before a notebook is run.

        Return the names of files that its earlier runs seem to have written, and that stay.
        """

    def written_by_others(self, name: str) -> Collection[str]:
        """Return the names of the files that other notebooks have written."""

    def commit(self, job: Job, result: Result, outcome: Outcome, observed: Observed) -> Stored:
        """Take the result of a run."""

    def settle(self, settled: Settled) -> None:
        """Record what became of a notebook, before others that depend on it start."""


@dataclass
class Scheduler:
    """Runs the notebooks of one plan.

    Attributes:
        ledger: Knows the notebooks, and takes their results.
        claims: The claims of this plan, and where those of others are seen.
        settings: The options.
        progress: Receives the progress.
        observer: Watches what runs depend on.
        former: Returns how long notebooks took when they were last run, by name.
        since: When the plan was made, in seconds since the epoch.
        notify: Takes warnings.
    """

    ledger: Ledger
    claims: Claims
    settings: Settings
    progress: Progress
    observer: Observer
    former: Callable[[Iterable[Planned]], Mapping[str, FormerRun]]
    since: float
    notify: Notify
    _folder: Path = Path()
    _executor: str = ""
    _running: dict[Future[Outcome], tuple[Job, Group, WatchedRun]] = field(default_factory=dict)
    _unsettled: set[str] = field(default_factory=set)
    _awaited: set[str] = field(default_factory=set)
    _own: set[str] = field(default_factory=set)
    _replanned: Counter[str] = field(default_factory=Counter)
    _started: int = 0
    _cells: SimpleQueue[tuple[Job, int]] = field(default_factory=SimpleQueue)

    def run(self, notebooks: Sequence[Planned]) -> None:
        """Run these notebooks; results are committed as each one ends.

        Raises:
            NotebookFailedError: A notebook failed, and `nbcache_on_error = "stop"`.
        """
        from sphinx_nbcache.files.temporary import work_folder

        self._unsettled = {planned.name for planned in notebooks}
        with work_folder() as self._folder:
            self._take_all(deque(same_runs(notebooks)))

    def _take_all(self, waiting: deque[Group]) -> None:
        from sphinx_nbcache.execution.executors import slots_of
        from sphinx_nbcache.kernels.environment import thread_limits, usable_cores, with_changes
        from sphinx_nbcache.kernels.specs import ipython_folder_as_found

        total = self._started + len(waiting)  # rounds before this one count
        first = [group[0] for group in waiting]
        environment = with_changes(os.environ, self.settings.environment)
        # As it will be, unless the executor is another package's: that is asked when it is made.
        slots = slots_of(self.settings.executor, self.settings.jobs) or 1
        limits = thread_limits(slots, usable_cores(), environment)
        try:
            with (
                ipython_folder_as_found(environment),
                self._kernel_starts(waiting, environment | limits) as starts,
                self._make_executor(starts) as executor,
            ):
                from sphinx_nbcache.execution.executors import first_done

                former = self.former(first)
                waiting = deque(in_start_order(waiting, former, executor.slots))
                starts.variables = thread_limits(executor.slots, usable_cores(), environment)
                self.progress.queued(first, former, executor.slots)
                while waiting or self._running:
                    self._fill_slots(executor, starts, waiting, total)
                    self._tell_of_cells()
                    # While a claim is not granted, look again soon; else wait for a run to end.
                    is_claiming = waiting and self._has_slot(executor)
                    pause = _CLAIM_SECONDS if is_claiming else _LOOK_SECONDS
                    if self._running:
                        first_done(set(self._running), pause)
                        self._tell_of_cells()
                        self._finish_all()
                    elif waiting:
                        time.sleep(_CLAIM_SECONDS)
        finally:
            # Ctrl-C, or `stop`: what has ended meanwhile is kept, and what was cancelled is not.
            for future in [future for future in self._running if future.cancelled()]:
                del self._running[future]
            self._finish_all()
            self.claims.release_all()

    @contextmanager
    def _kernel_starts(
        self, groups: Sequence[Group], environment: Mapping[str, str]
    ) -> Iterator[KernelStarts]:
        from sphinx_nbcache.kernels.forked.first import first_zygote

        settings = self.settings
        notebooks = [group[0] for group in groups]
        key = notebooks[0].key
        with first_zygote(
            settings.kernel_start, key.kernel, key.language, environment, self._folder
        ) as first:
            # Only now: what is imported here takes as long as what happens in that process.
            from sphinx_nbcache.kernels.quick_import import import_nbclient

            import_nbclient()
            from sphinx_nbcache.kernels.forked.starts import kernel_starts

            cells = partial(_cells_of, notebooks)
            with kernel_starts(
                settings.kernel_start, settings.preload, cells, self.notify, first
            ) as starts:
                yield starts

    def _make_executor(self, starts: KernelStarts) -> Executor:
        """Return the executor that the option names, or another one if it cannot be used."""
        from sphinx_nbcache.execution.executors import (
            UnknownExecutorError,
            fallback_of,
            make_executor,
        )
        from sphinx_nbcache.execution.runner import Runner

        runner = Runner(lambda job, position: self._cells.put((job, position)), starts)
        self._executor, jobs = self.settings.executor, self.settings.jobs
        try:
            return make_executor(self._executor, jobs, runner)
        except UnknownExecutorError as error:
            self._executor = fallback_of(self.settings.executor)
            text = (
                f"nbcache_executor = {self.settings.executor!r} cannot be used: {error};"
                f" {self._executor!r} is used"
            )
            self.notify(Notice(Topic.CONFIG, text, option="nbcache_executor"))
            return make_executor(self._executor, jobs, runner)

    def _tell_of_cells(self) -> None:
        """Tell which cells have begun: runs themselves say so in other threads."""
        groups = {id(job): group for job, group, _ in self._running.values()}
        with suppress(Empty):
            while True:
                job, position = self._cells.get_nowait()
                if id(job) in groups:
                    self.progress.cell_started(groups[id(job)][0], position)
        self.progress.still_running()

    def _has_slot(self, executor: Executor) -> bool:
        groups = (group for _, group, _ in self._running.values())
        return len(self._running) < executor.slots and not any(map(is_alone, groups))

    def _fill_slots(
        self, executor: Executor, starts: KernelStarts, waiting: deque[Group], total: int
    ) -> None:
        if not self._running and all(map(self._must_wait, waiting)):
            # They wait for each other in a circle: one of them has to begin.
            begins = waiting[0][0].name
            self.ledger.producers = {
                n: of for n, of in self.ledger.producers.items() if n != begins
            }
        for _ in range(len(waiting)):
            if not self._has_slot(executor):
                return
            group = waiting.popleft()
            starts.expect(_next_folder(group, waiting))
            must_wait = is_alone(group) and bool(self._running)
            if must_wait or not self._start(executor, group, waiting, total):
                waiting.append(group)

    def _must_wait(self, group: Group) -> bool:
        """Tell whether notebooks of other groups may still write what this one reads."""
        producers = self.ledger.producers.get(group[0].name, frozenset())
        return bool((producers & self._unsettled) - {planned.name for planned in group})

    def _start(self, executor: Executor, group: Group, waiting: deque[Group], total: int) -> bool:
        """Start a notebook, or settle it otherwise; False if it must wait for its claim."""
        first, claims = group[0], self.claims
        if self._must_wait(group):
            return False
        if first.decision.action is Action.DEPENDS:
            waiting.extendleft(reversed(self._planned_again(group, edited=False)))
            return True
        if not claims.try_claim(first.code_key):
            if first.name not in self._awaited and not claims.holds(first.code_key):
                self._awaited.add(first.name)
                self.progress.waiting(first)
            return False
        if found := self._found_since(first):
            claims.release(first.code_key)
            self.ledger.adopt(first, found)
            self._settle(group, found, ran_here=False)
            return True
        try:
            tracing = self.observer.tracing(first, self._folder)
            job = make_job(first, self._folder, tracing, self.settings.environment)
        except (SourceChangedError, NotebookError, OSError):
            claims.release(first.code_key)
            waiting.extend(self._planned_again(group))
            return True
        left_over = self.ledger.clear_before(first)
        self._started += 1
        self.progress.started(first, self._started, total)
        watch = self.observer.begin(first, left_over)
        self._running[_submitted(executor, job)] = job, group, watch
        return True

    def _planned_again(self, group: Group, *, edited: bool = True) -> list[Group]:
        """Plan the first notebook of a group again: it was edited, or waited for others.

        One that is edited faster than it can be planned is left as it was, without a result.
        """
        first, *others = group
        again = [others] if others else []
        self._replanned[first.name] += edited
        planned = self.ledger.planned_again(first)
        if planned is None:
            self._settle_one(Settled(first, None, is_gone=True))
            self.progress.spared(first)
            return again
        if planned.decision.action is not Action.EXECUTE:
            self._settle_one(Settled(planned, planned.decision.result))
            self.progress.spared(planned)
            return again
        if self._replanned[first.name] <= _EDITS:
            again.append([planned])
        else:
            self._settle_one(Settled(planned, None))
            self.progress.spared(planned)
        return again

    def _found_since(self, planned: Planned) -> Stored | None:
        """Return a result that another build has committed since the plan was made.

        One that failed counts as well, if it was run by the same rules.
        """
        is_named = planned.decision.reason.why is Why.FORCED
        is_forced = is_named or self.settings.execute == "force"
        for stored in self.ledger.results(planned):
            result = stored.result
            is_valid = why_not(result, planned.rules, planned.scan) is None
            is_new = result.finished >= self.since
            objection = self.ledger.objection(planned, stored)
            if is_valid and objection is None and (is_new or not is_forced):
                return stored
            # The dependencies of a kernel that died are unknown.
            is_same = objection is None or objection.why is Why.UNKNOWN_DEPENDENCIES
            if is_new and not is_valid and result.rules == planned.rules and is_same:
                return stored
        return None

    def _finish_all(self) -> None:
        """Commit every run that has ended; then raise, if one failed and that is to stop all."""
        failed = []
        for future in [future for future in self._running if future.done()]:
            failed += self._finish(future)
        if failed and self.settings.on_error == "stop":
            raise NotebookFailedError("; ".join(failed))

    def _finish(self, future: Future[Outcome]) -> list[str]:
        """Commit a run that has ended; return what failed, in words."""
        job, group, watch = self._running.pop(future)
        outcome = outcome_of(job, future)
        result = make_result(job, outcome, self._executor)
        others = self.ledger.written_by_others(job.notebook)
        observed = self.observer.end(group[0], watch, job, outcome, others)
        stored = self.ledger.commit(job, result, outcome, observed)
        _remove_kept(outcome)
        self._own.add(stored.digest)
        # Only now: who is granted the claim must find the result.
        self.claims.release(job.code_key)
        self._settle(group, stored, ran_here=True)
        failure = stored.result.failure
        return [f"{job.notebook}: {failure.headline}"] if failure is not None else []

    def _settle(self, group: Group, stored: Stored, *, ran_here: bool) -> None:
        """Settle the notebooks that a result serves; the first of them is the one that was run."""
        for position, planned in enumerate(group):
            settled = Settled(
                planned,
                stored,
                ran_here=ran_here and position == 0,
                ran_elsewhere=stored.digest not in self._own,
            )
            self._settle_one(settled)
            self.progress.finished(settled)

    def _settle_one(self, settled: Settled) -> None:
        self._unsettled.discard(settled.planned.name)
        self.ledger.settle(settled)


def _cells_of(notebooks: Sequence[Planned]) -> Iterator[list[str]]:
    """Yield the code cells of each notebook that can be read."""
    for planned in notebooks:
        with suppress(NotebookError, OSError):
            yield [item.cell.source for item in read_planned(planned).code_cells]


def _next_folder(group: Group, waiting: Sequence[Group]) -> str | None:
    """Return where the notebook will be run that comes after one, if it may start beside it."""
    if not waiting or is_alone(group) or is_alone(waiting[0]) or waiting[0][0].key.temporary:
        return None
    return str(waiting[0][0].folder)


def _remove_kept(outcome: Outcome) -> None:
    """Remove what a run has left, now that the store has it: it may be large."""
    for file in outcome.files:
        with suppress(OSError):
            Path(file.kept_in).unlink()


def _submitted(executor: Executor, job: Job) -> Future[Outcome]:
    """Give a job to an executor; that it may fail to take it is a failure of the job."""
    try:
        return executor.submit(job)
    except Exception as error:  # noqa: BLE001 (executors may be another package's)
        future: Future[Outcome] = Future()
        future.set_exception(error)
        return future
