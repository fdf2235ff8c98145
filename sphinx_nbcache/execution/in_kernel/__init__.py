"""What is done in a Python kernel around its cells, whoever has started it.

Modules that are executed before the first cell are handed over as source text; what is needed
earlier is loaded from its file. All of them use the standard library only, and stay within
Python 3.8.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

_MODULES = ("arrival", "commands")


@cache
def preparing_texts() -> tuple[str, ...]:
    """Return the sources of what is executed before the first cell, each in names of its own."""
    folder = files(__package__)
    return tuple(folder.joinpath(f"{m}.py").read_text(encoding="utf-8") for m in _MODULES)


def preparing_code() -> str:
    """Return the source that executes all of that, if a kernel is sent it silently.

    It leaves no name behind, and cannot fail.
    """
    run = "exec(compile({!r}, '<nbcache>', 'exec'), {{'__name__': '<nbcache>'}})\n"
    return "".join(run.format(text) for text in preparing_texts())
