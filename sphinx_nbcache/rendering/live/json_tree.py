"""JSON as an output: a tree that folds without a script, and text for other builders."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from docutils import nodes

from sphinx_nbcache.rendering.nodes import Context
from sphinx_nbcache.text import counted, for_markup, shortened

JSON_MIME = "application/json"
JSON_TEXT = "application/json; text"
"""The same as text, for builders without HTML."""
_MOST_ITEMS = 5_000
_DEEPEST = 40
_LONGEST = 10_000
_MOST_TEXT = 100_000


def render_json(value: Any, context: Context) -> list[nodes.Node]:
    """Return JSON as a tree of HTML."""
    root = context.metadata.get("root", "root")
    is_open = context.metadata.get("expanded") is True
    left = [_MOST_ITEMS]
    html = "".join(_item(str(root), value, left, is_open=is_open))
    return [nodes.raw(html, html, format="html", classes=["output", "nbcache-json"])]


def render_json_text(value: Any, _context: Context) -> list[nodes.Node]:
    """Return JSON as text."""
    text = for_markup(json.dumps(value, indent=2, ensure_ascii=False))
    if len(text) > _MOST_TEXT:
        text = f"{text[:_MOST_TEXT]}\n…"
    return [nodes.literal_block(text, text, language="none", classes=["output", "nbcache-json"])]


def _item(key: str, value: Any, left: list[int], depth: int = 0, *, is_open: bool) -> Iterator[str]:
    name = f'<span class="nbcache-json-key">{_text(key)}</span>'
    if not isinstance(value, Mapping | list):
        yield f"{name}: {_leaf(value)}"
        return
    noun = "key" if isinstance(value, Mapping) else "item"
    brackets = "{}" if isinstance(value, Mapping) else "[]"
    size = f'<span class="nbcache-json-size">{brackets} {counted(len(value), noun)}</span>'
    if not value:
        yield f"{name}: {size}"
        return
    opened = ' open=""' if is_open else ""
    yield f"<details{opened}><summary>{name}: {size}</summary><ul>"
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
    shown = 0
    for inner, item in pairs:
        if left[0] <= 0 or depth >= _DEEPEST:
            break
        left[0] -= 1
        shown += 1
        yield "<li>"
        yield from _item(str(inner), item, left, depth + 1, is_open=is_open)
        yield "</li>"
    if shown < len(value):
        yield f"<li>… {len(value) - shown} more</li>"
    yield "</ul></details>"


def _leaf(value: Any) -> str:
    kind = "text" if isinstance(value, str) else "value"
    written = json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else f'"{value}"'
    return f'<span class="nbcache-json-{kind}">{_text(shortened(written, _LONGEST))}</span>'


def _text(text: str) -> str:
    return escape(for_markup(text))
