"""Parsing of Python code in a process with several threads."""

from __future__ import annotations

import ast
from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar

T = TypeVar("T")

# Another thread must be in `ast.parse` at the very same time, and be interrupted there.
ATTEMPTS = 10
_lock = Lock()


def parse_code(text: str) -> ast.Module:
    """Return the tree of a module.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: As `ast.parse` does.
    """
    return _attempted(ast.parse, text)


def parse_literal(text: str) -> Any:
    """Return the value of a literal.

    Raises:
        SyntaxError, ValueError, TypeError, RecursionError, MemoryError: As `ast.literal_eval` does.
    """
    return _attempted(ast.literal_eval, text)


def _attempted(function: Callable[[str], T], text: str) -> T:
    """Call a function that makes syntax trees until no other thread disturbs it.

    CPython 3.11 and 3.12 count the depth of a tree for all threads together: where two make trees
    at the same time, either may end with "AST constructor recursion depth mismatch"
    (https://github.com/python/cpython/issues/106905). The lock excludes our threads; Sphinx and
    its extensions parse modules in the main one.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            with _lock:
                return function(text)
        except SystemError:
            continue
    with _lock:
        return function(text)
