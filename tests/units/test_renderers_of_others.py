"""Renderers of other packages: asked for unknown types, and never the end of a build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import packages
import pytest
from docutils.utils import new_document

from sphinx_nbcache.looks import Looks
from sphinx_nbcache.notices import Topic
from sphinx_nbcache.rendering.bundle import render_bundle
from sphinx_nbcache.rendering.nodes import Context

OURS = """
from docutils import nodes

def shown(value, context):
    return [nodes.paragraph("", f"{value} {context.metadata} {context.plain}")]

def fails(value, context):
    raise RuntimeError("no such thing")

def leaves(value, context):
    raise SystemExit(3)

def formula(value, context):
    return [nodes.math_block("", "a"), nodes.raw("", "</div><!-- open", format="html")]

def nonsense(value, context):
    return "<p>text</p>"

def nothing(value, context):
    return []

class Myst:
    @staticmethod
    def handle_mime(renderer, data, inline):
        if data.mime_type == "x/myst":
            uri = renderer.write_file(["a.png"], b"png", overwrite=True)
            meta = data.output_metadata[data.mime_type]
            return [nodes.image("", uri=uri, alt=f"{data.string} {data.line} {meta} {inline}")]
        if data.mime_type == "x/other":
            renderer.add_js_file("x.js")
        return None
"""


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("shown", "fails", "leaves", "formula", "nonsense", "nothing")
    ours = {f"x/{name}": name for name in names} | {"x/gone": "gone", "text/html": "fails"}
    points = {"sphinx_nbcache.renderers": ours, "myst_nb.mime_renderers": {"m": "Myst"}}
    folder = packages.install(tmp_path / "site", "shows", OURS, points)
    monkeypatch.syspath_prepend(str(folder))


def rendered(tmp_path: Path, data: dict[str, Any], **own: Any) -> tuple[str, list[str]]:
    """Return the text of the forms of an output, and the warnings."""
    said: list[str] = []

    def warn(topic: Topic, text: str, *, is_error: bool = False) -> None:
        said.append(f"{topic.value}: {text}")

    context = Context(new_document("x"), tmp_path, str, warn, line=7, looks=Looks())
    output = {"data": data, "metadata": dict.fromkeys(data, own)}
    return "".join(node.pformat() for node in render_bundle(output, context)), said


def test_a_type_that_is_not_known_is_rendered_by_another_package(tmp_path: Path) -> None:
    text, said = rendered(tmp_path, {"x/shown": {"a": 1}, "text/plain": "plain"}, width=3)
    assert "{'a': 1} {'width': 3} plain" in text
    assert said == []


@pytest.mark.parametrize(
    ("mime", "problem"),
    [
        ("x/fails", "the renderer shows:fails failed for x/fails: RuntimeError('no such thing')"),
        ("x/leaves", "the renderer shows:leaves failed for x/leaves: SystemExit(3)"),
        ("x/nonsense", "the renderer shows:nonsense returned no list of nodes"),
        ("x/gone", "cannot be used: shows:gone cannot be imported"),
    ],
)
def test_a_renderer_that_fails_is_a_warning(tmp_path: Path, mime: str, problem: str) -> None:
    text, (said,) = rendered(tmp_path, {mime: 1, "text/plain": "plain"})
    assert problem in said
    assert said.startswith("renderer: ")
    assert "plain" in text


def test_nodes_of_other_packages_are_completed_and_contained(tmp_path: Path) -> None:
    text, said = rendered(tmp_path, {"x/formula": 1})
    assert "number=" in text
    assert "</div>" not in text
    assert said == []


def test_a_renderer_may_show_nothing(tmp_path: Path) -> None:
    text, said = rendered(tmp_path, {"x/nothing": 1, "text/plain": "plain"})
    assert "plain" in text
    assert said == []


def test_known_types_are_rendered_here(tmp_path: Path) -> None:
    text, said = rendered(tmp_path, {"text/html": "<b>a</b>"})
    assert "<b>a</b>" in text
    assert said == []


def test_a_plugin_for_myst_nb_is_asked(tmp_path: Path) -> None:
    text, said = rendered(tmp_path, {"x/myst": "content"}, width=3)
    assert "content 7 {'width': 3} False" in text
    assert ".png" in text
    assert said == []


def test_a_plugin_that_needs_more_of_myst_nb_is_a_warning(tmp_path: Path) -> None:
    _, said = rendered(tmp_path, {"x/other": 1, "text/plain": "plain"})
    assert "add_js_file" in said[0]


def test_a_form_of_another_package_is_preferred() -> None:
    from sphinx_nbcache.rendering.choosing import ranked_types

    preferred = ["x/own", "text/html", "text/plain"]
    assert [*ranked_types([], "html", preferred)] == preferred
    first = [*ranked_types(["text/plain", "image/png"], "html", preferred)]
    assert first == ["text/plain", *preferred]
    by_builder = {"*": ["-text/html"], "latex": ["text/plain"]}
    assert [*ranked_types(by_builder, "html", preferred)] == ["x/own", "text/plain"]
    assert next(ranked_types(by_builder, "latex", preferred)) == "text/plain"
