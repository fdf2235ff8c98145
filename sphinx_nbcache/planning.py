"""Decides what to do with each notebook, and why: pure functions of frozen data."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path, PurePosixPath

import msgspec

from sphinx_nbcache.config import Settings
from sphinx_nbcache.files.paths import matching_glob
from sphinx_nbcache.notebooks.key import KeyParts
from sphinx_nbcache.notebooks.renderers import MODE_OPTIONS, taken_apart
from sphinx_nbcache.notebooks.scan import Scan, ScannedCell
from sphinx_nbcache.results.records import (
    CellRun,
    Failure,
    History,
    HistoryCell,
    PastRun,
    Promise,
    Result,
    Rules,
    Status,
    Stored,
)
from sphinx_nbcache.results.tracebacks import line_in_cell
from sphinx_nbcache.text import harmless, one_line, shortened
from sphinx_nbcache.traces.trace import Trace

# The number of runs of a notebook that are remembered.
_PAST_RUNS = 12


class Action(StrEnum):
    """The actions for a notebook."""

    REUSE = "reuse"
    """Its page shows a result from the store."""
    EXECUTE = "execute"
    """It is run."""
    DEPENDS = "depends"
    """It reads files that a running notebook may rewrite: whether it is run is decided
    afterwards."""
    AS_IS = "as-is"
    """Its page shows the outputs stored in the file."""
    REFUSE = "refuse"
    """It would have to be run, but `nbcache_execute = "frozen"` forbids it."""
    UNREADABLE = "unreadable"
    """It cannot be read."""


class Why(StrEnum):
    """The kinds of reason for a decision."""

    UNCHANGED = "unchanged"
    SAME_CODE = "same-code"
    NO_RESULT = "no-result"
    CODE_CHANGED = "code-changed"
    KERNEL_CHANGED = "kernel-changed"
    PLACE_CHANGED = "place-changed"
    OPTION_CHANGED = "option-changed"
    DEPENDENCY_CHANGED = "dependency-changed"
    """A file, module, package or variable that it depends on has changed."""
    UNKNOWN_DEPENDENCIES = "unknown-dependencies"
    """The dependencies of its last run are not known for certain."""
    REWRITTEN = "rewritten"
    """Another notebook of this build has written a file that it reads."""
    PRODUCER_RUNS = "producer-runs"
    """Another notebook that is to be run may write a file that it reads."""
    FOREIGN_FILE = "foreign-file"
    """A file that it writes was replaced by something that no notebook has written."""
    NOT_RESTORED = "not-restored"
    """A file that it writes is missing, and its result is not trusted to restore it."""
    FAILED_BEFORE = "failed-before"
    ERROR_NOT_ALLOWED = "error-not-allowed"
    FORCED = "forced"
    DAMAGED = "damaged"
    NO_CODE = "no-code"
    EXCLUDED = "excluded"
    OFF = "off"
    HAS_OUTPUTS = "has-outputs"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Reason:
    """The reason for a decision: a kind for programs, a text for people.

    Attributes:
        why: The kind.
        text: The text, which names the cause.
        path: The file that it is about, relative to the root; empty if there is none.
    """

    why: Why
    text: str
    path: str = ""

    def __post_init__(self) -> None:
        # Names in the text may come from a store. Errors in a source may take several lines.
        # Field assignment is blocked in a frozen dataclass, also in `__post_init__`
        # (https://docs.python.org/3/library/dataclasses.html#frozen-instances).
        clean = harmless if self.why is Why.UNREADABLE else one_line
        object.__setattr__(self, "text", clean(self.text))

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision on one notebook: the action, the reason and the result.

    `result` is the one to reuse. For a notebook that is refused it is the failed result of the
    same code, if there is one.
    """

    action: Action
    reason: Reason
    result: Stored | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A notebook as it is now, without a decision.

    Attributes:
        name: Its path relative to the root, POSIX.
        path: Its absolute path.
        folder: Absolute path of the folder where its kernel works, if it is not a temporary one.
        scan: The scan of its file.
        key: The parts of its code key.
        code_key: The code key.
        rules: Its acceptance rules.
    """

    name: str
    path: Path
    folder: Path
    scan: Scan
    key: KeyParts
    code_key: str
    rules: Rules


@dataclass(frozen=True, slots=True)
class Planned(Candidate):
    """One notebook of a plan: a candidate with the decision on it."""

    decision: Decision


@dataclass(frozen=True, slots=True)
class Plan:
    """The decisions on all notebooks of a project, in the order of their names.

    `made` is when the plan was begun, in seconds since the epoch: the plan does not know results of
    other builds that ended later.
    """

    notebooks: tuple[Planned, ...]
    made: float

    def __iter__(self) -> Iterator[Planned]:
        return iter(self.notebooks)

    def __len__(self) -> int:
        return len(self.notebooks)

    @property
    def to_run(self) -> tuple[Planned, ...]:
        """The notebooks that are run, and those that may have to be."""
        wanted = (Action.EXECUTE, Action.DEPENDS)
        return tuple(item for item in self.notebooks if item.decision.action in wanted)

    def with_action(self, action: Action) -> tuple[Planned, ...]:
        """Return the notebooks with this action."""
        return tuple(item for item in self.notebooks if item.decision.action is action)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence for the decision on one notebook.

    Attributes:
        notebook: The notebook.
        excluded_by: The glob of `nbcache_exclude` that matches it, if any.
        results: The results under its code key, the newest first.
        damaged: The damage of a result that was left out, if there is one.
        history: Its history, if it is known.
        objections: Objections to results besides their status, by digest: a dependency has changed.
            Results after the first one without an objection are not checked.
        hopeless: Digests of failed results that another run would only repeat, as long as none of
            their dependencies changes.
        is_rerun: Whether `nbcache_rerun` names it.
    """

    notebook: Candidate
    excluded_by: str | None
    results: Sequence[Stored]
    damaged: str | None
    history: History | None
    objections: Mapping[str, Reason] = field(default_factory=dict)
    hopeless: frozenset[str] = frozenset()
    is_rerun: bool = False


def decide(evidence: Evidence, settings: Settings, not_before: float) -> Decision:
    """Decide what to do with one notebook.

    Args:
        evidence: The evidence for the decision.
        settings: The options.
        not_before: Results of runs that started earlier (seconds since the epoch) do not count if
            execution is forced.
    """
    # Before the results: an excluded notebook keeps its own outputs even if the store has better
    # ones.
    if kept := _kept_as_is(evidence, settings):
        return kept
    rejected: dict[str, Reason] = {}
    forced = _forced(evidence, settings)
    for stored in evidence.results:
        # A result of this build counts: notebooks with the same code are run once, not again and
        # again.
        if forced is not None and stored.result.started < not_before:
            rejected[stored.digest] = forced
            continue
        changed = evidence.objections.get(stored.digest)
        failed = why_not(stored.result, evidence.notebook.rules, evidence.notebook.scan)
        if changed is None and failed is None:
            return Decision(Action.REUSE, _why_reused(stored, evidence), stored)
        if changed is None and failed is not None and stored.digest in evidence.hopeless:
            text = f"not tried again: nothing it depends on has changed ({failed.text})"
            return Decision(Action.REUSE, Reason(Why.FAILED_BEFORE, text), stored)
        # Keep every reason: `_why_run` shows the one for the result that the page last showed.
        rejected[stored.digest] = changed or failed or Reason(Why.FORCED, "")
    reason = _why_run(evidence, rejected, forced)
    if settings.execute == "frozen":
        # The page of a refused notebook shows how the run failed, which helps more than an empty
        # page.
        shown = next((s for s in evidence.results if s.result.status is not Status.OK), None)
        return Decision(Action.REFUSE, reason, shown)
    return Decision(Action.EXECUTE, reason)


def _forced(evidence: Evidence, settings: Settings) -> Reason | None:
    """Return why a notebook is run regardless of its results, if it is."""
    if settings.execute == "force":
        return Reason(Why.FORCED, "execution is forced")
    if evidence.is_rerun and settings.execute != "frozen":
        return Reason(Why.FORCED, "nbcache_rerun names it")
    return None


def is_named(name: str, globs: Sequence[str]) -> bool:
    """Tell whether globs of notebooks match a notebook, with or without its suffix.

    Args:
        name: Its path, as globs in options see it.
        globs: The globs.
    """
    if not globs:
        return False
    # Users name documents, as in a toctree.
    without_suffix = str(PurePosixPath(name).with_suffix(""))
    return any(matching_glob(path, globs) is not None for path in (name, without_suffix))


def fails_again(result: Result, trace: Trace | None, rules: Rules, settings: Settings) -> bool:
    """Tell whether another run would only repeat a failure, as long as nothing has changed.

    Only an exception of a cell repeats itself, and only if all dependencies of the run are known:
    none may come from the network, from subprocesses or through C. Reading the clock cannot be
    detected.

    Args:
        result: A result that failed.
        trace: The trace of its run; `None` if it is not known.
        rules: The present acceptance rules of the notebook.
        settings: The options.
    """
    # Other rules, such as a longer timeout, can make the same code succeed.
    if settings.execute == "frozen" or result.rules != rules:
        return False
    if settings.retry_failed != "auto":
        return settings.retry_failed == "changed"
    failure = result.failure
    # A timeout or a dead kernel can be due to the load or the memory of the machine.
    was_raised = result.status is Status.FAILED and failure and failure.position is not None
    return bool(was_raised) and trace is not None and not trace.untracked


def why_not(result: Result, rules: Rules, scan: Scan) -> Reason | None:
    """Check a result against acceptance rules; return why it is rejected, if it is.

    Args:
        result: A result under the code key of the notebook.
        rules: The acceptance rules of the notebook.
        scan: The notebook's scan, for the numbers of its cells.
    """
    if result.status is not Status.OK:
        failure = result.failure
        place = failed_place(result, scan)
        where = "" if place is None else f" in {place}"
        what = failure.headline if failure is not None else result.status.value
        return Reason(Why.FAILED_BEFORE, f"its last run failed: {what}{where}")
    for position, (run, cell) in enumerate(zip(result.cells, scan.cells, strict=False)):
        # The rules are not in the code key: a result that is valid for one notebook may not be for
        # another.
        if run.error is not None and not rules.allows(position, (run.error, *run.bases)):
            text = f"code cell {cell.number} raised {run.error}, which is no longer allowed"
            return Reason(Why.ERROR_NOT_ALLOWED, text)
    return None


@dataclass(frozen=True, slots=True)
class FailedPlace:
    """The place in a notebook where a run failed.

    Attributes:
        cell: The code cell.
        line: The line of its source, counted from 1, if it is known.
    """

    cell: ScannedCell
    line: int | None

    @property
    def line_in_file(self) -> int | None:
        """The line of the notebook's file, if it is known."""
        return self.cell.line_in_file(self.line or 1)

    def __str__(self) -> str:
        line = "" if self.line is None else f", line {self.line}"
        return f"code cell {self.cell.number}{line}"


def failed_place(result: Result, scan: Scan) -> FailedPlace | None:
    """Return where in a notebook a run of its code failed, if it was in one cell."""
    return None if result.failure is None else failure_place(result.failure, result.cells, scan)


def failure_place(failure: Failure, cells: Sequence[CellRun], scan: Scan) -> FailedPlace | None:
    """Return where in a notebook a run failed, if it was in one cell.

    Args:
        failure: Why the run failed.
        cells: The run of each cell.
        scan: The notebook's scan.
    """
    position = failure.position
    if position is None or position >= len(scan.cells):
        return None
    return FailedPlace(scan.cells[position], failed_line(failure, cells))


def failed_line(failure: Failure, cells: Sequence[CellRun]) -> int | None:
    """Return the line of its cell at which a run failed, if it is known."""
    position = failure.position
    if position is None or position >= len(cells):
        return None
    return line_in_cell(failure.traceback, cells[position].execution_count)


def failed_attempts(result: Result, scan: Scan) -> Iterator[str]:
    """Yield why the attempts before that of a result failed, one line for each."""
    for number, failure in enumerate(result.retried, start=1):
        place = failure_place(failure, (), scan)
        where = "" if place is None else f" in {place}"
        yield f"attempt {number} failed{where}: {failure.headline}"


def broken_promise(cell: ScannedCell) -> str:
    """Say that a cell did not raise the exception that its metadata declares."""
    promised = " or ".join(cell.promised)
    return f"code cell {cell.number} raised no exception, and its metadata promise {promised}"


def kept_silent(result: Result, rules: Rules, scan: Scan) -> tuple[ScannedCell, ...]:
    """Return the cells that were run without the exception that their metadata declares."""
    return tuple(
        cell
        for position, (run, cell) in enumerate(zip(result.cells, scan.cells, strict=False))
        if rules.promised_at(position) and run.was_run and run.error is None
    )


def acceptance_rules(scan: Scan, settings: Settings, name: str) -> Rules:
    """Return the acceptance rules of a notebook.

    Args:
        scan: Its scan.
        settings: The options as they apply to it (see [](Scan.settings)).
        name: Its path, as globs in options see it.
    """
    allowed = settings.allow_errors
    if not isinstance(allowed, bool):
        allowed = matching_glob(name, allowed) is not None
    return Rules(
        timeout=settings.timeout,
        allow_errors=allowed,
        raising=tuple(position for position, cell in enumerate(scan.cells) if cell.raises),
        promises=tuple(
            Promise(position, cell.promised)
            for position, cell in enumerate(scan.cells)
            if cell.promised
        ),
        retries=settings.retries,
        notebook_timeout=settings.notebook_timeout,
        output_limit=settings.output_limit,
        notebook_output_limit=settings.notebook_output_limit,
    )


def history_of(
    planned: Planned, result: Stored, former: History | None = None, *, ran_here: bool = False
) -> History:
    """Return the history of a notebook whose page shows a result.

    Args:
        planned: The notebook.
        result: The result.
        former: Its history so far.
        ran_here: Whether it was run because of the decision on it.
    """
    return History(
        result=result.digest,
        kernel=planned.key.kernel,
        language=planned.key.language,
        directory=planned.key.directory,
        cells=tuple(HistoryCell(c.number, c.digest, c.skipped) for c in planned.scan.cells),
        temporary=planned.key.temporary,
        assets=planned.key.assets,
        arguments=planned.key.arguments,
        options=dict(planned.key.options) or msgspec.UNSET,
        expressions=planned.key.expressions,
        runs=_with_run(
            former.runs if former is not None else (),
            result.result,
            _in_history(planned.decision.reason) if ran_here else "",
        ),
    )


def _in_history(reason: Reason) -> str:
    # The failed run itself has the details.
    return "its last run failed" if reason.why is Why.FAILED_BEFORE else reason.text


def _with_run(runs: tuple[PastRun, ...], result: Result, reason: str) -> tuple[PastRun, ...]:
    """Return the last runs, with that of a result if it is new."""
    if runs and result.started <= runs[-1].started:
        return runs  # or an older one whose result is valid again
    run = PastRun(result.started, result.seconds, result.status, shortened(reason))
    return (*runs, run)[-_PAST_RUNS:]


def utc(seconds: float) -> str:
    """Return a time (seconds since the epoch) in words, in UTC, to the minute."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _kept_as_is(evidence: Evidence, settings: Settings) -> Decision | None:
    """Return the decision on a notebook if it does not depend on the store."""
    scan = evidence.notebook.scan
    if scan.unreadable is not None:
        where = f"line {scan.unreadable.line}: " if scan.unreadable.line else ""
        reason = Reason(Why.UNREADABLE, f"it cannot be read ({where}{scan.unreadable.text})")
        return Decision(Action.UNREADABLE, reason)
    if not scan.cells:
        reason = Reason(Why.NO_CODE, "it has no code")
    elif settings.execute == "off":
        reason = Reason(Why.OFF, _why_off(scan))
    elif evidence.excluded_by is not None:
        reason = Reason(Why.EXCLUDED, f"excluded by {evidence.excluded_by!r} in nbcache_exclude")
    elif settings.execute == "missing" and scan.has_outputs and not evidence.is_rerun:
        reason = Reason(Why.HAS_OUTPUTS, "it has stored outputs")
    else:
        return None
    return Decision(Action.AS_IS, reason)


def _why_off(scan: Scan) -> str:
    if scan.own_execute == "off":
        return "its metadata say that it is not run"
    declared = taken_apart(scan.declared)
    if declared.execute == "off":
        return f'{MODE_OPTIONS[declared.renderer]} is "{declared.mode}"'
    return 'nbcache_execute is "off"'


def _why_reused(stored: Stored, evidence: Evidence) -> Reason:
    ran = utc(stored.result.started)
    history = evidence.history
    if history is None:
        return Reason(Why.SAME_CODE, f"same code as {stored.result.notebook}, run at {ran}")
    change = _describe_change(evidence, history)
    if change is not None and change.why is not Why.PLACE_CHANGED:
        return Reason(Why.SAME_CODE, f"the code is again what was run at {ran}")
    if history.result != stored.digest:
        return Reason(Why.SAME_CODE, f"everything is again as it was run at {ran}")
    return Reason(Why.UNCHANGED, f"nothing changed since it was run at {ran}")


def _why_run(evidence: Evidence, rejected: Mapping[str, Reason], forced: Reason | None) -> Reason:
    """Say why a notebook must be run, compared with the result that it last used."""
    if evidence.damaged is not None and not evidence.results:
        return Reason(Why.DAMAGED, f"its result in the store is damaged: {evidence.damaged}")
    if forced is not None:
        return forced
    history = evidence.history
    if history is not None and history.result in rejected:
        return rejected[history.result]
    change = None if history is None else _describe_change(evidence, history)
    if change is not None and (change.why is not Why.PLACE_CHANGED or not rejected):
        return change
    return next(iter(rejected.values()), Reason(Why.NO_RESULT, "no earlier result"))


def _describe_change(evidence: Evidence, history: History) -> Reason | None:
    """Return how a notebook differs from its history; `None` if it does not."""
    key = evidence.notebook.key
    if (key.kernel, key.language) != (history.kernel, history.language):
        # The key has no kernel if the notebook names none; only its language differs then.
        old, new = (kernel or "default kernel" for kernel in (history.kernel, key.kernel))
        if old == new:
            old, new = history.language or "no language", key.language or "no language"
        return Reason(Why.KERNEL_CHANGED, f"kernel changed: {old} → {new}")
    if text := describe_cells(history.cells, evidence.notebook.scan.cells):
        return Reason(Why.CODE_CHANGED, text)
    if history.expressions != key.expressions:
        return Reason(Why.CODE_CHANGED, "the expressions in its text changed")
    if text := _describe_options(history.options or {}, key.options):
        return Reason(Why.OPTION_CHANGED, text)
    text = _describe_place(history, key)
    return Reason(Why.PLACE_CHANGED, text) if text else None


def _describe_options(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """Say in words which options differ that are part of the key; empty if none does."""
    changed = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    return ", ".join(
        f"nbcache_{name} changed: {old.get(name, 'default')} → {new.get(name, 'default')}"
        for name in changed
    )


def _describe_place(old: History, new: KeyParts) -> str:
    """Say in words how the place of a run differs; empty if it does not."""
    if (old.temporary, old.directory) != (new.temporary, new.directory):
        folder = "the root" if new.directory == "." else f"the folder {new.directory}"
        return f"it is now run in {'a temporary folder' if new.temporary else folder}"
    if old.arguments != new.arguments:
        listed = " ".join(new.arguments) or "none any more"
        return f"its kernel has other command-line arguments: {listed}"
    if changed := sorted(set(old.assets) ^ set(new.assets)):
        listed = ", ".join(f"{'+' if asset in new.assets else '-'}{asset}" for asset in changed)
        return f"the list of its assets changed: {listed}"
    return ""


def describe_cells(old: Sequence[HistoryCell], new: Sequence[ScannedCell]) -> str:
    """Say in words how the code cells differ; empty if they do not."""
    before = [(cell.digest, cell.skipped) for cell in old]
    after = [(cell.digest, cell.skipped) for cell in new]
    if before == after:
        return ""
    # Checked before the diff, which would report a moved cell as one removed and one added.
    if sorted(before) == sorted(after):
        return "the code cells were reordered"
    if [cell.digest for cell in old] == [cell.digest for cell in new]:
        numbers = [b.number for a, b in zip(old, new, strict=True) if a.skipped != b.skipped]
        return f"the tag skip-execution of {_cells(numbers)} changed"
    found: Mapping[str, list[int]] = {"changed": [], "added": [], "removed": []}
    # By default, difflib ignores elements that occur often in a list of 200 or more, such as equal
    # cells (https://docs.python.org/3/library/difflib.html#difflib.SequenceMatcher).
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for tag, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        if tag == "equal":
            continue
        changed = min(old_to - old_from, new_to - new_from)
        found["changed"].extend(cell.number for cell in new[new_from : new_from + changed])
        found["added"].extend(cell.number for cell in new[new_from + changed : new_to])
        found["removed"].extend(cell.number for cell in old[old_from + changed : old_to])
    return ", ".join(f"{_cells(numbers)} {verb}" for verb, numbers in found.items() if numbers)


def _cells(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"code cell {numbers[0]}"
    listed = ", ".join(map(str, numbers[:-1]))
    return f"code cells {listed} and {numbers[-1]}"
