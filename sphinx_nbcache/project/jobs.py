"""From a planned notebook to a job, and from the job's outcome to a result."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from sphinx_nbcache.bounded import DEEPEST, Count, Json, Name, duration, is_deep, time_or
from sphinx_nbcache.notebooks.formats import read_notebook
from sphinx_nbcache.notebooks.model import Notebook
from sphinx_nbcache.notebooks.scan import cell_digest, decode_source
from sphinx_nbcache.planning import Planned
from sphinx_nbcache.store.outputs import render_id
from sphinx_nbcache.store.records import CellRun, Failure, Result, Status

if TYPE_CHECKING:
    from sphinx_nbcache.execution.job import Job, Outcome, Tracing


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
    lexer = str(language.get("pygments_lexer") or language.get("name") or "")
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
