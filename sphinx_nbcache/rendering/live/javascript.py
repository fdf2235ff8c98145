"""JavaScript as an output, and the plots of Bokeh, which are JavaScript."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from docutils import nodes

from sphinx_nbcache.notices import Topic
from sphinx_nbcache.rendering.live.known import libraries_used, loaded_by
from sphinx_nbcache.rendering.live.nodes import HOSTS, drawn
from sphinx_nbcache.rendering.nodes import Context

JAVASCRIPT_MIMES = ("application/javascript", "text/javascript")
# Bokeh loads itself by a script; its plots name the version, and that is enough.
_BOKEH_LOADS = "application/vnd.bokehjs_load.v0+json"
_BOKEH_LOADING = "Loading BokehJS"


def render_javascript(value: Any, context: Context) -> list[nodes.Node]:
    """Return JavaScript that is run in the page, with its element as Jupyter has it."""
    if not isinstance(value, str):
        context.warn(Topic.MIME, "an output of JavaScript is not text")
        return []
    node = drawn("javascript", value, libraries_used(value))
    node[HOSTS] = sorted({*loaded_by(value)})
    return [node]


def only_loads_bokeh(data: Mapping[str, Any]) -> bool:
    """Tell whether an output only loads Bokeh: there is nothing to show."""
    if _BOKEH_LOADS in data:
        return True
    html = data.get("text/html")
    return isinstance(html, str) and _BOKEH_LOADING in html and "bk-" in html
