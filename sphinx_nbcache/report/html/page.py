"""The report as a fragment of HTML, complete without the script, which adds the controls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from sphinx_nbcache.report.files import JSON_FILE, JUNIT_FILE
from sphinx_nbcache.report.html.chart import chart
from sphinx_nbcache.report.html.failures import failures
from sphinx_nbcache.report.html.markup import Html, around, element
from sphinx_nbcache.report.html.parts import Rows, rows_of
from sphinx_nbcache.report.html.table import table
from sphinx_nbcache.report.links import Links
from sphinx_nbcache.report.model import AS_IS, FAILED, REUSED, Report, ReportEntry
from sphinx_nbcache.report.selection import Selection
from sphinx_nbcache.report.words import in_words

# The buttons above the table: their texts, and the labels of the notebooks that they select.
_CHOICES = (
    ("Failed", (FAILED,)),
    ("Executed", ("executed",)),
    ("Reused", ("reused",)),
    ("To be executed", ("to-be-executed", "may-be-executed")),
    ("Not run", ("as-it-is", "refused", "unreadable", "removed", "edited")),
)


def report_html(report: Report, selection: Selection, links: Links, prefix: str = "") -> Html:
    """Return the report; the arguments are those of [](report_pieces)."""
    return Html("".join(report_pieces(report, selection, links, prefix)))


def report_pieces(
    report: Report, selection: Selection, links: Links, prefix: str = ""
) -> Iterator[Html]:
    """Yield the report in pieces: one string would be large with a thousand notebooks.

    Args:
        report: The report.
        selection: The part to show.
        links: The links in it.
        prefix: The prefix of ids, different for each report in a page.
    """
    counted = selection.within(report)
    entries = selection.shown(counted)
    rows = rows_of(entries, prefix)
    has_headings = not selection.part
    parts: list[Iterable[Html]] = []
    if selection.has("figures"):
        parts.append((_figures(counted),))
    if selection.has("failures"):
        parts.append((failures(entries, rows, links, has_heading=has_headings),))
    if selection.has("notebooks") and entries:
        if has_headings:
            parts.append((element("h2", "Notebooks"),))
        is_sorted = bool(selection.sort)
        parts.append(_table_section(entries, rows, links, report, is_sorted=is_sorted))
        parts.append((chart(entries, rows, links),))
    if selection.has("notebooks") and not selection.docs:
        parts.append((_downloads(links),))
    pieces = chain.from_iterable(parts)
    return around("div", pieces, class_="nbcache-report", data_nbcache_report=prefix)


def _figures(report: Report) -> Html:
    is_plan = report.waiting > 0
    figures = [(str(len(report.entries)), "Notebooks", "")]
    if not report.is_reproducible:
        if not is_plan:
            figures.append((str(report.executed), "Executed", ""))
        figures.append((str(report.reused), "Reused", ""))
        if is_plan:
            figures.append((str(report.waiting), "To be executed", ""))
    failed = len(report.failed)
    sign = element("span", "✗ ", aria_hidden="true") if failed else ""
    figures.append((Html(f"{sign}{failed}"), "Failed", "nbcache-bad" if failed else ""))
    if not report.is_reproducible:
        if not is_plan:
            figures.append((in_words(report.seconds), "Time spent", ""))
        figures.append((in_words(report.saved), "Time saved", ""))
    return element(
        "dl",
        [
            element("div", element("dt", label), element("dd", value, class_=kind or None))
            for value, label, kind in figures
        ],
        class_="nbcache-figures",
    )


def _table_section(
    entries: Sequence[ReportEntry],
    rows: Rows,
    links: Links,
    report: Report,
    *,
    is_sorted: bool,
) -> Iterator[Html]:
    others, group = (entries, ()) if is_sorted else _news_and_group(entries)
    pieces = chain(
        (_controls(entries),),
        table(others, rows, links, tells_all=not report.is_reproducible, group=group),
        (element("p", "No notebook matches.", class_="nbcache-none", hidden=True),),
    )
    return around("section", pieces, class_="nbcache-all")


def _news_and_group(
    entries: Sequence[ReportEntry],
) -> tuple[Sequence[ReportEntry], Sequence[ReportEntry]]:
    """Return the notebooks that failed, ran or remain, in this order; and the reused ones."""
    group = [entry for entry in entries if entry.decision == REUSED and not entry.failed]
    others = [entry for entry in entries if entry.decision != REUSED or entry.failed]
    return sorted(others, key=lambda e: (not e.failed, e.decision == AS_IS)), group


def _controls(entries: Sequence[ReportEntry]) -> Html:
    """Return the controls, which are hidden until the script shows them."""
    buttons = [_button("All", "", len(entries), is_pressed=True)]
    for text, labels in _CHOICES:
        if number := sum(bool(entry.labels & set(labels)) for entry in entries):
            buttons.append(_button(text, " ".join(labels), number))
    group = element("div", buttons, role="group", aria_label="Show", class_="nbcache-choices")
    field = element("input", type="search", placeholder="Find in names and reasons")
    find = element("label", element("span", "Find", class_="nbcache-hidden"), field)
    count = element("span", class_="nbcache-count nbcache-muted", role="status")
    return element("div", group, find, count, class_="nbcache-controls", hidden=True)


def _button(text: str, labels: str, number: int, *, is_pressed: bool = False) -> Html:
    count = element("span", f" {number}", class_="nbcache-muted")
    pressed = "true" if is_pressed else "false"
    return element("button", text, count, type="button", data_choice=labels, aria_pressed=pressed)


def _downloads(links: Links) -> Html:
    files = [(links.file(JSON_FILE), "JSON"), (links.file(JUNIT_FILE), "JUnit XML")]
    found = [element("a", text, href=uri) for uri, text in files if uri]
    if not found:
        return Html()
    return element(
        "p", "This report for programs: ", found[0], ", ", found[1], class_="nbcache-links"
    )
