"""What is done in a Python kernel around its cells, whoever has started it.

Modules that are executed before the first cell are sent as source text; what is needed earlier is
loaded from its file. All of them use the standard library only, and stay within Python 3.8.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

_MODULES = ("arrival", "commands")


@cache
def preparing_code() -> str:
    """Return the source that is executed silently before the first cell (see the modules).

    It leaves no name behind, and cannot fail.
    """
    texts = [files(__package__).joinpath(f"{m}.py").read_text(encoding="utf-8") for m in _MODULES]
    run = "exec(compile({!r}, '<nbcache>', 'exec'), {{'__name__': '<nbcache>'}})\n"
    return "".join(run.format(text) for text in texts)
