"""Paths of assets and artifacts: they mean the same on every system, and never lead out."""

from __future__ import annotations

import json
import os
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sphinx_nbcache.files.paths import asset_of, inner_path, is_inner_path
from sphinx_nbcache.files.stats import Stat
from sphinx_nbcache.notebooks.ipynb import read_ipynb
from sphinx_nbcache.notebooks.scan import Scan, scan_notebook
from sphinx_nbcache.results.artifacts import Artifact

OUTSIDE = ["..", "../a", "a/../b", "a/..", "/a", "C:a", "C:/a", "//host/share/a"]
NO_PATHS = ["", ".", "./", "a\0b", "\udcff", "a\\b", "\\a", "..\\a"]


@pytest.mark.parametrize("text", OUTSIDE + NO_PATHS)
def test_a_path_that_leads_out_or_is_none_is_refused_and_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"the (path|folder)|backslash") as caught:
        inner_path(text)
    assert repr(text) in str(caught.value)
    assert not is_inner_path(text)


@pytest.mark.parametrize(
    ("text", "normal"),
    [("a", "a"), ("./a/b", "a/b"), ("a//b/", "a/b"), ("..a/b..", "..a/b.."), ("é b", "é b")],
)
def test_a_path_has_one_normal_form(text: str, normal: str) -> None:
    assert inner_path(text) == normal
    assert is_inner_path(text) is (text == normal)


@given(st.text(alphabet="./\\:aC\0", max_size=12))
def test_what_is_accepted_stays_inside_on_every_system(text: str) -> None:
    if is_inner_path(text):
        for kind in (PurePosixPath, PureWindowsPath):
            path = kind(text)
            assert not path.is_absolute()
            assert not path.drive
            assert ".." not in path.parts
        assert os.path.normpath(f"/base/x/{text}").startswith("/base/x/")


def test_an_asset_is_named_relative_to_its_notebooks_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = tmp_path / "docs" / "a.md"
    assert asset_of(tmp_path / "docs" / "data" / "x.csv", notebook) == "data/x.csv"
    monkeypatch.chdir(tmp_path)
    assert asset_of(Path("docs/x.csv"), Path("docs/a.md")) == "x.csv"
    for outside in (tmp_path / "x.csv", Path("docs/../x.csv"), Path("docs"), Path("docs2/x.csv")):
        with pytest.raises(ValueError, match="does not lie in or below the folder") as caught:
            asset_of(outside, notebook)
        assert str(outside) in str(caught.value)
        assert str(notebook) in str(caught.value)


def scan_with(**own: Any) -> Scan:
    """Scan a notebook with these settings of ours in its metadata."""
    text = json.dumps({"nbformat": 4, "metadata": {"nbcache": own}, "cells": []})
    return scan_notebook(Scan(Stat(0, 0, 0, 0), 0, "", "", "ipynb"), read_ipynb(text))


def test_a_notebook_names_its_assets_in_its_metadata() -> None:
    scan = scan_with(assets=["data/x.csv", "./a.txt", "a.txt"])
    assert (scan.assets, scan.problems) == (("a.txt", "data/x.csv"), ())


def test_an_asset_outside_of_the_folder_is_left_out_with_a_warning() -> None:
    scan = scan_with(assets=["../secret.txt", "a.txt"])
    assert scan.assets == ("a.txt",)
    (problem,) = scan.problems
    assert "'../secret.txt' leads out of the folder of the notebook" in problem.text


@pytest.mark.parametrize("assets", ["a.txt", 1, None, ["a", 1], {"a": "b"}])
def test_assets_that_are_no_list_of_paths_are_a_warning(assets: Any) -> None:
    scan = scan_with(assets=assets)
    assert scan.assets == ()
    assert "is not a list of paths" in scan.problems[0].text


ARTIFACT = {"path": "a/b.txt", "digest": "0" * 64, "size": 3, "mode": 0o644}


@pytest.mark.parametrize(
    "bad",
    [
        *({"path": path} for path in [*OUTSIDE, "", ".", "./a", "a//b", "a\\b"]),
        *({"mode": mode} for mode in (-1, 0o4755, 1 << 40)),
        {"size": -1},
    ],
)
def test_a_record_of_an_artifact_that_no_run_can_have_left_is_not_read(bad: dict[str, Any]) -> None:
    good = msgspec.json.decode(msgspec.json.encode(ARTIFACT), type=Artifact)
    assert msgspec.to_builtins(good) == {
        **ARTIFACT,
        "created": False,
        "pieces": (),
        "inferred": False,
    }
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode({**ARTIFACT, **bad}), type=Artifact)
