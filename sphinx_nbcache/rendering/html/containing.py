"""Contains the HTML of an output: whatever it says, the page around it stays as it is.

Browsers complete HTML as its standard says
(https://html.spec.whatwg.org/multipage/parsing.html). An output that leaves a comment open hides
the rest of its page; one that closes more than it opened ends the elements around it. So an output
is parsed alone, as a browser would, and written again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sphinx_nbcache.rendering.html.clean import is_clean
from sphinx_nbcache.rendering.html.writing import (
    LEFT_OUT,
    VOID,
    OpenTags,
    Writer,
    end_tag,
    has_formula,
    holds_text,
    may_stand_in,
    parsed,
    start_tag,
    written_text,
)
from sphinx_nbcache.results.terminal import printable

_MARK = "data-nbcache-end"
# The parser takes seconds for more, if they are not closed (justhtml 3.16).
_MOST_TAGS = 30_000
# Content that may interrupt HTML. The first ends a `math` that is open, the second does not.
_OTHER_CONTENT = ("<p>x</p>", "x")
# The elements in which an output may stand. A stray end tag would end one of them. A cell of a
# table protects those around it.
_AROUND = (
    "main article section aside header footer figure blockquote details center form fieldset"
    " ul li dl dd ol li div div".split(),
    "table tbody tr td ul li div".split(),
)
_NOT_AROUND_OTHERS = LEFT_OUT | {"template"}
# In contained HTML they end where it says. Dollars in their content are no formulas.
_CODE = re.compile(r"<(script|style)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)

Step = Callable[[str], str | None]
"""A function of this module that parses HTML, and writes it again."""
Kept = Callable[[Step, str], str | None]
"""Returns what a step makes of HTML; it may remember that, under [](rules)."""


def at_once(step: Step, html: str) -> str | None:
    """Take a step, and remember nothing."""
    return step(html)


def contained(html: str, kept: Kept = at_once) -> str | None:
    """Return HTML that shows the same as an output's HTML alone, and changes nothing else.

    Args:
        html: The HTML of an output.
        kept: Takes the step that is slow.

    Returns: The HTML; `None` if there is none of which this is sure.
    """
    html = printable(html)
    if is_clean(html):
        return html
    return kept(_completed, html) if html.count("<") <= _MOST_TAGS else None


def with_formulas(html: str, kept: Kept = at_once) -> str | None:
    """Mark formulas between dollars and the like for MathJax, as Jupyter shows them.

    Args:
        html: Contained HTML.
        kept: Takes the step that is slow.

    Returns: Contained HTML; `None` if there are no formulas in it.
    """
    if html.count("<") > _MOST_TAGS or not has_formula(html):
        return None
    # Scripts have many dollars.
    return kept(_marked, html) if has_formula(_CODE.sub("<br>", html)) else None


@cache
def rules() -> str:
    """Return a digest of what decides how HTML is written; empty if that is not known."""
    try:
        # The sources, so that no change of them can be forgotten. There may be none, if only
        # bytecode is installed.
        parts = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
        parts += [version(name).encode() for name in ("sphinx-nbcache", "justhtml")]
    except (OSError, PackageNotFoundError):
        return ""
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _completed(html: str) -> str | None:
    text = Writer().write(parsed(html))
    return text if _is_whole(text) else None


def _marked(html: str) -> str | None:
    writer = Writer(formulas=True)
    text = writer.write(parsed(html))
    return text if writer.has_formulas and _is_whole(text) else None


def _is_whole(html: str) -> bool:
    """Tell whether what follows HTML stands behind it, and not inside or outside of it."""
    return all(_is_whole_in(names, html) for names in _AROUND)


def _is_whole_in(names: Sequence[str], html: str) -> bool:
    around = "".join(f"<{name}>" for name in names)
    node = parsed(f"{around}{html}<i {_MARK}></i>")
    for name in (*names, "i"):
        children = node.children or [node]
        node = children[-1]
        if node.name != name:
            return False
    return _MARK in (node.attrs or ())


def as_xhtml(html: str) -> str:
    """Return HTML as well-formed XML, for EPUB (https://www.w3.org/TR/epub-33/#sec-xhtml)."""
    return Writer(xml=True).write(parsed(printable(html)))


def contained_pieces(pieces: Sequence[str], *, xml: bool = False) -> list[str]:
    """Contain HTML that other content interrupts, such as that of Markdown.

    Args:
        pieces: The pieces of HTML with the same parent, in order.
        xml: Whether they become XHTML.

    Returns: The pieces, which together close what they open, and nothing else.
    """
    open_tags = OpenTags()
    written = []
    is_interrupted = False
    for piece in pieces:
        html = printable(piece)
        if open_tags or not _is_complete(html):
            is_interrupted = True
            written.append("".join(_balanced(html, open_tags, xml=xml)))
        elif xml:
            written.append(as_xhtml(html))
        else:
            written.append(contained(html) or "")
    if written:
        written[-1] += "".join(end_tag(name, xml=xml) for name in open_tags.close_all())
    # Some elements end others, such as a `li` one that has a `div` in it. Their end tags would then
    # end the elements around the output.
    if is_interrupted and not xml and not _is_whole_around(written):
        return [_text_of(piece) for piece in pieces]
    return written


def _is_whole_around(pieces: Sequence[str]) -> bool:
    return all(_is_whole(other.join(["", *pieces, ""])) for other in _OTHER_CONTENT)


def _text_of(html: str) -> str:
    texts = (value for kind, value in _events(printable(html)) if kind == "text")
    return written_text("".join(texts), "div", xml=False)


def _is_complete(html: str) -> bool:
    open_tags = OpenTags()
    for kind, value in _events(html):
        if kind == "start" and value[0] not in VOID:
            open_tags.open(value[0])
        elif kind == "end" and not open_tags.close(value):
            return False
    return not open_tags


def _balanced(html: str, open_tags: OpenTags, *, xml: bool) -> Iterator[str]:
    """Write a piece of HTML, and note what it leaves open."""
    for kind, value in _events(html):
        if kind == "text":
            yield written_text(value, open_tags.innermost, xml=xml)
        elif kind == "start" and value[0] not in _NOT_AROUND_OTHERS:
            name, attributes = value
            if may_stand_in(name, is_in_select="select" in open_tags):
                if name not in VOID:
                    open_tags.open(name)
                yield start_tag(name, attributes, xml=xml)
        elif kind == "end":
            yield from (end_tag(name, xml=xml) for name in open_tags.close(value))


def _events(html: str) -> Iterator[tuple[str, Any]]:
    """Yield the tags and texts of HTML; elements whose content is text end within it."""
    from justhtml import stream

    text_in = ""
    for kind, value in stream(html):
        if text_in and kind != "text":
            yield "end", text_in
            is_end = (kind, value) == ("end", text_in)
            text_in = ""
            if is_end:
                continue
        if kind == "start" and holds_text(str(value[0])):
            text_in = str(value[0])
        # Whether its content is text depends on the browser.
        if text_in != "noscript":
            yield kind, value
    if text_in:
        yield "end", text_in
