"""Outputs that are HTML or LaTeX."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from docutils import nodes

from sphinx_nbcache.notices import Topic
from sphinx_nbcache.rendering.html.containing import contained, with_formulas
from sphinx_nbcache.rendering.live.html import render_scripts
from sphinx_nbcache.rendering.markdown import render_markdown
from sphinx_nbcache.rendering.nodes import Context, HtmlWithFormulas, ansi_block
from sphinx_nbcache.results.terminal import printable

_MAY_LOAD = re.compile(r"<(?:script|link)\b|@import\b", re.IGNORECASE)
LATEX_RAW = "text/latex; raw"
"""LaTeX that is not a formula: only LaTeX builders can show it."""

_DELIMITED = re.compile(
    r"\s*(?:\$\$(?P<dd>(?:[^$]|\\\$)+)\$\$|\$(?P<d>(?:[^$]|\\\$)+)\$|\\\[(?P<b>.+)\\\]"
    r"|\\\((?P<p>.+)\\\))\s*",
    re.DOTALL,
)
_MATHS = re.compile(
    r"\s*\\begin\{(?:equation|align|gather|multline|eqnarray|alignat|flalign)\*?\}.*", re.DOTALL
)
# Escaped characters are none of them.
_COMMENT = re.compile(r"(?<!\\)((?:\\\\)*)%[^\n]*")
_DELIMITER = re.compile(r"(?<!\\)(?:\\\\)*(?:\$|\\[()\[\]])")
# Environments and groups; escaped characters and comments are neither.
_GROUP = re.compile(
    r"\\begin\s*\{(?P<begin>[^{}]*)\}|\\end\s*\{(?P<end>[^{}]*)\}|\\.|%[^\n]*"
    r"|(?P<brace>\{)|(?P<close>\})",
    re.DOTALL,
)


def render_html(value: Any, context: Context) -> list[nodes.Node]:
    """Return HTML, contained: outputs are the author's content, but not more than their place."""
    text = str(value)
    own = contained(text, context.kept)
    if own is None:
        context.warn(
            Topic.MIME, "an output has HTML that would change the page around it; its text is shown"
        )
        return [ansi_block(text, ["output", "text_html"])]
    if _MAY_LOAD.search(text) and (scripted := render_scripts(own)) is not None:
        return scripted
    if context.formulas and (marked := with_formulas(own, context.kept)) is not None:
        return [HtmlWithFormulas(marked, marked, format="html", classes=["output", "text_html"])]
    return [nodes.raw(own, own, format="html", classes=["output", "text_html"])]


def render_latex(value: Any, context: Context) -> list[nodes.Node]:
    """Return LaTeX as a formula, or as text with formulas."""
    text = printable(str(value))
    if not _is_balanced(text):
        context.warn(Topic.MIME, "an output has LaTeX that does not end what it begins")
        return []
    if match := _DELIMITED.fullmatch(text):
        return [_formula(_inside(match))]
    if _MATHS.fullmatch(text):
        return [_formula(text, nowrap=True)]
    # MathJax would show any other environment, such as a table, as an error
    # (https://docs.mathjax.org/en/latest/input/tex/differences.html).
    return [] if "\\begin{" in text else render_markdown(text, context)


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula without its delimiters.

    Attributes:
        text: Its LaTeX.
        is_display: Whether it brings an environment that stands alone, such as `align`.
    """

    text: str
    is_display: bool = False


def formula_in(text: str) -> Formula | None:
    """Return LaTeX as a formula; `None` if it is none, or would end its surroundings."""
    # A comment would hide the end of the formula.
    text = _COMMENT.sub(r"\1", printable(text))
    if not _is_balanced(text):
        return None
    match = _DELIMITED.fullmatch(text)
    inner = text if match is None else _inside(match)
    if _DELIMITER.search(inner) or _ends_with_backslash(inner):
        return None
    return Formula(inner.strip(), is_display=_MATHS.fullmatch(inner) is not None)


def _inside(delimited: re.Match[str]) -> str:
    return next(group for group in delimited.groups() if group is not None)


def _ends_with_backslash(text: str) -> bool:
    text = text.strip()
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


def render_raw_latex(value: Any, _context: Context) -> list[nodes.Node]:
    """Return LaTeX that is not a formula, such as a table, for LaTeX builders."""
    text = printable(str(value))
    if (
        not _is_balanced(text)
        or _DELIMITED.fullmatch(text)
        or _MATHS.fullmatch(text)
        or "\\begin{" not in text
    ):
        return []
    return [nodes.raw(text, text, format="latex", classes=["output", "text_latex"])]


def _is_balanced(text: str) -> bool:
    """Tell whether LaTeX closes what it opens, and nothing else: a document would end there."""
    open_groups: list[str] = []
    for match in _GROUP.finditer(text):
        if opened := match["begin"] or match["brace"]:
            open_groups.append(opened)
        elif closed := match["end"] or match["close"]:
            wanted = "{" if closed == "}" else closed
            if not open_groups or open_groups.pop() != wanted:
                return False
    return not open_groups


def _formula(text: str, *, nowrap: bool = False) -> nodes.math_block:
    text = text.strip()
    # Sphinx's writers read `number` without a default.
    formula = nodes.math_block(text, text, number=None, classes=["output", "text_latex"])
    # Sphinx 8.2 renamed the attribute (https://github.com/sphinx-doc/sphinx/pull/13264); older
    # writers read the first, newer ones the second.
    formula["nowrap"] = formula["no-wrap"] = nowrap
    return formula
