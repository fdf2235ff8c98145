"""The state of one notebook in a line of text, for every builder: the role `jcache-status`."""

from __future__ import annotations

from collections.abc import Callable

from docutils import nodes

from sphinx_nbcache.report.model import Report, ReportEntry
from sphinx_nbcache.report.nodes import column_text

FACTS = ("state", "time", "date", "decision", "reason", "memory", "kernel", "executor")
"""The facts that can be shown about a notebook."""


class StatusNode(nodes.General, nodes.Inline, nodes.Element):
    """The placeholder for a notebook's state. Attributes: `facts`, `target` (its document)."""


def fill_statuses(
    document: nodes.document, report: Report, warn: Callable[[str, nodes.Node], None]
) -> None:
    """Replace each placeholder with the state of its notebook.

    Args:
        document: The page.
        report: The report.
        warn: Warns about placeholders that name no notebook.
    """
    entries = {entry.docname: entry for entry in report.entries if entry.docname}
    for place in list(document.findall(StatusNode)):
        entry = entries.get(place["target"])
        if entry is None:
            warn(f"the document {place['target']!r} is no notebook: it has no state", place)
            place.replace_self(nodes.inline("", "no notebook", classes=["nbcache-status"]))
        else:
            place.replace_self(_shown(entry, place["facts"]))


def _shown(entry: ReportEntry, facts: tuple[str, ...]) -> nodes.inline:
    """Return the facts that are known, with dots between them."""
    parts = [text for fact in facts if (text := _fact(entry, fact))]
    kind = "failed" if entry.failed else entry.state or "none"
    text = " · ".join(parts)
    return nodes.inline("", text, classes=["nbcache-status", f"nbcache-status-{kind}"])


def _fact(entry: ReportEntry, fact: str) -> str:
    if fact == "state":
        return entry.state or "not executed"
    text = column_text(entry, fact)
    return f"{text} UTC" if fact == "date" and text else text
