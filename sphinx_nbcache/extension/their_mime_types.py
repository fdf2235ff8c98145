"""The order in which MyST-NB takes the forms of outputs, as our option `nbcache_mime_priority`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_Entry = tuple[str, str, int | None]

_ENTRIES = ([str, str, int], [str, str, type(None)])
_EXPECTED = "a list of (builder, MIME type, number)"
_ALL = "*"
# The number of `text/html`: what has a smaller one comes before all that a page shows.
_FIRST = 30
# `base_render_priority` in `myst_nb/core/render.py`, 1.4: in steps of ten, from ten on.
_HTML = (
    "application/vnd.jupyter.widget-view+json application/javascript text/html image/svg+xml"
    " image/png image/gif image/jpeg text/markdown text/latex text/plain"
).split()
_TEXT = "text/latex text/markdown text/plain".split()
_ORDERS: Mapping[str, Sequence[str]] = {
    "latex": ["application/pdf", "image/png", "image/jpeg", *_TEXT],
    "texinfo": ["image/png", "image/jpeg", "image/gif", *_TEXT],
    **dict.fromkeys(("text", "man", "gettext", "xml", "pseudoxml"), _TEXT),
}
# The builders, besides those for HTML, for which an entry for all builders is written out.
_WRITTEN_OUT = ("latex", "texinfo", "text", "man")


def mime_priority(overrides: Any) -> list[str] | dict[str, list[str]]:
    """Return the value of our option for one of `nb_mime_priority_overrides`.

    Raises:
        ValueError: It is none; the message says what is expected.
    """
    entries = _checked(overrides)
    numbers = [(number, mime) for builder, mime, number in entries if builder == _ALL]
    if len(numbers) == len(entries) and all(n is not None and n < _FIRST for n, _ in numbers):
        return [mime for _, mime in sorted((number or 0, mime) for number, mime in numbers)]
    builders = dict.fromkeys(builder for builder, _, _ in entries)
    if _ALL in builders:
        builders |= dict.fromkeys(_WRITTEN_OUT)
    orders = {builder: _order(builder, entries) for builder in builders}
    usual = orders.get(_ALL)
    return {b: order for b, order in orders.items() if b == _ALL or order != usual}


def former_priority(orders: Any) -> dict[str, list[str]]:
    """Return the value of our option for one of `nb_render_priority`, the former name.

    Raises:
        ValueError: It is none; the message says what is expected.
    """
    if not isinstance(orders, Mapping):
        raise ValueError("a dictionary from builder to MIME types")  # noqa: TRY004 (as in `values`)
    return {builder: [*mimes] for builder, mimes in orders.items()}


def _checked(overrides: Any) -> list[_Entry]:
    if not isinstance(overrides, list | tuple):
        raise ValueError(_EXPECTED)  # noqa: TRY004 (as in `values`)
    for entry in overrides:
        if not isinstance(entry, list | tuple) or [*map(type, entry)] not in _ENTRIES:
            raise ValueError(_EXPECTED)
    return [(builder, mime, number) for builder, mime, number in overrides]


def _order(builder: str, entries: Sequence[_Entry]) -> list[str]:
    """Return the types of a builder, up to the last one that an entry names."""
    order = _ORDERS.get(builder, _HTML)
    numbers: dict[str, int | None] = {mime: 10 * i for i, mime in enumerate(order, 1)}
    named = {}
    for wanted, mime, number in entries:
        if wanted in (builder, _ALL):
            named[mime] = numbers[mime] = number
    taken = sorted((number, mime) for mime, number in numbers.items() if number is not None)
    last = max((number for number in named.values() if number is not None), default=0)
    # Behind the last one, the order is that of this extension, which knows more types.
    first = [mime for number, mime in taken if number <= last]
    return first + [f"-{mime}" for mime, number in named.items() if number is None]
