"""Parses HTML as browsers do, and writes it as HTML or as XHTML."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

# Elements without an end tag, and those whose content is no markup: sections "Void elements" and
# "Parsing HTML fragments" of the standard.
VOID = frozenset("area br col embed hr img input link meta param source track wbr".split())
_RAW = frozenset("script style xmp iframe noembed noframes noscript plaintext".split())
_ESCAPABLE_RAW = frozenset({"textarea", "title"})
# A first line break in them is dropped by parsers.
_SKIPS_NEWLINE = frozenset({"pre", "textarea", "listing"})
# The elements that all browsers find in a list of choices. The standard allowed more in 2025, which
# older ones leave out together with their end tags.
_CHOICES = frozenset({"option", "optgroup", "hr", "script"})
# They change the page around them: its attributes, where its links lead, and which page is shown.
LEFT_OUT = frozenset({"base", "body", "frame", "frameset", "head", "html"})
# The lists of items, and the elements in which these may stand.
_LISTS = {"li": "ul", "dd": "dl", "dt": "dl"}
_MAY_HOLD = {"ul": ("ul", "ol", "menu"), "dl": ("dl", "div")}
_NAMESPACES = {
    "html": "http://www.w3.org/1999/xhtml",
    "svg": "http://www.w3.org/2000/svg",
    "math": "http://www.w3.org/1998/Math/MathML",
}
_XML_NAME = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
_ATTRIBUTE = re.compile(r"[^\s\"'<>/=\x00]+")
# Not `xmlns`: namespaces are declared where they begin.
_XML_ATTRIBUTE = re.compile(r"(?!xmlns\Z)(?:xlink:[a-z]+|xml:[a-z]+|[A-Za-z_][\w.-]*)", re.ASCII)
_SCRIPT_TRAP = re.compile(r"<(?=!--|/?script)", re.IGNORECASE)

# Where MathJax finds no formulas: its options `skipHtmlTags` and `ignoreHtmlClass`
# (https://docs.mathjax.org/en/v3.2-latest/options/document.html).
_NO_FORMULAS = frozenset("script noscript style textarea pre code".split())
_IGNORED_CLASS = re.compile(r"(?:^|\s)(?:tex2jax_ignore|mathjax_ignore)(?:\s|$)")
_FORMULA = re.compile(
    r"(?<!\\)(?:\$\$(?P<dollars>.+?)(?<!\\)\$\$|\$(?P<dollar>(?:\\.|[^$\\])+)\$"
    # Without another beginning in it, so that each is looked at once.
    r"|\\\[(?P<brackets>(?:(?!\\\[).)+?)\\\]|\\\((?P<parentheses>(?:(?!\\\().)+?)\\\))",
    re.DOTALL,
)


def parsed(html: str) -> Any:
    """Return the root of a fragment of HTML, as justhtml parses it."""
    # It takes 15 ms to import, and most outputs are clean.
    from justhtml import JustHTML

    return JustHTML(html, fragment=True, sanitize=False).root


def has_formula(text: str) -> bool:
    """Tell whether a text has something between dollars and the like."""
    # Each begins with one of these; most tables have neither.
    return ("$" in text or "\\" in text) and _FORMULA.search(text) is not None


def holds_text(name: str) -> bool:
    """Tell whether the content of an HTML element is text, whatever it looks like."""
    return name in _RAW or name in _ESCAPABLE_RAW


def may_stand_in(name: str, *, is_in_select: bool) -> bool:
    """Tell whether an element is written at its place, or only its content."""
    return not is_in_select or name in _CHOICES


def start_tag(
    name: str, attributes: Mapping[str, str | None], *, xml: bool, is_html: bool = True
) -> str:
    """Return a start tag; nothing for a name that XML does not know."""
    if xml and not _XML_NAME.fullmatch(name):
        return ""
    is_empty = xml and is_html and name in VOID
    return "".join([*_start(_shown(name), attributes, xml=xml), " />" if is_empty else ">"])


def end_tag(name: str, *, xml: bool = False) -> str:
    """Return the end tag for a start tag."""
    return "" if xml and not _XML_NAME.fullmatch(name) else f"</{_shown(name)}>"


def written_text(text: str, parent: str, *, xml: bool) -> str:
    """Return the text in an HTML element."""
    if xml or parent not in _RAW or parent == "plaintext":
        return escape(text, quote=False)
    # In the states "script data escaped" and "double escaped" of the standard, an end tag does not
    # end a script. In strings and JSON, the escape is the same character.
    if parent == "script" and "<!--" in text and "<script" in text.lower():
        return _SCRIPT_TRAP.sub(r"\\u003C", text)
    return text


def _shown(name: str) -> str:
    return "pre" if name == "plaintext" else name  # nothing ends a `plaintext`


def _start(name: str, attributes: Mapping[str, str | None], *, xml: bool) -> Iterator[str]:
    yield f"<{name}"
    allowed = _XML_ATTRIBUTE if xml else _ATTRIBUTE
    for key, value in attributes.items():
        if allowed.fullmatch(key):
            yield f' {key}="{escape(value or "")}"'
    if xml and any(key.startswith("xlink:") for key in attributes):
        yield ' xmlns:xlink="http://www.w3.org/1999/xlink"'


class OpenTags:
    """The elements that are open, the innermost last. No question takes longer if they are many."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._counts: Counter[str] = Counter()

    def __contains__(self, name: str) -> bool:
        return self._counts[name] > 0

    def __bool__(self) -> bool:
        return bool(self._names)

    @property
    def innermost(self) -> str:
        """The name of the innermost element; `div` if there is none."""
        return self._names[-1] if self._names else "div"

    def open(self, name: str) -> None:
        """Note a start tag."""
        self._names.append(name)
        self._counts[name] += 1

    def close(self, name: str) -> list[str]:
        """Note an end tag, which ends the elements in its own as well; return them in order."""
        ended = []
        while name in self:
            ended.append(self._names.pop())
            self._counts[ended[-1]] -= 1
            if ended[-1] == name:
                break
        return ended

    def close_all(self) -> list[str]:
        """Return all of them, the innermost first, and forget them."""
        ended = self._names[::-1]
        self._names.clear()
        self._counts.clear()
        return ended


class Writer:
    """Writes a parsed fragment.

    Not with the library's own writer: it has no XML, and escapes what `noscript` contains.

    Attributes:
        has_formulas: Whether formulas were marked.

    Args:
        xml: Whether XHTML is written.
        formulas: Whether formulas are marked for MathJax.
    """

    def __init__(self, *, xml: bool = False, formulas: bool = False) -> None:
        self._xml = xml
        self._formulas = formulas
        self.has_formulas = False

    def write(self, root: Any) -> str:
        """Return the text of all nodes below a root."""
        parts: list[str] = []
        # Not recursive: an output may nest elements more deeply than Python does calls.
        todo: list[_Todo | str] = [
            _Todo(node, "", "html", formulas=self._formulas) for node in _children(root)[::-1]
        ]
        while todo:
            item = todo.pop()
            if isinstance(item, str):
                parts.append(item)
            elif item.node.name == "#text":
                parts.append(self._text(item))
            elif not item.node.name.startswith(("#", "!")):
                self._element(item, parts, todo)
        return "".join(parts)

    def _text(self, item: _Todo) -> str:
        text = item.node.data or ""
        if not item.formulas:
            # Scripts and styles of SVG are not those of HTML.
            parent = item.parent if item.space == "html" else ""
            return written_text(text, parent, xml=self._xml)
        parts, position = [], 0
        for match in _FORMULA.finditer(text):
            if (inline := match["dollar"] or match["parentheses"]) is not None:
                formula = f"\\({inline}\\)"
            else:
                formula = f"\\[{match['dollars'] or match['brackets']}\\]"
            shown = escape(formula, quote=False)
            parts += [
                escape(text[position : match.start()], quote=False),
                f'<span class="math notranslate nohighlight">{shown}</span>',
            ]
            position = match.end()
            self.has_formulas = True
        return "".join([*parts, escape(text[position:], quote=False)])

    def _element(self, item: _Todo, parts: list[str], todo: list[_Todo | str]) -> None:
        """Write the start of an element, and put down what follows, the last first."""
        node, name, space = item.node, item.node.name, item.node.namespace or "html"
        attributes = node.attrs or {}
        children = _children(node)
        if space == "html":
            if name in LEFT_OUT or (name == "meta" and "http-equiv" in attributes):
                return
            if name == "noscript":
                parts.append(self._noscript(children))
                return
            if not may_stand_in(name, is_in_select=item.is_in_select):
                todo += [item._replace(node=child) for child in children[::-1]]
                return
        start = start_tag(name, attributes, xml=self._xml, is_html=space == "html")
        if self._xml and start and space != item.space:
            declared = f' xmlns="{_NAMESPACES.get(space, _NAMESPACES["html"])}"'
            start = f"<{name}{declared}{start[len(name) + 1 :]}"
        around = _LISTS.get(name, "") if space == "html" else ""
        if around and item.parent not in _MAY_HOLD[around]:
            # Alone, it would end the item of a list in which the output stands.
            parts.append(start_tag(around, {}, xml=self._xml))
            todo.append(end_tag(around))
        parts.append(start)
        if space == "html" and name in VOID:
            return
        if space == "html" and name in _SKIPS_NEWLINE and not self._xml:
            parts.append(_first_newline(children))
        ignored = name in _NO_FORMULAS or _IGNORED_CLASS.search(str(attributes.get("class") or ""))
        formulas = item.formulas and space == "html" and not ignored
        todo.append(end_tag(name, xml=self._xml))
        in_select = item.is_in_select or (space == "html" and name == "select")
        todo += [_Todo(child, name, space, formulas, in_select) for child in children[::-1]]

    def _noscript(self, children: Sequence[Any]) -> str:
        """Return what browsers without scripts show: its content is text for all others."""
        html = "".join(child.data or "" for child in children if child.name == "#text")
        is_nested = "<noscript" in html.lower()
        text = "" if is_nested else Writer(xml=self._xml).write(parsed(html))
        if self._xml:
            return text  # `noscript` is not part of XHTML
        return f"<noscript>{text}</noscript>" if "</noscript" not in text.lower() else ""


class _Todo(NamedTuple):
    node: Any
    parent: str
    space: str
    formulas: bool
    is_in_select: bool = False


def _children(node: Any) -> Sequence[Any]:
    # The children of a template are in a fragment of their own.
    content = getattr(node, "template_content", None)
    return (content.children if content is not None else node.children) or ()


def _first_newline(children: Sequence[Any]) -> str:
    is_text = bool(children) and children[0].name == "#text"
    return "\n" if is_text and (children[0].data or "").startswith("\n") else ""
