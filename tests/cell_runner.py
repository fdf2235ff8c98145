"""Runs jobs of builds in forks of one process: quick, with the real tracer and its real reports."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from support import stream
from tracing import Shells

from sphinx_nbcache.execution.job import Job, Outcome
from sphinx_nbcache.results.outputs import RunOutputs
from sphinx_nbcache.results.records import CellRun, Failure, Status
from sphinx_nbcache.traces.tracer_code import (
    TracerConfig,
    install_code,
    new_log,
    report_expression,
    write_support,
)

# Bytecode is told from older one by whole seconds and sizes: Python itself would be deceived.
_NO_BYTECODE = "import sys; sys.dont_write_bytecode = True\n"
_SITE = """
import site, sys
sys.path.append({0!r})
site.getsitepackages = lambda found=site.getsitepackages: [*found(), {0!r}]
"""


@dataclass(frozen=True)
class CellRunner:
    """Runs lists of cells, traced or not.

    Attributes:
        shells: Where.
        site: A folder with installed packages that is added to those of the interpreter.
        pause: Called before each cell of a job and after the last one, with the sources of all
            cells and how many of them were run.
    """

    shells: Shells
    site: str = ""
    pause: Callable[[Sequence[str], int], None] | None = None

    def printed(self, directory: str, cells: Sequence[str]) -> str:
        """Run cells untraced; return what they printed."""
        return str(self._ask(directory, cells, "", "''")["output"])

    async def run(self, job: Job, *_more: object) -> Outcome:
        """Run a job as [](sphinx_nbcache.execution.runner.run) does."""
        started = time.time()
        cells = [cell.source for cell in job.cells if not cell.skipped]
        answer = self._traced(job, cells)
        texts = [""] * len(job.cells)
        texts[-1] = answer["output"]
        failed = answer["error"]
        return Outcome(
            status=Status.OK if failed is None else Status.FAILED,
            cells=tuple(CellRun(cell.digest, n, 0.01) for n, cell in enumerate(job.cells, 1)),
            outputs=RunOutputs([stream(text) for text in texts]),
            kernel="python3",
            language_info={"name": "python", "pygments_lexer": "ipython3"},
            started=started,
            seconds=time.time() - started,
            failure=None if failed is None else Failure(failed, failed, failed),
            report=json.loads(answer["report"]),
        )

    def _traced(self, job: Job, cells: Sequence[str]) -> dict[str, Any]:
        if job.tracing is None:
            return self._ask(job.directory, cells, "", "'{}'")
        below = Path(job.tracing.folder)
        below.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=below) as folder:
            write_support(Path(folder))
            config = TracerConfig(
                root=job.tracing.root,
                log=new_log(Path(folder)),
                support=folder,
                quiet=(*job.tracing.quiet, folder),
            )
            return self._ask(job.directory, cells, install_code(config), report_expression())

    def _ask(
        self, directory: str, cells: Sequence[str], install: str, expression: str
    ) -> dict[str, Any]:
        site = _SITE.format(self.site) if self.site else ""
        pause = None if self.pause is None else partial(self.pause, cells)
        return self.shells.ask(
            {
                "directory": directory,
                "variables": {},
                "install": _NO_BYTECODE + site + install,
                "cells": cells,
                "expression": expression,
            },
            pause,
        )
