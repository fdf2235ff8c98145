"""A build in which nothing changed changes no file that plain Sphinx does not change, too."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from support import Book, code_cell

pytestmark = pytest.mark.kernel

DOCTREES = "book/_build/doctrees"
Stat = tuple[int, int, int]
PLAIN = """extensions = ["myst_parser"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
"""


def files(folder: Path) -> dict[str, Stat]:
    """Return all files and folders below a folder, with what tells that one was touched."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        stat = path.lstat()
        name = path.relative_to(folder).as_posix()
        found[name] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
    return found


def touched(book: Book, *arguments: str) -> set[str]:
    """Build; return what was made, changed or removed by it."""
    before = files(book.folder.parent)
    book.build(*arguments)
    after = files(book.folder.parent)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def settle(book: Book) -> None:
    """Let every file become so old that its times alone tell of a change."""
    old = time.time() - 100
    for path in book.folder.rglob("*"):
        if path.is_file() and "_build" not in path.parts:
            os.utime(path, (old, old))


@pytest.fixture
def plain(tmp_path: Path) -> Book:
    """A book of plain pages."""
    made = Book(tmp_path / "plain" / "book", tmp_path / "plain.txt")
    made.write("conf.py", PLAIN)
    made.index("page")
    made.write("page.md", "# Page\n\nText.\n")
    return made


@pytest.fixture
def usual(plain: Book) -> set[str]:
    """What a build of plain pages changes in which nothing has changed."""
    settle(plain)
    plain.build()
    plain.build()
    return touched(plain)


@pytest.mark.parametrize("failing", [False, True], ids=["hits", "failures"])
def test_a_build_in_which_nothing_changed_writes_nothing(
    book: Book, usual: set[str], *, failing: bool
) -> None:
    book.index("reads", "writes", "allowed", "page")
    book.write("data.csv", "1\n")
    book.write("page.md", "# Page\n\nText.\n")
    book.myst("reads.md", "%%\nprint(open('data.csv').read())\nimport glob; glob.glob('*.csv')")
    book.myst("writes.md", "%%\nopen('made.txt', 'w').write('made')")
    book.ipynb("allowed.ipynb", code_cell("1 / 0", "raises-exception"))
    if failing:
        book.index("reads", "writes", "allowed", "page", "failing")
        book.myst("failing.md", "%%\n1 / 0")
    settle(book)
    book.build()
    # The report changes once more: it said what ran. It lies with the pages.
    first = touched(book)
    assert {name for name in first if not name.startswith(("book/_build/html", DOCTREES))} == set()
    for _ in range(2):
        assert touched(book) - usual == set()
