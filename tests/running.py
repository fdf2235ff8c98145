"""Running single notebooks with real kernels, and seeing what runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from sphinx_nbcache.execution.job import Job, JobCell, Outcome
from sphinx_nbcache.execution.runner import run
from sphinx_nbcache.kernels.choosing import KernelStarts
from sphinx_nbcache.results.records import Rules

FORKED = str(Path("kernel_side", "zygote"))


def job(folder: Path, *sources: str, skipped: tuple[int, ...] = (), **more: Any) -> Job:
    """Return the order to run these cells; `skipped` are numbers."""
    named = {name: more.pop(name) for name in Rules.__struct_fields__ if name in more}
    rules = Rules(**{"timeout": 60.0, **named})
    made: dict[str, Any] = {"kernel": "python3", "language": "python", **more}
    return Job(
        code_key="k",
        notebook="a.ipynb",
        directory=str(folder),
        cells=tuple(
            JobCell(f"d{position}", source, position in skipped)
            for position, source in enumerate(sources)
        ),
        rules=rules,
        **made,
    )


def outcome_of(order: Job, starts: KernelStarts | None = None) -> Outcome:
    """Run a job to its end."""
    return asyncio.run(run(order, starts))


def text(outcome: Outcome, number: int) -> str:
    """Return all text that a cell displayed."""
    outputs = outcome.outputs.cells[number - 1]
    return "".join(o.get("text", "") or o.get("data", {}).get("text/plain", "") for o in outputs)


def kernels() -> list[psutil.Process]:
    """Return the kernels that this process has started, but not what they are forked from."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            words, parent = child.cmdline(), child.parent()
            is_forked = parent is not None and FORKED in " ".join(parent.cmdline())
        except psutil.Error:
            continue
        if any("ipykernel" in word for word in words) or is_forked:
            found.append(child)
    return found


def soon(condition: Callable[[], Any], seconds: float = 20) -> bool:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def marked(variable: str) -> list[str]:
    """Return what runs that was started with an environment variable, `NAME=value`: on Linux."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            variables = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
            if variable.encode() in variables and process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"{process.pid} {process.cmdline()}")
    return found


def users_of(folder: Path) -> list[str]:
    """Return the processes that have a file open below a folder, or work there: on Linux."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            links = [*Path(f"/proc/{process.pid}/fd").iterdir(), Path(f"/proc/{process.pid}/cwd")]
            paths = [str(link.readlink()) for link in links if link.is_symlink()]
            if any(f"{path}/".startswith(f"{folder}/") for path in paths):
                found.append(f"{process.pid} {process.cmdline()}")
    return found
