"""Tracks running notebooks and the remaining work, and formats both as a line for terminals."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from unicodedata import combining, east_asian_width

from sphinx_nbcache.notebooks.scan import ScannedCell
from sphinx_nbcache.planning import Planned
from sphinx_nbcache.project.run import FormerRun, Progress, Settled
from sphinx_nbcache.text import duration_in_words, shortened

# A cell is late after this multiple of its earlier duration plus some seconds, so that short cells
# do not cause messages on a busy machine; a cell without an earlier run, after a minute.
_TIMES, _SECONDS, _UNKNOWN = 3, 10.0, 60.0
# The message if the number of executed notebooks is unknown.
KEPT = "results of notebooks are kept"
_BETWEEN = " · "
# The maximum length of a reason or an error in a line; the report shows all of it.
_LENGTH = 200
# A name with fewer columns would say nothing, so it is left out.
_NAME = 14
_CUT = "…"
_BETWEEN_WORDS = re.compile(r"[\W_]")


@dataclass
class RunningNotebook:
    """A running notebook.

    Attributes:
        planned: The notebook.
        number: Its number among the notebooks to run.
        since: Its start, on the clock of [](RunningNotebooks).
        cell: The running code cell.
        cell_since: The start of that cell.
        late_after: The number of seconds after which that cell is late.
    """

    planned: Planned
    number: int
    since: float
    cell: ScannedCell | None = None
    cell_since: float = 0.0
    late_after: float = 0.0

    @property
    def at_cell(self) -> str:
        """The running cell, to append to the name; empty before the first cell."""
        if self.cell is None:
            return ""
        return f", cell {self.cell.number} of {self.planned.scan.cells[-1].number}"


class RunningNotebooks(Progress):
    """Tracks the running notebooks and the remaining work; base class of progress displays.

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
        """Record the notebooks to run."""
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
        # An executor of another package may report a wrong position, or a cell after the end.
        if running is None or not 0 <= position < len(planned.scan.cells):
            return
        running.cell, running.cell_since = planned.scan.cells[position], self.clock()
        before = self._seconds_before(running)
        running.late_after = _UNKNOWN if before is None else _TIMES * before + _SECONDS

    def spared(self, planned: Planned) -> None:
        """Record that a notebook need not be run."""
        self.to_come.pop(planned.name, None)

    def finished(self, settled: Settled) -> None:
        """Record that a notebook has ended, or need not be run."""
        self.to_come.pop(settled.planned.name, None)
        self.running.pop(settled.planned.name, None)
        self.executed += settled.ran_here

    @property
    def kept(self) -> str:
        """A message about the results that an interruption would keep."""
        if not self.total:
            return KEPT
        kept = ", and their results are kept" if self.executed else ""
        return f"{self.executed} of {self.total} notebooks were executed{kept}"

    def late(self) -> Iterator[str]:
        """Yield a line for each cell that became late, again whenever its duration doubles."""
        for name, running in self.running.items():
            spent = self.clock() - running.cell_since
            if running.cell is None or spent < running.late_after:
                continue
            running.late_after = 2 * spent
            before = self._seconds_before(running)
            line = f"{name}: code cell {running.cell.number} has been running for "
            line += duration_in_words(spent)
            last = "" if before is None else f"; last time it took {duration_in_words(before)}"
            yield line + last

    @property
    def rest(self) -> str:
        """A description of the remaining work: the number of notebooks and the estimated time.

        A notebook that has been running for longer than before adds nothing to the estimate.
        """
        queued = f"{len(self.to_come)} queued" if self.to_come else ""
        return ", ".join(filter(None, [queued, self.time_left]))

    @property
    def time_left(self) -> str:
        """The estimated remaining time as text; empty if unknown."""
        seconds = self.seconds_left
        return f"{_about(seconds)} left" if seconds else ""

    @property
    def seconds_left(self) -> float | None:
        """The remaining time, estimated from former runs; `None` if there are none.

        For a notebook without a former run, the average of the others is assumed.
        """
        names = [*self.to_come, *self.running]
        known = [self._former[name].seconds for name in names if name in self._former]
        if not known:
            return None
        usual = sum(known) / len(known)
        left = [self._left(name, usual) for name in names]
        # Lower bounds of any schedule: all slots busy, and the longest notebook.
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
        # By digest, because a cell may have moved since.
        return former.cells.get(running.cell.digest)


def _about(seconds: float) -> str:
    return f"about {duration_in_words(max(1.0, round(seconds)))}"


class ProgressLines(RunningNotebooks):
    """Reports progress as lines. Each front end implements [](say).

    Args:
        clock: Returns the time in seconds.
        has_estimate: Whether the first line has an estimate of the duration, if there is one.
            Without it, two runs print the same lines, unless one is slow.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, has_estimate: bool = False
    ) -> None:
        super().__init__(clock)
        self._has_estimate = has_estimate

    def say(self, line: str) -> None:
        """Print a line."""
        raise NotImplementedError

    def queued(
        self, notebooks: Sequence[Planned], former: Mapping[str, FormerRun], slots: int
    ) -> None:
        """Print the estimated duration of the execution."""
        super().queued(notebooks, former, slots)
        if self._has_estimate and (seconds := self.seconds_left) is not None:
            self.say(f"notebooks to execute: {len(notebooks)}, which takes {_about(seconds)}")

    def started(self, planned: Planned, number: int, total: int) -> None:
        """Print which notebook starts, and why."""
        super().started(planned, number, total)
        reason = shortened(planned.decision.reason.text, _LENGTH)
        self.say(f"executing notebook {number} of {total}: {planned.name} ({reason})")

    def waiting(self, planned: Planned) -> None:
        """Print that another process runs the notebook."""
        self.say(f"another build is executing {planned.name}: waiting for its result")

    def still_running(self) -> None:
        """Print the names of cells that run much longer than before."""
        for line in self.late():
            self.say(f"late: {line}")

    def finished(self, settled: Settled) -> None:
        """Print how a notebook ended, unless it succeeded as usual."""
        super().finished(settled)
        if line := ended_in_words(settled):
            self.say(line)


def ended_in_words(settled: Settled) -> str:
    """Return a line on how a notebook ended; empty if it succeeded as usual."""
    name = settled.planned.name
    if settled.result is None:
        return f"not executed: {name} is being edited"
    result = settled.result.result
    again = f" at attempt {len(result.retried) + 1}" if result.retried else ""
    if result.failure is not None:
        place = settled.failed_place
        where = f", {place}" if place is not None else ""
        # `name:line` is a link in the terminals of many editors.
        line = f":{place.line_in_file}" if place is not None and place.line_in_file else ""
        failed = shortened(result.failure.headline, _LENGTH)
        return f"failed{again}: {name}{line}{where}: {failed}"
    if settled.ran_here:
        before = shortened(result.retried[-1].headline, _LENGTH) if again else ""
        return f"executed{again}: {name} (before: {before})" if again else ""
    if settled.ran_elsewhere:
        return f"executed by another build: {name}"
    return f"has the same code as {result.notebook}: {name}"


@dataclass(frozen=True, slots=True)
class StatusItem:
    """A running notebook.

    Attributes:
        name: Its name. A long name may lose its beginning.
        state: Its progress.
        brief: Its progress in fewer words.
    """

    name: str
    state: str
    brief: str


def status_line(heads: Sequence[str], running: Sequence[StatusItem], columns: int) -> str:
    """Return a line that is not wider than the terminal.

    Args:
        heads: Possible beginnings; the first one that leaves room for a notebook is used.
        running: The running notebooks. The line counts those for which it has no room.
        columns: The maximum width.
    """
    # A line that wraps cannot be overwritten: a carriage return only goes back one row.
    told = [(item.name, item.state) for item in running]
    in_brief = [(item.name, item.brief) for item in running]
    lines = [_line(head, told, columns) for head in heads]
    lines.append(_line(heads[-1], in_brief, columns))
    found = [text for text, has_whole_words in lines if text and has_whole_words]
    found += [text for text, _ in lines if text]
    return found[0] if found else start_of(heads[-1], columns)


def _line(head: str, running: Sequence[tuple[str, str]], columns: int) -> tuple[str, bool]:
    """Return a line with as many notebooks as fit; empty if none fits.

    Returns:
        The line, and whether it cuts no name within a word.
    """
    for number in range(len(running), 0, -1):
        shown, left = running[:number], len(running) - number
        more = f"{_BETWEEN}+{left}" if left else ""
        room = columns - width_of(head) - width_of(more) - number * len(_BETWEEN)
        wanted = [width_of(name) for name, _ in shown]
        given = _shared(room - sum(width_of(state) for _, state in shown), wanted)
        if all(g >= min(_NAME, w) for g, w in zip(given, wanted, strict=True)):
            names = [end_of(name, g) for (name, _), g in zip(shown, given, strict=True)]
            parts = [name + state for name, (_, state) in zip(names, shown, strict=True)]
            whole = all(is_whole(cut, name) for cut, (name, _) in zip(names, shown, strict=True))
            return _BETWEEN.join([head, *parts]) + more, whole
    return (head if not running and width_of(head) <= columns else ""), True


def _shared(room: int, wanted: Sequence[int]) -> list[int]:
    """Share columns among names: each gets its full width, or as much as the others."""
    # The shortest names first: the columns that they do not use go to the longer ones.
    given = [0] * len(wanted)
    for rank, position in enumerate(sorted(range(len(wanted)), key=wanted.__getitem__)):
        given[position] = min(wanted[position], max(0, room) // (len(wanted) - rank))
        room -= given[position]
    return given


def end_of(text: str, columns: int) -> str:
    """Return the end of a text that is too wide, from the beginning of a word.

    The cut is within a word only if the words would fill less than half of the room otherwise.
    """
    if width_of(text) <= columns:
        return text
    end = start_of(reversed(text), columns - 1)[::-1]
    before = text[: len(text) - len(end)][-1:]
    if before.isalnum() and (between := _BETWEEN_WORDS.search(end)) is not None:
        whole_words = end[between.start() :]
        if 2 * width_of(whole_words) >= columns:
            end = whole_words
    return _CUT + end


def is_whole(shown: str, text: str) -> bool:
    """Tell whether a result of [](end_of) begins with a whole word of the text."""
    end = shown.removeprefix(_CUT)
    before = text[: len(text) - len(end)][-1:]
    return not (before.isalnum() and end[:1].isalnum())


def start_of(text: Iterable[str], columns: int) -> str:
    """Return the beginning of a text that fits into a number of columns."""
    kept = ""
    for character in text:
        columns -= width_of(character)
        if columns < 0:
            break
        kept += character
    return kept


def width_of(text: str) -> int:
    """Return the width of a text in columns of a terminal."""
    # East Asian wide and fullwidth characters take two columns
    # (https://www.unicode.org/reports/tr11/), combining ones none.
    wide = sum(east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(combining(character) > 0 for character in text)
