"""The tracer of one run: started in its kernel before the first cell, asked after the last one."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from nbclient.exceptions import CellExecutionError

from sphinx_nbcache.execution.job import Tracing
from sphinx_nbcache.execution.work_folder import remove_folder
from sphinx_nbcache.traces.session import (
    TracerConfig,
    install_code,
    new_log,
    parse_report,
    report_expression,
    write_support,
)

# Executes code silently; returns the content of the reply, or nothing if there was none.
Silently = Callable[..., Awaitable[dict[str, Any]]]

_REPORT = "report"


class RunTracer:
    """What traces one run.

    Attributes:
        report: What the kernel reported; empty as long as it did not.

    Args:
        tracing: What the job says of tracing.
        variables: Environment variables that the kernel has been given by us.
    """

    def __init__(self, tracing: Tracing, variables: Iterable[str] = ()) -> None:
        self.report: dict[str, Any] = {}
        self._variables = tuple(variables)
        self._tracing = tracing

    @asynccontextmanager
    async def around_cells(self, silently: Silently) -> AsyncIterator[None]:
        """Trace what is run inside this context; an exception of a cell does not lose the report.

        Args:
            silently: Executes code in the kernel without a trace in its history. Takes `code` and
                `user_expressions`.
        """
        folder = _new_folder(Path(self._tracing.folder))
        try:
            write_support(folder)
            config = TracerConfig(
                root=self._tracing.root,
                log=new_log(folder),
                support=str(folder),
                quiet=(*self._tracing.quiet, str(folder)),
                own_variables=self._variables,
            )
            reply = await silently(install_code(config))
            if reply.get("status") != "ok":
                self.report = {"errors": [str(reply.get("evalue", "it could not be started"))]}
                yield
                return
            try:
                yield
            except CellExecutionError:
                await self._ask(silently)
                raise
            await self._ask(silently)
        finally:
            remove_folder(folder)

    async def _ask(self, silently: Silently) -> None:
        reply = await silently("", user_expressions={_REPORT: report_expression()})
        answers = reply.get("user_expressions")
        self.report = parse_report(answers.get(_REPORT)) if isinstance(answers, dict) else {}


def _new_folder(below: Path) -> Path:
    below.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="trace-", dir=below))
