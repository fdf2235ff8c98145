"""`doctree-read`: fills placeholders with the outputs of the chosen result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from docutils import nodes
from sphinx import version_info as sphinx_version
from sphinx.environment import BuildEnvironment

from sphinx_nbcache.extension.directives import CodeCellNode
from sphinx_nbcache.extension.handover import outputs_of
from sphinx_nbcache.extension.kept_html import kept_html
from sphinx_nbcache.extension.lexers import (
    is_lexer,
    kernels_lexer,
    known_lexer,
    with_known_lexers,
)
from sphinx_nbcache.extension.log import LOGGER
from sphinx_nbcache.extension.tokens import show_translated
from sphinx_nbcache.files.atomic import trouble_in_words
from sphinx_nbcache.looks import Looks
from sphinx_nbcache.notebooks.notebook import SKIP_TAG
from sphinx_nbcache.notices import WARNING_TYPE, Topic
from sphinx_nbcache.planning import Action
from sphinx_nbcache.project import Project, Settled
from sphinx_nbcache.rendering.cells import (
    has_tag,
    put_together,
    removing_tags,
    render_outputs,
    render_source,
    render_traceback,
)
from sphinx_nbcache.rendering.images import image_folder, image_uri
from sphinx_nbcache.rendering.live.widgets import models_in, stored_models
from sphinx_nbcache.rendering.nodes import Context, HtmlWithFormulas, OutputFigure, Warn
from sphinx_nbcache.report.selection import cell_id
from sphinx_nbcache.results.records import Result
from sphinx_nbcache.text import one_line

_Output = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ShownResult:
    """The outputs that a page shows of its notebook, by position of the code cell.

    Attributes:
        result: The result they come from; `None` for those stored in the file.
        outputs: The result's outputs.
        stored: Whether cells show the outputs stored in the file.
        widgets: The models of the result's widgets.
    """

    result: Result | None = None
    outputs: Sequence[Sequence[_Output]] = ()
    stored: bool = False
    widgets: Mapping[str, Any] = field(default_factory=dict)

    def is_of(self, code: Sequence[str]) -> bool:
        """Tell whether the result belongs to the code with these digests, cell by cell."""
        # Digests, not the code key: the parser has no kernel, folder or assets, which the key
        # contains.
        return self.result is None or [cell.digest for cell in self.result.cells] == list(code)

    def outputs_of(self, node: CodeCellNode) -> Sequence[_Output]:
        """Return the outputs of a cell."""
        if self.stored or SKIP_TAG in node["cell"].tags:
            outputs: Sequence[_Output] = node["cell"].outputs
            return outputs
        position = node["position"]
        # A result may be forged to have fewer outputs than its code has cells.
        return self.outputs[position] if position < len(self.outputs) else ()

    def prompt_of(self, node: CodeCellNode) -> str:
        """Return the execution count of a cell as Jupyter shows it."""
        cell = node["cell"]
        if self.stored or SKIP_TAG in cell.tags:
            return f"[{cell.execution_count or ' '}]:"
        counts = (output.get("execution_count") for output in self.outputs_of(node))
        # A kernel counts the cells that it runs, from 1.
        count = next((count for count in counts if isinstance(count, int)), node["position"] + 1)
        return f"[{count if self.result is not None else ' '}]:"

    def failure_at(self, position: int | None) -> str:
        """Return the traceback of the run, if it failed at this cell; else an empty text.

        Args:
            position: The position of the cell; `None` for a failure outside of cells.
        """
        failure = self.result.failure if self.result is not None else None
        return failure.traceback if failure and failure.position == position else ""


def shown_by(project: Project, settled: Settled, docname: str) -> ShownResult:
    """Return the outputs that the page of a notebook shows."""
    if settled.result is None:
        return ShownResult(stored=settled.planned.decision.action is Action.AS_IS)
    outputs = outputs_of(project, settled.result, docname)
    if outputs is None:
        return ShownResult()
    models = models_in(outputs.widgets)
    return ShownResult(settled.result.result, outputs.cells, widgets=models)


def is_of_notebook(document: nodes.document, result: Result) -> bool:
    """Tell whether a result belongs to the code of the page, which was not edited meanwhile."""
    shown = ShownResult(result)
    return all(shown.is_of(node["code"]) for node in document.findall(CodeCellNode))


def fill_document(env: BuildEnvironment, document: nodes.document, shown: ShownResult) -> bool:
    """Replace each placeholder of a document by the cell with its outputs.

    Returns: Whether the page shows the intended outputs. It does not if the source changed after
    the plan was made: then all outputs are left out, because those of one cell may depend on the
    code of any other.
    """
    # A list, because filling replaces nodes, and `findall` is lazy.
    placeholders = list(document.findall(CodeCellNode))
    fits = all(shown.is_of(node["code"]) for node in placeholders)
    if not fits:
        LOGGER.warning(
            "the notebook was edited while the build was running: its outputs are left out;"
            " build again",
            type=WARNING_TYPE,
            subtype=Topic.CELL.value,
            location=placeholders[0],
        )
        shown = ShownResult()
    if placeholders and (text := shown.failure_at(None)):
        _put_before(placeholders[0], text)
    warnings = _Warnings()
    for node in placeholders:
        try:
            _fill_cell(env, document, node, shown, warnings)
        except OSError as error:
            LOGGER.warning(
                "code cell %d: its outputs are left out, because an image cannot be written: %s",
                node["number"],
                trouble_in_words(error),
                type=WARNING_TYPE,
                subtype=Topic.CELL.value,
                location=node,
            )
            # The source alone: a full disk should cost a page its images, not the build.
            _fill_cell(env, document, node, ShownResult(), warnings)
            fits = False  # the next build tries it again
    warnings.issue()
    # Before Sphinx 8.2 MathJax is loaded on the pages that this domain knows, and it has looked at
    # the page before its outputs were there (sphinx/domains/math.py, Sphinx 8.0).
    if sphinx_version < (8, 2) and document.next_node(_has_formulas) is not None:
        env.get_domain("math").data["has_equations"][env.docname] = True
    return fits


def _shows_formulas(env: BuildEnvironment) -> bool:
    """Tell whether a script shows formulas on pages; with images Sphinx needs nodes for them."""
    named = env.config.html_math_renderer
    if named is None:
        return "sphinx.ext.imgmath" not in env.config.extensions
    return named in ("mathjax", "katex")


def _has_formulas(node: nodes.Node) -> bool:
    return isinstance(node, nodes.math | nodes.math_block | HtmlWithFormulas)


class _Warnings:
    """Warnings about the cells of a document: the first one of each kind, and a count.

    An untrusted result can have a million outputs that cannot be shown.
    """

    def __init__(self) -> None:
        self._first: dict[Topic, tuple[CodeCellNode, int, str]] = {}
        self._errors: set[Topic] = set()
        self._counts: Counter[Topic] = Counter()

    def add(self, node: CodeCellNode, topic: Topic, text: str, *, is_error: bool = False) -> None:
        if is_error:
            self._errors.add(topic)
        # The first one has the place; the others are counted.
        self._first.setdefault(topic, (node, node["number"], one_line(text)))
        self._counts[topic] += 1

    def issue(self) -> None:
        for topic, (node, number, text) in self._first.items():
            others = self._counts[topic] - 1
            log = LOGGER.error if topic in self._errors else LOGGER.warning
            log(
                "code cell %d: %s%s",
                number,
                text,
                f" (and {others} more of this kind on the page)" if others else "",
                type=WARNING_TYPE,
                subtype=topic.value,
                location=node,
            )


def fill_unplanned(env: BuildEnvironment, document: nodes.document) -> None:
    """Fill the placeholders of a notebook that did not exist when notebooks were executed."""
    if document.next_node(CodeCellNode) is None:
        return  # an ordinary page
    LOGGER.warning(
        "the notebook appeared while the build was running and was not executed; build again",
        type=WARNING_TYPE,
        subtype=Topic.CELL.value,
        location=env.docname,
    )
    fill_document(env, document, ShownResult(stored=True))


def _fill_cell(
    env: BuildEnvironment,
    document: nodes.document,
    node: CodeCellNode,
    shown: ShownResult,
    warnings: _Warnings,
) -> None:
    cell = node["cell"]
    warn = partial(warnings.add, node)
    outputs = shown.outputs_of(node)
    looks: Looks = with_known_lexers(node["looks"], warn)
    models = {**stored_models(node["widgets"]), **shown.widgets}
    context = context_for(document, node.line, looks, warn, models)
    # A copy: a second try finds the figure as it was.
    figure = next((child.deepcopy() for child in node.findall(OutputFigure)), None)
    rendered = render_outputs(outputs, cell.tags, context, figure)
    for part in rendered if figure is not None else ():
        for made in part.findall(OutputFigure):
            if not made["ids"]:
                document.set_id(made)  # by which Sphinx numbers it
    tags = cell.tags
    if text := shown.failure_at(node["position"]):
        if (removed := removing_tags(tags)) or looks.remove_code_outputs:
            # Tags control how the cell looks. A failure must be visible all the same.
            rendered, tags = [render_traceback(text, looks)], tags - removed | _shown_of(removed)
            looks = replace(looks, remove_code_outputs=False)
        # Failures such as a time limit have no error output; the others would show their traceback
        # twice.
        elif not any(output.get("output_type") == "error" for output in outputs):
            rendered.append(render_traceback(text, looks))
    lexer = known_lexer(_lexer(node, shown), warn)
    prompt = shown.prompt_of(node) if looks.prompts else ""
    source = render_source(cell.source, lexer, looks, prompt)
    container = _container_for(node)
    put_together(container, source, rendered, tags, looks)
    show_translated(env, container)


def _shown_of(removed: frozenset[str]) -> frozenset[str]:
    """Return the tags of a cell that is in the page only for its traceback."""
    return frozenset({"remove-input"}) if has_tag(removed, "remove-cell") else frozenset()


def _put_before(placeholder: CodeCellNode, text: str) -> None:
    """Put a traceback that belongs to no cell before the block that has the first cell."""
    block: nodes.Element = placeholder
    while not isinstance(block.parent, nodes.section | nodes.document):
        block = block.parent
    shown = render_traceback(text, placeholder["looks"])
    output = nodes.container("", shown, classes=["cell_output"])
    cell = nodes.container("", output, classes=["cell"])
    block.parent.insert(block.parent.index(block), cell)


def _container_for(node: CodeCellNode) -> nodes.container:
    """Replace a placeholder with an ordinary container, which is stored in the doctree."""
    # The attributes and classes of MyST-NB, by which themes and sphinx-thebe find cells.
    container = nodes.container("", classes=node["classes"], nb_element="cell_code")
    container["cell_index"] = node["number"]
    container["ids"].append(cell_id(node["number"]))
    container.source, container.line = node.source, node.line
    node.replace_self(container)
    return container


def _lexer(node: CodeCellNode, shown: ShownResult) -> str:
    """Return the language for highlighting: the kernel's, else the file's."""
    named = kernels_lexer(shown.result) if shown.result is not None else ""
    return named or str(node["lexer"])


def context_for(
    document: nodes.document, line: int | None, looks: Looks, warn: Warn, widgets: Mapping[str, Any]
) -> Context:
    """Return the surroundings of an output in a document.

    Args:
        document: The document.
        line: The line of the cell, or of the place.
        looks: How it looks.
        warn: Issues a warning about it.
        widgets: The state of widgets, by model.
    """
    env: BuildEnvironment = document.settings.env
    return Context(
        document,
        image_folder(env),
        lambda path: image_uri(env, path),
        warn,
        is_lexer=is_lexer,
        line=line,
        looks=looks,
        formulas=_shows_formulas(env),
        kept=kept_html(env),
        widgets=widgets,
    )
