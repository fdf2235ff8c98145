"""Pages that are read again take the HTML of their outputs from the store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support import Book

# Paragraphs that are not closed: no cheap test tells that this is complete.
TREE = "<details><summary>Model</summary>{}</details>".format(
    "".join(f"<p>step {n} of {{}}" for n in range(50))
)
COUNTING = """
import sphinx_nbcache.rendering.html.containing as containing

real = containing.parsed

def parsed(html):
    with open({path!r}, "a") as file:
        file.write("x")
    return real(html)

containing.parsed = parsed
"""


class Counted:
    """A book whose builds count how often they parse HTML."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self._file = book.folder.parent / "parsed.txt"
        book.conf(COUNTING.format(path=str(self._file)), execute="off")

    def build(self, *options: str, builder: str = "html") -> int:
        """Build; return how often HTML was parsed."""
        self._file.write_text("")
        built = self.book.build("-W", "-E", *options, builder=builder)
        assert built.status == 0, built.warnings
        return len(self._file.read_text())

    def page(self, name: str) -> str:
        return (self.book.folder / "_build/html" / f"{name}.html").read_text("utf-8")


def cell(html: str, **data: str) -> Mapping[str, Any]:
    """Return a code cell of a file with an output that is HTML."""
    shown = {"output_type": "display_data", "metadata": {}, "data": {"text/html": html, **data}}
    return {
        "cell_type": "code",
        "source": "1",
        "execution_count": 1,
        "metadata": {},
        "outputs": [shown],
    }


@pytest.fixture
def counted(book: Book) -> Counted:
    """A book of eight pages, so that Sphinx reads them in parallel."""
    made = Counted(book)
    names = [f"page{number}" for number in range(8)]
    book.index(*names)
    for name in names:
        book.ipynb(f"{name}.ipynb", f"# {name}", cell(TREE.replace("{}", name)), counts=False)
    return made


@pytest.mark.parametrize("options", [(), ("-j", "2")], ids=["serial", "parallel"])
def test_the_second_build_parses_no_html(counted: Counted, options: tuple[str, ...]) -> None:
    assert counted.build(*options) >= 8
    first = counted.page("page3")
    assert "<p>step 49 of page3</p>" in first
    assert counted.build(*options) == 0
    assert counted.page("page3") == first


def test_only_the_output_that_changed_is_parsed(counted: Counted) -> None:
    whole = counted.build()
    outputs = [cell(TREE.replace("{}", "page3")), cell(TREE.replace("{}", "new"))]
    counted.book.ipynb("page3.ipynb", "# Edited", *outputs, counts=False)
    assert counted.build() == whole // 8
    assert "<p>step 49 of new</p>" in counted.page("page3")
    assert "<p>step 49 of page3</p>" in counted.page("page3")


def test_formulas_and_scripts_in_html_are_kept_too(book: Book) -> None:
    counted = Counted(book)
    book.index("page")
    script = "<script>const a = `$a$ ${b}`;</script>"
    outputs = [cell(TREE.replace("{}", "$x$")), cell(TREE + script)]
    book.ipynb("page.ipynb", "# Page", *outputs, counts=False)
    # Once to complete each, and once more for formulas; each time three times, to be sure.
    assert counted.build() == 9
    first = counted.page("page")
    assert first.count(r"\(x\)") == 50
    assert counted.build() == 0
    assert counted.page("page") == first


def test_pasted_values_are_kept_by_the_page_that_shows_them(book: Book) -> None:
    counted = Counted(book)
    book.index("one", "two")
    shown = cell(TREE.replace("{}", "one"))
    (output,) = shown["outputs"]
    glued = {**output, "metadata": {"scrapbook": {"name": "x", "mime_prefix": ""}}}
    other = cell(TREE.replace("{}", "another"))
    text = "```{glue} x\n```"
    cells: list[str | Mapping[str, Any]] = [{**shown, "outputs": [glued]}, other, text]
    book.ipynb("one.ipynb", "# One", *cells, counts=False)
    book.write("two.md", "# Two\n\n```{glue} one::x\n```\n")
    # The page of the notebook shows the value twice.
    assert counted.build() == 9
    assert "<p>step 49 of one</p>" in counted.page("two")
    assert counted.build() == 0
    assert "<p>step 49 of one</p>" in counted.page("two")


def test_what_was_parsed_stays_out_of_the_environment(counted: Counted) -> None:
    counted.build()
    environment: Path = counted.book.folder / "_build/doctrees/environment.pickle"
    assert b"step 49" not in environment.read_bytes()
