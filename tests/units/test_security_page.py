"""Each statement of the security page names a test that protects it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "explanation" / "security.md").read_text(encoding="utf-8")
TESTS = re.findall(r"^  % test: (\S+)::(\w+)$", PAGE, flags=re.MULTILINE)


def test_each_statement_names_its_test() -> None:
    statements = re.findall(r"^- .*(?:\n  .*)*", PAGE, flags=re.MULTILINE)
    assert len(statements) > 20
    assert [s for s in statements if "\n  % test: " not in s] == []


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_the_tests_that_are_named_exist(file: str, name: str) -> None:
    tree = ast.parse((PROJECT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
