"""`run(job) -> Outcome`: one notebook in its place, with retries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TypeVar

import msgspec

from sphinx_nbcache.execution.attempt import Attempt, OnCell
from sphinx_nbcache.execution.folders import PlaceError, place_of
from sphinx_nbcache.execution.job import Job, Outcome, failed_outcome
from sphinx_nbcache.kernels.choosing import KernelStarts
from sphinx_nbcache.results.records import Failure, Status

_Value = TypeVar("_Value")


def tell_nobody(_job: Job, _position: int) -> None:
    """Do nothing."""


class Runner:
    """[](run) with its arguments for this process; pickling reduces it to the bare function.

    Args:
        on_cell: Called as each cell begins.
        starts: How kernels are started.
    """

    def __init__(self, on_cell: OnCell = tell_nobody, starts: KernelStarts | None = None) -> None:
        self._on_cell = on_cell
        self._starts = starts

    def __reduce__(self) -> tuple[type[Runner], tuple[()]]:
        # Executors of other packages may send the runner to other processes. There the callback,
        # which writes to this terminal, and the zygotes, which are children of this process, do not
        # exist.
        return Runner, ()

    async def __call__(self, job: Job) -> Outcome:
        """Run a job."""
        return await run(job, self._starts, self._on_cell)


async def run(
    job: Job, starts: KernelStarts | None = None, on_cell: OnCell = tell_nobody
) -> Outcome:
    """Run one notebook in a new kernel, in its place; repeat failed runs if retries are allowed.

    All errors of the notebook, its kernel or its place become part of the outcome.

    Args:
        job: The job.
        starts: How kernels are started; by default, as Jupyter does.
        on_cell: Called as each cell begins.

    Raises:
        asyncio.CancelledError: The run was cancelled; its kernel has ended.
    """
    failures: list[Failure] = []
    begun = None
    while True:
        outcome = await _attempt(job, starts or KernelStarts(), on_cell)
        begun = begun or outcome.begun or outcome.started
        failure = outcome.failure
        if failure is None or len(failures) >= job.rules.retries or not _may_pass(outcome):
            break
        # Tracebacks are bounded one by one; with many retries, all of them would dominate the
        # result.
        failures.append(msgspec.structs.replace(failure, traceback=""))
    if not failures:
        return outcome
    return msgspec.structs.replace(outcome, retried=tuple(failures), begun=begun)


def _may_pass(outcome: Outcome) -> bool:
    """Tell whether another attempt may succeed: not without a kernel, or a place for it."""
    failure = outcome.failure
    return outcome.status is Status.DIED or (failure is not None and failure.position is not None)


async def _attempt(job: Job, starts: KernelStarts, on_cell: OnCell) -> Outcome:
    with ExitStack() as stack:
        try:
            place = await _as_needed(job, partial(stack.enter_context, place_of(job)))
        except PlaceError as error:
            return failed_outcome(job, "PlaceError", str(error))
        outcome = await Attempt(job, place.folder, on_cell, starts).outcome()
        # A failed run may have written half of a file, so none of its files are kept.
        if outcome.status is not Status.OK:
            return outcome
        try:
            files = await _as_needed(job, place.take_files)
        except PlaceError as error:
            failure = Failure("PlaceError", str(error), str(error))
            return msgspec.structs.replace(outcome, status=Status.FAILED, failure=failure)
        return msgspec.structs.replace(outcome, files=tuple(files))


async def _as_needed(job: Job, work: Callable[[], _Value]) -> _Value:
    """Do quick work directly, and work that may take time, such as copying files, in a thread."""
    return work() if job.temporary is None else await _in_thread(work)


async def _in_thread(work: Callable[[], _Value]) -> _Value:
    """Do something in a thread.

    A thread cannot be cancelled. It is therefore always awaited, before its files are cleared
    away.
    """
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        # Unlike `await task`, this does not cancel the task when it is cancelled itself. The task
        # would count as done while the thread still works:
        # https://docs.python.org/3/library/asyncio-task.html#asyncio.wait
        await asyncio.wait({task})
    except asyncio.CancelledError:
        await asyncio.wait({task})
        # Mark it as retrieved. Otherwise asyncio logs the failure of a run that no one wants.
        task.exception()
        raise
    return task.result()
