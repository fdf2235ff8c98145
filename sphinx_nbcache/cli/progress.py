"""What is told on the standard error while notebooks run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from sphinx_nbcache.cli.options import given
from sphinx_nbcache.cli.output import tell
from sphinx_nbcache.cli.verbosity import DEBUG, USUAL
from sphinx_nbcache.planning import Planned
from sphinx_nbcache.project import Progress, Settled
from sphinx_nbcache.report.model import in_words


class Lines(Progress):
    """Writes a line as each notebook starts, and one as it ends.

    Durations are only told to who wants more: so the text of a run is the same each time.
    """

    def started(self, planned: Planned, number: int, total: int) -> None:
        """Tell which notebook starts; and why, to who wants more."""
        tell(f"Executing {number} of {total}: {planned.name}")
        tell(f"  because: {planned.decision.reason}", level=DEBUG)

    def waiting(self, planned: Planned) -> None:
        """Tell that another process is running it."""
        tell(f"Waiting for another process that executes {planned.name}")

    def finished(self, settled: Settled) -> None:
        """Tell how a notebook ended."""
        tell(ended_in_words(settled))
        if settled.ran_here and settled.result is not None:
            tell(f"  in {in_words(settled.result.result.seconds)}", level=DEBUG)


class Live(Lines):
    """Shows, on a terminal, below those lines, which notebooks run and for how long."""

    def __init__(self, running: _Running) -> None:
        self._running = running

    def started(self, planned: Planned, number: int, total: int) -> None:
        """Show the notebook."""
        self._running.add(planned.name, number, total)

    def finished(self, settled: Settled) -> None:
        """Take it away, and tell how it ended."""
        self._running.remove(settled.planned.name)
        super().finished(settled)


class _Running:
    """The lines for the notebooks that run now."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import Progress as Bar
        from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

        text = TextColumn("{task.description}", markup=False)
        console = Console(stderr=True)
        self.bar = Bar(SpinnerColumn(), TimeElapsedColumn(), text, console=console, transient=True)
        self._tasks: dict[str, object] = {}

    def add(self, name: str, number: int, total: int) -> None:
        self._tasks[name] = self.bar.add_task(f"{name} ({number} of {total})", total=None)

    def remove(self, name: str) -> None:
        if (task := self._tasks.pop(name, None)) is not None:
            self.bar.remove_task(task)  # type: ignore[arg-type]  # rich's TaskID is an int


@contextmanager
def progress() -> Iterator[Progress]:
    """Return who is told what happens, and shows it in a way that suits the standard error."""
    if given().verbosity < USUAL:
        yield Progress()
    elif sys.stderr.isatty():
        running = _Running()
        with running.bar:
            yield Live(running)
    else:
        yield Lines()


def ended_in_words(settled: Settled) -> str:
    """Return a line on how a notebook ended."""
    name = settled.planned.name
    if settled.result is None:
        return f"Not executed: {name} is being edited"
    result = settled.result.result
    if result.failure is not None:
        cell = settled.failed_cell
        where = f", code cell {cell.number}" if cell is not None else ""
        return f"Failed: {name}{where}: {result.failure.headline}"
    if settled.ran_here:
        return f"Executed: {name}"
    if settled.ran_elsewhere:
        return f"Executed by another process: {name}"
    return f"Same code as {result.notebook}: {name}"
