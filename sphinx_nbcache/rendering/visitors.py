"""How builders write the nodes of this package."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from sphinx_nbcache.rendering.nodes import AnsiBlock, HiddenBlock

_OTHER_FORMATS = ("latex", "text", "man", "texinfo")


def register_nodes(app: Sphinx) -> None:
    """Tell Sphinx how each builder writes the nodes of this package."""
    shown: dict[str, Any] = dict.fromkeys(_OTHER_FORMATS, (_nothing, _nothing))
    app.add_node(HiddenBlock, html=(_open_hidden, _close_hidden), **shown)
    # Other writers find `visit_literal_block` through the class that it derives from.
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
    translator.body.append(start + '<div class="highlight"><pre><span></span>')


def _close_ansi(translator: Any, _node: AnsiBlock) -> None:
    translator.body.append("\n</pre></div>\n</div>\n")
