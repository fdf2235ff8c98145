"""One store with Sphinx: what one front end has executed, the other does not execute again."""

from __future__ import annotations

import pytest
from support import Book
from support_cli import CommandLine

pytestmark = pytest.mark.kernel


@pytest.fixture
def written(book: Book, cli: CommandLine) -> Book:
    """A book with two notebooks; commands are given in its folder."""
    book.index("a", "b")
    book.ipynb("a.ipynb", "%%1 + 1")
    book.myst("b.md", "%%2 + 2")
    cli.folder = book.folder
    return book


def test_after_a_build_nothing_is_left_to_execute(written: Book, cli: CommandLine) -> None:
    assert len(written.build().ran) == 2
    names = {name.rpartition("/")[2] for name in cli.statuses()}
    assert names == {"a.ipynb", "b.md"}
    assert set(cli.statuses().values()) == {"ok"}
    done = cli.ok("execute", "--json").json
    assert {item["outcome"] for item in done["notebooks"]} == {"reused"}
    assert len(written.runs()) == 2


def test_what_the_command_line_executed_a_build_does_not(written: Book, cli: CommandLine) -> None:
    written.build()
    written.ipynb("a.ipynb", "%%1 + 5")
    cli.ok("execute")
    assert len(written.runs()) == 3
    built = written.build()
    assert built.ran == ()
    assert "6" in written.page("a")


def test_settings_are_read_from_conf_before_the_first_build(
    written: Book, cli: CommandLine
) -> None:
    written.conf(kernel_aliases={"python3": "python3"}, timeout=77, store="_build/.jupyter_cache")
    cli.ok("execute", "--conf", ".", "a.ipynb", "b.md")
    assert len(written.runs()) == 2
    assert written.build().ran == ()


def test_it_works_from_a_folder_below(written: Book, cli: CommandLine) -> None:
    written.build()
    (written.folder / "sub").mkdir()
    cli.folder = written.folder / "sub"
    assert set(cli.statuses().values()) == {"ok"}
    cli.ok("explain", "../a.ipynb")


def test_the_variable_goes_before_the_built_project_and_the_option_before_the_variable(
    book: Book, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.index("a")
    book.ipynb("a.ipynb", "# Text")
    book.build()
    cli.folder = book.folder
    assert cli.ok("--print-path").out == f"Cache path: {book.store}\n"
    elsewhere = book.folder.parent / "elsewhere"
    monkeypatch.setenv("JUPYTERCACHE", str(elsewhere))
    assert cli.ok("--print-path").out == f"Cache path: {elsewhere}\n"
    assert cli.ok("--print-path", "-p", book.store).out == f"Cache path: {book.store}\n"
    book.conf(store="named")
    named = cli.ok("--print-path", "--conf", ".").out
    assert named == f"Cache path: {book.folder / 'named'}\n"
