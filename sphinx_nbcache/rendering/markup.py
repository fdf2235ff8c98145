"""Outputs that are markup: HTML, Markdown and LaTeX."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils import new_document
from myst_parser.config.main import MdParserConfig
from myst_parser.mdit_to_docutils.sphinx_ import SphinxRenderer
from myst_parser.parsers.mdit import create_md_parser
from sphinx import addnodes
from sphinx.environment import BuildEnvironment

from sphinx_nbcache.notices import Topic
from sphinx_nbcache.rendering.nodes import Context

LATEX_RAW = "text/latex; raw"
"""LaTeX that is not a formula: only LaTeX builders can show it."""

# An output is CommonMark: MyST syntax in it is text.
_MYST_SYNTAX = [
    "front_matter",
    "myst_role",
    "myst_target",
    "myst_block_break",
    "myst_line_comment",
]
_DELIMITED = re.compile(
    r"\s*(?:\$\$(?P<dd>(?:[^$]|\\\$)+)\$\$|\$(?P<d>(?:[^$]|\\\$)+)\$|\\\[(?P<b>.+)\\\]"
    r"|\\\((?P<p>.+)\\\))\s*",
    re.DOTALL,
)
_MATHS = re.compile(
    r"\s*\\begin\{(?:equation|align|gather|multline|eqnarray|alignat|flalign)\*?\}.*", re.DOTALL
)


def render_html(value: Any, _context: Context) -> list[nodes.Node]:
    """Return HTML unchanged: outputs are the author's content."""
    return [nodes.raw(str(value), str(value), format="html", classes=["output", "text_html"])]


def render_markdown(value: Any, context: Context) -> list[nodes.Node]:
    """Return Markdown, parsed as a document of its own: CommonMark, tables and `$` maths.

    Its definitions (link references, headings) stay local. It can refer only to files in the source
    directory.
    """
    # A document of its own: names of targets and footnotes of outputs would otherwise collide with
    # those of the page.
    parsed = new_document(context.document["source"], context.document.settings)
    # Warnings then go through Sphinx's log, with the page as their place.
    parsed.reporter = context.document.reporter
    config = MdParserConfig(enable_extensions={"dollarmath", "amsmath"})
    parser = create_md_parser(config, SphinxRenderer)
    # Which of these rules exist depends on the version of myst-parser: the others are ignored.
    parser.disable(_MYST_SYNTAX, ignoreInvalid=True)
    parser.options["document"] = parsed
    env: dict[str, Any] = {"match_titles": False}
    tokens = parser.parse(str(value), env)
    for token in tokens:
        if token.type == "fence":
            token.info = token.info.replace("{", "").replace("}", "")  # code, never a directive
    parser.renderer.render(tokens, parser.options, env)
    _leave_out_private_files(parsed, context)
    content = nodes.container(classes=["output", "text_markdown"])
    content += [_without_section(child) for child in parsed.children]
    return [content]


def render_latex(value: Any, context: Context) -> list[nodes.Node]:
    """Return LaTeX as a formula, or as text with formulas."""
    text = str(value)
    if match := _DELIMITED.fullmatch(text):
        return [_formula(next(group for group in match.groups() if group is not None))]
    if _MATHS.fullmatch(text):
        return [_formula(text, nowrap=True)]
    # MathJax would show any other environment, such as a table, as an error
    # (https://docs.mathjax.org/en/latest/input/tex/differences.html).
    return [] if "\\begin{" in text else render_markdown(text, context)


def render_raw_latex(value: Any, _context: Context) -> list[nodes.Node]:
    """Return LaTeX that is not a formula, such as a table, for LaTeX builders."""
    text = str(value)
    if _DELIMITED.fullmatch(text) or _MATHS.fullmatch(text) or "\\begin{" not in text:
        return []
    return [nodes.raw(text, text, format="latex", classes=["output", "text_latex"])]


def _leave_out_private_files(parsed: nodes.document, context: Context) -> None:
    """Replace images and downloads that would publish a file from elsewhere by their text.

    Sphinx copies every file that a page refers to into the site. An untrusted output could name
    `../.git/config` or a key in the home directory.
    """
    left_out = [
        (node, name)
        for node, name in _files_in(parsed)
        if not is_public(name, context.document.settings.env)
    ]
    for node, _ in left_out:
        # A download keeps its words, an image its alternative text.
        node.replace_self(node.children or nodes.Text(node.get("alt", "")))
    if left_out:
        context.warn(
            Topic.MIME,
            f"an output refers to {left_out[0][1]!r:.100}, which is hidden or lies outside of the"
            " source directory; it is not published",
        )


def _files_in(parsed: nodes.document) -> Iterator[tuple[nodes.Element, str]]:
    """Yield the nodes whose files Sphinx would copy, and the name of the file in each."""
    for image in parsed.findall(nodes.image):
        # Sphinx knows `data:` URLs of images only; a download of that name is a file.
        if not image["uri"].startswith("data:"):
            yield image, image["uri"]
    for download in parsed.findall(addnodes.download_reference):
        yield download, download["reftarget"]


def is_public(name: str, env: BuildEnvironment) -> bool:
    """Tell whether an output may refer to a file: it is part of the sources, and not hidden.

    Args:
        name: A URL, or a path as Sphinx takes it.
        env: The environment, at the page that shows the output.
    """
    # As in `sphinx.environment.collectors.asset`, Sphinx 9.0.
    if "://" in name:
        return True
    if name.endswith(".*"):
        return False  # a glob for Sphinx, never meant in Markdown
    try:
        # Resolved, because a link in the sources may lead out of them.
        real = Path(env.relfn2path(name, env.docname)[1]).resolve()
        inner = real.relative_to(Path(env.srcdir).resolve())
    except (OSError, ValueError, RuntimeError):
        return False
    return not any(part.startswith(".") for part in inner.parts)


def _formula(text: str, *, nowrap: bool = False) -> nodes.math_block:
    text = text.strip()
    # Sphinx's writers read `number` without a default.
    formula = nodes.math_block(text, text, number=None, classes=["output", "text_latex"])
    # Sphinx 8.2 renamed the attribute (https://github.com/sphinx-doc/sphinx/pull/13264); older
    # writers read the first, newer ones the second.
    formula["nowrap"] = formula["no-wrap"] = nowrap
    return formula


def _without_section(node: nodes.Node) -> nodes.Node:
    """Turn a section into a rubric and its content: outputs add nothing to the toctree."""
    if not isinstance(node, nodes.section):
        return node
    block = nodes.container()
    for child in node.children:
        if isinstance(child, nodes.title):
            block += nodes.rubric(child.rawsource, "", *child.children)
        else:
            block += _without_section(child)
    return block
