"""Real builds in which nbsphinx renders the pages."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from rendering_alone import alone, article, has_pandoc, words
from support import Book, code_cell, stream

pytest.importorskip("nbsphinx", reason="nbsphinx is not installed: `nox -s renderers`")
pytestmark = [
    pytest.mark.kernel,
    pytest.mark.timeout(240),
    pytest.mark.skipif(not has_pandoc(), reason="nbsphinx needs pandoc"),
]

ORDERS = ("extensions.append('nbsphinx')", "extensions.insert(0, 'nbsphinx')")
QUIET: dict[str, Any] = {"outputs": stream("stored\n"), "count": 7}


@pytest.mark.parametrize("order", ORDERS)
def test_pages_are_those_of_nbsphinx_and_a_second_build_reads_nothing(
    book: Book, order: str
) -> None:
    book.conf(order)
    book.index("fit", "wide")
    book.write("data.csv", "1,2\n")
    book.ipynb(
        "fit.ipynb",
        "# Fit",
        "%%print(open('data.csv').read())",
        "%%from IPython.display import HTML, Markdown\nHTML('<b>bold</b>')",
        "%%Markdown('*text*')",
        "Some $x^2$ and [a link](wide.ipynb).",
        counts=False,
    )
    book.ipynb("wide.ipynb", "# Wide", "%%import sys\nprint('err', file=sys.stderr)\n1 + 1")
    with_us = book.build("-W")
    assert with_us.status == 0, with_us.warnings
    assert 'nbsphinx renders the notebooks; execution mode "missing"' in with_us.log
    other = alone(book, "nbsphinx")
    assert other.build().status == 0
    for page in ("fit", "wide"):
        assert article(book.page(page)) == article(other.page(page))
    assert 'class="nboutput' in book.page("fit")
    again = book.build()
    assert again.read == (0, 0, 0)
    assert again.ran == ()
    assert '"renderers": [\n    "nbsphinx"\n  ]' in (
        book.folder / "_build/html/nbcache-report.json"
    ).read_text("utf-8")
    assert "Rendered by nbsphinx." in words(book.page("nbcache-report"))


def test_a_data_file_that_changes_runs_its_notebook_and_reads_its_page(book: Book) -> None:
    book.conf(ORDERS[0])
    book.index("fit", "other")
    data = book.write("data.csv", "first")
    book.ipynb("fit.ipynb", "%%print(open('data.csv').read())")
    book.ipynb("other.ipynb", "%%1")
    assert len(book.build().ran) == 2
    data.write_text("second", encoding="utf-8")
    second = book.build()
    assert second.ran == ("fit.ipynb",)
    assert second.read == (0, 1, 0)
    assert "second" in words(book.page("fit"))


def test_a_notebook_that_fails_has_its_traceback_on_its_page_and_the_build_goes_on(
    book: Book,
) -> None:
    book.conf(ORDERS[0])
    book.index("bad", "slow", "good")
    book.ipynb("bad.ipynb", "%%print('before')", "%%1 / 0", "%%print('after')")
    book.ipynb("slow.ipynb", "%%import time\ntime.sleep(60)", nbsphinx={"timeout": 1})
    book.ipynb("good.ipynb", "%%print('fine')")
    built = book.build()
    assert built.status == 0
    assert "ZeroDivisionError" in words(book.page("bad"))
    assert "before" in words(book.page("bad"))
    assert "[1]:" in words(book.page("bad"))
    assert "took longer than 1 s" in words(book.page("slow"))
    assert "fine" in words(book.page("good"))
    assert "bad.ipynb" in built.warnings


@pytest.mark.parametrize(
    ("conf", "ran", "shown"),
    [
        ("", ("none.ipynb",), "stored"),
        ("nbsphinx_execute = 'auto'", ("none.ipynb",), "stored"),
        ("nbsphinx_execute = 'always'", ("none.ipynb", "some.ipynb"), "fresh"),
        ("nbsphinx_execute = 'never'", (), "stored"),
        (
            "nbsphinx_execute = 'never'\nnbcache_execute = 'changed'",
            ("none.ipynb", "some.ipynb"),
            "fresh",
        ),
        ("nbcache_execute = 'off'", (), "stored"),
    ],
)
def test_the_mode_of_nbsphinx_counts_unless_ours_is_set(
    book: Book, conf: str, ran: tuple[str, ...], shown: str
) -> None:
    book.conf(f"{ORDERS[0]}\n{conf}")
    book.index("some", "none")
    count = f"{book.counting('some.ipynb')}\nprint('fresh')"
    book.ipynb("some.ipynb", "# S", code_cell(count, **QUIET), counts=False)
    book.ipynb("none.ipynb", "%%print('fresh')")
    built = book.build()
    assert tuple(sorted(built.ran)) == ran
    assert shown in words(book.page("some"))
    assert ("nboutput" in article(book.page("none"))) == ("none.ipynb" in ran)


@pytest.mark.parametrize(
    ("conf", "own", "runs"),
    [
        ("", {"execute": "never"}, 0),
        ("nbsphinx_execute = 'never'", {"execute": "always"}, 1),
        ("nbsphinx_execute = 'never'", {"execute": "auto"}, 1),
        ("nbcache_execute = 'off'", {"execute": "always"}, 0),
        ("nbcache_execute = 'force'", {"execute": "never"}, 0),
    ],
)
def test_the_metadata_of_a_notebook_count_more_than_the_mode_of_the_project(
    book: Book, conf: str, own: dict[str, Any], runs: int
) -> None:
    book.conf(f"{ORDERS[0]}\n{conf}")
    book.index("own")
    book.ipynb("own.ipynb", "%%print('here')", nbsphinx=own)
    built = book.build("-W")
    assert built.status == 0, built.warnings
    assert len(built.ran) == runs


def test_options_and_metadata_of_nbsphinx_are_settings(book: Book) -> None:
    book.conf(
        f"""{ORDERS[0]}
nbsphinx_allow_errors = True
nbsphinx_timeout = 30
nbsphinx_kernel_name = "python3"
nbsphinx_execute_arguments = ["--InlineBackend.rc={{'figure.dpi': 96}}"]
"""
    )
    book.index("error", "strict", "hidden")
    book.ipynb(
        "error.ipynb",
        "%%1 / 0",
        "%%print('went', 'on')",
        kernelspec={"name": "none", "display_name": "None"},
    )
    book.ipynb("strict.ipynb", "%%1 / 0", nbsphinx={"allow_errors": False})
    book.ipynb("orphan.ipynb", "%%print(1)", nbsphinx={"orphan": True})
    book.ipynb("hidden.ipynb", "%%1", nbsphinx={"timeout": "soon", "execute": "perhaps"})
    built = book.build()
    assert built.status == 0, built.warnings
    assert "went on" in words(book.page("error"))
    assert "strict.ipynb" in built.warnings
    assert "error.ipynb" not in built.warnings
    assert "toctree" not in built.warnings
    assert "nbsphinx.timeout = 'soon' in its metadata is not a number of seconds" in built.warnings
    for name in ("allow_errors", "timeout", "kernel_name", "execute_arguments"):
        assert re.search(rf"nbsphinx_{name} = .* counts as nbcache_", built.log), built.log


def test_custom_formats_keep_their_converters(book: Book) -> None:
    book.conf(
        f"""{ORDERS[0]}
import sys, pathlib
sys.path.insert(0, str(pathlib.Path(__file__).parent))
nbsphinx_custom_formats = {{
    ".pct.py": ["jupytext.reads", {{"fmt": "py:percent"}}],
    ".own": ["own_format.read", {{"title": "Given"}}],
}}
"""
    )
    book.index("script", "mine", "plain")
    book.write(
        "script.pct.py",
        f"# %% [markdown]\n# # Script\n# %%\n{book.counting('script')}\nprint('pct')\n",
    )
    book.write("mine.own", f"{book.counting('mine')}\nprint('own format')\n")
    book.write("plain.rst", "Plain\n=====\n")
    book.write(
        "own_format.py",
        "import nbformat.v4 as v\n\n\ndef read(text, title):\n"
        "    cells = [v.new_markdown_cell('# ' + title), v.new_code_cell(text)]\n"
        "    for number, cell in enumerate(cells):\n        cell.id = f'c{number}'\n"
        "    return v.new_notebook(cells=cells)\n",
    )
    built = book.build("-W")
    assert built.status == 0, built.warnings
    assert sorted(built.ran) == ["mine", "script"]
    assert "pct" in words(article(book.page("script"))).split("print")[-1]
    assert "Given" in words(book.page("mine"))
    again = book.build()
    assert again.read == (0, 0, 0)
    conf = (book.folder / "conf.py").read_text("utf-8").replace("'sphinx_nbcache'", "")
    other = alone(book, "nbsphinx", conf)
    assert other.build().status == 0
    for page in ("script", "mine"):
        assert article(book.page(page)) == article(other.page(page))


def test_parallel_reading_shows_the_same(book: Book) -> None:
    book.conf(
        f"""{ORDERS[0]}
def setup(app):
    from sphinx.highlighting import lexer_classes
    known = set(lexer_classes)
    app.connect("env-updated", lambda *_: print("more lexers:", set(lexer_classes) - known))
"""
    )
    names = [f"n{number}" for number in range(8)]
    book.index(*names)
    for name in names:
        book.ipynb(f"{name}.ipynb", f"%%print('out of', '{name}')")
    assert book.build("-W").status == 0
    pages = {name: article(book.page(name)) for name in names}
    built = book.build("-E", "-j2", "-W")
    assert built.status == 0, built.warnings
    assert built.ran == ()
    # nbsphinx finds the highlighters itself, and Sphinx asks Pygments for them.
    assert "more lexers: set()" in built.log
    assert {name: article(book.page(name)) for name in names} == pages
    assert book.build().read == (0, 0, 0)


def test_the_sources_are_not_touched_and_downloads_have_outputs(book: Book) -> None:
    book.conf(ORDERS[0])
    book.index("fit")
    book.ipynb("fit.ipynb", "%%print('seen')")
    before = book.sources()
    book.build("-W")
    assert book.sources() == before
    download = json.loads((book.folder / "_build/html/fit.ipynb").read_text("utf-8"))
    assert download["cells"][-1]["outputs"][0]["text"] == "seen\n" or (
        download["cells"][-1]["outputs"][0]["text"] == ["seen\n"]
    )
    assert "nbsphinx" not in download["metadata"]


def test_our_own_renderer_can_be_chosen(book: Book) -> None:
    book.conf(ORDERS[0], renderer="own")
    book.index("fit")
    book.ipynb("fit.ipynb", "%%print('seen')")
    book.build("-W")
    assert "cell_output" in book.page("fit")
    assert "nboutput" not in book.page("fit")


def test_a_renderer_that_is_not_loaded_is_an_error_that_says_what_to_add(book: Book) -> None:
    book.conf(renderer="nbsphinx")
    book.index("fit")
    book.ipynb("fit.ipynb", "%%1")
    built = book.build()
    assert built.status == 2
    assert 'add "nbsphinx" to `extensions`' in built.warnings


def test_formats_of_ours_are_no_formats_of_nbsphinx(book: Book) -> None:
    book.conf(ORDERS[0], formats={".py": "py:percent"})
    book.index("fit")
    book.ipynb("fit.ipynb", "%%1")
    built = book.build()
    assert "nbcache_formats has no effect: nbsphinx decides what is a notebook" in built.warnings


def test_a_broken_notebook_is_named_as_nbsphinx_names_it(book: Book, tmp_path: Path) -> None:
    book.conf(ORDERS[0])
    book.index("broken", "fit")
    book.write("broken.ipynb", '{"cells": [')
    book.ipynb("fit.ipynb", "%%print('fine')")
    built = book.build()
    assert "broken.ipynb:1: WARNING: the notebook is not run" in built.warnings
    assert "fine" in words(book.page("fit"))


@pytest.mark.parametrize("metadata", [{"nbsphinx": [1]}, {"nbsphinx": None}])
def test_metadata_that_nbsphinx_refuses_are_named_as_it_names_them(
    book: Book, metadata: dict[str, Any]
) -> None:
    book.conf(ORDERS[0])
    book.index("odd")
    book.ipynb("odd.ipynb", "%%print(1)", **metadata)
    built = book.build()
    assert built.status == 2
    # nbsphinx 0.9.2 fails, with and without us, while it makes this message: Sphinx 8 gives it a
    # path that cannot be added to a text.
    is_lowest = version("nbsphinx") == "0.9.2"
    expected = 'not "_StrPath"' if is_lowest else "AttributeError in odd.ipynb"
    assert expected in built.warnings


def test_a_misspelt_mode_is_an_error_with_its_line(book: Book) -> None:
    book.conf(f"{ORDERS[0]}\nnbsphinx_execute = 'alway'")
    book.index()
    built = book.build()
    assert built.status == 2
    assert re.search(r"conf\.py:\d+: nbsphinx_execute = 'alway' is not one of", built.warnings)


def test_executed_notebooks_are_those_of_nbsphinx_and_the_option_says_so(book: Book) -> None:
    book.conf(ORDERS[0], write_executed="executed")
    book.index("fit", text=":nb-download:`fit.ipynb`")
    book.ipynb("fit.ipynb", "%%1")
    built = book.build()
    assert "nbcache_write_executed has no effect: nbsphinx renders the notebooks" in built.warnings
    assert "[nbcache.option]" in built.warnings
    assert "index.rst:4: WARNING: nb-download: nbsphinx renders the notebooks" in built.warnings
    assert not (book.folder / "executed").exists()
    # These need no word.
    assert "write_executed" not in book.build("-D", "nbcache_write_executed=0").warnings
