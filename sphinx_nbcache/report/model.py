"""The report as data: what became of each notebook in this build, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec

from sphinx_nbcache.planning import Action, Plan
from sphinx_nbcache.project.run import Run, Settled
from sphinx_nbcache.store.records import Failure, content_digest

_DECISIONS = {
    Action.EXECUTE: "executed",
    Action.REUSE: "reused",
    Action.AS_IS: "as it is",
    Action.REFUSE: "refused",
    Action.UNREADABLE: "unreadable",
}
_MINUTE, _HOUR = 60, 3600


@dataclass(frozen=True, slots=True)
class ReportEntry:
    """One notebook of the report.

    Attributes:
        name: Path of the notebook relative to the root.
        docname: Its document.
        decision: What was done with it, in a word or two.
        reason: Why.
        status: How the run ended whose result its page shows; empty if it shows none.
        failed: Whether it has no valid result.
        started: When that run began: seconds since the epoch, UTC.
        seconds: How long it took.
        failure: Why it failed.
        failed_cell: Number of the code cell at which it failed, if it was one cell.
    """

    name: str
    docname: str
    decision: str
    reason: str
    status: str = ""
    failed: bool = False
    started: float | None = None
    seconds: float | None = None
    failure: Failure | None = None
    failed_cell: int | None = None

    @property
    def at_cell(self) -> str:
        """The cell at which it failed, to be put behind its name; empty if it was not one cell."""
        return "" if self.failed_cell is None else f", code cell {self.failed_cell}"


@dataclass(frozen=True, slots=True)
class Report:
    """What became of all notebooks of a build.

    Attributes:
        entries: The notebooks, in the order of their names.
        seconds: How long this build spent on running notebooks.
    """

    entries: tuple[ReportEntry, ...] = ()
    seconds: float = 0.0

    @property
    def executed(self) -> int:
        """How many notebooks were run."""
        return self._count("executed")

    @property
    def reused(self) -> int:
        """How many pages show a result from the store."""
        return self._count("reused")

    @property
    def failed(self) -> tuple[ReportEntry, ...]:
        """The notebooks without a valid result."""
        return tuple(entry for entry in self.entries if entry.failed)

    @property
    def saved(self) -> float:
        """How many seconds the reused results had taken to compute."""
        return sum(e.seconds or 0.0 for e in self.entries if e.decision == "reused")

    @property
    def summary(self) -> str:
        """The totals in one line."""
        total = len(self.entries)
        parts = [f"{self.executed} of {total} executed"]
        if self.executed:
            parts[0] += f" in {in_words(self.seconds)}"
        if self.reused:
            parts.append(f"{self.reused} reused ({in_words(self.saved)} saved)")
        if waiting := self._count("to be executed"):
            parts.append(f"{waiting} to be executed")
        if others := total - self.executed - self.reused - waiting:
            parts.append(f"{others} not to be executed")
        if failed := self.failed:
            parts.append(f"{len(failed)} failed: " + ", ".join(map(_failed_at, failed)))
        return "; ".join(parts)

    @property
    def digest(self) -> str:
        """Digest of everything that a page with the report shows."""
        return content_digest(msgspec.json.encode(self, order="deterministic"))[:32]

    def _count(self, decision: str) -> int:
        return sum(entry.decision == decision for entry in self.entries)


def make_report(run: Run, docnames: Mapping[str, str]) -> Report:
    """Return the report on a run.

    Args:
        run: What became of the notebooks.
        docnames: Name of a notebook → its document.
    """
    entries = tuple(_entry(item, docnames.get(item.planned.name, "")) for item in run.notebooks)
    executed = any(item.ran_here for item in run.notebooks)
    return Report(entries, run.seconds if executed else 0.0)


def report_of_plan(plan: Plan) -> Report:
    """Return the report on a project in which nothing is run, as it stands.

    What would have to be executed is listed as `to be executed`.
    """
    entries = []
    for planned in plan:
        entry = _entry(Settled(planned, planned.decision.result), "")
        if planned.decision.action is Action.EXECUTE:
            reason = planned.decision.reason.text
            entry = replace(entry, decision="to be executed", reason=reason)
        entries.append(entry)
    return Report(tuple(entries))


def in_words(seconds: float) -> str:
    """Return a duration as people say it: `0.42 s`, `41 s`, `9 min 12 s`, `2 h 5 min`."""
    if seconds < 10:  # noqa: PLR2004 (two digits are enough)
        return f"{seconds:.2g} s" if seconds else "0 s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


def _entry(item: Settled, docname: str) -> ReportEntry:
    planned = item.planned
    decision, reason = _DECISIONS[planned.decision.action], planned.decision.reason.text
    if planned.decision.action is Action.EXECUTE and not item.ran_here:
        decision, reason = "reused", _who_ran(item)
    entry = ReportEntry(planned.name, docname, decision, reason)
    if item.result is None:
        return replace(entry, failed=item.failed)
    result = item.result.result
    return replace(
        entry,
        status=result.status.value,
        failed=item.failed,
        started=result.started,
        seconds=result.seconds,
        failure=result.failure,
        failed_cell=item.failed_cell.number if item.failed_cell is not None else None,
    )


def _who_ran(item: Settled) -> str:
    """Say where the result of a notebook came from that was to be run, but was not."""
    if item.ran_elsewhere:
        return "another build has run it meanwhile"
    name = item.result.result.notebook if item.result is not None else ""
    return f"same code as {name}, which this build has run" if name else "it was being edited"


def _failed_at(entry: ReportEntry) -> str:
    return entry.name + entry.at_cell
