"""The report page and the directive."""

from __future__ import annotations

import pytest
from support import Book

pytestmark = pytest.mark.kernel


def test_the_report_is_that_of_this_build_also_when_nothing_ran(book: Book) -> None:
    book.index("one", "bad", "nbcache-report")
    book.myst("one.md")
    book.myst("bad.md", "%%\nraise RuntimeError('oh no')")
    book.build()
    page = book.page("nbcache-report")
    assert "2 of 2 executed in" in page
    assert "no earlier result" in page
    assert "oh no" in page
    assert 'href="one.html"' in page
    book.build()
    page = book.page("nbcache-report")
    assert "1 of 2 executed in" in page
    assert "1 reused" in page
    assert "code unchanged since it was run at" in page
    assert "its last run failed: RuntimeError: oh no in code cell 2" in page


def test_the_report_is_a_document_like_any_other(book: Book) -> None:
    book.index("one", "nbcache-report", text="See :doc:`the page <nbcache-report>`.")
    book.write("link.rst", ":orphan:\n\nLink\n====\n\nSee :ref:`nbcache-report`.\n")
    book.myst("one.md")
    assert book.build().warnings == ""
    assert "Notebook execution report" in book.page("index")
    assert 'href="nbcache-report.html#nbcache-report"' in book.page("link")
    index = (book.folder / "_build" / "html" / "searchindex.js").read_text()
    assert "nbcache-report" in index
    assert "sphinx_nbcache/report" not in index


def test_a_document_of_the_users_with_that_name_takes_its_place(book: Book) -> None:
    book.index("one", "nbcache-report")
    book.myst("one.md")
    book.write("nbcache-report.md", "# My own\n\n```{jcache-report}\n```\n")
    assert book.build().warnings == ""
    page = book.page("nbcache-report")
    assert "My own" in page
    assert "1 of 1 executed" in page
    assert "Notebook execution report" not in page


def test_the_directive_shows_the_report_in_any_page(book: Book) -> None:
    book.index("one", text=".. jcache-report::")
    book.myst("one.md")
    book.build()
    assert "1 of 1 executed" in book.page("index")
    book.build()
    assert "1 reused" in book.page("index")


def test_a_project_without_notebooks_has_an_empty_report(book: Book) -> None:
    book.index()
    built = book.build()
    assert built.warnings == ""
    assert "There are no notebooks." in book.page("nbcache-report")
    assert not (book.folder / "_build" / ".jupyter_cache" / "nbcache-1" / "locks").exists()


def test_the_page_comes_back_when_the_users_own_one_goes(book: Book) -> None:
    book.index("one", "nbcache-report")
    book.myst("one.md")
    book.build()
    own = book.write("nbcache-report.md", "# My own\n")
    book.build()
    assert "My own" in book.page("nbcache-report")
    own.unlink()
    book.build()
    assert "My own" not in book.page("nbcache-report")
    assert "Notebook execution report" in book.page("nbcache-report")


def test_a_file_that_is_not_utf_8_has_no_link_in_latex_either(book: Book) -> None:
    book.index("one", "nbcache-report")
    book.myst("one.md")
    (book.folder / "bad.ipynb").write_bytes(b'{"cells": [], "x": "\xe9"}')
    for builder in ("html", "latex"):
        assert book.build(builder=builder).status == 0
    assert 'href="bad.html"' not in book.page("nbcache-report")
    assert "bad.ipynb" in book.page("nbcache-report")
