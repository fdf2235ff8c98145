"""One output in several forms: all are kept in the doctree, each builder uses the best one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from docutils import nodes

from sphinx_nbcache.notices import Topic
from sphinx_nbcache.rendering.images import SUFFIXES, render_image
from sphinx_nbcache.rendering.live.charts import (
    PLOTLY_MIME,
    VEGA_MIMES,
    render_plotly,
    render_vega,
)
from sphinx_nbcache.rendering.markdown import render_markdown
from sphinx_nbcache.rendering.markup import (
    LATEX_RAW,
    render_html,
    render_latex,
    render_raw_latex,
)
from sphinx_nbcache.rendering.nodes import Context, OutputForm, OutputForms, text_block

Renderer = Callable[[Any, Context], list[nodes.Node]]


def render_plain(value: Any, context: Context) -> list[nodes.Node]:
    """Return plain text, with its colours or highlighted."""
    return [text_block(str(value), ["output", "text_plain"], context.looks.text_lexer)]


RENDERERS: Mapping[str, Renderer] = {
    "text/plain": render_plain,
    "text/html": render_html,
    "text/markdown": render_markdown,
    "text/latex": render_latex,
    LATEX_RAW: render_raw_latex,
    **{mime: partial(render_image, mime=mime) for mime in SUFFIXES},
    PLOTLY_MIME: render_plotly,
    **{mime: partial(render_vega, mime=mime) for mime in VEGA_MIMES},
}
LIVE = frozenset({PLOTLY_MIME, *VEGA_MIMES})
"""The MIME types whose forms only scripts can show."""
_NOTE = "This output is interactive: the HTML pages show it."


def _note() -> nodes.Node:
    """Return the form of an output that has no other one for a book or a text."""
    return nodes.paragraph("", _NOTE, classes=["output", "nbcache-note"])


def render_bundle(output: Mapping[str, Any], context: Context) -> list[nodes.Node]:
    """Return a MIME bundle in all forms that can be shown."""
    data = output.get("data")
    data = dict(data) if isinstance(data, Mapping) else {}
    if "text/latex" in data:
        # One MIME type, two forms: MathJax shows formulas only, LaTeX anything.
        data[LATEX_RAW] = data["text/latex"]
    metadata = output.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    # Images take their alternative text from it.
    plain = data.get("text/plain")
    context = replace(context, plain=plain if isinstance(plain, str) else "")
    forms = OutputForms("", priority=list(context.looks.mime_priority))
    shown_mimes: list[str] = []
    for mime, value in data.items():
        if renderer := RENDERERS.get(mime):
            own = metadata.get(mime)
            try:
                shown = renderer(
                    value, replace(context, metadata=own if isinstance(own, dict) else {})
                )
            except RecursionError:
                context.warn(Topic.MIME, f"an output of type {mime} is nested too deeply")
                continue
            if shown:
                forms += OutputForm("", *shown, mime=mime)
                shown_mimes.append(mime)
    if forms.children and LIVE.issuperset(shown_mimes):
        forms += OutputForm("", _note(), mime="text/plain")
    if data and not forms.children:
        known = ", ".join(data)
        context.warn(Topic.MIME, f"an output has only forms that cannot be shown: {known}")
    return [forms] if forms.children else []
