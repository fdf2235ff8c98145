"""HTML elements that are also well-formed XML. Text that is not [](Html) is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape

from sphinx_nbcache.rendering.terminal import pieces

_VOID = frozenset({"input", "line", "meta", "path", "rect"})
# Characters that neither HTML nor XML can contain, not even escaped.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class Html(str):
    """A text that is HTML."""

    __slots__ = ()


Content = str | Iterable[str]
Attribute = str | int | float | bool | None


def element(name: str, /, *content: Content, **attributes: Attribute) -> Html:
    """Return an element.

    Args:
        name: Its name.
        content: Texts, which are escaped, and [](Html), which is not; or iterables of both.
        attributes: Its attributes: `_` stands for `-`, and a trailing one is dropped. `True` gives
            an attribute with an empty value; `None` and `False` give none.
    """
    start = _start(name, attributes)
    inner = "".join(map(_flat, content))
    if name in _VOID and not inner:
        return Html(f"<{start} />")
    return Html(f"<{start}>{inner}</{name}>")


def around(name: str, pieces: Iterable[Html], /, **attributes: Attribute) -> Iterator[Html]:
    """Yield an element as [](element) returns it, in pieces, if it is too large for one string.

    Args:
        name: Its name.
        pieces: Its content, in pieces.
        attributes: Its attributes.
    """
    yield Html(f"<{_start(name, attributes)}>")
    yield from pieces
    yield Html(f"</{name}>")


def _start(name: str, attributes: Mapping[str, Attribute]) -> str:
    start = name
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        text = "" if value is True else escape(_UNPRINTABLE.sub(_REPLACEMENT, str(value)))
        start += f' {key.rstrip("_").replace("_", "-")}="{text}"'
    return start


def joined(separator: str, parts: Iterable[str]) -> Html:
    """Return parts with a separator between them."""
    return Html(_flat(separator).join(map(_flat, parts)))


def coloured(text: str) -> Html:
    """Return a text with its terminal colours, as spans with classes."""
    return Html(
        "".join(
            element("span", piece, class_=" ".join(classes)) if classes else _flat(piece)
            for classes, piece in pieces(text)
        )
    )


def block(content: Content, kind: str) -> Html:
    """Return a block of preformatted text, as Sphinx writes it, which the keyboard can scroll."""
    pre = element("pre", content, tabindex=0)
    return element(
        "div", element("div", pre, class_="highlight"), class_=f"{kind} highlight-none notranslate"
    )


def _flat(content: Content) -> str:
    if isinstance(content, Html):
        return content
    if isinstance(content, str):
        return escape(_UNPRINTABLE.sub(_REPLACEMENT, content), quote=False)
    return "".join(map(_flat, content))
