"""Running the notebooks of a plan, each when there is a slot for it and its claim is granted."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sphinx_nbcache.config import Settings
from sphinx_nbcache.notebooks.model import NotebookError
from sphinx_nbcache.planning import Action, Planned, why_not
from sphinx_nbcache.project.jobs import SourceChangedError, make_job, make_result
from sphinx_nbcache.project.run import NotebookFailedError, Progress, Settled
from sphinx_nbcache.store.records import Rules, Stored
from sphinx_nbcache.store.store import Store

if TYPE_CHECKING:
    from sphinx_nbcache.execution.executors import Executor
    from sphinx_nbcache.execution.job import Job, Outcome

# How often to look whether another build is done with a notebook.
_CLAIM_SECONDS = 0.05
# How often a notebook is planned anew that is edited while the build runs.
_EDITS = 3

Lookup = Callable[[Planned], Sequence[Stored]]
Replan = Callable[[Planned], Planned | None]
Group = list[Planned]
"""Notebooks that one run serves."""


@dataclass
class Turns:
    """The state of carrying out one plan.

    Attributes:
        store: Where results go, and where another build's claims are seen.
        settings: The options.
        progress: Who is told.
        results: Returns the results under a notebook's code key whose outputs are whole.
        replan: Plans a notebook anew whose source was edited since the plan was made;
            `None` if it has gone.
        since: When the plan was made, in seconds since the epoch.
        settled: What became of the notebooks, by name.
    """

    store: Store
    settings: Settings
    progress: Progress
    results: Lookup
    replan: Replan
    since: float
    settled: dict[str, Settled] = field(default_factory=dict)
    _running: dict[Future[Outcome], tuple[Job, Group]] = field(default_factory=dict)
    _awaited: set[str] = field(default_factory=set)
    _own: set[str] = field(default_factory=set)
    _replanned: Counter[str] = field(default_factory=Counter)
    _started: int = 0

    def take(self, notebooks: Sequence[Planned]) -> None:
        """Run these notebooks; results are committed as each one ends.

        Raises:
            NotebookFailedError: A notebook failed, and `nbcache_on_error = "stop"`.
        """
        from sphinx_nbcache.execution.executors import first_done, make_executor
        from sphinx_nbcache.execution.run import run

        waiting = deque(_same_runs(notebooks))
        total = len(waiting)
        executor = make_executor(self.settings.executor, self.settings.jobs, run)
        try:
            with executor:
                while waiting or self._running:
                    self._fill_slots(executor, waiting, total)
                    # While a claim is not granted, look again soon; else wait for a run to end.
                    pause = _CLAIM_SECONDS if waiting and self._has_slot(executor) else None
                    if self._running:
                        first_done(set(self._running), pause)
                        self._finish_all(executor.name)
                    elif waiting:
                        time.sleep(_CLAIM_SECONDS)
        finally:
            # Ctrl-C, or `stop`: what has ended meanwhile is kept.
            self._finish_all(executor.name)
            self.store.claims.release_all()

    def _has_slot(self, executor: Executor) -> bool:
        return len(self._running) < executor.slots

    def _fill_slots(self, executor: Executor, waiting: deque[Group], total: int) -> None:
        for _ in range(len(waiting)):
            if not self._has_slot(executor):
                return
            group = waiting.popleft()
            if not self._start(executor, group, waiting, total):
                waiting.append(group)

    def _start(self, executor: Executor, group: Group, waiting: deque[Group], total: int) -> bool:
        """Start a notebook, or settle it otherwise; False if it must wait for its claim."""
        first, claims = group[0], self.store.claims
        if not claims.try_claim(first.code_key):
            if first.name not in self._awaited and not claims.holds(first.code_key):
                self._awaited.add(first.name)
                self.progress.waiting(first)
            return False
        if found := self._found_since(first):
            claims.release(first.code_key)
            self._settle(group, found, ran_here=False)
            return True
        try:
            job = make_job(first)
        except (SourceChangedError, NotebookError, OSError):
            claims.release(first.code_key)
            waiting.extend(self._planned_anew(group))
            return True
        self._started += 1
        self.progress.started(first, self._started, total)
        self._running[executor.submit(job)] = job, group
        return True

    def _planned_anew(self, group: Group) -> list[Group]:
        """Plan the first notebook of a group anew: it was edited in the last moments.

        One that is edited faster than it can be planned is left as it was, without a result.
        """
        edited, *others = group
        again = [others] if others else []
        self._replanned[edited.name] += 1
        planned = self.replan(edited)
        if planned is None:
            return again
        if planned.decision.action is not Action.EXECUTE:
            self.settled[edited.name] = Settled(planned, planned.decision.result)
            return again
        if self._replanned[edited.name] <= _EDITS:
            again.append([planned])
        else:
            self.settled[edited.name] = Settled(planned, None)
        return again

    def _found_since(self, planned: Planned) -> Stored | None:
        """Return a result that another build has committed since the plan was made.

        One that failed counts as well, if it was run by the same rules.
        """
        for stored in self.results(planned):
            result = stored.result
            is_valid = why_not(result, planned.rules, planned.scan) is None
            is_new = result.finished >= self.since
            if is_valid and (is_new or self.settings.execute != "force"):
                return stored
            if is_new and result.rules == planned.rules:
                return stored
        return None

    def _finish_all(self, executor: str) -> None:
        """Commit every run that has ended; then raise, if one failed and that is to stop all."""
        failed = []
        for future in [future for future in self._running if future.done()]:
            if future.cancelled():
                continue
            failed += self._finish(future, executor)
        if failed and self.settings.on_error == "stop":
            raise NotebookFailedError("; ".join(failed))

    def _finish(self, future: Future[Outcome], executor: str) -> list[str]:
        """Commit a run that has ended; return what failed, in words."""
        job, group = self._running.pop(future)
        outcome = future.result()
        stored = self.store.commit(make_result(job, outcome, executor), outcome.outputs)
        self._own.add(stored.digest)
        # Only now: who is granted the claim must find the result.
        self.store.claims.release(job.code_key)
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
            self.settled[planned.name] = settled
            self.progress.finished(settled)


def _same_runs(notebooks: Sequence[Planned]) -> list[Group]:
    """Group notebooks that one run serves: same code key, same rules."""
    groups: dict[tuple[str, Rules], Group] = {}
    for planned in notebooks:
        groups.setdefault((planned.code_key, planned.rules), []).append(planned)
    return list(groups.values())
