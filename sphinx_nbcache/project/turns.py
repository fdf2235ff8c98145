"""Running the notebooks of a plan, each when there is a slot for it and its claim is granted."""

from __future__ import annotations

import time
from collections import deque
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
                        for future in first_done(set(self._running), pause):
                            self._finish(future, executor.name)
                    elif waiting:
                        time.sleep(_CLAIM_SECONDS)
        finally:
            self.store.claims.release_all()

    def _has_slot(self, executor: Executor) -> bool:
        return len(self._running) < executor.slots

    def _fill_slots(self, executor: Executor, waiting: deque[Group], total: int) -> None:
        for _ in range(len(waiting)):
            if not self._has_slot(executor):
                return
            group = waiting.popleft()
            if not self._start(executor, group, total):
                waiting.append(group)

    def _start(self, executor: Executor, group: Group, total: int) -> bool:
        """Start a notebook, or settle it otherwise; False if another build is running it."""
        first = group[0]
        if not self.store.claims.try_claim(first.code_key):
            if first.name not in self._awaited:
                self._awaited.add(first.name)
                self.progress.waiting(first)
            return False
        if found := self._found_since(first):
            self.store.claims.release(first.code_key)
            self._settle(group, found, ran_elsewhere=True)
            return True
        try:
            job = make_job(first)
        except (SourceChangedError, NotebookError, OSError):
            self.store.claims.release(first.code_key)
            return self._start_again(executor, group, total)
        self._started += 1
        self.progress.started(first, self._started, total)
        self._running[executor.submit(job)] = job, group
        return True

    def _start_again(self, executor: Executor, group: Group, total: int) -> bool:
        """Plan a notebook anew that was edited in the last moments, and act on that."""
        edited, *others = group
        if others and not self._start(executor, others, total):
            return False
        planned = self.replan(edited)
        if planned is None:
            return True
        if planned.decision.action is Action.EXECUTE:
            return self._start(executor, [planned], total)
        self.settled[edited.name] = Settled(planned, planned.decision.result)
        return True

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

    def _finish(self, future: Future[Outcome], executor: str) -> None:
        job, group = self._running.pop(future)
        outcome = future.result()
        stored = self.store.commit(make_result(job, outcome, executor), outcome.outputs)
        # Only now: who is granted the claim must find the result.
        self.store.claims.release(job.code_key)
        self._settle(group, stored)

    def _settle(self, group: Group, stored: Stored, *, ran_elsewhere: bool = False) -> None:
        for position, planned in enumerate(group):
            here = position == 0 and not ran_elsewhere
            settled = Settled(planned, stored, ran_here=here, ran_elsewhere=ran_elsewhere)
            self.settled[planned.name] = settled
            self.progress.finished(settled)
        if self.settled[group[0].name].failed and self.settings.on_error == "stop":
            failure = stored.result.failure
            what = failure.headline if failure is not None else stored.result.status
            raise NotebookFailedError(f"{group[0].name}: {what}")


def _same_runs(notebooks: Sequence[Planned]) -> list[Group]:
    """Group notebooks that one run serves: same code key, same rules."""
    groups: dict[tuple[str, Rules], Group] = {}
    for planned in notebooks:
        groups.setdefault((planned.code_key, planned.rules), []).append(planned)
    return list(groups.values())
