"""Diffs of code cells."""

from __future__ import annotations

import sys

import pytest

from sphinx_nbcache.project.differences import NoDiffError, diff_code


def diff(old: list[str], new: list[str], *, colour: bool = False) -> str:
    return diff_code(old, new, old_name="result 1", new_name="a.ipynb", colour=colour)


def test_equal_code_has_no_diff() -> None:
    assert diff(["1", "2"], ["1", "2"]) == ""


def test_both_sides_and_changed_lines_are_shown() -> None:
    lines = diff(["x = 1\ny = 2"], ["x = 1\ny = 3"]).splitlines()
    assert lines[:2] == ["--- result 1", "+++ a.ipynb"]
    assert "-  y = 2" in lines
    assert "+  y = 3" in lines


def test_cells_that_were_added_and_removed_are_shown() -> None:
    assert "inserted" in diff(["1"], ["1", "print('new')"])
    assert "print('new')" in diff(["1"], ["1", "print('new')"])
    assert "deleted" in diff(["1", "print('old')"], ["1"])


def test_colours_are_only_there_if_asked_for() -> None:
    assert "\x1b[" not in diff(["x = 1\n"], ["x = 2\n"])
    assert "\x1b[" in diff(["x = 1\n"], ["x = 2\n"], colour=True)


def test_without_nbdime_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("nbdime", "nbdime.diffing.notebooks", "nbdime.prettyprint"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(NoDiffError, match=r"sphinx-nbcache\[diff\]"):
        diff(["1"], ["2"])
