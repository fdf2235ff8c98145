"""Kernelspecs, and the home directory, in which kernels leave no new folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_core.paths import jupyter_path
from traitlets import default

# The folders that IPython (9.18, `ProfileDir.check_dirs`) creates for every user, the innermost
# first: only empty folders are removed, so the order matters.
_FOLDERS = (
    *(f"profile_default/{name}" for name in ("startup", "log", "pid", "security", "db")),
    *("profile_default", ""),
)
_README = "README"
_README_BEGINS = "This is the IPython startup directory"


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
