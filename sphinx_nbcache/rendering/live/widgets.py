"""Widgets of ipywidgets, with the state that their notebook had in the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from docutils import nodes

from sphinx_nbcache.notebooks.executed import WIDGET_STATE
from sphinx_nbcache.rendering.live.libraries import REQUIRE
from sphinx_nbcache.rendering.live.nodes import (
    HOSTS,
    LiveOutput,
    data_script,
    json_for_html,
    live,
)
from sphinx_nbcache.rendering.nodes import Context

WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
_MODELS = "nbcache_models"
_REFERENCE = "IPY_MODEL_"
_VERSION = {"version_major": 2, "version_minor": 0}
# The modules that the manager of widgets in HTML pages has; it loads all others from a CDN.
_BUILT_IN = frozenset(
    {"@jupyter-widgets/base", "@jupyter-widgets/controls", "@jupyter-widgets/output"}
)


_LINKS = frozenset({"LinkModel", "DirectionalLinkModel"})


def models_in(widgets: Any) -> Mapping[str, Any]:
    """Return the models in the state of widgets, by their ids; none if it is of another form."""
    state = widgets.get("state") if isinstance(widgets, Mapping) else None
    return state if isinstance(state, Mapping) else {}


def stored_models(metadata: Any) -> Mapping[str, Any]:
    """Return the models in the metadata `widgets` of a notebook."""
    return models_in(metadata.get(WIDGET_STATE)) if isinstance(metadata, Mapping) else {}


def render_widget(value: Any, context: Context) -> list[nodes.Node]:
    """Return the view of a widget with the models that it consists of; nothing without these."""
    name = value.get("model_id") if isinstance(value, Mapping) else None
    if not isinstance(name, str):
        return []
    models = _reachable(name, context.widgets)
    if models is None:
        return []  # the text form says what it was
    view = data_script({**_VERSION, "model_id": name}, WIDGET_MIME)
    node = live(view, [REQUIRE, "html-manager"], ["output", "nbcache-widget"], is_drawn=False)
    node[_MODELS] = {key: json_for_html(model) for key, model in models.items()}
    modules = {str(model["model_module"]) for model in models.values()}
    node[HOSTS] = [f"the widgets of {module}" for module in sorted(modules - _BUILT_IN)]
    return [node]


def _reachable(name: str, models: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a model and all those that it refers to; `None` if one is not whole."""
    found: dict[str, Any] = {}
    todo = [name]
    while todo:
        key = todo.pop()
        if key in found:
            continue
        model = models.get(key)
        if model is None or not _is_model(model):
            return None
        found[key] = model
        todo += _references(model["state"])
    # Links refer to the widgets that they connect, not the other way round.
    for key, model in models.items():
        if _is_model(model) and model["model_name"] in _LINKS:
            ends = set(_references(model["state"]))
            if ends and ends <= found.keys():
                found[key] = model
    return dict(sorted(found.items()))


def _is_model(model: Any) -> bool:
    return (
        isinstance(model, Mapping)
        and all(
            isinstance(model.get(key), str)
            for key in ("model_name", "model_module", "model_module_version")
        )
        and isinstance(model.get("state"), Mapping)
        and _are_buffers(model.get("buffers", []))
    )


def _are_buffers(buffers: Any) -> bool:
    """Tell whether the manager of widgets can read buffers: else it shows no widget at all."""
    return isinstance(buffers, list) and all(
        isinstance(buffer, Mapping)
        and isinstance(buffer.get("data"), str)
        and isinstance(buffer.get("encoding"), str)
        and isinstance(buffer.get("path"), list)
        for buffer in buffers
    )


def _references(state: Any) -> Iterator[str]:
    todo = [state]
    while todo:
        item = todo.pop()
        if isinstance(item, str) and item.startswith(_REFERENCE):
            yield item.removeprefix(_REFERENCE)
        elif isinstance(item, Mapping):
            todo += item.values()
        elif isinstance(item, list):
            todo += item


def put_state(document: nodes.document) -> None:
    """Put the models of all views that a page shows into the page, each once."""
    views = [node for node in document.findall(LiveOutput) if _MODELS in node]
    models: dict[str, str] = {}
    for view in views:
        models |= view[_MODELS]
        del view[_MODELS]
    if views:
        listed = ", ".join(f"{json_for_html(key)}: {model}" for key, model in models.items())
        version = json_for_html(_VERSION).removeprefix("{")
        state = f'<script type="{WIDGET_STATE}">{{"state": {{{listed}}}, {version}</script>\n'
        views[-1].parent.append(live(state, [], is_drawn=False))
