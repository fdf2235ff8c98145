"""Names of executors, and the places in which they run notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sphinx_nbcache.plugins import EXECUTORS, PluginError, announced, load
from sphinx_nbcache.suggestions import did_you_mean

if TYPE_CHECKING:
    from sphinx_nbcache.execution.executors import Executor, Runner

# The part of a name before the dash is the place, the part after it the scheduler.
_PLACES, _SCHEDULERS = ("local", "temp"), ("serial", "parallel")
_TEMPORARY = "temp-"
OURS = tuple(f"{place}-{scheduler}" for place in _PLACES for scheduler in _SCHEDULERS)


class UnknownExecutorError(Exception):
    """An executor does not exist, or cannot be used. The message says why."""


def is_temporary(name: str) -> bool:
    """Tell whether an executor of this name runs notebooks in temporary folders.

    The name alone decides, for other packages' executors too: the place is part of the code key,
    and a plan must not have to import an executor.
    """
    return name.startswith(_TEMPORARY)


def fallback_of(name: str) -> str:
    """Return the fallback for an executor that cannot be used: the place is the same."""
    return "temp-parallel" if is_temporary(name) else "local-parallel"


def slots_of(name: str, jobs: int | None) -> int | None:
    """Return how many jobs an executor runs at once; `None` for executors of other packages."""
    if name not in OURS:
        return None
    from sphinx_nbcache.execution.threads import usable_cores

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
        from sphinx_nbcache.execution.executors import Parallel, Serial

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
    needed = ("submit", "__enter__", "__exit__")
    if missing := [name for name in needed if not callable(getattr(executor, name, None))]:
        raise UnknownExecutorError(f"{executor!r} has no {', '.join(missing)}")
    slots = getattr(executor, "slots", None)
    if not isinstance(slots, int) or slots < 1:
        raise UnknownExecutorError(f"{executor!r} has slots = {slots!r}; at least 1 is needed")
    made: Executor = executor
    return made
