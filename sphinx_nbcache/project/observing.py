"""From what a run was seen to do to its trace, and to the files that are kept of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sphinx_nbcache.notebooks.assets import is_inner_path
from sphinx_nbcache.planning import Planned
from sphinx_nbcache.project.worlds import Worlds
from sphinx_nbcache.store.artifacts import MadeFile
from sphinx_nbcache.store.records import Status
from sphinx_nbcache.traces.facts import Declared, Fact, File, Trace
from sphinx_nbcache.traces.observe import observe
from sphinx_nbcache.traces.tracking import Tracking, declared_facts, with_declared
from sphinx_nbcache.traces.world import World

if TYPE_CHECKING:
    from sphinx_nbcache.execution.job import Job, Outcome, Tracing

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
class Watch:
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
        from sphinx_nbcache.execution.job import Tracing

        if not self._tracking(planned).needs_tracer:
            return None
        return Tracing(str(self._root), self._worlds.quiet, str(folder))

    def begin(self, planned: Planned, left_over: Collection[str] = ()) -> Watch:
        """Look at what is declared, right before a run."""
        tracking, world = self._tracking(planned), self._worlds.of(planned.key)
        for glob in tracking.globs:
            world.fingerprints.forget(world.matches(glob))
        return Watch(tracking, tuple(declared_facts(tracking, world)), left_over)

    def end(
        self, planned: Planned, watch: Watch, job: Job, outcome: Outcome, others: Collection[str]
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
