"""One attempt to run a notebook: one kernel, through nbclient."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode, ValidationError, from_dict

from sphinx_nbcache.bounded import LONGEST_MESSAGE, LONGEST_TEXT, clipped, count_or_none
from sphinx_nbcache.execution.job import Job, JobCell, Outcome
from sphinx_nbcache.kernel_side.cells import preparing_code
from sphinx_nbcache.kernels.choosing import (
    KernelError,
    KernelStarts,
    choose_kernel,
    end_in_words,
    is_python,
    start_arguments,
)
from sphinx_nbcache.kernels.client import ANSWER_SECONDS, Client, ExpressionTimeoutError
from sphinx_nbcache.kernels.environment import with_changes
from sphinx_nbcache.kernels.specs import KernelSpecs
from sphinx_nbcache.kernels.streams import OutputLimits, join_streams
from sphinx_nbcache.kernels.tracing import RunTracer
from sphinx_nbcache.notebooks.executed import WIDGET_STATE
from sphinx_nbcache.notebooks.ipynb import plain_data
from sphinx_nbcache.notebooks.notebook import RAISES_TAG, SKIP_TAG
from sphinx_nbcache.results.named_values import evaluated
from sphinx_nbcache.results.outputs import RunOutputs
from sphinx_nbcache.results.records import CellRun, Failure, Status
from sphinx_nbcache.results.tracebacks import without_own_file, without_own_frames
from sphinx_nbcache.text import first_line, shortened

# How long outputs may take to arrive after their cell has ended. nbclient 0.11 waits 4 s, and then
# continues without them, which loses outputs on a busy machine:
# https://github.com/nteract/papermill/issues/426
_OUTPUT_SECONDS = 120
_LOG_LINES = 40
# How often to start a kernel, and jupyter_client's messages about one that was never ready (8.10,
# `KernelClient._async_wait_for_ready`, which raises plain RuntimeErrors).
_STARTS = 3
_BEFORE_READY = ("died before replying", "didn't respond")
# nbclient logs what it does, such as an interrupt, without the name of the notebook. All that
# matters becomes the failure of the run. Some themes enable all loggers, so a level is set here.
_LOGGER = logging.getLogger(__name__)
_LOGGER.setLevel(logging.CRITICAL + 1)


@dataclass
class _Clock:
    """The time that each cell took, and the running cell, by position in the job."""

    seconds: dict[int, float] = field(default_factory=dict)
    current: int | None = None
    _since: float = 0.0

    def start(self, position: int) -> None:
        self.current, self._since = position, time.perf_counter()

    def end(self) -> None:
        """Record the end of the current cell, unless that was done already."""
        if self.current is not None:
            self.seconds.setdefault(self.current, time.perf_counter() - self._since)


OnCell = Callable[[Job, int], None]
"""Called when the cell at a position of a job begins, in the thread that runs the job."""


class Attempt:
    """One run in progress, and what nbclient reports during it."""

    def __init__(self, job: Job, folder: str, on_cell: OnCell, starts: KernelStarts) -> None:
        self.job = job
        self.starts = starts
        self.folder = folder
        self.on_cell = on_cell
        self.clock = _Clock()
        self.notebook = _to_nbformat(job)
        self.kernel = job.kernel
        self.tracer: RunTracer | None = None
        self.peak_memory: int | None = None
        self.is_python = False
        self.bases: dict[int, tuple[str, ...]] = {}
        self.started = time.time()
        self.leading: list[NotebookNode] = []
        self.repeated_since: float | None = None

    async def outcome(self) -> Outcome:
        """Run the notebook and return the outcome."""
        begin = time.perf_counter()
        status, failure = await self._execute()
        self.clock.end()
        # Before the cells are read: whether the interrupt has left a traceback is a matter of
        # chance.
        if status is Status.TIMEOUT:
            self._drop_interrupt()
        cells = self.notebook.cells
        runs = tuple(self._cell_run(i, cell, cells[i]) for i, cell in enumerate(self.job.cells))
        return Outcome(
            status=status,
            cells=runs,
            outputs=RunOutputs(
                [join_streams(plain_data(c.outputs)) for c in cells], self._widgets()
            ),
            kernel=self.kernel,
            language_info=plain_data(self.notebook.metadata.get("language_info", {})),
            started=self.started,
            seconds=time.perf_counter() - begin,
            failure=failure,
            report=self.tracer.report if self.tracer is not None else {},
            peak_memory=self.peak_memory,
            begun=self.repeated_since,
        )

    async def _execute(self) -> tuple[Status, Failure | None]:
        for number in range(_STARTS):
            # A kernel may die because it is watched, before its first cell too.
            client = self._client_or_failure(may_be_watched=number == 0)
            if isinstance(client, Failure):
                return Status.FAILED, client
            status, failure = await self._execute_in_time(client)
            self.peak_memory = client.peak_memory
            if self._has_lost_watcher(client, status):
                self._forget_run()
            elif failure is None or not self._could_start_again(failure):
                break
        return status, failure

    def _has_lost_watcher(self, client: Client, status: Status) -> bool:
        """Tell whether the watcher of a run was killed: then the run says nothing of the notebook.

        The calls of its processes have failed, if they were not killed as well.
        """
        watched = None if client.manager is None else client.manager.watched
        if watched is None or self.tracer is None:
            return False
        return self.tracer.is_watcher_lost or (status is Status.DIED and watched.was_killed)

    def _forget_run(self) -> None:
        """Forget a run that is repeated: it counts as an attempt that may have changed files."""
        self.repeated_since = self.started
        self.clock = _Clock()
        self.notebook = _to_nbformat(self.job)
        self.bases, self.leading = {}, []

    def _could_start_again(self, failure: Failure) -> bool:
        """Tell whether a kernel died or hung before its first cell, as in a race for ports.

        Ports are chosen before the kernel takes them, so two kernels that two builds start at the
        same time can be given the same ports.
        """
        # The race is a known limitation: https://github.com/jupyter/jupyter_client/issues/487
        # If a cell has begun, the notebook may have had effects, and only its rules allow retries.
        return self.clock.current is None and any(
            words in failure.message for words in _BEFORE_READY
        )

    async def _execute_in_time(self, client: Client) -> tuple[Status, Failure | None]:
        limit = self.job.rules.notebook_timeout
        try:
            # The timeout cancels the run, and nbclient then shuts the kernel down.
            # `asyncio.timeout` raises TimeoutError only if the cancellation gets through: see
            # `_raise_if_cancelled`.
            async with asyncio.timeout(limit):
                return await self._execute_with(client)
        except TimeoutError:
            text = (
                f"the notebook took longer than {limit:g} s (nbcache_notebook_timeout, or"
                " nbcache.notebook_timeout in its metadata, gives it more)"
            )
            failure = Failure("NotebookTimeoutError", text, text, self.clock.current)
            return Status.TIMEOUT, failure

    async def _execute_with(self, client: Client) -> tuple[Status, Failure | None]:
        try:
            environment = with_changes(os.environ, self.job.environment)
            environment |= self.starts.variables
            await client.async_execute(env=environment)
        except CellExecutionError as error:
            return Status.FAILED, self._cell_failure(error)
        except (CellTimeoutError, ExpressionTimeoutError) as error:
            limit = self.job.rules.timeout
            if isinstance(error, ExpressionTimeoutError):
                text = str(error)
            elif limit is None or _lacks_outputs(error):
                text = "the cell has ended, but its last outputs did not arrive"
            else:
                text = (
                    f"the cell took longer than {limit:g} s (nbcache_timeout, or execution.timeout"
                    " in the notebook's metadata, gives it more)"
                )
            return Status.TIMEOUT, Failure("CellTimeoutError", text, text, self.clock.current)
        except DeadKernelError as error:
            _raise_if_cancelled()
            if exceeded := client.limits.exceeded:
                failure = Failure("OutputLimitError", exceeded, exceeded, self.clock.current)
                return Status.FAILED, failure
            text = f"the kernel died: {_death(client) or error}"
            return Status.DIED, Failure(
                "DeadKernelError", text, text + _log_of(client), self.clock.current
            )
        except Exception as error:  # noqa: BLE001 (kernels fail to start in any way)
            text = self._in_words(error)
            failure = Failure(
                type(error).__name__, text, text + _log_of(client), self.clock.current
            )
            return Status.FAILED, failure
        finally:
            # If a kernel could not be started, nbclient 0.11 leaves this callback behind, to fail
            # at exit: https://github.com/jupyter/nbclient/issues/128
            atexit.unregister(client._cleanup_kernel)  # noqa: SLF001 (nbclient registered it)
            if client.manager is not None:
                await client.manager.close()
        return Status.OK, None

    def _in_words(self, error: Exception) -> str:
        if self.clock.current is None:
            return f"the kernel {self.kernel!r} cannot be used: {error}"
        if isinstance(error, ValidationError):
            # The other lines are the schema of nbformat.
            why = shortened(first_line(str(error)))
            text = f"the kernel sent an output that nbformat refuses ({why})"
            return f"{text}; change what the cell displays"
        return str(error)

    def _client_or_failure(self, *, may_be_watched: bool) -> Client | Failure:
        try:
            return self._client(may_be_watched=may_be_watched)
        except KernelError as error:
            return Failure("NoSuchKernel", str(error), str(error))
        except Exception as error:  # noqa: BLE001 (kernelspecs are files of others)
            text = f"the kernel {self.job.kernel!r} cannot be used: {error}"
            return Failure(type(error).__name__, text, text)

    def _client(self, *, may_be_watched: bool) -> Client:
        specs = KernelSpecs()
        self.kernel = choose_kernel(self.job.kernel, self.job.language, specs)
        rules = self.job.rules
        self.is_python = is_python(self.kernel, specs)
        tracing = self.job.tracing
        has_watchers = may_be_watched and self.starts.watchers is not None
        is_watched = tracing is not None and tracing.is_system and has_watchers
        self.tracer = None
        if tracing is not None and (self.is_python or is_watched):
            self.tracer = RunTracer(tracing, is_python=self.is_python)
        client = Client(
            self.notebook,
            kernel_name=self.kernel,
            make_manager=partial(
                self.starts.manager_of,
                self.kernel,
                specs,
                [cell.source for cell in self.job.cells],
                self.tracer.config if self.tracer is not None and self.is_python else None,
                is_watched=is_watched,
            ),
            limits=OutputLimits(rules.output_limit, rules.notebook_output_limit),
            resources={"metadata": {"path": self.folder}},
            # Not the trait `timeout`, which takes only integers, and also limits requests of our
            # own.
            timeout_func=lambda _cell: rules.timeout,
            startup_timeout=ANSWER_SECONDS,
            # Missing outputs must cause a failure, not a shorter result that is then reused.
            iopub_timeout=_OUTPUT_SECONDS,
            raise_on_iopub_timeout=True,
            extra_arguments=[*start_arguments(self.kernel, specs), *self.job.arguments],
            store_widget_state=True,
            record_timing=False,
            coalesce_streams=False,  # see `streams`
            log=_LOGGER,
        )
        # Not arguments, since the callbacks need the client. nbclient awaits what they return.
        client.on_cell_start = partial(self._on_start, client)
        client.on_cell_executed = partial(self._on_end, client)
        client.tracer = self.tracer
        if self.is_python:
            client.before = preparing_code()
        return client

    async def _on_start(self, client: Client, cell: Any, cell_index: int) -> None:
        # nbclient calls this for each cell, before it skips some.
        if SKIP_TAG not in cell.metadata.get("tags", ()):
            if self.clock.current is None:
                self.leading = await self._values(client, self.job.leading)
            self.clock.start(cell_index)
            self.on_cell(self.job, cell_index)

    async def _values(self, client: Client, expressions: Sequence[str]) -> list[NotebookNode]:
        """Return the values of expressions in the text, as outputs that cells do not show."""
        if not expressions:
            return []
        rules = self.job.rules
        replies = await client.values_of(expressions, rules.timeout)
        pairs = zip(expressions, replies, strict=True)
        outputs = [evaluated(expression, reply, rules.output_limit) for expression, reply in pairs]
        return [NotebookNode(output) for output in outputs]

    async def _on_end(self, client: Client, cell: Any, cell_index: int, execute_reply: Any) -> None:
        self.clock.end()
        # Also after an error: if it is allowed, the notebook goes on.
        cell.outputs += await self._values(client, self.job.cells[cell_index].expressions)
        for output in cell.outputs:
            if output["output_type"] == "error":
                output["traceback"] = without_own_frames(output["traceback"])
        # They belong to no cell; a result has the outputs of cells only.
        cell.outputs[:0], self.leading = self.leading, []
        promised = self.job.rules.promised_at(cell_index)
        reply = execute_reply["content"] if promised and execute_reply is not None else {}
        if reply.get("status") != "error":
            return
        # nbclient 0.11 calls this before it looks at the tags (`_check_raise_for_error`). Removing
        # the tag therefore makes it raise for an exception that was not declared.
        name = str(reply.get("ename"))
        if name not in promised and self.is_python:
            self.bases[cell_index] = (await client.classes_of_error(name))[1:]
        if not self.job.rules.allows(cell_index, (name, *self.bases.get(cell_index, ()))):
            cell.metadata["tags"].remove(RAISES_TAG)

    def _cell_failure(self, error: CellExecutionError) -> Failure:
        output = self._error_output()
        lines = output.get("traceback", [])
        return Failure(
            name=clipped(error.ename),
            message=clipped(without_own_file(error.evalue) + self._lost_power(), LONGEST_MESSAGE),
            traceback=clipped("\n".join(lines) or f"{error.ename}: {error.evalue}", LONGEST_TEXT),
            position=self.clock.current,
        )

    def _lost_power(self) -> str:
        """Return what to do if the system tracer may have made a cell fail."""
        programs = self.tracer.powerless if self.tracer is not None else ()
        if not programs:
            return ""
        names = " and ".join(path.rpartition("/")[2] for path in programs)
        return (
            f" ({names} could not change the user, because the system tracer was on: set"
            ' nbcache.tracer to "python" in the metadata of this notebook)'
        )

    def _drop_interrupt(self) -> None:
        """Drop the traceback of the interrupt that ended the kernel: it does not always arrive."""
        if self.clock.current is not None:
            cell = self.notebook.cells[self.clock.current]
            cell.outputs = [o for o in cell.outputs if o.get("ename") != "KeyboardInterrupt"]

    def _error_output(self) -> dict[str, Any]:
        position = self.clock.current
        outputs = self.notebook.cells[position].outputs if position is not None else []
        return next((o for o in reversed(outputs) if o["output_type"] == "error"), {})

    def _cell_run(self, position: int, cell: JobCell, node: Any) -> CellRun:
        errors = [o["ename"] for o in node.outputs if o["output_type"] == "error"]
        seconds = self.clock.seconds.get(position)
        return CellRun(
            digest=cell.digest,
            execution_count=count_or_none(node.execution_count) if seconds is not None else None,
            seconds=seconds,
            error=clipped(errors[-1]) if errors else None,
            bases=self.bases.get(position, ()),
        )

    def _widgets(self) -> dict[str, Any]:
        state = self.notebook.metadata.get("widgets", {}).get(WIDGET_STATE, {})
        return plain_data(state) if state.get("state") else {}


def _log_of(client: Client) -> str:
    """Return the end of the output of a client's kernel process."""
    log = None if client.manager is None else client.manager.process_log
    if log is None:
        return ""
    log.seek(0)
    lines = log.read().decode("utf-8", "replace").strip().splitlines()[-_LOG_LINES:]
    return "\n\n" + "\n".join(lines) if lines else ""


def _death(client: Client) -> str:
    """Return how a client's kernel ended, in words; empty if that is not known."""
    status = None if client.manager is None else client.manager.exit_status
    return "" if status is None else end_in_words(status)


def _lacks_outputs(error: CellTimeoutError) -> bool:
    """Tell whether a cell has ended without all of its outputs; else it exceeded its time limit."""
    # nbclient 0.11 raises one class for both, and only the text differs. It ends with a preview of
    # the cell, which may contain any words (`timeout_err_msg` in `nbclient.exceptions`).
    return "IOPub" in str(error).partition("Here is a preview of the cell")[0]


def _raise_if_cancelled() -> None:
    """Distinguish a kernel that died from a cancelled run: nbclient reports both alike."""
    # nbclient 0.11 turns each CancelledError of a running cell into DeadKernelError, and so hides a
    # cancellation from asyncio. `cancelling` still counts it:
    # https://docs.python.org/3/library/asyncio-task.html#asyncio.Task.cancelling
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _to_nbformat(job: Job) -> Any:
    """Return the nbformat notebook that nbclient runs: the code cells that have code."""
    cells: list[dict[str, Any]] = []
    for position, cell in enumerate(job.cells):
        tags = [SKIP_TAG] if cell.skipped else []
        # Whether the exception is the declared one is checked when the cell has raised it.
        if job.rules.allows_error_at(position) or job.rules.promised_at(position):
            tags.append(RAISES_TAG)
        cells.append(
            {
                "cell_type": "code",
                # nbformat 4.5 requires ids:
                # https://nbformat.readthedocs.io/en/latest/format_description.html#cell-ids
                "id": f"cell-{position}",
                "metadata": {"tags": tags},
                "source": cell.source,
                "outputs": [],
                "execution_count": None,
            }
        )
    spec = {"name": job.kernel or "", "display_name": job.kernel or "", "language": job.language}
    metadata = {"kernelspec": spec}
    # Not with nbformat's own functions: they validate each cell.
    return from_dict({"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells})
