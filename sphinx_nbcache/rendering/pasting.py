"""Values in running text: an output without its block, a number in a format, a formula."""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Mapping, Sequence
from typing import Any

from docutils import nodes

from sphinx_nbcache.rendering.bundle import render_bundle
from sphinx_nbcache.rendering.nodes import Context, OutputForm, OutputForms
from sphinx_nbcache.results.terminal import printable, strip_ansi

# `np.float64(0.5)`, as NumPy 2 writes its numbers.
_CALL = re.compile(r"[A-Za-z_][\w.]*\((?P<value>.*)\)", re.DOTALL)
_INTEGER, _FLOAT = frozenset("bcdoxX"), frozenset("eEfFgGn%")
# A literal that is longer is no number or text for a sentence, and takes long to read.
_LONGEST = 10_000
_WIDEST = 1_000
_WIDTH = re.compile(r"\d+")
# Elements that end a paragraph in HTML
# (https://html.spec.whatwg.org/multipage/grouping-content.html#the-p-element).
_BLOCKS = re.compile(
    r"<(?:address|article|aside|blockquote|center|details|dialog|dir|div|dl|fieldset|figcaption"
    r"|figure|footer|form|h[1-6]|header|hgroup|hr|listing|main|menu|nav|ol|p|plaintext|pre|search"
    r"|section|table|ul|xmp)[\s/>]",
    re.IGNORECASE,
)


def plain_text(text: str, spec: str = "") -> str:
    """Return the plain text form of a value as it stands in a sentence.

    Texts lose their quotes, and numbers of NumPy their type. With a format, the value is converted
    as in MyST-NB (`format_plain_text` in `myst_nb/core/variables.py`, 1.4).

    Args:
        text: The plain text form, such as `3.14159`.
        spec: A format of Python's `format`, such as `.2f`; empty for none.

    Raises:
        ValueError: The value does not have the type that the format needs.
    """
    text = printable(strip_ansi(text))
    value, words = _value_of(text)
    if not spec:
        return words
    if any(int(number) > _WIDEST for number in _WIDTH.findall(spec)):
        raise ValueError(f"a width or precision above {_WIDEST}")
    try:
        if spec[-1] == "s":
            value = words
        elif spec[-1] in _INTEGER:
            value = int(value)
        elif spec[-1] in _FLOAT:
            value = float(value)
        return format(value, spec)
    except (TypeError, OverflowError) as error:
        raise ValueError(str(error)) from None


def _value_of(text: str) -> tuple[Any, str]:
    """Return the literal that a text is, and its words; for any other text the text itself."""
    match = _CALL.fullmatch(text)
    for literal in (text, match["value"] if match is not None else ""):
        if not 0 < len(literal) <= _LONGEST:
            continue
        try:
            value = literal_eval(literal.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            continue
        # Numbers have the digits that the program wrote: `0.10` is not `0.1`.
        return value, value if isinstance(value, str) else literal.strip()
    return text, text


def paste_inline(output: Mapping[str, Any], context: Context) -> list[nodes.Node]:
    """Return an output in the forms that can stand in a sentence."""
    kept: list[nodes.Node] = []
    for forms in render_bundle(output, context):
        assert isinstance(forms, OutputForms)
        for form in list(forms.findall(OutputForm)):
            content = _without_block(form.children)
            if content is None:
                forms.remove(form)
                continue
            form.children = []
            form.extend(content)
        if forms.children:
            kept.append(forms)
    return kept


def is_block(html: nodes.raw) -> bool:
    """Tell whether HTML has elements that cannot stand in a paragraph."""
    return _BLOCKS.search(html.astext()) is not None


def _without_block(content: Sequence[nodes.Node]) -> list[nodes.Node] | None:
    """Return the content of a form for a sentence; `None` if it needs a block of its own."""
    if len(content) != 1:
        return None
    (node,) = content
    if isinstance(node, nodes.image) or (isinstance(node, nodes.raw) and not is_block(node)):
        return [node]
    if isinstance(node, nodes.literal_block):
        text = node.astext()
        return [nodes.inline(text, text, classes=node["classes"])]
    if isinstance(node, nodes.math_block):
        return [nodes.math(node.rawsource, node.astext(), classes=node["classes"])]
    if isinstance(node, nodes.paragraph):
        return list(node.children)
    return _without_block(node.children) if isinstance(node, nodes.container) else None
