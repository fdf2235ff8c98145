"""Roles and directives that show values of notebooks: `glue`, `eval` and their variants.

Names and syntax are those of MyST-NB.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.directives.patches import MathDirective
from sphinx.domains import Domain
from sphinx.environment import BuildEnvironment
from sphinx.util import docname_join
from sphinx.util.docutils import SphinxDirective, SphinxRole

from sphinx_nbcache.extension.log import LOGGER
from sphinx_nbcache.extension.pasting import PLACE, note_place
from sphinx_nbcache.look_values import image_options
from sphinx_nbcache.notebooks.inline_values import normal
from sphinx_nbcache.notices import WARNING_TYPE, Topic
from sphinx_nbcache.rendering.figures import new_figure
from sphinx_nbcache.rendering.nodes import PastedValue
from sphinx_nbcache.rendering.pasting import Kind, Place

if TYPE_CHECKING:
    from docutils.parsers.rst.states import RSTState

_IMAGE = ("alt", "height", "width", "scale", "class")
_DOC = "::"


def _placed(env: BuildEnvironment, kind: Kind, written: str, doc: str = "", **more: Any) -> Place:
    """Return the place of a value: `name`, or `page::name`."""
    named, separator, name = written.partition(_DOC)
    target = doc or (named if separator else "")
    return Place(
        kind,
        (name if separator else written).strip(),
        _docname(env, target.strip()) if target.strip() else env.docname,
        **more,
    )


def _docname(env: BuildEnvironment, target: str) -> str:
    """Return the document of a path, with or without suffix, relative to the current page."""
    docname = docname_join(env.docname, target)
    if docname in env.found_docs:
        return docname
    suffixes = sorted(env.config.source_suffix, key=len, reverse=True)
    suffix = next((suffix for suffix in suffixes if target.endswith(suffix)), "")
    return docname.removesuffix(suffix) if suffix else docname


class GlueRole(SphinxRole):
    """Shows a value in a sentence: `name`, or `page::name`.

    A text may have a format, `name:.2f`; Markdown a dialect, `name:myst`.
    """

    def __init__(self, kind: Kind = "any") -> None:
        super().__init__()
        self._kind = kind

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the place of the value."""
        node = PastedValue("", place=_placed(self.env, self._kind, self.text, inline=True))
        note_place(self.env)
        self.set_source_info(node)
        return [node], []


class EvalRole(SphinxRole):
    """Shows the value that an expression had in the run of the notebook, at this place."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the place of the value."""
        text = normal(self.text)
        place = Place("any", text, self.env.docname, inline=True, is_expression=True)
        node = PastedValue("", place=place)
        note_place(self.env)
        self.set_source_info(node)
        return [node], []


class _ValueDirective(SphinxDirective):
    """Shows a value as a block."""

    required_arguments = 1
    final_argument_whitespace = True
    kind: ClassVar[Kind] = "any"
    is_expression: ClassVar[bool] = False
    option_spec: ClassVar = {"doc": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        """Return the place of the value."""
        return [self.place()]

    def place(self, image: Mapping[str, Any] | None = None) -> PastedValue:
        """Return the place of the value."""
        written, image = self.arguments[0], image or {}
        if self.is_expression:
            text = normal(written)
            place = Place(self.kind, text, self.env.docname, image=image, is_expression=True)
        else:
            option, doc = self.options.get("format", ""), self.options.get("doc", "")
            place = _placed(self.env, self.kind, written, doc, option=option, image=image)
        node = PastedValue("", place=place)
        note_place(self.env)
        self.set_source_info(node)
        return node


class Glue(_ValueDirective):
    """Shows a value in the form that suits the builder best."""


class GlueMarkdown(_ValueDirective):
    """Shows a value as Markdown of the page."""

    kind = "md"
    option_spec: ClassVar = {"doc": directives.unchanged, "format": directives.unchanged}


class GlueFigure(_ValueDirective):
    """Shows a value in a figure, with the content of the directive as its caption."""

    has_content = True
    option_spec: ClassVar = {
        "doc": directives.unchanged,
        "name": directives.unchanged,
        "align": lambda text: directives.choice(text, ("left", "center", "right")),
        "figwidth": lambda text: directives.length_or_percentage_or_unitless(text, "px"),
        "figclass": directives.class_option,
        **dict.fromkeys(_IMAGE, directives.unchanged),
    }

    def run(self) -> list[nodes.Node]:
        """Return the figure, with its caption and the place of the value."""
        names = {"align": "align", "figwidth": "width", "figclass": "classes"}
        given = {names[key]: value for key, value in self.options.items() if key in names}
        caption = self.parse_content_to_nodes()
        if caption and not isinstance(caption[0], nodes.paragraph):
            self._warn("the caption of a figure must begin with a paragraph")
            caption = []
        image = self._image()
        if caption and "alt" not in image and caption[0].next_node(PastedValue) is None:
            image["alt"] = caption[0].astext()
        figure = new_figure(given, caption, is_table=False)
        figure.insert(0, self.place(image))
        self.set_source_info(figure)
        self.add_name(figure)
        return [figure]

    def _image(self) -> dict[str, Any]:
        try:
            return image_options({key: self.options[key] for key in _IMAGE if key in self.options})
        except ValueError as expected:
            self._warn(f"an option of the image is not {expected}")
            return {}

    def _warn(self, text: str) -> None:
        LOGGER.warning(
            "%s: %s",
            self.name,
            text,
            type=WARNING_TYPE,
            subtype=Topic.VALUE.value,
            location=self.get_location(),
        )


class GlueMath(MathDirective):
    """Shows a value as a formula, which may have a label."""

    has_content = False
    required_arguments = 1
    option_spec: ClassVar = {**(MathDirective.option_spec or {}), "doc": directives.unchanged}
    state: RSTState

    def run(self) -> list[nodes.Node]:
        """Return the formula, whose text is still the name of the value."""
        found: list[nodes.Node] = super().run()
        place = _placed(self.env, "math", self.arguments[0], self.options.get("doc", ""))
        note_place(self.env)
        for node in found:
            if isinstance(node, nodes.math_block):
                node[PLACE] = place
        return found


class Eval(_ValueDirective):
    """Shows the value of an expression as a block."""

    is_expression = True
    option_spec: ClassVar = {}


class EvalFigure(GlueFigure):
    """Shows the value of an expression in a figure."""

    is_expression = True


class _ValueDomain(Domain):
    """Holds roles and directives with a colon in their names, which Sphinx finds in domains only.

    (`_DirectivesDispatcher` in `sphinx/util/docutils.py`, Sphinx 9.0.)
    """

    def merge_domaindata(self, *_args: Any, **_kwargs: Any) -> None:
        """Merge nothing: the domain has no data."""

    def resolve_any_xref(self, *_args: Any, **_kwargs: Any) -> list[Any]:
        """Resolve nothing: the domain has no objects."""
        return []


class GlueDomain(_ValueDomain):
    """`glue:any`, `glue:text` and others."""

    name = "glue"
    label = "glued values"
    roles: ClassVar = {
        "": GlueRole(),
        "any": GlueRole(),
        "text": GlueRole("text"),
        "math": GlueRole("math"),
        "md": GlueRole("md"),
    }
    directives: ClassVar = {
        "": Glue,
        "any": Glue,
        "figure": GlueFigure,
        "math": GlueMath,
        "md": GlueMarkdown,
    }


class EvalDomain(_ValueDomain):
    """`eval:figure`."""

    name = "eval"
    label = "evaluated expressions"
    roles: ClassVar = {"": EvalRole(), "any": EvalRole()}
    directives: ClassVar = {"": Eval, "any": Eval, "figure": EvalFigure}
