"""The table: two rows for each notebook, the second one with unfolding details."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from sphinx_nbcache.report.html.elements import (
    Content,
    Html,
    Rows,
    around,
    cell_link,
    element,
    html_joined,
    local_time,
    nothing,
    page_link,
    state,
    time_of,
    with_times,
)
from sphinx_nbcache.report.model import Produced, ReportEntry, ReportRun
from sphinx_nbcache.report.selection import Links
from sphinx_nbcache.text import duration_in_words, shortened, size_in_words

# The chart shows all remembered runs, the list only the last ones.
_LISTED_RUNS = 5
_BAR, _GAP, _HEIGHT = 8, 2, 24
_OK = "ok"
_SLOWEST, _LISTED = 3, 20
_LENGTH = 200
# The row may cut a longer reason, so the details repeat it.
_IN_SIGHT = 36

# Facts that the row shows if it is wide enough. The style sheet shows them here otherwise.
_IN_ROW = frozenset({"Decision", "Run at"})

# Kinds of dependencies with their titles. Some kinds are short enough for one line.
_DEPENDENCIES = {
    "file": "Files",
    "folder": "Folders",
    "module": "Modules",
    "package": "Packages",
    "variable": "Variables",
    "place": "Place",
}
_IN_A_LINE = frozenset({"package", "variable", "place"})

# Name, title, CSS class, and whether it varies between builds.
_COLUMNS = (
    ("notebook", "Notebook", "nbcache-name", False),
    ("decision", "Decision", "nbcache-decision", True),
    ("status", "Status", "nbcache-status", False),
    ("time", "Time", "nbcache-number", True),
    ("date", "Run at", "nbcache-date", True),
)


def last_runs(runs: Sequence[ReportRun]) -> Html:
    """Return a small chart of the durations of runs, and a list of the last runs.

    Args:
        runs: The runs, the oldest first.
    """
    listed = [element("li", _in_words(run)) for run in reversed(runs[-_LISTED_RUNS:])]
    return Html(_drawn(runs) + element("ol", listed, class_="nbcache-runs"))


def _drawn(runs: Sequence[ReportRun]) -> Html:
    """Return a bar for each run. Failed ones have a foot and another colour."""
    # Not by colour alone (https://www.w3.org/WAI/WCAG22/Understanding/use-of-color.html). One path
    # for all bars of a kind keeps a report on a thousand notebooks small.
    longest = max(run.seconds for run in runs) or 1.0
    width = len(runs) * (_BAR + _GAP) - _GAP
    well: list[str] = []
    bad: list[str] = []
    for position, run in enumerate(runs):
        height = max(1.0, run.seconds / longest * _HEIGHT)
        left = position * (_BAR + _GAP)
        (well if run.status == _OK else bad).append(
            f"M{left} {_HEIGHT}v-{height:.1f}h{_BAR}v{height:.1f}z"
        )
        if run.status != _OK:
            bad.append(f"M{left} {_HEIGHT + 2}h{_BAR}v2h-{_BAR}z")
    shapes = [
        element("path", d="".join(parts), class_=kind)
        for parts, kind in ((well, "reused"), (bad, "failed"))
        if parts
    ]
    return element(
        "svg",
        element(
            "title", f"Durations of {len(runs)} runs, the longest {duration_in_words(longest)}"
        ),
        shapes,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {_HEIGHT + 4}",
        width=width,
        height=_HEIGHT + 4,
        role="img",
        class_="nbcache-trend",
    )


def _in_words(run: ReportRun) -> Html:
    parts = [time_of(run.started), duration_in_words(run.seconds)]
    if run.status != _OK:
        parts.append(element("span", run.status, class_="nbcache-bad"))
    if run.reason:
        parts.append(with_times(run.reason))
    return html_joined(" · ", parts)


def notebook_table(
    entries: Sequence[ReportEntry],
    rows: Rows,
    links: Links,
    *,
    tells_all: bool,
    group: Sequence[ReportEntry] = (),
) -> Iterator[Html]:
    """Yield the table of notebooks, in pieces.

    Args:
        entries: The notebooks.
        rows: Their rows.
        links: Resolves the links in the table.
        tells_all: Whether to show columns that vary between builds.
        group: Reused notebooks, shown after the others as a folding group.
    """
    columns = [column for column in _COLUMNS if tells_all or not column[3]]
    heads = [_head(name, title, kind, rows) for name, title, kind, _ in columns]
    pieces = chain(
        (
            element("caption", "All notebooks", class_="nbcache-hidden"),
            element("thead", element("tr", heads, role="row"), role="rowgroup"),
        ),
        (_row(entry, rows, links, columns) for entry in entries),
        [_group_head(len(group), len(columns))] if group else (),
        (_row(entry, rows, links, columns) for entry in group),
    )
    # Explicit roles, here and below: the style sheet lays out rows as flexible boxes, for which
    # browsers drop the roles of table elements (https://github.com/w3c/csswg-drafts/issues/2355).
    return around("table", pieces, role="table", class_="nbcache-table")


def _head(name: str, title: str, kind: str, rows: Rows) -> Html:
    more: Content = ""
    if name == "date":
        more = element("span", " (UTC)", class_="nbcache-zone")
    elif name == "notebook" and rows.folder:
        more = element("span", f" in {rows.folder}", class_="nbcache-muted")
    return element(
        "th",
        element("span", title, more),
        scope="col",
        role="columnheader",
        data_sort=name,
        class_=kind,
    )


def _group_head(number: int, columns: int) -> Html:
    """Return the row above the reused notebooks, to which the script adds a button."""
    text = element("span", f"{number} reused")
    head = element("th", text, colspan=columns, scope="rowgroup", role="rowheader")
    return element(
        "tbody", element("tr", head, role="row"), role="rowgroup", class_="nbcache-group"
    )


def _row(
    entry: ReportEntry, rows: Rows, links: Links, columns: Sequence[tuple[str, str, str, bool]]
) -> Html:
    row = rows.ids[entry.name]
    cells = {
        "decision": entry.decision,
        "status": state(entry),
        "time": _time(entry),
        "date": local_time(entry.started),
    }
    permalink = element(
        "a", "#", href=f"#{row}", class_="nbcache-permalink", aria_label=f"Link to {entry.name}"
    )
    name = element(
        "th",
        page_link(entry, rows, links),
        " ",
        permalink,
        scope="row",
        role="rowheader",
        class_="nbcache-name",
    )
    others = [
        element("td", cells[key], class_=kind, role="cell") for key, _, kind, _ in columns[1:]
    ]
    reason = shortened(entry.reason, _LENGTH)
    summary = with_times(reason) if reason else Html("Details")
    details = element("details", element("summary", summary), _facts(entry, row, links))
    more = element("td", details, colspan=len(columns), role="cell")
    return element(
        "tbody",
        element("tr", name, others, role="row"),
        element("tr", more, class_="nbcache-more", role="row"),
        role="rowgroup",
        id=row,
        data_labels=" ".join(sorted(entry.labels)),
        data_name=entry.name,
        data_decision=entry.decision,
        # The script sorts by these texts: failed notebooks come first.
        data_status=("0" if entry.failed else "1") + entry.state,
        data_time=f"{entry.seconds or 0:.4f}",
        data_date=f"{entry.started or 0:.0f}",
    )


def _time(entry: ReportEntry) -> str:
    if entry.seconds is None:
        return nothing()
    return duration_in_words(entry.seconds)


def _facts(entry: ReportEntry, row: str, links: Links) -> Html:
    """Return the list of details about a notebook."""
    facts = _of_its_end(entry, row)
    if len(entry.reason) > _IN_SIGHT:
        facts.append(("Reason", with_times(shortened(entry.reason, _LENGTH))))
    if entry.decision:
        facts.append(("Decision", entry.decision))
    if entry.changed:
        facts.append(("Changed since its last run", entry.changed))
    facts += _of_its_run(entry, links)
    facts += _dependencies(entry)
    if entry.produced:
        facts.append(("Produced", _listed([_made(item) for item in entry.produced])))
    if entry.removed:
        facts.append(("Removed", _listed(entry.removed)))
    pairs = [
        element(
            "div",
            element("dt", name),
            element("dd", text),
            class_="nbcache-in-row" if name in _IN_ROW else None,
        )
        for name, text in facts
    ]
    return element("dl", pairs, class_="nbcache-facts")


def _of_its_end(entry: ReportEntry, row: str) -> list[tuple[str, Content]]:
    """Return the facts about the outcome of its run, except those in its row."""
    facts: list[tuple[str, Content]] = []
    if entry.failure is not None:
        to_it = element("a", shortened(entry.failure.headline, _LENGTH), href=f"#{row}-failure")
        facts.append(("Failure", to_it))
    if entry.retried:
        facts.append(("Attempts", _listed([*entry.retried, f"{len(entry.retried) + 1} in all"])))
    if entry.silent:
        facts.append(("Promises", _listed(entry.silent)))
    return facts


def _of_its_run(entry: ReportEntry, links: Links) -> list[tuple[str, Content]]:
    """Return the facts about its run: durations, memory, kernel, executor and earlier runs."""
    facts: list[tuple[str, Content]] = []
    if slowest := [c for c in entry.slowest if c.seconds][:_SLOWEST]:
        listed = [
            [cell_link(entry, c.number, links), f" {duration_in_words(c.seconds or 0.0)}"]
            for c in slowest
        ]
        facts.append(
            ("Slowest cells", html_joined(", ", (html_joined("", parts) for parts in listed)))
        )
    if entry.peak_memory is not None:
        facts.append(("Peak memory", size_in_words(entry.peak_memory)))
    facts += [(k, v) for k, v in (("Kernel", entry.kernel), ("Executor", entry.executor)) if v]
    if entry.started is not None:
        facts.append(("Run at", local_time(entry.started)))
    if len(entry.runs) > 1:
        facts.append(("Last runs", last_runs(entry.runs)))
    return facts


def _dependencies(entry: ReportEntry) -> list[tuple[str, Content]]:
    """Return the dependencies of a notebook, including those that cannot be verified."""
    # Without a run, nothing is known about them.
    if not entry.status:
        return []
    facts: list[tuple[str, Content]] = []
    for kind, title in _DEPENDENCIES.items():
        texts = [item.text for item in entry.depends_on if item.kind == kind]
        if texts:
            facts.append((title, ", ".join(texts) if kind in _IN_A_LINE else _listed(texts)))
    if not facts and not entry.untracked:
        facts.append(("Depends on", "its own code only"))
    if entry.untracked:
        facts.append(("Cannot be tracked", _listed(entry.untracked)))
    if entry.tracer == "system":
        facts.append(("Observed by", "the system tracer"))
    return facts


def _made(item: Produced) -> str:
    size = "no copy is kept" if item.size is None else size_in_words(item.size)
    return f"{item.path} ({size})"


def _listed(items: Sequence[str]) -> Content:
    """Return a list, shortened if it is long. The JSON file has the full list."""
    if len(items) == 1:
        return items[0]
    shown = [*items[:_LISTED]]
    if left := len(items) - len(shown):
        shown.append(f"and {left} more")
    return element("ul", [element("li", item) for item in shown])
