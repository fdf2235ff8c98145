"""Limits for numerical threads of concurrent kernels: no more than there are cores for them."""

from __future__ import annotations

import os
from collections.abc import Mapping

# Read by libraries when they are loaded. joblib sets the same ones in its worker processes.
VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)


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
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else (os.cpu_count() or 1)
