"""Orders to run one notebook, and what comes of them. Both can travel to another process."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from sphinx_nbcache.store.artifacts import MadeFile
from sphinx_nbcache.store.outputs import RunOutputs
from sphinx_nbcache.store.records import CellRun, Failure, Rules, Status


class JobCell(msgspec.Struct, frozen=True, array_like=True):
    """A code cell to run."""

    digest: str
    source: str
    skipped: bool


class Asset(msgspec.Struct, frozen=True, array_like=True):
    """A file or a folder of which a temporary folder gets a copy."""

    path: str
    """Where the copy is, relative to the temporary folder; in it or below."""
    source: str
    """Absolute path of what is copied."""


class TemporaryFolder(msgspec.Struct, frozen=True):
    """A temporary folder to work in. It is made for the run, and removed after it."""

    assets: tuple[Asset, ...]
    below: str
    """Absolute path of the folder in which it is made. What the run has left lies there as well,
    until it is in the store: who gives the order removes it."""


class Tracing(msgspec.Struct, frozen=True):
    """How a run is traced."""

    root: str
    """The root, absolute."""
    quiet: tuple[str, ...]
    """Directories whose files do not count, such as the store."""
    folder: str
    """Absolute path of a folder for what child processes report. It is made if it is missing."""


class Job(msgspec.Struct, frozen=True):
    """A self-contained order to run one notebook."""

    code_key: str
    notebook: str
    """Path of the notebook relative to the root, for messages and records."""
    directory: str
    """Absolute path of the notebook's folder. The kernel works there, unless…"""
    kernel: str
    """Kernel name, after aliases; empty if the notebook names none."""
    language: str
    cells: tuple[JobCell, ...]
    rules: Rules
    arguments: tuple[str, ...] = ()
    """What the kernel is given on its command line, beside what its kernelspec says."""
    environment: dict[str, str | None] = {}
    """Environment variables of the kernel, beside those of the process that starts it; `None` for
    those that are taken away."""
    temporary: TemporaryFolder | None = None
    """…it works in a temporary folder."""
    tracing: Tracing | None = None
    """How it is traced, if it is."""


class Outcome(msgspec.Struct, frozen=True):
    """What came of a job."""

    status: Status
    cells: tuple[CellRun, ...]
    outputs: RunOutputs
    kernel: str
    language_info: dict[str, Any]
    started: float
    """Seconds since the epoch, UTC."""
    seconds: float
    failure: Failure | None = None
    files: tuple[MadeFile, ...] = ()
    """What a run that ended well created or changed in its temporary folder."""
    report: dict[str, Any] = {}
    """What the tracer reported; empty if there was none, or if it could not be asked."""
    peak_memory: int | None = None
    """The most memory that the kernel used, in bytes, if it was measured."""
    retried: tuple[Failure, ...] = ()
    """Why earlier attempts failed, without their tracebacks."""
    begun: float | None = None
    """When the first of these began: seconds since the epoch, UTC."""


def failed_outcome(job: Job, name: str, message: str) -> Outcome:
    """Return the outcome of a job that could not even be begun, or whose end is not known.

    Args:
        job: The job.
        name: The kind of failure, as the name of an exception.
        message: What is wrong, and what to do about it.
    """
    return Outcome(
        status=Status.FAILED,
        cells=tuple(CellRun(cell.digest) for cell in job.cells),
        outputs=RunOutputs([[] for _ in job.cells]),
        kernel=job.kernel,
        language_info={},
        started=time.time(),
        seconds=0.0,
        failure=Failure(name, message, message),
    )
