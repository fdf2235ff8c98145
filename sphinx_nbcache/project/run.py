"""The results of executing a plan, and the interface for its progress."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sphinx_nbcache.config import Settings
from sphinx_nbcache.files.paths import portable_path
from sphinx_nbcache.notebooks.scan import ScannedCell
from sphinx_nbcache.notices import Notice, Topic
from sphinx_nbcache.planning import (
    Action,
    Decision,
    FailedPlace,
    Planned,
    broken_promise,
    failed_place,
    is_named,
    kept_silent,
    why_not,
)
from sphinx_nbcache.results.records import Stored
from sphinx_nbcache.text import did_you_mean

GONE = "removed while the build ran"


@dataclass(frozen=True, slots=True)
class Settled:
    """The result for one notebook of a plan.

    Attributes:
        planned: The notebook and the decision on it.
        result: The result that its page shows, if any.
        ran_here: Whether this project ran it for this plan.
        ran_elsewhere: Whether another build on the same store ran it during this build.
        is_tried_again: If it failed, whether the next build runs it again in any case.
        is_gone: Whether its file was removed before its turn came.
    """

    planned: Planned
    result: Stored | None
    ran_here: bool = False
    ran_elsewhere: bool = False
    is_tried_again: bool = True
    is_gone: bool = False

    @property
    def failed(self) -> bool:
        """Whether the notebook has no valid result: it failed, was refused or is unreadable."""
        action = self.planned.decision.action
        if action in (Action.REFUSE, Action.UNREADABLE):
            return True
        if self.result is None:
            return False
        return why_not(self.result.result, self.planned.rules, self.planned.scan) is not None

    @property
    def failed_place(self) -> FailedPlace | None:
        """The place of the failure, if it was in one cell."""
        return failed_place(self.result.result, self.planned.scan) if self.result else None

    @property
    def kept_silent(self) -> tuple[ScannedCell, ...]:
        """The cells that did not raise the exception that their metadata declare."""
        # Without declared exceptions, the cells need not be searched.
        if self.result is None or not self.planned.rules.promises:
            return ()
        return kept_silent(self.result.result, self.planned.rules, self.planned.scan)


@dataclass(frozen=True, slots=True)
class Run:
    """The result of executing a plan: its notebooks in the same order, and the duration."""

    notebooks: tuple[Settled, ...]
    seconds: float


class NotebookFailedError(Exception):
    """A notebook failed, and `nbcache_on_error = "stop"`.

    Attributes:
        run: The notebooks that were settled until then.
    """

    run: Run = Run((), 0.0)


@dataclass(frozen=True, slots=True)
class FormerRun:
    """The durations of the last run of a notebook.

    Attributes:
        seconds: The duration of the whole run.
        cells: The durations of code cells, by digest.
    """

    seconds: float
    cells: Mapping[str, float]


class Progress:
    """Receives progress while notebooks run, in the thread of [](Project.execute).

    The methods of this class do nothing. Override them in a subclass to show progress.
    """

    def queued(
        self, notebooks: Sequence[Planned], former: Mapping[str, FormerRun], slots: int
    ) -> None:
        """Handle the queue of notebooks, before any of them is run.

        Args:
            notebooks: The notebooks; if several have the same code, only the first of them.
            former: The durations of their last runs, by name, as far as known.
            slots: The number of notebooks that run at once.
        """

    def cell_started(self, planned: Planned, position: int) -> None:
        """Handle the start of a notebook's code cell at a position (see `Scan.cells`)."""

    def still_running(self) -> None:
        """Handle a tick of the clock. Called at least once a second while notebooks run."""

    def started(self, planned: Planned, number: int, total: int) -> None:
        """Handle the start of a notebook, with its number and the total number."""

    def waiting(self, planned: Planned) -> None:
        """Handle the wait for a notebook that another build is running."""

    def spared(self, planned: Planned) -> None:
        """Handle a queued notebook that need not, or cannot, be run."""

    def finished(self, settled: Settled) -> None:
        """Handle a queued notebook whose result is in the store now."""


def notices_of_reruns(
    notebooks: Sequence[Settled], settings: Settings, base: Path
) -> Iterator[Notice]:
    """Yield a warning for each entry of `nbcache_rerun` that caused no run.

    Args:
        notebooks: The settled notebooks.
        settings: The options.
        base: The folder to which the entries are relative.
    """
    names = {portable_path(item.planned.path, base): item.planned.decision for item in notebooks}
    for entry in settings.rerun:
        found = {name: decision for name, decision in names.items() if is_named(name, [entry])}
        if any(decision.action in (Action.EXECUTE, Action.DEPENDS) for decision in found.values()):
            continue
        text = f"nbcache_rerun names `{entry}`, which matches no notebook"
        if found:
            name, decision = next(iter(found.items()))
            text = f"nbcache_rerun does not run {name}: {_why_not_rerun(decision, settings)}"
        else:
            documents = [name.rpartition(".")[0] for name in names]
            text += did_you_mean(entry, documents) or did_you_mean(entry, names)
        yield Notice(Topic.CONFIG, text)


def _why_not_rerun(decision: Decision, settings: Settings) -> str:
    is_frozen = settings.execute == "frozen" and decision.action is Action.REUSE
    return 'nbcache_execute is "frozen"' if is_frozen else decision.reason.text


def notices_of(settled: Settled, settings: Settings) -> Iterator[Notice]:
    """Yield the warnings about a notebook, which every build repeats until it is fixed.

    Args:
        settled: The settled notebook.
        settings: The options, which decide whether a failed notebook is an error.
    """
    planned = settled.planned
    errors = planned.scan.settings(settings).on_error != "warn"
    for problem in planned.scan.problems:
        yield Notice(problem.topic, problem.text, planned.path, problem.line)
    decision = planned.decision
    if decision.action is Action.UNREADABLE:
        line = planned.scan.unreadable.line if planned.scan.unreadable is not None else None
        text = f"the notebook is not run: {decision.reason}"
        is_error = errors or settings.execute == "frozen"
        yield Notice(Topic.SOURCE, text, planned.path, line, is_error=is_error)
    elif decision.action is Action.REFUSE:
        text = (
            'it has no valid result, and nbcache_execute = "frozen" forbids running it'
            f' ({decision.reason}); run the build once with "changed" and keep the store'
        )
        yield Notice(Topic.FROZEN, text, planned.path, is_error=True)
    elif settled.failed and settled.result is not None:
        failure, place = settled.result.result.failure, settled.failed_place
        where = "" if place is None else f" in {place}"
        what = settled.result.result.status.value if failure is None else failure.headline
        promised = ", ".join(place.cell.promised) if place is not None else ""
        instead = f" (not {promised}, as its metadata promise)" if promised else ""
        outlook = (
            "the next build tries it again"
            if settled.is_tried_again
            else "it is tried again when something that it depends on changes"
        )
        text = f"the notebook failed{where}: {what}{instead}; {outlook}"
        line = None if place is None else place.line_in_file
        yield Notice(Topic.EXECUTION, text, planned.path, line, is_error=errors)
    if settled.is_gone:
        yield Notice(Topic.SOURCE, f"{planned.name} was {GONE}", planned.path)
    for cell in settled.kept_silent:
        text = f"{broken_promise(cell)}; correct the cell, or its metadata"
        yield Notice(Topic.RAISES, text, planned.path, cell.line or None)
