"""What the log says while notebooks run, and when they have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sphinx_nbcache.extension.log import LOGGER
from sphinx_nbcache.planning import Planned
from sphinx_nbcache.project import Progress, Settled
from sphinx_nbcache.report.model import Report


class LogProgress(Progress):
    """Writes a line to the log as each notebook starts, and as it ends."""

    def __init__(self) -> None:
        self.finished_count = 0
        self.total = 0

    def started(self, planned: Planned, number: int, total: int) -> None:
        """Tell which notebook starts, and why."""
        self.total = total
        reason = planned.decision.reason
        LOGGER.info("executing notebook %d of %d: %s (%s)", number, total, planned.name, reason)

    def waiting(self, planned: Planned) -> None:
        """Tell that another build is running it."""
        LOGGER.info("another build is executing %s: waiting for its result", planned.name)

    def finished(self, settled: Settled) -> None:
        """Tell what is worth a line: failures, and where a result came from if not from here."""
        name = settled.planned.name
        self.finished_count += settled.ran_here
        if settled.result is None:
            return
        result = settled.result.result
        if result.failure is not None:
            cell = settled.failed_cell
            where = f" in code cell {cell.number}" if cell is not None else ""
            LOGGER.info("failed: %s%s: %s", name, where, result.failure.headline)
        elif settled.ran_elsewhere:
            LOGGER.info("executed by another build: %s", name)
        elif not settled.ran_here:
            LOGGER.info("has the same code as %s: %s", result.notebook, name)


@contextmanager
def told_if_interrupted(progress: LogProgress) -> Iterator[None]:
    """Say what is kept when Ctrl-C ends the build."""
    try:
        yield
    except KeyboardInterrupt:
        done, total = progress.finished_count, progress.total
        LOGGER.info(
            "interrupted: %d of %d notebooks were executed, and their results are kept;"
            " the next build executes the others",
            done,
            total,
        )
        raise


def log_summary(report: Report) -> None:
    """Write one line on what was done with the notebooks, if there are any."""
    if report.entries:
        LOGGER.info("%s", report.summary)
