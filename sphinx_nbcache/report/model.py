"""The report as data: the outcome of each notebook, and the reason. Every view is made from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import msgspec

from sphinx_nbcache.project.outcomes import NotebookOutcome
from sphinx_nbcache.results.records import content_digest
from sphinx_nbcache.results.tracebacks import trimmed
from sphinx_nbcache.text import duration_in_words, first_line

FAILED = "failed"
# The outcomes that the summary counts one by one, besides those that it describes in more detail.
_COUNTED = (
    NotebookOutcome.WAITING,
    NotebookOutcome.MAY_WAIT,
    NotebookOutcome.REMOVED,
    NotebookOutcome.EDITED,
)

_NAMED_AT_MOST = 5


@dataclass(frozen=True, slots=True)
class ReportCell:
    """The run of one code cell that has code.

    Attributes:
        number: Its number among all code cells, counted from 1.
        seconds: How long it took; `None` if it was not run.
        error: Name of the exception that it raised, if any.
    """

    number: int
    seconds: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ReportFailure:
    """Why a run did not succeed.

    Attributes:
        name: Name of the exception.
        message: Its message.
        traceback: As the kernel sent it, with ANSI colours.
        cell: Number of the code cell; `None` if no single cell failed.
        line_in_cell: The line of that cell, if it is known.
        line: The line of the notebook's file, if it is known.
        source: The source of that cell, if it is known.
    """

    name: str
    message: str
    traceback: str
    cell: int | None = None
    line_in_cell: int | None = None
    line: int | None = None
    source: str = ""

    @property
    def place(self) -> str:
        """The place in the notebook, such as `cell 2, line 3`; empty if no single cell failed."""
        line = "" if self.line_in_cell is None else f", line {self.line_in_cell}"
        return "" if self.cell is None else f"cell {self.cell}{line}"

    @property
    def headline(self) -> str:
        """The failure in one line, such as `ValueError: no such column`."""
        first = first_line(self.message)
        return f"{self.name}: {first}" if first else self.name

    @property
    def trimmed(self) -> str:
        """The traceback without the frames of installed packages."""
        return trimmed(self.traceback)


@dataclass(frozen=True, slots=True)
class Dependency:
    """Something that a notebook depends on.

    Attributes:
        kind: `file`, `folder`, `module`, `package`, `variable` or `place`.
        text: Its name, such as `data/prices.csv` or `numpy 2.1.0`.
    """

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Produced:
    """A file that a run wrote.

    Attributes:
        path: Relative to the root, or to the temporary folder if the run had one.
        size: In bytes; `None` if the store keeps no copy.
    """

    path: str
    size: int | None = None


@dataclass(frozen=True, slots=True)
class ReportRun:
    """A run of a notebook, now or earlier, possibly with different code.

    Attributes:
        started: When it began: seconds since the epoch, UTC.
        seconds: How long it took.
        status: How it ended.
        reason: Why it was run; empty if that is not known.
    """

    started: float
    seconds: float
    status: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ReportEntry:
    """One notebook of the report.

    Attributes:
        name: Path of the notebook relative to the root.
        docname: Its document; empty if it has none.
        decision: The decision on it, a [](NotebookOutcome); empty if the report leaves it out.
        reason: The reason for the decision.
        status: How the run of the result on its page ended; empty if the page shows none.
        failed: Whether it has no valid result.
        started: When that run began: seconds since the epoch, UTC.
        seconds: How long it took.
        cells: The run of each code cell.
        failure: Why it failed.
        kernel: The kernel that ran it.
        executor: The executor that ran it.
        peak_memory: The most memory that the kernel used, in bytes, if it was measured.
        depends_on: Its dependencies besides its own code.
        untracked: Possible dependencies that cannot be verified, in words.
        produced: The files that it wrote.
        removed: The files that it removed.
        changed: The change since its last run that made it run again; empty if there is none.
        runs: Its last runs, the oldest first.
        retried: Why earlier attempts of that run failed, one line for each.
        silent: Messages on cells that did not raise the exception that their metadata declares.
    """

    name: str
    docname: str = ""
    decision: str = ""
    reason: str = ""
    status: str = ""
    failed: bool = False
    started: float | None = None
    seconds: float | None = None
    cells: tuple[ReportCell, ...] = ()
    failure: ReportFailure | None = None
    kernel: str = ""
    executor: str = ""
    peak_memory: int | None = None
    depends_on: tuple[Dependency, ...] = ()
    untracked: tuple[str, ...] = ()
    produced: tuple[Produced, ...] = ()
    removed: tuple[str, ...] = ()
    changed: str = ""
    runs: tuple[ReportRun, ...] = ()
    retried: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()

    @property
    def at_cell(self) -> str:
        """The place of the failure, to follow its name; empty if no single cell failed."""
        place = self.failure.place if self.failure is not None else ""
        return f", {place}" if place else ""

    @property
    def state(self) -> str:
        """Its state in a word: its status, unless it failed without a run that says so."""
        return FAILED if self.failed and self.status in ("", "ok") else self.status

    @property
    def labels(self) -> frozenset[str]:
        """Its labels for filters: decision and state, and `failed` if it failed in any way."""
        words = {self.decision.replace(" ", "-"), self.state, FAILED if self.failed else ""}
        return frozenset(words - {""})

    @property
    def slowest(self) -> tuple[ReportCell, ...]:
        """Its cells that were run, the slowest first."""
        timed = (cell for cell in self.cells if cell.seconds is not None)
        return tuple(sorted(timed, key=lambda cell: (-(cell.seconds or 0.0), cell.number)))


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of all notebooks of a build.

    Attributes:
        entries: The notebooks, in the order of their names.
        seconds: How long this build spent on running notebooks.
        is_reproducible: Whether data that differs from build to build is left out.
    """

    entries: tuple[ReportEntry, ...] = ()
    seconds: float = 0.0
    is_reproducible: bool = False

    @property
    def executed(self) -> int:
        """How many notebooks were run."""
        return self._count(NotebookOutcome.EXECUTED)

    @property
    def reused(self) -> int:
        """How many pages show a valid result from the store."""
        return self._count(NotebookOutcome.REUSED) - self.not_tried_again

    @property
    def not_tried_again(self) -> int:
        """How many notebooks failed earlier and would only fail again."""
        return sum(
            entry.decision == NotebookOutcome.REUSED and entry.failed for entry in self.entries
        )

    @property
    def waiting(self) -> int:
        """How many notebooks would have to be run."""
        return self._count(NotebookOutcome.WAITING)

    @property
    def failed(self) -> tuple[ReportEntry, ...]:
        """The notebooks without a valid result."""
        return tuple(entry for entry in self.entries if entry.failed)

    @property
    def saved(self) -> float:
        """How many seconds the reused results took to compute."""
        return sum(e.seconds or 0.0 for e in self.entries if e.decision == NotebookOutcome.REUSED)

    @property
    def figures(self) -> str:
        """The totals of what was done, without the failures."""
        total = len(self.entries)
        noun = "notebook" if total == 1 else "notebooks"
        return f"{total} {noun}" if self.is_reproducible else self._spent(f"{total} {noun}")

    @property
    def summary(self) -> str:
        """The totals in one line."""
        text = self.figures
        if failed := self.failed:
            named = [entry.name + entry.at_cell for entry in failed[:_NAMED_AT_MOST]]
            if len(failed) > _NAMED_AT_MOST:
                named.append(f"{len(failed) - _NAMED_AT_MOST} more")
            text += f"; {len(failed)} failed: {'; '.join(named)}"
        return text

    @property
    def digest(self) -> str:
        """Digest of everything that a page with the report shows."""
        return report_digest(self)

    def without_what_varies(self) -> Report:
        """Return the report without data that differs between builds on the same store.

        This data is what the build did, and when and how long anything ran: a notebook that fails,
        for example, is run again each time.
        """
        entries = tuple(_without_what_varies(entry) for entry in self.entries)
        return Report(entries, is_reproducible=True)

    def _count(self, decision: str) -> int:
        return sum(entry.decision == decision for entry in self.entries)

    def _spent(self, notebooks: str) -> str:
        text = f"{self.executed} of {notebooks} executed"
        if self.executed:
            text += f" in {duration_in_words(self.seconds)}"
        others = []
        if self.reused:
            others.append(f"{self.reused} reused, {duration_in_words(self.saved)} saved")
        if self.not_tried_again:
            others.append(f"{self.not_tried_again} not tried again")
        counted = self.executed + self._count(NotebookOutcome.REUSED)
        for outcome in _COUNTED:
            if number := self._count(outcome):
                others.append(f"{number} {outcome.counted}")
                counted += number
        if left := len(self.entries) - counted:
            others.append(f"{left} {NotebookOutcome.AS_IS.counted}")
        return f"{text} ({'; '.join(others)})" if others else text


def report_digest(shown: Report | Iterable[ReportEntry]) -> str:
    """Return the digest of a report, or of the entries that a page shows."""
    data = shown if isinstance(shown, Report) else tuple(shown)
    return content_digest(msgspec.json.encode(data, order="deterministic"))[:32]


def _without_what_varies(entry: ReportEntry) -> ReportEntry:
    return replace(
        entry,
        decision="",
        reason="",
        started=None,
        seconds=None,
        cells=tuple(replace(cell, seconds=None) for cell in entry.cells),
        peak_memory=None,
        changed="",
        runs=(),
        retried=(),
    )
