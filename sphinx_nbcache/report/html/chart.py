"""The chart: a bar for each of the slowest notebooks, divided into cells by time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle

from sphinx_nbcache.project.outcomes import NotebookOutcome
from sphinx_nbcache.report.html.elements import Html, Rows, cell_link, element
from sphinx_nbcache.report.model import ReportEntry
from sphinx_nbcache.report.selection import Links
from sphinx_nbcache.text import duration_in_words

# More bars would push the end of the page out of sight; the table sorts by time as well.
_BARS = 12
_LISTED_CELLS = 8
# A cell is named next to a bar if it took at least this share of the time.
_WORTH = 0.2
# The maximum number of steps of the axis. Labels this close to its ends are aligned with the end,
# because a centred label would be cut off.
_TICKS, _EDGE = 5, 0.04
# In units of the view box, which is stretched to the width of the page.
_WIDTH, _HEIGHT, _GAP = 1000.0, 10, 1.5
_REST = "start of the kernel, and the rest"


def chart(entries: Sequence[ReportEntry], rows: Rows, links: Links) -> Html:
    """Return the chart; empty if no notebook has a duration."""
    # By name among equal times, so that the order is the same in every build.
    timed = sorted(
        (entry for entry in entries if entry.seconds), key=lambda e: (-(e.seconds or 0.0), e.name)
    )
    if not timed:
        return Html()
    drawn, longest = timed[:_BARS], timed[0].seconds or 1.0
    text = "Each bar is divided into the notebook's cells."
    if timed[_BARS:]:
        spent, total = (
            duration_in_words(sum(e.seconds or 0.0 for e in es)) for es in (drawn, timed)
        )
        text = f"The {len(drawn)} slowest of {len(timed)} notebooks took {spent} of {total}. {text}"
    ticks = _ticks(longest)
    caption = element(
        "figcaption",
        element("h2", "Where the time goes"),
        element("p", text, class_="nbcache-muted"),
        _legend(drawn),
    )
    bars = [element("li", _bar(entry, longest, rows, links)) for entry in drawn]
    return element(
        "figure", caption, element("ol", bars), _axis(ticks, longest), class_="nbcache-chart"
    )


def _ticks(longest: float) -> list[float]:
    """Return three to six round numbers of seconds, from 0."""
    # Minutes have their own round numbers: 30 s rather than 50 s.
    units = [unit * 10**power for power in range(-4, 2) for unit in (1, 2, 5)]
    units += [minutes * 60 for minutes in (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)]
    step = next((unit for unit in sorted(units) if longest / unit <= _TICKS), longest / 2)
    # The epsilon compensates for quotients such as 0.3 / 0.1 = 2.9999999999999996.
    return [number * step for number in range(int(longest / step + 1e-9) + 1)]


def _axis(ticks: Sequence[float], longest: float) -> Html:
    """Return the time axis, hidden from screen readers because the bars have labels."""
    marks: list[Html] = []
    for seconds in ticks:
        share = seconds / longest
        x = f"{100 * share:.2f}%"
        anchor = "start" if share < _EDGE else "end" if share > 1 - _EDGE else "middle"
        marks.append(element("line", x1=x, x2=x, y1=0, y2=4))
        marks.append(
            element("text", duration_in_words(seconds), x=x, y="1.5em", text_anchor=anchor)
        )
    return element(
        "svg", marks, xmlns="http://www.w3.org/2000/svg", class_="nbcache-axis", aria_hidden="true"
    )


def _bar(entry: ReportEntry, longest: float, rows: Rows, links: Links) -> list[Html]:
    row, seconds = rows.ids[entry.name], entry.seconds or 0.0
    # `title` and `desc` are the accessible name and description of an SVG picture
    # (https://www.w3.org/TR/svg-aam-1.0/).
    title = f"{entry.name}: {duration_in_words(seconds)}"
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
    name = element("a", rows.short(entry.name), href=f"#{row}")
    time = element("span", duration_in_words(seconds), class_="nbcache-number")
    return [element("div", element("span", name, " ", _cell(entry, links)), time), svg]


def _segments(entry: ReportEntry, scale: float) -> Iterator[tuple[str, float, float, str]]:
    """Yield the parts of a bar: description, position, width and CSS class."""
    spent = "executed" if entry.decision == NotebookOutcome.EXECUTED else "reused"
    failed = entry.failure.cell if entry.failure is not None else None
    shades = cycle(("", " odd"))
    begin = 0.0
    for cell in entry.cells:
        width = (cell.seconds or 0.0) * scale
        if not width:
            continue
        kind = "failed" if cell.number == failed else spent + next(shades)
        text = f"cell {cell.number}: {duration_in_words(cell.seconds or 0.0)}"
        # Half the width at least: the gap must not make short cells vanish.
        yield text, begin, max(width - _GAP, width / 2), kind
        begin += width
    rest = (entry.seconds or 0.0) * scale - begin
    if rest > _GAP:
        yield f"{_REST}: {duration_in_words(rest / scale)}", begin, rest, "rest"


def _described(entry: ReportEntry) -> str:
    cells = entry.slowest
    parts = [
        f"cell {c.number}: {duration_in_words(c.seconds or 0.0)}" for c in cells[:_LISTED_CELLS]
    ]
    if left := cells[_LISTED_CELLS:]:
        parts.append(f"{len(left)} more: {duration_in_words(sum(c.seconds or 0.0 for c in left))}")
    rest = (entry.seconds or 0.0) - sum(c.seconds or 0.0 for c in cells)
    if rest > 0:
        parts.append(f"{_REST}: {duration_in_words(rest)}")
    return "; ".join(parts)


def _cell(entry: ReportEntry, links: Links) -> Html:
    """Return the most relevant cell: the failed one, or the slowest of several."""
    cell = entry.failure.cell if entry.failure is not None else None
    if cell is not None:
        return element("span", cell_link(entry, cell, links), " failed", class_="nbcache-bad")
    slowest = entry.slowest[:1] if len(entry.slowest) > 1 else ()
    if not slowest or (slowest[0].seconds or 0.0) < _WORTH * (entry.seconds or 0.0):
        return Html()
    took = duration_in_words(slowest[0].seconds or 0.0)
    link = cell_link(entry, slowest[0].number, links)
    return element("span", link, element("span", f": {took}", class_="nbcache-muted"))


def _legend(entries: Sequence[ReportEntry]) -> Html:
    kinds = {
        "executed": "executed in this build",
        "reused": "computed earlier",
        "failed": "failed cell",
        "rest": _REST,
    }
    # With a large scale, `_segments` omits no part as too narrow.
    used = {kind.split()[0] for entry in entries for *_, kind in _segments(entry, 1e6)}
    items = [
        element("li", element("span", class_=f"nbcache-swatch {kind}"), text)
        for kind, text in kinds.items()
        if kind in used
    ]
    return element("ul", items, class_="nbcache-legend nbcache-muted")
