"""Real builds in which MyST-NB renders the pages."""

from __future__ import annotations

import re
from typing import Any

import pytest
from rendering_alone import alone, article, has_pandoc, words
from support import Book, code_cell, stream

pytest.importorskip("myst_nb", reason="MyST-NB is not installed: `nox -s renderers`")
pytestmark = [pytest.mark.kernel, pytest.mark.timeout(240)]

ORDERS = ("extensions.append('myst_nb')", "extensions.insert(0, 'myst_nb')")
CACHE = f"{ORDERS[0]}\nnb_execution_mode = 'cache'\n"


def notebook(book: Book, name: str, *cells: str, **metadata: Any) -> None:
    """Write a Markdown notebook that MyST-NB takes for one."""
    book.myst(name, *cells, file_format="mystnb", **metadata)


@pytest.mark.parametrize("order", ORDERS)
def test_pages_are_those_of_myst_nb_and_a_second_build_reads_nothing(
    book: Book, order: str
) -> None:
    conf = "nb_execution_mode = 'cache'\n"
    book.conf(f"{order}\n{conf}")
    book.index("fit", "other")
    book.write("data.csv", "1,2\n")
    notebook(
        book,
        "fit.md",
        "%%from myst_nb import glue\nglue('x', 42, display=False)\nprint(open('data.csv').read())",
        "The answer is {glue}`x`.",
        "```{code-cell}\n:tags: [hide-input]\nimport IPython\nIPython.display.HTML('b')\n```",
        "```{glue} x\n```",
    )
    book.ipynb("other.ipynb", "%%import sys\nprint('err', file=sys.stderr)\n1 + 1")
    built = book.build("-W")
    assert built.status == 0, built.warnings
    assert 'MyST-NB renders the notebooks; execution mode "changed"' in built.log
    other = alone(book, "myst_nb", conf)
    assert other.build().status == 0
    for page in ("fit", "other"):
        assert article(book.page(page)) == article(other.page(page))
    assert "The answer is 42" in words(book.page("fit"))
    # Its classes are those of our cells, but not its style.
    assert "nbcache.css" not in book.page("fit")
    assert "nbcache.css" in book.page("nbcache-report")
    again = book.build()
    assert again.read == (0, 0, 0)
    assert again.ran == ()
    # Another builder has the same results.
    latex = book.build(builder="latex")
    assert latex.ran == ()
    assert "42" in (book.folder / "_build/latex/b.tex").read_text("utf-8")


def test_a_data_file_that_changes_runs_its_notebook_and_reads_its_page(book: Book) -> None:
    book.conf(CACHE)
    book.index("fit", "other")
    data = book.write("data.csv", "first")
    notebook(book, "fit.md", "%%print(open('data.csv').read())")
    book.ipynb("other.ipynb", "%%1")
    assert len(book.build().ran) == 2
    data.write_text("second", encoding="utf-8")
    second = book.build()
    assert second.ran == ("fit.md",)
    assert second.read == (0, 1, 0)
    assert "second" in words(book.page("fit"))


def test_a_notebook_that_fails_has_its_traceback_and_the_build_goes_on(book: Book) -> None:
    book.conf(CACHE)
    book.index("bad", "slow", "good", "table")
    notebook(book, "bad.md", "%%print('before')", "%%1 / 0", "%%print('after')")
    notebook(book, "slow.md", "%%import time\ntime.sleep(60)", mystnb={"execution_timeout": 1})
    notebook(book, "good.md", "%%print('fine')")
    book.write("table.md", "# Table\n\n```{nb-exec-table}\n```\n")
    built = book.build()
    assert built.status == 0
    assert "ZeroDivisionError" in words(book.page("bad"))
    assert "took longer than 1 s" in words(book.page("slow"))
    assert "fine" in words(book.page("good"))
    assert "ZeroDivisionError" in (book.folder / "_build/html/reports/bad.err.log").read_text(
        "utf-8"
    )
    rows = words(re.search(r"<table.*</table>", book.page("table"), re.DOTALL)[0])  # type: ignore[index]
    assert re.search(r"bad \S+ \S+ cache [\d.]+ ❌", rows)
    assert re.search(r"good \S+ \S+ cache [\d.]+ ✅", rows)


def test_what_is_a_notebook_follows_the_rule_of_myst_nb(book: Book) -> None:
    book.conf(CACHE)
    book.index("kernel_only", "nested", "colon", "plain")
    book.myst("kernel_only.md", "%%print('no notebook')")
    notebook(book, "nested.md", "````{note}\n```{code-cell}\nprint('inside')\n```\n````")
    notebook(book, "colon.md", ":::{code-cell}\nprint('colon')\n:::")
    book.write("plain.md", "# Plain\n\nText.\n")
    built = book.build()
    assert sorted(built.ran) == ["colon.md", "nested.md"]
    assert "unexpected `code-cell`" in built.warnings
    cells = {name: book.page(name).count("cell_input") for name in ("nested", "colon")}
    assert cells == {"nested": 1, "colon": 1}


@pytest.mark.parametrize("extensions", ["[]", "['colon_fence', 'deflist']"])
def test_the_extensions_of_myst_decide_which_cells_there_are(book: Book, extensions: str) -> None:
    conf = f"nb_execution_mode = 'cache'\nmyst_enable_extensions = {extensions}\n"
    book.conf(ORDERS[0] + "\n" + conf)
    book.index("fences")
    notebook(
        book, "fences.md", ":::{note}\n```{code-cell}\nprint('one')\n```\n:::\n", "%%print('two')"
    )
    book.build()
    other = alone(book, "myst_nb", conf)
    other.build()
    assert article(book.page("fences")) == article(other.page("fences"))


@pytest.mark.parametrize(
    ("conf", "ran"),
    [
        ("", {"none.ipynb", "part.ipynb"}),
        ("nb_execution_mode = 'auto'", {"none.ipynb", "part.ipynb"}),
        ("nb_execution_mode = 'cache'", {"none.ipynb", "part.ipynb", "all.ipynb"}),
        ("nb_execution_mode = 'force'", {"none.ipynb", "part.ipynb", "all.ipynb"}),
        ("jupyter_execute_notebooks = 'off'", set()),
        ("nb_execution_mode = 'off'", set()),
        (
            "nb_execution_mode = 'off'\nnbcache_execute = 'changed'",
            {"none.ipynb", "part.ipynb", "all.ipynb"},
        ),
        ("nb_execution_mode = 'cache'\nnbcache_execute = 'off'", set()),
    ],
)
def test_the_mode_of_myst_nb_counts_unless_ours_is_set(
    book: Book, conf: str, ran: set[str]
) -> None:
    book.conf(f"{ORDERS[0]}\n{conf}")
    book.index("all", "part", "none")
    for name in ("all", "part"):
        stored = code_cell(book.counting(f"{name}.ipynb"), outputs=stream("stored\n"), count=1)
        more = [] if name == "all" else ["%%2"]
        book.ipynb(f"{name}.ipynb", f"# {name}", stored, *more, counts=False)
    book.ipynb("none.ipynb", "%%print('fresh')")
    built = book.build()
    assert set(built.ran) == ran
    assert ("stored" in words(article(book.page("all")))) == ("all.ipynb" not in ran)
    again = book.build()
    assert again.read == (0, 0, 0)
    assert again.ran == ()


@pytest.mark.parametrize(
    ("conf", "own", "runs"),
    [
        ("nb_execution_mode = 'cache'", {"execution_mode": "off"}, 0),
        ("nb_execution_mode = 'off'", {"execution_mode": "force"}, 1),
        (
            "nb_execution_mode = 'cache'\nnbcache_execute = 'off'",
            {"execution_mode": "force"},
            0,
        ),
        ("nb_execution_mode = 'cache'\nnb_metadata_key = 'own'", {"execution_mode": "off"}, 1),
    ],
)
def test_the_metadata_of_a_notebook_count_more_than_the_mode_of_the_project(
    book: Book, conf: str, own: dict[str, Any], runs: int
) -> None:
    book.conf(f"{ORDERS[0]}\n{conf}")
    book.index("own")
    book.ipynb("own.ipynb", "%%print('here')", mystnb=own)
    assert len(book.build().ran) == runs


def test_options_of_myst_nb_are_settings(book: Book) -> None:
    store = book.folder.parent / "elsewhere"
    book.conf(
        f"""{CACHE}
nb_execution_timeout = 50
nb_execution_allow_errors = True
nb_execution_excludepatterns = ["ex*.md", "sub/*"]
nb_execution_in_temp = True
nb_kernel_rgx_aliases = {{"missing.*": "python3"}}
nb_execution_cache_path = {str(store)!r}
nb_execution_show_tb = True
"""
    )
    book.index("error", "strict", "excluded", "sub/excluded", "temp")
    notebook(book, "error.md", "%%1 / 0", "%%print('went', 'on')", kernelspec={"name": "missing7"})
    notebook(book, "strict.md", "%%1 / 0", mystnb={"execution_allow_errors": False})
    notebook(book, "excluded.md", "%%1")
    notebook(book, "sub/excluded.md", "%%1")
    notebook(book, "temp.md", "%%import os\nprint(os.listdir())")
    built = book.build()
    assert built.status == 0
    assert sorted(built.ran) == ["error.md", "strict.md", "temp.md"]
    assert "went on" in words(book.page("error"))
    assert "strict.md" in built.warnings
    assert "conf.py" not in words(book.page("temp"))
    assert store.is_dir()
    assert not book.store.exists()
    for name in "timeout allow_errors excludepatterns in_temp cache_path".split():
        assert re.search(rf"nb_execution_{name} = .* counts as nbcache_", built.log), built.log
    assert "nb_kernel_rgx_aliases = {'missing.*': 'python3'} counts as" in built.log
    assert built.log.count("ZeroDivisionError") >= 2


def test_a_failure_stops_the_build_where_myst_nb_is_to_raise(book: Book) -> None:
    book.conf(CACHE)
    book.index("bad", "good")
    notebook(book, "bad.md", "%%1 / 0", mystnb={"execution_raise_on_error": True})
    notebook(book, "good.md", "%%1")
    built = book.build()
    assert built.status == 2
    assert "bad.md: ZeroDivisionError" in built.warnings


def test_inline_execution_stays_with_myst_nb(book: Book) -> None:
    book.has_other_kernels = True
    book.conf(CACHE)
    book.index("inline", "ours")
    notebook(
        book, "inline.md", "%%a = 6 * 7", "Value {eval}`a`.", mystnb={"execution_mode": "inline"}
    )
    notebook(book, "ours.md", "%%print('ours')")
    built = book.build()
    assert "Value 42" in words(book.page("inline"))
    assert "ours" in words(book.page("ours"))
    assert "1 of 1 notebook executed" in built.log
    assert "MyST-NB runs inline itself" in built.log
    book.conf(f"{ORDERS[0]}\nnb_execution_mode = 'inline'")
    everything = book.build()
    assert 'runs them itself, because nb_execution_mode is "inline"' in everything.log
    assert "Value 42" in words(book.page("inline"))
    assert "ours" in words(article(book.page("ours"))).split("print")[-1]


def test_custom_formats_keep_their_readers(book: Book) -> None:
    conf = """nb_execution_mode = 'cache'
import sys, pathlib
sys.path.insert(0, str(pathlib.Path(__file__).parent))
nb_custom_formats = {
    ".Rmd": ["jupytext.reads", {"fmt": "Rmd"}],
    ".own": ["own_format.read", {"title": "Given"}, True],
}
"""
    book.conf(f"{ORDERS[0]}\n{conf}")
    book.index("script", "mine")
    book.write(
        "script.Rmd", f"# Script\n\n```{{python}}\n{book.counting('script')}\nprint('rmd')\n```\n"
    )
    book.write("mine.own", f"{book.counting('mine')}\nprint('own format')\n")
    book.write(
        "own_format.py",
        "import nbformat.v4 as v\n\n\ndef read(text, title):\n"
        "    cells = [v.new_markdown_cell('# ' + title), v.new_code_cell(text)]\n"
        "    return v.new_notebook(cells=cells)\n",
    )
    built = book.build()
    assert built.status == 0, built.warnings
    assert sorted(built.ran) == ["mine", "script"]
    assert book.build().read == (0, 0, 0)
    other = alone(book, "myst_nb", conf)
    assert other.build().status == 0
    for page in ("script", "mine"):
        assert article(book.page(page)) == article(other.page(page))


def test_parallel_reading_shows_the_same(book: Book) -> None:
    book.conf(CACHE)
    names = [f"n{number}" for number in range(8)]
    book.index(*names)
    for name in names:
        notebook(book, f"{name}.md", f"%%print('out of', '{name}')")
    assert book.build("-W").status == 0
    pages = {name: article(book.page(name)) for name in names}
    built = book.build("-E", "-j2", "-W")
    assert built.status == 0, built.warnings
    assert built.ran == ()
    assert {name: article(book.page(name)) for name in names} == pages
    assert book.build().read == (0, 0, 0)


def test_our_own_renderer_cannot_stand_next_to_it(book: Book) -> None:
    book.conf(CACHE, renderer="own")
    book.index("fit")
    notebook(book, "fit.md", "%%1")
    built = book.build()
    assert built.status == 2
    assert "remove myst_nb from `extensions`" in built.warnings


def test_widgets_and_language_reach_its_pages(book: Book) -> None:
    book.conf(CACHE)
    book.index("slider")
    notebook(book, "slider.md", "%%import ipywidgets\nipywidgets.IntSlider(value=7)")
    built = book.build("-W")
    assert built.status == 0, built.warnings
    assert "application/vnd.jupyter.widget-state+json" in book.page("slider")
    assert "highlight-ipython3" in book.page("slider")


@pytest.mark.skipif(not has_pandoc(), reason="nbsphinx needs pandoc")
def test_the_parser_of_a_file_type_is_in_charge_where_both_are_loaded(book: Book) -> None:
    pytest.importorskip("nbsphinx", reason="nbsphinx is not installed: `nox -s renderers`")
    book.conf(
        """
extensions += ["nbsphinx", "myst_nb"]
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb", ".ipynb": "jupyter_notebook"}
nb_execution_mode = "cache"
nbsphinx_execute = "never"
"""
    )
    book.index("text", "binary")
    notebook(book, "text.md", "%%print('by text')")
    book.ipynb("binary.ipynb", "%%print('by binary')")
    built = book.build()
    assert built.status == 0, built.warnings
    assert built.ran == ("text.md",)
    assert "cell_output" in book.page("text")
    assert "nbinput" in book.page("binary")
    assert "nbsphinx renders the notebooks" in built.log
    assert "MyST-NB renders the notebooks" in built.log


def test_a_notebook_that_cannot_be_read_is_a_page_that_says_so(book: Book) -> None:
    book.conf(CACHE)
    book.index("broken", "good")
    book.write("broken.ipynb", '{"cells": [')
    notebook(book, "good.md", "%%print('fine')")
    built = book.build()
    assert built.status == 0, built.warnings
    assert "broken.ipynb:1: WARNING: the notebook is not run" in built.warnings
    assert "This notebook cannot be read" in words(book.page("broken"))
    assert "fine" in words(book.page("good"))
    assert book.build().read == (0, 0, 0)


def test_a_myst_nb_that_makes_clients_in_another_way_runs_its_notebooks_itself(book: Book) -> None:
    book.has_other_kernels = True
    book.conf(
        f"""{CACHE}
import myst_nb.sphinx_ as module
usual = module.create_client
module.create_client = lambda *given: usual(*given)
"""
    )
    book.index("fit")
    notebook(book, "fit.md", "%%print('by MyST-NB')")
    built = book.build()
    assert built.status == 0
    assert "so it runs its notebooks itself; versions 1.1 to 1.5 are known" in built.warnings
    assert "by MyST-NB" in words(book.page("fit"))
    assert "notebooks executed" not in built.log


def test_a_page_that_pastes_a_value_of_another_one_follows_it(book: Book) -> None:
    book.conf(CACHE)
    book.index("source", "page")
    value = book.write("value.txt", "first")
    notebook(
        book,
        "source.md",
        "%%from myst_nb import glue\nglue('value', open('value.txt').read())",
    )
    book.write("page.md", "# Page\n\n```{glue:any} value\n:doc: source.md\n```\n")
    book.build()
    assert "first" in words(book.page("page"))
    value.write_text("second", encoding="utf-8")
    assert book.build().ran == ("source.md",)
    assert "second" in words(book.page("page"))
    assert book.build("-j2").read == (0, 0, 0)


def test_executed_notebooks_are_those_of_myst_nb_and_the_option_says_so(book: Book) -> None:
    book.conf(CACHE, write_executed="executed")
    book.index("fit")
    book.ipynb("fit.ipynb", "%%1")
    built = book.build()
    assert "nbcache_write_executed has no effect: MyST-NB renders the notebooks" in built.warnings
    assert "[nbcache.option]" in built.warnings
    assert not (book.folder / "executed").exists()
    # These need no word.
    assert "write_executed" not in book.build("-D", "nbcache_write_executed=0").warnings
