"""Bad input: a message, the right exit code, no traceback, nothing lost."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import nbformat
import pytest
from support import code_cell
from support_cli import CommandLine, printing

RUN = code_cell("print('hi')", outputs=printing("hi\n"), count=1)


@pytest.fixture
def filled(cli: CommandLine) -> CommandLine:
    """A project with a notebook that has a result."""
    cli.ipynb("a.ipynb", RUN)
    cli.ok("project", "add", "a.ipynb")
    cli.ok("cache", "add", "a.ipynb")
    return cli


def test_a_new_file_is_not_added_beside_something_unknown(filled: CommandLine) -> None:
    filled.ipynb("new.ipynb", "# Text")
    done = filled("execute", "new.ipynb", UNKNOWN)
    assert (done.code, done.out) == (2, "")
    assert len(filled.ok("project", "list", "--json").json["notebooks"]) == 1


UNKNOWN = "99"
GONE = "gone.ipynb"


@pytest.mark.parametrize(
    ("command", "unknown"),
    [
        ("project show {}", UNKNOWN),
        ("project show {}", "0"),
        ("project show {}", GONE),
        ("project remove {}", UNKNOWN),
        ("project remove a.ipynb {}", UNKNOWN),
        ("project invalidate {}", UNKNOWN),
        ("project merge {} out.ipynb", UNKNOWN),
        ("project plan {}", UNKNOWN),
        ("cache show {}", UNKNOWN),
        ("cache show {}", "ffffffffffff"),
        ("cache show {}", "9" * 5000),
        ("cache show {}", GONE),
        ("cache remove {}", UNKNOWN),
        ("cache remove 1 {}", UNKNOWN),
        ("cache artifact {} x", UNKNOWN),
        ("cache diff {} a.ipynb", UNKNOWN),
        ("execute {}", UNKNOWN),
        ("execute a.ipynb {}", UNKNOWN),
        ("execute {}", GONE),
        ("explain {}", UNKNOWN),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_unknown_is_named_and_nothing_is_done(
    filled: CommandLine, command: str, unknown: str
) -> None:
    def state() -> object:
        return filled.ok("project", "list", "--json").json, filled.ok("cache", "list").out

    before = state()
    done = filled(*command.format(unknown).split())
    assert (done.code, done.out) == (2, "")
    assert unknown[:40] in done.err
    assert state() == before


@pytest.mark.parametrize("command", ["execute -e nonsense", "project add a.ipynb -r nonsense"])
def test_names_of_executors_and_readers_are_checked(filled: CommandLine, command: str) -> None:
    done = filled(*command.split())
    assert (done.code, done.out) == (2, "")
    assert "nonsense" in done.err
    assert done.err.count("local-serial") <= 1


def test_a_source_is_not_overwritten(filled: CommandLine) -> None:
    before = (filled.folder / "a.ipynb").read_bytes()
    done = filled("project", "merge", "1", "a.ipynb")
    assert (done.code, done.out) == (2, "")
    assert "is the source of a notebook" in done.err
    assert (filled.folder / "a.ipynb").read_bytes() == before


@pytest.mark.parametrize("output", ["missing/out.ipynb", "a.ipynb/out.ipynb", ".", "out.nonsense"])
def test_an_output_that_cannot_be_written_is_named(filled: CommandLine, output: str) -> None:
    done = filled("project", "merge", "1", output)
    assert (done.code, done.out) == (2, "")
    assert Path(output).name in done.err or output in done.err


def test_a_merge_needs_a_result_of_the_present_code(filled: CommandLine) -> None:
    filled.ipynb("a.ipynb", code_cell("print('changed')"))
    done = filled("project", "merge", "1", "out.ipynb")
    assert (done.code, done.out) == (2, "")
    assert "a.ipynb" in done.err
    assert not (filled.folder / "out.ipynb").exists()


ODD = [None, [], [1], {}, "", "text", 3, [None], {"a": None}, {"a": [1]}]
ODD_OUTPUTS = [[{"text": "an output"}], [{"output_type": "display_data", "data": None}]]


@pytest.mark.parametrize("key", ["metadata", "outputs", "execution_count", "source", "attachments"])
def test_notebooks_as_other_tools_and_hands_leave_them_end_no_command_with_a_traceback(
    cli: CommandLine, key: str
) -> None:
    for number, written in enumerate(["missing", *ODD, *ODD_OUTPUTS]):
        cells = [RUN, code_cell("2", "skip-execution"), {"cell_type": "markdown", "source": "# T"}]
        cells = [{name: value for name, value in cell.items() if name != key} for cell in cells]
        if written != "missing":
            cells = [{**cell, key: written} for cell in cells]
        name = f"{number}.ipynb"
        notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
        cli.write(name, json.dumps(notebook))
        cli("project", "add", name)
        if cli("cache", "add", "--no-validate", name).code == 0:
            for output in ("out.ipynb", "out.py"):
                done = cli("project", "merge", name, output)
                assert done.code == 0 or "not as nbformat 4 has it" in done.err
        for command in (["show"], ["explain"], ["cache", "diff", "1"]):
            cli(*command, name)
    for command in (["plan"], ["report"], ["project", "clear", "--force"]):
        cli(*command)


def test_cells_without_metadata_outputs_and_counts_are_merged(cli: CommandLine) -> None:
    cells = [{"cell_type": "markdown", "source": "# T"}, {"cell_type": "code", "source": "1"}]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    cli.write("a.ipynb", json.dumps(notebook))
    cli.ok("project", "add", "a.ipynb")
    cli.ok("cache", "add", "--no-validate", "a.ipynb")
    cli.ok("project", "merge", "a.ipynb", "out.ipynb")
    nbformat.validate(cli.read("out.ipynb"))


def test_what_is_no_notebook_is_not_added_as_a_result(filled: CommandLine) -> None:
    filled.write("text.md", "# Text\n")
    filled.write("bad.ipynb", "{")
    for name in ("text.md", "bad.ipynb"):
        done = filled("cache", "add", name)
        assert (done.code, done.out) == (2, "")
        assert name in done.err
    for name in ("text.md", "bad.ipynb"):
        done = filled("cache", "diff", "1", name)
        assert (done.code, done.out) == (2, "")
        assert name in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["project", "clear"],
        ["cache", "clear"],
        ["cache", "remove", "-a"],
        ["project", "invalidate", "-a"],
    ],
    ids=" ".join,
)
def test_nothing_is_removed_without_an_answer(
    filled: CommandLine, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for answer in ("", "n\n"):
        monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
        done = filled(*arguments)
        assert (done.code, done.out) == (2, "")
        assert "--force" in done.err
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    filled.ok(*arguments)


def test_a_store_that_is_no_store_costs_a_warning(filled: CommandLine) -> None:
    (database,) = (filled.folder / ".jupyter_cache").rglob("cache.db")
    database.write_bytes(b"not a database" * 1000)
    for path in database.parent.glob("cache.db-*"):
        path.unlink()
    done = filled.ok("cache", "list")
    assert "is damaged" in done.err
    assert done.out == "No results in the store\n"


def test_a_store_that_cannot_be_made_is_store_trouble(cli: CommandLine) -> None:
    cli.ipynb("a.ipynb", RUN)
    cli.write("file", "")
    place = cli.folder / "file" / "store"
    for command in (
        ["project", "add", "a.ipynb"],
        ["project", "list"],
        ["cache", "list", "--json"],
    ):
        done = cli(*command, "-p", place)
        assert done.code == 3
        assert "store" in done.err


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_cannot_be_written_is_store_trouble(filled: CommandLine) -> None:
    folder = filled.folder / ".jupyter_cache"
    paths = [folder, *folder.rglob("*")]
    for path in paths:
        path.chmod(path.stat().st_mode & ~0o222)
    try:
        assert filled("project", "clear", "--force").code == 3
        assert len(filled.ok("project", "list", "--json").json["notebooks"]) == 1
    finally:
        for path in paths:
            path.chmod(path.stat().st_mode | 0o200)


def test_a_notebook_that_was_renamed_is_named_with_what_takes_it_off_the_list(
    filled: CommandLine,
) -> None:
    (filled.folder / "a.ipynb").rename(filled.folder / "b.ipynb")
    done = filled("execute")
    assert done.code == 1
    assert "- a.ipynb: there is no such file" in done.out
    hint = "To remove missing files from the list: sphinx-nbcache project remove a.ipynb"
    assert hint in done.err
    filled.ok("project", "remove", "a.ipynb")
    filled.ok("execute", "b.ipynb")


def test_the_quick_start_quotes_a_name_with_spaces(cli: CommandLine) -> None:
    assert "Go there with `cd 'my book'`, and" in cli.ok("quickstart", "my book").err
