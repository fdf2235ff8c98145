"""A page that shows the command line of this package, verb by verb, over real notebooks."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from support import Book

from sphinx_nbcache.cli.groups import Exit
from sphinx_nbcache.click_pages.process import NOTEBOOK_FAILED, Ran, failure_of, read_command

pytestmark = pytest.mark.kernel

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
# What jupyter-cache's own documentation begins with; but for the names of the groups.
PAGE_OF_JUPYTER_CACHE = (
    (
        "project",
        ":command: add",
        ":args: tests/notebooks/basic_unrun.ipynb tests/notebooks/basic_failing.ipynb",
        ":input: y",
    ),
    ("project", ":command: list"),
    ("jcache", ":command: execute", ":args: --executor local-serial"),
    ("project", ":command: list"),
    ("cache", ":command: show", ":args: 1"),
    ("jcache", ":command: execute"),
    ("project", ":command: merge", ":args: 1 _executed_notebook.ipynb"),
)
QUICK_START = (
    ("project", ":command: add", ":args: notebooks/good.ipynb notebooks/bad.ipynb", ":input: y"),
    ("project", ":command: list"),
    ("jcache", ":command: execute", ":args: --executor local-serial", ":allow-exception:"),
    ("project", ":command: list"),
    ("cache", ":command: show", ":args: 1"),
    ("jcache", ":command: execute", ":allow-exception:"),
    ("project", ":command: merge", ":args: 1 _executed_notebook.ipynb"),
)


def directives(commands: Sequence[Sequence[str]]) -> str:
    blocks = (
        "\n".join([f"```{{jcache-cli}} sphinx_nbcache.cli:{group}", *options, "```"])
        for group, *options in commands
    )
    return "\n\n".join(["```{jcache-clear}\n```", *blocks])


def test_help_is_that_of_what_readers_type(book: Book) -> None:
    book.index("page")
    page = "```{jcache-cli}\n:args: --help\n```\n"
    page += "\n```{jcache-cli} sphinx_nbcache.cli:cache\n:command: list\n:args: --help\n```\n"
    book.write("page.md", f"# Page\n\n{page}")
    assert book.build(builder="text").warnings == ""
    text = book.page("page", "text")
    assert "$ sphinx-nbcache --help\n   Usage: sphinx-nbcache [OPTIONS]" in text
    assert "$ sphinx-nbcache cache list --help\n   Usage: sphinx-nbcache cache list" in text


def test_a_quick_start_works_on_its_own_store_and_again_when_it_is_read_again(book: Book) -> None:
    outside = Book(book.folder.parent / "notebooks", book.counter)
    outside.ipynb("good.ipynb", "%%print(6 * 7)")
    outside.ipynb("bad.ipynb", "%%1 / 0")
    book.index("page", "note")
    book.myst("note.md")
    book.write("page.md", f"# Page\n\n{directives(QUICK_START)}\n")
    texts = []
    for _ in range(2):
        built = book.build("-E", builder="text")
        assert built.warnings == ""
        # The page has its commands run what the build does not, and the other way round.
        assert set(built.ran) - {"note.md"} == {"good.ipynb", "bad.ipynb"}
        texts.append(book.page("page", "text"))
    assert book.build(builder="text").read == (0, 0, 0)
    for text in texts:
        assert re.findall(r"\$ sphinx-nbcache.*", text)[:2] == [
            "$ sphinx-nbcache project add notebooks/good.ipynb notebooks/bad.ipynb",
            "$ sphinx-nbcache project list",
        ]
        assert "notebooks/good.ipynb" in text
        assert "note.md" not in text
        assert str(book.folder.parent) not in text
    assert (book.folder.parent / "_executed_notebook.ipynb").exists()
    assert (book.folder / "_build/.nbcache-cli/page/.jupyter_cache/nbcache-2").is_dir()


def test_the_page_that_jupyter_cache_begins_with_needs_only_other_names_of_groups(
    book: Book,
) -> None:
    outside = book.folder.parent
    shutil.copytree(NOTEBOOKS, outside / "tests/notebooks")
    book.index("page")
    book.write("page.md", f"# Page\n\n{directives(PAGE_OF_JUPYTER_CACHE)}\n")
    for _ in range(2):  # the second time `_executed_notebook.ipynb` is there
        built = book.build("-E", builder="text")
        assert (built.warnings, built.status) == ("", 0)
        added, listed, executed, listed_again, shown, executed_again, merged = blocks(book)
        assert "Added: tests/notebooks/basic_unrun.ipynb (notebook 1)" in added
        assert "Added: tests/notebooks/basic_failing.ipynb (notebook 2)" in added
        for text, states in ((listed, "--"), (listed_again, "✅❌")):
            rows = re.findall(
                r"^ *(\d) +tests/notebooks/basic_(\w+)\.ipynb .*?(\S)( \[\d\])?$",
                text,
                re.MULTILINE,
            )
            assert [row[:2] for row in rows] == [("1", "unrun"), ("2", "failing")]
            assert "".join(row[2] for row in rows) == states
        assert "Finished! 1 succeeded, 1 failed." in executed
        assert "basic_failing.ipynb" in executed
        assert "ZeroDivisionError: division by zero" in executed
        assert "Notebook: tests/notebooks/basic_unrun.ipynb" in shown
        assert "2 of 2 code cells run" in shown
        assert "Finished! 0 succeeded, 1 failed, 1 up to date." in executed_again
        assert "Executing notebook 1 of 1" not in executed_again  # it would only fail again
        assert "Merged into _executed_notebook.ipynb" in merged
        (outside / "_executed_notebook.ipynb").stat()
    assert book.build(builder="text").read == (0, 0, 0)


def test_an_own_command_that_does_not_end_with_a_failed_notebook_but_in_error_is_a_warning(
    book: Book,
) -> None:
    book.index("page")
    page = "```{jcache-cli} sphinx_nbcache.cli:cache\n:command: show\n:args: 99\n```\n"
    book.write("page.md", f"# Page\n\n{page}")
    built = book.build(builder="text")
    assert "page.md:3: WARNING: jcache-cli: `sphinx-nbcache cache show 99` ended" in built.warnings
    assert "has no result with the id 99" in book.page("page", "text")


def test_pages_know_the_exit_code_of_a_failed_notebook() -> None:
    assert NOTEBOOK_FAILED == Exit.FAILED
    own, other = read_command("sphinx_nbcache.cli:jcache"), read_command("module:command")
    assert failure_of(own, Ran(Exit.FAILED)) == ""
    assert failure_of(own, Ran(Exit.FAILED, error="KeyError")) == "raised KeyError"
    assert failure_of(own, Ran(Exit.STORE)) == "ended with exit status 3"
    assert failure_of(other, Ran(Exit.FAILED)) == "ended with exit status 1"


def blocks(book: Book) -> list[str]:
    """Return what the commands of the page showed, in their order."""
    return re.split(r"^ *\$ ", book.page("page", "text"), flags=re.MULTILINE)[1:]
