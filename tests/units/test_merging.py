"""Merging what a run left into a copy of its notebook: nothing else changes, no source is lost."""

from __future__ import annotations

import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest

from sphinx_nbcache.notebooks.executed import WIDGET_STATE, Executed, taken_out
from sphinx_nbcache.notebooks.formats import Formats, read_notebook
from sphinx_nbcache.notebooks.merging import MergeError, merged, target_format, write_notebook
from sphinx_nbcache.notebooks.notebook import NotebookError
from sphinx_nbcache.notebooks.scan import cell_digest

MYST = """---
kernelspec:
  name: python3
date: 2026-01-02
---

# Title

```{code-cell}
:tags: [hide-input]

1 + 1
```

Text.

```{code-cell}
```
"""
PERCENT = "# %% [markdown]\n# # Title\n\n# %% tags=['a']\n1 + 1\n"


def ipynb(*cells: Any, minor: int = 5, **metadata: Any) -> str:
    data = {"nbformat": 4, "nbformat_minor": minor, "metadata": metadata, "cells": list(cells)}
    return json.dumps(data)


def code(source: Any, **more: Any) -> dict[str, Any]:
    cell = {"cell_type": "code", "source": source, "metadata": {}, "outputs": []}
    return cell | {"execution_count": None} | more


def stream(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": text}


def run_of(*sources: str, **more: Any) -> Executed:
    """Return a run of these cells, each of which prints its number."""
    count = len(sources)
    return Executed(
        digests=[cell_digest(source) for source in sources],
        outputs=[[stream(f"{number}\n")] for number in range(1, count + 1)],
        counts=list(range(1, count + 1)),
        **more,
    )


def outputs(node: Any) -> list[tuple[int | None, list[str]]]:
    """Return count and texts of each code cell."""
    cells = [cell for cell in node.cells if cell.cell_type == "code"]
    return [(cell.execution_count, [out.text for out in cell.outputs]) for cell in cells]


@pytest.mark.parametrize("minor", range(6))
def test_everything_of_the_source_but_outputs_is_kept(minor: int) -> None:
    ids = [{"id": name} if minor == 5 else {} for name in ("my-id", "Y_0", "cell-1")]
    image = {"a.png": {"image/png": "AAAA"}}
    source = ipynb(
        {"cell_type": "markdown", "source": "![](attachment:a.png)", "metadata": {"k": 1}}
        | {"attachments": image}
        | ids[0],
        code("x = 1\nx", metadata={"tags": ["a"], "own": {"deep": [1]}}, **ids[1]),
        {"cell_type": "raw", "source": "r", "metadata": {"format": "text/html"}} | ids[2],
        minor=minor,
        kernelspec={"name": "k", "display_name": "K", "language": "x", "extra": 1},
        own=[1, {"a": None}],
    )
    node = merged(source, "ipynb", run_of("x = 1\nx"))
    expected = json.loads(source)
    expected["cells"][1] |= {"outputs": [stream("1\n")], "execution_count": 1}
    assert json.loads(json.dumps(node)) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([None, None, None], ["cell-1", "cell-2", "cell-3"]),
        (["a", "a", "b"], ["a", "cell-2", "b"]),
        (["cell-2", "", "cell-1"], ["cell-2", "cell-2-", "cell-1"]),
        (["cell-2", "cell-2-", "cell-2"], ["cell-2", "cell-2-", "cell-3"]),
        (["a b", "a\n", "ä"], ["cell-1", "cell-2", "cell-3"]),
        (["x" * 64, "x" * 65, "-"], ["x" * 64, "cell-2", "-"]),
        ([1, ["a"], {"a": 1}], ["cell-1", "cell-2", "cell-3"]),
    ],
)
def test_ids_of_cells_are_valid_and_unique_and_good_ones_are_kept(
    given: list[Any], expected: list[str]
) -> None:
    sources = ["1", "2", "3"]
    ids = [{} if id_ is None else {"id": id_} for id_ in given]
    cells = [code(source, **id_) for source, id_ in zip(sources, ids, strict=True)]
    for _ in range(2):
        node = merged(ipynb(*cells), "ipynb", run_of(*sources))
        assert [cell.id for cell in node.cells] == expected
        nbformat.validate(node)
    old = merged(ipynb(*cells, minor=4), "ipynb", run_of(*sources))
    assert not any("id" in cell for cell in old.cells)
    nbformat.validate(old)


@pytest.mark.parametrize("minor", [None, "5", []])
def test_a_notebook_without_a_minor_version_is_merged(minor: Any) -> None:
    node = merged(ipynb(code("1"), minor=minor), "ipynb", run_of("1"))
    nbformat.validate(node)


def test_a_notebook_of_nbformat_3_is_merged_into_the_same_file_each_time() -> None:
    cell = {"cell_type": "code", "input": "1", "outputs": [], "language": "python"}
    sheet = {"cells": [cell, cell], "metadata": {}}
    text = json.dumps({"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [sheet]})
    first, again = (merged(text, "ipynb", run_of("1", "1")) for _ in range(2))
    assert first == again
    assert [cell.id for cell in first.cells] == ["cell-1", "cell-2"]


NESTED = """---
kernelspec:
  name: python3
---

Before.

:::::{admonition} Look
First:

```{code-cell} ipython3
:tags: [a]

x = 1
```

> ~~~{code-cell}
> y = 2
> ~~~

- item
  ::::{code-cell}
  z = 3
  ::::
:::::

````{note}
```{code-cell}
---
tags: [b]
---
u = 4
v = 5
```
An example: `{code-cell}`
````

```{code-cell}
w = 6
```
"""


def test_cells_inside_blocks_are_ordinary_code_in_their_text_and_follow_it() -> None:
    sources = ["x = 1", "y = 2", "z = 3", "u = 4\nv = 5", "w = 6"]
    node = merged(NESTED, "myst", run_of(*sources))
    nbformat.validate(node)
    text, *code_cells = node.cells
    assert [cell.source for cell in code_cells] == sources
    assert outputs(node) == [(number, [f"{number}\n"]) for number in range(1, 6)]
    assert code_cells[0].metadata.tags == ["a"]
    assert text.source.split("\n") == [
        *("Before.", "", ":::::{admonition} Look", "First:", ""),
        *("```python", "x = 1", "```", ""),
        *("> ~~~python", "> y = 2", "> ~~~", ""),
        *("- item", "  ::::{code-block} python", "  z = 3", "  ::::", ":::::", ""),
        *("````{note}", "```python", "u = 4", "v = 5", "```", "An example: `{code-cell}`", "````"),
    ]


def test_cells_inside_blocks_are_run_once_by_what_reads_the_merged_text(tmp_path: Path) -> None:
    sources = ["x = 1", "y = 2", "z = 3", "u = 4\nv = 5", "w = 6"]
    node = merged(NESTED, "myst", run_of(*sources))
    for name, fmt in (("a.md", "myst"), ("a.py", "py:percent"), ("a.ipynb", "ipynb")):
        write_notebook(node, tmp_path / name, Formats(), keep=[])
        again = read_notebook((tmp_path / name).read_text(encoding="utf-8"), fmt)
        assert [item.cell.source for item in again.code_cells] == sources


def test_merged_twice_is_the_same_file(tmp_path: Path) -> None:
    texts = []
    for name in ("a.ipynb", "b.ipynb"):
        node = merged(MYST, "myst", run_of("1 + 1"))
        write_notebook(node, tmp_path / name, Formats(), keep=[])
        texts.append((tmp_path / name).read_text(encoding="utf-8"))
    assert texts[0] == texts[1]


def test_sources_as_lists_of_lines_are_joined() -> None:
    node = merged(ipynb(code(["x = 1\n", "x"])), "ipynb", run_of("x = 1\nx"))
    assert node.cells[0].source == "x = 1\nx"
    assert outputs(node) == [(1, ["1\n"])]


def test_what_nbformat_demands_of_a_cell_is_added(tmp_path: Path) -> None:
    text: dict[str, Any] = {"cell_type": "markdown", "metadata": None, "attachments": None}
    text |= {"outputs": [], "execution_count": None}
    shown: list[dict[str, Any]] = [
        {"output_type": kind, "data": {}} for kind in ("display_data", "execute_result")
    ]
    skipped: dict[str, Any] = {"cell_type": "code", "source": ["2"], "outputs": shown}
    skipped["metadata"] = {"tags": ["skip-execution"]}
    source = ipynb({"cell_type": "code", "source": "1"}, text, skipped, minor=4)
    run = Executed([cell_digest("1"), cell_digest("2")], [[stream("1\n")], []], [1, None])
    node = merged(source, "ipynb", run)
    nbformat.validate(node)
    assert node.cells[0].outputs == [stream("1\n")]
    assert [output.data for output in node.cells[2].outputs] == [{}, {}]
    write_notebook(node, tmp_path / "a.ipynb", Formats(), keep=[])


@pytest.mark.parametrize("outputs", [[{}], [{"output_type": "stream"}], [{"text": "1"}]])
def test_outputs_that_cannot_be_written_are_an_error_in_words(
    tmp_path: Path, outputs: list[dict[str, Any]]
) -> None:
    node = merged(ipynb(code("1")), "ipynb", Executed([cell_digest("1")], [outputs], [1]))
    with pytest.raises(MergeError, match="not as nbformat 4 has it"):
        write_notebook(node, tmp_path / "a.ipynb", Formats(), keep=[])


def test_outputs_that_are_replaced_may_be_anything() -> None:
    broken = code("1", outputs=[{"output_type": "display_data", "data": None}])
    assert outputs(merged(ipynb(broken), "ipynb", run_of("1"))) == [(1, ["1\n"])]


def test_outputs_of_earlier_runs_go_also_from_blank_cells() -> None:
    old = [stream("old")]
    source = ipynb(
        code("1", outputs=old, execution_count=7),
        code(" \n", outputs=old, execution_count=8),
        code("2", outputs=old, execution_count=9),
    )
    assert outputs(merged(source, "ipynb", run_of("1", "2"))) == [
        (1, ["1\n"]),
        (None, []),
        (2, ["2\n"]),
    ]


def test_a_cell_that_is_never_run_keeps_what_it_has() -> None:
    skipped = code("2", outputs=[stream("kept")], execution_count=5)
    skipped["metadata"] = {"tags": ["skip-execution"]}
    run = Executed([cell_digest("2")], [[]], [None])
    assert outputs(merged(ipynb(skipped), "ipynb", run)) == [(5, ["kept"])]


def test_cells_behind_a_failure_are_empty() -> None:
    old = {"outputs": [stream("old")], "execution_count": 3}
    run = Executed([cell_digest("1"), cell_digest("2")], [[stream("1\n")], []], [1, None])
    node = merged(ipynb(code("1", **old), code("2", **old)), "ipynb", run)
    assert outputs(node) == [(1, ["1\n"]), (None, [])]


def test_outputs_of_other_code_are_refused() -> None:
    for sources in (("2",), ("1", "2"), ()):
        with pytest.raises(MergeError, match="no longer what was run"):
            merged(ipynb(code("1")), "ipynb", run_of(*sources))


def test_states_of_widgets_are_those_of_the_run() -> None:
    old = {WIDGET_STATE: {"state": {"a": {}}}, "other": 1}
    without = merged(ipynb(code("1"), widgets=old), "ipynb", run_of("1"))
    assert without.metadata.widgets == {"other": 1}
    new: dict[str, Any] = {"state": {"b": {}}}
    with_state = merged(ipynb(code("1"), widgets=old), "ipynb", run_of("1", widgets=new))
    assert with_state.metadata.widgets == {"other": 1, WIDGET_STATE: new}
    assert "widgets" not in merged(ipynb(code("1"), widgets=[1]), "ipynb", run_of("1")).metadata


def test_the_language_is_what_the_kernel_says() -> None:
    run = run_of("1", language_info={"name": "python", "version": "3.12"})
    node = merged(ipynb(code("1"), language_info={"name": "old"}), "ipynb", run)
    assert node.metadata.language_info == {"name": "python", "version": "3.12"}
    kept = merged(ipynb(code("1"), language_info={"name": "old"}), "ipynb", run_of("1"))
    assert kept.metadata.language_info == {"name": "old"}


@pytest.mark.parametrize(("text", "fmt"), [(MYST, "myst"), (PERCENT, "py:percent")])
def test_text_becomes_a_valid_notebook(text: str, fmt: str) -> None:
    node = merged(text, fmt, run_of("1 + 1"))
    nbformat.validate(node)
    assert [cell.source for cell in node.cells][:2] == ["# Title", "1 + 1"]
    assert outputs(node)[0] == (1, ["1\n"])
    assert node.cells[1].metadata.tags in (["hide-input"], ["a"])
    assert node.cells[1].outputs


def test_a_date_in_front_matter_is_written_as_text(tmp_path: Path) -> None:
    node = merged(MYST, "myst", run_of("1 + 1"))
    write_notebook(node, tmp_path / "a.ipynb", Formats(), keep=[])
    written = json.loads((tmp_path / "a.ipynb").read_text(encoding="utf-8"))
    assert written["metadata"]["date"] == "2026-01-02"


def test_what_was_merged_can_be_taken_out_again(tmp_path: Path) -> None:
    run = run_of("1", "2", widgets={"state": {"b": {}}}, language_info={"name": "python"})
    source = ipynb(code("1"), {"cell_type": "markdown", "source": "t", "metadata": {}}, code("2"))
    write_notebook(merged(source, "ipynb", run), tmp_path / "a.ipynb", Formats(), keep=[])
    again = taken_out(read_notebook((tmp_path / "a.ipynb").read_text(encoding="utf-8"), "ipynb"))
    assert (again.digests, again.counts) == (run.digests, run.counts)
    assert [list(cell) for cell in again.outputs] == run.outputs
    assert (again.widgets, again.language_info) == (run.widgets, run.language_info)


@pytest.mark.parametrize("text", ["", "{}", "[]", "{" * 99_999, '{"nbformat": 4, "cells": [1]}'])
def test_a_source_that_is_no_notebook_is_said_to_be_none(text: str) -> None:
    with pytest.raises(NotebookError):
        merged(text, "ipynb", run_of("1"))


def test_attachments_that_are_none_are_an_error_in_words() -> None:
    cell = {"cell_type": "markdown", "source": "t", "metadata": {}, "attachments": [1]}
    with pytest.raises(MergeError, match="not as nbformat 4 has it"):
        merged(ipynb(cell, code("1")), "ipynb", run_of("1"))


@pytest.mark.parametrize(
    ("name", "fmt"),
    [
        ("a.ipynb", "ipynb"),
        ("a.md", "md:myst"),
        ("a.py", "py:percent"),
        ("a.R", "R:percent"),
        ("a.Rmd", "Rmd"),
        ("a.txt", "py:light"),
    ],
)
def test_the_suffix_tells_the_format(name: str, fmt: str) -> None:
    assert target_format(Path(name), Formats({".txt": "py:light"})) == fmt


@pytest.mark.parametrize("name", ["a", "a.nonsense", "a.own"])
def test_a_suffix_that_tells_no_format_is_refused(name: str) -> None:
    with pytest.raises(MergeError, match="does not tell a format"):
        target_format(Path(name), Formats({".own": "module:reader"}))


def test_text_is_written_by_jupytext(tmp_path: Path) -> None:
    node = merged(PERCENT, "py:percent", run_of("1 + 1"))
    for name in ("a.md", "a.py"):
        write_notebook(node, tmp_path / name, Formats(), keep=[])
        again = jupytext.read(tmp_path / name)
        assert [cell.source for cell in again.cells] == ["# Title", "1 + 1"]


def test_a_source_is_never_written_however_it_is_named(tmp_path: Path) -> None:
    source = tmp_path / "a.ipynb"
    source.write_text(ipynb(code("1")), encoding="utf-8")
    (tmp_path / "linked.ipynb").symlink_to(source)
    os.link(source, tmp_path / "hard.ipynb")
    (tmp_path / "sub").mkdir()
    node = merged(ipynb(code("1")), "ipynb", run_of("1"))
    before = source.read_bytes()
    for name in ("a.ipynb", "linked.ipynb", "hard.ipynb", "sub/../a.ipynb"):
        with pytest.raises(MergeError, match="is the source of a notebook"):
            write_notebook(node, tmp_path / name, Formats(), keep=[source])
    assert source.read_bytes() == before


@pytest.mark.parametrize("name", ["missing/a.ipynb", "file/a.ipynb", "folder.ipynb"])
def test_a_file_that_cannot_be_written_is_said_so_and_leaves_nothing(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder.ipynb").mkdir()
    node = merged(ipynb(code("1")), "ipynb", run_of("1"))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(MergeError, match="cannot be written"):
        write_notebook(node, tmp_path / name, Formats(), keep=[])
    assert sorted(tmp_path.rglob("*")) == before


def test_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    target = tmp_path / "a.ipynb"
    nodes = [merged(ipynb(code(f"{n}" * 200_000)), "ipynb", run_of(f"{n}" * 200_000)) for n in "12"]

    def write(number: int) -> str:
        write_notebook(nodes[number % 2], target, Formats(), keep=[])
        source: str = json.loads(target.read_text(encoding="utf-8"))["cells"][0]["source"][0]
        return source

    with ThreadPoolExecutor(4) as threads:
        read = set(threads.map(write, range(40)))
    assert read <= {"1" * 200_000, "2" * 200_000}
    assert [path.name for path in tmp_path.iterdir()] == ["a.ipynb"]


def test_a_file_whose_writing_fails_is_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.ipynb"
    target.write_text("old")
    node = merged(ipynb(code("1")), "ipynb", run_of("1"))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(MergeError, match="No space left"):
        write_notebook(node, target, Formats(), keep=[])
    assert [path.name for path in tmp_path.iterdir()] == ["a.ipynb"]
    assert target.read_text() == "old"


def test_a_new_file_may_be_read_by_those_who_may_read_others(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    write_notebook(
        merged(ipynb(code("1")), "ipynb", run_of("1")), tmp_path / "a.ipynb", Formats(), keep=[]
    )
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_an_earlier_file_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "a.ipynb"
    target.write_text("old")
    node = merged(ipynb(code("1")), "ipynb", run_of("1"))
    write_notebook(node, target, Formats(), keep=[])
    assert [path.name for path in tmp_path.iterdir()] == ["a.ipynb"]
    assert json.loads(target.read_text(encoding="utf-8"))["cells"][0]["execution_count"] == 1
