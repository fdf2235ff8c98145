"""What notebooks say in their metadata: what is used, what is told, and at which line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sphinx_nbcache.notebooks.formats import read_notebook
from sphinx_nbcache.notebooks.front_matter import line_of_key
from sphinx_nbcache.notebooks.own_settings import OwnSettings, own_settings
from sphinx_nbcache.notices import Topic


def ipynb(metadata: dict[str, Any], *cells: dict[str, Any]) -> str:
    """Return the text of a notebook, as editors write it."""
    whole = [{"cell_type": "code", "source": ["1"], "metadata": {}, **cell} for cell in cells]
    data = {"cells": whole, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(data, indent=1)


def settings_in(text: str, fmt: str = "ipynb") -> OwnSettings:
    """Return the settings of a notebook."""
    return own_settings(read_notebook(text, fmt), text)


def test_settings_that_can_be_used_are_used_and_the_others_are_told() -> None:
    text = ipynb({"nbcache": {"retries": 2, "alone": "maybe"}, "execution": {"timeout": 3}})
    found = settings_in(text)
    assert found.settings == {"retries": 2, "timeout": 3.0, "assets": ()}
    (problem,) = found.problems
    assert problem.topic is Topic.CONFIG
    assert problem.text.startswith("nbcache.alone = 'maybe' in its metadata is not")
    assert problem.line == text.splitlines().index('   "alone": "maybe"') + 1


@pytest.mark.parametrize(
    ("metadata", "key", "meant"),
    [
        ({"nbcache": {"retires": 1}}, "nbcache.retires", "retries"),
        ({"nbcache": {"xyz": 1}}, "nbcache.xyz", ""),
        ({"execution": {"time_out": 1}}, "execution.time_out", "execution.timeout"),
        ({"ncache": {}}, "ncache", "nbcache"),
    ],
)
def test_a_key_that_nothing_reads_is_told(metadata: dict[str, Any], key: str, meant: str) -> None:
    (problem,) = settings_in(ipynb(metadata)).problems
    assert problem.topic is Topic.METADATA
    assert f"`{key}`" in problem.text
    assert ("did you mean" in problem.text) == bool(meant)
    assert meant in problem.text
    assert problem.line is not None


@pytest.mark.parametrize(
    "metadata",
    [
        {"execution": {"mode": "off", "show_tb": True, "depth": 1}},
        {"cache": {}, "toc": {}, "nbsphinx": {}},
        {"nbcache": None, "execution": None},
    ],
)
def test_keys_of_other_tools_are_left_to_them(metadata: dict[str, Any]) -> None:
    assert settings_in(ipynb(metadata)).problems == ()


def test_slips_in_tags_are_told_of_code_and_markdown_cells() -> None:
    tags = {"tags": ["hide-inptu", "mine", "skip_execution", "hide_output"]}
    text = ipynb(
        {}, {"metadata": tags}, {"cell_type": "markdown", "metadata": {"tags": ["remove-cel"]}}
    )
    first, second, third = settings_in(text).problems
    assert {p.topic for p in (first, second, third)} == {Topic.TAG}
    assert "`hide-inptu` of code cell 1 has no effect; did you mean `hide-input`?" in first.text
    assert "`skip_execution` of code cell 1" in second.text
    assert "`remove-cel` of a markdown cell has no effect; did you mean `remove-cell`" in third.text


def test_lines_of_keys_are_found_in_yaml_and_json_not_in_the_code_of_cells() -> None:
    yaml = "title: nbcache\nnbcache:\n  'run_in': x\n"
    assert line_of_key(yaml, "nbcache", "run_in") == 3
    assert line_of_key(yaml, "nbcache", "other") == 2
    assert line_of_key(yaml, "other") == 0
    text = ipynb({"nbcache": {"xyz": 1}}, {"source": ['{"nbcache": 1}\n', "nbcache: 2"]})
    assert line_of_key(text, "nbcache") == text.splitlines().index('  "nbcache": {') + 1
