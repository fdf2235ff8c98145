"""A cheap test for HTML that needs no parser, such as a table of pandas."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sphinx_nbcache.rendering.html.writing import VOID, OpenTags

# Every tag has one of these names and is closed in its place, and attributes are quoted or plain
# words. Tables may not stand directly in tables: a browser would close the outer one.
_FLOW = frozenset(
    "div span p b i em strong u s small sub sup code pre kbd samp var a img br hr ul ol li dl dt dd"
    " h1 h2 h3 h4 h5 h6 blockquote section article header footer figure figcaption details summary"
    " center font label button style script".split()
)
_TABLE_PARENTS: Mapping[str, frozenset[str]] = {
    "thead": frozenset({"table"}),
    "tbody": frozenset({"table"}),
    "tfoot": frozenset({"table"}),
    "caption": frozenset({"table"}),
    "tr": frozenset({"thead", "tbody", "tfoot", "table"}),
    "th": frozenset({"tr"}),
    "td": frozenset({"tr"}),
}
_HOLDS_ROWS = frozenset({"table", "thead", "tbody", "tfoot", "tr"})
_TAG = re.compile(
    r"<(?:/(?P<end>[a-z][a-z0-9]*)\s*"
    r"|(?P<start>[a-z][a-z0-9]*)"
    r"(?P<attributes>(?:\s+[a-zA-Z][\w:.-]*(?:\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*'|[\w.#%/:-]+))?)*)"
    r"\s*(?P<slash>/?))>",
    re.ASCII,
)
_RAW_END = {name: re.compile(rf"</{name}\s*>", re.IGNORECASE) for name in ("script", "style")}
# A `p` ends before each of these, so that its own end tag would begin an empty paragraph.
_PHRASING = frozenset(
    "span b i em strong u s small sub sup code kbd samp var a img br font".split()
)
# They may not contain themselves: a browser ends the outer one.
_NOT_NESTED = frozenset({"a", "button", "p"})


def is_clean(html: str) -> bool:
    """Tell whether simple HTML, such as a table of pandas, is complete. It may be so if not."""
    position = 0
    open_tags = OpenTags()
    while (start := html.find("<", position)) >= 0:
        tag = _TAG.match(html, start)
        if tag is None:
            return False
        position = tag.end()
        if name := tag["end"]:
            if open_tags.close(name) != [name]:
                return False
            continue
        name = tag["start"]
        if not _may_stand(name, open_tags):
            return False
        if name in _RAW_END:
            end = _RAW_END[name].search(html, position)
            # A comment in a script may hide its end.
            if end is None or "<!--" in html[position : end.start()] or tag["slash"]:
                return False
            position = end.end()
        elif name not in VOID:
            if tag["slash"]:
                return False
            open_tags.open(name)
    return not open_tags


def _may_stand(name: str, open_tags: OpenTags) -> bool:
    parent = open_tags.innermost
    if name in _TABLE_PARENTS:
        return parent in _TABLE_PARENTS[name]
    if name == "table":
        return parent not in _HOLDS_ROWS and "p" not in open_tags
    if name not in _FLOW or (name in _NOT_NESTED and name in open_tags):
        return False
    # Browsers move anything else in front of the table.
    if parent in _HOLDS_ROWS:
        return name in ("style", "script")
    return name in _PHRASING or "p" not in open_tags
