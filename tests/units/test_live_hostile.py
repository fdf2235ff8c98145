"""Outputs for scripts, with any value: a form or a warning, never an exception."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from docutils.utils import new_document
from hypothesis import given
from hypothesis import strategies as st

from sphinx_nbcache.notices import Topic
from sphinx_nbcache.rendering.bundle import RENDERERS, render_bundle
from sphinx_nbcache.rendering.images import SUFFIXES
from sphinx_nbcache.rendering.nodes import Context

# Images are written to disk, and Markdown needs an environment.
MIMES = sorted({*RENDERERS} - {*SUFFIXES} - {"text/markdown", "text/latex"})
KEYS = st.sampled_from(
    "data layout config frames type images source geojson url spec model_id $schema mode".split()
)
TEXTS = st.text(max_size=9) | st.sampled_from(
    [
        "choropleth",
        "https://a.org/x.js",
        "IPY_MODEL_a",
        "a",
        "<script>vegaEmbed(1)})({",
        "<script src='https://cdn.plot.ly/plotly-2.0.0.js'></script>",
        "</script><!--",
        '<script>})({"$schema": "/vega/v5"}, {})//vegaEmbed</script>',
        "<link href=//a.org>",
        "require(['x'])",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | TEXTS, inner, max_size=4),
    max_leaves=12,
)
MODELS = st.dictionaries(TEXTS, VALUES, max_size=3)


def rendered(data: Any, metadata: Any, models: Any) -> tuple[bytes, list[str]]:
    said: list[str] = []

    def warn(topic: Topic, text: str, *, is_error: bool = False) -> None:
        said.append(text)

    context = Context(new_document("x"), Path(), str, warn, widgets=models)
    nodes = render_bundle({"data": data, "metadata": metadata}, context)
    # As in a stored doctree.
    return pickle.dumps([node.pformat() for node in nodes]), said


@given(st.dictionaries(st.sampled_from(MIMES), VALUES, max_size=3), VALUES, MODELS)
def test_no_value_ends_the_build(data: Any, metadata: Any, models: Any) -> None:
    first = rendered(data, metadata, models)
    assert rendered(data, metadata, models) == first


def test_a_value_that_is_nested_too_deeply_is_a_warning() -> None:
    deep: Any = {}
    for _ in range(100_000):
        deep = {"data": [deep]}
    for mime in MIMES:
        if "json" in mime:
            _, said = rendered({mime: deep}, {}, {"a": deep})
            assert said or "widget" in mime or mime.startswith("application/json"), mime
