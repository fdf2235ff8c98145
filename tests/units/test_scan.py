"""The remembered reading of a source: what it holds, and when it may be trusted."""

from __future__ import annotations

import builtins
import io
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sphinx_nbcache.files.stats import Stat
from sphinx_nbcache.notebooks.formats import Formats
from sphinx_nbcache.notebooks.notebook import decode_source
from sphinx_nbcache.notebooks.scan import Scan
from sphinx_nbcache.notebooks.scan import scan_file as scan_file_at

SECOND = 1_000_000_000
NONE = Formats()
# Neither whole seconds, nor fresh: a file time that can be trusted.
OLD = 1_600_000_000 * SECOND + 123_456_789


def ipynb(*sources: str, **metadata: Any) -> str:
    """Return the text of a notebook."""
    cells: list[dict[str, Any]] = [
        {"cell_type": "code", "source": s, "metadata": {}, "outputs": [], "execution_count": None}
        for s in sources
    ]
    data = {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}
    return json.dumps(data, indent=1)


def scan_file(
    path: Path, formats: Formats, now_ns: Callable[[], int] = lambda: time.time_ns() + 5 * SECOND
) -> Scan:
    """Scan a file, some seconds after it was written: a scan right after that is not trusted."""
    return scan_file_at(path, formats, now_ns=now_ns)


def old_file(path: Path, text: str, mtime_ns: int = OLD) -> Path:
    """Write a file that was last changed long ago."""
    path.write_text(text, encoding="utf-8")
    os.utime(path, ns=(mtime_ns, mtime_ns))
    return path


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    """A notebook that was last changed long ago."""
    return old_file(tmp_path / "a.ipynb", ipynb("x = 1", "", "x"))


def test_a_scan_holds_the_code_cells_that_have_code(notebook: Path) -> None:
    scan = scan_file(notebook, NONE)
    assert scan.fmt == "ipynb"
    assert [cell.number for cell in scan.cells] == [1, 3]
    lines = notebook.read_text(encoding="utf-8").split("\n")
    assert "x = 1" in lines[scan.cells[0].line - 1]
    assert not scan.has_outputs
    assert scan.unreadable is None


def test_a_scan_survives_being_stored(notebook: Path) -> None:
    scan = scan_file(notebook, NONE)
    assert msgspec.json.decode(msgspec.json.encode(scan), type=Scan) == scan


def test_tags_that_matter_are_in_the_scan(tmp_path: Path) -> None:
    text = (
        "---\nkernelspec: {name: python3}\n---\n```{code-cell}\n:tags: [skip-execution]\n1\n```\n"
        "```{code-cell}\n:tags: [raises-exception, hide-input]\n2\n```\n"
    )
    first, second = scan_file(old_file(tmp_path / "a.md", text), NONE).cells
    assert (first.skipped, first.raises) == (True, False)
    assert (second.skipped, second.raises) == (False, True)


def test_an_ordinary_page_is_no_notebook_and_its_scan_is_trusted_too(tmp_path: Path) -> None:
    page = old_file(tmp_path / "a.md", "# Title\n")
    scan = scan_file(page, NONE)
    assert (scan.fmt, scan.cells) == (None, ())
    assert scan.is_current(page, NONE)


def test_a_scan_of_an_unchanged_file_is_current(notebook: Path) -> None:
    assert scan_file(notebook, NONE).is_current(notebook, NONE)


def test_a_scan_is_not_current_when_size_or_time_or_inode_changed(notebook: Path) -> None:
    scan = scan_file(notebook, NONE)
    text = notebook.read_text(encoding="utf-8")
    old_file(notebook, text + " ")
    assert not scan.is_current(notebook, NONE)
    old_file(notebook, text, OLD + 1)
    assert not scan.is_current(notebook, NONE)
    # The same size and time, in a file that was put in its place.
    other = old_file(notebook.with_name("other"), text.replace("x", "y"))
    other.replace(notebook)
    assert not scan.is_current(notebook, NONE)


def test_a_scan_of_a_file_that_has_gone_is_not_current(notebook: Path) -> None:
    scan = scan_file(notebook, NONE)
    notebook.unlink()
    assert not scan.is_current(notebook, NONE)
    with pytest.raises(FileNotFoundError):
        scan_file(notebook, NONE)


@pytest.mark.parametrize(
    ("changed_ns", "later_ns", "racy"),
    [
        (OLD, 0, True),
        (OLD, 99_999_999, True),
        (OLD, 100_000_000, False),
        # A time from the future says nothing.
        (OLD, -1, True),
        # Whole seconds may come from a file system that keeps no more than every second one.
        (OLD - OLD % SECOND, 100_000_000, True),
        (OLD - OLD % SECOND, 2_499_999_999, True),
        (OLD - OLD % SECOND, 2_500_000_000, False),
    ],
)
def test_a_file_that_was_fresh_when_scanned_is_scanned_again(
    changed_ns: int,
    later_ns: int,
    racy: bool,  # noqa: FBT001 (a table)
) -> None:
    for stat in (Stat(1, changed_ns, 0, 1), Stat(1, 0, changed_ns, 1)):
        assert stat.is_racy(changed_ns + later_ns) is racy


def test_a_time_of_modification_that_was_put_back_hides_no_edit(notebook: Path) -> None:
    scan = scan_file(notebook, NONE)
    text = notebook.read_text(encoding="utf-8")
    old_file(notebook, text.replace("x", "y"))
    assert (notebook.stat().st_size, notebook.stat().st_mtime_ns) == (len(text), OLD)
    assert not scan.is_current(notebook, NONE)


def test_the_stat_is_taken_before_the_reading(notebook: Path) -> None:
    """An edit between the two must make the scan stale, not the other way round."""

    def edit_now() -> int:
        old_file(notebook, ipynb("y = 2"), OLD + 5)
        return OLD + SECOND

    assert not scan_file(notebook, NONE, now_ns=edit_now).is_current(notebook, NONE)


def test_another_declared_format_makes_a_scan_stale(tmp_path: Path) -> None:
    path = old_file(tmp_path / "a.md", "# %%\nx = 1\n")
    scan = scan_file(path, NONE)
    other = Formats({".md": "py:percent"})
    assert scan.is_current(path, Formats({".py": "py:percent"}))
    assert not scan.is_current(path, other)
    again = scan_file(path, other)
    assert again.is_current(path, other)
    assert not again.is_current(path, Formats({".md": "py:light"}))
    assert not again.is_current(path, NONE)


def test_what_a_users_function_read_is_never_trusted(tmp_path: Path) -> None:
    path = old_file(tmp_path / "a.dat", ipynb("1"))
    formats = Formats({".dat": "json:loads"})
    scan = scan_file(path, formats)
    assert [cell.number for cell in scan.cells] == [1]
    assert not scan.is_current(path, formats)


def test_another_jupytext_makes_a_scan_stale(tmp_path: Path) -> None:
    path = old_file(tmp_path / "a.md", "# %%\nx = 1\n")
    formats = Formats({".md": "py:percent"})
    scan = scan_file(path, formats)
    assert scan.is_current(path, formats)
    older = msgspec.structs.replace(scan, reader="jupytext 0.1")
    assert not older.is_current(path, formats)


@pytest.mark.parametrize("name", ["a.ipynb", "a.md", "page.md"])
def test_a_current_scan_costs_one_look_and_no_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    texts = {"a.ipynb": ipynb("1"), "a.md": "---\nkernelspec: {}\n---\n"}
    path = old_file(tmp_path / name, texts.get(name, "# T"))
    scan = scan_file(path, NONE)
    looks: list[str] = []
    real_stat = os.stat

    def counted_stat(*arguments: Any, **more: Any) -> os.stat_result:
        looks.append("stat")
        return real_stat(*arguments, **more)

    def no_open(*_arguments: Any, **_more: Any) -> Any:
        looks.append("open")
        raise AssertionError("a file was opened")

    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", counted_stat)
        patched.setattr(builtins, "open", no_open)
        patched.setattr(io, "open", no_open)
        patched.setattr(os, "open", no_open)
        current = scan.is_current(path, NONE)
    assert current
    assert looks == ["stat"]


@pytest.mark.parametrize(
    ("execution", "timeout", "allow_errors"),
    [
        ({"timeout": 5}, 5.0, msgspec.UNSET),
        ({"timeout": "2"}, 2.0, msgspec.UNSET),
        ({"timeout": None}, None, msgspec.UNSET),
        ({"timeout": -1, "allow_errors": False}, None, False),
        ({"allow_errors": True}, msgspec.UNSET, True),
        ({"allow_errors": "yes"}, msgspec.UNSET, True),
        ({"other": 1}, msgspec.UNSET, msgspec.UNSET),
    ],
)
def test_a_notebooks_own_settings_are_in_its_scan(
    tmp_path: Path, execution: dict[str, Any], timeout: Any, allow_errors: Any
) -> None:
    scan = scan_file(old_file(tmp_path / "a.ipynb", ipynb("1", execution=execution)), NONE)
    assert (scan.timeout, scan.allow_errors, scan.problems) == (timeout, allow_errors, ())
    assert msgspec.json.decode(msgspec.json.encode(scan), type=Scan) == scan


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout", "soon"),
        ("timeout", True),
        ("timeout", [1]),
        ("timeout", {}),
        ("timeout", 10**400),
        ("allow_errors", "maybe"),
        ("allow_errors", None),
        ("allow_errors", 3),
        ("allow_errors", []),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_bad_setting_of_a_notebook_is_a_problem_and_counts_as_absent(
    tmp_path: Path, name: str, value: Any
) -> None:
    path = old_file(tmp_path / "a.ipynb", ipynb("1", execution={name: value}))
    scan = scan_file(path, NONE)
    assert (scan.timeout, scan.allow_errors) == (msgspec.UNSET, msgspec.UNSET)
    (problem,) = scan.problems
    assert f"execution.{name}" in problem.text
    assert len(scan.cells) == 1


@pytest.mark.parametrize("odd", [3, "x", [], [{"timeout": 3}]])
def test_odd_execution_metadata_sets_nothing_and_is_a_problem(tmp_path: Path, odd: Any) -> None:
    scan = scan_file(old_file(tmp_path / "a.ipynb", ipynb("1", execution=odd)), NONE)
    assert scan.timeout is msgspec.UNSET
    (problem,) = scan.problems
    assert "is not a mapping" in problem.text


def test_problems_of_the_text_are_in_the_scan_with_their_lines(tmp_path: Path) -> None:
    text = "---\nkernelspec: {}\n---\n\n```{code-cell}\n:tags: [\n1\n```\n"
    (problem,) = scan_file(old_file(tmp_path / "a.md", text), NONE).problems
    assert "code-cell" in problem.text
    assert problem.line in (5, 6)


@pytest.mark.parametrize("name", ["a.ipynb", "a.md"])
def test_a_file_that_is_not_utf8_is_unreadable_with_its_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"one\ntwo\n\xff\xfe\n")
    os.utime(path, ns=(OLD, OLD))
    scan = scan_file(path, NONE)
    assert not scan.decodable
    assert scan.fmt is not None
    assert scan.unreadable is not None
    assert "not UTF-8" in scan.unreadable.text
    assert scan.unreadable.line == 3
    # It is not read again and again.
    assert scan.is_current(path, NONE)


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    path.write_bytes(b"\xef\xbb\xbf" + ipynb("1").encode())
    assert len(scan_file(path, NONE).cells) == 1
    assert decode_source(b"\xef\xbb\xbfa") == "a"


def test_a_broken_notebook_is_unreadable_with_its_line(tmp_path: Path) -> None:
    scan = scan_file(old_file(tmp_path / "a.ipynb", '{\n"cells": [\n'), NONE)
    assert scan.fmt == "ipynb"
    assert scan.decodable
    assert scan.unreadable is not None
    assert scan.unreadable.line == 3
    assert scan.cells == ()


def test_stored_outputs_and_counts_are_noticed(tmp_path: Path) -> None:
    data = json.loads(ipynb("1"))
    data["cells"][0]["execution_count"] = 1
    assert scan_file(old_file(tmp_path / "a.ipynb", json.dumps(data)), NONE).has_outputs
