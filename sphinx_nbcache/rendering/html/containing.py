"""Contains the HTML of an output: whatever it says, the page around it stays as it is.

Browsers complete HTML as its standard says
(https://html.spec.whatwg.org/multipage/parsing.html). An output that leaves a comment open hides
the rest of its page; one that closes more than it opened ends the elements around it. So an output
is parsed alone, as a browser would, and written again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class ContainedHtml:
    """HTML that cannot change the page around it.

    Attributes:
        text: The HTML.
        has_formulas: Whether it contains formulas for MathJax.
    """

    text: str
    has_formulas: bool = False


def contained(html: str, *, formulas: bool = False) -> ContainedHtml | None:
    """Return HTML that shows the same as an output's HTML alone, and changes nothing else.

    Args:
        html: The HTML of an output.
        formulas: Whether formulas between dollars and the like are marked for MathJax, as Jupyter
            shows them.

    Returns: The HTML; `None` if there is none of which this is sure.
    """
    html = printable(html)
    formulas = formulas and html.count("<") <= _MOST_TAGS and has_formula(html)
    if not formulas and is_clean(html):
        return ContainedHtml(html)
    if html.count("<") > _MOST_TAGS:
        return None
    writer = Writer(formulas=formulas)
    text = writer.write(parsed(html))
    return ContainedHtml(text, writer.has_formulas) if _is_whole(text) else None


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
            own = contained(html)
            written.append("" if own is None else own.text)
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
