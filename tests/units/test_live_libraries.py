"""Script libraries: their order, their hashes, and where their files are found."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import npm_files
import pytest

from sphinx_nbcache.rendering.live.libraries import (
    LIBRARIES,
    Library,
    libraries_for,
    library,
    local_file,
)


def test_a_page_gets_each_library_once_and_what_others_need_first() -> None:
    names = ["html-manager", "vega-embed@6", "plotly@4", "vega@5", "requirejs", "vega@5"]
    found = [wanted.name for wanted in libraries_for(names)]
    assert found == ["plotly@4", "vega@5", "vega-embed@6", "requirejs", "html-manager"]


def test_of_two_versions_a_page_gets_the_newer_one() -> None:
    found = libraries_for(["vega@6", "vega@5", "plotly@2", "bokeh@3.4.1", "bokeh@3.10.0"])
    assert [wanted.name for wanted in found] == ["plotly@2", "vega@6", "bokeh@3.10.0"]


def test_names_from_elsewhere_are_no_addresses() -> None:
    for name in ("", "bokeh", "bokeh@3", "evil@1.2.3", "bokeh@3.1.1/../x", "bokeh-x@3.1.1"):
        assert library(name) is None
    assert libraries_for(["nonsense"]) == []


@pytest.mark.parametrize("wanted", LIBRARIES.values(), ids=str)
def test_each_library_has_a_version_and_a_hash(wanted: Library) -> None:
    assert wanted.url.startswith("https://cdn.jsdelivr.net/npm/")
    assert f"@{wanted.version}/" in wanted.url
    assert len(base64.b64decode(wanted.integrity.removeprefix("sha384-"))) == 48


def test_bokeh_is_loaded_in_the_version_of_the_plot() -> None:
    found = library("bokeh-widgets@3.4.1")
    assert found is not None
    assert found.url == "https://cdn.bokeh.org/bokeh/release/bokeh-widgets-3.4.1.min.js"
    assert "bokeh==3.4.1" in found.remedy


@pytest.mark.parametrize(
    "place",
    [
        "vega.min.js",
        "vega-5.33.1.min.js",
        "vega/build/vega.min.js",
        "vega@5.33.1/build/vega.min.js",
        "node_modules/vega/build/vega.min.js",
    ],
)
def test_a_folder_may_be_filled_by_hand_or_by_npm(tmp_path: Path, place: str) -> None:
    wanted = LIBRARIES["vega@5"]
    assert local_file(wanted, tmp_path) is None
    file = tmp_path / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("vega")
    assert local_file(wanted, tmp_path) == file


def test_another_major_version_in_the_folder_does_not_count(tmp_path: Path) -> None:
    file = tmp_path / "node_modules/vega/build/vega.min.js"
    file.parent.mkdir(parents=True)
    file.write_text("vega")
    package = tmp_path / "node_modules/vega/package.json"
    package.write_text(json.dumps({"version": "6.4.0"}))
    assert local_file(LIBRARIES["vega@5"], tmp_path) is None
    assert local_file(LIBRARIES["vega@6"], tmp_path) == file
    package.write_text("nonsense")
    assert local_file(LIBRARIES["vega@5"], tmp_path) == file


@pytest.mark.skipif(not npm_files.ASKED, reason=npm_files.WHY_SKIPPED)
@pytest.mark.parametrize("wanted", LIBRARIES.values(), ids=str)
def test_the_hashes_are_those_of_the_files(tmp_path: Path, wanted: Library) -> None:
    digest = hashlib.sha384(npm_files.content(wanted, tmp_path)).digest()
    assert wanted.integrity == f"sha384-{base64.b64encode(digest).decode()}"
