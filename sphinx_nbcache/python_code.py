"""Parsing Python code in a multi-threaded process."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar

T = TypeVar("T")

# The race needs another thread that is interrupted within `ast.parse` at the same moment.
ATTEMPTS = 10
_lock = Lock()
# Python warns about code that it parses, such as `"\d"`. The kernel says so too, and where.
_FILE = "<nbcache>"
_QUIET = ("ignore", None, Warning, re.compile(re.escape(_FILE)), 0)


def parse_code(text: str) -> ast.Module:
    """Return the tree of a module.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: As `ast.parse` does.
    """
    return _attempted(_parsed, text)


def parse_literal(text: str) -> Any:
    """Return the value of a literal.

    Raises:
        SyntaxError, ValueError, TypeError, RecursionError, MemoryError: As `ast.literal_eval` does.
    """
    return _attempted(ast.literal_eval, text)


def _parsed(text: str) -> ast.Module:
    # `warnings.catch_warnings` would put the filters of other threads back, and each change through
    # the functions of `warnings` makes warnings appear again that were shown once.
    if _QUIET not in warnings.filters:
        warnings.filters.insert(0, _QUIET)  # type: ignore[attr-defined]
    return ast.parse(text, _FILE)


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
