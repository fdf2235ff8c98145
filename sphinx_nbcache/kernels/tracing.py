"""The tracer of one run: whether a kernel gets one, its installation, and its report."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from sphinx_nbcache.kernels.watching import Watched
from sphinx_nbcache.traces.tracer_code import (
    TracerConfig,
    install_code,
    parse_report,
    remove_log,
    report_expression,
    with_log,
    write_support,
)
from sphinx_nbcache.traces.watched import with_system

# Executes code silently; returns the content of the reply, empty if there was none.
Silently = Callable[..., Awaitable[dict[str, Any]]]

_REPORT = "report"


class Tracing(msgspec.Struct, frozen=True):
    """How a run is traced."""

    root: str
    """The root, absolute."""
    quiet: tuple[str, ...]
    """Directories whose files do not count, such as the store."""
    folder: str
    """Absolute path of a folder for reports of child processes. It is created if missing."""
    is_system: bool = False
    """Whether the system tracer is to see all processes, where the system has it."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A tracer that runs in a kernel before any code was executed there.

    Attributes:
        config: The configuration of the tracer.
        since_ns: When the kernel was assigned to its notebook, if it had to wait for one:
            nanoseconds since the epoch. The notebook cannot have seen earlier changes.
    """

    config: TracerConfig
    since_ns: int = 0


class RunTracer:
    """Traces one run.

    Attributes:
        report: The kernel's report; empty until it arrives.
        is_watcher_lost: Whether the watcher has ended before the run: then no one has seen all of
            it, and calls of the kernel may have failed.
        powerless: Paths of programs that could not change their user, because they were watched.
        config: The tracer's configuration, without the log of child processes, which differs for
            each kernel.

    Args:
        tracing: The job's order to trace.
        is_python: Whether the kernel runs Python; another one has no tracer of its own.
    """

    def __init__(self, tracing: Tracing, *, is_python: bool = True) -> None:
        self.report: dict[str, Any] = {}
        self.is_watcher_lost = False
        self.powerless: tuple[str, ...] = ()
        self.is_python = is_python
        # Child processes import modules from this folder: it must contain nothing else.
        folder = Path(tracing.folder, "tracer")
        write_support(folder)
        self.config = TracerConfig(
            root=tracing.root,
            support=str(folder),
            quiet=(*tracing.quiet, str(folder)),
        )

    @asynccontextmanager
    async def around_cells(
        self, silently: Silently, begun: Begun | None, watched: Watched | None
    ) -> AsyncIterator[None]:
        """Trace the code that runs inside this context; a failing cell does not lose the report.

        Args:
            silently: Executes code in the kernel without adding it to the history. Takes `code` and
                `user_expressions`.
            begun: The tracer, if the kernel already has one.
            watched: The watcher of the kernel, if there is one.
        """
        # Not at the top: jobs name [](Tracing), and a build without work must not load nbclient.
        from nbclient.exceptions import CellExecutionError

        config = with_log(self.config) if begun is None else begun.config
        try:
            if begun is None and self.is_python:
                reply = await silently(install_code(config))
                if reply.get("status") != "ok":
                    self.report = {"errors": [str(reply.get("evalue", "it could not be started"))]}
                    yield
                    return
            await self._begin(watched)
            try:
                yield
            # After any other exception, such as the end of the kernel or a time-out, no answer
            # would come.
            except CellExecutionError:
                await self._ask(silently, begun, watched)
                raise
            await self._ask(silently, begun, watched)
        finally:
            remove_log(config)

    async def _begin(self, watched: Watched | None) -> None:
        if watched is not None:
            try:
                await watched.begin()
            except OSError:
                self.is_watcher_lost = True

    async def _ask(self, silently: Silently, begun: Begun | None, watched: Watched | None) -> None:
        if self.is_python:
            reply = await silently("", user_expressions={_REPORT: report_expression()})
            answers = reply.get("user_expressions")
            self.report = parse_report(answers.get(_REPORT)) if isinstance(answers, dict) else {}
            if begun is not None and isinstance(started := self.report.get("started"), int):
                self.report["started"] = max(started, begun.since_ns)
            if not self.report:
                return  # a report that cannot be read stays one
        if watched is None:
            return
        try:
            answer = await watched.end()
        except OSError:
            self.is_watcher_lost = True
            return
        if answer is not None:
            root, quiet = self.config.root, self.config.quiet
            self.report = with_system(self.report, answer, root, quiet)
            self.powerless = tuple(map(str, answer.get("powerless", ())))
