"""The chart: a bar of time for each of the slowest notebooks, divided into cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle

from sphinx_nbcache.report.html.markup import Html, element
from sphinx_nbcache.report.html.parts import cell_link
from sphinx_nbcache.report.links import Links
from sphinx_nbcache.report.model import EXECUTED, ReportEntry
from sphinx_nbcache.report.words import in_words

_BARS = 12
_LISTED_CELLS = 8
_WIDTH, _HEIGHT, _GAP = 1000.0, 10, 1.5
_REST = "start of the kernel, and the rest"


def chart(entries: Sequence[ReportEntry], ids: Mapping[str, str], links: Links) -> Html:
    """Return the chart; empty if no notebook has a time."""
    timed = sorted(
        (entry for entry in entries if entry.seconds), key=lambda e: (-(e.seconds or 0.0), e.name)
    )
    if not timed:
        return Html()
    drawn, longest = timed[:_BARS], timed[0].seconds or 1.0
    number = f"The {len(drawn)} slowest of {len(timed)} notebooks, e" if timed[_BARS:] else "E"
    caption = element(
        "figcaption",
        element("h2", "Where the time goes"),
        element("p", f"{number}ach bar divided into its cells.", class_="nbcache-muted"),
        _legend(drawn),
    )
    bars = [element("li", _bar(entry, longest, ids[entry.name], links)) for entry in drawn]
    return element("figure", caption, element("ol", bars), class_="nbcache-chart")


def _bar(entry: ReportEntry, longest: float, row: str, links: Links) -> list[Html]:
    seconds = entry.seconds or 0.0
    title = f"{entry.name}: {in_words(seconds)}"
    shapes = [
        element(
            "rect",
            element("title", text),
            x=f"{begin:.1f}",
            y=0,
            width=f"{width:.1f}",
            height=_HEIGHT,
            class_=kind,
        )
        for text, begin, width, kind in _segments(entry, _WIDTH / longest)
    ]
    svg = element(
        "svg",
        element("title", title, id=f"{row}-title"),
        element("desc", _described(entry), id=f"{row}-desc"),
        shapes,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH:.0f} {_HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        aria_labelledby=f"{row}-title {row}-desc",
    )
    name = element("a", entry.name, href=f"#{row}")
    time = element("span", in_words(seconds), class_="nbcache-number")
    return [element("div", name, _failed_at(entry, links), time), svg]


def _segments(entry: ReportEntry, scale: float) -> Iterator[tuple[str, float, float, str]]:
    """Yield the parts of a bar: what each is, where it begins, how wide it is, its kind."""
    spent = "executed" if entry.decision == EXECUTED else "reused"
    failed = entry.failure.cell if entry.failure is not None else None
    shades = cycle(("", " odd"))
    begin = 0.0
    for cell in entry.cells:
        width = (cell.seconds or 0.0) * scale
        if not width:
            continue
        kind = "failed" if cell.number == failed else spent + next(shades)
        text = f"cell {cell.number}: {in_words(cell.seconds or 0.0)}"
        yield text, begin, max(width - _GAP, width / 2), kind
        begin += width
    rest = (entry.seconds or 0.0) * scale - begin
    if rest > _GAP:
        yield f"{_REST}: {in_words(rest / scale)}", begin, rest, "rest"


def _described(entry: ReportEntry) -> str:
    cells = entry.slowest
    parts = [f"cell {c.number}: {in_words(c.seconds or 0.0)}" for c in cells[:_LISTED_CELLS]]
    if left := cells[_LISTED_CELLS:]:
        parts.append(f"{len(left)} more: {in_words(sum(c.seconds or 0.0 for c in left))}")
    rest = (entry.seconds or 0.0) - sum(c.seconds or 0.0 for c in cells)
    if rest > 0:
        parts.append(f"{_REST}: {in_words(rest)}")
    return "; ".join(parts)


def _failed_at(entry: ReportEntry, links: Links) -> Html:
    cell = entry.failure.cell if entry.failure is not None else None
    if cell is None:
        return Html()
    return element(
        "span", cell_link(entry, cell, links), " failed", class_="nbcache-bad nbcache-note"
    )


def _legend(entries: Sequence[ReportEntry]) -> Html:
    kinds = {
        "executed": "executed in this build",
        "reused": "computed earlier",
        "failed": "failed cell",
        "rest": _REST,
    }
    used = {kind.split()[0] for entry in entries for *_, kind in _segments(entry, 1e6)}
    items = [
        element("li", element("span", class_=f"nbcache-swatch {kind}"), text)
        for kind, text in kinds.items()
        if kind in used
    ]
    return element("ul", items, class_="nbcache-legend nbcache-muted")
