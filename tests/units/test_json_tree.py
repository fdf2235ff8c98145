"""JSON as a tree: escaped, bounded, and without a script."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docutils.utils import new_document
from hypothesis import given
from hypothesis import strategies as st

from sphinx_nbcache.rendering.html.containing import contained
from sphinx_nbcache.rendering.live.json_tree import render_json, render_json_text
from sphinx_nbcache.rendering.nodes import Context

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just("</details><script>"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def tree(value: Any, **metadata: Any) -> str:
    context = Context(new_document("x"), Path(), str, lambda *_a, **_k: None, metadata=metadata)
    (node,) = render_json(value, context)
    return node.astext()


def test_a_tree_folds_and_has_the_values() -> None:
    html = tree({"a": [1, "two"], "b": None, "e": []})
    assert html.count("<details>") == 2
    assert "root" in html
    assert "3 keys" in html
    assert "&quot;two&quot;" in html
    assert "null" in html
    assert "<script" not in html


def test_it_is_open_if_the_output_says_so() -> None:
    html = tree({"a": {"b": 1}}, expanded=True, root="<top>")
    assert html.count('<details open="">') == 2
    assert "&lt;top&gt;" in html
    assert '<details open="">' not in tree({"a": 1}, expanded="no", root=3)


@given(VALUES)
def test_no_value_leaves_its_tree(value: Any) -> None:
    html = tree(value)
    whole = contained(html)
    assert whole is not None
    assert "<script" not in html
    assert html.count("<details") == html.count("</details>")


def test_large_and_deep_values_are_cut() -> None:
    html = tree([*range(100_000)])
    assert len(html) < 1_000_000
    assert "95000 more" in html
    deep: Any = 1
    for _ in range(500):
        deep = [deep]
    assert tree(deep).count("<details") < 60
    assert len(tree("x" * 100_000)) < 20_000


def test_other_builders_get_it_as_text() -> None:
    context = Context(new_document("x"), Path(), str, lambda *_a, **_k: None)
    (node,) = render_json_text({"a": ["ü", "\x00"]}, context)
    assert json.loads(node.astext())["a"][0] == "ü"
    assert "\x00" not in node.astext()
    (node,) = render_json_text(["x" * 1000] * 1000, context)
    assert len(node.astext()) < 110_000
