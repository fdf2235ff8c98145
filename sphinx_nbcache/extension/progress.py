"""What the log says while notebooks run, and when they have."""

from __future__ import annotations

from sphinx_nbcache.extension.log import LOGGER
from sphinx_nbcache.planning import Planned
from sphinx_nbcache.project import Progress, Settled
from sphinx_nbcache.report.model import Report


def log_progress() -> Progress:
    """Return what writes a line to the log as each notebook starts, and as it ends."""
    return Progress(started=_started, waiting=_waiting, finished=_finished)


def _started(planned: Planned, number: int, total: int) -> None:
    reason = planned.decision.reason
    LOGGER.info("executing notebook %d of %d: %s (%s)", number, total, planned.name, reason)


def _waiting(planned: Planned) -> None:
    LOGGER.info("another build is executing %s: waiting for its result", planned.name)


def _finished(settled: Settled) -> None:
    name = settled.planned.name
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


def log_summary(report: Report) -> None:
    """Write one line on what was done with the notebooks, if there are any."""
    if report.entries:
        LOGGER.info("notebooks: %s", report.summary)
