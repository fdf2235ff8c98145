"""One output in several forms: all are kept in the doctree, each builder uses the best one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from docutils import nodes
from sphinx.builders import Builder
from sphinx.builders._epub_base import EpubBuilder
from sphinx.transforms.post_transforms import SphinxPostTransform

from sphinx_nbcache.notices import Topic
from sphinx_nbcache.rendering.completing import write_as_xhtml
from sphinx_nbcache.rendering.images import SUFFIXES, render_image
from sphinx_nbcache.rendering.markdown import render_markdown
from sphinx_nbcache.rendering.markup import (
    LATEX_RAW,
    render_html,
    render_latex,
    render_raw_latex,
)
from sphinx_nbcache.rendering.nodes import (
    FORMATS_WITH_OUR_NODES,
    Context,
    OutputForm,
    OutputForms,
    text_block,
    use_plain_nodes,
)

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
}
# The formats of Sphinx's own builders that show no images; those that write no pages have none.
_FORMATS_WITHOUT_IMAGES = frozenset({"", "man", "pseudoxml", "text", "xml"})
_USUAL_IMAGES = ("image/png", "image/jpeg", "image/svg+xml", "image/gif", "image/webp")
_TEXT_FORMS = ("text/latex", "text/markdown", "text/plain")


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
    if data and not forms.children:
        known = ", ".join(data)
        context.warn(Topic.MIME, f"an output has only forms that cannot be shown: {known}")
    return [forms] if forms.children else []


def preferred_forms(builder: Builder) -> list[str]:
    """Return the MIME types that a builder can show, the best first."""
    images = [mime for mime in SUFFIXES if mime in builder.supported_image_types]
    if not builder.supported_image_types and builder.format not in _FORMATS_WITHOUT_IMAGES:
        # Builders of other packages often name none, although their format has images: Markdown and
        # reStructuredText (sphinx-markdown-builder 0.6, sphinxcontrib-restbuilder 0.3).
        images = list(_USUAL_IMAGES)
    if builder.format == "html":
        return ["text/html", *images, "text/markdown", "text/latex", "text/plain"]
    if builder.format == "latex":
        # A PDF is the sharpest; the other images follow in the order of their suffixes.
        images.sort(key=lambda mime: mime != "application/pdf")
        return [*images, LATEX_RAW, *_TEXT_FORMS]
    return [*images, *_TEXT_FORMS]


class ChooseForms(SphinxPostTransform):
    """Keeps the form of each output that suits the builder best."""

    # Before references are resolved (10) and images are collected for the writer (100), or Sphinx
    # would warn about references in forms that no one sees, and copy their images
    # (https://www.sphinx-doc.org/en/master/extdev/appapi.html).
    default_priority = 4

    def run(self, **_kwargs: Any) -> None:
        """Replace each [](OutputForms) by the content of one of its forms."""
        preferred = preferred_forms(self.app.builder)
        is_xhtml = isinstance(self.app.builder, EpubBuilder)
        # The choice is made here, not when the page is read: builders share doctrees.
        for forms in list(self.document.findall(OutputForms)):
            by_mime = {form["mime"]: form for form in forms.findall(OutputForm)}
            wanted = [mime for mime in forms["priority"] if mime in preferred]
            best = next((by_mime[m] for m in (*wanted, *preferred) if m in by_mime), None)
            if best is not None and is_xhtml:
                write_as_xhtml(best)
            forms.replace_self(best.children if best is not None else [])
        if self.app.builder.format not in FORMATS_WITH_OUR_NODES:
            use_plain_nodes(self.document)
