"""Readers by name: ours, jupytext's formats, functions, and those of other packages."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import time
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from packages import install
from support import Book

from sphinx_nbcache import Action, Project, plugins
from sphinx_nbcache.notebooks.formats import Formats, read_notebook
from sphinx_nbcache.notebooks.notebook import Notebook, NotebookError
from sphinx_nbcache.notebooks.readers import format_for_reader, is_foreign, is_function
from sphinx_nbcache.notebooks.scan import Scan, scan_file

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
NONE = Formats()
MYST_TEXT = "# T\n\n```{code-cell}\n1 + 1\n```\n"
SCRIPT = "# %%\nx = 1\n\n# %% [markdown]\n# text\n"
IPYNB_TEXT = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []})

THEIR_READERS = """
import os
import re
from nbformat.v4 import new_code_cell, new_notebook

def lines(text):
    return new_notebook(cells=[new_code_cell(line) for line in text.split()])

def of_a_path(uri):
    return lines(open(uri).read())

def nothing(text):
    return None

def broken(text):
    return 1 / 0

value = 3
"""
THEIR_NAMES = {
    "their-lines": "lines",
    "their-path": "of_a_path",
    "their-nothing": "nothing",
    "their-broken": "broken",
    "their-value": "value",
    "their-absent": "absent",
    # Names that are taken: ours and jupytext's come first.
    "myst": "broken",
    "py": "broken",
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on `sys.path` with a third party's package of readers."""
    folder = install(
        tmp_path / "site", "their_readers", THEIR_READERS, {plugins.READERS: THEIR_NAMES}
    )
    monkeypatch.syspath_prepend(folder)
    return folder


def sources(text: str, fmt: str) -> list[tuple[str, str]]:
    return [(cell.kind, cell.source) for cell in read_notebook(text, fmt).cells]


def scan_later(path: Path, formats: Formats = NONE, reader: str = "") -> Scan:
    """Scan a file some seconds after it was written, so that the scan is trusted."""
    return scan_file(path, formats, reader, now_ns=lambda: time.time_ns() + 5_000_000_000)


@pytest.mark.parametrize(
    ("reader", "name", "fmt"),
    [
        ("nbformat", "a.ipynb", "ipynb"),
        ("nbformat", "a.json", "ipynb"),
        ("myst", "a.md", "myst"),
        ("myst_nb_md", "a.txt", "myst"),
        ("jupytext", "a.py", "py"),
        ("jupytext", "folder.d/a.Rmd", "Rmd"),
        ("jupytext", "a.ipynb", "ipynb"),
        ("py:percent", "a.py", "py:percent"),
        ("Rmd", "a.txt", "Rmd"),
        ("module:function", "a.x", "module:function"),
        ("their-lines", "a.x", "reader their-lines"),
        ("py", "a.py", "py"),
    ],
)
def test_a_readers_name_gives_the_format_for_a_file(
    site: Path, reader: str, name: str, fmt: str
) -> None:
    assert format_for_reader(reader, name) == fmt


@pytest.mark.parametrize(
    ("reader", "text", "expected"),
    [
        ("myst", MYST_TEXT, [("markdown", "# T"), ("code", "1 + 1")]),
        ("jupytext", SCRIPT, [("code", "x = 1"), ("markdown", "text")]),
        ("nbformat", IPYNB_TEXT, []),
        ("their-lines", "1+1 2", [("code", "1+1"), ("code", "2")]),
    ],
)
def test_every_reader_reads(
    site: Path, reader: str, text: str, expected: list[tuple[str, str]]
) -> None:
    assert sources(text, format_for_reader(reader, "a.py")) == expected


def test_an_unknown_reader_is_refused_and_the_known_ones_are_named(site: Path) -> None:
    with pytest.raises(NotebookError) as caught:
        format_for_reader("no-such-reader", "a.py")
    for name in ("no-such-reader", "nbformat", "jupytext", "myst", "their-lines"):
        assert name in str(caught.value)
    with pytest.raises(NotebookError, match="Makefile has no suffix"):
        format_for_reader("jupytext", "Makefile")


@pytest.mark.parametrize(
    ("reader", "message"),
    [
        ("their-path", "takes a path, but a reader is called with the text"),
        ("their-nothing", "returned no notebook"),
        ("their-broken", "failed: ZeroDivisionError"),
        ("their-value", "is not a function, but 3"),
        ("their-absent", "cannot be imported"),
    ],
)
def test_what_a_reader_does_wrong_is_told_and_no_traceback(
    site: Path, reader: str, message: str
) -> None:
    with pytest.raises(NotebookError, match=message) as caught:
        read_notebook("some text", format_for_reader(reader, "a.x"))
    assert reader in str(caught.value)


def test_a_path_too_long_to_be_one_is_told_as_well(site: Path) -> None:
    with pytest.raises(NotebookError, match="takes a path"):
        read_notebook("text\n" * 10_000, "reader their-path")


def test_a_reader_that_was_uninstalled_is_named() -> None:
    with pytest.raises(NotebookError, match="'gone' is not installed"):
        read_notebook("text", "reader gone")


def test_our_readers_are_announced_as_what_they_are() -> None:
    announced = tomllib.loads(PYPROJECT.read_text())["project"]["entry-points"][plugins.READERS]
    assert announced.keys() == {"nbformat", "jupytext", "myst", "myst_nb_md"}
    for name, target in announced.items():
        module, _, attribute = target.partition(":")
        reader = getattr(import_module(module), attribute)
        text = {"nbformat": IPYNB_TEXT, "jupytext": SCRIPT}.get(name, MYST_TEXT)
        assert isinstance(reader(text), Notebook)


def test_a_reader_may_be_named_for_a_suffix(site: Path) -> None:
    formats = Formats({".x": "their-lines", ".y": "jupytext", ".z": "nbformat", ".w": "new-format"})
    assert formats.format_of("a.x", "1 2") == "reader their-lines"
    assert formats.format_of("a.y", "") == "y"
    assert formats.format_of("a.z", "") == "ipynb"
    # Perhaps a format that jupytext has learnt meanwhile: it will say so if it is not.
    assert formats.format_of("a.w", "") == "new-format"


def test_a_reader_named_for_one_file_overrides_what_its_suffix_says(tmp_path: Path) -> None:
    script = tmp_path / "a.py"
    script.write_text(SCRIPT)
    assert scan_later(script).fmt is None
    assert scan_later(script, Formats({".py": "py:percent"})).fmt is None
    scan = scan_later(script, reader="jupytext")
    assert (scan.fmt, len(scan.cells)) == ("py", 1)
    assert scan.is_current(script, NONE, "jupytext")
    assert not scan.is_current(script, NONE, "py:light")
    assert not scan.is_current(script, NONE)
    assert not scan.is_current(script, Formats({".py": "jupytext"}))
    unknown = scan_later(script, reader="no-such-reader")
    assert unknown.unreadable is not None
    assert "no-such-reader" in unknown.unreadable.text


def test_what_a_third_partys_reader_read_is_read_again(site: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.x"
    path.write_text("1 2")
    formats = Formats({".x": "their-lines"})
    scan = scan_later(path, formats)
    assert is_foreign(scan.fmt or "")
    assert len(scan.cells) == 2
    assert scan.reading
    assert not scan.is_current(path, formats)


def test_names_that_are_ours_or_jupytexts_cost_no_look_at_what_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(**_options: str) -> None:
        raise AssertionError

    monkeypatch.setattr(importlib.metadata, "entry_points", refuse)
    plugins._announced.cache_clear()  # noqa: SLF001
    for reader in ("nbformat", "jupytext", "myst", "myst_nb_md", "py:percent", "Rmd", "m:f"):
        assert format_for_reader(reader, "a.py")
    with pytest.raises(AssertionError):
        format_for_reader("other", "a.py")


@pytest.mark.kernel
def test_a_book_is_built_with_a_third_partys_reader(
    book: Book, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]))
    book.conf(formats={".lines": "their-lines"})
    book.index("a")
    book.write("a.lines", f"{book.counting('a').replace(' ', '')} 'forty'+'two'")
    first = book.build()
    assert (first.status, first.ran) == (0, ("a",))
    assert "fortytwo" in book.page("a")
    assert book.build().ran == ()
    project = Project.find(
        book.folder, place=book.folder / "_build/.jupyter_cache", formats={".lines": "their-lines"}
    )
    assert [planned.decision.action for planned in project.plan()] == [Action.REUSE]
    project.close()


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ("py:precent", "jupytext has no format `precent`; did you mean `percent`?"),
        ("R:spinn", "jupytext has no format `spinn`; did you mean `spin`?"),
        ("precent", "jupytext has no format `precent`; did you mean `percent`?"),
        ("nbfromat", "jupytext has no format `nbfromat`; did you mean `nbformat`?"),
        ("new-kind", "jupytext cannot read it as 'new-kind'"),
    ],
)
def test_a_format_that_there_is_not_is_told_with_the_nearest_one(declared: str, words: str) -> None:
    with pytest.raises(NotebookError, match=re.escape(words)):
        read_notebook("x = 1\n", Formats({".x": declared}).format_of("a.x", "") or "")


def test_a_function_in_a_module_that_is_called_like_a_language_is_a_function() -> None:
    assert is_function("m:read")
    assert not is_function("py:precent")


def test_a_reader_that_there_is_not_is_told_with_the_nearest_one() -> None:
    with pytest.raises(NotebookError, match="did you mean `jupytext`"):
        format_for_reader("jupytex", "a.py")
