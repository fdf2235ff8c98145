"""Orders to run one notebook, and what comes of them. Both can travel to another process."""

from __future__ import annotations

from typing import Any

import msgspec

from sphinx_nbcache.store.outputs import RunOutputs
from sphinx_nbcache.store.records import CellRun, Failure, Rules, Status


class JobCell(msgspec.Struct, frozen=True, array_like=True):
    """A code cell to run."""

    digest: str
    source: str
    skipped: bool


class Job(msgspec.Struct, frozen=True):
    """A self-contained order to run one notebook."""

    code_key: str
    notebook: str
    """Path of the notebook relative to the root, for messages and records."""
    directory: str
    """Absolute path of the folder in which the kernel works."""
    kernel: str
    """Kernel name, after aliases; empty if the notebook names none."""
    language: str
    cells: tuple[JobCell, ...]
    rules: Rules


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
