"""The notebooks that failed: what, where, the source of the cell, and the traceback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sphinx_nbcache.planning import shortened
from sphinx_nbcache.report.html.markup import Html, block, coloured, element
from sphinx_nbcache.report.links import Links
from sphinx_nbcache.report.model import ReportEntry, ReportFailure

# So many are shown unfolded.
_OPEN = 3
_LENGTH = 200


def failures(entries: Sequence[ReportEntry], ids: Mapping[str, str], links: Links) -> Html:
    """Return the section on the notebooks that failed; empty if none did."""
    failed = [entry for entry in entries if entry.failed]
    if not failed:
        return Html()
    heading = element("h2", "Failed")
    items = [
        _failure(entry, ids[entry.name], links, is_open=position < _OPEN)
        for position, entry in enumerate(failed)
    ]
    return element("section", heading, items, class_="nbcache-failures")


def _failure(entry: ReportEntry, row: str, links: Links, *, is_open: bool) -> Html:
    failure = entry.failure
    what = failure.headline if failure is not None else f"{entry.decision}: {entry.reason}"
    what = shortened(what, _LENGTH)
    cell = failure.cell if failure is not None else None
    sign = element("span", "✗ ", aria_hidden="true")
    where = entry.name + (f", cell {cell}" if cell is not None else "")
    summary = element(
        "summary",
        element("strong", sign, where, class_="nbcache-bad"),
        " ",
        element("span", what, class_="nbcache-what"),
    )
    to_row = element("a", "All that is known of it", href=f"#{row}")
    body: list[Html] = [element("p", _to_page(entry, cell, links), to_row, class_="nbcache-links")]
    if failure is not None:
        body += _traceback(failure)
    return element("details", summary, body, open=is_open, id=f"{row}-failure")


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
