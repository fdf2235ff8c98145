"""The quick start of the page that this project was born from, verb by verb, as it stands there."""

from __future__ import annotations

import json

import pytest
from support import Book
from support_cli import NOTEBOOKS, CommandLine

from sphinx_nbcache.cli import cache, jcache, project

UNRUN, FAILING = "tests/notebooks/basic_unrun.ipynb", "tests/notebooks/basic_failing.ipynb"


@pytest.mark.kernel
def test_the_quick_start(cli: CommandLine) -> None:
    cli.copy("basic_unrun.ipynb", "basic_failing.ipynb", to="tests/notebooks")
    before = {path.name: path.read_bytes() for path in cli.folder.rglob("*.ipynb")}

    added = cli.ok("add", UNRUN, FAILING, group=project)
    assert added.out.splitlines() == [
        f"Added: {UNRUN} (notebook 1)",
        f"Added: {FAILING} (notebook 2)",
        "Success!",
    ]

    listed = cli.ok("list", group=project).out.splitlines()
    assert listed[0].split() == ["ID", "Path", "Reader", "Added", "(UTC)", "Status"]
    assert [line.split()[0] for line in listed[2:]] == ["1", "2"]
    assert [line.split()[-1] for line in listed[2:]] == ["-", "-"]

    first = cli("execute", "--executor", "local-serial", group=jcache)
    assert first.code == 1
    assert first.out.splitlines() == [
        "Finished! 1 succeeded, 1 failed.",
        "succeeded:",
        f"- {UNRUN} (result 1)",
        "failed:",
        f"- {FAILING}:31 (result 2): code cell 2, line 1: ZeroDivisionError: division by zero",
    ]

    listed = cli.ok("list", group=project).out.splitlines()
    assert listed[2].endswith("✅")
    assert listed[3].endswith("❌")

    shown = cli.ok("show", "1", group=cache).out
    assert "ID: result 1\n" in shown
    assert f"Notebook: {UNRUN}\n" in shown
    assert "2 of 2 code cells run" in shown

    second = cli("execute", group=jcache)
    assert second.code == 1
    assert second.out.startswith("Finished! 0 succeeded, 1 failed, 1 up to date.\n")

    merged = cli.ok("merge", "1", "_executed_notebook.ipynb", group=project)
    assert merged.out.splitlines() == ["Merged into _executed_notebook.ipynb", "Success!"]
    notebook = cli.read("_executed_notebook.ipynb")
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == [1, 2]
    assert code[0]["outputs"][0]["data"]["text/plain"] == ["42"]
    assert code[1]["outputs"][0]["text"] == ["The sum is 42\n"]

    for cell in code:
        cell |= {"outputs": [], "execution_count": None}
    source = json.loads((NOTEBOOKS / "basic_unrun.ipynb").read_text(encoding="utf-8"))
    assert notebook["cells"] == source["cells"]
    assert {path.name: path.read_bytes() for path in cli.folder.rglob("basic*.ipynb")} == before


@pytest.mark.kernel
def test_the_traceback_of_a_failure_is_shown(cli: CommandLine) -> None:
    cli.copy("basic_failing.ipynb")
    assert cli("execute", "basic_failing.ipynb").code == 1
    for arguments in (("project", "show", "1"), ("project", "info", "1"), ("cache", "show", "1")):
        shown = cli.ok(*arguments).out
        assert "Failed in code cell 2, line 1: ZeroDivisionError: division by zero" in shown
        assert "----> 1" in shown
        assert "\x1b" not in shown
    assert " division by zero (line 31 of the file)\n" in cli.ok("project", "show", "1").out
    assert "----> 1" not in cli.ok("project", "show", "1", "--no-tb").out
    failure = cli.ok("project", "show", "1", "--json").json["result"]["failure"]
    assert (failure["name"], failure["cell"]) == ("ZeroDivisionError", 2)


def test_the_command_writes_the_notebooks_of_the_page_and_a_book(cli: CommandLine) -> None:
    written = cli.ok("quickstart", "demo").out.splitlines()
    names = ["conf.py", "index.md", FAILING, UNRUN]
    assert written == [f"Written: demo/{name}" for name in names]
    for name in (UNRUN, FAILING):
        original = NOTEBOOKS / name.rpartition("/")[2]
        assert (cli.folder / "demo" / name).read_bytes() == original.read_bytes()


def test_a_folder_that_is_not_empty_is_left_alone(cli: CommandLine) -> None:
    cli.write("demo/conf.py", "mine")
    done = cli("quickstart", "demo")
    assert (done.code, done.err.strip()) == (2, "Error: demo is not empty; name a new folder")
    assert [path.name for path in (cli.folder / "demo").iterdir()] == ["conf.py"]
    cli.write("file", "")
    assert cli("quickstart", "file/demo").code == 2


@pytest.mark.kernel
def test_its_book_is_built_without_a_warning_but_that_of_the_failure(
    cli: CommandLine, book: Book
) -> None:
    cli.ok("quickstart", "demo")
    book.folder = cli.folder / "demo"
    built = book.build()
    assert built.status == 0
    (warning,) = built.warnings.splitlines()
    assert "the notebook failed in code cell 2, line 1: ZeroDivisionError" in warning
