"""The environment variables of kernels, among them those that limit the number of threads."""

from __future__ import annotations

import os
from collections.abc import Mapping

from sphinx_nbcache.store.marks import SECRET_VARIABLE

# Libraries read these when they are loaded. joblib sets the same ones in its worker processes:
# https://github.com/joblib/joblib/pull/940
VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)


def with_changes(
    environment: Mapping[str, str], changes: Mapping[str, str | None]
) -> dict[str, str]:
    """Return environment variables with changes, without the secret that marks results.

    Args:
        environment: The current variables.
        changes: Values by name; `None` removes a variable.
    """
    merged = {**environment, **changes}
    # With the secret, a notebook could mark files as results of this account.
    return {
        name: value
        for name, value in merged.items()
        if value is not None and name != SECRET_VARIABLE
    }


def thread_limits(slots: int, cores: int, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables that limit each kernel to its share of the cores.

    Args:
        slots: How many kernels run at once.
        cores: How many cores there are.
        environment: The current environment. If it already sets a limit, nothing is added.
    """
    if slots == 1 or any(name in environment for name in VARIABLES):
        return {}
    return dict.fromkeys(VARIABLES, str(max(1, cores // slots)))


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    # Under `taskset`, or in a container with a cpuset, a process may use fewer cores than the
    # machine has: https://docs.python.org/3/library/os.html#os.sched_getaffinity
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else (os.cpu_count() or 1)
