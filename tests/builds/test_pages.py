"""What pages show, in every builder."""

from __future__ import annotations

import re

import pytest
from support import Book, code_cell

pytestmark = pytest.mark.kernel

RICH = """%%
from IPython.display import HTML, SVG, Latex, Markdown, Math, display
display(HTML("<b class='mine'>bold</b>"))
display(Markdown("# A heading\\n\\nsome *emphasis* and `{code}`"))
display(Math("x^2"))
display(Latex("words and $y$"))
display(SVG('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'))
display({"text/plain": "plain form", "application/x-unheard-of": "1"}, raw=True)
"""
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5E"
    "rkJggg=="
)


def classes_of(page: str) -> set[str]:
    return {name for value in re.findall(r'class="([^"]*)"', page) for name in value.split()}


def test_each_kind_of_output_has_its_best_form_in_html(book: Book) -> None:
    book.index("rich")
    book.myst("rich.md", RICH)
    built = book.build()
    assert built.warnings == ""
    page = book.page("rich")
    assert "<b class='mine'>bold</b>" in page
    assert '<p class="rubric">A heading</p>' in page
    assert "some <em>emphasis</em>" in page
    assert "x^2" in page
    assert ".svg" in page
    assert "plain form" in page
    assert "IPython.core.display" not in page
    names = "cell cell_input cell_output output text_html text_markdown text_latex text_plain"
    assert classes_of(page) >= set(names.split())


def test_streams_and_tracebacks_keep_their_colours(book: Book) -> None:
    book.index("colours")
    code = r"%%\nimport sys; print('\x1b[31mred\x1b[0m plain'); print('bad', file=sys.stderr)"
    book.myst("colours.md", code.replace(r"%%\n", "%%\n"))
    book.build()
    page = book.page("colours")
    assert '<span class="ansi-red-fg">red</span> plain' in page
    assert classes_of(page) >= {"stream", "stderr"}


def test_images_are_written_once_and_tables_of_pandas_are_html(book: Book) -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("matplotlib")
    book.index("plot")
    plot = "%%\nimport matplotlib.pyplot as plt\nplt.plot([1, 3, 2]);"
    book.myst("plot.md", plot, plot, "%%\nimport pandas as pd\npd.DataFrame({'column': [1, 2]})")
    assert book.build().warnings == ""
    page = book.page("plot")
    assert len(set(re.findall(r'src="(_images/[^"]+\.png)"', page))) == 1
    assert page.count("_images/") == 2
    assert "<th>column</th>" in page
    image = re.search(r'src="(_images/[^"]+)"', page)
    assert image is not None
    assert (book.folder / "_build" / "html" / image[1]).stat().st_size > 1000


def test_hide_and_remove_tags(book: Book) -> None:
    book.index("tags")
    cells = {
        "hide-input": "shown 0",
        "hide-output": "shown 1",
        "hide-cell": "shown 2",
        "remove-input": "shown 3",
        "remove-output": "gone 4",
        "remove-cell": "gone 5",
        "remove_cell": "gone 6",
    }
    codes = [
        code_cell(f"print({text.split()[0]!r}, {text.split()[1]})  # source {tag}", tag)
        for tag, text in cells.items()
    ]
    streams = code_cell(
        "import sys; print('o' 'ut'); print('e' 'rr', file=sys.stderr)", "remove-stderr"
    )
    book.ipynb("tags.ipynb", *codes, streams)
    book.build()
    page = book.page("tags")
    for tag, text in cells.items():
        assert (f"<span></span>{text}\n" in page) == text.startswith("shown"), tag
    for tag in ("remove-input", "remove-cell", "remove_cell"):
        assert f"# source {tag}<" not in page
    for prompt in ("source", "output", "content"):
        assert f"Show code cell {prompt}</p>" in page
    assert classes_of(page) >= {"tag_hide-input", "above-input", "above-output", "hide"}
    assert "<span></span>out\n" in page
    assert "<span></span>err\n" not in page


@pytest.mark.parametrize(
    "unclosed",
    ["```python\ncode", "<!-- a comment", ":::{note}\nA note", "<script>", "<pre>\npreformatted"],
)
def test_an_unclosed_construct_ends_with_its_cell(book: Book, unclosed: str) -> None:
    book.conf("myst_enable_extensions = ['colon_fence']")
    book.index("note")
    book.ipynb("note.ipynb", unclosed, "%%\nprint('after', 'it')", "## A later heading")
    built = book.build()
    page = book.page("note")
    assert "<span></span>after it\n" in page
    assert "<h2>A later heading" in page
    for opened, closed in (("<!-- a", "-->"), ("<script>", "</script>"), ("<pre>\n", "</pre>")):
        if opened.strip() == unclosed.partition("\n")[0][: len(opened.strip())]:
            start = page.index(opened.strip(), page.index("<h1>"))
            assert start < page.index(closed, start) < page.index("after it")
    assert built.ran == ("note.ipynb",)


def test_cells_inside_other_blocks_are_run_and_shown_in_their_place(book: Book) -> None:
    book.index("nested")
    book.myst(
        "nested.md",
        "%%\nx = 1",
        ":::{admonition} Title\n\n```{code-cell}\nprint('inside', x)\n```\n:::",
        "- item\n\n  ```{code-cell}\n  :tags: [hide-input]\n  print('listed', x + 1)\n  ```",
        "````{code-block} md\n```{code-cell}\nprint('example')\n```\n````",
        "%%\nprint('last', x)",
    )
    built = book.build()
    assert built.warnings == ""
    page = book.page("nested")
    assert page.index("inside 1") < page.index("listed 2") < page.index("last 1")
    assert "<span></span>example\n" not in page
    book.build(builder="xml")
    tree = book.page("nested", "xml")
    assert tree.index("<admonition") < tree.index("inside 1") < tree.index("</admonition>")
    assert tree.index("<list_item") < tree.index("listed 2") < tree.index("</list_item>")


def test_a_code_cell_in_an_ordinary_page_is_shown_with_a_warning(book: Book) -> None:
    book.index("page")
    book.write("page.md", "# Page\n\n```{code-cell} python\nprint('hello')\n```\n")
    built = book.build()
    assert built.warnings.count("[nbcache.cell]") == 1
    assert "its front matter must name a kernelspec" in built.warnings
    assert "hello" in book.page("page")


def test_notebooks_of_jupyter_cache_and_myst_nb_kinds(book: Book) -> None:
    """Outputs that were stored by other tools: complex, older formats, texts."""
    stored = [
        {"output_type": "stream", "name": "stdout", "text": ["line 1\n", "line 2\n"]},
        {
            "output_type": "display_data",
            "metadata": {"image/png": {"width": 40}},
            "data": {"image/png": PNG, "text/plain": ["<Figure>"]},
        },
        {
            "output_type": "execute_result",
            "metadata": {},
            "execution_count": 1,
            "data": {
                "text/html": ["<table><tr><td>cell</td></tr></table>"],
                "text/plain": "a table",
            },
        },
        {
            "output_type": "error",
            "ename": "ValueError",
            "evalue": "bad",
            "traceback": ["\x1b[31mValueError\x1b[0m: bad"],
        },
    ]
    book.conf(execute="off")
    book.index("complex", "old")
    book.ipynb("complex.ipynb", code_cell("f()", outputs=stored, count=1))
    book.write(
        "old.ipynb",
        '{"metadata": {"name": ""}, "nbformat": 3, "nbformat_minor": 0, "worksheets": [{"cells": ['
        '{"cell_type": "heading", "level": 1, "source": "Old", "metadata": {}},'
        '{"cell_type": "code", "input": ["print(1)"], "language": "python", "metadata": {},'
        ' "collapsed": false, "prompt_number": 1, "outputs":'
        ' [{"output_type": "stream", "stream": "stdout", "text": ["from 2013"]}]}]}]}',
    )
    for builder, names in (
        ("html", ("line 2", "<td>cell</td>")),
        ("text", ("line 2", "a table")),
    ):
        assert book.build(builder=builder).warnings == ""
        for name in names:
            assert name in book.page("complex", builder)
        assert "bad" in book.page("complex", builder)
        assert "from 2013" in book.page("old", builder)
    page = book.page("complex")
    assert '<span class="ansi-red-fg">ValueError</span>: bad' in page
    assert re.search(r'width(="|: )40', page)


def test_attachments_of_markdown_cells_are_images(book: Book) -> None:
    book.index("note")
    cell = {
        "cell_type": "markdown",
        "source": "![picture](attachment:dot.png)",
        "attachments": {"dot.png": {"image/png": PNG}},
    }
    book.ipynb("note.ipynb", cell)
    assert book.build().warnings == ""
    assert 'alt="picture"' in book.page("note")
    assert book.build().read == (0, 0, 0)


def test_raw_cells_are_for_the_builders_that_they_name(book: Book) -> None:
    book.conf(execute="off")
    book.index("raw")
    raw = {"cell_type": "raw", "source": "<i>raw html</i>", "metadata": {"format": "text/html"}}
    latex = {"cell_type": "raw", "source": r"\raw", "metadata": {"raw_mimetype": "text/latex"}}
    book.ipynb("raw.ipynb", raw, latex, {"cell_type": "raw", "source": "nowhere"})
    book.build()
    page = book.page("raw")
    assert "<i>raw html</i>" in page
    assert r"\raw" not in page
    assert "nowhere" not in page


def test_page_metadata_and_the_kernel_are_known_to_themes(book: Book) -> None:
    book.conf(
        """
        def setup(app):
            def tell(app, pagename, template, context, doctree):
                if pagename == 'note':
                    print('META', context['meta'].get('author'), context['meta'].get('kernelspec'))
            app.connect('html-page-context', tell)
        """,
        execute="off",
    )
    book.index()
    book.myst("note.md", author="Ada", orphan=True)
    built = book.build()
    assert built.warnings == ""
    assert "META Ada {'name': 'python3'" in built.log


@pytest.mark.parametrize(
    "builder",
    "dirhtml singlehtml epub latex text man texinfo gettext xml linkcheck".split(),
)
def test_every_builder_writes_notebooks_and_the_report(book: Book, builder: str) -> None:
    book.conf(
        "version = copyright = epub_copyright = '1'\nman_pages = [('index', 'b', 'B', 'A', 1)]"
    )
    book.index(
        "rich", "nbcache-report", text="See :doc:`nbcache-report` and :ref:`nbcache-report`."
    )
    failing = RICH.replace("https", "http") + "\n1 / 0"
    book.myst("rich.md", failing)
    built = book.build(builder=builder)
    assert built.status == 0
    assert built.warnings.count("WARNING") == 1, built.warnings
    output = book.folder / "_build" / builder
    texts = "".join(
        path.read_text(encoding="utf-8", errors="replace")
        for path in output.rglob("*")
        if path.suffix in {".html", ".xhtml", ".tex", ".txt", ".texi", ".1", ".xml"}
    )
    if builder not in {"gettext", "linkcheck"}:
        assert "ZeroDivisionError" in texts
        assert "no earlier result" in " ".join(texts.split())
        assert "rich.md, cell 2" in " ".join(texts.split())


def test_one_reading_serves_html_and_latex(book: Book) -> None:
    book.index("rich")
    book.myst("rich.md", RICH)
    book.build()
    latex = book.build(builder="latex")
    assert latex.ran == ()
    assert latex.read == (0, 0, 0)
    (tex,) = (book.folder / "_build" / "latex").glob("*.tex")
    text = tex.read_text(encoding="utf-8")
    assert "x^2" in text
    assert "<b class='mine'>" not in text


def test_markdown_of_an_output_publishes_no_file_that_is_hidden_or_elsewhere(book: Book) -> None:
    """An output may come from a store that somebody else wrote to."""
    book.write(".git/config", "secret")
    book.write("plot.png", "picture")
    (book.folder.parent / "key.txt").write_text("secret")
    text = "![a](.git/config) [b](../key.txt) ![c](plot.png)"
    book.index("n")
    book.myst("n.md", f"%%\nfrom IPython.display import Markdown\nMarkdown({text!r})")
    built = book.build()
    assert "n.md" in built.warnings
    assert "it is not published" in built.warnings
    published = [path for path in (book.folder / "_build" / "html").rglob("*") if path.is_file()]
    assert [path.name for path in published if path.read_bytes() == b"secret"] == []
    assert "plot.png" in [path.name for path in published]
