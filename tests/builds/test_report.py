"""The report page and the directive."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from support import Book

import sphinx_nbcache
from sphinx_nbcache.report.selection import Selection

pytestmark = pytest.mark.kernel

BUILDERS = ("dirhtml", "singlehtml", "epub", "latex", "text", "man", "texinfo", "linkcheck")


def figures(page: str) -> dict[str, str]:
    """Return the headline figures of a page: label → number."""
    page = page[page.index('<dl class="nbcache-figures">') :].partition("</dl>")[0]
    found = re.findall(r"<dt>([\w ]+)</dt><dd[^>]*>(.*?)</dd>", page)
    return {label: re.sub(r"<span.*?</span>|<[^>]*>", "", number) for label, number in found}


def test_the_report_is_that_of_this_build_also_when_nothing_ran(book: Book) -> None:
    book.conf(retry_failed="always")
    book.index("one", "bad", "nbcache-report")
    book.myst("one.md")
    book.myst("bad.md", "%%\nraise RuntimeError('oh no')")
    book.build()
    page = book.page("nbcache-report")
    assert figures(page)["Executed"] == "2"
    assert "no earlier result" in page
    assert "oh no" in page
    assert 'href="one.html"' in page
    book.build()
    page = book.page("nbcache-report")
    assert (figures(page)["Executed"], figures(page)["Reused"]) == ("1", "1")
    assert "nothing changed since it was run at" in page
    assert "its last run failed: RuntimeError: oh no in code cell 2" in page


def test_the_report_is_a_document_like_any_other(book: Book) -> None:
    book.index("one", "nbcache-report", text="See :doc:`the page <nbcache-report>`.")
    book.write("link.rst", ":orphan:\n\nLink\n====\n\nSee :ref:`nbcache-report`.\n")
    book.myst("one.md")
    assert book.build().warnings == ""
    assert "Notebook execution report" in book.page("index")
    assert 'href="nbcache-report.html#nbcache-report"' in book.page("link")


def places_of(text: str) -> list[str]:
    """Return each place that depends on the machine."""
    return re.findall(r"\S*sphinx_nbcache\S*report\S*nbcache-report\S*", text)


@pytest.mark.parametrize("builder", ["html", "gettext", "xml", "latex", "changes"])
def test_what_is_built_does_not_tell_where_this_package_is_installed(
    book: Book, builder: str
) -> None:
    book.conf("version = '1'")
    book.index("one", "nbcache-report")
    book.write("one.rst", "One\n===\n")
    assert book.build(builder=builder).warnings == ""
    output = book.folder / "_build" / builder
    files = [path for path in output.rglob("*") if path.is_file()]
    assert [path for path in files if places_of(path.read_text(errors="replace"))] == []
    assert [path for path in files if places_of(str(path.relative_to(output)))] == []
    if builder == "html":
        page = book.page("nbcache-report")
        assert 'href="_sources/nbcache-report.nbcache.txt"' in page
        source = output / "_sources" / "nbcache-report.nbcache.txt"
        assert "jcache-report" in source.read_text()
        assert '"nbcache-report.nbcache"' in (output / "searchindex.js").read_text()


@pytest.mark.parametrize(
    ("suffixes", "name", "text"),
    [
        ("'.md'", "index.md", "# Book\n\n[](nbcache-report)\n"),
        ("{'.md': 'markdown'}", "index.md", "# Book\n\n[](nbcache-report)\n"),
        ("{'.txt': 'restructuredtext'}", "index.txt", "Book\n====\n\n:doc:`nbcache-report`\n"),
    ],
)
def test_the_page_needs_no_suffix_of_the_projects(
    book: Book, suffixes: str, name: str, text: str
) -> None:
    # The page is not a notebook, whatever the formats are.
    book.conf(f"source_suffix = {suffixes}\nlanguage = 'de'", formats={".md": "myst"})
    book.write(name, text)
    built = book.build("-W")
    assert (built.status, built.warnings) == (0, "")
    assert "Notebook execution report" in book.page("index")
    assert "nbcache-report" not in written(book, "html", "nbcache-report.json")
    assert book.build().read == (0, 0, 0)


def test_the_page_has_a_path_that_exists_and_looks_like_one_of_the_source_directory(
    book: Book,
) -> None:
    book.conf(
        """
        def setup(app):
            app.connect("doctree-read", look)

        def look(app, doctree):
            from pathlib import Path
            path = Path(app.env.doc2path("nbcache-report"))
            assert path.is_file()
            path.relative_to(app.srcdir)
            name = "nbcache-report.nbcache"
            for known in (path, name, Path(app.srcdir, name)):
                assert app.env.path2doc(known) == "nbcache-report", known
            print("LOOKED", app.env.doc2path("nbcache-report", base=False))
        """
    )
    book.index("nbcache-report")
    before = book.sources()
    built = book.build()
    assert built.warnings == ""
    assert "LOOKED nbcache-report.nbcache" in built.log
    assert book.sources() == before


def test_every_way_to_link_to_the_report_leads_there_without_a_warning(book: Book) -> None:
    book.index("sub/links", "nbcache-report", text=":any:`nbcache-report`")
    links = (
        "[x](nbcache-report) [y](#nbcache-report) [](nbcache-report) [z](/nbcache-report)"
        " {doc}`/nbcache-report` {ref}`nbcache-report` {any}`nbcache-report`"
        " {any}`so <nbcache-report>` [w](/nbcache-report.md)"
    )
    book.write("sub/links.md", f"# Links\n\n{links}\n")
    assert book.build().warnings == ""
    page = book.page("sub/links")
    paragraph = page[page.index("<p><a") :].partition("</p>")[0]
    assert paragraph.count('href="../nbcache-report.html') == 9
    texts = re.findall(r">([^<>]+)</(?:span|em)></a>", paragraph)
    title = "Notebook execution report"
    assert texts == ["x", "y", title, "z", title, title, title, "so", "w"]
    # Where the user's own page takes its place, such links are the user's business.
    book.write("nbcache-report.md", "(other)=\n# My own\n")
    book.build()
    assert 'href="../nbcache-report.html' in book.page("sub/links")


def test_a_document_of_the_users_with_that_name_takes_its_place(book: Book) -> None:
    book.index("one", "nbcache-report")
    book.myst("one.md")
    book.write("nbcache-report.md", "# My own\n\n```{jcache-report}\n```\n")
    assert book.build().warnings == ""
    page = book.page("nbcache-report")
    assert "My own" in page
    assert figures(page)["Executed"] == "1"
    assert "Notebook execution report" not in page


def test_the_directive_shows_the_report_in_any_page(book: Book) -> None:
    book.index("one", text=".. jcache-report::")
    book.myst("one.md")
    book.build()
    assert figures(book.page("index"))["Executed"] == "1"
    book.build()
    assert figures(book.page("index"))["Reused"] == "1"


def test_a_project_without_notebooks_has_an_empty_report(book: Book) -> None:
    book.index()
    built = book.build()
    assert built.warnings == ""
    assert "There are no notebooks." in book.page("nbcache-report")
    assert not (book.folder / "_build" / ".jupyter_cache" / "nbcache-2" / "locks").exists()


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


def written(book: Book, output: str, name: str) -> str:
    return (book.folder / "_build" / output / name).read_text(encoding="utf-8")


def test_the_files_for_programs_lie_beside_the_page(book: Book) -> None:
    book.index("one")
    book.myst("one.md")
    book.myst("guide/bad.md", "%%\nraise RuntimeError('oh no')")
    book.build()
    document = json.loads(written(book, "html", "nbcache-report.json"))
    bad, one = document["notebooks"]
    assert (bad["path"], bad["docname"], bad["failed"]) == ("guide/bad.md", "guide/bad", True)
    assert bad["failure"]["cell"] == 2
    assert bad["failure"]["source"] == "raise RuntimeError('oh no')"
    assert [cell["number"] for cell in one["cells"]] == [1]
    assert one["cells"][0]["seconds"] < one["seconds"]
    cases = ET.fromstring(written(book, "html", "nbcache-report.xml")).iter("testcase")
    assert [case.find("failure") is not None for case in cases] == [True, False]
    log = written(book, "html", "reports/guide/bad.err.log")
    assert "RuntimeError: oh no" in log
    assert "\x1b" not in log
    book.myst("guide/bad.md")
    book.build()
    assert not (book.folder / "_build" / "html" / "reports").exists()
    assert json.loads(written(book, "html", "nbcache-report.json"))["totals"]["reused"] == 1


def test_the_report_tells_what_a_run_depended_on_and_produced(book: Book) -> None:
    (book.folder / "data").mkdir()
    (book.folder / "data" / "prices.csv").write_text("1,2\n")
    (book.folder / "helper.py").write_text("LEVEL = 3\n")
    book.index("fit")
    code = "import os, subprocess, helper, packaging, pathlib\nopen('data/prices.csv').read()"
    more = "pathlib.Path('fitted.txt').write_text('x' * 1500)\nos.environ.get('NBCACHE_LEVEL')"
    memory = "bytes(range(256)) * 400_000 and None\nsubprocess.run(['true'])"
    book.myst("fit.md", f"%%\n{code}\n{more}\n{memory}")
    book.build()
    (fit,) = json.loads(written(book, "html", "nbcache-report.json"))["notebooks"]
    assert fit["failed"] is False, fit["failure"]
    told = {(item["kind"], item["text"].partition(" ")[0]) for item in fit["depends_on"]}
    assert ("file", "data/prices.csv") in told
    assert ("module", "helper.py") in told
    assert ("package", "packaging") in told
    assert ("variable", "NBCACHE_LEVEL") in told
    assert not any("not there" in item["text"] for item in fit["depends_on"])
    assert fit["produced"] == [{"path": "fitted.txt", "size": 1500}]
    if sys.platform == "linux":
        assert fit["peak_memory"] > 100_000_000
    page = book.page("nbcache-report")
    assert re.search(r"<dt>Files</dt><dd>.*data/prices\.csv", page)
    assert "fitted.txt (1.5 kB)" in page
    (book.folder / "data" / "prices.csv").write_text("3,4\n")
    book.build()
    (fit,) = json.loads(written(book, "html", "nbcache-report.json"))["notebooks"]
    assert fit["changed"] == "data/prices.csv changed"


def test_a_file_that_cannot_be_written_is_a_warning(book: Book) -> None:
    book.index("one")
    book.myst("one.md")
    (book.folder / "_build" / "html" / "nbcache-report.json").mkdir(parents=True)
    built = book.build()
    assert "the report cannot be written into" in built.warnings
    assert "[nbcache.report]" in built.warnings
    assert built.status == 0


def test_pages_have_what_the_report_needs_only_if_they_show_it(book: Book) -> None:
    book.index("one", "nbcache-report")
    book.myst("one.md")
    book.build()
    for name in ("nbcache-report.js", "nbcache-report.css"):
        assert name in book.page("nbcache-report")
        assert name not in book.page("one")
    assert "http" not in re.sub(r"http://www.w3.org/2000/svg", "", report_of(book))


def report_of(book: Book) -> str:
    page = book.page("nbcache-report")
    return page[page.index('<div class="nbcache-report"') : page.index("This report for programs")]


def test_every_builder_shows_the_report(book: Book) -> None:
    book.index("one", "bad", "nbcache-report")
    book.myst("one.md", "State: {jcache-status}`state, time`.")
    book.myst("bad.md", "%%\nraise RuntimeError('oh no')")
    book.write(
        "list.rst", ":orphan:\n\nT\n=\n\n.. jcache-report::\n   :columns: notebook, status\n"
    )
    manual = "version = copyright = '1'\nman_pages = [('index', 'book', 'Book', 'me', 1)]"
    book.conf(manual, retry_failed="always")
    for builder in BUILDERS:
        built = book.build(builder=builder)
        assert built.status == 0, built.warnings
        others = [line for line in built.warnings.splitlines() if "nbcache.execution" not in line]
        assert others == []
    text = book.page("nbcache-report", "text")
    assert "1 of 2 notebooks executed in" in text
    assert re.search(r"\| bad.md +\| executed +\|", text)
    assert "RuntimeError: oh no" in text
    assert re.search(r"State: ok · [\d.]+ s\.", book.page("one", "text"))
    lines = book.page("list", "text").splitlines()
    assert re.fullmatch(r"\| Notebook +\| Status +\|", lines[4])
    outputs = book.folder / "_build"
    latex = (outputs / "latex" / "b.tex").read_text(encoding="utf-8")
    assert "oh no" in latex
    assert r"\X{26}{104}\X{10}{104}\X{34}{104}" in latex  # not six columns of equal width
    assert r"\sphinxcode{\sphinxupquote{bad.md}}" in latex  # in which long names are broken
    assert "oh no" in (outputs / "man" / "book.1").read_text(encoding="utf-8")
    assert "oh no" in (outputs / "texinfo" / "b.texi").read_text(encoding="utf-8")
    epub = (outputs / "epub" / "nbcache-report.xhtml").read_text(encoding="utf-8")
    ET.fromstring(epub[epub.index("<html") :])
    assert 'href="bad.xhtml"' in epub
    assert "<svg" not in epub
    single = (outputs / "singlehtml" / "index.html").read_text(encoding="utf-8")
    assert 'id="nb-' in single
    assert 'href="#document-bad"' in single
    assert "nbcache-report.js" in single


def test_the_report_is_nothing_to_translate(book: Book) -> None:
    book.index("one", "nbcache-report")
    book.myst("one.md")
    assert book.build("-d", str(book.folder / "_build" / "dt"), builder="gettext").status == 0
    template = written(book, "gettext", "nbcache-report.pot")
    assert "Notebook execution report" in template
    assert "executed in" not in template
    assert not (book.folder / "_build" / "gettext" / "nbcache-report.json").exists()


def test_parts_of_the_report_are_shown_below_headings_that_themes_list(book: Book) -> None:
    book.conf(text="html_theme = 'furo'")
    book.index("bad", "nbcache-report")
    book.myst("bad.md", "%%\n1 / 0")
    book.build()
    page = book.page("nbcache-report")
    contents = page[page.index('class="toc-tree"') :]
    assert re.findall(r'href="#(\w+)">(\w+)<', contents)[-2:] == [
        ("failures", "Failures"),
        ("notebooks", "Notebooks"),
    ]
    row = "nb-bad.md"
    assert page.count(f'id="{row}"') == page.count(f'id="{row}-failure"') == 1
    assert f'href="#{row}"' in page
    text = book.folder / "_build" / "text"
    book.build(builder="text")
    report = (text / "nbcache-report.txt").read_text(encoding="utf-8")
    titles = [line for line in report.splitlines() if line in ("Failures", "Notebooks")]
    assert titles == ["Failures", "Notebooks"]
    assert report.count("1 / 0") >= 2  # the source, and the traceback


def test_a_whole_report_beside_parts_has_ids_of_its_own(book: Book) -> None:
    parts = "".join(f"```{{jcache-report}}\n:part: {p}\n```\n\n" for p in ("failures", "notebooks"))
    book.index("one", "all")
    book.myst("one.md")
    book.write("all.md", f"# All\n\n{parts}```{{jcache-report}}\n```\n")
    assert book.build().warnings == ""
    ids = re.findall(r'<tbody [^>]*id="([^"]+)"', book.page("all"))
    assert ids == ["nb-one.md", "report-2-nb-one.md"]


def test_the_directive_chooses_sorts_and_limits(book: Book) -> None:
    text = """
.. jcache-report::
   :columns: notebook time slowest
   :sort: -notebook
   :limit: 2
   :docs: part/*

.. jcache-report::
   :status: failed
   :columns: notebook
"""
    book.index("part/a", "part/b", "part/c", "z", text=text)
    for name in ("part/a.md", "part/b.md", "part/c.md", "z.md"):
        book.myst(name)
    assert book.build(builder="text").warnings == ""
    page = book.page("index", "text")
    assert re.findall(r"\| (\S+\.md) +\|", page) == ["part/c.md", "part/b.md"]
    assert "Slowest cell" in page
    assert "No notebook matches." in page


@pytest.mark.parametrize("builder", ["html", "text", "latex", "man", "texinfo", "epub", "xml"])
def test_nb_exec_table_is_a_plain_table_in_every_builder(book: Book, builder: str) -> None:
    book.index("good", "part/bad", text=".. nb-exec-table::\n\n   What MyST-NB ignores.")
    book.myst("good.md", "%%print('good')")
    book.myst("part/bad.md", "%%1 / 0")
    book.build(builder=builder)
    outputs = (book.folder / "_build" / builder).iterdir()
    endings = (".html", ".xhtml", ".txt", ".tex", ".1", ".texi", ".xml")
    files = [file for file in outputs if file.suffix in endings and "report" not in file.name]
    text = "\n".join(file.read_text("utf-8") for file in files)
    for head in ("Document", "Modified", "Method", "Run Time (s)", "Status"):
        assert head in text
    assert "executed" in text
    assert "What MyST-NB ignores" not in text


def test_nb_exec_table_says_what_this_build_did_in_the_columns_of_myst_nb(book: Book) -> None:
    book.index("good", "part/bad", text=".. nb-exec-table::\n")
    book.myst("good.md", "%%print('good')")
    book.myst("part/bad.md", "%%1 / 0")
    book.build()

    def rows() -> list[list[str]]:
        table = re.search(r"<table.*?</table>", book.page("index"), re.DOTALL)
        assert table is not None
        found = re.findall(r"<tr.*?</tr>", table[0], re.DOTALL)
        cells = [re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL) for row in found]
        return [[re.sub(r"<.*?>", "", cell).strip() for cell in row] for row in cells]

    head, good, bad = rows()
    assert head == ["Document", "Modified", "Method", "Run Time (s)", "Status"]
    assert (good[0], good[2], good[4]) == ("good", "executed", "ok")
    assert (bad[0], bad[2], bad[4]) == ("part/bad", "executed", "failed")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)? UTC", good[1])
    assert re.fullmatch(r"\d+\.\d\d", good[3])
    assert 'href="part/bad.html"' in book.page("index")
    # Nothing but one table.
    assert "nbcache-totals" not in book.page("index")
    assert "traceback" not in book.page("index")
    book.build()
    assert [row[2] for row in rows()] == ["Method", "reused", "reused"]
    book.myst("good.md", "%%print('better')")
    book.build()
    assert [row[2] for row in rows()] == ["Method", "executed", "reused"]


def test_columns_tell_what_notebooks_depend_on_and_have_written(book: Book) -> None:
    book.index("a", text=".. jcache-report::\n   :columns: notebook depends produced changed")
    book.write("in.csv", "1\n")
    lines = [f"open('out-{n}.csv', 'w').write('1')" for n in range(8)]
    book.myst("a.md", "%%\nopen('in.csv').read()\n" + "\n".join(lines))
    assert book.build().warnings == ""
    page = book.page("index")
    assert "<p>Depends on</p>" in page
    assert "<p>in.csv</p>" in page
    assert "<p>out-0.csv, out-1.csv," in page
    assert "out-5.csv, and 2 more</p>" in page
    book.write("in.csv", "2\n")
    book.build()
    assert "<p>in.csv changed</p>" in book.page("index")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (":status: broken", "status 'broken' is unknown; it takes: failed, ok,"),
        (":columns: name", "column 'name' is unknown; it takes: notebook, decision,"),
        (":sort: -size", "column to sort by 'size' is unknown; it takes: notebook,"),
        (":limit: none", "limit"),
    ],
)
def test_an_option_that_makes_no_sense_is_named_with_what_does(
    book: Book, option: str, message: str
) -> None:
    book.index(text=f".. jcache-report::\n   {option}")
    built = book.build()
    assert message in built.warnings
    assert "index.rst:4" in built.warnings


def test_the_role_shows_the_state_of_its_own_page_or_of_another(book: Book) -> None:
    book.index("part/one", "part/bad", "kept")
    book.conf(exclude=["kept.md"])
    book.myst("part/one.md", "I am {jcache-status}`state, date`.")
    book.myst("part/bad.md", "%%\n1 / 0", "So: {jcache-status}`state </part/one>`.")
    book.myst("kept.md", "I am {jcache-status}`state`, he {jcache-status}`state <part/bad>`.")
    assert "is no notebook" not in book.build().warnings
    assert re.search(
        r'nbcache-status-ok">ok · \d{4}-\d\d-\d\d \d\d:\d\d UTC</span>', book.page("part/one")
    )
    assert '<span class="nbcache-status nbcache-status-ok">ok</span>' in book.page("part/bad")
    assert "nbcache-status-none" in book.page("kept")
    assert '<span class="nbcache-status nbcache-status-failed">failed</span>' in book.page("kept")
    # The page that shows the state of another is written again when that changes, and only then.
    again = book.build()
    assert "writing output... [100%] kept" not in again.log
    book.myst("part/bad.md")
    book.build()
    assert "nbcache-status-failed" not in book.page("kept")


def test_a_role_that_makes_no_sense_says_so(book: Book) -> None:
    book.index(text=":jcache-status:`colour` and :jcache-status:`state </nowhere>`")
    built = book.build()
    assert "jcache-status: fact 'colour' is unknown; it takes: state, time, date" in built.warnings
    assert "the document 'nowhere' is no notebook" in built.warnings


def test_two_reproducible_builds_on_one_store_are_the_same_to_the_byte(
    book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    book.conf(retry_failed="always")
    text = ".. jcache-report::\n   :columns: notebook reason time status"
    book.index("one", "bad", "nbcache-report", text=text)
    book.myst("one.md", "{jcache-status}`state, date, time`", "%%\nprint('hi')")
    book.myst("bad.md", "%%\nraise RuntimeError('oh no')")
    contents = []
    for number in (1, 2):
        output = book.folder / "_build" / f"html{number}"
        subprocess.run(
            [
                *(sys.executable, "-m", "sphinx", "-q", "-d", tmp_path / f"doctrees{number}"),
                *(book.folder, output),
            ],
            check=True,
            capture_output=True,
        )
        contents.append(
            {p.relative_to(output): p.read_bytes() for p in output.rglob("*.*") if p.is_file()}
        )
    assert sorted(book.runs()) == ["bad.md", "bad.md", "one.md"]
    first, second = contents
    assert set(first) == set(second)
    assert [name for name in first if first[name] != second[name]] == []
    page = first[Path("nbcache-report.html")].decode()
    assert "oh no" in page
    assert set(figures(page)) == {"Notebooks", "Failed"}


def test_a_build_that_changes_nothing_writes_no_page_for_the_report_twice(book: Book) -> None:
    book.index("one", "nbcache-report")
    book.myst("one.md")
    book.build()
    book.build()
    assert "writing output... [" not in book.build().log


COUNTS_REPORTS = """
from pathlib import Path
from sphinx_nbcache.report.making import Draft

def counted(draft, store, whole=Draft.whole):
    with (Path(__file__).parent / "made").open("a") as file:
        file.write("x")
    return whole(draft, store)

Draft.whole = counted
"""


def test_a_build_in_which_nothing_changed_looks_nothing_up_for_the_report(book: Book) -> None:
    book.index("one", "nbcache-report", text=":jcache-status:`state </one>`")
    book.myst("one.md")
    book.conf(COUNTS_REPORTS)
    made = book.folder / "made"

    def times() -> int:
        before = len(made.read_text()) if made.exists() else 0
        book.build()
        return (len(made.read_text()) if made.exists() else 0) - before

    assert [times() for _ in range(3)] == [1, 1, 0]  # executed, reused, nothing new
    page = book.folder / "_build" / "html" / "nbcache-report.json"
    page.unlink()
    assert times() == 1
    assert page.exists()
    page.write_text("{}")
    assert times() == 1
    assert json.loads(page.read_text())["schema"] == 1
    assert times() == 0


def test_the_report_tells_of_earlier_runs_also_of_other_code(book: Book) -> None:
    book.index("fit")
    for code in ("1", "2", "1 / 0"):
        book.myst("fit.md", f"%%\n{code}")
        book.build()
    book.myst("fit.md", "%%\n2")  # the result of the second run holds again
    book.build()
    (fit,) = json.loads(written(book, "html", "nbcache-report.json"))["notebooks"]
    assert fit["decision"] == "reused"
    assert [run["status"] for run in fit["runs"]] == ["ok", "ok", "failed"]
    assert [run["reason"] for run in fit["runs"]] == [
        "no earlier result",
        "code cell 2 changed",
        "code cell 2 changed",
    ]
    assert fit["runs"][1]["started"] == fit["started"]
    assert fit["runs"][1]["seconds"] == fit["seconds"]


def test_what_doctrees_hold_changes_with_the_version_of_the_environment() -> None:
    """Sphinx reads all pages again where it differs; else old doctrees meet new code."""
    held = dict.fromkeys((2, 3, 4), ("status", "columns", "limit", "sort", "docs", "part"))
    (version,) = re.findall(r'"env_version": (\d+)', Path(sphinx_nbcache.__file__).read_text())
    assert tuple(field.name for field in fields(Selection)) == held[int(version)]
