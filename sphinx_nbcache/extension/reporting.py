"""The report in pages: its assets, its digests, and filling it in."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.builders import Builder
from sphinx.errors import NoUri
from sphinx.util.osutil import relative_uri

from sphinx_nbcache.extension.domain import NotebookDomain, notebook_domain
from sphinx_nbcache.extension.log import LOGGER
from sphinx_nbcache.notices import WARNING_TYPE, Topic
from sphinx_nbcache.project import Project
from sphinx_nbcache.report.html.page import REPORT_STYLE, SCRIPT
from sphinx_nbcache.report.making import Draft
from sphinx_nbcache.report.model import Report, report_digest
from sphinx_nbcache.report.pages import ReportNode, StatusNode, fill_reports, fill_statuses
from sphinx_nbcache.report.selection import Links

_WITH_FILES = frozenset({"html", "dirhtml", "singlehtml"})
# Builders that resolve each document alone. Others put many into one, which has the places of all.
_PAGE_BY_PAGE = frozenset({"html", "dirhtml"})


class BuildReport:
    """The report on a build: the draft at once, the whole report on demand.

    Attributes:
        outline: The report as far as it is known without the store.
        shown: The same, without what a reproducible build leaves out.
        digest: Digest of the report.
        shown_digest: Digest of the shown report.

    Args:
        made: The draft.
        project: The project, whose store has the rest.
        is_reproducible: Whether the shown report leaves out data that differs from build to build.
    """

    def __init__(self, made: Draft, project: Project, *, is_reproducible: bool) -> None:
        self._draft, self._project = made, project
        self._shown_draft = made.reproducible() if is_reproducible else made
        self.outline, self.digest = made.outline, made.digest
        self.shown, self.shown_digest = self._shown_draft.outline, self._shown_draft.digest
        self._whole: Report | None = None

    def whole(self) -> Report:
        """Return the whole shown report. The store is closed afterwards: writers may be forked."""
        if self._whole is None:
            try:
                self._whole = self._shown_draft.whole(self._project.store)
            finally:
                # An open SQLite connection must not get into a forked writer
                # (https://www.sqlite.org/howtocorrupt.html, section 2.6).
                self._project.close()
        return self._whole


def fill_places(app: Sphinx, doctree: nodes.document, docname: str, report: BuildReport) -> None:
    """Fill in the parts of the report that a page shows."""
    domain = notebook_domain(app.env)
    has_places = docname in domain.reports or docname in domain.statuses
    if app.builder.name in _PAGE_BY_PAGE and not has_places:
        return  # most pages: without a walk

    def warn(text: str, place: nodes.Node) -> None:
        LOGGER.warning("%s", text, type=WARNING_TYPE, subtype=Topic.REPORT.value, location=place)

    # One walk for both kinds, through each page: an assembled page has nodes of many documents.
    found = {type(node) for node in doctree.findall(_is_place)}
    if ReportNode in found:
        fill_reports(doctree, report.whole(), links_from(app.builder, docname), app.builder)
    if StatusNode in found:
        fill_statuses(doctree, report.shown, warn)


def _is_place(node: nodes.Node) -> bool:
    return isinstance(node, ReportNode | StatusNode)


def links_from(builder: Builder, docname: str) -> Links:
    """Return the links from a page of a builder to others."""

    def page(target: str) -> str:
        # `latex` and `texinfo` raise it for documents that their output does not contain.
        with suppress(NoUri):
            return builder.get_relative_uri(docname, target)
        return ""

    def file(name: str) -> str:
        if builder.name not in _WITH_FILES:
            return ""
        # `singlehtml` answers `index.html#document-name`.
        return relative_uri(builder.get_target_uri(docname).partition("#")[0], name)

    return Links(page, file, has_cells=builder.format == "html")


def shown_digests(domain: NotebookDomain, report: BuildReport) -> dict[str, str]:
    """Return the digest of the shown parts for each document that shows the report or a state."""
    digests: dict[str, str] = {}
    if domain.statuses:
        entries = {entry.docname: entry for entry in report.shown.entries}
        for docname, targets in domain.statuses.items():
            digests[docname] = report_digest(entries[t] for t in targets if t in entries)
    for docname in domain.reports:
        digests[docname] = report.shown_digest + digests.get(docname, "")
    return digests


def add_assets(
    app: Sphinx,
    pagename: str,
    _template: str,
    _context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    """`html-page-context`: add the report's style sheet and script to the pages that show it."""
    if doctree is None or app.builder.name not in _WITH_FILES:
        return
    domain = notebook_domain(app.env)
    shows_it = pagename in domain.reports
    if shows_it or (app.builder.name == "singlehtml" and domain.reports):
        # During this event, Sphinx adds the files to the current page only
        # (https://www.sphinx-doc.org/en/master/extdev/appapi.html).
        app.add_css_file(REPORT_STYLE)
        app.add_js_file(SCRIPT, loading_method="defer")
