"""The nodes of this package besides docutils' own, how builders write them, and their context."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from docutils import nodes
from sphinx.application import Sphinx

from sphinx_nbcache.looks import Looks
from sphinx_nbcache.notices import Topic
from sphinx_nbcache.rendering.html.containing import Kept, at_once
from sphinx_nbcache.results.terminal import is_plain, pieces, printable
from sphinx_nbcache.text import for_markup

_OTHER_FORMATS = ("latex", "text", "man", "texinfo")
# Newlines at the end, between which colours may be reset.
_LAST_NEWLINES = re.compile(r"\n((?:\x1b\[[\d;:]*m)*)\n*\Z")


class Warn(Protocol):
    """Issues a warning or an error about the current cell."""

    def __call__(self, topic: Topic, text: str, *, is_error: bool = False) -> None:
        """Issue it."""


_MOST_PIECES = 20_000


@dataclass(frozen=True, slots=True)
class Context:
    """The surroundings of one output.

    Attributes:
        document: The document that is being read.
        images: Where image files are kept.
        image_uri: Returns the URI of such a file.
        warn: Issues a warning about the current cell.
        is_lexer: Tells whether there is a highlighter of a name.
        line: The line of the cell in its file.
        looks: How the cell looks.
        formulas: Whether formulas in HTML are shown.
        metadata: The output's metadata for the current MIME type.
        plain: The output's `text/plain` form, if it has one.
        kept: Remembers the HTML of outputs that was parsed.
        widgets: The models of the notebook's widgets, by their ids.
    """

    document: nodes.document
    images: Path
    image_uri: Callable[[Path], str]
    warn: Warn
    is_lexer: Callable[[str], bool] = field(default=lambda _name: True)
    line: int | None = None
    looks: Looks = field(default_factory=Looks)
    formulas: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)
    plain: str = ""
    widgets: Mapping[str, Any] = field(default_factory=dict)
    kept: Kept = at_once


class AnsiBlock(nodes.literal_block):
    """Literal text with coloured parts: its children are texts and inline nodes.

    For all builders but HTML it is a literal block like any other.
    """


class HiddenBlock(nodes.General, nodes.Element):
    """Content that readers can unfold in HTML; other builders show it as if it were not hidden.

    Attributes: `show` and `hide` are the words of its prompts, and `classes` say where it stands
    (`above-input`, `above-output`), as in MyST-NB.
    """


class ScrollBox(nodes.container):
    """A box that may scroll: readers reach it with the keyboard in HTML, to scroll it.

    Chromium and Firefox do so with any box that scrolls; Safari does not. For all builders but HTML
    it is a container like any other.
    """


class OutputFigure(nodes.figure):
    """A figure around an output, with a caption before or after it.

    For all builders but HTML it is a figure like any other. Docutils' writer of HTML expects the
    image first and the caption last.
    """


class OutputTable(OutputFigure):
    """The same around a table: it is numbered among tables."""


class OutputCaption(nodes.caption):
    """The caption of such a figure."""


class PastedValue(nodes.Inline, nodes.Element):
    """The place of a value of a notebook. It never reaches a stored doctree.

    Its attribute `place` is a [](sphinx_nbcache.rendering.pasting.Place).
    """


class HtmlWithFormulas(nodes.raw):
    """HTML in which MathJax shows formulas: its page loads MathJax."""


class OutputForms(nodes.container):
    """One output in all forms that can be shown: each child is an [](OutputForm)."""


class OutputForm(nodes.container):
    """One form of an output, with its MIME type in the attribute `mime`."""


BY_OTHERS = "by_others"
"""The attribute of an [](OutputForm) that a renderer of another package made."""
FORMATS_WITH_OUR_NODES = frozenset({"html", "latex", "man", "texinfo", "text"})
"""The formats whose writers in Sphinx find a visitor for the nodes of this package."""
_PLAIN: Mapping[type[nodes.Node], type[nodes.Element]] = {
    AnsiBlock: nodes.literal_block,
    HtmlWithFormulas: nodes.raw,
    OutputCaption: nodes.caption,
    OutputFigure: nodes.figure,
    OutputTable: nodes.figure,
    ScrollBox: nodes.container,
}


def register_nodes(app: Sphinx) -> None:
    """Tell Sphinx how each builder writes the nodes of this package."""
    shown: dict[str, Any] = dict.fromkeys(_OTHER_FORMATS, (_nothing, _nothing))
    app.add_node(HiddenBlock, html=(_open_hidden, _close_hidden), **shown)
    # Other writers find `visit_literal_block` through the base class, because `SphinxTranslator`
    # goes through the classes of a node (sphinx/util/docutils.py). HiddenBlock has no such base:
    # a writer without a visitor for it would end the build.
    app.add_node(OutputCaption, html=(_open_caption, _close_caption))
    figure = _open_figure, _close_figure
    app.add_enumerable_node(OutputFigure, "figure", html=figure)
    table = _open_latex_table, _close_latex_table
    app.add_enumerable_node(OutputTable, "table", html=figure, latex=table)
    app.add_node(AnsiBlock, html=(_open_ansi, _close_ansi))
    app.add_node(ScrollBox, html=(_open_box, _close_box))
    app.add_node(HtmlWithFormulas, html=(_show_formulas, None))


def use_plain_nodes(document: nodes.document) -> None:
    """Replace the nodes of this package by those of docutils, which any writer knows."""
    for node in list(document.findall(nodes.Element)):
        if isinstance(node, HiddenBlock):
            node.parent.replace(node, node.children)
        elif (plain := _PLAIN.get(type(node))) is not None:
            # The coloured parts of a text become one.
            is_text = isinstance(node, AnsiBlock)
            content = [nodes.Text(node.astext())] if is_text else node.children
            made = plain(node.astext() if is_text else node.rawsource)
            made += content
            made.update_all_atts(node)
            made.source, made.line = node.source, node.line
            if (uid := getattr(node, "uid", None)) is not None:
                made.uid = uid  # type: ignore[attr-defined]  # the gettext builder needs it
            node.parent.replace(node, made)


def _nothing(_translator: Any, _node: nodes.Element) -> None:
    """Show the children only."""


def _show_formulas(translator: Any, node: HtmlWithFormulas) -> None:
    # As `visit_math` of the translator does (sphinx/writers/html5.py, Sphinx 8.2 and later).
    # Earlier versions ask the domain: see `extension/fill.py`.
    translator._has_maths_elements = True  # noqa: SLF001
    translator.visit_raw(node)


def _open_hidden(translator: Any, node: HiddenBlock) -> None:
    classes = " ".join(["admonition", "hide", *node["classes"]])
    prompts = "".join(
        f'<p class="{state} admonition-title">{escape(words)}</p>'
        for state, words in (("collapsed", node["show"]), ("expanded", node["hide"]))
    )
    translator.body.append(f'<details class="{classes}">\n<summary>\n{prompts}\n</summary>\n')


def _close_hidden(translator: Any, _node: HiddenBlock) -> None:
    translator.body.append("</details>\n")


def _open_box(translator: Any, node: ScrollBox) -> None:
    translator.body.append(
        translator.starttag(node, "div", CLASS="docutils container", tabindex="0")
    )


def _close_box(translator: Any, _node: ScrollBox) -> None:
    translator.body.append("</div>\n")


def _open_figure(translator: Any, node: OutputFigure) -> None:
    translator.visit_figure(node)


def _close_figure(translator: Any, _node: OutputFigure) -> None:
    translator.body.append("</figure>\n")


def _open_caption(translator: Any, node: OutputCaption) -> None:
    translator.visit_caption(node)


def _close_caption(translator: Any, node: OutputCaption) -> None:
    translator.depart_caption(node)
    translator.body.append("</figcaption>\n")


def _open_latex_table(translator: Any, _node: OutputTable) -> None:
    # As for figures: in a box, such as an admonition, nothing may float
    # (`visit_figure` in sphinx/writers/latex.py, 9.0).
    place = "H" if getattr(translator, "no_latex_floats", 0) else "htbp"
    translator.body.append(f"\n\\begin{{table}}[{place}]\n\\centering\n\\capstart\n")


def _close_latex_table(translator: Any, _node: OutputTable) -> None:
    translator.body.append("\n\\end{table}\n")


def _open_ansi(translator: Any, node: AnsiBlock) -> None:
    """Write the markup that the highlighter would write around the text."""
    highlight = f"highlight-{node['language']} notranslate"
    start = translator.starttag(node, "div", "", CLASS=highlight)
    # The empty span is that of Pygments: without it, HTML parsers drop a first line break in `pre`
    # (pygments/formatters/html.py).
    translator.body.append(start + '<div class="highlight"><pre><span></span>')


def _close_ansi(translator: Any, _node: AnsiBlock) -> None:
    translator.body.append("\n</pre></div>\n</div>\n")


def text_block(text: str, classes: Sequence[str], lexer: str = "") -> nodes.literal_block:
    """Return the block that shows a text, with its own colours or those of a lexer."""
    if not lexer:
        return ansi_block(text, classes)
    shown = printable(text).rstrip("\n")
    return nodes.literal_block(shown, shown, classes=list(classes), language=lexer)


def ansi_block(text: str, classes: Sequence[str]) -> nodes.literal_block:
    """Return the block that shows a text with its colours."""
    # A line break at the end of a stream would be an empty line in the block.
    text = _LAST_NEWLINES.sub(r"\1", text)
    parts = iter([([], text)]) if is_plain(text) else pieces(text)
    shown = [(styles, for_markup(part)) for styles, part in islice(parts, _MOST_PIECES)]
    # A page with a node for each of a million coloured pieces would take minutes.
    if rest := "".join(for_markup(part) for _, part in parts):
        shown.append(([], rest))
    if not any(styles for styles, _ in shown):
        text = "".join(piece for _, piece in shown)
        return nodes.literal_block(text, text, classes=list(classes), language="none")
    block = AnsiBlock("", "", classes=list(classes), language="none")
    for styles, piece in shown:
        block += nodes.inline(piece, piece, classes=styles) if styles else nodes.Text(piece)
    return block
