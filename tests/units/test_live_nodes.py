"""JSON in pages: it ends no script, and is the same value for the browser."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sphinx_nbcache.rendering.live.nodes import data_script, json_for_html

TRAPS = st.sampled_from(["</script", "<!--", "<script", "]]>", "\u2028", "\ud800", "&amp;", "'"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | TRAPS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | TRAPS, inner),
)


@given(VALUES)
def test_no_text_ends_the_script_that_holds_it(value: Any) -> None:
    text = json_for_html(value)
    assert not set("<>&\u2028\u2029") & set(text)
    assert text.isascii()
    assert json.loads(text) == value


def test_numbers_that_json_does_not_know_are_null() -> None:
    value = {"a": [float("nan"), float("inf"), 1.5]}
    assert json.loads(json_for_html(value)) == {"a": [None, None, 1.5]}
    assert data_script("x").startswith('<script type="application/json">')
