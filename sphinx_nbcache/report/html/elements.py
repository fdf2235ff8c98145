"""HTML elements in well-formed XML syntax. Text is escaped, unless it is [](Html).

The second part has the small elements that several parts of the page share.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from sphinx_nbcache.planning import utc
from sphinx_nbcache.project.outcomes import SIGNS
from sphinx_nbcache.report.model import ReportEntry
from sphinx_nbcache.report.selection import Links
from sphinx_nbcache.results.terminal import pieces
from sphinx_nbcache.text import for_markup

# Elements that have no end tag in HTML. XML needs the slash in `<meta />`, and HTML allows it
# (https://html.spec.whatwg.org/multipage/syntax.html#start-tags).
_VOID = frozenset({"input", "line", "meta", "path", "rect"})
NOTHING = "\N{EN DASH}"
# The form in which `planning.utc` writes times in reasons.
_WRITTEN_TIME = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d) UTC")
_NO_ID = re.compile(r"[^\w./-]")


class Html(str):
    """A string of HTML."""

    # A separate type, like `markupsafe.Markup`, to distinguish it from plain text. The methods of
    # `str` return plain text: use `html_joined` and `element` instead.

    __slots__ = ()


Content = str | Iterable[str]
Attribute = str | int | float | bool | None


def element(name: str, /, *content: Content, **attributes: Attribute) -> Html:
    """Return an element.

    Args:
        name: Its name.
        content: Text, which is escaped, and [](Html), which is not; or iterables of both.
        attributes: Its attributes. `_` becomes `-`, and a trailing `_` is dropped. `True` creates
            an attribute with an empty value; `None` and `False` create none.
    """
    start = _start(name, attributes)
    inner = "".join(map(_flat, content))
    if name in _VOID and not inner:
        return Html(f"<{start} />")
    return Html(f"<{start}>{inner}</{name}>")


def around(name: str, pieces: Iterable[Html], /, **attributes: Attribute) -> Iterator[Html]:
    """Yield an element in pieces, for content that is too large for one string.

    Args:
        name: Its name.
        pieces: Its content, in pieces.
        attributes: Its attributes.
    """
    yield Html(f"<{_start(name, attributes)}>")
    yield from pieces
    yield Html(f"</{name}>")


def _start(name: str, attributes: Mapping[str, Attribute]) -> str:
    start = name
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        text = "" if value is True else escape(for_markup(str(value)))
        start += f' {key.rstrip("_").replace("_", "-")}="{text}"'
    return start


def html_joined(separator: str, parts: Iterable[str]) -> Html:
    """Join parts with a separator."""
    return Html(_flat(separator).join(map(_flat, parts)))


def coloured(text: str) -> Html:
    """Return a text with its terminal colours, as spans with classes."""
    return Html(
        "".join(
            element("span", piece, class_=" ".join(classes)) if classes else _flat(piece)
            for classes, piece in pieces(text)
        )
    )


def block(content: Content, kind: str) -> Html:
    """Return a block of preformatted text in the markup of Sphinx's `HTML5Translator`."""
    # Not all browsers make a scrollable block focusable, which the keyboard needs to scroll it
    # (https://www.w3.org/WAI/WCAG22/Understanding/keyboard.html).
    pre = element("pre", content, tabindex=0)
    return element(
        "div", element("div", pre, class_="highlight"), class_=f"{kind} highlight-none notranslate"
    )


def _flat(content: Content) -> str:
    if isinstance(content, Html):
        return content
    if isinstance(content, str):
        return escape(for_markup(content), quote=False)
    return "".join(map(_flat, content))


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of the notebooks in a view.

    Attributes:
        ids: Their ids by name, which are the same in every build.
        folder: The common directory of the notebooks, with a trailing `/`; empty if there is none.
            Names are shown without it.
    """

    ids: Mapping[str, str]
    folder: str = ""

    def short(self, name: str) -> str:
        """Return a name without the common directory."""
        return name.removeprefix(self.folder)


def rows_of(entries: Sequence[ReportEntry], prefix: str) -> Rows:
    """Return the rows of notebooks, with a prefix for their ids."""
    names = [entry.name for entry in entries]
    return Rows(_row_ids(entries, prefix), common_folder(names))


def common_folder(names: Sequence[str]) -> str:
    """Return the common directory of paths, with a trailing `/`; empty if there is none."""
    if len(names) < 2:  # noqa: PLR2004 (a single name has nothing in common)
        return ""
    if len({posixpath.isabs(name) for name in names}) > 1:  # some lie outside the root
        return ""
    found = posixpath.commonpath([posixpath.dirname(name) for name in names])
    return f"{found.rstrip('/')}/" if found else ""


def _row_ids(entries: Sequence[ReportEntry], prefix: str) -> dict[str, str]:
    ids: dict[str, str] = {}
    taken: set[str] = set()
    for entry in entries:
        own = base = f"{prefix}nb-{_NO_ID.sub('-', entry.name)}"
        number = 1
        # `a b.md` and `a-b.md` have the same id without a number.
        while own in taken:
            number += 1
            own = f"{base}-{number}"
        taken.add(own)
        ids[entry.name] = own
    return ids


def page_link(entry: ReportEntry, rows: Rows, links: Links) -> Html:
    """Return the name of a notebook, linked to its page. Lines may break after each `/`."""
    name = html_joined(Html("/<wbr />"), rows.short(entry.name).split("/"))
    uri = links.page(entry.docname) if entry.docname else ""
    return element("a", name, href=uri) if uri else element("span", name)


def cell_link(entry: ReportEntry, number: int, links: Links, before: str = "cell ") -> Html:
    """Return the name of a code cell, linked to the cell."""
    uri, text = links.cell(entry.docname, number), f"{before}{number}"
    return element("a", text, href=uri) if uri else element("span", text)


def state(entry: ReportEntry) -> Html:
    """Return the state of a notebook: a sign and a word."""
    if not entry.state:
        return nothing()
    # Screen readers would read the sign aloud ("heavy check mark") before the word.
    sign = element(
        "span",
        SIGNS[entry.state].mark if entry.state in SIGNS else NOTHING,
        " ",
        aria_hidden="true",
    )
    kind = "nbcache-bad" if entry.failed else "nbcache-good"
    return element("span", sign, entry.state, class_=kind)


def nothing() -> Html:
    """Return the placeholder for a missing value."""
    return element("span", NOTHING, class_="nbcache-muted")


def local_time(seconds: float | None) -> Content:
    """Return a time in UTC, which the script converts to the reader's time zone."""
    return nothing() if seconds is None else time_of(seconds)


def time_of(seconds: float) -> Html:
    """Return the element for a time, as [](local_time) does."""
    text = utc(seconds).removesuffix(" UTC")
    return element("time", text, datetime=_iso(seconds))


def with_times(text: str) -> Html:
    """Return a text with each time in a `time` element."""
    parts: list[str] = []
    end = 0
    for found in _WRITTEN_TIME.finditer(text):
        parts += [text[end : found.start()]]
        parts += [element("time", found[0], datetime=f"{found[1]}T{found[2]}Z")]
        end = found.end()
    return html_joined(Html(), [*parts, text[end:]])


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
