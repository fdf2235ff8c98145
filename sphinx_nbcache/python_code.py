"""Parsing Python code in a multi-threaded process."""

from __future__ import annotations

import ast
from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar

T = TypeVar("T")

# The race needs another thread that is interrupted within `ast.parse` at the same moment.
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
    """Call a function that builds syntax trees until no other thread interferes.

    Workaround: CPython 3.11 and 3.12 count the depth of a tree for all threads together. If two
    threads build trees at the same time, either may fail with "AST constructor recursion depth
    mismatch" (https://github.com/python/cpython/issues/106905). The lock covers our own threads
    only: Sphinx and its extensions parse modules in the main thread.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            with _lock:
                return function(text)
        except SystemError:
            continue
    with _lock:
        return function(text)
