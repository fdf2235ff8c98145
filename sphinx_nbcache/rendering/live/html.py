"""HTML with scripts: those that use a library wait for it, and it is loaded once for the page."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import unescape
from typing import Any

from docutils import nodes

from sphinx_nbcache.rendering.live.charts import vega_chart
from sphinx_nbcache.rendering.live.known import libraries_at, libraries_used, loaded_by
from sphinx_nbcache.rendering.live.libraries import PLOTLY
from sphinx_nbcache.rendering.live.nodes import HOSTS, LOCALLY, json_for_html, live

_ANY = re.DOTALL | re.IGNORECASE
_SCRIPT = re.compile(r"<script(?P<attributes>[^>]*)>(?P<text>.*?)</script\s*>", _ANY)
_LINK = re.compile(r"<link\b(?P<attributes>[^>]*)>", re.IGNORECASE)
_STYLE = re.compile(
    r"@import\s*(?:url\(\s*)?[\"']?(?P<url>(?:https?:)?//[^\s\"');<]+)[^;<]*;?", re.IGNORECASE
)
_ATTRIBUTE = re.compile(r"(?P<key>[\w:.-]+)(?:\s*=\s*(?P<value>\"[^\"]*\"|'[^']*'|[^\s\"'>]+))?")
_RUN = frozenset({"", "text/javascript", "application/javascript", "module", "text/ecmascript"})
_IMPORT = re.compile(r"\s*import\s*[\"'](?P<url>[^\"']+)[\"']\s*;?\s*")
# Plotly's script before the library (`plotly/io/_base_renderers.py`, 6.5).
_PREPARES = re.compile(r"\s*window\.PlotlyConfig\s*=(?![^<]*newPlot)")
_PLOTLY_ITSELF = re.compile(r"\s*/\*\*\s*\*\s*plotly\.js v(?P<major>\d+)")
_CHART_OF_ALTAIR = re.compile(r"\}\)\((?=\{)")
_STYLE_ELEMENT = re.compile(r"<style[^>]*>.*?</style\s*>", _ANY)
_TAG = re.compile(r"<[^>]*>")
_SCHEMA = re.compile(r"/vega(?P<lite>-lite)?/v(?P<major>\d)")
_FOREIGN = re.compile(r"\s*(?:https?:)?//", re.IGNORECASE)


@dataclass(slots=True)
class _Scripts:
    """The scripts of an output, while they are looked at.

    Attributes:
        libraries: The names of the libraries that they need.
        hosts: The addresses from which they load something else.
    """

    libraries: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)


def render_scripts(html: str) -> list[nodes.Node] | None:
    """Return the nodes for HTML whose scripts need libraries, or come from other hosts.

    Args:
        html: Contained HTML.

    Returns: `None` for other HTML, which is shown as it is; no nodes if it only loads a library.
    """
    if (chart := _chart_of_altair(html)) is not None:
        return [chart]
    found = _Scripts()
    given, html = html, _SCRIPT.sub(_without_mathjax, html)
    shown = _SCRIPT.sub(lambda match: _waiting(match, found), html)
    if found.libraries and _only_loads(html):
        return [live("", [], is_drawn=False)]  # pages load it where it is needed
    local = _LINK.sub(lambda match: _local_link(match, found), _SCRIPT.sub(_local_script, shown))
    local = _STYLE.sub(lambda match: _noted(match["url"], found), local)
    if not found.libraries and not found.hosts:
        return None if html == given else [live(html, [], ["output", "text_html"], is_drawn=False)]
    # Without a library, scripts run where they stand.
    text = shown if found.libraries else html
    node = live(text, found.libraries, ["output", "text_html"], is_drawn=bool(found.libraries))
    if found.hosts:
        node[HOSTS] = sorted({*found.hosts})
        node[LOCALLY] = local
    return [node]


def _only_loads(html: str) -> bool:
    """Tell whether HTML only loads libraries."""

    def rest(match: re.Match[str]) -> str:
        return "" if _PREPARES.match(match["text"]) else _waiting(match, _Scripts())

    return not _SCRIPT.sub(rest, html).strip()


def _waiting(match: re.Match[str], found: _Scripts) -> str:
    """Return what takes the place of a script: one that waits, or nothing for a library."""
    attributes, code = _attributes(match["attributes"]), match["text"]
    if attributes.get("type", "").strip().lower() not in _RUN:
        return match[0]
    address = attributes.get("src", "")
    if imported := _IMPORT.fullmatch(code):
        address = imported["url"]
    if address:
        names = libraries_at(address)
        if names is not None:
            found.libraries += names
            return ""
        if _FOREIGN.match(address):
            found.hosts.append(address)
    elif itself := _PLOTLY_ITSELF.match(code):
        found.libraries += libraries_at(f"/plotly-{itself['major']}.js") or [PLOTLY]
        return ""
    else:
        used = libraries_used(code)
        known = {plotly for plotly in found.libraries if plotly.startswith("plotly@")}
        found.libraries += [name for name in used if not (known and name == PLOTLY)]
        found.hosts += loaded_by(code)
    value = {"attributes": attributes, "text": code}
    return (
        '<script type="application/json" data-nbcache-kind="script">'
        f"{json_for_html(value)}</script>"
    )


def _without_mathjax(match: re.Match[str]) -> str:
    """Return a script, or nothing if it is MathJax: the page has its own, or none."""
    return "" if libraries_at(_attributes(match["attributes"]).get("src", "")) == [] else match[0]


def _local_script(match: re.Match[str]) -> str:
    """Return a script, or nothing if it loads from another host."""
    try:
        value = json.loads(match["text"])
        address, code = value["attributes"].get("src", ""), value["text"]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return match[0]
    is_foreign = _FOREIGN.match(address) or any(True for _ in loaded_by(code))
    return "" if is_foreign else match[0]


def _local_link(match: re.Match[str], found: _Scripts) -> str:
    address = _attributes(match["attributes"]).get("href", "")
    if not _FOREIGN.match(address):
        return match[0]
    return _noted(address, found)


def _noted(address: str, found: _Scripts) -> str:
    """Note what comes from another host; return what takes its place: nothing."""
    found.hosts.append(address)
    return ""


def _attributes(text: str) -> dict[str, str]:
    found = {}
    for match in _ATTRIBUTE.finditer(text):
        value = match["value"] or ""
        quoted = value[:1] in ("'", '"')
        found[match["key"].lower()] = unescape(value[1:-1] if quoted else value)
    return found


def _chart_of_altair(html: str) -> nodes.Element | None:
    """Return the chart in the HTML that Altair makes, whose script loads Vega by itself."""
    around = _TAG.sub("", _STYLE_ELEMENT.sub("", _SCRIPT.sub("", html)))
    if "vegaEmbed" not in html or around.strip():
        return None  # or it has more than the chart
    scripts = list(_SCRIPT.finditer(html))
    if not (1 <= len(scripts) <= 2):  # noqa: PLR2004 (some versions load `vega` before)
        return None
    code = scripts[-1]["text"]
    starts = list(_CHART_OF_ALTAIR.finditer(code))
    if not starts:
        return None
    decoder = json.JSONDecoder()
    try:
        spec, end = decoder.raw_decode(code, starts[0].end())
        options, _ = decoder.raw_decode(code, code.index("{", end))
    except (ValueError, RecursionError):
        return None
    schema = _SCHEMA.search(str(spec.get("$schema", ""))) if isinstance(spec, Mapping) else None
    if schema is None or not isinstance(options, Mapping):
        return None
    chosen: dict[str, Any] = {**options, "mode": "vega-lite" if schema["lite"] else "vega"}
    return vega_chart(spec, chosen, int(schema["major"]))
