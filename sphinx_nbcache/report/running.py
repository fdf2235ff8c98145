"""The running notebooks with their cells and durations, and the remaining work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sphinx_nbcache.notebooks.scan import ScannedCell
from sphinx_nbcache.planning import Planned
from sphinx_nbcache.project.run import FormerRun, Progress, Settled
from sphinx_nbcache.report.words import in_words

# A cell is late after this multiple of its earlier duration and some seconds more; a cell without
# an earlier run is late after a minute.
_TIMES, _SECONDS, _UNKNOWN = 3, 10.0, 60.0
# The message if it is unknown what was executed.
KEPT = "results of notebooks are kept"


@dataclass
class RunningNotebook:
    """A running notebook.

    Attributes:
        planned: The notebook.
        number: Its number among the notebooks to run.
        since: When it started, on the clock of the watch.
        cell: The running code cell.
        cell_since: When that cell started.
        late_after: After how many seconds that cell is late.
    """

    planned: Planned
    number: int
    since: float
    cell: ScannedCell | None = None
    cell_since: float = 0.0
    late_after: float = 0.0

    @property
    def at_cell(self) -> str:
        """The running cell, to follow the name; empty before the first cell."""
        if self.cell is None:
            return ""
        return f", cell {self.cell.number} of {self.planned.scan.cells[-1].number}"


class Watch(Progress):
    """Tracks the running notebooks and the remaining work. Progress displays derive from it.

    Args:
        clock: Returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.total = 0
        self.executed = 0
        self.running: dict[str, RunningNotebook] = {}
        self.to_come: dict[str, Planned] = {}
        self._former: Mapping[str, FormerRun] = {}
        self._slots = 1

    def queued(
        self, notebooks: Sequence[Planned], former: Mapping[str, FormerRun], slots: int
    ) -> None:
        """Record the notebooks that are going to be run."""
        self.total = len(notebooks)
        self.to_come = {planned.name: planned for planned in notebooks}
        self._former, self._slots = former, slots

    def started(self, planned: Planned, number: int, total: int) -> None:
        """Record that a notebook starts."""
        self.total = total
        self.to_come.pop(planned.name, None)
        self.running[planned.name] = RunningNotebook(planned, number, self.clock())

    def cell_started(self, planned: Planned, position: int) -> None:
        """Record that a cell starts."""
        running = self.running.get(planned.name)
        if running is None or not 0 <= position < len(planned.scan.cells):
            return
        running.cell, running.cell_since = planned.scan.cells[position], self.clock()
        before = self._seconds_before(running)
        running.late_after = _UNKNOWN if before is None else _TIMES * before + _SECONDS

    def spared(self, planned: Planned) -> None:
        """Record that a notebook need not run."""
        self.to_come.pop(planned.name, None)

    def finished(self, settled: Settled) -> None:
        """Record that a notebook has ended, or need not run."""
        self.to_come.pop(settled.planned.name, None)
        self.running.pop(settled.planned.name, None)
        self.executed += settled.ran_here

    @property
    def kept(self) -> str:
        """The results that an interruption now would keep, in words."""
        if not self.total:
            return KEPT
        kept = ", and their results are kept" if self.executed else ""
        return f"{self.executed} of {self.total} notebooks were executed{kept}"

    def late(self) -> Iterator[str]:
        """Yield a line for each cell that has become late, again whenever its duration doubles."""
        for name, running in self.running.items():
            spent = self.clock() - running.cell_since
            if running.cell is None or spent < running.late_after:
                continue
            running.late_after = 2 * spent
            before = self._seconds_before(running)
            line = f"{name}: code cell {running.cell.number} has been running for {in_words(spent)}"
            yield line if before is None else f"{line}; last time it took {in_words(before)}"

    @property
    def rest(self) -> str:
        """The remaining work in words: the number of notebooks and the estimated time.

        A notebook that already runs for longer than before adds nothing to the estimate.
        """
        queued = f"{len(self.to_come)} queued" if self.to_come else ""
        return ", ".join(filter(None, [queued, self.time_left]))

    @property
    def time_left(self) -> str:
        """The estimated remaining time in words; empty if it is unknown."""
        seconds = self.seconds_left
        return f"about {in_words(max(1.0, round(seconds)))} left" if seconds else ""

    @property
    def seconds_left(self) -> float | None:
        """The estimated remaining time by former runs; `None` if there are none.

        A notebook without a former run is assumed to take as long as the others on average.
        """
        names = [*self.to_come, *self.running]
        known = [self._former[name].seconds for name in names if name in self._former]
        if not known:
            return None
        usual = sum(known) / len(known)
        left = [self._left(name, usual) for name in names]
        return max(sum(left) / self._slots, *left)

    def _left(self, name: str, usual: float) -> float:
        former = self._former.get(name)
        needed = former.seconds if former is not None else usual
        running = self.running.get(name)
        return needed if running is None else max(0.0, needed - (self.clock() - running.since))

    def _seconds_before(self, running: RunningNotebook) -> float | None:
        former = self._former.get(running.planned.name)
        if former is None or running.cell is None:
            return None
        return former.cells.get(running.cell.digest)
