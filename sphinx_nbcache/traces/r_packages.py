"""Packages of R: where they are, and which version is installed."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

# https://cran.r-project.org/doc/manuals/r-release/R-exts.html#The-DESCRIPTION-file
_VERSION = re.compile(r"^Version:[ \t]*(\S+)", re.MULTILINE)
_LONGEST = 1 << 16


def place_of(path: str) -> tuple[str, str]:
    """Return the library and the name of the package that a file describes.

    Args:
        path: Its `DESCRIPTION` or `Meta/package.rds`.
    """
    folder = os.path.dirname(path)
    if os.path.basename(path) != "DESCRIPTION":
        folder = os.path.dirname(folder)
    return os.path.dirname(folder), os.path.basename(folder)


def is_installed(library: str, name: str) -> bool:
    """Tell whether a package is installed in a library: its source has the same `DESCRIPTION`."""
    # `find.package` of R looks for this file.
    return os.path.exists(os.path.join(library, name, "Meta", "package.rds"))


def version_of(libraries: Iterable[str], name: str) -> str:
    """Return the version of a package in the first library that has it; empty if none has it."""
    for library in libraries:
        path = os.path.join(library, name, "DESCRIPTION")
        try:
            found = os.stat(path)
        except OSError:
            continue
        # A name in a forged trace may lead anywhere.
        if stat.S_ISREG(found.st_mode) and "/" not in name and is_installed(library, name):
            return _version_in(path, found.st_mtime_ns, found.st_size)
    return ""


@lru_cache(maxsize=4096)
def _version_in(path: str, mtime_ns: int, size: int) -> str:  # noqa: ARG001 (they are the key)
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            found = _VERSION.search(file.read(_LONGEST))
    except OSError:
        return ""
    return found[1] if found is not None else ""
