"""Widgets: the views that a page shows, with the models that these need."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from docutils import nodes
from docutils.utils import new_document

from sphinx_nbcache.rendering.live.nodes import HOSTS
from sphinx_nbcache.rendering.live.widgets import (
    models_in,
    put_state,
    render_widget,
    stored_models,
)
from sphinx_nbcache.rendering.nodes import Context

BASE, CONTROLS = "@jupyter-widgets/base", "@jupyter-widgets/controls"
STATE = re.compile(r'<script type="application/vnd.jupyter.widget-state\+json">(.*?)</script>')


def model(module: str = CONTROLS, **state: Any) -> dict[str, Any]:
    return {
        "model_name": "M",
        "model_module": module,
        "model_module_version": "2.0.0",
        "state": state,
    }


MODELS = {
    "slider": model(value=3, layout="IPY_MODEL_layout"),
    "box": model(children=["IPY_MODEL_slider", "IPY_MODEL_box"], layout="IPY_MODEL_layout"),
    "layout": model(BASE),
    "unused": model(value="secret"),
    "broken": model(layout="IPY_MODEL_gone"),
    "odd": {"state": []},
    "map": model("jupyter-leaflet", layout="IPY_MODEL_layout"),
}


def view(value: Any, models: Any = MODELS) -> list[nodes.Node]:
    context = Context(new_document("x"), Path(), str, lambda *_a, **_k: None, widgets=models)
    return render_widget(value, context)


def page(*names: str) -> nodes.document:
    document = new_document("x")
    for name in names:
        document += nodes.container("", *view({"model_id": name}))
    return document


def test_a_page_has_the_models_of_its_views_once_and_no_others() -> None:
    document = page("slider", "box", "slider")
    put_state(document)
    html = document.astext()
    assert html.count("widget-view+json") == 3
    (text,) = STATE.findall(html)
    state = json.loads(text)
    assert state["state"] == {name: MODELS[name] for name in ("box", "layout", "slider")}
    assert (state["version_major"], state["version_minor"]) == (2, 0)
    assert "secret" not in html


def test_a_page_without_views_has_no_state() -> None:
    document = page()
    put_state(document)
    assert document.astext() == ""


@pytest.mark.parametrize(
    "value",
    [None, [], "slider", {}, {"model_id": 3}, {"model_id": ["slider"]}]
    + [{"model_id": name} for name in ("gone", "broken", "odd", "")],
)
def test_a_view_whose_models_are_not_whole_is_not_shown(value: Any) -> None:
    assert view(value) == []


@pytest.mark.parametrize("widgets", [None, [], {}, {"state": None}, {"state": [1]}, "x"])
def test_state_of_another_form_has_no_models(widgets: Any) -> None:
    assert models_in(widgets) == {}
    assert stored_models({"application/vnd.jupyter.widget-state+json": widgets}) == {}
    assert stored_models(widgets) == {}


def test_no_value_ends_the_script_of_the_state() -> None:
    evil = model(value="</script><b>")
    document = new_document("x")
    document += view({"model_id": "</script>"}, {"</script>": evil})
    put_state(document)
    assert "</script><b>" not in document.astext()
    (text,) = STATE.findall(document.astext())
    assert json.loads(text)["state"]["</script>"] == evil


def test_widgets_that_come_from_elsewhere_say_so() -> None:
    (node,) = view({"model_id": "map"})
    assert isinstance(node, nodes.Element)
    assert node[HOSTS] == ["the widgets of jupyter-leaflet"]
    (node,) = view({"model_id": "slider"})
    assert isinstance(node, nodes.Element)
    assert node[HOSTS] == []


def test_links_between_the_shown_widgets_are_part_of_the_page() -> None:
    ends: dict[str, Any] = {
        "source": ["IPY_MODEL_slider", "value"],
        "target": ["IPY_MODEL_box", "value"],
    }
    far: dict[str, Any] = {
        "source": ["IPY_MODEL_slider", "value"],
        "target": ["IPY_MODEL_unused", "value"],
    }
    links = {
        "link": {**model(**ends), "model_name": "LinkModel"},
        "far": {**model(**far), "model_name": "LinkModel"},
    }
    document = new_document("x")
    document += nodes.container("", *view({"model_id": "box"}, {**MODELS, **links}))
    put_state(document)
    assert '"link"' in document.astext()
    assert '"far"' not in document.astext()


@pytest.mark.parametrize("buffers", [5, [5], [{"data": 3, "path": [], "encoding": "base64"}]])
def test_a_widget_that_no_page_could_read_leaves_the_others_alone(buffers: Any) -> None:
    assert view({"model_id": "bad"}, {**MODELS, "bad": {**model(), "buffers": buffers}}) == []
