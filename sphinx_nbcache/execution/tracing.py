"""The tracer of one run: started in its kernel before the first cell, asked after the last one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbclient.exceptions import CellExecutionError

from sphinx_nbcache.execution.job import Tracing
from sphinx_nbcache.traces.session import (
    TracerConfig,
    install_code,
    parse_report,
    remove_log,
    report_expression,
    with_log,
    write_support,
)

# Executes code silently; returns the content of the reply, or nothing if there was none.
Silently = Callable[..., Awaitable[dict[str, Any]]]

_REPORT = "report"


@dataclass(frozen=True, slots=True)
class Begun:
    """A tracer that runs in a kernel before anybody has executed anything there.

    Attributes:
        config: What it was told.
        since_ns: Since when the kernel is its notebook's, if it had to wait for that: nanoseconds
            since the epoch. What has changed before, the notebook cannot have seen.
    """

    config: TracerConfig
    since_ns: int = 0


class RunTracer:
    """What traces one run.

    Attributes:
        report: What the kernel reported; empty as long as it did not.
        config: What the tracer is told, but for the log of its children, which each kernel has of
            its own.

    Args:
        tracing: What the job says of tracing.
        variables: Environment variables that the kernel has been given by us.
    """

    def __init__(self, tracing: Tracing, variables: Iterable[str] = ()) -> None:
        self.report: dict[str, Any] = {}
        # Child processes find modules in it: nothing else may be there.
        folder = Path(tracing.folder, "tracer")
        write_support(folder)
        self.config = TracerConfig(
            root=tracing.root,
            support=str(folder),
            quiet=(*tracing.quiet, str(folder)),
            own_variables=tuple(variables),
        )

    @asynccontextmanager
    async def around_cells(self, silently: Silently, begun: Begun | None) -> AsyncIterator[None]:
        """Trace what is run inside this context; an exception of a cell does not lose the report.

        Args:
            silently: Executes code in the kernel without a trace in its history. Takes `code` and
                `user_expressions`.
            begun: The tracer, if the kernel has one already.
        """
        config = with_log(self.config) if begun is None else begun.config
        try:
            if begun is None:
                reply = await silently(install_code(config))
                if reply.get("status") != "ok":
                    self.report = {"errors": [str(reply.get("evalue", "it could not be started"))]}
                    yield
                    return
            try:
                yield
            except CellExecutionError:
                await self._ask(silently, begun)
                raise
            await self._ask(silently, begun)
        finally:
            remove_log(config)

    async def _ask(self, silently: Silently, begun: Begun | None) -> None:
        reply = await silently("", user_expressions={_REPORT: report_expression()})
        answers = reply.get("user_expressions")
        self.report = parse_report(answers.get(_REPORT)) if isinstance(answers, dict) else {}
        if begun is not None and isinstance(started := self.report.get("started"), int):
            self.report["started"] = max(started, begun.since_ns)
