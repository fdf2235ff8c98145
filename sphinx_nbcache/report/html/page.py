"""The report as an HTML fragment, and as a self-contained page.

The report is complete without the script, which only adds the controls.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from sphinx_nbcache.project.outcomes import NotebookOutcome
from sphinx_nbcache.report.html.chart import chart
from sphinx_nbcache.report.html.elements import (
    Html,
    Rows,
    around,
    block,
    coloured,
    element,
    rows_of,
)
from sphinx_nbcache.report.html.table import notebook_table
from sphinx_nbcache.report.model import FAILED, Report, ReportEntry, ReportFailure
from sphinx_nbcache.report.selection import Links, Selection
from sphinx_nbcache.report.side_files import JSON_FILE, JUNIT_FILE
from sphinx_nbcache.text import duration_in_words, shortened

# The full text of a long error is in its traceback.
_LENGTH = 200
STATIC = Path(__file__).parents[2] / "static"
COMMON_STYLE, REPORT_STYLE, SCRIPT = "nbcache.css", "nbcache-report.css", "nbcache-report.js"

# System colours follow the reader's light or dark scheme
# (https://www.w3.org/TR/css-color-4/#css-system-colors); a theme would replace them.
_STYLE = """
:root { color-scheme: light dark; }
body { font: 1em/1.5 system-ui, sans-serif; margin: 0; color: CanvasText; background: Canvas; }
main { max-width: 64em; margin: 0 auto; padding: 1em; }
h1 { font-size: 1.6em; }
pre { font-size: 0.85em; padding: 0.7em; margin: 0; border: 1px solid var(--nbcache-rule); }
a { color: LinkText; }
"""


def failures(
    entries: Sequence[ReportEntry], rows: Rows, links: Links, *, has_heading: bool
) -> Html:
    """Return the section about the failed notebooks.

    Args:
        entries: The notebooks. If none failed, the section is empty; in a page that provides the
            heading, it says so.
        rows: Their rows.
        links: Resolves the links of the section.
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


def report_html(report: Report, selection: Selection, links: Links, prefix: str = "") -> Html:
    """Return the report; the arguments are those of [](report_pieces)."""
    return Html("".join(report_pieces(report, selection, links, prefix)))


def report_pieces(
    report: Report, selection: Selection, links: Links, prefix: str = ""
) -> Iterator[Html]:
    """Yield the report in pieces: for a thousand notebooks, one string would be large.

    Args:
        report: The report.
        selection: The part to show.
        links: Resolves its links.
        prefix: The prefix of ids, unique for each report in a page.
    """
    counted = selection.within(report)
    entries = selection.shown(counted)
    rows = rows_of(entries, prefix)
    has_headings = not selection.part
    parts: list[Iterable[Html]] = []
    if selection.has("figures"):
        named = element("p", counted.rendered_by) if counted.renderers else Html()
        parts.append((_figures(counted), named))
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
    # A build leaves no notebook to be executed, so this is a report of the command line.
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
            figures.append((duration_in_words(report.seconds), "Time spent", ""))
        figures.append((duration_in_words(report.saved), "Time saved", ""))
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
    # A group would break the order that the user chose.
    others, group = (entries, ()) if is_sorted else _news_and_group(entries)
    pieces = chain(
        (_controls(entries),),
        notebook_table(others, rows, links, tells_all=not report.is_reproducible, group=group),
        (element("p", "No notebook matches.", class_="nbcache-none", hidden=True),),
    )
    return around("section", pieces, class_="nbcache-all")


def _news_and_group(
    entries: Sequence[ReportEntry],
) -> tuple[Sequence[ReportEntry], Sequence[ReportEntry]]:
    """Return the failed, executed and other notebooks, in this order, and the cache hits."""
    group = [
        entry for entry in entries if entry.decision == NotebookOutcome.REUSED and not entry.failed
    ]
    others = [
        entry for entry in entries if entry.decision != NotebookOutcome.REUSED or entry.failed
    ]
    # `sorted` is stable, so notebooks of one kind stay in the order of their names.
    return sorted(others, key=lambda e: (not e.failed, e.decision == NotebookOutcome.AS_IS)), group


def _controls(entries: Sequence[ReportEntry]) -> Html:
    """Return the controls, which are hidden until the script shows them."""
    # Several outcomes may share one button, such as all that were not run.
    buttons = [_button("All", "", len(entries), is_pressed=True)]
    choices = {"Failed": [FAILED]}
    for outcome in NotebookOutcome:
        choices.setdefault(outcome.button, []).append(outcome.label)
    for text, labels in choices.items():
        if number := sum(bool(entry.labels & set(labels)) for entry in entries):
            buttons.append(_button(text, " ".join(labels), number))
    group = element("div", buttons, role="group", aria_label="Show", class_="nbcache-choices")
    field = element("input", type="search", placeholder="Find in names and reasons")
    find = element("label", element("span", "Find", class_="nbcache-hidden"), field)
    # Screen readers announce changes of a status (https://www.w3.org/TR/wai-aria-1.2/#status).
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


def standalone_page(report: Report, title: str) -> str:
    """Return the report as a self-contained HTML page.

    Args:
        report: The report.
        title: Its heading.
    """
    # Inline styles and script: the page is one file, which can be attached to a CI run or a mail.
    style = _STYLE + "".join(_static(name) for name in (COMMON_STYLE, REPORT_STYLE))
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name_="viewport", content_="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(style)),
    )
    fragment = report_html(report, Selection(), Links())
    body = element(
        "body",
        element("main", element("h1", title), fragment),
        element("script", Html(_static(SCRIPT))),
    )
    page = element("html", head, body, lang="en", data_theme="auto")
    return f"<!DOCTYPE html>\n{page}\n"


def _static(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")
