"""Code that runs in every Python kernel around its cells, however the kernel was started.

Modules that are executed before the first cell are sent as source text; code that is needed earlier
is loaded from its file. All of them use only the standard library, and support Python 3.8.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def preparing_text() -> str:
    """Return the source of code to execute before the first cell, in its own namespace."""
    return files(__package__).joinpath("preparing.py").read_text(encoding="utf-8")


def preparing_code() -> str:
    """Return code that executes this source, to be sent to a kernel silently.

    It leaves no name behind, and cannot fail.
    """
    run = "exec(compile({!r}, '<nbcache>', 'exec'), {{'__name__': '<nbcache>'}})\n"
    return run.format(preparing_text())
