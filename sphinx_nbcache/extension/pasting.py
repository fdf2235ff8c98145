"""Puts the values of notebooks where pages show them, while a page is read.

Values are there when the first page is read, since all notebooks have been run by then. So each
page has them whatever the builder is, and the order of the pages does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from docutils import nodes
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform

from sphinx_nbcache.extension.config_values import settings_of
from sphinx_nbcache.extension.fill import context_for
from sphinx_nbcache.extension.lexers import with_known_lexers
from sphinx_nbcache.extension.log import LOGGER
from sphinx_nbcache.extension.tokens import FROM_NOTEBOOK
from sphinx_nbcache.extension.values_of_build import ValuesOfBuild
from sphinx_nbcache.notices import WARNING_TYPE, Topic
from sphinx_nbcache.rendering.nodes import OutputForm, PastedValue
from sphinx_nbcache.rendering.pasting import (
    NotShownError,
    Place,
    is_block,
    render_in_title,
    render_value,
)
from sphinx_nbcache.results.named_values import NamedValue
from sphinx_nbcache.text import one_line, shortened

PLACE = "nbcache_place"
"""The attribute of a formula that is to get its text."""
# Key of data that Sphinx forgets when a page has been read. Most pages show no values, and need not
# be searched for them.
_HAS_PLACES = "nbcache_places"
# A value may be Markdown that shows other values, or even itself.
_DEEPEST = 5
# Texts that Sphinx keeps for references and the table of contents, where it knows no other nodes
# (`SphinxContentsFilter` in sphinx/transforms/__init__.py, 9.0).
_KEPT_TEXTS = (nodes.title, nodes.rubric, nodes.caption, nodes.term)


def note_place(env: BuildEnvironment) -> None:
    """Note that the page that is being read has a place for a value."""
    env.temp_data[_HAS_PLACES] = True


def has_places(env: BuildEnvironment) -> bool:
    """Tell whether the page that is being read has, or had, a place for a value."""
    return _HAS_PLACES in env.temp_data


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
            if has_places(self.env):
                paste(self.env, self.document)

    return PasteValues


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
    sources: set[str] = set()
    for depth in range(_DEEPEST + 1):
        # A list, because pasting replaces nodes, and `findall` is lazy.
        places = list(document.findall(_is_place))
        if not places:
            break
        sources |= {_place_of(node).docname for node in places}
        # The text of the notebook has no places that stand in a value.
        numbers = _numbers_of(document, places) if depth == 0 else {}
        for node in places:
            place = _place_of(node)
            if place.docname == env.docname and not has_own:
                _show_name(node, place)  # another warning says why
                continue
            place = _with_option(place, values)
            try:
                value = _found(values, place, numbers.get(id(node)), depth)
                _paste(env, document, node, place, value)
            except NotShownError as error:
                _warn(node, f"{_in_words(place)} is not shown: {error}")
                _show_name(node, place)
    return sources - {env.docname}


def _is_place(node: nodes.Node) -> bool:
    return isinstance(node, PastedValue) or (isinstance(node, nodes.math_block) and PLACE in node)


def _place_of(node: nodes.Node) -> Place:
    assert isinstance(node, nodes.Element)
    place = node["place"] if isinstance(node, PastedValue) else node[PLACE]
    assert isinstance(place, Place)
    return place


def _numbers_of(
    document: nodes.document, places: Sequence[nodes.Node]
) -> dict[int, tuple[int, int]]:
    """Return for each expression its number among the equal ones in the text, and their count.

    The order is that of the lines: footnotes, for example, stand at the end of the page. Text from
    other files is left out.
    """
    by_text: dict[str, list[nodes.Node]] = {}
    for node in places:
        place = _place_of(node)
        if place.is_expression and node.source == document["source"]:
            by_text.setdefault(place.name, []).append(node)
    return {
        id(node): (number, len(equal))
        for equal in by_text.values()
        for number, node in enumerate(sorted(equal, key=lambda node: node.line or 0))
    }


def _with_option(place: Place, values: ValuesOfBuild) -> Place:
    """Return a place with the format that follows the name, if any."""
    name, colon, option = place.name.rpartition(":")
    # The whole text first: a name may have a colon.
    is_name = place.is_expression or place.name in values.of(place.docname).glued
    if is_name or not colon or place.kind not in ("text", "md"):
        return place
    return replace(place, name=name, option=option)


def _found(
    values: ValuesOfBuild, place: Place, number: tuple[int, int] | None, depth: int
) -> NamedValue:
    """Return the value for a place.

    Raises:
        NotShownError: There is none, or it stands in itself.
    """
    if depth == _DEEPEST:
        raise NotShownError("values that show values are nested too deeply")
    if place.is_expression:
        return _evaluated(values, place, number)
    found = values.of(place.docname).glued.get(place.name)
    if found is None:
        raise NotShownError(values.why_missing(place))
    return found


def _evaluated(values: ValuesOfBuild, place: Place, number: tuple[int, int] | None) -> NamedValue:
    """Return the value of an expression in its place.

    An expression may have another value each time. The outputs of a run have them in the order of
    the text; those of a run that failed end before.

    Raises:
        NotShownError: There is none.
    """
    wanted = values.expressions_of(place.docname).get(place.name, 0)
    found = values.of(place.docname).evaluated.get(place.name, ())
    if number is not None and number[1] == wanted and number[0] < len(found):
        value = found[number[0]]
        if value.error:
            raise NotShownError(value.error)
        return value
    if number is not None and wanted and number[1] != wanted:
        text = f"it is in the text {wanted} times, but on the page {number[1]} times"
        raise NotShownError(f"{text}; write it only where it is shown")
    raise NotShownError(values.why_missing(place))


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
    looks = replace(looks, image={**looks.image, **place.image})
    context = context_for(document, node.line, looks, warn, value.widgets)
    is_alone = _is_alone(node)
    if _is_in(node, _KEPT_TEXTS) and place.inline:
        shown = render_in_title(value, place, context)
    else:
        shown = render_value(value, place, context, may_be_block=not place.inline or is_alone)
    if isinstance(node, nodes.math_block):
        (formula,) = shown
        _fill_formula(node, formula)
        return
    if place.inline and is_alone and any(map(_is_block, shown)):
        # A table, for example, takes the place of the whole paragraph.
        node = node.parent
        assert isinstance(node, nodes.Element)
    _keep_from_translators(shown)
    node.replace_self(shown)


def _fill_formula(node: nodes.math_block, formula: nodes.Node) -> None:
    """Give a formula, which has its label and number already, its text."""
    assert isinstance(formula, nodes.math_block)
    del node[PLACE]
    node.rawsource = formula.rawsource
    node.children = []
    node += nodes.Text(formula.astext())
    node["classes"].append("pasted-math")
    node.source = None
    if formula["no-wrap"]:
        node["nowrap"] = node["no-wrap"] = True


def _keep_from_translators(shown: Sequence[nodes.Node]) -> None:
    """Mark what is shown as nothing that translators get: it changes with each run."""
    for node in (part for one in shown for part in one.findall(nodes.Element)):
        if isinstance(node, nodes.TextElement):
            node.source = None  # translators get no text without a place
        elif isinstance(node, nodes.image):
            node[FROM_NOTEBOOK] = True


def _is_in(node: nodes.Node, kinds: tuple[type[nodes.Node], ...]) -> bool:
    parent = node.parent
    while parent is not None and not isinstance(parent, kinds):
        parent = parent.parent
    return parent is not None


def _is_alone(node: nodes.Node) -> bool:
    """Tell whether a node is all that its paragraph has."""
    parent = node.parent
    return isinstance(parent, nodes.paragraph) and all(
        other is node or (isinstance(other, nodes.Text) and not other.strip())
        for other in parent.children
    )


def _is_block(shown: nodes.Node) -> bool:
    """Tell whether something is shown that cannot stand in a paragraph."""
    return any(
        is_block(part)
        if isinstance(part, nodes.raw)
        else isinstance(part, nodes.Body) and not isinstance(part, nodes.Inline | nodes.image)
        for part in _content_of(shown)
    )


def _content_of(shown: nodes.Node) -> Iterator[nodes.Node]:
    forms = list(shown.findall(OutputForm))
    for form in forms:
        yield from form.children
    if not forms:
        yield shown


def _show_name(node: nodes.Node, place: Place) -> None:
    """Show the name instead of the value, so that readers see that something is missing."""
    name = nodes.literal(place.name, place.name, classes=["nbcache-missing"])
    assert isinstance(node, nodes.Element)
    node.replace_self(name if place.inline else nodes.paragraph("", "", name))


def _in_words(place: Place) -> str:
    what = "the value of the expression" if place.is_expression else "the value"
    return f"{what} {shortened(place.name, 80)!r}"


def _warn(node: nodes.Node, text: str, topic: Topic = Topic.VALUE) -> None:
    LOGGER.warning("%s", one_line(text), type=WARNING_TYPE, subtype=topic.value, location=node)
