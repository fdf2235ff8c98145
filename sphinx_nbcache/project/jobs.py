"""From a plan to jobs, and from what a run was seen to do to its trace.

A trace also names the files that are kept of a run.
"""

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
from sphinx_nbcache.notebooks.notebook import Notebook, decode_source
from sphinx_nbcache.notebooks.scan import cell_digest
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
# How far the clock of a file system may be behind.
_CLOCK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Observed:
    """The observations of a run.

    Attributes:
        trace: Its dependencies and products.
        files: The files that it wrote, to be kept.
    """

    trace: Trace
    files: tuple[MadeFile, ...]


@dataclass(frozen=True, slots=True)
class WatchedRun:
    """A run that is being watched.

    Attributes:
        tracking: The facts that count as dependencies.
        before: The declared facts before the run.
        left_over: Names of files that earlier runs seem to have written, and that were there.
    """

    tracking: Tracking
    before: tuple[Fact, ...]
    left_over: Collection[str] = ()


class Observer:
    """Observes runs. Files that they write are looked at again, for all verified traces.

    Args:
        worlds: The world of each kernel.
        root: The root.
    """

    def __init__(self, worlds: Worlds, root: Path) -> None:
        self._worlds = worlds
        self._root = root

    def tracing(self, planned: Planned, folder: Path) -> Tracing | None:
        """Return how a run is traced; `None` if nothing counts that a tracer sees.

        Args:
            planned: The notebook.
            folder: A folder for what child processes report.
        """
        from sphinx_nbcache.kernels.tracing import Tracing

        if not self._tracking(planned).needs_tracer:
            return None
        return Tracing(str(self._root), self._worlds.quiet, str(folder))

    def begin(self, planned: Planned, left_over: Collection[str] = ()) -> WatchedRun:
        """Look at what is declared, right before a run."""
        tracking, world = self._tracking(planned), self._worlds.of(planned.key)
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
        """Return what a run was seen to do, right after it.

        Args:
            planned: The notebook.
            watch: The return value of [](begin).
            job: The order.
            outcome: The outcome of the job.
            others: Names of the files that other notebooks of this build have written.
        """
        world = self._worlds.of(planned.key)
        traceable = job.tracing is not None and self._worlds.is_python(planned.key)
        trace = Trace()
        if traceable:
            texts = [cell.source for cell in job.cells]
            texts.append(msgspec.json.encode(outcome.outputs).decode())
            trace = observe(outcome.report, world, texts, str(planned.path), watch.left_over)
            trace = _doubting(trace, others)
            if outcome.begun is not None:
                trace = _after_attempts(trace, outcome.begun, world)
        for fact in watch.before:
            if isinstance(fact, Declared):
                world.fingerprints.forget(world.matches(fact.glob))
        trace = with_declared(
            trace,
            watch.tracking,
            watch.before,
            world,
            # Where nothing was to be tracked, that is known of the run.
            traceable=traceable or not watch.tracking.needs_tracer,
        )
        return Observed(trace, (*outcome.files, *_made(trace, world, job, outcome)))

    def _tracking(self, planned: Planned) -> Tracking:
        return self._worlds.tracking(planned.scan, planned.path, planned.key)


def _doubting(trace: Trace, others: Collection[str]) -> Trace:
    """Return a trace that is not trusted where a write may have been that of another notebook."""
    for written in trace.written:
        if written.inferred and written.path in others and trace.unreliable is None:
            text = f"{written.path} was written by several notebooks at the same time"
            return msgspec.structs.replace(trace, unreliable=text)
    return trace


def _after_attempts(trace: Trace, begun: float, world: World) -> Trace:
    """Return a trace that is not trusted if what it read may come from an attempt that failed.

    The dependencies of the failed attempt are not part of the trace.

    Args:
        trace: The trace of the last attempt.
        begun: When the first one began: seconds since the epoch.
        world: The world right after the last one.
    """
    since = (begun - _CLOCK_SECONDS) * 1e9
    for fact in trace.facts:
        if not isinstance(fact, File) or (path := world.path(fact.path)) is None:
            continue
        stat = world.fingerprints.entry(path).stat
        if stat is not None and stat.ctime_ns >= since and trace.unreliable is None:
            text = f"{fact.path} changed while an attempt that failed ran"
            return msgspec.structs.replace(trace, unreliable=text)
    return trace


def _made(trace: Trace, world: World, job: Job, outcome: Outcome) -> list[MadeFile]:
    if job.temporary is not None or outcome.status is not Status.OK:
        return []
    files = []
    for written in trace.written:
        path = world.path(written.path)
        if path is None or not is_inner_path(written.path) or world.places.leads_out(path):
            continue  # through a link out of the root, the file is the user's
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
    """A source file is no longer what its scan says: it was edited in the last moments."""


def read_planned(planned: Planned) -> Notebook:
    """Read a notebook's cells.

    Raises:
        NotebookError: The file has become unreadable.
        OSError: The file has gone.
    """
    text, folder = decode_source(planned.path.read_bytes()), planned.path.parent
    return read_notebook(text, planned.scan.fmt or "", folder)


def make_job(
    planned: Planned,
    below: Path = Path(),
    tracing: Tracing | None = None,
    environment: Mapping[str, str | None] = MappingProxyType({}),
) -> Job:
    """Return the order to run a notebook.

    Args:
        planned: The notebook.
        below: Where its temporary folder is made, if it is run in one.
        tracing: How it is traced, if it is.
        environment: The option `nbcache_environment`.

    Raises:
        SourceChangedError: The code is not that of the code key. Running it would put the
            outputs of one code under the key of another.
        NotebookError: The file has become unreadable.
        OSError: The file has gone.
    """
    from sphinx_nbcache.execution.job import Asset, Job, JobCell, TemporaryFolder

    sources = [item.cell.source for item in read_planned(planned).code_cells]
    if [cell_digest(source) for source in sources] != [c.digest for c in planned.scan.cells]:
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
            JobCell(cell.digest, source, cell.skipped)
            for cell, source in zip(planned.scan.cells, sources, strict=True)
        ),
        rules=planned.rules,
        arguments=planned.key.arguments,
        environment=dict(environment),
        temporary=TemporaryFolder(assets, str(below)) if planned.key.temporary else None,
        tracing=tracing,
    )


def outcome_of(job: Job, future: Future[Outcome]) -> Outcome:
    """Return the outcome of a job that has ended, of whatever executor.

    An executor that fails, or returns something else, makes that notebook fail, and no other.
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
    """Check that what an executor returned fits into a record.

    Raises:
        msgspec.MsgspecError: A value is of another type, or out of bounds.
        ValueError: The same, or it names a cell that it does not have.
        TypeError: A value cannot be encoded.
        OverflowError: A number cannot be encoded.
    """
    failures = [failure for failure in (outcome.failure, *outcome.retried) if failure is not None]
    parts = outcome.status, outcome.cells, failures, outcome.language_info, outcome.kernel
    encoded = msgspec.json.encode((*parts, outcome.peak_memory))
    msgspec.json.decode(encoded, type=_Parts)
    if any(f.position is not None and f.position >= len(outcome.cells) for f in failures):
        raise ValueError("it failed at a cell that the notebook does not have")


def make_result(job: Job, outcome: Outcome, executor: str) -> Result:
    """Return what the store is to remember of a job's outcome."""
    language = outcome.language_info
    lexer = lexer_of(language)
    return Result(
        code_key=job.code_key,
        status=outcome.status,
        rules=job.rules,
        cells=outcome.cells,
        outputs="",
        render_id=render_id(outcome.outputs, outcome.status, lexer, outcome.failure),
        kernel=outcome.kernel,
        language_info=language,
        # By the clock of this machine, or of another one, which may be wrong.
        started=time_or(outcome.started, 0.0),
        seconds=duration(outcome.seconds),
        executor=executor,
        notebook=job.notebook,
        failure=outcome.failure,
        temporary=job.temporary is not None,
        peak_memory=outcome.peak_memory,
        retried=outcome.retried,
    )
