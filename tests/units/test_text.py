"""Reading text notebooks through jupytext, and through a user's own function."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sphinx_nbcache.notebooks.formats import Formats, read_notebook
from sphinx_nbcache.notebooks.notebook import NotebookError
from sphinx_nbcache.notebooks.text_formats import read_with_function, read_with_jupytext

PERCENT = """\
# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     name: python3
# ---

# %% [markdown]
# # Title

# %% tags=["hide-input"]
x = 1

# %%
x
"""


def kinds(text: str, fmt: str) -> list[tuple[str, str]]:
    """Return kinds and sources of the cells of a text."""
    return [(cell.kind, cell.source) for cell in read_notebook(text, fmt).cells]


def test_a_percent_script_is_read_although_its_kernel_has_no_display_name() -> None:
    notebook = read_with_jupytext(PERCENT, "py:percent")
    assert notebook.kernel_name == "python3"
    assert [(cell.kind, cell.source) for cell in notebook.cells] == [
        ("markdown", "# Title"),
        ("code", "x = 1"),
        ("code", "x"),
    ]
    assert notebook.cells[1].tags == {"hide-input"}


def test_a_display_name_that_is_there_is_kept() -> None:
    text = PERCENT.replace(
        "#     name: python3\n", "#     display_name: Mine\n#     name: python3\n"
    )
    notebook = read_with_jupytext(text, "py:percent")
    assert notebook.metadata["kernelspec"]["display_name"] == "Mine"


def test_a_kernelspec_in_the_text_below_is_not_touched() -> None:
    below = "# %%\ntext = '''\nkernelspec:\n  name: other\n'''\n"
    notebook = read_with_jupytext(PERCENT + "\n" + below, "py:percent")
    assert notebook.cells[-1].source == below.removeprefix("# %%\n").rstrip("\n")
    assert notebook.kernel_name == "python3"
    # Nor is it without a header.
    assert "display_name" not in read_with_jupytext(below, "py:percent").cells[-1].source


@pytest.mark.parametrize("name", ["markdown", "pandoc", "quarto"])
def test_a_format_that_front_matter_names_can_be_read(name: str) -> None:
    text = textwrap.dedent(
        f"""\
        ---
        jupyter:
          jupytext:
            text_representation:
              extension: .md
              format_name: {name}
          kernelspec:
            name: python3
        ---

        # Title

        ```python
        x = 1
        ```
        """
    )
    fmt = Formats().format_of("a.md", text)
    assert fmt == name
    if name == "markdown":
        assert kinds(text, fmt) == [("markdown", "# Title"), ("code", "x = 1")]
    else:
        # These need programs that may be missing: then the message says so.
        try:
            kinds(text, fmt)
        except NotebookError as error:
            assert f"{name!r}" in str(error)  # noqa: PT017 (either is right)


def test_other_languages_are_read() -> None:
    text = PERCENT.replace(".py", ".jl").replace("python3", "julia-1.11")
    assert kinds(text, "jl:percent")[1:] == [("code", "x = 1"), ("code", "x")]
    r = PERCENT.replace(".py", ".R").replace("percent", "spin").partition("\n# %% [m")[0]
    assert kinds(r.replace("# ", "#' ") + "\n#' Text\n\n#+\nx <- 1\n", "R:spin") == [
        ("markdown", "Text"),
        ("code", "x <- 1"),
    ]


@pytest.mark.parametrize("fmt", ["py:nonsense", "no such thing", "xyz"])
def test_an_unknown_format_is_an_error_that_names_it(fmt: str) -> None:
    with pytest.raises(NotebookError, match="jupytext cannot read it") as caught:
        read_with_jupytext(PERCENT, fmt)
    assert repr(fmt) in str(caught.value)


@given(st.text(max_size=60), st.sampled_from(["py:percent", "py:light", "R:spin", "md"]))
def test_no_text_raises_anything_but_a_notebook_error(text: str, fmt: str) -> None:
    try:
        read_with_jupytext("# ---\n" + text, fmt)
    except NotebookError as error:
        assert str(error)  # noqa: PT017 (either is right)


READERS = """\
def good(text):
    cell = {"cell_type": "code", "source": text, "metadata": {}}
    return {"cells": [cell], "metadata": {"kernelspec": {"name": "python3"}}, "nbformat": 4}


def fails(text):
    raise RuntimeError("no such thing")


def nothing(text):
    return None


def no_cells(text):
    return {"a": 1}


def odd_cells(text):
    return {"cells": [{"cell_type": "code", "source": 3}]}


def odd_data(text):
    output = {"output_type": "display_data", "data": {1: "x"}}
    return {"cells": [{"cell_type": "code", "source": "", "outputs": [output]}]}


value = 3
"""


@pytest.fixture
def readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of reader functions, under a name of its own for each test."""
    name = f"readers_{tmp_path.name}".replace("-", "_").replace("[", "_").replace("]", "_")
    (tmp_path / f"{name}.py").write_text(READERS, encoding="utf-8")
    (tmp_path / f"{name}_broken.py").write_text("def read(:", encoding="utf-8")
    (tmp_path / f"{name}_failing.py").write_text("1 / 0", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_a_users_function_reads_a_text(readers: str) -> None:
    notebook = read_with_function("x = 1", f"{readers}:good")
    assert notebook.kernel_name == "python3"
    assert kinds("x = 1", f"{readers}:good") == [("code", "x = 1")]


@pytest.mark.parametrize("name", ["fails", "nothing", "no_cells", "odd_cells", "value"])
def test_a_function_that_fails_or_returns_nonsense_is_an_error(readers: str, name: str) -> None:
    with pytest.raises(NotebookError):
        read_with_function("x", f"{readers}:{name}")


def test_a_mime_type_that_is_no_text_becomes_one(readers: str) -> None:
    (cell,) = read_with_function("x", f"{readers}:odd_data").cells
    assert cell.outputs[0]["data"] == {"1": "x"}


@pytest.mark.parametrize("end", ["_missing:read", ":missing", "_broken:read", "_failing:read"])
def test_a_function_that_cannot_be_imported_is_an_error(readers: str, end: str) -> None:
    with pytest.raises(NotebookError, match="cannot be imported"):
        read_with_function("x", readers + end)


def test_a_relative_module_is_an_error() -> None:
    with pytest.raises(NotebookError, match="cannot be imported"):
        read_with_function("x", ".module:read")


@pytest.mark.parametrize(
    ("fmt", "text", "lines"),
    [
        ("py:percent", "# ---\n# title: a\n# ---\n\n# %%\nx = 1\ny = 2\n\n# %%\nx = 1\n", [6, 10]),
        ("py:light", "# # A title\n\nx = 1\n\ny = 2\n", [3, 5]),
        ("md", "# A title\n\nx = 1\n\n```python\nx = 1\n```\n", [6]),
        ("Rmd", "```{python}\nx = 1\n```\n\n```{python}\n%matplotlib inline\n```\n", [2, 6]),
        ("py:percent", "# %%\n# %matplotlib inline\n\n# %%\nx = 1\n", [0, 5]),
    ],
)
def test_code_cells_that_jupytext_reads_have_their_lines(
    fmt: str, text: str, lines: list[int]
) -> None:
    cells = [item.cell for item in read_with_jupytext(text, fmt).code_cells]
    assert [cell.line for cell in cells] == lines
