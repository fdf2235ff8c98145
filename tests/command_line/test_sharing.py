"""Results go from one checkout to another: nothing runs there, and the pages are equal."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support import Book, code_cell
from support_cli import CommandLine, printing

RUN = code_cell("print('hi')", outputs=printing("hi\n"), count=1)


@pytest.fixture
def clone(book: Book, tmp_path: Path) -> Book:
    """A fresh clone of a book with a module, data, a picture and a file that a notebook writes."""
    book.write("helper.py", "def twice(number):\n    return 2 * number\n")
    book.write("data.csv", "1\n2\n")
    book.myst(
        "a.md",
        "%%import helper\nprint(helper.twice(4))",
        "%%with open('data.csv') as file:\n    print(file.read())",
        "%%with open('made.csv', 'w') as file:\n    print('made', file=file)",
    )
    book.ipynb("b.ipynb", "%%with open('made.csv') as file:\n    print(file.read())")
    book.index("a", "b")
    folder = tmp_path / "elsewhere" / "deeper" / "book"
    shutil.copytree(book.folder, folder)
    return Book(folder, book.counter)


@pytest.mark.kernel
def test_a_fresh_clone_with_an_imported_archive_runs_nothing_and_has_equal_pages(
    book: Book, clone: Book, cli: CommandLine
) -> None:
    assert set(book.build().ran) == {"a.md", "b.ipynb"}
    file = cli.folder / "results.zip"
    cli.ok("cache", "export", file, "--only-used", "-p", book.store)
    cli.ok("cache", "import", file, "-p", clone.store)
    built = clone.build("-W")
    assert (built.status, built.ran) == (0, ())
    assert [clone.page(name) for name in "ab"] == [book.page(name) for name in "ab"]
    assert (clone.folder / "made.csv").read_text(encoding="utf-8") == "made\n"
    # Validity is that of any result.
    clone.write("data.csv", "3\n")
    assert clone.build().ran == ("a.md",)


def test_what_is_exported_left_out_and_imported_is_said(cli: CommandLine) -> None:
    cli.ipynb("a.ipynb", RUN)
    here = code_cell("'x'", outputs=printing(f"in {cli.folder}\n"), count=1)
    cli.ipynb("b.ipynb", here)
    cli.ok("cache", "add", "a.ipynb", "b.ipynb")
    why = "its outputs, sources or files name the path of the project"
    said = f"Left out: b.ipynb (result 2): {why}\n1 result in r.zip\n"
    assert cli.ok("cache", "export", "r.zip").out == said
    left_out = [{"id": 2, "notebook": "b.ipynb", "reason": why}]
    done = cli.ok("cache", "export", "r.zip", "--json").json
    assert (done["exported"], done["left_out"]) == ([1], left_out)
    cli.ok("cache", "clear", "--force")
    assert cli.ok("cache", "import", "r.zip").out == "Added: a.ipynb (result 3)\n1 result added\n"
    again = cli.ok("cache", "import", "r.zip", "--json").json
    assert (again["added"], again["present"]) == ([], 1)
    assert cli.ok("cache", "import", "r.zip").out == "0 results added, 1 result had been there\n"


def test_only_results_that_are_used_are_exported(cli: CommandLine) -> None:
    for name in "ab":
        cli.ipynb(f"{name}.ipynb", code_cell(f"print('{name}')", outputs=printing(name), count=1))
    cli.ok("cache", "add", "a.ipynb", "b.ipynb")
    cli.ok("project", "add", "b.ipynb")
    assert cli.ok("cache", "export", "r.zip").out == "2 results in r.zip\n"
    assert cli.ok("cache", "export", "r.zip", "--only-used").out == "1 result in r.zip\n"


def test_a_file_that_is_no_archive_is_named(cli: CommandLine) -> None:
    cli.write("r.zip", "garbage")
    done = cli("cache", "import", "r.zip")
    assert done.code == 2
    assert "r.zip is no archive of results: its end is missing" in done.err
    assert cli("cache", "import", "missing.zip").code == 2
    assert cli("cache", "export", "no/such/folder.zip").code == 2
