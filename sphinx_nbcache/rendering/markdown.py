"""Outputs that are Markdown: parsed as documents of their own."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from typing import Any

from docutils import nodes
from docutils.utils import Reporter, new_document
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode
from myst_parser.config.main import MdParserConfig
from myst_parser.mdit_to_docutils.sphinx_ import SphinxRenderer
from myst_parser.parsers.mdit import create_md_parser

from sphinx_nbcache.notices import Topic
from sphinx_nbcache.rendering.completing import (
    about_output,
    complete,
    contain_html,
    leave_out_files,
)
from sphinx_nbcache.rendering.nodes import Context
from sphinx_nbcache.results.terminal import printable

COMMONMARK, GFM, MYST = "commonmark", "gfm", "myst"
# Syntax of MyST that is text in the other dialects.
_MYST_SYNTAX = [
    "front_matter",
    "myst_role",
    "myst_target",
    "myst_block_break",
    "myst_line_comment",
]
# Jupyter shows formulas in Markdown, whatever its dialect.
_FORMULAS = frozenset({"dollarmath", "amsmath"})
_OF_GFM = frozenset({"strikethrough", "tasklist"})


def render_markdown(value: Any, context: Context) -> list[nodes.Node]:
    """Return Markdown in the dialect of the cell, with formulas.

    Its definitions (link references, footnotes, targets) stay local. It can refer only to files in
    the source directory.
    """
    text = printable(str(value))
    # A document of its own: names of targets and footnotes of outputs would otherwise collide with
    # those of the page.
    settings = copy(context.document.settings)
    # Only in MyST: an untrusted output must not show a file of the machine.
    settings.file_insertion_enabled = False
    parsed = new_document(context.document["source"], settings)
    parsed.reporter = _Problems(context).reporter(parsed["source"])
    is_myst = context.looks.markdown == MYST
    config = _config(context)
    parser = create_md_parser(config, _OutputRenderer)
    renderer = parser.renderer
    assert isinstance(renderer, _OutputRenderer)
    renderer.context = context
    if not is_myst:
        # Which of these rules exist depends on the version of myst-parser: the others are ignored.
        parser.disable(_MYST_SYNTAX, ignoreInvalid=True)
        if context.looks.markdown == COMMONMARK:
            parser.disable(["table"])
    parser.options["document"] = parsed
    env: dict[str, Any] = {"match_titles": False}
    tokens = parser.parse(text, env)
    if not is_myst:
        _make_text(tokens)
    metadata = context.document.settings.env.metadata[context.document.settings.env.docname]
    kept = dict(metadata)
    renderer.render(tokens, parser.options, env)
    # The renderer counts the words of an output as those of the page.
    metadata.clear()
    metadata.update(kept)
    leave_out_files(parsed, context)
    complete(parsed, context)
    content = nodes.container(classes=["output", "text_markdown"])
    content += parsed.children
    contain_html(content)
    return [content]


def _config(context: Context) -> MdParserConfig:
    if context.looks.markdown == MYST:
        config: MdParserConfig = context.document.settings.env.myst_config
        extensions = {*config.enable_extensions, *_FORMULAS}
        return config.copy(enable_extensions=extensions, dmath_double_inline=True, html_meta={})
    of_dialect = _OF_GFM if context.looks.markdown == GFM else frozenset()
    return MdParserConfig(
        enable_extensions={*_FORMULAS, *of_dialect},
        dmath_double_inline=True,
        dmath_allow_labels=False,
    )


def _make_text(tokens: Iterable[Token]) -> None:
    """Take the meaning from the syntax of directives: they are code."""
    for token in tokens:
        if token.type == "fence":
            token.info = token.info.replace("{", "").replace("}", "")


class _OutputRenderer(SphinxRenderer):
    """myst-parser's renderer for text that adds nothing to the structure of the page."""

    context: Context

    def render_heading(self, token: SyntaxTreeNode) -> None:
        """Render a heading as a rubric, whatever its level."""
        rubric = nodes.rubric(token.content, "")
        self.add_line_and_source_path(rubric, token)
        with self.current_node_context(rubric, append=True):
            self.render_children(token)

    def render_s(self, token: SyntaxTreeNode) -> None:
        """Render struck-out text: as HTML, it would be missing in other builders."""
        node = nodes.inline(classes=["ansi-strike"])
        with self.current_node_context(node, append=True):
            self.render_children(token)

    def create_warning(self, message: str, *_: Any, **_where: Any) -> None:
        """Issue a warning about the cell: a line of the output is none of the file."""
        self.context.warn(Topic.MARKDOWN, about_output(message))


class _Problems:
    """Receives what docutils reports about an output."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def reporter(self, source: str) -> Reporter:
        settings = self._context.document.settings
        level = max(settings.report_level, Reporter.WARNING_LEVEL)
        return Reporter(source, level, Reporter.SEVERE_LEVEL + 1, stream=self)

    def write(self, text: str) -> None:
        """Take a line of the report, in docutils' form `SOURCE:LINE: (WARNING/2) TEXT`."""
        message = text.partition(") ")[2] or text
        if message.strip():
            self._context.warn(Topic.MARKDOWN, about_output(message.strip()))
