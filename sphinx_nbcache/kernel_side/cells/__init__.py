"""Code that runs in every Python kernel around its cells, however the kernel was started.

Modules that are executed before the first cell are sent as source text; code that is needed earlier
is loaded from its file. All of them use only the standard library, and support Python 3.8.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

_MODULES = ("preparing",)


@cache
def preparing_texts() -> tuple[str, ...]:
    """Return the sources of code to execute before the first cell, each in its own namespace."""
    folder = files(__package__)
    return tuple(folder.joinpath(f"{m}.py").read_text(encoding="utf-8") for m in _MODULES)


def preparing_code() -> str:
    """Return code that executes all these sources, to be sent to a kernel silently.

    It leaves no name behind, and cannot fail.
    """
    run = "exec(compile({!r}, '<nbcache>', 'exec'), {{'__name__': '<nbcache>'}})\n"
    return "".join(run.format(text) for text in preparing_texts())
