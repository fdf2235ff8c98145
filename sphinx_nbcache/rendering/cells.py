"""A code cell with its outputs, as docutils nodes. Class names are those of MyST-NB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from docutils import nodes

from sphinx_nbcache.rendering.bundle import render_bundle
from sphinx_nbcache.rendering.nodes import Context, HiddenBlock, ansi_block

Outputs = Sequence[Mapping[str, Any]]


def has_tag(tags: frozenset[str], name: str) -> bool:
    """Tell whether a cell has a tag, also in its older spelling with an underscore."""
    # MyST-NB accepts both spellings (`remove_cell`, `remove-cell`)
    # (https://myst-nb.readthedocs.io/en/latest/render/hiding.html).
    return name in tags or name.replace("-", "_") in tags


def removing_tags(tags: frozenset[str]) -> frozenset[str]:
    """Return the tags of a cell that keep its outputs out of the page."""
    return frozenset(t for t in tags if t.replace("_", "-") in ("remove-cell", "remove-output"))


def render_source(source: str, lexer: str) -> nodes.Element:
    """Return the source of a cell, to be highlighted."""
    block = nodes.literal_block(source, source, language=lexer, linenos=False)
    return nodes.container("", block, classes=["cell_input"])


def render_outputs(outputs: Outputs, tags: frozenset[str], context: Context) -> list[nodes.Node]:
    """Return the outputs of a cell, without those that its tags remove."""
    shown: list[nodes.Node] = []
    for output in outputs:
        if output.get("output_type") == "stream":
            if not has_tag(tags, f"remove-{output.get('name')}"):
                shown.append(_stream(output))
        elif output.get("output_type") == "error":
            shown.append(render_traceback(_traceback(output)))
        else:
            shown.extend(render_bundle(output, context))
    return shown


def render_traceback(text: str) -> nodes.Node:
    """Return a traceback with its colours."""
    return ansi_block(text, ["output", "traceback"])


def put_together(
    cell: nodes.Element, source: nodes.Element, outputs: Sequence[nodes.Node], tags: frozenset[str]
) -> None:
    """Fill the container of a cell with its source and outputs, as its tags say."""
    if has_tag(tags, "remove-cell"):
        # The whole container: an empty one would leave its margins in the page.
        cell.parent.remove(cell)
        return
    parts: list[nodes.Element] = []
    shows_source = not has_tag(tags, "remove-input")
    if shows_source:
        hides = has_tag(tags, "hide-input")
        parts.append(_hidden([source], "source", "above-input") if hides else source)
    if outputs and not has_tag(tags, "remove-output"):
        shown = nodes.container("", *outputs, classes=["cell_output"])
        hides = has_tag(tags, "hide-output")
        what = "output" if shows_source else "outputs"
        parts.append(_hidden([shown], what, "above-output") if hides else shown)
    if has_tag(tags, "hide-cell") and parts:
        parts = [_hidden(parts, "content", "above-input")]
    cell += parts


def _hidden(content: Sequence[nodes.Element], what: str, place: str) -> nodes.Element:
    return HiddenBlock("", *content, what=what, classes=[place])


def _stream(output: Mapping[str, Any]) -> nodes.Node:
    kind = "stderr" if output.get("name") == "stderr" else "stream"
    return ansi_block(str(output.get("text", "")), ["output", kind])


def _traceback(output: Mapping[str, Any]) -> str:
    lines = output.get("traceback")
    # Kernels without tracebacks send an empty list, such as bash_kernel.
    if isinstance(lines, list) and lines:
        return "\n".join(map(str, lines))
    return f"{output.get('ename')}: {output.get('evalue')}"
