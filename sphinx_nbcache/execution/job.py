"""Jobs, which are orders to run one notebook, and outcomes. Both can be sent between processes."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from sphinx_nbcache.kernels.tracing import Tracing
from sphinx_nbcache.results.artifacts import MadeFile
from sphinx_nbcache.results.outputs import RunOutputs
from sphinx_nbcache.results.records import CellRun, Failure, Rules, Status


class JobCell(msgspec.Struct, frozen=True, array_like=True):
    """A code cell to run."""

    digest: str
    source: str
    skipped: bool
    expressions: tuple[str, ...] = ()
    """Expressions to evaluate after it, for the text of the notebook."""


class Asset(msgspec.Struct, frozen=True, array_like=True):
    """A file or a folder that is copied into a temporary folder."""

    path: str
    """The path of the copy, relative to the temporary folder and inside it."""
    source: str
    """Absolute path of the original."""


class TemporaryFolder(msgspec.Struct, frozen=True):
    """A temporary working folder. It is created for the run, and removed after it."""

    assets: tuple[Asset, ...]
    below: str
    """Absolute path of the folder in which it is created. Files left by the run stay there as well
    until they are in the store: the caller of the job removes them."""


class Job(msgspec.Struct, frozen=True):
    """A self-contained order to run one notebook."""

    code_key: str
    notebook: str
    """Path of the notebook relative to the root, for messages and records."""
    directory: str
    """Absolute path of the notebook's folder. The kernel works there, unless `temporary` is set."""
    kernel: str
    """Kernel name, after aliases; empty if the notebook names none."""
    language: str
    cells: tuple[JobCell, ...]
    rules: Rules
    arguments: tuple[str, ...] = ()
    """Command-line arguments of the kernel, in addition to those of its kernelspec."""
    # msgspec copies empty collections for each object:
    # https://jcristharif.com/msgspec/structs.html#default-values
    environment: dict[str, str | None] = {}
    """Environment variables of the kernel, in addition to those of the process that starts it;
    `None` removes a variable."""
    temporary: TemporaryFolder | None = None
    """The temporary folder in which the kernel works, if any."""
    tracing: Tracing | None = None
    """How the run is traced, if it is."""
    leading: tuple[str, ...] = ()
    """Expressions to evaluate before the first cell that is run."""


class Outcome(msgspec.Struct, frozen=True):
    """The outcome of a job."""

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
    """Files that a successful run created or changed in its temporary folder."""
    report: dict[str, Any] = {}
    """The tracer's report; empty if there was no tracer, or if it did not answer."""
    peak_memory: int | None = None
    """The kernel's peak memory use in bytes, if it was measured."""
    retried: tuple[Failure, ...] = ()
    """Why earlier attempts failed, without their tracebacks."""
    begun: float | None = None
    """When the first attempt began: seconds since the epoch, UTC."""


def failed_outcome(job: Job, name: str, message: str) -> Outcome:
    """Return the outcome of a job that could not be started, or whose end is not known.

    Args:
        job: The job.
        name: The kind of failure, as the name of an exception.
        message: The problem and its remedy.
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
