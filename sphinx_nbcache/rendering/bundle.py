"""One output in several forms: all are kept in the doctree, each builder uses the best one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
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
from sphinx_nbcache.rendering.live.javascript import (
    JAVASCRIPT_MIMES,
    only_loads_bokeh,
    render_javascript,
)
from sphinx_nbcache.rendering.live.json_tree import (
    JSON_MIME,
    JSON_TEXT,
    render_json,
    render_json_text,
)
from sphinx_nbcache.rendering.live.places import needs_scripts
from sphinx_nbcache.rendering.live.widgets import WIDGET_MIME, render_widget
from sphinx_nbcache.rendering.markdown import render_markdown
from sphinx_nbcache.rendering.markup import (
    LATEX_RAW,
    render_html,
    render_latex,
    render_raw_latex,
)
from sphinx_nbcache.rendering.nodes import (
    BY_OTHERS,
    Context,
    OutputForm,
    OutputForms,
    text_block,
)
from sphinx_nbcache.rendering.plugins import render_by_plugin

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
    JSON_MIME: render_json,
    JSON_TEXT: render_json_text,
    **dict.fromkeys(JAVASCRIPT_MIMES, render_javascript),
    PLOTLY_MIME: render_plotly,
    WIDGET_MIME: render_widget,
    **{mime: partial(render_vega, mime=mime) for mime in VEGA_MIMES},
}
# Second forms of one MIME type.
_OURS = frozenset({JSON_TEXT, LATEX_RAW})
_NOTE = "This output is interactive, and cannot be shown here."
_NAME_OF_OBJECT = re.compile(r"<IPython\.core\.display\.\w+ object>")


def render_bundle(output: Mapping[str, Any], context: Context) -> list[nodes.Node]:
    """Return a MIME bundle in all forms that can be shown."""
    data = output.get("data")
    data = dict(data) if isinstance(data, Mapping) else {}
    if only_loads_bokeh(data):
        return []
    if JSON_MIME in data:
        data[JSON_TEXT] = data[JSON_MIME]
    if "text/latex" in data:
        # One MIME type, two forms: MathJax shows formulas only, LaTeX anything.
        data[LATEX_RAW] = data["text/latex"]
    metadata = output.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    # Images take their alternative text from it.
    plain = data.get("text/plain")
    context = replace(context, plain=plain if isinstance(plain, str) else "")
    priority = context.looks.mime_priority
    forms = OutputForms("", priority=priority if isinstance(priority, Mapping) else [*priority])
    static: list[str] = []
    for mime, value in data.items():
        own = metadata.get(mime)
        form = _form(mime, value, replace(context, metadata=own if isinstance(own, dict) else {}))
        if form is not None:
            forms += form
            if not needs_scripts(form):
                static.append(mime)
    _say_that_scripts_show_it(forms, static, context.plain)
    if data and not forms.children:
        known = ", ".join(mime for mime in data if mime not in _OURS)
        context.warn(Topic.MIME, f"an output has only forms that cannot be shown: {known}")
    return [forms] if forms.children else []


def _form(mime: str, value: Any, context: Context) -> OutputForm | None:
    """Return a form of an output; `None` if it cannot be shown."""
    renderer = RENDERERS.get(mime)
    try:
        if renderer is not None:
            shown = renderer(value, context)
        else:
            shown = render_by_plugin(mime, value, context)
    except RecursionError:
        context.warn(Topic.MIME, f"an output of type {mime} is nested too deeply")
        return None
    if not shown:
        return None
    form = OutputForm("", *shown, mime=mime)
    form[BY_OTHERS] = renderer is None
    return form


def _say_that_scripts_show_it(forms: OutputForms, static: Sequence[str], plain: str) -> None:
    """Add a form for books and texts, if there is none but a name such as `<HTML object>`."""
    if len(static) == len(forms.children) or set(static) - {"text/plain"}:
        return
    if static and not _NAME_OF_OBJECT.fullmatch(plain.strip()):
        return
    for form in list(forms.children):
        if isinstance(form, OutputForm) and form["mime"] == "text/plain":
            forms.remove(form)
    forms += OutputForm("", nodes.paragraph("", _NOTE, classes=["output"]), mime="text/plain")
