"""Text with terminal colours as docutils nodes: see [](sphinx_nbcache.rendering.terminal)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from docutils import nodes

from sphinx_nbcache.rendering.nodes import AnsiBlock
from sphinx_nbcache.rendering.terminal import pieces

# Newlines at the end, between which colours may be reset.
_LAST_NEWLINES = re.compile(r"\n((?:\x1b\[[\d;:]*m)*)\n*\Z")


def ansi_block(text: str, classes: Sequence[str]) -> nodes.literal_block:
    """Return the block that shows a text with its colours."""
    text = _LAST_NEWLINES.sub(r"\1", _printable(text))
    if "\x1b" not in text:
        return nodes.literal_block(text, text, classes=list(classes), language="none")
    block = AnsiBlock("", "", classes=list(classes), language="none")
    for styles, piece in pieces(text):
        block += nodes.inline(piece, piece, classes=styles) if styles else nodes.Text(piece)
    return block


def _printable(text: str) -> str:
    """Replace NUL, which docutils uses to mark escaped characters."""
    return text.replace("\x00", "\ufffd")
