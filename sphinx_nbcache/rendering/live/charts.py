"""Charts of Plotly, Vega and Vega-Lite, which are JSON for their libraries."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from docutils import nodes

from sphinx_nbcache.notices import Topic
from sphinx_nbcache.rendering.live.libraries import PLOTLY
from sphinx_nbcache.rendering.live.nodes import HOSTS, drawn
from sphinx_nbcache.rendering.nodes import Context

PLOTLY_MIME = "application/vnd.plotly.v1+json"
# Altair 6 writes `.json`.
VEGA_MIMES = tuple(
    f"application/vnd.{kind}.v{major}{end}"
    for kind in ("vegalite", "vega")
    for major in (6, 5, 4, 3)
    for end in ("+json", ".json")
)
_VEGA_MIME = re.compile(r"application/vnd\.(?P<kind>vega|vegalite)\.v(?P<major>\d)[+.]json")
# The libraries for each major version: 3 to 5 of both have the same Vega.
_NEWEST = 6
# The traces of Plotly that load maps from other hosts.
_MAPS = re.compile(r"choropleth|(?:choropleth|density|scatter)(?:geo|map|mapbox)")


def render_plotly(value: Any, context: Context) -> list[nodes.Node]:
    """Return a figure of Plotly."""
    if not isinstance(value, Mapping) or not isinstance(value.get("data"), list):
        context.warn(Topic.MIME, f"an output of type {PLOTLY_MIME} has no list of `data`")
        return []
    parts = {key: value[key] for key in ("data", "layout", "config", "frames") if key in value}
    node = drawn("plotly", parts, [PLOTLY])
    node[HOSTS] = sorted({*_plotly_hosts(value)})
    return [node]


def render_vega(value: Any, context: Context, mime: str) -> list[nodes.Node]:
    """Return a chart of Vega or Vega-Lite."""
    if not isinstance(value, Mapping):
        context.warn(Topic.MIME, f"an output of type {mime} is no object")
        return []
    match = _VEGA_MIME.fullmatch(mime)
    assert match is not None
    mode = "vega" if match["kind"] == "vega" else "vega-lite"
    own = context.metadata.get("embed_options")
    options = {**own, "mode": mode} if isinstance(own, Mapping) else {"mode": mode}
    return [vega_chart(value, options, int(match["major"]))]


def vega_chart(spec: Mapping[str, Any], options: Mapping[str, Any], major: int) -> nodes.Element:
    """Return a chart for a specification of a major version."""
    newest = major >= _NEWEST
    names = ["vega@6" if newest else "vega@5"]
    if options.get("mode") != "vega":
        names.append(f"vega-lite@{min(max(major, 3), _NEWEST)}")
    names.append("vega-embed@7" if newest else "vega-embed@6")
    node = drawn("vega", {"spec": spec, "options": options}, names)
    node[HOSTS] = sorted({*_urls_in(spec)})
    return node


def _plotly_hosts(value: Mapping[str, Any]) -> Iterator[str]:
    """Yield the addresses from which a figure loads data."""
    layout = value.get("layout")
    images = layout.get("images") if isinstance(layout, Mapping) else None
    yield from _urls_in([images, value["data"]], keys=("source", "geojson"))
    for trace in value["data"]:
        kind = trace.get("type") if isinstance(trace, Mapping) else None
        if isinstance(kind, str) and _MAPS.fullmatch(kind):
            yield "maps of Plotly"


def _urls_in(value: Any, keys: tuple[str, ...] = ("url", "href")) -> Iterator[str]:
    """Yield the addresses of other hosts below the keys that load data."""
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, Mapping):
            for key, inner in item.items():
                if key in keys and isinstance(inner, str) and _is_foreign(inner):
                    yield inner
                elif isinstance(inner, Mapping | list):
                    todo.append(inner)
        elif isinstance(item, list):
            todo += [inner for inner in item if isinstance(inner, Mapping | list)]


def _is_foreign(address: str) -> bool:
    return address.strip().lower().startswith(("http:", "https:", "//", "ftp:"))
