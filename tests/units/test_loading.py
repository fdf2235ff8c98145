"""Code that cells load from files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sphinx_nbcache.notebooks.formats import Formats, read_notebook
from sphinx_nbcache.notebooks.scan import Scan, cell_digest, scan_file

HEAD = "---\nkernelspec: {name: python3, display_name: Python 3}\n---\n\n"
CELL = "```{code-cell}\n:load: code/part.py\n```\n"
OLD_NS = 1_600_000_000_123_456_789


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, ns=(OLD_NS, OLD_NS))
    return path


def scan(path: Path) -> Scan:
    return scan_file(path, Formats({}))


def test_a_cell_has_the_code_of_the_file_that_it_loads(tmp_path: Path) -> None:
    write(tmp_path / "code" / "part.py", "print(1)\n\nprint(2)\n")
    notebook = read_notebook(HEAD + CELL, "myst", tmp_path)
    assert [item.cell.source for item in notebook.code_cells] == ["print(1)\n\nprint(2)"]
    assert notebook.loaded == ("code/part.py",)
    assert notebook.problems == ()


def test_a_nested_cell_loads_as_well(tmp_path: Path) -> None:
    write(tmp_path / "code" / "part.py", "x = 1")
    text = HEAD + f"````{{note}}\n{CELL}````\n"
    notebook = read_notebook(text, "myst", tmp_path)
    assert [item.cell.source for item in notebook.code_cells] == ["x = 1"]


@pytest.mark.parametrize(("content", "says"), [(None, "cannot be read"), (b"\xff", "is not UTF-8")])
def test_a_file_that_cannot_be_loaded_is_a_problem_with_its_line(
    tmp_path: Path, content: bytes | None, says: str
) -> None:
    if content is not None:
        (tmp_path / "code").mkdir()
        (tmp_path / "code" / "part.py").write_bytes(content)
    notebook = read_notebook(HEAD + CELL, "myst", tmp_path)
    (problem,) = notebook.problems
    assert "code/part.py" in problem.text
    assert says in problem.text
    assert problem.line


@pytest.mark.posix
@pytest.mark.timeout(30)
def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    os.mkfifo(tmp_path / "code" / "part.py")
    (problem,) = read_notebook(HEAD + CELL, "myst", tmp_path).problems
    assert "cannot be read (it is a named pipe)" in problem.text


def test_a_scan_is_of_the_loaded_code_and_current_as_long_as_the_file_is_the_same(
    tmp_path: Path,
) -> None:
    part = write(tmp_path / "code" / "part.py", "print(1)")
    path = write(tmp_path / "a.md", HEAD + CELL)
    first = scan(path)
    assert [cell.digest for cell in first.cells] == [cell_digest("print(1)")]
    # The times of change are young: as if it had been made a while later.
    assert not first.is_current(path, Formats({}))
    later = scan_file(path, Formats({}), now_ns=lambda: first.seen_ns + 10**10)
    assert later.is_current(path, Formats({}))
    write(part, "print(2)")
    assert not later.is_current(path, Formats({}))
    part.unlink()
    assert not later.is_current(path, Formats({}))
