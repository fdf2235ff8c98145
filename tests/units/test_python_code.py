from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import pytest

from sphinx_nbcache.kernels.forked.preload import imported_modules
from sphinx_nbcache.python_code import ATTEMPTS, parse_code, parse_literal


def failing(function: Callable[..., Any], times: int) -> Callable[..., Any]:
    """Return a function that first fails as CPython 3.11 does while another thread parses."""
    left = [times]

    def call(*arguments: str) -> Any:
        if left[0]:
            left[0] -= 1
            raise SystemError("AST constructor recursion depth mismatch (before=30, after=25)")
        return function(*arguments)

    return call


def test_another_thread_that_parses_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ast, "literal_eval", failing(ast.literal_eval, ATTEMPTS - 1))
    assert parse_literal("[1, 'a']") == [1, "a"]
    monkeypatch.setattr(ast, "parse", failing(ast.parse, ATTEMPTS - 1))
    assert imported_modules(["import numpy.linalg"]) == {"numpy.linalg"}


def test_an_error_that_stays_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ast, "parse", failing(ast.parse, 10 * ATTEMPTS))
    with pytest.raises(SystemError):
        parse_code("x = 1")


def test_code_that_python_warns_about_says_nothing(recwarn: pytest.WarningsRecorder) -> None:
    assert imported_modules(['import re\nre.match("\\d", "1")\nassert (1, "x")']) == {"re"}
    assert not recwarn.list


def test_errors_of_syntax_are_raised_at_once() -> None:
    with pytest.raises(SyntaxError):
        parse_code("x =")
