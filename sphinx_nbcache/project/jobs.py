"""Makes jobs from a plan, and a trace and a result from each run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from sphinx_nbcache.bounded import DEEPEST, Count, Json, Name, duration, is_deep, time_or
from sphinx_nbcache.files.paths import is_inner_path
from sphinx_nbcache.notebooks.formats import read_notebook
from sphinx_nbcache.notebooks.inline_values import LEADING
from sphinx_nbcache.notebooks.notebook import Notebook, decode_source
from sphinx_nbcache.notebooks.scan import cell_digest, expressions_for
from sphinx_nbcache.planning import Planned
from sphinx_nbcache.project.validity import Worlds
from sphinx_nbcache.results.artifacts import MadeFile
from sphinx_nbcache.results.outputs import render_id
from sphinx_nbcache.results.records import CellRun, Failure, Result, Status, lexer_of
from sphinx_nbcache.traces.facts import Declared, Fact, File
from sphinx_nbcache.traces.observe import observe
from sphinx_nbcache.traces.trace import Trace
from sphinx_nbcache.traces.tracking import Tracking, declared_facts, with_declared
from sphinx_nbcache.traces.world import World

if TYPE_CHECKING:
    from sphinx_nbcache.execution.job import Job, Outcome
    from sphinx_nbcache.kernels.tracing import Tracing

# Larger files are not kept: the store, and every copy of it, would grow by them with each run.
_LARGEST = 2**29
# How far timestamps of files may lag behind `time.time()`. Linux stamps files with a coarse clock,
# which advances once per timer tick: https://docs.kernel.org/core-api/timekeeping.html
_CLOCK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Observed:
    """The observations of a run.

    Attributes:
        trace: Its dependencies and products.
        files: The written files that the store keeps.
    """

    trace: Trace
    files: tuple[MadeFile, ...]


@dataclass(frozen=True, slots=True)
class WatchedRun:
    """A run under observation.

    Attributes:
        tracking: The facts that count as dependencies.
        before: The declared facts before the run.
        left_over: Names of existing files that earlier runs seem to have written.
    """

    tracking: Tracking
    before: tuple[Fact, ...]
    left_over: Collection[str] = ()


class Observer:
    """Observes runs, and refreshes the fingerprints of the files that they write.

    Args:
        worlds: The world of each kernel.
        root: The root.
    """

    def __init__(self, worlds: Worlds, root: Path) -> None:
        self._worlds = worlds
        self._root = root

    def tracing(self, planned: Planned, folder: Path) -> Tracing | None:
        """Return the tracing of a run; `None` if no counted dependency needs a tracer.

        Args:
            planned: The notebook.
            folder: A folder for reports of child processes.
        """
        from sphinx_nbcache.kernels.tracing import Tracing

        if not self._tracking(planned).needs_tracer:
            return None
        is_system = self.wants_system(planned)
        return Tracing(str(self._root), self._worlds.quiet, str(folder), is_system)

    def wants_system(self, planned: Planned) -> bool:
        """Tell whether the system tracer is to see a run, where the system has it."""
        wants = self._worlds.wants_system(planned.scan, planned.key)
        return wants and self._tracking(planned).needs_tracer

    def is_python(self, planned: Planned) -> bool:
        """Tell whether a notebook's kernel runs Python."""
        return self._worlds.is_python(planned.key)

    def begin(self, planned: Planned, left_over: Collection[str] = ()) -> WatchedRun:
        """Record the declared facts, right before a run."""
        tracking, world = self._tracking(planned), self._worlds.of(planned.key)
        # Fingerprints are cached for the whole build, but an earlier run may have changed files.
        for glob in tracking.globs:
            world.fingerprints.forget(world.matches(glob))
        return WatchedRun(tracking, tuple(declared_facts(tracking, world)), left_over)

    def end(
        self,
        planned: Planned,
        watch: WatchedRun,
        job: Job,
        outcome: Outcome,
        others: Collection[str],
    ) -> Observed:
        """Return the observations of a run, right after it.

        Args:
            planned: The notebook.
            watch: The return value of [](begin).
            job: The job.
            outcome: The outcome of the job.
            others: Names of the files that other notebooks of this build have written.
        """
        world = self._worlds.of(planned.key)
        # Only Python kernels load the tracer; others need that of the system. An empty trace would
        # claim that the notebook reads nothing.
        by_system = outcome.report.get("system") is True
        is_seen = by_system or self._worlds.is_python(planned.key)
        traceable = job.tracing is not None and is_seen
        trace = Trace()
        if traceable:
            texts = [cell.source for cell in job.cells]
            # Outputs too: a printed path is stale once the project is moved.
            texts.append(msgspec.json.encode(outcome.outputs).decode())
            trace = observe(outcome.report, world, texts, str(planned.path), watch.left_over)
            trace = _doubting(trace, others)
            if outcome.begun is not None:
                trace = _after_attempts(trace, outcome.begun, world)
        # `with_declared` compares the facts before and after: it must not see cached matches.
        for fact in watch.before:
            if isinstance(fact, Declared):
                world.fingerprints.forget(world.matches(fact.glob))
        trace = with_declared(
            trace,
            watch.tracking,
            watch.before,
            world,
            # If no dependency needs a tracer, a run without one is completely tracked.
            traceable=traceable or not watch.tracking.needs_tracer,
        )
        if traceable:
            trace = msgspec.structs.replace(trace, tracer="system" if by_system else "python")
        return Observed(trace, (*outcome.files, *_made(trace, world, job, outcome)))

    def _tracking(self, planned: Planned) -> Tracking:
        return self._worlds.tracking(planned.scan, planned.path, planned.key)


def _doubting(trace: Trace, others: Collection[str]) -> Trace:
    """Mark a trace as unreliable if another notebook may have made one of its writes."""
    # A write is inferred if the file changed while a cell that names it ran, but no audit event
    # reported the write. C code need not raise any: https://peps.python.org/pep-0578/
    for written in trace.written:
        if written.inferred and written.path in others and trace.unreliable is None:
            text = f"{written.path} was written by several notebooks at the same time"
            return msgspec.structs.replace(trace, unreliable=text)
    return trace


def _after_attempts(trace: Trace, begun: float, world: World) -> Trace:
    """Mark a trace as unreliable if the run may have read what a failed attempt wrote.

    The dependencies of the failed attempt are not part of the trace.

    Args:
        trace: The trace of the last attempt.
        begun: The start of the first attempt, in seconds since the epoch.
        world: The world right after the last attempt.
    """
    since = (begun - _CLOCK_SECONDS) * 1e9
    for fact in trace.facts:
        if not isinstance(fact, File) or (path := world.path(fact.path)) is None:
            continue
        stat = world.fingerprints.entry(path).stat
        # The ctime, because archives and `cp -p` set the mtime to the past:
        # https://man7.org/linux/man-pages/man7/inode.7.html
        if stat is not None and stat.ctime_ns >= since and trace.unreliable is None:
            text = f"{fact.path} changed while an attempt that failed ran"
            return msgspec.structs.replace(trace, unreliable=text)
    return trace


def _made(trace: Trace, world: World, job: Job, outcome: Outcome) -> list[MadeFile]:
    # The run itself collects the files of a temporary folder, which is gone by now. After a
    # failure, files may be incomplete.
    if job.temporary is not None or outcome.status is not Status.OK:
        return []
    files = []
    for written in trace.written:
        path = world.path(written.path)
        if path is None or not is_inner_path(written.path) or world.places.leads_out(path):
            continue  # a file behind a link that leads out of the root is the user's
        stat = world.fingerprints.entry(path).stat
        if stat is not None and stat.size <= _LARGEST:
            files.append(
                MadeFile(
                    written.path,
                    path,
                    written.mode,
                    written.created,
                    written.inferred,
                    written.digest,
                )
            )
    return files


_Parts = tuple[Status, tuple[CellRun, ...], list[Failure], Json, Name, Count | None]


class SourceChangedError(Exception):
    """A source file was edited after its scan."""


def read_planned(planned: Planned) -> Notebook:
    """Read the cells of a planned notebook.

    Raises:
        NotebookError: The file is no longer a valid notebook.
        OSError: The file was removed, or cannot be read.
    """
    text, folder = decode_source(planned.path.read_bytes()), planned.path.parent
    return read_notebook(text, planned.scan.fmt or "", folder)


def make_job(
    planned: Planned,
    below: Path = Path(),
    tracing: Tracing | None = None,
    environment: Mapping[str, str | None] = MappingProxyType({}),
) -> Job:
    """Return the job that runs a notebook.

    Args:
        planned: The notebook.
        below: The parent of its temporary folder, if it runs in one.
        tracing: The tracing of the run, if any.
        environment: The option `nbcache_environment`.

    Raises:
        SourceChangedError: The code does not match the code key. Running it would store the
            outputs of the new code under the key of the old code.
        NotebookError: The file is no longer a valid notebook.
        OSError: The file was removed, or cannot be read.
    """
    from sphinx_nbcache.execution.job import Asset, Job, JobCell, TemporaryFolder

    notebook = read_planned(planned)
    sources = [item.cell.source for item in notebook.code_cells]
    # Compare the sources that are about to run: a check of the file's stat would leave a race
    # between the check and the read.
    found = expressions_for(planned.scan, notebook)
    cells = [(cell_digest(source), found.get(n, ())) for n, source in enumerate(sources)]
    if (found.get(LEADING, ()), cells) != (
        planned.scan.leading,
        [(cell.digest, cell.expressions) for cell in planned.scan.cells],
    ):
        raise SourceChangedError(planned.name)
    folder = planned.path.parent
    assets = tuple(Asset(path, str(folder / path)) for path in planned.key.assets)
    return Job(
        code_key=planned.code_key,
        notebook=planned.name,
        directory=str(planned.folder),
        kernel=planned.key.kernel,
        language=planned.key.language,
        cells=tuple(
            JobCell(cell.digest, source, cell.skipped, cell.expressions)
            for cell, source in zip(planned.scan.cells, sources, strict=True)
        ),
        rules=planned.rules,
        arguments=planned.key.arguments,
        environment=dict(environment),
        temporary=TemporaryFolder(assets, str(below)) if planned.key.temporary else None,
        tracing=tracing,
        leading=planned.scan.leading,
    )


def outcome_of(job: Job, future: Future[Outcome]) -> Outcome:
    """Return the outcome of a finished job, whichever executor ran it.

    If the executor fails or returns something else, only this notebook fails.
    """
    from sphinx_nbcache.execution.job import Outcome, failed_outcome

    try:
        outcome: object = future.result()
    except Exception as error:  # noqa: BLE001 (executors may be another package's)
        what = str(error) or "it gives no reason"
        return failed_outcome(job, type(error).__name__, f"its executor failed: {what}")
    if not isinstance(outcome, Outcome) or len(outcome.cells) != len(job.cells):
        text = f"its executor returned {outcome!r:.80}, no outcome"
        return failed_outcome(job, "TypeError", text)
    # Encoders and renderers recurse: deep outputs would raise `RecursionError` in a later build,
    # far from their cause.
    if is_deep([outcome.outputs.cells, outcome.outputs.widgets, outcome.language_info]):
        text = f"an output is nested deeper than {DEEPEST} levels, which no page can show"
        return failed_outcome(job, "OutputLimitError", text)
    try:
        _check(outcome)
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError) as error:
        text = f"its executor returned an outcome that cannot be kept: {error}"
        return failed_outcome(job, "ValueError", text)
    return outcome


def _check(outcome: Outcome) -> None:
    """Check that the outcome of an executor fits into a record.

    Raises:
        msgspec.MsgspecError: A value is of another type, or out of bounds.
        ValueError: The same, or a failure names a cell that does not exist.
        TypeError: A value cannot be encoded.
        OverflowError: A number cannot be encoded.
    """
    failures = [failure for failure in (outcome.failure, *outcome.retried) if failure is not None]
    parts = outcome.status, outcome.cells, failures, outcome.language_info, outcome.kernel
    # A round trip, because msgspec validates types only when it decodes:
    # https://jcristharif.com/msgspec/structs.html#type-validation
    encoded = msgspec.json.encode((*parts, outcome.peak_memory))
    msgspec.json.decode(encoded, type=_Parts)
    if any(f.position is not None and f.position >= len(outcome.cells) for f in failures):
        raise ValueError("it failed at a cell that the notebook does not have")


def make_result(job: Job, outcome: Outcome, executor: str) -> Result:
    """Return the record of a job's outcome for the store."""
    language = outcome.language_info
    lexer = lexer_of(language)
    return Result(
        code_key=job.code_key,
        status=outcome.status,
        rules=job.rules,
        cells=outcome.cells,
        outputs="",  # filled in by `Store.commit`
        render_id=render_id(outcome.outputs, outcome.status, lexer, outcome.failure),
        kernel=outcome.kernel,
        language_info=language,
        # The clock of this machine, or of a remote one, may be wrong.
        started=time_or(outcome.started, 0.0),
        seconds=duration(outcome.seconds),
        executor=executor,
        notebook=job.notebook,
        failure=outcome.failure,
        temporary=job.temporary is not None,
        peak_memory=outcome.peak_memory,
        retried=outcome.retried,
    )
