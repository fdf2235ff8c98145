"""A page that shows the command line of this package, verb by verb, over real notebooks."""

from __future__ import annotations

import re

import pytest
from support import Book

pytestmark = pytest.mark.kernel

QUICK_START = (
    ("project", ":command: add", ":args: notebooks/good.ipynb notebooks/bad.ipynb", ":input: y"),
    ("project", ":command: list"),
    ("jcache", ":command: execute", ":args: --executor local-serial", ":allow-exception:"),
    ("project", ":command: list"),
    ("cache", ":command: show", ":args: 1"),
    ("jcache", ":command: execute", ":allow-exception:"),
    ("project", ":command: merge", ":args: 1 _executed_notebook.ipynb"),
)


def directives() -> str:
    blocks = (
        "\n".join([f"```{{jcache-cli}} sphinx_nbcache.cli:{group}", *options, "```"])
        for group, *options in QUICK_START
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
    book.write("page.md", f"# Page\n\n{directives()}\n")
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
    assert (book.folder / "_build/.nbcache-cli/page/.jupyter_cache/nbcache-1").is_dir()
