"""A code cell with its outputs, as docutils nodes. Class names are those of MyST-NB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from docutils import nodes

from sphinx_nbcache.kernels.streams import join_streams
from sphinx_nbcache.looks import Looks
from sphinx_nbcache.notices import Topic
from sphinx_nbcache.rendering.bundle import render_bundle
from sphinx_nbcache.rendering.figures import framed
from sphinx_nbcache.rendering.nodes import Context, HiddenBlock, OutputFigure, ScrollBox, text_block
from sphinx_nbcache.results.named_values import is_hidden
from sphinx_nbcache.results.terminal import printable

# The second is the one of Jupyter Book.
_SCROLLED = frozenset({"scroll-output", "scroll_output", "output_scroll"})
Outputs = Sequence[Mapping[str, Any]]


def has_tag(tags: frozenset[str], name: str) -> bool:
    """Tell whether a cell has a tag, also in its older spelling with an underscore."""
    # MyST-NB accepts both spellings (`remove_cell`, `remove-cell`)
    # (https://myst-nb.readthedocs.io/en/latest/render/hiding.html).
    return name in tags or name.replace("-", "_") in tags


def removing_tags(tags: frozenset[str]) -> frozenset[str]:
    """Return the tags of a cell that keep its outputs out of the page."""
    return frozenset(t for t in tags if t.replace("_", "-") in ("remove-cell", "remove-output"))


def render_source(source: str, lexer: str, looks: Looks, prompt: str = "") -> nodes.Element:
    """Return the source of a cell, to be highlighted.

    Args:
        source: The source.
        lexer: The highlighter.
        looks: How the cell looks.
        prompt: The execution count to show, in words; empty for none.
    """
    # Form feeds, for example, which separate sections, cannot stand in XML.
    source = printable(source)
    block = nodes.literal_block(source, source, language=lexer, linenos=looks.number_source_lines)
    count = source.count("\n") + 1
    if lines := looks.lines_to_emphasize(count):
        block["highlight_args"] = {"hl_lines": lines}
    parts = [nodes.paragraph("", prompt, classes=["nbcache-prompt"])] if prompt else []
    return nodes.container("", *parts, block, classes=["cell_input"])


def render_outputs(
    outputs: Outputs,
    tags: frozenset[str],
    context: Context,
    figure: OutputFigure | None = None,
) -> list[nodes.Node]:
    """Return the outputs of a cell, without those that its tags remove.

    Args:
        outputs: The outputs.
        tags: The tags of the cell.
        context: The surroundings.
        figure: The figure for them, with its caption, if the cell makes one.
    """
    if context.looks.merge_streams:
        outputs = join_streams([dict(output) for output in outputs])
    shown: list[nodes.Node] = []
    bundles: list[nodes.Element] = []
    for output in outputs:
        if output.get("output_type") == "stream":
            if not has_tag(tags, f"remove-{output.get('name')}"):
                shown += _stream(output, context)
        elif output.get("output_type") == "error":
            shown.append(render_traceback(_traceback(output), context.looks))
        elif not is_hidden(output):
            bundle = render_bundle(output, context)
            bundles += [forms for forms in bundle if isinstance(forms, nodes.Element)]
            shown += bundle
    return framed(shown, bundles, figure) if figure is not None else shown


def render_traceback(text: str, looks: Looks) -> nodes.Node:
    """Return a traceback with its colours, or highlighted."""
    return text_block(text, ["output", "traceback"], looks.error_lexer)


def put_together(
    cell: nodes.Element,
    source: nodes.Element,
    outputs: Sequence[nodes.Node],
    tags: frozenset[str],
    looks: Looks,
) -> None:
    """Fill the container of a cell with its source and outputs, as its tags and looks say."""
    if has_tag(tags, "remove-cell"):
        # The whole container: an empty one would leave its margins in the page.
        cell.parent.remove(cell)
        return
    if looks.scroll_outputs:
        cell["classes"].append("config_scroll_outputs")
    parts: list[nodes.Element] = []
    if has_tag(tags, "scroll-input"):
        source = ScrollBox("", *source.children, classes=source["classes"])
    shows_source = not (has_tag(tags, "remove-input") or looks.remove_code_source)
    if shows_source:
        hides = has_tag(tags, "hide-input")
        parts.append(_hidden([source], "source", "above-input", looks) if hides else source)
    if outputs and not (has_tag(tags, "remove-output") or looks.remove_code_outputs):
        scrolls = looks.scroll_outputs or bool(tags & _SCROLLED) or any(map(_is_wide, outputs))
        box = ScrollBox if scrolls else nodes.container
        shown = box("", *outputs, classes=["cell_output"])
        hides = has_tag(tags, "hide-output")
        what = "output" if shows_source else "outputs"
        parts.append(_hidden([shown], what, "above-output", looks) if hides else shown)
    if has_tag(tags, "hide-cell") and parts:
        parts = [_hidden(parts, "content", "above-input", looks)]
    cell += parts


def _is_wide(output: nodes.Node) -> bool:
    """Tell whether an output has a table, which may be wider than the page."""
    if isinstance(output, nodes.literal_block):
        return False  # most outputs: without a walk
    return any("<table" in raw.astext() for raw in output.findall(nodes.raw))


def _hidden(content: Sequence[nodes.Element], what: str, place: str, looks: Looks) -> nodes.Element:
    show, hide = (
        words.replace("{type}", what) for words in (looks.code_prompt_show, looks.code_prompt_hide)
    )
    return HiddenBlock("", *content, show=show, hide=hide, classes=[place])


def _stream(output: Mapping[str, Any], context: Context) -> list[nodes.Node]:
    kind = "stderr" if output.get("name") == "stderr" else "stream"
    if kind == "stderr":
        policy = context.looks.output_stderr
        if policy in ("remove-warn", "warn", "error", "severe"):
            left_out = ", which is left out" if policy == "remove-warn" else ""
            text = f"there is standard error output{left_out}"
            context.warn(Topic.STDERR, text, is_error=policy in ("error", "severe"))
        if policy.startswith("remove"):
            return []
    lexer = context.looks.text_lexer
    return [text_block(str(output.get("text", "")), ["output", kind], lexer)]


def _traceback(output: Mapping[str, Any]) -> str:
    lines = output.get("traceback")
    # Kernels without tracebacks send an empty list, such as bash_kernel.
    if isinstance(lines, list) and lines:
        return "\n".join(map(str, lines))
    return f"{output.get('ename')}: {output.get('evalue')}"
