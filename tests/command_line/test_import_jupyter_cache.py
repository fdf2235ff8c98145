"""Results of jupyter-cache are taken over: from a folder that jupyter-cache itself has written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import Book, code_cell
from support_cli import CommandLine, printing

jupyter_cache = pytest.importorskip("jupyter_cache")

COMMAND = ("cache", "import-jupyter-cache")


def executed(text: str = "hi", *, count: int = 1) -> dict[str, object]:
    """Return a code cell that has printed a text."""
    return dict(code_cell(f"print({text!r})", outputs=printing(f"{text}\n"), count=count))


def fill(folder: Path, *notebooks: Path) -> None:
    """Let jupyter-cache keep the results of executed notebooks in a folder."""
    theirs = jupyter_cache.get_cache(folder)
    for notebook in notebooks:
        theirs.cache_notebook_file(str(notebook))


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of jupyter-cache."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in files if "nbcache-" not in str(path)}


@pytest.fixture
def theirs(cli: CommandLine) -> Path:
    """The folder of jupyter-cache, which has the result of `a.ipynb`."""
    folder = cli.folder / ".jupyter_cache"
    fill(folder, cli.ipynb("a.ipynb", executed(), kernelspec={"name": "python3"}))
    cli.ipynb("a.ipynb", "# New text", "%%print('hi')", kernelspec={"name": "python3"})
    cli.ok("project", "add", "a.ipynb")
    return folder


def test_a_notebook_with_the_same_code_is_not_executed_again(
    cli: CommandLine, theirs: Path
) -> None:
    before = contents(theirs)
    assert cli.ok(*COMMAND).out == "Added: a.ipynb (result 1)\n1 result added\n"
    assert contents(theirs) == before
    assert "1 up to date" in cli.ok("execute").out
    cli.ok("project", "merge", "a.ipynb", "out.ipynb")
    assert cli.read("out.ipynb")["cells"][1]["outputs"][0]["text"] == ["hi\n"]
    assert "not tracked: only declared ones count" in cli.ok("explain", "a.ipynb").out
    # It is not taken twice, and other code is not taken at all.
    assert cli.ok(*COMMAND).out == "0 results added, 1 notebook had a result\n"
    cli.ipynb("a.ipynb", "%%print('other')", kernelspec={"name": "python3"})
    assert cli.ok(*COMMAND).out == "0 results added, 1 in jupyter-cache of other code\n"


def test_another_kernel_has_another_result(cli: CommandLine, theirs: Path) -> None:
    cli.ipynb("a.ipynb", "%%print('hi')", kernelspec={"name": "other"})
    assert "0 results added" in cli.ok(*COMMAND).out


def test_a_notebook_that_must_be_traced_is_run(
    cli: CommandLine, theirs: Path, tmp_path: Path
) -> None:
    theirs = theirs.rename(tmp_path / "theirs")
    cli.write("conf.py", "nbcache_untraced = 'run'\n")
    cli.ok("project", "add", "a.ipynb", "--conf", ".")
    assert "1 result added" in cli.ok(*COMMAND, theirs, "--conf", ".").out
    done = cli.ok("execute", "--conf", ".", "--json").json["notebooks"][0]
    assert done["outcome"] == "executed"
    assert done["reason"] == "what its last run depended on was not tracked (nbcache_untraced)"
    assert "1 up to date" in cli.ok("execute", "--conf", ".").out


def test_damage_and_links_are_named_or_left_alone(
    cli: CommandLine, theirs: Path, tmp_path: Path
) -> None:
    for name, text in (("1", "{"), ("2", json.dumps({"nbformat": 4, "cells": 5})), ("3", "")):
        (theirs / "executed" / name).mkdir()
        (theirs / "executed" / name / "base.ipynb").write_text(text)
    secret = tmp_path / "secret.ipynb"
    secret.write_text("{}")
    (theirs / "executed" / "4").mkdir()
    (theirs / "executed" / "4" / "base.ipynb").symlink_to(secret)
    done = cli(*COMMAND, "--json")
    assert done.code == 2
    assert [item["path"] for item in done.json["added"]] == ["a.ipynb"]
    refused = [Path(item["path"]).parent.name for item in done.json["refused"]]
    assert refused == ["1", "2", "3"]
    assert "Traceback" not in done.err


def test_a_folder_without_results_of_jupyter_cache_is_named(
    cli: CommandLine, tmp_path: Path
) -> None:
    done = cli(*COMMAND, tmp_path)
    assert done.code == 2
    assert f"there are no results of jupyter-cache in {tmp_path}" in done.err


def test_the_first_build_says_what_can_be_taken_over(book: Book) -> None:
    book.index("a")
    book.conf()
    folder = book.folder / "_build" / ".jupyter_cache"
    path = book.ipynb("a.ipynb", executed(), counts=False)
    fill(folder, path)
    book.ipynb("a.ipynb", "%%print('hi')", counts=False)
    hint = f"{folder} has results of jupyter-cache; `sphinx-nbcache cache import-jupyter-cache`"
    assert hint in book.build().log
    book.ipynb("a.ipynb", "%%print('ho')", counts=False)
    assert hint not in book.build().log


def test_a_stale_result_of_the_same_code_is_not_hidden(cli: CommandLine, theirs: Path) -> None:
    (cli.folder / "data.csv").write_text("1")
    code, data = "print(open('data.csv').read())", {"kernelspec": {"name": "python3"}}
    outputs = printing("old\n")
    path = cli.ipynb("b.ipynb", dict(code_cell(code, outputs=outputs, count=1)), **data)
    fill(theirs, path)
    # Only the metadata differ: jupyter-cache has two results of one code.
    fill(theirs, cli.ipynb("b.ipynb", dict(code_cell(code, "x", outputs=outputs, count=1)), **data))
    cli.ipynb("b.ipynb", f"%%{code}", **data)
    cli.ok("execute", "b.ipynb")
    (cli.folder / "data.csv").write_text("2")
    done = cli.ok(*COMMAND)
    assert done.out == "Added: a.ipynb (result 2)\n1 result added, 1 notebook had a result\n"
    assert "data.csv changed" in cli.ok("plan").out
    assert "2 in jupyter-cache" not in done.out
