"""Reading MyST Markdown notebooks: where code cells are, and where they are not."""

from __future__ import annotations

import textwrap
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sphinx_nbcache.notebooks.myst import read_myst, split_options
from sphinx_nbcache.notebooks.notebook import Cell, NotebookError


def cells(text: str) -> tuple[Cell, ...]:
    """Return the cells of a text that is indented like the code around it."""
    return read_myst(textwrap.dedent(text).strip("\n")).cells


def code(text: str) -> list[str]:
    """Return the sources of the code cells of a text."""
    return [cell.source for cell in cells(text) if cell.kind == "code"]


def test_a_page_is_cut_into_its_cells() -> None:
    text = """
    ---
    kernelspec: {name: python3}
    ---

    # Title

    Text.

    ```{code-cell} ipython3
    a = 1
    ```

    More.

    :::{code-cell}
    a
    :::

    ```{raw-cell}
    raw
    ```
    """
    assert [(cell.kind, cell.source, cell.line, cell.nested) for cell in cells(text)] == [
        ("markdown", "# Title\n\nText.", 5, False),
        ("code", "a = 1", 10, False),
        ("markdown", "More.", 13, False),
        ("code", "a", 16, False),
        ("raw", "raw", 20, False),
    ]


NESTED = {
    "list": """
    - item

      ```{code-cell}
      x = 1
      ```
    """,
    "list in a list": """
    1. item
       - inner
         ```{code-cell}
         x = 1
         ```
    """,
    "quote": """
    > said
    >
    > ```{code-cell}
    > x = 1
    > ```
    """,
    "admonition of backticks": """
    ````{note}
    Text.

    ```{code-cell}
    x = 1
    ```
    ````
    """,
    "admonition of colons": """
    :::{note}
    Text.

    ```{code-cell}
    x = 1
    ```
    :::
    """,
    "colons in longer colons": """
    ::::{tip}
    :class: wide

    :::{code-cell}
    x = 1
    :::
    ::::
    """,
    "three levels": """
    :::::{tab-set}
    ::::{tab-item} One
    ```{code-cell}
    x = 1
    ```
    ::::
    :::::
    """,
    "admonition in a list": """
    - item

      ````{note}
      ---
      class: wide
      ---

      ```{code-cell}
      x = 1
      ```
      ````
    """,
    "footnote": """
    Text[^a].

    [^a]: Note:

        ```{code-cell}
        x = 1
        ```
    """,
    "definition": """
    Term
    : Meaning

      ```{code-cell}
      x = 1
      ```
    """,
}


@pytest.mark.parametrize("text", list(NESTED.values()), ids=list(NESTED))
def test_a_code_cell_inside_another_block_is_found_with_its_line(text: str) -> None:
    text = textwrap.dedent(text).strip("\n")
    markdown, found = cells(text)
    assert (markdown.kind, markdown.source) == ("markdown", text)
    assert (found.kind, found.source, found.nested) == ("code", "x = 1", True)
    assert "x = 1" in text.split("\n")[found.line - 1]


EXAMPLES = {
    "code-block": "````{code-block} md\n```{code-cell}\nx\n```\n````",
    "code-block of colons": "::::{code-block} md\n:::{code-cell}\nx\n:::\n::::",
    "plain fence": "````\n```{code-cell}\nx\n```\n````",
    "fence with a language": "````md\n```{code-cell}\nx\n```\n````",
    "example in an admonition": (
        ":::::{note}\n````{code-block} md\n```{code-cell}\nx\n```\n````\n:::::"
    ),
    "indented code": "Text:\n\n    ```{code-cell}\n    x\n    ```",
    "comment": "<!--\n```{code-cell}\nx\n```\n-->",
    "raw": "````{raw} html\n```{code-cell}\nx\n```\n````",
    "other fence": "```python\nx\n```",
    "other directive": "```{code-cells}\nx\n```",
    "inline": "See `{code-cell}` and ```` ```{code-cell} ````.",
}


@pytest.mark.parametrize("text", list(EXAMPLES.values()), ids=list(EXAMPLES))
def test_an_example_of_a_code_cell_is_text(text: str) -> None:
    (cell,) = read_myst(text).cells
    assert (cell.kind, cell.source) == ("markdown", text)


def test_code_in_another_code_cell_is_code() -> None:
    source = 'text = """\n```{code-cell}\nx\n```\n"""'
    assert [c.source for c in read_myst(f"````{{code-cell}}\n{source}\n````").cells] == [source]


def test_nested_cells_come_after_the_text_that_holds_them_in_order() -> None:
    found = cells(
        """
        - one
          ```{code-cell}
          1
          ```
        - two
          ```{code-cell}
          2
          ```

        ```{code-cell}
        3
        ```
        """
    )
    assert [(cell.kind, cell.nested) for cell in found] == [
        ("markdown", False),
        ("code", True),
        ("code", True),
        ("code", False),
    ]
    assert [cell.source for cell in found[1:]] == ["1", "2", "3"]


@pytest.mark.parametrize(
    "options",
    ["---\ntags: [hide-input, a]\nmystnb:\n  image: {width: 3}\n---", ":tags: [hide-input, a]"],
)
def test_options_are_yaml_between_lines_or_colon_lines(options: str) -> None:
    (cell,) = read_myst(f"```{{code-cell}} python\n{options}\n\nx = 1\ny\n```").cells
    assert cell.tags == {"hide-input", "a"}
    assert cell.source == "x = 1\ny"
    assert cell.line == 2 + options.count("\n") + 2


def test_options_may_be_all_there_is() -> None:
    assert [c.source for c in cells("```{code-cell}\n:tags: [a]\n```\n")] == [""]
    assert split_options("---\na: 1\n---").body == ""


def test_code_that_looks_like_options_later_on_is_code() -> None:
    assert code("```{code-cell}\nx = 1\n---\n:a: b\n```") == ["x = 1\n---\n:a: b"]
    # An unclosed block is no options: nothing is lost.
    assert code("```{code-cell}\n---\nx\n```") == ["---\nx"]


@pytest.mark.parametrize(
    "options",
    [
        ":tags: [a",
        ":a: b: c",
        "---\n- a\n- b\n---",
        "---\n{\n---",
        # What PyYAML itself fails on, in other ways than by its own errors.
        ":date: 2024-13-45",
        ":number: 0b_",
        ":when: !!timestamp x",
        ":deep: " + "[" * 3000,
    ],
)
def test_options_that_cannot_be_read_are_a_problem_with_a_line(options: str) -> None:
    notebook = read_myst(f"# T\n\n```{{code-cell}}\n{options}\n\nx = 1\n```")
    (problem,) = notebook.problems
    assert "the options of a code-cell" in problem.text
    assert problem.line is not None
    assert 3 <= problem.line <= 4 + options.count("\n")
    (numbered,) = notebook.code_cells
    assert (numbered.cell.source, dict(numbered.cell.metadata)) == ("x = 1", {})


def test_the_line_of_a_problem_in_a_nested_cell_is_that_of_the_file() -> None:
    text = "# T\n\n::::{note}\nText.\n\n:::{code-cell}\n:tags: [a\nx\n:::\n::::"
    (problem,) = read_myst(text).problems
    assert problem.line in (6, 7)


def test_a_block_break_starts_a_cell_and_may_carry_metadata() -> None:
    found = cells('one\n\n+++ {"tags": ["a"], "slideshow": 1}\n\ntwo\n\n+++\n\nthree\n')
    assert [(cell.source, cell.line) for cell in found] == [("one", 1), ("two", 5), ("three", 9)]
    assert [set(cell.tags) for cell in found] == [set(), {"a"}, set()]


@pytest.mark.parametrize(
    "text", ["{", "words", "{'a': 1}", "[" * 100_000, '{"a": ' + "1" * 5000 + "}"]
)
def test_a_block_break_with_bad_metadata_is_a_problem_with_a_line(text: str) -> None:
    notebook = read_myst(f"one\n\n+++ {text}\n\ntwo")
    (problem,) = notebook.problems
    assert problem.line == 3
    assert [cell.source for cell in notebook.cells] == ["one", "two"]


def test_a_block_break_with_json_that_is_no_object_says_nothing() -> None:
    assert [dict(c.metadata) for c in cells("one\n\n+++ 3\n\ntwo")] == [{}, {}]


def test_front_matter_is_the_notebooks_metadata_and_no_cell() -> None:
    notebook = read_myst("---\ntitle: T\nkernelspec:\n  name: ir\n  language: R\n---\n\nText.\n")
    assert notebook.metadata["title"] == "T"
    assert (notebook.kernel_name, notebook.language) == ("ir", "r")
    assert [(cell.source, cell.line) for cell in notebook.cells] == [("Text.", 8)]


def test_front_matter_may_hold_the_metadata_under_jupyter() -> None:
    notebook = read_myst("---\njupyter:\n  kernelspec:\n    name: python3\n---\nText.\n")
    assert notebook.kernel_name == "python3"


def test_front_matter_that_ends_with_dots_loses_no_cell() -> None:
    """Two readers look for its end; they must agree where that is."""
    text = (
        "---\nkernelspec: {name: python3}\n...\n\n"
        "```{code-cell}\nfirst\n```\n\n"
        "```{code-cell}\n---\ntags: [a]\n---\nsecond\n```\n"
    )
    notebook = read_myst(text)
    assert [item.cell.source for item in notebook.code_cells] == ["first", "second"]
    assert not any("kernelspec" in cell.source for cell in notebook.cells)


def test_bad_front_matter_is_an_error_with_a_line() -> None:
    with pytest.raises(NotebookError, match="not valid YAML") as caught:
        read_myst("---\na: 1\nb: [\n---\n")
    assert caught.value.line in (3, 4)


@pytest.mark.parametrize("value", ["2024-13-45", "0b_", "!!timestamp x", "[" * 3000])
def test_yaml_that_pyyaml_stumbles_over_is_an_error_of_the_notebook(value: str) -> None:
    with pytest.raises(NotebookError, match="not valid YAML"):
        read_myst(f"---\na: {value}\n---\n")


def test_windows_line_endings_change_nothing() -> None:
    text = "---\na: 1\n---\n\n# T\n\n```{code-cell}\n:tags: [a]\n\nx = 1\ny\n```\n\n+++\n\nz\n"
    assert read_myst(text.replace("\n", "\r\n")) == read_myst(text)


def test_lone_carriage_returns_move_no_line() -> None:
    """markdown-it takes them for line ends; where cells start must not be counted otherwise."""
    text = "a\rb\n\n```{code-cell}\nx = 1\n```\n\nend\n"
    assert [(c.kind, c.source) for c in read_myst(text).cells if c.kind == "code"] == [
        ("code", "x = 1")
    ]
    assert "code-cell" not in "".join(c.source for c in read_myst(text).cells)
    assert read_myst(text).cells[-1].source == "end"


def test_an_unclosed_cell_goes_to_the_end() -> None:
    assert code("# T\n\n```{code-cell}\nx = 1\n\ny") == ["x = 1\n\ny"]


def test_an_empty_text_has_no_cells() -> None:
    assert read_myst("").cells == ()
    assert read_myst("---\na: 1\n---\n").cells == ()


LINES = st.lists(
    st.sampled_from(
        [
            "```{code-cell}",
            ":::{code-cell}",
            "```",
            "````",
            ":::",
            "::::",
            "::::{note}",
            "````{note}",
            "````{code-block} md",
            "---",
            ":tags: [a]",
            ":tags: [",
            "+++",
            '+++ {"a":',
            "- ",
            "  ",
            "    ",
            "> ",
            "x = 1",
            "",
            "\t",
            "[^a]: ",
            "<!--",
            "Term",
            ": ",
            "|a|",
            "|-|",
            "...",
            "\r",
            "\x0b",
            "\u2028",
            "\x00",
        ]
    )
    | st.text(max_size=5),
    max_size=14,
)


@given(LINES, st.sampled_from(["\n", "\r\n", ""]))
def test_no_text_raises_anything_but_a_notebook_error(lines: list[str], newline: str) -> None:
    text = newline.join(lines)
    with suppress(NotebookError):
        notebook = read_myst(text)
        last = text.count("\n") + text.count("\r") + 1
        assert all(1 <= cell.line <= last for cell in notebook.cells if cell.source.strip())


SIMPLE = st.lists(
    st.tuples(st.sampled_from(["code", "markdown"]), st.sampled_from(["x = 1", "word", "a\n\nb"])),
    max_size=6,
)


@given(SIMPLE)
def test_what_is_written_as_cells_is_read_as_cells(written: list[tuple[str, str]]) -> None:
    parts = [
        f"```{{code-cell}}\n{s}\n```" if kind == "code" else f"+++\n\n{s}" for kind, s in written
    ]
    text = "\n\n".join(parts)
    found = read_myst(text).cells
    assert [(cell.kind, cell.source) for cell in found] == written
    lines = text.split("\n")
    assert all(lines[cell.line - 1] == cell.source.split("\n")[0] for cell in found)
