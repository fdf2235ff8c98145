"""Progress on standard error while notebooks run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from sphinx_nbcache.cli.options import USUAL, given
from sphinx_nbcache.cli.output import tell
from sphinx_nbcache.planning import Planned
from sphinx_nbcache.project import Progress, Settled
from sphinx_nbcache.report.running import ProgressLines, RunningNotebooks, end_of, is_whole
from sphinx_nbcache.signals import Interrupted

# Columns for the spinner and the elapsed time before a text, and for `^C` after it.
_BESIDE = 10 + len("^C")


class Lines(ProgressLines):
    """Writes the lines to standard error.

    They contain no durations, so that the text of a run is the same each time.
    """

    def say(self, line: str) -> None:
        """Write a line; the command line begins its messages with a capital letter."""
        tell(line[:1].upper() + line[1:])


class Live(Lines):
    """Shows on a terminal, below the lines, which notebooks run and for how long."""

    def __init__(self, lines: _LiveLines) -> None:
        super().__init__()
        self._lines = lines

    def started(self, planned: Planned, number: int, total: int) -> None:
        """Report which notebook starts, and add a live line for it."""
        super().started(planned, number, total)
        self._show(planned.name)
        # The remaining work stays below the running notebooks.
        # rich appends new lines at the end, so this one is removed and added again
        # (https://rich.readthedocs.io/en/stable/progress.html).
        self._lines.show("", "")
        self._lines.show("", self.rest)

    def cell_started(self, planned: Planned, position: int) -> None:
        """Show the running cell."""
        super().cell_started(planned, position)
        self._show(planned.name)

    def still_running(self) -> None:
        """Show the remaining work."""
        super().still_running()
        self._lines.show("", self.rest)

    def finished(self, settled: Settled) -> None:
        """Remove the notebook's live line, and report how it ended."""
        self._lines.show(settled.planned.name, "")
        super().finished(settled)

    def _show(self, name: str) -> None:
        """Show a notebook with as much detail as leaves room for whole words of its name."""
        if (running := self.running.get(name)) is None:
            return
        number, cell, room = (
            f" ({running.number} of {self.total})",
            running.at_cell,
            self._lines.room,
        )
        for more in (f"{number}{cell}", cell):
            shown = end_of(name, room - len(more))
            if is_whole(shown, name):
                self._lines.show(name, f"{shown}{more}")
                return
        self._lines.show(name, end_of(name, room))


class _LiveLines:
    """Lines on the terminal, each with the time since it was first shown.

    Attributes:
        room: How many columns a text may take.
    """

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import Progress as Bar
        from rich.progress import SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

        # Without markup: brackets in the name of a notebook would be taken for styles
        # (https://rich.readthedocs.io/en/stable/markup.html).
        text = TextColumn("{task.description}", markup=False)
        # Standard output may hold JSON.
        console = Console(stderr=True)
        # `transient` removes the lines at the end: the summary says the rest
        # (https://rich.readthedocs.io/en/stable/progress.html#transient-display).
        self.bar = Bar(SpinnerColumn(), TimeElapsedColumn(), text, console=console, transient=True)
        self._tasks: dict[str, TaskID] = {}

    @property
    def room(self) -> int:
        return self.bar.console.width - _BESIDE

    def show(self, key: str, text: str) -> None:
        """Show or change a line; remove it if its text is empty."""
        task = self._tasks.get(key)
        if not text:
            if task is not None:
                self.bar.remove_task(self._tasks.pop(key))
        elif task is None:
            # Without a total: no one knows how long a notebook takes.
            self._tasks[key] = self.bar.add_task(text, total=None)
        else:
            self.bar.update(task, description=text)


@contextmanager
def progress() -> Iterator[Progress]:
    """Return the progress display that suits standard error."""
    shown, below = _suiting()
    try:
        with below:
            yield shown
    except (KeyboardInterrupt, Interrupted) as interrupt:
        # `errors_as_messages` prints it, after the live lines are gone.
        interrupt.add_note(shown.kept)
        raise


def _suiting() -> tuple[RunningNotebooks, AbstractContextManager[object]]:
    if given().verbosity < USUAL:
        # It shows nothing, but still counts what is kept after Ctrl-C.
        return RunningNotebooks(), nullcontext()
    if not sys.stderr.isatty():
        return Lines(), nullcontext()
    lines = _LiveLines()
    return Live(lines), lines.bar
