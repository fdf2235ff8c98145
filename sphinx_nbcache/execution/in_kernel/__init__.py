"""What is done in a Python kernel around its cells, whoever has started it.

The modules are sent as source text. They use the standard library only, and stay within Python
3.8.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def arrival_code() -> str:
    """Return the source that lets output in C arrive in time (see `arrival.py`).

    It is executed silently before the first cell, leaves no name behind, and cannot fail.
    """
    text = files(__package__).joinpath("arrival.py").read_text(encoding="utf-8")
    return f"exec(compile({text!r}, '<nbcache>', 'exec'), {{'__name__': '<nbcache>'}})\n"
