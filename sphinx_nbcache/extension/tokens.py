"""Turns a notebook's cells into one stream of Markdown tokens, and its code into messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from docutils import nodes
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.rules_core import block as block_rule
from markdown_it.token import Token
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.locale import init as load_catalog
from sphinx.util.i18n import docname_to_domain

from sphinx_nbcache.notebooks.notebook import Cell, Notebook
from sphinx_nbcache.rendering.cells import has_tag
from sphinx_nbcache.results.terminal import printable

CODE_CELL_TOKEN = "nbcache_code_cell"  # noqa: S105 (not a password)
RAW_CELL_TOKEN = "nbcache_raw_cell"  # noqa: S105 (not a password)
# Notebook metadata for tools, not for the page.
_TOOL_KEYS = frozenset(
    "kernelspec language_info jupytext jupyter widgets execution file_format mystnb nbcache"
    " nbsphinx varInspector toc toc-autonumbering vscode colab celltoolbar hide_input".split()
)
# Elements that a browser leaves only at their end tag, and that CommonMark takes for HTML blocks.
# The end conditions of HTML blocks: https://spec.commonmark.org/0.31.2/#html-blocks
_SWALLOWING = re.compile(r"<!--|<(script|style|textarea|pre|title)\b", re.IGNORECASE)

AttachmentUri = Callable[[Cell, str], str | None]
"""Returns the URI of an attachment's file, given a cell and the attachment's name."""
_TARGET = "literal-block"


def notebook_tokens(
    parser: MarkdownIt, notebook: Notebook, env: dict[str, Any], attachment_uri: AttachmentUri
) -> list[Token]:
    """Return the tokens of a whole notebook.

    Args:
        parser: The MyST parser.
        notebook: The notebook.
        env: markdown-it's environment, which collects references.
        attachment_uri: Returns the URIs of attachments of Markdown cells.
    """
    # Blocks are parsed for each cell, so that an unclosed fence ends with its cell; the rules after
    # that see all cells, so that a link or footnote may be defined in another one.
    rules = list(parser.core.ruler.getRules(""))
    split = rules.index(block_rule) + 1
    tokens = _front_matter(notebook.metadata)
    for position, cell in _shown_cells(notebook):
        tokens += _cell_tokens(parser, rules[:split], cell, position, env)
    state = StateCore("", parser, env)
    state.tokens = tokens
    for rule in rules[split:]:
        rule(state)
    _place_attachments(state.tokens, attachment_uri)
    return state.tokens


def _shown_cells(notebook: Notebook) -> Iterator[tuple[int, Cell]]:
    """Yield the cells that become tokens, and the position of each among those with code."""
    position = 0
    for cell in notebook.cells:
        has_code = cell.kind == "code" and bool(cell.source.strip())
        if not cell.nested and (has_code or cell.kind != "code"):
            yield position, cell
        position += has_code


def _front_matter(metadata: Mapping[str, Any]) -> list[Token]:
    """Return the part of a notebook's metadata for its page, as a front matter token."""
    page = {key: value for key, value in metadata.items() if key not in _TOOL_KEYS}
    if not page:
        return []
    token = Token("front_matter", "", 0, map=[0, 0])
    token.content = page  # type: ignore[assignment]  # myst-parser takes a dictionary as well
    return [token]


def _cell_tokens(
    parser: MarkdownIt,
    block_rules: list[Callable[[StateCore], None]],
    cell: Cell,
    position: int,
    env: dict[str, Any],
) -> list[Token]:
    line = max(cell.line - 1, 0)
    # Control characters cannot stand in XML, such as that of an EPUB.
    source = cell.source if cell.kind == "code" else printable(cell.source)
    if cell.kind == "markdown":
        if has_tag(cell.tags, "remove-cell"):
            return []
        state = StateCore(source, parser, env)
        for rule in block_rules:
            rule(state)
        for token in state.tokens:
            if token.map is not None:
                # Lines of a cell become lines of the file: warnings of myst-parser name them.
                token.map = [token.map[0] + line, token.map[1] + line]
            token.meta = {**token.meta, "cell": cell} if token.type == "inline" else token.meta
        return state.tokens + _closing_html(source, state.tokens, line)
    kind = CODE_CELL_TOKEN if cell.kind == "code" else RAW_CELL_TOKEN
    token = Token(kind, "", 0, content=source, map=[line, line + 1])
    token.meta = {"cell": cell, "position": position}
    return [token]


def _closing_html(source: str, tokens: list[Token], line: int) -> list[Token]:
    """Return the end of the HTML that a cell leaves open, if it would hide all that follows.

    An unclosed comment, script or style swallows the rest of the page in the browser. Other
    elements may well be closed in a later cell.
    """
    if not any(token.type == "html_block" for token in tokens):
        return []
    position, closing = 0, ""
    while match := _SWALLOWING.search(source, position):
        closing = "-->" if match[0] == "<!--" else f"</{match[1]}>"
        end = source.lower().find(closing.lower(), match.end())
        if end < 0:
            break
        position, closing = end + len(closing), ""
    if not closing:
        return []
    return [Token("html_block", "", 0, content=f"{closing}\n", map=[line, line + 1])]


def _place_attachments(tokens: list[Token], attachment_uri: AttachmentUri) -> None:
    """Replace `attachment:name` in images with the URI of the attachment's file."""
    for token in tokens:
        # Removed again: other plugins' rules and renderers get the tokens as markdown-it made them.
        cell: Cell | None = token.meta.pop("cell", None) if token.type == "inline" else None
        if cell is None or not cell.attachments:
            continue
        for child in token.children or []:
            source = str(child.attrGet("src") or "") if child.type == "image" else ""
            name = source.removeprefix("attachment:")
            if name != source and (uri := attachment_uri(cell, name)) is not None:
                child.attrSet("src", uri)


FROM_NOTEBOOK = "nbcache_from_notebook"
"""The attribute of images outside of cells that a run has made."""


def offer_to_translators(app: Sphinx, doctree: nodes.document) -> None:
    """Reduce the code cells of a page to the texts for translators: for the gettext builder."""
    for image in doctree.findall(nodes.image):
        if FROM_NOTEBOOK in image:
            image["alt"] = ""  # translators would get it
    is_asked = _TARGET in app.config.gettext_additional_targets
    for cell in list(_cells(doctree)):
        blocks = list(cell.findall(nodes.literal_block)) if is_asked else []
        for block in blocks:
            block["translatable"] = True
            block.source, block.line = cell.source, cell.line
            # The gettext builder ignores nodes without a `uid`; it sets the same value for
            # toctrees.
            block.uid = ""  # type: ignore[attr-defined]
        # Without the nodes around them, such as images, whose alternative texts would be offered.
        cell.children.clear()
        cell.extend(blocks)


def show_translated(env: BuildEnvironment, cell: nodes.Element) -> None:
    """Replace the texts of a filled cell with their translations, if `conf.py` asks for it."""
    config = env.config
    if _TARGET not in config.gettext_additional_targets or not config.language:
        return
    folders = [Path(env.srcdir) / folder for folder in config.locale_dirs]
    domain = docname_to_domain(env.docname, config.gettext_compact)
    catalog, is_found = load_catalog(folders, config.language, domain)
    for block in cell.findall(nodes.literal_block) if is_found else ():
        # Sphinx's own transform (`Locale`) runs before `doctree-read`, when the cells are still
        # placeholders (https://www.sphinx-doc.org/en/master/usage/advanced/intl.html).
        text = block.rawsource or block.astext()
        if text and (translated := catalog.gettext(text)) != text:
            # Sphinx highlights `rawsource` only if it equals the text of the node.
            block.rawsource = translated
            block.children = []
            block.append(nodes.Text(translated))


def _cells(doctree: nodes.document) -> Iterator[nodes.container]:
    for container in doctree.findall(nodes.container):
        if container.get("nb_element") == "cell_code":
            yield container
