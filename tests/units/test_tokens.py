"""From cells to one stream of Markdown tokens."""

from __future__ import annotations

from typing import Any

import pytest
from markdown_it.token import Token
from myst_parser.config.main import MdParserConfig
from myst_parser.mdit_to_docutils.sphinx_ import SphinxRenderer
from myst_parser.parsers.mdit import create_md_parser

from sphinx_nbcache.extension.tokens import CODE_CELL_TOKEN, RAW_CELL_TOKEN, notebook_tokens
from sphinx_nbcache.notebooks.notebook import Cell, Notebook


def md(source: str, **more: Any) -> Cell:
    """Return a Markdown cell."""
    return Cell("markdown", source, **more)


def code(source: str, **more: Any) -> Cell:
    """Return a code cell."""
    return Cell("code", source, **more)


def tokens(*cells: Cell, **metadata: Any) -> list[Token]:
    """Return the tokens of a notebook."""
    parser = create_md_parser(MdParserConfig(enable_extensions={"colon_fence"}), SphinxRenderer)
    notebook = Notebook(metadata, cells)
    return notebook_tokens(parser, notebook, {}, lambda _cell, name: f"uri/{name}")


def children(found: list[Token], kind: str) -> list[Token]:
    """Return all inline tokens of a kind."""
    return [child for token in found for child in token.children or [] if child.type == kind]


def texts(found: list[Token]) -> list[str]:
    """Return the texts of the paragraphs and headings."""
    return [token.content for token in found if token.type == "inline"]


UNCLOSED = ["```python\nx", "~~~", ":::{note}\nx", "<!-- note", "<script>", "<pre>", "$$\nx", "> a"]


@pytest.mark.parametrize("unclosed", UNCLOSED)
def test_what_a_cell_leaves_open_ends_with_the_cell(unclosed: str) -> None:
    found = tokens(md(unclosed), code("x = 1"), md("# Title\n\nText."))
    assert texts(found)[-2:] == ["Title", "Text."]
    assert [token.content for token in found if token.type == CODE_CELL_TOKEN] == ["x = 1"]


@pytest.mark.parametrize(
    ("source", "closing"),
    [
        ("<!-- open", "-->"),
        ("<script>\nlet a;", "</script>"),
        ("<STYLE>", "</STYLE>"),
        ("<pre>\n</pre><textarea>", "</textarea>"),
        ("<!-- a --> <!--", "-->"),
        ("<!-- a -->", None),
        ("<div>", None),
        ("<script></script>", None),
        ("```html\n<script>\n```", None),
        ("Code: `<script>`", None),
    ],
)
def test_html_that_would_hide_the_rest_of_the_page_is_closed(
    source: str, closing: str | None
) -> None:
    found = tokens(md(source), md("# After"))
    added = [t.content.strip() for t in found if t.type == "html_block"][1:]
    assert [text for text in added if text] == ([closing] if closing else [])


def test_link_references_serve_other_cells() -> None:
    found = tokens(md("See [there][a]."), code("1"), md("[a]: https://example.org"))
    (link,) = children(found, "link_open")
    assert link.attrGet("href") == "https://example.org"


def test_footnotes_serve_other_cells() -> None:
    found = tokens(md("Text[^a]."), md("[^a]: The note."))
    assert len(children(found, "footnote_ref")) == 1


def test_lists_and_paragraphs_of_two_cells_stay_apart() -> None:
    found = tokens(md("- a"), md("- b"), md("one"), md("two"))
    kinds = [token.type for token in found]
    assert kinds.count("bullet_list_open") == 2
    assert texts(found)[-2:] == ["one", "two"]


def test_a_code_cell_knows_its_position_among_those_with_code() -> None:
    found = tokens(
        code("a"),
        code(" \n"),
        code("b", nested=True),
        md("text"),
        Cell("raw", "raw"),
        code("c"),
    )
    cells = [t for t in found if t.type == CODE_CELL_TOKEN]
    # The nested cell is placed by the Markdown around it, but counted; the blank one is neither.
    assert [(t.content, t.meta["position"]) for t in cells] == [("a", 0), ("c", 2)]
    assert [t.content for t in found if t.type == RAW_CELL_TOKEN] == ["raw"]


def test_tokens_have_the_lines_of_the_file() -> None:
    found = tokens(md("# T\n\nText.", line=10), code("x", line=20))
    lines = {t.type: t.map for t in found if t.map is not None}
    assert lines["heading_open"] == [9, 10]
    assert lines["paragraph_open"] == [11, 12]
    assert lines[CODE_CELL_TOKEN] == [19, 20]


@pytest.mark.parametrize("tag", ["remove-cell", "remove_cell"])
def test_a_removed_markdown_cell_leaves_nothing(tag: str) -> None:
    found = tokens(md("gone", metadata={"tags": [tag]}), md("here"))
    assert texts(found) == ["here"]


def test_the_pages_own_metadata_is_front_matter_and_that_of_tools_is_not() -> None:
    first, *_ = tokens(md("x"), title="T", kernelspec={"name": "a"}, jupytext={}, execution={})
    assert first.type == "front_matter"
    content: Any = first.content  # myst-parser takes a dictionary as well as text
    assert content == {"title": "T"}
    assert tokens(md("x"), kernelspec={})[0].type != "front_matter"


def test_attachments_are_found_by_name_in_their_own_cell() -> None:
    found = tokens(
        md("![a](attachment:a.png) ![b](b.png)", attachments={"a.png": {"image/png": "AAAA"}}),
        md("![a](attachment:a.png)"),
    )
    sources = [image.attrGet("src") for image in children(found, "image")]
    assert sources == ["uri/a.png", "b.png", "attachment:a.png"]


def test_an_empty_notebook_has_no_tokens() -> None:
    assert tokens() == []
    assert tokens(code("")) == []
