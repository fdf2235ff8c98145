"""Values in sentences: their formats, and which expressions a text has."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sphinx_nbcache.notebooks.formats import read_notebook
from sphinx_nbcache.notebooks.inline_values import expressions_after, expressions_in
from sphinx_nbcache.rendering.markup import formula_in
from sphinx_nbcache.rendering.pasting import plain_text
from sphinx_nbcache.results.named_values import NOTHING, evaluated, is_hidden, values_in


@pytest.mark.parametrize(
    ("text", "spec", "expected"),
    [
        ("3.14159", ".2f", "3.14"),
        ("3.10", "", "3.10"),
        ("'a b'", "", "a b"),
        ("'a'", ">3s", "  a"),
        ("np.float64(0.5)", "", "0.5"),
        ("np.float64(0.5)", ".1%", "50.0%"),
        ("np.int64(1234567)", ",", "1,234,567"),
        ("np.str_('x')", "", "x"),
        ("7.9", "d", "7"),
        ("[1, 2]", "", "[1, 2]"),
        ("<object>", "", "<object>"),
        ("\x1b[31mred\x1b[0m", "", "red"),
        ("f(x) and more", "", "f(x) and more"),
        ("np.True_", "", "True"),
        ("datetime.date(2026, 11, 29)", "", "datetime.date(2026, 11, 29)"),
        ("Fraction(1, 3)", "", "Fraction(1, 3)"),
        ("frozenset({1})", "", "frozenset({1})"),
        ("55296", "c", "\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_a_value_in_a_sentence(text: str, spec: str, expected: str) -> None:
    assert plain_text(text, spec) == expected


@pytest.mark.parametrize(
    ("text", "spec"), [("'Ada'", ".2f"), ("1", "9999999d"), ("[1]", "d"), ("1e999", "d")]
)
def test_a_format_that_does_not_fit_is_an_error(text: str, spec: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        plain_text(text, spec)


@given(st.text(), st.text(max_size=6))
def test_no_text_and_no_format_raise_anything_else(text: str, spec: str) -> None:
    with suppress(ValueError):
        plain_text(text, spec)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_formatted_as_python_does(number: float) -> None:
    for shown in (repr(number), f"np.float64({number!r})"):
        assert plain_text(shown) == repr(number)
        assert plain_text(shown, ".3e") == format(number, ".3e")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{eval}`x` and {eval}`y\nor 1`", ["x", "y or 1"]),
        ("| a |\n| --- |\n| {eval}`x` |", ["x"]),
        ("- list {eval}`x`\n\n> quote {eval}`y`", ["x", "y"]),
        ("`{eval}`, `` {eval}`x` ``", []),
        ("```python\n{eval}`x`\n```", []),
        ("```{code-block}\n{eval}`x`\n```", []),
        (":::{note} {eval}`title`\n{eval}`x`\n:::", ["title", "x"]),
        ("```{eval} x\n```", ["x"]),
        ("```{eval:figure} x\nCaption {eval}`y`\n```", ["x", "y"]),
        ("````{tab}\n```{note}\n{eval}`x`\n```\n````", ["x"]),
        ("# Title {eval}`x`", ["x"]),
        ("{eval:any}`x`", ["x"]),
        ("{eval}`len('a  b')`", ["len('a  b')"]),
        ("Text[^f].\n\n[^f]: {eval}`x`", ["x"]),
        ("% {eval}`x`", []),
    ],
)
def test_the_expressions_in_a_text(text: str, expected: list[str]) -> None:
    assert list(expressions_in(text)) == expected


def test_deep_nesting_ends() -> None:
    text = "{eval}`x`"
    for depth in range(3, 60):
        text = f"{'`' * depth}{{note}}\n{text}\n{'`' * depth}"
    list(expressions_in(text))


def test_an_expression_belongs_to_the_last_cell_that_is_run() -> None:
    text = (
        "---\nkernelspec: {name: python3}\n---\n{eval}`first`\n\n"
        "```{code-cell}\n1\n```\n{eval}`a`\n\n"
        "```{code-cell}\n\n```\n{eval}`b`\n\n```{code-cell}\n:tags: [skip-execution]\n2\n```\n"
        "{eval}`c`\n\n```{code-cell}\n3\n```\n{eval}`d`\n"
    )
    assert expressions_after(read_notebook(text, "myst")) == {
        -1: ("first",),
        0: ("a", "b", "c"),
        2: ("d",),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$x$", "x"),
        (r"\(x\)", "x"),
        ("$$\na\n$$", "a"),
        (r"a \\[2pt] b", r"a \\[2pt] b"),
        ("a % comment", "a"),
        (r"10\%", r"10\%"),
        ("$x$ and $y$", None),
        ("$x", None),
        ("\\", None),
        (r"\(x\) \)", None),
        ("}", None),
    ],
)
def test_latex_as_a_formula(text: str, expected: str | None) -> None:
    found = formula_in(text)
    assert (None if found is None else found.text) == expected


def test_a_formula_of_several_lines_stands_alone() -> None:
    found = formula_in(r"\begin{align}a\end{align}")
    assert found is not None
    assert found.is_display


def test_a_value_above_the_limit_is_not_kept() -> None:
    output = evaluated("x", {"data": {"text/plain": "a" * 2_000_000}}, 1)
    assert output["data"] == {}
    assert "nbcache_output_limit" in output["metadata"]["nbcache_expression"]["error"]


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"data": 3},
        {"data": {}, "ename": "E", "evalue": "x"},
        {"data": {"a/b": 1}, "metadata": 2},
    ],
)
def test_any_reply_of_a_kernel_is_kept(reply: dict[str, Any]) -> None:
    output = evaluated("x", reply)
    assert is_hidden(output)
    (value,) = values_in([[output]]).evaluated["x"]
    assert value.data == (
        {"a/b": 1} if isinstance(reply.get("data"), dict) and reply["data"] else {}
    )
    if not value.data:
        assert value.error == ("E: x" if "ename" in reply else NOTHING)
