"""The report as data, from which all views are made: the outcome of each notebook, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import msgspec

from sphinx_nbcache.project.outcomes import NotebookOutcome
from sphinx_nbcache.results.records import content_digest
from sphinx_nbcache.results.tracebacks import trimmed
from sphinx_nbcache.text import duration_in_words, first_line

FAILED = "failed"
# The outcomes for which the summary gives only a number.
_COUNTED = (
    NotebookOutcome.WAITING,
    NotebookOutcome.MAY_WAIT,
    NotebookOutcome.REMOVED,
    NotebookOutcome.EDITED,
)

# The summary is one line of a log; the report lists all failures.
_NAMED_AT_MOST = 5


@dataclass(frozen=True, slots=True)
class ReportCell:
    """The run of one code cell with code.

    Attributes:
        number: Its number among all code cells, counted from 1.
        seconds: Its duration; `None` if it was not run.
        error: Name of the raised exception, if any.
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
        traceback: The kernel's traceback, with ANSI colours.
        cell: Number of the code cell; `None` if no single cell failed.
        line_in_cell: The line in that cell, if known.
        line: The line in the notebook's file, if known.
        source: The source of that cell, if known.
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
        """The location, such as `cell 2, line 3`; empty if no single cell failed."""
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
    """A dependency of a notebook.

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
    """A current or earlier run of a notebook, possibly with different code.

    Attributes:
        started: Its start: seconds since the epoch, UTC.
        seconds: Its duration.
        status: How it ended.
        reason: Why the notebook was run; empty if unknown.
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
        decision: The decision, a [](NotebookOutcome); empty in a reproducible report.
        reason: The reason for the decision.
        status: How the run of the result on its page ended; empty if the page shows none.
        failed: Whether it has no valid result.
        started: The start of that run: seconds since the epoch, UTC.
        seconds: The duration of that run.
        cells: The run of each code cell.
        failure: Why that run failed.
        kernel: The kernel of that run.
        executor: The executor of that run.
        peak_memory: The peak memory use of the kernel in bytes, if it was measured.
        depends_on: Its dependencies, except its own code.
        untracked: Descriptions of possible dependencies that cannot be verified.
        produced: The files that it wrote.
        removed: The files that it removed.
        tracer: The tracer of that run: `python` or `system`; empty if there was none.
        changed: The change that made it run again; empty if there is none.
        runs: Its last runs, the oldest first.
        retried: Why earlier attempts of that run failed, one line for each.
        silent: Messages about cells that did not raise the exceptions declared in their metadata.
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
    tracer: str = ""
    changed: str = ""
    runs: tuple[ReportRun, ...] = ()
    retried: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()

    @property
    def at_cell(self) -> str:
        """The location of the failure, to append to its name; empty if no single cell failed."""
        place = self.failure.place if self.failure is not None else ""
        return f", {place}" if place else ""

    @property
    def state(self) -> str:
        """Its state in one word: its status, or `failed` if it failed without a failed run."""
        # A run with the status `ok` fails later if the notebook no longer allows its exceptions.
        return FAILED if self.failed and self.status in ("", "ok") else self.status

    @property
    def labels(self) -> frozenset[str]:
        """Its labels for filters: decision, state, and `failed` for any kind of failure."""
        # The labels are the words of `data-labels`, which the script splits at spaces.
        words = {self.decision.replace(" ", "-"), self.state, FAILED if self.failed else ""}
        return frozenset(words - {""})

    @property
    def slowest(self) -> tuple[ReportCell, ...]:
        """Its executed cells, the slowest first."""
        # With equal durations, the number decides, so that the order is the same in every build.
        timed = (cell for cell in self.cells if cell.seconds is not None)
        return tuple(sorted(timed, key=lambda cell: (-(cell.seconds or 0.0), cell.number)))


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of all notebooks of a build.

    Attributes:
        entries: The notebooks, sorted by name.
        seconds: The time that this build spent on running notebooks.
        is_reproducible: Whether data that varies between builds is left out.
        renderers: Titles of the extensions that render the notebooks instead of this one.
    """

    entries: tuple[ReportEntry, ...] = ()
    seconds: float = 0.0
    is_reproducible: bool = False
    renderers: tuple[str, ...] = ()

    @property
    def executed(self) -> int:
        """The number of executed notebooks."""
        return self._count(NotebookOutcome.EXECUTED)

    @property
    def reused(self) -> int:
        """The number of cache hits: pages with a valid result from the store."""
        return self._count(NotebookOutcome.REUSED) - self.not_tried_again

    @property
    def not_tried_again(self) -> int:
        """The number of notebooks that failed earlier and would fail again."""
        return sum(
            entry.decision == NotebookOutcome.REUSED and entry.failed for entry in self.entries
        )

    @property
    def waiting(self) -> int:
        """The number of stale notebooks that wait for their execution."""
        return self._count(NotebookOutcome.WAITING)

    @property
    def failed(self) -> tuple[ReportEntry, ...]:
        """The notebooks without a valid result."""
        return tuple(entry for entry in self.entries if entry.failed)

    @property
    def saved(self) -> float:
        """The total duration in seconds of the runs whose results were reused."""
        return sum(e.seconds or 0.0 for e in self.entries if e.decision == NotebookOutcome.REUSED)

    @property
    def figures(self) -> str:
        """The totals of the build, without the failures."""
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
        """Digest of all data in a page with the report."""
        return report_digest(self)

    def without_what_varies(self) -> Report:
        """Return the report without data that varies between builds on the same store.

        This is the data about the build's actions, times and durations: a notebook that fails, for
        example, is run again by each build.
        """
        entries = tuple(_without_what_varies(entry) for entry in self.entries)
        return Report(entries, is_reproducible=True, renderers=self.renderers)

    @property
    def rendered_by(self) -> str:
        """A sentence that names other renderers; empty if there are none."""
        return f"Rendered by {' and '.join(self.renderers)}." if self.renderers else ""

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
        # All other outcomes share one number, so that the numbers add up to the total.
        if left := len(self.entries) - counted:
            others.append(f"{left} {NotebookOutcome.AS_IS.counted}")
        return f"{text} ({'; '.join(others)})" if others else text


def report_digest(shown: Report | Iterable[ReportEntry]) -> str:
    """Return the digest of a report, or of the entries that a page shows."""
    data = shown if isinstance(shown, Report) else tuple(shown)
    return content_digest(msgspec.json.encode(data, order="deterministic"))[:32]


def _without_what_varies(entry: ReportEntry) -> ReportEntry:
    # See https://reproducible-builds.org/docs/timestamps/. The status stays: the page shows it.
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
