"""The notebooks that failed: error, place, source of the cell, and traceback.

All of them start folded, so that the page begins with one line for each.
"""

from __future__ import annotations

from collections.abc import Sequence

from sphinx_nbcache.planning import shortened
from sphinx_nbcache.report.html.markup import Html, block, coloured, element
from sphinx_nbcache.report.html.parts import Rows
from sphinx_nbcache.report.links import Links
from sphinx_nbcache.report.model import ReportEntry, ReportFailure

_LENGTH = 200


def failures(
    entries: Sequence[ReportEntry], rows: Rows, links: Links, *, has_heading: bool
) -> Html:
    """Return the section on the notebooks that failed.

    Args:
        entries: The notebooks. If none failed, the section is empty, or says so in a page that
            provides the heading.
        rows: Their rows.
        links: The links of the section.
        has_heading: Whether the section has its own heading.
    """
    failed = [entry for entry in entries if entry.failed]
    if not failed:
        return Html() if has_heading else element("p", "No notebook failed.")
    heading = element("h2", "Failures") if has_heading else ""
    items = [_failure(entry, rows, links) for entry in failed]
    return element("section", heading, items, class_="nbcache-failures")


def _failure(entry: ReportEntry, rows: Rows, links: Links) -> Html:
    failure, row = entry.failure, rows.ids[entry.name]
    what = failure.headline if failure is not None else f"{entry.decision}: {entry.reason}"
    what = shortened(what, _LENGTH)
    cell = failure.cell if failure is not None else None
    sign = element("span", "✗ ", aria_hidden="true")
    where = rows.short(entry.name) + entry.at_cell
    summary = element(
        "summary",
        element("strong", sign, where, class_="nbcache-bad"),
        element("span", what, class_="nbcache-what"),
    )
    to_row = element("a", "All that is known of it", href=f"#{row}")
    body: list[Html] = [element("p", _to_page(entry, cell, links), to_row, class_="nbcache-links")]
    if failure is not None:
        body += _traceback(failure)
    return element("details", summary, body, id=f"{row}-failure")


def _to_page(entry: ReportEntry, cell: int | None, links: Links) -> list[str]:
    uri = links.cell(entry.docname, cell)
    if not uri:
        return []
    text = "Its page" if cell is None else f"Cell {cell} in its page"
    return [element("a", text, href=uri), " · "]


def _traceback(failure: ReportFailure) -> list[Html]:
    shown: list[Html] = []
    if failure.source:
        shown.append(element("p", f"Source of cell {failure.cell}", class_="nbcache-label"))
        shown.append(block(failure.source, "nbcache-source"))
    trimmed = failure.trimmed
    is_whole = trimmed == failure.traceback
    label = "Traceback" if is_whole else "Traceback, without the frames of installed packages"
    shown.append(
        element(
            "div",
            element("p", label, class_="nbcache-label"),
            block(coloured(trimmed.rstrip("\n")), "output traceback"),
            class_="nbcache-copied",
        )
    )
    if not is_whole:
        full = element(
            "div",
            block(coloured(failure.traceback.rstrip("\n")), "output traceback"),
            class_="nbcache-copied",
        )
        shown.append(
            element("details", element("summary", "Full traceback"), full, class_="nbcache-full")
        )
    return shown
