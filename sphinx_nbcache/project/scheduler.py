"""The scheduler: it runs each notebook of a plan when a slot is free and its claim is granted."""

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
    from sphinx_nbcache.kernels.watching import Watchers

# How often to retry a claim that another build holds. File locks cannot notify a waiting process
# without blocking it: https://man7.org/linux/man-pages/man2/flock.2.html
_CLAIM_SECONDS = 0.05
# How often to poll jobs. `concurrent.futures.wait` without a timeout would hang if a future was
# cancelled before the call: https://github.com/python/cpython/issues/92001
_LOOK_SECONDS = 1.0
# How often to plan a notebook again that is edited while the build runs. An editor that saves all
# the time must not keep the build from ending.
_EDITS = 3


class Ledger(Protocol):
    """The scheduler's view of the plan, the store, and the results of the build.

    Attributes:
        producers: For each notebook, the notebooks that write what it reads and must be settled
            first.
    """

    producers: Mapping[str, frozenset[str]]

    def results(self, planned: Planned) -> Sequence[Stored]:
        """Return the results under a notebook's code key whose outputs are undamaged."""

    def planned_again(self, planned: Planned) -> Planned | None:
        """Plan a notebook again that was edited since, or had to wait for others.

        Return `None` if its file was removed.
        """

    def objection(
        self, planned: Planned, stored: Stored, others: Iterable[Stored]
    ) -> Reason | None:
        """Return why a notebook cannot use one of some results; `None` if it can."""

    def adopt(self, planned: Planned, stored: Stored) -> None:
        """Use an existing result for a notebook that was to be run."""

    def clear_before(self, planned: Planned) -> Collection[str]:
        """Clean up before a notebook is run.

        Return the names of the remaining files that its earlier runs seem to have written.
        """

    def written_by_others(self, name: str) -> Collection[str]:
        """Return the names of the files that other notebooks have written."""

    def commit(self, job: Job, result: Result, outcome: Outcome, observed: Observed) -> Stored:
        """Store the result of a run."""

    def settle(self, settled: Settled) -> None:
        """Record the final state of a notebook, before notebooks that depend on it start."""


@dataclass
class Scheduler:
    """Runs the notebooks of one plan.

    Attributes:
        ledger: Provides the results of notebooks, and records new ones.
        claims: The claims of this plan, which exclude those of other builds.
        settings: The options.
        progress: Receives the progress.
        observer: Records the dependencies of runs.
        former: Returns the durations of the last runs of notebooks, by name.
        since: The time of the plan, in seconds since the epoch.
        notify: Takes warnings.
        may_stop: Whether a failed notebook can end the run of the others (`nbcache_on_error`).
    """

    ledger: Ledger
    claims: Claims
    settings: Settings
    progress: Progress
    observer: Observer
    former: Callable[[Iterable[Planned]], Mapping[str, FormerRun]]
    since: float
    notify: Notify
    may_stop: bool = True
    _folder: Path = Path()
    _is_told: bool = False
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

        total = self._started + len(waiting)  # earlier rounds of this build count
        first = [group[0] for group in waiting]
        environment = with_changes(os.environ, self.settings.environment)
        # The zygote starts before the executor exists, so the slots of an executor from another
        # package are not known yet. They are set below, in `starts.variables`.
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
                    # Retry a denied claim soon; otherwise wait for a run to end.
                    is_claiming = waiting and self._has_slot(executor)
                    pause = _CLAIM_SECONDS if is_claiming else _LOOK_SECONDS
                    if self._running:
                        first_done(set(self._running), pause)
                        self._tell_of_cells()
                        self._finish_all()
                    elif waiting:
                        time.sleep(_CLAIM_SECONDS)
        finally:
            # After Ctrl-C or `on_error = "stop"`, commit the runs that ended in the meantime. Drop
            # cancelled futures first: `outcome_of` would turn them into failed results.
            for future in [future for future in self._running if future.cancelled()]:
                del self._running[future]
            self._finish_all()
            # Last: another build that is granted a claim must find the results above.
            self.claims.release_all()

    @contextmanager
    def _kernel_starts(
        self, groups: Sequence[Group], environment: Mapping[str, str]
    ) -> Iterator[KernelStarts]:
        from sphinx_nbcache.kernels.forked.first import first_zygote

        settings = self.settings
        notebooks = [group[0] for group in groups]
        key = notebooks[0].key
        watchers = self._watchers(notebooks)
        with first_zygote(
            settings.kernel_start, key.kernel, key.language, environment, self._folder, watchers
        ) as first:
            # Import nbclient only now: it takes as long as the zygote needs to start, so the two
            # overlap.
            from sphinx_nbcache.kernels.quick_import import import_nbclient

            import_nbclient()
            from sphinx_nbcache.kernels.forked.starts import kernel_starts

            cells = partial(_cells_of, notebooks)
            with kernel_starts(
                settings.kernel_start, settings.preload, cells, self.notify, first
            ) as starts:
                starts.watchers = watchers
                yield starts

    def _watchers(self, notebooks: Sequence[Planned]) -> Watchers | None:
        """Return what makes the system tracers of this round, in its temporary folder."""
        from sphinx_nbcache.kernels.watching import Watchers, why_not

        wanting = [planned for planned in notebooks if self.observer.wants_system(planned)]
        if not wanting:
            return None
        reason = why_not(self._folder)
        if reason is not None:
            text = f"the system tracer cannot be used here: {reason}; see nbcache_tracer"
            if not self._is_told:
                self.notify(Notice(Topic.EXECUTION, text, is_information=True))
                self._is_told = True
            return None
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Watchers(self._folder, is_for_python=any(map(self.observer.is_python, wanting)))

    def _make_executor(self, starts: KernelStarts) -> Executor:
        """Return the executor that the option names, or its fallback if it cannot be used."""
        from sphinx_nbcache.execution.executors import (
            UnknownExecutorError,
            fallback_of,
            make_executor,
        )
        from sphinx_nbcache.execution.runner import Runner

        # The callback runs in threads of the executor, but `Progress` promises calls in the thread
        # of the build. The queue passes them on.
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
        """Report the cells that began, from the thread of the build."""
        # A job that was finished in the meantime may still have cells in the queue.
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
            # The notebooks depend on each other in a cycle, which `acyclic` cannot rule out for
            # groups: waiting for one member means waiting for all. Start the first one anyway.
            begins = waiting[0][0].name
            self.ledger.producers = {
                n: of for n, of in self.ledger.producers.items() if n != begins
            }
        for _ in range(len(waiting)):
            if not self._has_slot(executor):
                return
            group = waiting.popleft()
            # A kernel is forked ahead for the folder of the next notebook.
            starts.expect(_next_folder(group, waiting))
            must_wait = is_alone(group) and bool(self._running)
            if must_wait or not self._start(executor, group, waiting, total):
                waiting.append(group)

    def _must_wait(self, group: Group) -> bool:
        """Tell whether notebooks of other groups may still write what this one reads."""
        # Members of the same group share one run, so they do not wait for each other.
        producers = self.ledger.producers.get(group[0].name, frozenset())
        return bool((producers & self._unsettled) - {planned.name for planned in group})

    def _start(self, executor: Executor, group: Group, waiting: deque[Group], total: int) -> bool:
        """Start or settle a notebook; return False if it must wait for others or its claim."""
        first, claims = group[0], self.claims
        if self._must_wait(group):
            return False
        # Its producers have ended: plan again, from the files that they have left.
        if first.decision.action is Action.DEPENDS:
            waiting.extendleft(reversed(self._planned_again(group, edited=False)))
            return True
        if not claims.try_claim(first.code_key):
            # This build itself may hold the claim, for a notebook with the same code but other
            # rules. Report only the wait for another build, and only once.
            if first.name not in self._awaited and not claims.holds(first.code_key):
                self._awaited.add(first.name)
                self.progress.waiting(first)
            return False
        # Look again with the claim held: another build may have committed a result between the
        # plan and the claim.
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
        # Clear only after the claim: another build could be running this notebook.
        left_over = self.ledger.clear_before(first)
        self._started += 1
        self.progress.started(first, self._started, total)
        watch = self.observer.begin(first, left_over)
        self._running[_submitted(executor, job)] = job, group, watch
        return True

    def _planned_again(self, group: Group, *, edited: bool = True) -> list[Group]:
        """Plan the first notebook of a group again: it was edited, or waited for others.

        A notebook that is edited too often is settled without a result.
        """
        # The others may still have the old code. They stay in the queue as a group of their own.
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

        A failure counts as well, if it was run with the same rules.
        """
        # With `force`, only results that are newer than the plan count. Two builds that are forced
        # at the same time then still share one run.
        is_named = planned.decision.reason.why is Why.FORCED
        is_forced = is_named or planned.scan.settings(self.settings).execute == "force"
        found = self.ledger.results(planned)
        for stored in found:
            result = stored.result
            is_valid = why_not(result, planned.rules, planned.scan) is None
            is_new = result.finished >= self.since
            objection = self.ledger.objection(planned, stored, found)
            if is_valid and objection is None and (is_new or not is_forced):
                return stored
            # A kernel that died sent no report, so its dependencies are unknown. To run it again
            # right away would only kill another kernel.
            is_same = objection is None or objection.why is Why.UNKNOWN_DEPENDENCIES
            if is_new and not is_valid and result.rules == planned.rules and is_same:
                return stored
        return None

    def _finish_all(self) -> None:
        """Commit every run that has ended; then raise if a failure is to stop the build."""
        # Commit all before raising: results of runs that ended at the same time would be lost.
        stopping = []
        for future in [future for future in self._running if future.done()]:
            stopping += self._finish(future)
        if stopping and self.may_stop:
            raise NotebookFailedError("; ".join(stopping))

    def _finish(self, future: Future[Outcome]) -> list[str]:
        """Commit a run that has ended; return a message if it failed and stops the build."""
        job, group, watch = self._running.pop(future)
        outcome = outcome_of(job, future)
        result = make_result(job, outcome, self._executor)
        others = self.ledger.written_by_others(job.notebook)
        observed = self.observer.end(group[0], watch, job, outcome, others)
        stored = self.ledger.commit(job, result, outcome, observed)
        _remove_kept(outcome)
        self._own.add(stored.digest)
        # Only after the commit: the next holder of the claim must find the result.
        self.claims.release(job.code_key)
        self._settle(group, stored, ran_here=True)
        failure = stored.result.failure
        stops = any(p.scan.settings(self.settings).on_error == "stop" for p in group)
        return [f"{job.notebook}: {failure.headline}"] if failure is not None and stops else []

    def _settle(self, group: Group, stored: Stored, *, ran_here: bool) -> None:
        """Settle the notebooks that share a result; the first of them is the one that was run."""
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
        # The cells only tell which modules to preload. A file that is unreadable by now is
        # reported when its own turn comes.
        with suppress(NotebookError, OSError):
            yield [item.cell.source for item in read_planned(planned).code_cells]


def _next_folder(group: Group, waiting: Sequence[Group]) -> str | None:
    """Return the folder of the next notebook, if it may run at the same time as this group."""
    # A temporary folder does not exist yet, so no kernel can be forked ahead for it.
    if not waiting or is_alone(group) or is_alone(waiting[0]) or waiting[0][0].key.temporary:
        return None
    return str(waiting[0][0].folder)


def _remove_kept(outcome: Outcome) -> None:
    """Remove the copies of a run's files, which may be large: the store has them now."""
    for file in outcome.files:
        with suppress(OSError):
            Path(file.kept_in).unlink()


def _submitted(executor: Executor, job: Job) -> Future[Outcome]:
    """Submit a job; if the executor does not accept it, the job fails."""
    # For example, `submit` raises RuntimeError after a shutdown:
    # https://docs.python.org/3/library/concurrent.futures.html#concurrent.futures.Executor
    try:
        return executor.submit(job)
    except Exception as error:  # noqa: BLE001 (executors may be another package's)
        future: Future[Outcome] = Future()
        future.set_exception(error)
        return future
