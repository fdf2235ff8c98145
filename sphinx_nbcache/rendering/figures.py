"""Figures around outputs, with captions, names and numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from docutils import nodes

from sphinx_nbcache.rendering.nodes import (
    OutputCaption,
    OutputFigure,
    OutputForm,
    OutputTable,
)

_PLAIN = "text/plain"


def new_figure(
    options: Mapping[str, Any], caption: Sequence[nodes.Node], *, is_table: bool
) -> OutputFigure:
    """Return a figure without content.

    Args:
        options: The options of the figure, checked.
        caption: The nodes of its caption: the first paragraph, and the legend.
        is_table: Whether it is numbered among tables.
    """
    figure = (OutputTable if is_table else OutputFigure)("")
    figure["classes"] += options.get("classes", [])
    for key in ("align", "width"):
        if key in options:
            figure[key] = options[key]
    if caption:
        first, *legend = caption
        words = first.children if isinstance(first, nodes.paragraph) else [first]
        shown = OutputCaption(getattr(first, "rawsource", "") or first.astext(), "", *words)
        # Without a place, translators would not get it.
        shown.source, shown.line = first.source, first.line
        figure += shown
        if legend:
            figure += nodes.legend("", *legend)
    figure["caption_before"] = bool(options.get("caption_before", is_table))
    return figure


def framed(
    shown: Sequence[nodes.Node], bundles: Sequence[nodes.Element], figure: OutputFigure
) -> list[nodes.Node]:
    """Return outputs with a figure around each that is not only text.

    The first has the figure's name; all have its caption, as in MyST-NB.

    Args:
        shown: The outputs, in order.
        bundles: The outputs among them that may be in figures.
        figure: The figure, without content.
    """
    rich = [bundle for bundle in bundles if _is_rich(bundle)]
    if not rich and not figure["names"]:
        # Such as plain text, in a notebook whose metadata make figures of all outputs.
        return list(shown)
    rich = rich or list(bundles)
    framed_by = {id(bundle): figure if n == 0 else _copied(figure) for n, bundle in enumerate(rich)}
    result: list[nodes.Node] = []
    for node in shown:
        frame = framed_by.get(id(node))
        if frame is None:
            result.append(node)
            continue
        frame.insert(len(frame) if frame["caption_before"] else 0, node)
        result.append(frame)
    # Without an output, such as after a failure, the name is still there to be referred to.
    return result if rich else [*result, figure]


def _is_rich(bundle: nodes.Element) -> bool:
    return any(form["mime"] != _PLAIN for form in bundle.findall(OutputForm))


def _copied(figure: OutputFigure) -> OutputFigure:
    """Return a copy without its name."""
    copy = figure.deepcopy()
    for node in copy.findall(nodes.Element):
        node["ids"], node["names"] = [], []
    return copy
