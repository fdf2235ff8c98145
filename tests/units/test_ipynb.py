"""Reading `.ipynb` files, whatever wrote them."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sphinx_nbcache.notebooks.ipynb import read_ipynb, source_lines
from sphinx_nbcache.notebooks.notebook import NotebookError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
ODD: list[Any] = [None, True, 0, -1.5, "text", [], ["a", 1], [[]], {}, {"a": {"b": 1}}]


def v4(*cells: Any, minor: int = 5, **metadata: Any) -> dict[str, Any]:
    """Return an nbformat 4 notebook."""
    return {"nbformat": 4, "nbformat_minor": minor, "metadata": metadata, "cells": list(cells)}


def code(source: Any, **more: Any) -> dict[str, Any]:
    """Return a code cell."""
    cell = {"cell_type": "code", "source": source, "metadata": {}, "outputs": []}
    return cell | {"execution_count": None} | more


def read(notebook: Any) -> list[tuple[str, str]]:
    """Return kinds and sources of a notebook's cells."""
    return [(cell.kind, cell.source) for cell in read_ipynb(json.dumps(notebook)).cells]


def line_of(text: str, part: str) -> int:
    """Return the line of a text, counted from 1, in which a part stands."""
    (line,) = [n for n, line in enumerate(text.split("\n"), 1) if part in line]
    return line


@pytest.mark.parametrize("minor", range(6))
def test_every_minor_version_of_nbformat_4_is_read(minor: int) -> None:
    cells = [
        {"cell_type": "markdown", "source": "# T", "metadata": {}},
        code("1 + 1"),
        {"cell_type": "raw", "source": "r", "metadata": {}},
    ]
    expected = [("markdown", "# T"), ("code", "1 + 1"), ("raw", "r")]
    assert read(v4(*cells, minor=minor)) == expected


def test_a_notebook_of_nbformat_3_is_upgraded() -> None:
    v3 = nbformat.v3
    sheet = v3.new_worksheet(
        cells=[
            v3.new_text_cell("markdown", source="text"),
            v3.new_heading_cell("Title", level=2),
            v3.new_code_cell(
                input="a = 1\na",
                prompt_number=3,
                outputs=[v3.new_output("pyout", output_text="1", prompt_number=3)],
            ),
        ]
    )
    notebook = read_ipynb(json.dumps(v3.new_notebook(worksheets=[sheet])))
    assert [(cell.kind, cell.source) for cell in notebook.cells] == [
        ("markdown", "text"),
        ("markdown", "## Title"),
        ("code", "a = 1\na"),
    ]
    last = notebook.cells[-1]
    assert last.execution_count == 3
    assert last.outputs[0]["data"] == {"text/plain": "1"}


def test_sources_and_outputs_in_lists_are_joined() -> None:
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": ["a\n", "b"]},
        {
            "output_type": "display_data",
            "metadata": {},
            "data": {"text/plain": ["1\n", "2"], "application/json": ["a", "b"]},
        },
    ]
    text = json.dumps(v4(code(["a = 1\n", "a"], outputs=outputs), code("b")))
    first, second = read_ipynb(text).cells
    assert (first.source, second.source) == ("a = 1\na", "b")
    assert first.outputs[0]["text"] == "a\nb"
    # JSON data is the author's: a list in it is a list.
    assert first.outputs[1]["data"] == {"text/plain": "1\n2", "application/json": ["a", "b"]}


def test_line_endings_in_the_file_and_in_sources_are_told_apart_from_content() -> None:
    text = json.dumps(v4(code("a\r\nb\r\n"), code(["c\r\n", "d"])), indent=1)
    notebook = read_ipynb(text.replace("\n", "\r\n"))
    assert [cell.source for cell in notebook.cells] == ["a\nb\n", "c\nd"]


def test_tags_counts_and_attachments_are_kept() -> None:
    picture = {"image.png": {"image/png": "AAAA"}}
    markdown = {"cell_type": "markdown", "source": "x", "metadata": {}, "attachments": picture}
    cell = code("1", metadata={"tags": ["a", " b "]}, execution_count=7)
    first, second = read_ipynb(json.dumps(v4(cell, markdown))).cells
    assert first.tags == {"a", "b"}
    assert first.execution_count == 7
    assert second.attachments == picture


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("", "empty", 1),
        (" \n\t\n", "empty", 1),
        ('{"cells": [\n\n oops', "not valid JSON", 3),
        ('{"cells": []', "not valid JSON", 1),
        ("[]", "not an object", None),
        ("3", "not an object", None),
        ("null", "not an object", None),
        ('{"nbformat": 4}', "no list of cells", None),
        ('{"nbformat": 4, "cells": {}}', "no list of cells", None),
        ('{"nbformat": 4, "cells": null}', "no list of cells", None),
        ('{"cells": []}', "nbformat None", None),
        ('{"nbformat": 2, "cells": []}', "nbformat 2", None),
        ('{"nbformat": 5, "cells": []}', "nbformat 5", None),
        ('{"nbformat": "4", "cells": []}', "nbformat '4'", None),
        ('{"nbformat": 3, "worksheets": 1}', "cannot be upgraded", None),
        ('{"nbformat": 4, "cells": [1]}', "cell 1 ", None),
        ('{"nbformat": 4, "cells": [{"cell_type": "raw"}, {"cell_type": "x"}]}', "cell 2 ", None),
        ('{"nbformat": 4, "cells": [{"cell_type": ["code"]}]}', "cell 1 ", None),
        ('{"nbformat": 4, "cells": ' + "[" * 100_000, "nested too deeply", None),
        ('{"nbformat": 4, "cells": [], "big": ' + "1" * 5000 + "}", "digits", None),
    ],
)
def test_what_is_no_notebook_is_refused_with_a_message(
    text: str, message: str, line: int | None
) -> None:
    with pytest.raises(NotebookError, match=message) as caught:
        read_ipynb(text)
    assert caught.value.line == line


@pytest.mark.parametrize("mark", ["<<<<<<< HEAD", ">>>>>>> other"])
def test_an_unresolved_merge_is_named_with_its_line(mark: str) -> None:
    lines = json.dumps(v4(code("a\nb")), indent=1).split("\n")
    lines.insert(4, mark)
    with pytest.raises(NotebookError, match="merge conflict") as caught:
        read_ipynb("\n".join(lines))
    assert caught.value.line == 5


def test_marks_of_a_merge_inside_a_source_are_text() -> None:
    source = "<<<<<<< HEAD\n>>>>>>> other"
    assert read(v4(code(source))) == [("code", source)]


@pytest.mark.parametrize("odd", ODD)
def test_odd_metadata_is_passed_over(odd: Any) -> None:
    text = json.dumps(v4(code("1", metadata=odd, attachments=odd)) | {"metadata": odd})
    notebook = read_ipynb(text)
    (cell,) = notebook.cells
    assert (cell.tags, notebook.kernel_name, notebook.language) == (frozenset(), "", "")


@pytest.mark.parametrize("odd", ODD)
def test_odd_values_below_the_known_names_are_passed_over(odd: Any) -> None:
    metadata = {"kernelspec": odd, "language_info": {"name": odd}}
    notebook = read_ipynb(json.dumps(v4(code("1", metadata={"tags": [odd, "a"]}), **metadata)))
    assert "a" in notebook.cells[0].tags
    assert notebook.kernel_name == ""
    assert notebook.language == (odd if isinstance(odd, str) else "")


@pytest.mark.parametrize("key", ["source", "outputs", "execution_count"])
@pytest.mark.parametrize("odd", ODD)
def test_odd_contents_of_a_cell_are_read_or_refused(key: str, odd: Any) -> None:
    with suppress(NotebookError):
        read(v4(code("1") | {key: odd}))


@given(JSON)
def test_no_json_raises_anything_but_a_notebook_error(data: Any) -> None:
    with suppress(NotebookError):
        read_ipynb(json.dumps(data))


CELLS = st.fixed_dictionaries(
    {"cell_type": st.sampled_from(["code", "markdown", "raw"]) | JSON},
    optional=dict.fromkeys(
        ("source", "input", "metadata", "outputs", "execution_count", "attachments", "id"),
        JSON | st.lists(st.fixed_dictionaries({"data": JSON, "text": JSON}), max_size=2),
    ),
)


@given(
    st.fixed_dictionaries(
        {"nbformat": st.sampled_from([3, 4]), "cells": st.lists(CELLS, max_size=3)},
        optional={
            "metadata": JSON,
            "nbformat_minor": JSON,
            "worksheets": JSON | st.lists(st.fixed_dictionaries({"cells": st.lists(CELLS)})),
        },
    )
)
def test_no_notebook_like_json_raises_anything_but_a_notebook_error(data: Any) -> None:
    with suppress(NotebookError):
        notebook = read_ipynb(json.dumps(data))
        # What was read can be asked.
        assert isinstance(notebook.kernel_name + notebook.language, str)
        assert all(len(cell.source) + len(cell.tags) >= 0 for cell in notebook.cells)
        assert notebook.has_outputs in (True, False)


@given(st.text())
def test_no_text_raises_anything_but_a_notebook_error(text: str) -> None:
    with suppress(NotebookError):
        read_ipynb(text)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_sources_have_their_lines_in_files_as_every_editor_writes_them(newline: str) -> None:
    cells = [code(["first\n", "x"]), code("second"), code(["third"])]
    text = json.dumps(v4(*cells), indent=1).replace("\n", newline)
    lines = [cell.line for cell in read_ipynb(text).cells]
    assert lines == [line_of(text, name) for name in ("first", "second", "third")]
    assert len(set(lines)) == 3
    assert [cell.has_lines for cell in read_ipynb(text).cells] == [True, False, True]


def test_something_named_source_in_an_output_moves_no_line() -> None:
    outputs = [{"output_type": "display_data", "data": {"application/json": {"source": ["x"]}}}]
    text = json.dumps(v4(code(["first"], outputs=outputs), code(["second"])), indent=1)
    lines = [cell.line for cell in read_ipynb(text).cells]
    assert lines == [line_of(text, "first"), line_of(text, "second")]


@pytest.mark.parametrize("indent", [None, 2, 4])
def test_lines_are_unknown_in_other_layouts(indent: int | None) -> None:
    text = json.dumps(v4(code(["a"]), code("b")), indent=indent)
    assert [cell.line for cell in read_ipynb(text).cells] == [0, 0]


def test_lines_are_unknown_where_a_cell_has_no_source() -> None:
    text = json.dumps(v4(code(["a"]), {"cell_type": "markdown"}), indent=1)
    assert source_lines(text, 2) == [(0, False), (0, False)]


def test_blank_code_cells_are_numbered_but_do_not_count() -> None:
    notebook = read_ipynb(json.dumps(v4(code("a"), code(" \n"), code("b"))))
    assert [(item.number, item.cell.source) for item in notebook.code_cells] == [(1, "a"), (3, "b")]


def test_half_a_surrogate_pair_becomes_a_character_that_can_be_written() -> None:
    """It is valid JSON, but no text file, page or message can hold it."""
    data = {"output_type": "stream", "name": "stdout", "text": "\ud83d"}
    cell = {"cell_type": "code", "source": "'\ud83d\ude00 \ud83d'", "outputs": [data]}
    (read,) = read_ipynb(json.dumps({"nbformat": 4, "cells": [cell]})).cells
    assert read.source == "'\U0001f600 \ufffd'"
    assert read.outputs[0]["text"] == "\ufffd"
