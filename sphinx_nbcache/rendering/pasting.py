"""Values in pages: as blocks, in sentences, as text in a format, as Markdown, as formulas."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from docutils import nodes

from sphinx_nbcache.notices import Topic
from sphinx_nbcache.python_code import parse_literal
from sphinx_nbcache.rendering.bundle import render_bundle
from sphinx_nbcache.rendering.markdown import COMMONMARK, GFM, MYST, render_markdown
from sphinx_nbcache.rendering.markup import formula_in
from sphinx_nbcache.rendering.nodes import Context, OutputForm, OutputForms
from sphinx_nbcache.results.named_values import NamedValue
from sphinx_nbcache.results.terminal import printable, strip_ansi
from sphinx_nbcache.text import shortened

Kind = Literal["any", "text", "math", "md"]
# `np.float64(0.5)`, as NumPy 2 writes its numbers.
_NUMPY = re.compile(
    r"np\.(?:(?:float|int|uint|longlong|ulonglong|longdouble|str_)\w*\((?P<value>.*)\)"
    r"|(?P<name>True|False)_)",
    re.DOTALL,
)
_INTEGER, _FLOAT = frozenset("bcdoxX"), frozenset("eEfFgGn%")
# A literal that is longer is no number or text for a sentence, and takes long to read.
_LONGEST = 10_000
_WIDEST = 1_000
_WIDTH = re.compile(r"\d+")
# Elements that end a paragraph in HTML
# (https://html.spec.whatwg.org/multipage/grouping-content.html#the-p-element).
_BLOCKS = re.compile(
    r"<(?:address|article|aside|blockquote|center|details|dialog|dir|div|dl|fieldset|figcaption"
    r"|figure|footer|form|h[1-6]|header|hgroup|hr|listing|main|menu|nav|ol|p|plaintext|pre|search"
    r"|section|table|ul|xmp)[\s/>]",
    re.IGNORECASE,
)


class NotShownError(Exception):
    """A value cannot be shown. The message says why."""


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


def render_value(
    value: NamedValue, place: Place, context: Context, *, may_be_block: bool
) -> list[nodes.Node]:
    """Return the nodes for a value in a place.

    Args:
        value: The value.
        place: The place.
        context: The surroundings.
        may_be_block: Whether a block may take the place: it stands alone.

    Raises:
        NotShownError: It cannot be shown there.
    """
    match place.kind:
        case "text":
            text = _formatted(value, place, context)
            return [nodes.inline(text, text, classes=["pasted-text"])]
        case "math":
            return [_formula(value, may_be_block=may_be_block)]
        case "md":
            return _markdown(value, place, context, may_be_block=may_be_block)
    shown: Sequence[nodes.Node] = render_bundle(value.output, context)
    if not may_be_block or (place.inline and _count(_inline(shown)) == _count(shown)):
        shown = _inline(shown)
    if not _count(shown):
        listed = ", ".join(map(str, value.data)) or "none"
        where = "" if may_be_block else " in a sentence; write the directive `glue` for a block"
        raise NotShownError(f"it has no form that can be shown{where} (its forms: {listed})")
    if place.is_expression:
        _take_quotes(shown)
    return list(shown)


def render_in_title(value: NamedValue, place: Place, context: Context) -> list[nodes.Node]:
    """Return the nodes for a value in a title or a caption, of which references show the text.

    Raises:
        NotShownError: It cannot be shown there.
    """
    if place.kind == "any":
        kind: Kind = "math" if "text/latex" in value.data else "text"
        place = replace(place, kind=kind)
    return render_value(value, place, context, may_be_block=False)


def plain_text(text: str, spec: str = "") -> str:
    """Return the plain text form of a value as it stands in a sentence.

    Texts lose their quotes, and numbers of NumPy their type. With a format, the value is converted
    as in MyST-NB (`format_plain_text` in `myst_nb/core/variables.py`, 1.4).

    Args:
        text: The plain text form, such as `3.14159`.
        spec: A format of Python's `format`, such as `.2f`; empty for none.

    Raises:
        ValueError: The value does not have the type that the format needs.
    """
    text = printable(strip_ansi(text))
    value, words = _value_of(text)
    if not spec:
        return words
    if any(int(number) > _WIDEST for number in _WIDTH.findall(spec)):
        raise ValueError(f"a width or precision above {_WIDEST}")
    try:
        if spec[-1] == "s":
            value = words
        elif spec[-1] in _INTEGER:
            value = int(value)
        elif spec[-1] in _FLOAT:
            value = float(value)
        # The format `c` makes any character.
        return printable(format(value, spec))
    except (TypeError, OverflowError) as error:
        raise ValueError(str(error)) from None


def is_block(html: nodes.raw) -> bool:
    """Tell whether HTML has elements that cannot stand in a paragraph."""
    return _BLOCKS.search(html.astext()) is not None


def _value_of(text: str) -> tuple[Any, str]:
    """Return the literal that a text is, and its words; for any other text the text itself."""
    match = _NUMPY.fullmatch(text)
    literal = text if match is None else match["value"] or match["name"] or ""
    if not 0 < len(literal) <= _LONGEST:
        return text, text
    try:
        value = parse_literal(literal.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return text, text
    # Numbers have the digits that the program wrote: `0.10` is not `0.1`.
    return value, printable(value) if isinstance(value, str) else literal.strip()


def _formatted(value: NamedValue, place: Place, context: Context) -> str:
    plain = _form(value, "text/plain")
    try:
        return plain_text(plain, place.option)
    except ValueError as error:
        text = f"{shortened(plain, 60)} cannot be shown in the format {place.option!r} ({error})"
        context.warn(Topic.VALUE, f"{text}; the value is shown as it is")
        return plain_text(plain)


def _markdown(
    value: NamedValue, place: Place, context: Context, *, may_be_block: bool
) -> list[nodes.Node]:
    text = _form(value, "text/markdown")
    dialect: Any = place.option or context.looks.markdown
    if dialect not in (GFM, COMMONMARK, MYST):
        context.warn(Topic.VALUE, f"{dialect!r} is no dialect; write gfm, commonmark or myst")
        dialect = context.looks.markdown
    shown = render_markdown(text, replace(context, looks=replace(context.looks, markdown=dialect)))
    if may_be_block and not place.inline:
        return shown
    if (sentence := _without_block(shown)) is not None:
        return sentence
    if may_be_block:
        return shown
    raise NotShownError("its Markdown is more than a sentence; write the directive `glue:md`")


def _formula(value: NamedValue, *, may_be_block: bool) -> nodes.Element:
    formula = formula_in(_form(value, "text/latex"))
    if formula is None:
        raise NotShownError("its LaTeX is not one formula that ends what it begins")
    if may_be_block:
        block = nodes.math_block(formula.text, formula.text, number=None)
        block["nowrap"] = block["no-wrap"] = formula.is_display
        return block
    if formula.is_display:
        raise NotShownError("it is a formula of several lines; write the directive `glue:math`")
    return nodes.math(formula.text, formula.text, classes=["pasted-inline"])


def _form(value: NamedValue, mime: str) -> str:
    text = value.data.get(mime)
    if isinstance(text, str):
        return text
    listed = ", ".join(map(str, value.data)) or "none"
    raise NotShownError(f"it has no form {mime} (its forms: {listed})")


def _take_quotes(shown: Sequence[nodes.Node]) -> None:
    """Show the strings among the values of expressions without their quotes, as in MyST-NB."""
    for part in (part for one in shown for part in one.findall(OutputForm)):
        if part["mime"] == "text/plain" and isinstance(part.next_node(), nodes.inline):
            text = plain_text(part.astext())
            part.children = []
            part.append(nodes.inline(text, text, classes=["output", "text_plain"]))


def _inline(shown: Sequence[nodes.Node]) -> list[nodes.Node]:
    """Return an output in the forms that can stand in a sentence."""
    kept: list[nodes.Node] = []
    for one in shown:
        forms = one.deepcopy()
        assert isinstance(forms, OutputForms)
        for form in list(forms.findall(OutputForm)):
            content = _without_block(form.children)
            if content is None:
                forms.remove(form)
                continue
            form.children = []
            form.extend(content)
        if forms.children:
            kept.append(forms)
    return kept


def _count(shown: Sequence[nodes.Node]) -> int:
    return sum(1 for one in shown for _ in one.findall(OutputForm))


def _without_block(content: Sequence[nodes.Node]) -> list[nodes.Node] | None:
    """Return the content of a form for a sentence; `None` if it needs a block of its own."""
    if len(content) != 1:
        return None
    (node,) = content
    if isinstance(node, nodes.image) or (isinstance(node, nodes.raw) and not is_block(node)):
        return [node]
    if isinstance(node, nodes.literal_block):
        text = node.astext()
        return [nodes.inline(text, text, classes=node["classes"])]
    if isinstance(node, nodes.math_block) and not node.get("no-wrap"):
        return [nodes.math(node.rawsource, node.astext(), classes=node["classes"])]
    if isinstance(node, nodes.paragraph):
        return list(node.children)
    return _without_block(node.children) if isinstance(node, nodes.container) else None
