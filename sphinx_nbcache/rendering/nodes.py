"""The nodes of this package besides docutils' own, how builders write them, and their context."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from sphinx_nbcache.notices import Topic
from sphinx_nbcache.results.terminal import pieces

Warn = Callable[[Topic, str], None]
_OTHER_FORMATS = ("latex", "text", "man", "texinfo")
# Newlines at the end, between which colours may be reset.
_LAST_NEWLINES = re.compile(r"\n((?:\x1b\[[\d;:]*m)*)\n*\Z")


@dataclass(frozen=True, slots=True)
class Context:
    """The surroundings of one output.

    Attributes:
        document: The document that is being read.
        images: Where image files are kept.
        image_uri: Returns the URI of such a file.
        warn: Issues a warning about the current cell.
        metadata: The output's metadata for the current MIME type.
        plain: The output's `text/plain` form, if it has one.
    """

    document: nodes.document
    images: Path
    image_uri: Callable[[Path], str]
    warn: Warn
    metadata: Mapping[str, Any] = field(default_factory=dict)
    plain: str = ""


class AnsiBlock(nodes.literal_block):
    """Literal text with coloured parts: its children are texts and inline nodes.

    For all builders but HTML it is a literal block like any other.
    """


class HiddenBlock(nodes.General, nodes.Element):
    """Content that readers can unfold in HTML; other builders show it as if it were not hidden.

    Attributes: `what` (`content`, `source`, `output` or `outputs`) names it in the prompt, and
    `classes` say where it stands (`above-input`, `above-output`), as in MyST-NB.
    """


class OutputForms(nodes.container):
    """One output in all forms that can be shown: each child is an [](OutputForm)."""


class OutputForm(nodes.container):
    """One form of an output, with its MIME type in the attribute `mime`."""


def register_nodes(app: Sphinx) -> None:
    """Tell Sphinx how each builder writes the nodes of this package."""
    shown: dict[str, Any] = dict.fromkeys(_OTHER_FORMATS, (_nothing, _nothing))
    app.add_node(HiddenBlock, html=(_open_hidden, _close_hidden), **shown)
    # Other writers find `visit_literal_block` through the base class, because `SphinxTranslator`
    # goes through the classes of a node (sphinx/util/docutils.py). HiddenBlock has no such base:
    # a writer without a visitor for it would end the build.
    app.add_node(AnsiBlock, html=(_open_ansi, _close_ansi))


def _nothing(_translator: Any, _node: nodes.Element) -> None:
    """Show the children only."""


def _open_hidden(translator: Any, node: HiddenBlock) -> None:
    classes = " ".join(["admonition", "hide", *node["classes"]])
    prompts = "".join(
        f'<p class="{state} admonition-title">{verb} code cell {node["what"]}</p>'
        for state, verb in (("collapsed", "Show"), ("expanded", "Hide"))
    )
    translator.body.append(
        f'<details class="{classes}">\n'
        f'<summary aria-label="Toggle hidden content">\n{prompts}\n</summary>\n'
    )


def _close_hidden(translator: Any, _node: HiddenBlock) -> None:
    translator.body.append("</details>\n")


def _open_ansi(translator: Any, node: AnsiBlock) -> None:
    """Write the markup that the highlighter would write around the text."""
    highlight = f"highlight-{node['language']} notranslate"
    start = translator.starttag(node, "div", "", CLASS=highlight)
    # The empty span is that of Pygments: without it, HTML parsers drop a first line break in `pre`
    # (pygments/formatters/html.py).
    translator.body.append(start + '<div class="highlight"><pre><span></span>')


def _close_ansi(translator: Any, _node: AnsiBlock) -> None:
    translator.body.append("\n</pre></div>\n</div>\n")


def ansi_block(text: str, classes: Sequence[str]) -> nodes.literal_block:
    """Return the block that shows a text with its colours."""
    # A line break at the end of a stream would be an empty line in the block.
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
