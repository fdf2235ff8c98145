"""Whether a notebook file looks as if it had been run from top to bottom."""

from __future__ import annotations

import json

import pytest
from support import code_cell

from sphinx_nbcache.notebooks.executed import wrong_counts
from sphinx_nbcache.notebooks.ipynb import read_ipynb


def problems(*cells: tuple[str, int | None] | tuple[str, int | None, str]) -> list[str]:
    """Return what is wrong with a notebook of code cells: source, count, tags."""
    data = [code_cell(source, *tags, count=count) for source, count, *tags in cells]
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": data}
    return [str(problem) for problem in wrong_counts(read_ipynb(json.dumps(notebook)))]


def test_counts_from_one_on_are_right() -> None:
    assert problems(("1", 1), ("2", 2), ("3", 3)) == []


def test_a_notebook_without_code_is_right() -> None:
    assert problems() == []
    assert problems(("", None)) == []


def test_blank_cells_take_no_number_but_are_counted_in_what_is_said() -> None:
    assert problems(("1", 1), (" \n", None), ("3", 2)) == []
    assert problems(("1", 1), ("", None), ("3", 7)) == ["code cell 3 has execution count 7, not 2"]


def test_a_cell_that_was_not_run_is_named() -> None:
    assert problems(("1", None), ("2", 2)) == ["code cell 1 has no execution count"]


@pytest.mark.parametrize("count", [None, 2])
def test_a_cell_that_is_never_run_may_have_a_count_or_not(count: int | None) -> None:
    last = 2 if count is None else 3
    assert problems(("1", 1), ("2", count, "skip-execution"), ("3", last)) == []


def test_every_wrong_cell_is_named() -> None:
    assert problems(("1", 2), ("2", 1), ("3", 3)) == [
        "code cell 1 has execution count 2, not 1",
        "code cell 2 has execution count 1, not 2",
    ]
