"""Puts the values of notebooks where pages show them, while a page is read.

Values are there when the first page is read, since all notebooks have been run by then. So each
page has them whatever the builder is, and the order of the pages does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from docutils import nodes
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform

from sphinx_nbcache.extension.config_values import settings_of
from sphinx_nbcache.extension.fill import context_for
from sphinx_nbcache.extension.handover import Build, outputs_of
from sphinx_nbcache.extension.lexers import with_known_lexers
from sphinx_nbcache.extension.log import LOGGER
from sphinx_nbcache.notebooks.notebook import NotebookError
from sphinx_nbcache.notices import WARNING_TYPE, Topic
from sphinx_nbcache.planning import Action
from sphinx_nbcache.project import Settled
from sphinx_nbcache.project.jobs import read_planned
from sphinx_nbcache.rendering.bundle import render_bundle
from sphinx_nbcache.rendering.live.widgets import models_in, stored_models
from sphinx_nbcache.rendering.markdown import render_markdown
from sphinx_nbcache.rendering.markup import formula_in
from sphinx_nbcache.rendering.nodes import Context, OutputForm
from sphinx_nbcache.rendering.pasting import is_block, paste_inline, plain_text
from sphinx_nbcache.results.named_values import NamedValue, NamedValues, values_in
from sphinx_nbcache.text import did_you_mean, one_line, shortened

Kind = Literal["any", "text", "math", "md"]
PLACE = "nbcache_place"
"""The attribute of a formula that is to get its text."""
# Key of data that Sphinx forgets when a page has been read. Most pages show no values, and need not
# be searched for them.
_HAS_PLACES = "nbcache_places"


@dataclass(frozen=True, slots=True)
class Place:
    """A place of a page, and the value that belongs there.

    Attributes:
        kind: How it is shown.
        name: The name of a glued value, as written; or an expression.
        docname: The document of its notebook.
        option: The format of a text, or the dialect of Markdown, if they are options.
        image: How images are shown.
        inline: Whether it stands in a sentence.
        is_expression: Whether it is the value of an expression.
    """

    kind: Kind
    name: str
    docname: str
    option: str = ""
    image: Mapping[str, Any] = field(default_factory=dict)
    inline: bool = False
    is_expression: bool = False


class PastedValue(nodes.Inline, nodes.Element):
    """The place of a value. It never reaches a stored doctree. Its attribute `place` is a Place."""


def note_place(env: BuildEnvironment) -> None:
    """Note that the page that is being read has a place for a value."""
    env.temp_data[_HAS_PLACES] = True


def transform_with(
    paste: Callable[[BuildEnvironment, nodes.document], None],
) -> type[SphinxTransform]:
    """Return the transform that pastes values into each document by calling a function."""

    class PasteValues(SphinxTransform):
        # Before domains look at the page (850), which keep the texts of titles and captions for
        # references to them, and after quotes were made typographic (750): values stay as they are
        # (sphinx/transforms/__init__.py, Sphinx 9.0).
        default_priority = 840

        def apply(self, **_kwargs: Any) -> None:
            if _HAS_PLACES in self.env.temp_data:
                paste(self.env, self.document)

    return PasteValues


class ValuesOfBuild:
    """The values of the notebooks of a build, each loaded at most once in a process."""

    def __init__(self, build: Build) -> None:
        self._build = build
        self._loaded: dict[str, NamedValues] = {}

    def of(self, docname: str) -> NamedValues:
        """Return the values of the notebook of a document."""
        if docname not in self._loaded:
            settled = self._build.settled.get(docname)
            self._loaded[docname] = NamedValues() if settled is None else self._load(settled)
        return self._loaded[docname]

    def _load(self, settled: Settled) -> NamedValues:
        project = self._build.project
        assert project is not None
        if settled.result is not None:
            outputs = outputs_of(project, settled.result, settled.planned.name)
            if outputs is None:
                return NamedValues()
            return values_in(outputs.cells, models_in(outputs.widgets))
        if settled.planned.decision.action is not Action.AS_IS:
            return NamedValues()
        try:
            notebook = read_planned(settled.planned)
        except (NotebookError, OSError):
            return NamedValues()  # its own page says so
        models = stored_models(notebook.metadata.get("widgets"))
        return values_in([item.cell.outputs for item in notebook.code_cells], models)

    def why_missing(self, place: Place) -> str:
        """Say why a value is missing, and what to do."""
        settled, where = self._build.settled.get(place.docname), f"`{place.docname}`"
        if settled is None:
            near = did_you_mean(place.docname, self._build.settled)
            return f"{where} is no notebook{near or '; write `page::name` to name one'}"
        if settled.result is None:
            return f"the notebook {where} has no results in this build"
        if settled.result.result.failure is not None:
            return f"the notebook {where} failed"
        if place.is_expression:
            return (
                f"no run of {where} has evaluated it; it must stand in the notebook's own text,"
                " below a code cell that is run"
            )
        known = self.of(place.docname).glued
        return f"the notebook {where} has no value of this name{did_you_mean(place.name, known)}"


def paste_values(
    env: BuildEnvironment, document: nodes.document, values: ValuesOfBuild, *, has_own: bool
) -> set[str]:
    """Replace each place of a document by its value.

    Args:
        env: The environment.
        document: The document.
        values: The values of the notebooks.
        has_own: Whether the page shows the results of its own notebook; it does not if its file was
            edited during the build.

    Returns: The other documents whose values it shows.
    """
    own = env.docname
    # A list, because pasting replaces nodes, and `findall` is lazy.
    places = list(document.findall(_is_place))
    sources = {_place_of(node).docname for node in places} - {own}
    expressions = _numbered(places)
    for node in places:
        place = _place_of(node)
        if place.docname == own and not has_own:
            _show_name(node, place)  # another warning says why
            continue
        found: NamedValue | None
        if place.is_expression:
            found = _evaluated(values.of(own), place, *expressions[id(node)])
        else:
            place, found = _glued(values.of(place.docname).glued, place)
        if found is None or found.error:
            why = found.error if found is not None else values.why_missing(place)
            _warn(node, f"{_in_words(place)} is not shown: {why}")
            _show_name(node, place)
        else:
            _paste(env, document, node, place, found)
    return sources


def _is_place(node: nodes.Node) -> bool:
    return isinstance(node, PastedValue) or (isinstance(node, nodes.math_block) and PLACE in node)


def _place_of(node: nodes.Node) -> Place:
    assert isinstance(node, nodes.Element)
    place = node["place"] if isinstance(node, PastedValue) else node[PLACE]
    assert isinstance(place, Place)
    return place


def _numbered(places: Sequence[nodes.Node]) -> dict[int, tuple[int, int]]:
    """Return for each expression its number among the equal ones of the page, and their count."""
    by_text: dict[str, list[int]] = {}
    for node in places:
        if (place := _place_of(node)).is_expression:
            by_text.setdefault(place.name, []).append(id(node))
    return {one: (n, len(ids)) for ids in by_text.values() for n, one in enumerate(ids)}


def _evaluated(values: NamedValues, place: Place, number: int, count: int) -> NamedValue | None:
    found = values.evaluated.get(place.name, ())
    # An expression may have another value at each of its places.
    if len(found) == count:
        return found[number]
    if found and all(value == found[0] for value in found):
        return found[0]
    if found:
        text = f"it is in the text {len(found)} times, but on the page {count} times"
        return NamedValue(error=f"{text}; write it where it stands only once")
    return None


def _glued(values: Mapping[str, NamedValue], place: Place) -> tuple[Place, NamedValue | None]:
    """Return the value of a name, and the place with the format that follows the name, if any."""
    # The whole text first: a name may have a colon.
    if (found := values.get(place.name)) is not None:
        return place, found
    name, colon, option = place.name.rpartition(":")
    if colon and place.kind in ("text", "md"):
        return replace(place, name=name, option=option), values.get(name)
    return place, None


def _paste(
    env: BuildEnvironment,
    document: nodes.document,
    node: nodes.Node,
    place: Place,
    value: NamedValue,
) -> None:
    assert isinstance(node, nodes.Element)
    settings, _ = settings_of(env.config)

    def warn(topic: Topic, text: str, *, is_error: bool = False) -> None:  # noqa: ARG001
        _warn(node, f"{_in_words(place)}: {one_line(text)}", topic)

    looks = with_known_lexers(settings, warn)
    image = {**looks.image, **place.image}
    looks = replace(looks, image=image)
    context = replace(context_for(env, document, node.line, looks, warn), widgets=value.widgets)
    match place.kind:
        case "text":
            shown = _text(value, place, context)
        case "math":
            _paste_formula(node, value, place, context)
            return
        case "md":
            shown = _markdown(value, place, context)
        case "any" if place.inline:
            shown = _in_sentence(node, value, place, context)
        case _:
            shown = render_bundle(value.output, context)
    if isinstance(node.parent, nodes.Element) and _is_alone(node) and _has_block(shown):
        node = node.parent
        assert isinstance(node.parent, nodes.Element)
    if shown:
        node.replace_self(shown)
    else:
        _show_name(node, place)


def _text(value: NamedValue, place: Place, context: Context) -> list[nodes.Node]:
    plain = value.data.get("text/plain")
    if not isinstance(plain, str):
        return _without(context, "text/plain", value)
    try:
        text = plain_text(plain, place.option)
    except ValueError as error:
        shown = shortened(plain, 60)
        text = f"{shown} cannot be shown in the format {place.option!r} ({error})"
        context.warn(Topic.VALUE, f"{text}; the value is shown as it is")
        text = plain_text(plain)
    return [nodes.inline(text, text, classes=["pasted-text"])]


def _markdown(value: NamedValue, place: Place, context: Context) -> list[nodes.Node]:
    text = value.data.get("text/markdown")
    if not isinstance(text, str):
        return _without(context, "text/markdown", value)
    dialect: Any = place.option or context.looks.markdown
    if dialect not in ("gfm", "commonmark", "myst"):
        context.warn(Topic.VALUE, f"{dialect!r} is no dialect; write gfm, commonmark or myst")
        dialect = context.looks.markdown
    shown = render_markdown(text, replace(context, looks=replace(context.looks, markdown=dialect)))
    only = shown[0].children if shown and isinstance(shown[0], nodes.Element) else []
    if place.inline and len(only) == 1 and isinstance(only[0], nodes.paragraph):
        return list(only[0].children)
    return shown


def _in_sentence(
    node: nodes.Element, value: NamedValue, place: Place, context: Context
) -> list[nodes.Node]:
    shown = paste_inline(value.output, context)
    if place.is_expression:
        for part in (part for one in shown for part in one.findall(OutputForm)):
            if part["mime"] == "text/plain":
                text = plain_text(part.astext())
                part.children = []
                part.append(nodes.inline(text, text, classes=["output", "text_plain"]))
    if _is_alone(node):
        blocks = render_bundle(value.output, context)
        # A table, for example, cannot stand in a sentence, but here it need not.
        if _forms(blocks) > _forms(shown):
            return blocks
    return shown


def _forms(shown: Sequence[nodes.Node]) -> int:
    return sum(1 for one in shown for _ in one.findall(OutputForm))


def _is_alone(node: nodes.Node) -> bool:
    """Tell whether a node is all that its paragraph has."""
    parent = node.parent
    return isinstance(parent, nodes.paragraph) and all(
        other is node or (isinstance(other, nodes.Text) and not other.strip())
        for other in parent.children
    )


def _has_block(shown: Sequence[nodes.Node]) -> bool:
    """Tell whether something is shown that cannot stand in a paragraph."""
    return any(
        isinstance(part, nodes.Body) and not isinstance(part, nodes.Inline | nodes.image)
        for one in shown
        for part in one.findall(nodes.Element)
        if not isinstance(part, nodes.container | nodes.raw)
    ) or any(is_block(part) for one in shown for part in one.findall(nodes.raw))


def _paste_formula(node: nodes.Element, value: NamedValue, place: Place, context: Context) -> None:
    text = value.data.get("text/latex")
    formula = formula_in(text) if isinstance(text, str) else None
    if formula is None:
        if isinstance(text, str):
            context.warn(Topic.VALUE, "its LaTeX does not end what it begins")
        else:
            _without(context, "text/latex", value)
        _show_name(node, place)
    elif place.inline:
        node.replace_self(nodes.math(formula, formula, classes=["pasted-inline"]))
    else:
        del node[PLACE]
        node.rawsource = formula
        node.children = []
        node += nodes.Text(formula)
        node["classes"].append("pasted-math")


def _without(context: Context, mime: str, value: NamedValue) -> list[nodes.Node]:
    listed = ", ".join(map(str, value.data)) or "none"
    context.warn(Topic.VALUE, f"it has no form {mime}, only {listed}")
    return []


def _show_name(node: nodes.Node, place: Place) -> None:
    """Show the name instead of the value, so that readers see that something is missing."""
    name = nodes.literal(place.name, place.name, classes=["nbcache-missing"])
    assert isinstance(node, nodes.Element)
    node.replace_self(name if place.inline else nodes.paragraph("", "", name))


def _in_words(place: Place) -> str:
    what = "the value of the expression" if place.is_expression else "the value"
    return f"{what} {shortened(place.name, 80)!r}"


def name_doubled(cells: Sequence[Sequence[Mapping[str, Any]]], docname: str) -> None:
    """Warn about names that more than one cell of a notebook gives, by its outputs."""
    for name in values_in(cells).doubled:
        LOGGER.warning(
            "more than one cell glues a value as %r: the last one counts; choose another name",
            one_line(name),
            type=WARNING_TYPE,
            subtype=Topic.VALUE.value,
            location=docname,
        )


def _warn(node: nodes.Node, text: str, topic: Topic = Topic.VALUE) -> None:
    LOGGER.warning("%s", one_line(text), type=WARNING_TYPE, subtype=topic.value, location=node)
