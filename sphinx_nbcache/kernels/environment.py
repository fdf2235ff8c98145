"""The environment of kernels: variables, limits on threads, and an untouched home directory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_core.paths import jupyter_path
from traitlets import default

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
# The folders that IPython (9.18, `ProfileDir.check_dirs`) creates for every user, the innermost
# first: only empty folders are removed, so the order matters.
_FOLDERS = (
    *(f"profile_default/{name}" for name in ("startup", "log", "pid", "security", "db")),
    *("profile_default", ""),
)
_README = "README"
_README_BEGINS = "This is the IPython startup directory"


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


class KernelSpecs(KernelSpecManager):
    """The installed kernelspecs.

    IPython's folder may contain some, and asking IPython for its path creates it. Each kernelspec
    is looked for only once: an object of this class is for one run.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._found: dict[str, KernelSpec] = {}

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return a kernelspec.

        Raises:
            NoSuchKernel: No kernelspec has this name.
        """
        if kernel_name not in self._found:
            self._found[kernel_name] = super().get_kernel_spec(kernel_name)
        return self._found[kernel_name]

    @default("kernel_dirs")
    def _kernel_dirs_default(self) -> list[str]:
        home = Path("~").expanduser()
        named = os.environ.get("IPYTHONDIR")
        folder = Path(named).expanduser() if named else home / ".ipython"
        if folder.exists():
            # The same as jupyter_client (8.10) returns: it imports IPython for the path, which
            # takes long, and IPython creates the folder.
            return [*jupyter_path("kernels"), str(folder / "kernels")]
        old = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config", "ipython")
        if old.exists() and not named:
            # IPython may move the old folder to the current place.
            return list(super()._kernel_dirs_default())
        return list(jupyter_path("kernels"))


@contextmanager
def ipython_folder_as_found(environment: Mapping[str, str]) -> Iterator[None]:
    """Remove, at the end, empty IPython folders that kernels have created in the meantime.

    A folder with any content stays, and so does one that existed before.

    Args:
        environment: The environment variables of the kernels.
    """
    place = _place(environment)
    missing = [folder for name in _FOLDERS if not os.path.lexists(folder := place / name)]
    try:
        yield
    finally:
        for folder in missing:
            _remove(folder)


def _place(environment: Mapping[str, str]) -> Path:
    home = Path(environment.get("HOME") or Path("~").expanduser())
    named = environment.get("IPYTHONDIR")
    if not named:
        return home / ".ipython"
    return home / named.removeprefix("~/") if named.startswith("~/") else Path(named).absolute()


def _remove(folder: Path) -> None:
    with suppress(OSError, ValueError):
        readme = folder / _README
        # IPython puts this file into the start-up folder. A file of a user's own stays.
        if [*folder.iterdir()] == [readme] and readme.read_text().startswith(_README_BEGINS):
            readme.unlink()
        folder.rmdir()
