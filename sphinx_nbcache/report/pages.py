"""The report in pages: its document, its nodes for all builders, and the role `jcache-status`.

This package adds the page `nbcache-report` to the user's documents. HTML builders for browsers get
raw HTML, all others docutils nodes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.builders import Builder
from sphinx.environment import BuildEnvironment
from sphinx.parsers import RSTParser
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util._pathlib import _StrPath

from sphinx_nbcache.planning import utc
from sphinx_nbcache.rendering.nodes import ansi_block
from sphinx_nbcache.report.html.page import report_pieces
from sphinx_nbcache.report.model import Report, ReportEntry
from sphinx_nbcache.report.selection import COLUMNS, EXEC_TABLE, Links, Selection
from sphinx_nbcache.text import duration_in_words, shortened, size_in_words

FACTS = ("state", "time", "date", "decision", "reason", "memory", "kernel", "executor")
"""The facts that can be shown about a notebook."""
REPORT_DOCNAME = "nbcache-report"
REPORT_SUFFIX = ".nbcache"
"""The suffix of the page's source, which no other parser reads."""
# The reference types of the role `any`, and of MyST's links such as `[](nbcache-report)`.
_ANY = frozenset({"any", "myst"})
_NAMES = frozenset(
    f"{root}{REPORT_DOCNAME}{suffix}" for root in ("", "/") for suffix in ("", ".md")
)
# Relative widths, for LaTeX and text; browsers compute their own.
_WIDTHS = {
    "notebook": 26,
    "document": 26,
    "reason": 34,
    "changed": 30,
    "depends": 34,
    "produced": 26,
    "date": 14,
    "modified": 20,
    "seconds": 14,
    "slowest": 12,
}
_USUAL_WIDTH = 10
_HEADS = {**COLUMNS, **EXEC_TABLE}
_LISTED, _LENGTH = 6, 200
_NOTHING = "-"
# Characters in a raw node.
_LARGE = 2**16
# The format of other builders may be HTML as well, but e-books and help files run no scripts.
_BROWSED = frozenset({"html", "dirhtml", "singlehtml"})


class StatusNode(nodes.General, nodes.Inline, nodes.Element):
    """A placeholder for the state of a notebook. Attributes: `facts`, `target` (its document)."""

    # Filled when the page is written: the state is known only after all pages were read.


def fill_statuses(
    document: nodes.document, report: Report, warn: Callable[[str, nodes.Node], None]
) -> None:
    """Replace each placeholder with the state of its notebook.

    Args:
        document: The page.
        report: The report.
        warn: Warns about placeholders for documents that are not notebooks.
    """
    entries = {entry.docname: entry for entry in report.entries if entry.docname}
    # A list, because the loop changes the tree during the traversal.
    for place in list(document.findall(StatusNode)):
        entry = entries.get(place["target"])
        if entry is None:
            warn(f"the document {place['target']!r} is no notebook: it has no state", place)
            place.replace_self(nodes.inline("", "no notebook", classes=["nbcache-status"]))
        else:
            place.replace_self(_status_shown(entry, place["facts"]))


def _status_shown(entry: ReportEntry, facts: tuple[str, ...]) -> nodes.inline:
    """Return the known facts, separated by dots."""
    parts = [text for fact in facts if (text := _fact(entry, fact))]
    kind = "failed" if entry.failed else entry.state or "none"
    text = " · ".join(parts)
    return nodes.inline("", text, classes=["nbcache-status", f"nbcache-status-{kind}"])


def _fact(entry: ReportEntry, fact: str) -> str:
    if fact == "state":
        return entry.state or "not executed"
    text = column_text(entry, fact)
    return f"{text} UTC" if fact == "date" and text else text


def connect_report(app: Sphinx) -> None:
    """Register how the page is read, and keep other extensions from taking it for a file."""
    # A suffix and a parser of its own: each project reads the page, whatever its suffixes are.
    app.add_source_parser(ReportParser)
    app.add_source_suffix(REPORT_SUFFIX, ReportParser.supported[0])
    app.add_post_transform(PlainLinks)
    # Handlers of other extensions have the priority 500.
    app.connect("builder-inited", forget_report_document, priority=100)
    app.connect("env-updated", leave_out_of_git, priority=100)


class _PackagedPath(_StrPath):
    """The path of the page's source, relative to the source directory, where it is not.

    Joined to the source directory, it becomes the path of the file in this package.
    """

    # `Project.doc2path` (Sphinx 9.0) returns this path, or `srcdir / path`. The first one becomes
    # part of pages: of the search index, and of links to sources, whose suffix is whatever follows
    # the docname. So it must not depend on the machine. The second one has to exist. A file in the
    # source directory would satisfy both, but that directory belongs to the user.

    def __rtruediv__(self, srcdir: Any) -> _StrPath:  # type: ignore[override]  # of this class
        # Python prefers this method to that of the source directory, because this is a subclass
        # (https://docs.python.org/3/reference/datamodel.html#object.__rtruediv__).
        file = Path(__file__).with_name(self.name)
        try:
            # With `..`, because extensions expect that documents are below the source directory:
            # `Path.relative_to` compares names only. Sphinx has resolved its links.
            return _StrPath(srcdir, os.path.relpath(file, srcdir))
        except ValueError:
            return _StrPath(file)  # on another drive of Windows


class ReportParser(RSTParser):
    """Reads the page of this package, as if its source were in the source directory."""

    supported: ClassVar = ("nbcache-report",)

    def parse(self, inputstring: str | StringList, document: nodes.document) -> None:
        """Parse the page; its nodes do not name a path that depends on the machine."""
        env: BuildEnvironment = document.settings.env
        # Translated messages of the page come with a source of their own.
        if is_report_ours(env) and document["source"] == str(env.doc2path(REPORT_DOCNAME)):
            # gettext writes the sources of nodes into catalogs, and sphinx-codeautolink (0.20)
            # expects them in the source directory.
            shown = str(Path(env.srcdir, env.doc2path(REPORT_DOCNAME, base=False)))
            document["source"] = document.current_source = shown
        super().parse(inputstring, document)


def is_report_ours(env: BuildEnvironment) -> bool:
    """Tell whether the page of this build is that of this package, and not a user's document."""
    path = env.project._docname_to_path.get(REPORT_DOCNAME)  # noqa: SLF001 (no public API)
    return isinstance(path, _PackagedPath)


def forget_report_document(app: Sphinx) -> None:
    """`builder-inited`: take out the page that the documents of the last build include.

    Handlers of this event take each document for a file in the source directory, as
    `sphinx.ext.autosummary` does (Sphinx 9.0, `process_generate_options`). Sphinx looks for files
    again before it reads any.
    """
    project = app.project
    if is_report_ours(app.env):
        project.docnames.discard(REPORT_DOCNAME)
        del project._docname_to_path[REPORT_DOCNAME]  # noqa: SLF001 (no public API)


def leave_out_of_git(_app: Sphinx, env: BuildEnvironment) -> None:
    """`env-updated`: keep sphinx-last-updated-by-git from asking git about the page.

    It would warn, because this package is in no repository, or show the date of a commit there.
    """
    # Documents without a value are those that it asks about (0.3.8, `_env_updated`). The value is a
    # time, and whether the page has a link to its source. Its option `git_exclude_patterns` would
    # remove this link and the copy of the source, which sphinx-llms-txt (0.7) warns about.
    dates = getattr(env, "git_last_updated", None)
    if isinstance(dates, dict) and REPORT_DOCNAME in dates and is_report_ours(env):
        dates[REPORT_DOCNAME] = (None, True)


def add_report_document(
    env: BuildEnvironment,
    added: set[str],
    changed: set[str],
    removed: set[str],
    *,
    was_ours: bool,
) -> None:
    """Add the report page to the documents of this build.

    Call this in `env-get-outdated`, after the last `env.find_files`, which drops the page.

    Args:
        env: The environment.
        added: The new documents.
        changed: The changed documents.
        removed: The removed documents.
        was_ours: Whether the page was last read from this package, not from a user's file.
    """
    # https://www.sphinx-doc.org/en/master/extdev/event_callbacks.html#event-env-get-outdated
    project = env.project
    known = REPORT_DOCNAME in env.all_docs
    if REPORT_DOCNAME in project.docnames:
        # The user has a document of this name, which takes precedence.
        if known and was_ours:
            changed.add(REPORT_DOCNAME)
        return
    project.docnames.add(REPORT_DOCNAME)
    # `Project.discover` (Sphinx 9.0) fills these mappings from the source directory only, and
    # `doc2path` would guess a path in it for a document that they lack.
    path = _PackagedPath(REPORT_DOCNAME + REPORT_SUFFIX)
    project._docname_to_path[REPORT_DOCNAME] = path  # noqa: SLF001 (no public API)
    for each in (path, project.srcdir / path):
        project._path_to_docname[each] = REPORT_DOCNAME  # noqa: SLF001 (no public API)
    # Sphinx takes a known document that it did not find for a removed one.
    removed.discard(REPORT_DOCNAME)
    if not known:
        added.add(REPORT_DOCNAME)
    elif not was_ours:
        changed.add(REPORT_DOCNAME)


class PlainLinks(SphinxPostTransform):
    """Resolves ambiguous links to the page, which has a document name and an equal label.

    Both exist, so that `doc` and `ref` work; MyST and `any` would warn about two targets.
    """

    # Before MyST-Parser's `MystReferenceResolver` (9) and Sphinx's `ReferencesResolver` (10).
    default_priority = 8

    def run(self, **_kwargs: Any) -> None:
        """Replace these links by links to the document."""
        if not is_report_ours(self.env):
            return
        for link in self.document.findall(addnodes.pending_xref):
            if link["reftype"] in _ANY and link["reftarget"] in _NAMES:
                link.attributes |= {
                    "refdomain": "std",
                    "reftype": "doc",
                    "reftarget": f"/{REPORT_DOCNAME}",
                    "refexplicit": bool(link.get("refexplicit")),
                }


class ReportNode(nodes.General, nodes.Element):
    """A placeholder for the report in a page. Attribute: `selection`, the part to show."""


def fill_reports(document: nodes.document, report: Report, links: Links, builder: Builder) -> None:
    """Replace each placeholder with the report."""
    places = list(document.findall(ReportNode))
    # Parts of one report link to each other's rows, so they share the prefix of its ids.
    number = -1 + any(place["selection"].part for place in places)
    for place in places:
        selection: Selection = place["selection"]
        number += not selection.part
        if builder.name == "gettext":
            # Names and reasons are no text to translate.
            shown: list[nodes.Node] = []
        elif builder.name in _BROWSED and not selection.columns and report.entries:
            index = 0 if selection.part else number
            prefix = f"report-{index + 1}-" if index else ""
            pieces = report_pieces(report, selection, links, prefix)
            shown = [nodes.raw("", html, format="html") for html in _in_large_pieces(pieces)]
        else:
            shown = report_nodes(report, selection, links, is_latex=builder.format == "latex")
        place.replace_self(shown)


def _in_large_pieces(pieces: Iterable[str]) -> Iterator[str]:
    """Join pieces into larger ones, to avoid both one node per row and one huge node."""
    collected, size = [], 0
    for piece in pieces:
        collected.append(piece)
        size += len(piece)
        if size >= _LARGE:
            yield "".join(collected)
            collected, size = [], 0
    yield "".join(collected)


def report_nodes(
    report: Report, selection: Selection, links: Links, *, is_latex: bool = False
) -> list[nodes.Node]:
    """Return the report as a table; unless its columns were chosen, with totals and tracebacks.

    Args:
        report: The report.
        selection: The part to show.
        links: Resolves its links.
        is_latex: Whether it is for LaTeX, which makes all columns equally wide unless their widths
            are given, and breaks only literal names.
    """
    counted = selection.within(report)
    entries = selection.shown(counted)
    if not report.entries:
        return [nodes.paragraph("", "There are no notebooks.")] if selection.has("figures") else []
    failed = [node for entry in entries if entry.failed for node in _failure(entry, links)]
    if selection.part == "failures":
        return failed or [nodes.paragraph("", "No notebook failed.")]
    listed = _table(entries, selection.columns_of(report), links)
    if is_latex and isinstance(listed, nodes.table):
        # Sphinx breaks long inline literals, but no other words (`inlineliteralwraps`,
        # https://www.sphinx-doc.org/en/master/latex.html#the-sphinxsetup-configuration-setting).
        listed["classes"] = ["nbcache-list", "colwidths-given"]
        # A list, because the loop changes the tree during the traversal.
        for link in [*listed.findall(nodes.reference)]:
            link[:] = [nodes.literal("", link.astext())]
    if selection.columns or selection.part == "notebooks":
        return [listed]
    text = f"{counted.summary}. {counted.rendered_by}".rstrip()
    totals = nodes.paragraph("", text, classes=["nbcache-totals"])
    return [totals] if selection.part else [totals, listed, *failed]


def _table(entries: Sequence[ReportEntry], columns: Sequence[str], links: Links) -> nodes.Element:
    if not entries:
        return nodes.paragraph("", "No notebook matches.")
    group = nodes.tgroup("", cols=len(columns))
    group += [nodes.colspec("", colwidth=_WIDTHS.get(name, _USUAL_WIDTH)) for name in columns]
    heads = [nodes.entry("", nodes.paragraph("", _HEADS[name])) for name in columns]
    group += nodes.thead("", nodes.row("", *heads))
    group += nodes.tbody("", *(_row(entry, columns, links) for entry in entries))
    return nodes.table("", group, classes=["nbcache-list", "colwidths-auto"])


def _row(entry: ReportEntry, columns: Sequence[str], links: Links) -> nodes.row:
    cells = [nodes.entry("", nodes.paragraph("", "", _shown(entry, c, links))) for c in columns]
    return nodes.row("", *cells, classes=["nbcache-failed" if entry.failed else "nbcache-well"])


def _shown(entry: ReportEntry, column: str, links: Links) -> nodes.Node:
    """Return the content of a column for a notebook."""
    if column == "notebook":
        return _link(entry.name, links.page(entry.docname) if entry.docname else "")
    if column == "document":
        return _link(entry.docname or entry.name, links.page(entry.docname))
    if column == "slowest":
        number = entry.slowest[0].number if entry.slowest else None
        text = _NOTHING if number is None else f"cell {number}"
        return _link(text, links.cell(entry.docname, number) if number is not None else "")
    return nodes.Text(column_text(entry, column) or _NOTHING)


def column_text(entry: ReportEntry, column: str) -> str:
    """Return the content of a column for a notebook as plain text; empty if there is none."""
    written = _WRITTEN.get(column)
    return written(entry) if written is not None else str(getattr(entry, column))


def _date(entry: ReportEntry) -> str:
    return "" if entry.started is None else utc(entry.started).removesuffix(" UTC")


def _listed(texts: Sequence[str]) -> str:
    """Return the first few of many texts in one line."""
    left = len(texts) - _LISTED
    return ", ".join([*texts[:_LISTED], *([f"and {left} more"] if left > 0 else [])])


# Formatters of columns. All other columns show a field of the entry with the column's name.
_WRITTEN: Mapping[str, Callable[[ReportEntry], str]] = {
    "date": _date,
    "time": lambda entry: "" if entry.seconds is None else duration_in_words(entry.seconds),
    "modified": lambda entry: "" if entry.started is None else utc(entry.started),
    "method": lambda entry: entry.decision,
    "seconds": lambda entry: "" if entry.seconds is None else f"{entry.seconds:.2f}",
    "memory": lambda entry: "" if entry.peak_memory is None else size_in_words(entry.peak_memory),
    "status": lambda entry: entry.state,
    "reason": lambda entry: shortened(entry.reason, _LENGTH),
    "changed": lambda entry: shortened(entry.changed, _LENGTH),
    "depends": lambda entry: _listed([item.text for item in entry.depends_on]),
    "produced": lambda entry: _listed([item.path for item in entry.produced]),
}


def _link(text: str, uri: str) -> nodes.Node:
    if not uri:
        return nodes.Text(text)
    return nodes.reference("", text, internal=True, refuri=uri)


def _failure(entry: ReportEntry, links: Links) -> list[nodes.Node]:
    link = _link(entry.name, links.page(entry.docname) if entry.docname else "")
    heading = nodes.rubric("", "", link, nodes.Text(entry.at_cell))
    failure = entry.failure
    if failure is None:
        return [heading, nodes.paragraph("", f"{entry.decision or entry.state}: {entry.reason}")]
    shown: list[nodes.Node] = [heading]
    if failure.source:
        # LaTeX stops at null characters, and XML cannot contain them.
        source = failure.source.replace("\x00", "\ufffd")
        shown.append(nodes.literal_block(source, source, language="none"))
    return [*shown, ansi_block(failure.trimmed, ["output", "traceback"])]
