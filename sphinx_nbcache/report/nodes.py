"""The report as docutils nodes, for every builder."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from docutils import nodes

from sphinx_nbcache.planning import utc
from sphinx_nbcache.rendering.ansi import ansi_block
from sphinx_nbcache.report.model import Report, ReportEntry

RelativeUri = Callable[[str], str]
"""Returns the URI of a document, as seen from the page at hand; empty if it has none."""

_COLUMNS = (
    ("Notebook", 26),
    ("Decision", 10),
    ("Reason", 34),
    ("Status", 8),
    ("Run at (UTC)", 14),
    ("Time", 8),
)


_NOTHING = "-"


class ReportNode(nodes.General, nodes.Element):
    """The place of the report in a page."""


def fill_reports(document: nodes.document, report: Report, uri: RelativeUri) -> None:
    """Put the report into each place for it."""
    for place in list(document.findall(ReportNode)):
        place.replace_self(report_nodes(report, uri))


def report_nodes(report: Report, uri: RelativeUri) -> list[nodes.Node]:
    """Return the report: totals, a table, and the traceback of each failure."""
    if not report.entries:
        return [nodes.paragraph("", "There are no notebooks.")]
    totals = nodes.paragraph("", f"Notebooks: {report.summary}.", classes=["nbcache-totals"])
    shown: list[nodes.Node] = [totals, _table(report.entries, uri)]
    for entry in report.entries:
        if entry.failed:
            shown.extend(_failure(entry, uri))
    return shown


def _table(entries: Sequence[ReportEntry], uri: RelativeUri) -> nodes.table:
    group = nodes.tgroup("", cols=len(_COLUMNS))
    group += [nodes.colspec("", colwidth=width) for _, width in _COLUMNS]
    names = [nodes.entry("", nodes.paragraph("", name)) for name, _ in _COLUMNS]
    group += nodes.thead("", nodes.row("", *names))
    group += nodes.tbody("", *(_row(entry, uri) for entry in entries))
    return nodes.table("", group, classes=["nbcache-report", "colwidths-auto"])


def _row(entry: ReportEntry, uri: RelativeUri) -> nodes.row:
    status = "failed" if entry.failed and entry.status in ("", "ok") else entry.status or _NOTHING
    when = utc(entry.started).removesuffix(" UTC") if entry.started is not None else _NOTHING
    seconds = f"{entry.seconds:.2f} s" if entry.seconds is not None else _NOTHING
    texts = [entry.decision, entry.reason, status, when, seconds]
    cells = [nodes.entry("", nodes.paragraph("", "", _link(entry, uri)))]
    cells += [nodes.entry("", nodes.paragraph("", text)) for text in texts]
    return nodes.row("", *cells, classes=["nbcache-failed" if entry.failed else "nbcache-well"])


def _link(entry: ReportEntry, uri: RelativeUri) -> nodes.Node:
    target = uri(entry.docname) if entry.docname else ""
    if not target:
        return nodes.Text(entry.name)
    return nodes.reference("", entry.name, internal=True, refuri=target)


def _failure(entry: ReportEntry, uri: RelativeUri) -> list[nodes.Node]:
    heading = nodes.rubric("", "", _link(entry, uri), nodes.Text(entry.at_cell))
    if entry.failure is None:
        return [heading, nodes.paragraph("", f"{entry.decision}: {entry.reason}")]
    return [heading, ansi_block(entry.failure.traceback, ["output", "traceback"])]
