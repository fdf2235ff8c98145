"""The node of an output that a script draws, and JSON that can stand in a page."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from html import escape
from typing import Any

from docutils import nodes

LIBRARIES = "nbcache_libraries"
"""The attribute of nodes that names the libraries that they need."""
HAS_SCRIPT = "nbcache_script"
"""The attribute of nodes that our own script draws."""
HOSTS = "nbcache_hosts"
"""The attribute of nodes that names what they load from other hosts."""
NEEDS_SCRIPTS = "nbcache_needs_scripts"
"""The attribute of documents that have such nodes, when they are written."""
LOCALLY = "nbcache_locally"
"""The attribute of nodes that has their HTML without what loads from other hosts."""


class LiveOutput(nodes.raw):
    """HTML that needs script libraries."""


def live(
    html: str, libraries: Iterable[str], classes: Iterable[str] = (), *, is_drawn: bool = True
) -> LiveOutput:
    """Return a node for HTML that needs libraries.

    Args:
        html: The HTML.
        libraries: The names of the libraries.
        classes: The classes of the output.
        is_drawn: Whether our own script draws it.
    """
    node = LiveOutput(html, html, format="html", classes=list(classes))
    node[LIBRARIES] = list(libraries)
    node[HAS_SCRIPT] = is_drawn
    return node


def drawn(kind: str, value: Any, libraries: Iterable[str]) -> LiveOutput:
    """Return a node that our script draws.

    Args:
        kind: How the script draws the value: a name in `static/nbcache-live.js`.
        value: The value, as JSON.
        libraries: The names of the libraries that this needs.
    """
    html = (
        f'<div class="output nbcache-live" data-nbcache-kind="{escape(kind)}">'
        f"{data_script(value)}</div>\n"
    )
    return live(html, libraries, ["output", kind])


def data_script(value: Any, mime: str = "application/json") -> str:
    """Return the element that holds a value for scripts."""
    return f'<script type="{escape(mime)}">{json_for_html(value)}</script>'


def json_for_html(value: Any) -> str:
    """Return JSON that ends no script, and is the same in HTML and XML."""
    try:
        text = json.dumps(value, allow_nan=False)
    except ValueError:
        text = json.dumps(_without_nan(value))
    # The other characters that scripts must not have, such as U+2028, are escapes already.
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _without_nan(value: Any) -> Any:
    """Return a value whose numbers JSON knows."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return value
