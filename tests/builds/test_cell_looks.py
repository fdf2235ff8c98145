"""How cells look: options, and what notebooks and cells say instead; no change runs a notebook."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from support import Book

PICTURE = (
    "from IPython.display import SVG, display\n"
    'display(SVG(\'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>\'))'
)
FIGURE = f"""
```{{code-cell}}
:mystnb:
:  figure:
:    caption: |
:      A *caption*.
:
:      Its legend.
:    name: fig-one
:  image:
:    width: 60%
:    alt: a square
:    classes: shadow
{PICTURE}
```
"""
TABLE = """
```{code-cell}
---
nbcache:
  table:
    caption: Rows and columns
    name: tab-one
---
from IPython.display import HTML
HTML("<table><tr><td>cell</td></tr></table>")
```
"""
REFERENCES = """
See {numref}`fig-one`, {ref}`fig-one`, [](#fig-one), {numref}`tab-one`.
"""


@pytest.fixture
def figures(book: Book) -> Book:
    """Return a book with a figure and a table that are referred to."""
    book.conf("numfig = True")
    book.myst("one.md", FIGURE, TABLE, REFERENCES)
    book.write("two.md", "# Two\n\n{numref}`fig-one` of another page.\n")
    book.index("one", "two")
    return book


def test_outputs_become_numbered_figures_that_can_be_referred_to(figures: Book) -> None:
    built = figures.build()
    assert (built.status, built.warnings) == (0, "")
    page = figures.page("one")
    figure = re.search(r'<figure class="align-default" id="fig-one">.*?</figure>', page, re.DOTALL)
    assert figure is not None
    html = figure[0]
    assert 'alt="a square"' in html
    assert "width: 60%" in html
    assert "shadow" in html
    caption = re.search(r"<figcaption>\s*<p>.*?</figcaption>", html, re.DOTALL)
    assert caption is not None
    assert 'Fig. 1 </span><span class="caption-text">A <em>caption</em>.' in caption[0]
    assert html.index("<img") < html.index("<figcaption>") < html.index("Its legend.")
    assert page.count(">Fig. 1</span></a>") == 1
    assert '<span class="std std-ref">A caption.</span>' in page
    table = re.search(r'<figure class="align-default" id="tab-one">.*?</figure>', page, re.DOTALL)
    assert table is not None
    assert table[0].index("Table 1 ") < table[0].index("<td>cell</td>")
    assert ">Table 1</span></a>" in page
    assert ">Fig. 1</span></a>" in figures.page("two")


@pytest.mark.parametrize("builder", ["latex", "epub", "text", "singlehtml", "man", "texinfo"])
def test_figures_and_their_numbers_are_in_every_builder(figures: Book, builder: str) -> None:
    built = figures.build(builder=builder)
    assert built.status == 0
    assert "undefined label" not in built.warnings
    folder = figures.folder / "_build" / builder
    shown = "\n".join(
        path.read_text(encoding="utf-8")
        for suffix in ("*.tex", "*.xhtml", "*.txt", "*.html", "*.1", "*.texi")
        for path in sorted(folder.glob(suffix))
    )
    assert "Rows and columns" in shown
    if builder == "latex":
        assert re.search(
            r"\\begin\{figure\}.*?\\caption\{A \\sphinxstyleemphasis", shown, re.DOTALL
        )
        assert re.search(r"\\begin\{table\}.*?\\caption\{Rows and columns\}", shown, re.DOTALL)
    if builder == "epub":
        for path in folder.glob("*.xhtml"):
            ET.parse(path)


def test_a_figure_has_its_name_and_number_when_its_notebook_fails(book: Book) -> None:
    book.conf("numfig = True")
    failing = FIGURE.replace(PICTURE, "1 / 0")
    book.myst("one.md", failing, "See {numref}`fig-one`.")
    book.index("one")
    built = book.build()
    assert "undefined label" not in built.warnings
    assert "ZeroDivisionError" in book.page("one")
    assert ">Fig. 1</span></a>" in book.page("one")


def test_each_rich_output_of_a_cell_is_a_figure_and_plain_text_is_not(book: Book) -> None:
    book.conf("numfig = True")
    book.myst("one.md", FIGURE.replace(PICTURE, f"{PICTURE}\n{PICTURE}\n[1]"))
    book.index("one")
    assert book.build().warnings == ""
    page = book.page("one")
    assert re.findall(r"Fig\. \d", page) == ["Fig. 1", "Fig. 2"]
    assert page.count('id="fig-one"') == 1


LOOKS = {
    "number_source_lines": (True, '<span class="linenos">'),
    "remove_code_source": (True, ""),
    "scroll_outputs": (True, "config_scroll_outputs"),
    "prompts": (True, '<p class="nbcache-prompt">[{}]:</p>'),
    "text_lexer": ("json", "highlight-json"),
    "markdown": ("myst", 'class="admonition note"'),
}
NOTE = "from IPython.display import Markdown\nMarkdown('```{note}\\nhello\\n```')"


@pytest.mark.parametrize("name", LOOKS)
@pytest.mark.parametrize("place", ["project", "notebook", "cell", "myst-nb cell"])
def test_a_look_counts_in_the_project_a_notebook_and_a_cell(
    book: Book, name: str, place: str
) -> None:
    value, shown = LOOKS[name]
    key = "markdown_format" if (name, place) == ("markdown", "myst-nb cell") else name
    if name == "prompts" and place == "myst-nb cell":
        pytest.skip("MyST-NB has no prompts")
    code = NOTE if name == "markdown" else 'print("{}")'
    section = "mystnb" if place == "myst-nb cell" else "nbcache"
    options = f"---\n{section}:\n  {key}: {value}\n---\n" if "cell" in place else ""
    metadata: dict[str, Any] = {"nbcache": {key: value}} if place == "notebook" else {}
    option: dict[str, Any] = {name: value}
    book.conf(**(option if place == "project" else {}))
    book.myst("one.md", f"```{{code-cell}}\n{options}{code}\n```", **metadata)
    book.index("one")
    assert book.build().warnings == ""
    page = book.page("one")
    assert shown.format(2) in page
    if name == "remove_code_source":
        # The other cell is the one that counts runs.
        assert page.count("cell_input") == ("cell" in place)
    # It changes no result.
    book.conf(**({} if place == "project" else option))
    assert book.build().ran == ()


ANOTHER_FORMAT = '''
from docutils import nodes
from docutils.io import StringOutput
from sphinx.builders.text import TextBuilder
from sphinx.util.docutils import SphinxTranslator


class Translator(SphinxTranslator):
    """Writes the names of docutils' own nodes, as a builder of another package; no others."""

    def __init__(self, document, builder):
        super().__init__(document, builder)
        self.body = ""

    def dispatch_visit(self, node):
        assert node.__class__.__module__.startswith(("docutils", "sphinx.")), node
        self.body += f"<{node.__class__.__name__} {node.get('uri', '')}>" if isinstance(
            node, nodes.Element) else str(node)

    def dispatch_departure(self, node):
        pass


class Builder(TextBuilder):
    name, format = "other", "other"

    def write_doc(self, docname, doctree):
        translator = Translator(doctree, self)
        doctree.walkabout(translator)
        (self.outdir / f"{docname}.txt").write_text(translator.body)


def setup(app):
    app.add_builder(Builder)
'''


def test_a_builder_of_another_package_gets_images_and_only_nodes_that_it_knows(
    book: Book,
) -> None:
    book.write("other_format.py", ANOTHER_FORMAT)
    path = str(book.folder)
    book.conf(f"import sys; sys.path.insert(0, {path!r}); extensions.append('other_format')")
    coloured = '%%print("\\x1b[31mred\\x1b[0m plain")'
    hidden = "```{code-cell}\n:tags: [hide-cell]\n1 + 1\n```"
    formulas = "%%from IPython.display import HTML\nHTML('<b>$a$</b>')"
    book.myst("one.md", FIGURE, TABLE, coloured, hidden, formulas)
    book.index("one")
    built = book.build(builder="other")
    assert built.status == 0, built.warnings
    text = (book.folder / "_build" / "other" / "one.txt").read_text()
    assert re.search(r"<figure ><image [^>]*\.svg><caption >A <emphasis >caption", text)
    assert "red plain" in text


SHOWN_SVG = {
    "output_type": "display_data",
    "metadata": {},
    "data": {"image/svg+xml": '<svg xmlns="http://www.w3.org/2000/svg"/>', "text/plain": "p"},
}


def shown_cell(*outputs: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    """Return a cell that shows these outputs without being run."""
    cell = {"cell_type": "code", "source": "x", "outputs": list(outputs), "execution_count": 1}
    return {**cell, "metadata": metadata}


def text_of(mime: str, text: str, **metadata: Any) -> dict[str, Any]:
    """Return an output with one form."""
    return {"output_type": "display_data", "metadata": metadata, "data": {mime: text}}


def test_a_figure_of_the_notebook_is_around_each_rich_output_only(book: Book) -> None:
    book.conf("numfig = True", execute="off")
    stream = {"output_type": "stream", "name": "stdout", "text": "s"}
    cells = [shown_cell(), shown_cell(stream), shown_cell(SHOWN_SVG), shown_cell(SHOWN_SVG)]
    book.ipynb("one.ipynb", "# One", *cells, counts=False, nbcache={"figure": {"caption": "C"}})
    book.index("one")
    assert book.build().warnings == ""
    assert re.findall(r"Fig\. \d", book.page("one")) == ["Fig. 1", "Fig. 2"]


FIGURE_A = {"figure": {"caption": "A", "name": "fig-a"}}
MISTAKES: list[tuple[list[dict[str, Any]], str]] = [
    (
        [shown_cell(SHOWN_SVG, nbcache=FIGURE_A), shown_cell(SHOWN_SVG, nbcache=FIGURE_A)],
        "code cell 2: the name 'fig-a' of its figure is there already",
    ),
    (
        [shown_cell(SHOWN_SVG, nbcache={"figure": {"caption": "$$a$$ (eqq)\n\nlegend"}})],
        "the caption of its figure must begin with a paragraph",
    ),
    ([shown_cell(SHOWN_SVG, nbcache={"figure": {"caption": "- a\n- b"}})], "must begin with a par"),
    ([shown_cell(nbcache=5)], "nbcache = 5 is not a mapping"),
    ([shown_cell(mystnb={"figure": 1})], "mystnb.figure = 1 is not a dictionary"),
    (
        [shown_cell(nbcache={"figrue": {}})],
        "nothing reads `nbcache.figrue`; did you mean `figure`?",
    ),
    ([shown_cell(nbcache={"emphasize_lines": "1-99999999999"})], "a list of line numbers"),
    ([shown_cell(nbcache={"image": {"scale": 10**400}})], "a scale in per cent"),
    ([shown_cell(nbcache={"text_lexer": "nope"})], "text_lexer = 'nope' names no highlighter"),
    ([shown_cell(text_of("text/markdown", "*" * 500 + "a" + "*" * 500))], "nested too deeply"),
    ([shown_cell(text_of("text/latex", "$\\end{document}$"))], "does not end what it begins"),
    ([shown_cell(text_of("text/html", "<td>" * 40_000))], "would change the page around it"),
]


@pytest.mark.parametrize(("cells", "warning"), MISTAKES)
@pytest.mark.parametrize("builder", ["html", "latex"])
def test_a_mistake_in_a_cell_is_a_warning_with_its_cell(
    book: Book, cells: list[dict[str, Any]], warning: str, builder: str
) -> None:
    book.conf("numfig = True", execute="off")
    book.ipynb("one.ipynb", "# One", *cells, counts=False)
    book.index("one")
    built = book.build(builder=builder)
    assert built.status == 0
    assert warning in built.warnings
    assert "code cell" in built.warnings
    assert "\\end{document}$" not in built.warnings


def test_control_characters_in_tags_and_captions_reach_no_page(book: Book) -> None:
    book.conf(execute="off")
    figure = {"figure": {"caption": "a\x01b", "classes": ["c\x02"]}}
    cell = shown_cell(SHOWN_SVG, tags=["a\x00b", "x\ty"], nbcache=figure)
    book.ipynb("one.ipynb", "# One", cell, counts=False)
    book.write("two.md", "---\nkernelspec:\n  name: python3\n---\n# Two\x1b[31m\x0c\n")
    book.index("one", "two")
    assert book.build(builder="epub").status == 0
    for path in (book.folder / "_build" / "epub").glob("*.xhtml"):
        ET.parse(path)


def test_a_failure_is_visible_although_outputs_are_left_out(book: Book) -> None:
    book.conf(remove_code_outputs=True)
    book.myst("one.md", "%%print('out')", "%%1 / 0")
    book.index("one")
    book.build()
    page = book.page("one")
    assert "ZeroDivisionError" in page
    assert ">out" not in page


def test_the_section_in_the_words_of_myst_nb_may_have_another_name(book: Book) -> None:
    book.conf(metadata_key="render")
    cell = "```{code-cell}\n:render:\n:  image:\n:    alt: named\n" + PICTURE + "\n```"
    book.myst("one.md", cell, render={"number_source_lines": True})
    book.index("one")
    assert book.build().warnings == ""
    assert 'alt="named"' in book.page("one")
    assert 'class="linenos"' in book.page("one")
