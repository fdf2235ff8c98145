"""Executors, which schedule jobs, and their names.

Each is a scheduler over `run(job) -> Outcome`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from typing import Any, Protocol, Self

from sphinx_nbcache.execution.job import Job, Outcome
from sphinx_nbcache.kernels.environment import usable_cores
from sphinx_nbcache.notebooks.key import is_temporary
from sphinx_nbcache.plugins import EXECUTORS, PluginError, announced, load
from sphinx_nbcache.signals import at_sudden_end
from sphinx_nbcache.text import did_you_mean

Runner = Callable[[Job], Coroutine[Any, Any, Outcome]]

# How long cancelled runs may take to end their kernels. jupyter_client (8.10) kills a kernel that
# ignores a shutdown request after 5 s (`shutdown_wait_time`). The second value applies after Ctrl-C
# or another signal, when the user waits for the prompt.
_CANCEL_SECONDS = 15
_INTERRUPTED_SECONDS = 0.4
_KILL_SECONDS = 5


class Executor(Protocol):
    """A scheduler of jobs, used as a context: nothing is running after its end.

    An executor only schedules. The folder in which a notebook works is part of the job; the
    runner prepares it.

    Args:
        run: Runs one job to its end. It is a coroutine function; each job needs its own kernel,
            so any number may run at once, in one event loop or in several.
        jobs: How many jobs to run at once (`nbcache_jobs`); `None` leaves it to the executor.
    """

    slots: int
    """How many jobs it runs at once, at least 1. It is never given more."""

    def __init__(self, run: Runner, *, jobs: int | None) -> None:
        """Initialise the executor, without starting anything."""

    def __enter__(self) -> Self:
        """Prepare to run jobs."""

    def __exit__(self, *exception: object) -> None:
        """Cancel running jobs, and end everything that was started for them."""

    def submit(self, job: Job) -> Future[Outcome]:
        """Start a job. A future that raises makes its notebook fail."""


class _LoopExecutor:
    """Runs jobs on an asyncio loop in a separate thread.

    In the main thread nbclient would take over the handling of Ctrl-C. With a separate thread the
    main thread stays interruptible, and leaving the context cancels running jobs.
    """

    def __init__(self, run: Runner, slots: int) -> None:
        self.slots = slots
        self._run = run
        # nbclient (0.11) calls `loop.add_signal_handler`, which works only in the main thread, and
        # ignores the error:
        # https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.add_signal_handler
        # The thread is a daemon, so that a run that cannot be ended does not keep Python from
        # exiting.
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name=f"nbcache-{type(self).__name__}", daemon=True
        )
        self._tasks: set[asyncio.Task[Outcome]] = set()

    def __enter__(self) -> Self:
        at_sudden_end(_kill_all)
        self._thread.start()
        return self

    def submit(self, job: Job) -> Future[Outcome]:
        """Start a job."""
        return asyncio.run_coroutine_threadsafe(self._tracked(job), self._loop)

    def __exit__(self, *exception: object) -> None:
        is_interrupted = isinstance(exception[1], KeyboardInterrupt | SystemExit)
        patience = _INTERRUPTED_SECONDS if is_interrupted else _CANCEL_SECONDS
        ending = asyncio.run_coroutine_threadsafe(self._wind_up(), self._loop)
        if is_interrupted:
            from sphinx_nbcache.kernels.forked.zygote import Zygote

            # A thread waits for an unready zygote, and winding up would wait for that thread.
            Zygote.kill_all(unready=True)
        try:
            ending.result(patience)
        except (KeyboardInterrupt, SystemExit, TimeoutError) as error:
            # A second signal, or a kernel that does not end: kill without asking.
            _kill_all()
            # Not `result`, which raises. The first signal must stay the exception that leaves this
            # context, and no time-out may replace another exception.
            wait([ending], _KILL_SECONDS)
            is_late = isinstance(error, TimeoutError)
            if not (is_interrupted or (is_late and exception[1] is not None)):
                raise
        finally:
            self._stop()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CANCEL_SECONDS)
        # Closing a loop that still runs raises RuntimeError.
        if not self._thread.is_alive():
            self._loop.close()

    async def _tracked(self, job: Job) -> Outcome:
        # `run_coroutine_threadsafe` returns no task. Winding up needs the tasks of runs, to tell
        # them from other tasks of the loop, such as a kernel that is being forked ahead.
        task = asyncio.create_task(self._run(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await task

    async def _wind_up(self) -> None:
        """Cancel the runs and wait until they have ended their kernels; then cancel other tasks.

        The order matters: runs depend on other tasks until they have ended.
        """
        await _cancelled(set(self._tasks))
        await _cancelled(asyncio.all_tasks() - {asyncio.current_task()})
        await self._loop.shutdown_asyncgens()
        # Sphinx forks its workers after this (`-j`), and a lock that a thread holds during a fork
        # stays locked in the child. Python 3.12 warns of it:
        # https://docs.python.org/3/library/os.html#os.fork
        await self._loop.shutdown_default_executor()


def _kill_all() -> None:
    # Not at the top: every plan asks for the names of executors, and most plans run nothing.
    from sphinx_nbcache.kernels.choosing import KernelManager
    from sphinx_nbcache.kernels.forked.zygote import Zygote

    KernelManager.kill_all()
    Zygote.kill_all()


async def _cancelled(tasks: set[asyncio.Task[Any]]) -> None:
    """Cancel tasks, and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Serial(_LoopExecutor):
    """Runs one notebook after another."""

    def __init__(self, run: Runner, jobs: int | None = None) -> None:  # noqa: ARG002 (as of every executor)
        super().__init__(run, slots=1)


class Parallel(_LoopExecutor):
    """Runs several notebooks at once, each with its own kernel."""

    def __init__(self, run: Runner, jobs: int | None = None) -> None:
        super().__init__(run, slots=jobs or usable_cores())


def first_done(running: set[Future[Outcome]], seconds: float | None) -> set[Future[Outcome]]:
    """Wait until at least one job has ended or the timeout has passed; return the ended ones."""
    return wait(running, timeout=seconds, return_when="FIRST_COMPLETED").done


# The part of a name before the dash is the place, the part after it the scheduler.
_PLACES, _SCHEDULERS = ("local", "temp"), ("serial", "parallel")
OURS = tuple(f"{place}-{scheduler}" for place in _PLACES for scheduler in _SCHEDULERS)


class UnknownExecutorError(Exception):
    """An executor does not exist, or cannot be used. The message says why."""


def fallback_of(name: str) -> str:
    """Return the fallback for an executor that cannot be used: the place is the same."""
    return "temp-parallel" if is_temporary(name) else "local-parallel"


def slots_of(name: str, jobs: int | None) -> int | None:
    """Return how many jobs an executor runs at once; `None` for executors of other packages."""
    if name not in OURS:
        return None
    return 1 if name.endswith("serial") else jobs or usable_cores()


def make_executor(name: str, jobs: int | None, run: Runner) -> Executor:
    """Create an executor.

    Args:
        name: One of ours, or one that another package provides.
        jobs: How many jobs it may run at once; `None` leaves it to the executor.
        run: Runs one job.

    Raises:
        UnknownExecutorError: The executor does not exist, or lacks a required member.
    """
    if name in OURS:
        return Serial(run) if name.endswith("serial") else Parallel(run, jobs)
    try:
        made = load(EXECUTORS, name)
        executor = None if made is None else made(run, jobs=jobs)
    except PluginError as error:
        raise UnknownExecutorError(str(error)) from None
    except Exception as error:  # noqa: BLE001 (another package's code)
        raise UnknownExecutorError(f"it cannot be made: {error!r}") from None
    if made is None:
        known = sorted({*OURS, *announced(EXECUTORS)})
        listed, meant = ", ".join(known), did_you_mean(name, known)
        raise UnknownExecutorError(f"there is no executor of this name (known: {listed}){meant}")
    return _checked(executor)


def _checked(executor: Any) -> Executor:
    """Return an executor if it has all required members."""
    # Executors of other packages need not inherit from ours. A missing member would otherwise be
    # noticed when notebooks are already running.
    needed = ("submit", "__enter__", "__exit__")
    if missing := [name for name in needed if not callable(getattr(executor, name, None))]:
        raise UnknownExecutorError(f"{executor!r} has no {', '.join(missing)}")
    slots = getattr(executor, "slots", None)
    # `bool` is a subclass of `int`.
    if not isinstance(slots, int) or isinstance(slots, bool) or slots < 1:
        raise UnknownExecutorError(f"{executor!r} has slots = {slots!r}; at least 1 is needed")
    made: Executor = executor
    return made
