"""Expressions in the text of a notebook, whose values the page shows: `` {eval}`x` ``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.colon_fence import colon_fence_plugin
from mdit_py_plugins.deflist import deflist_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.myst_blocks import myst_block_plugin
from mdit_py_plugins.myst_role import myst_role_plugin

from sphinx_nbcache.notebooks.myst import directive_of
from sphinx_nbcache.notebooks.notebook import SKIP_TAG, Notebook

# Role and directives, as in MyST-NB.
_NAMES = frozenset({"eval", "eval:any", "eval:figure"})
_LINE_BREAK = re.compile(r"[^\S\n]*\n\s*")
_SIGN = "{eval"
# Directives whose content is no Markdown.
_VERBATIM = frozenset(
    "code code-block sourcecode literalinclude parsed-literal highlight raw math eval-rst doctest"
    " testcode testoutput prompt mermaid graphviz digraph graph plantuml code-cell raw-cell".split()
)
_DEEPEST = 20


LEADING = -1
"""The position of expressions that stand before the first cell that is run."""


def expressions_after(notebook: Notebook) -> dict[int, tuple[str, ...]]:
    """Return the expressions in the text after each code cell.

    Keys are positions among the code cells that have code. An expression belongs to the last cell
    before it that is run.
    """
    found: dict[int, list[str]] = {}
    position, last = -1, LEADING
    for cell in notebook.cells:
        if cell.kind == "code" and cell.source.strip():
            position += 1
            last = last if SKIP_TAG in cell.tags else position
            # The captions of its figures stand below it.
            texts = list(_captions_of(cell.metadata))
        elif cell.kind == "markdown":
            texts = [cell.source]
        else:
            continue
        for text in texts:
            if _SIGN in text:
                found.setdefault(last, []).extend(expressions_in(text))
    return {position: tuple(texts) for position, texts in found.items() if texts}


def normal(expression: str) -> str:
    """Return an expression in one line, as it is compared and evaluated."""
    return _LINE_BREAK.sub(" ", expression.strip())


def _captions_of(metadata: Mapping[str, Any]) -> Iterator[str]:
    for section in metadata.values():
        for key in ("figure", "table"):
            options = section.get(key) if isinstance(section, Mapping) else None
            caption = options.get("caption") if isinstance(options, Mapping) else None
            if isinstance(caption, str):
                yield caption


def expressions_in(text: str, depth: int = 0) -> Iterator[str]:
    """Yield the expressions in Markdown, in the order of the text."""
    if depth > _DEEPEST:
        return
    for token in _parser().parse(text):
        yield from _in_directive(token, depth)
        for child in token.children or ():
            if child.type == "myst_role" and child.meta.get("name") in _NAMES:
                yield normal(child.content)


def _in_directive(token: Token, depth: int) -> Iterator[str]:
    name, argument = directive_of(token)
    if not name or name in _VERBATIM:
        return
    if name in _NAMES:
        yield normal(argument)
    elif _SIGN in argument:
        yield from expressions_in(argument, depth + 1)  # the title of an admonition
    if _SIGN in token.content:
        yield from expressions_in(token.content, depth + 1)


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark").enable("table").use(myst_role_plugin)
    parser.use(myst_block_plugin).use(footnote_plugin, inline=False, move_to_end=False)
    return parser.use(colon_fence_plugin).use(dollarmath_plugin).use(deflist_plugin)
