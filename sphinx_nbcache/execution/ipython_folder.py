"""Clean-up of the IPython folder that kernels create, unasked, in the home directory.

Our kernels do not create it (see `in_kernel/folders.py`); this module is for kernels that are
started in any other way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

# The folders that IPython creates for every user, the innermost first.
_FOLDERS = (
    *(f"profile_default/{name}" for name in ("startup", "log", "pid", "security", "db")),
    *("profile_default", ""),
)
_README = "README"
_README_BEGINS = "This is the IPython startup directory"


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
        if [*folder.iterdir()] == [readme] and readme.read_text().startswith(_README_BEGINS):
            readme.unlink()
        folder.rmdir()
