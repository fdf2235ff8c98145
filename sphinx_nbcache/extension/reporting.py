"""Where pages show the report: what they need, what they were written with, and filling it in."""

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
from sphinx_nbcache.report.html.standalone import REPORT_STYLE, SCRIPT
from sphinx_nbcache.report.links import Links
from sphinx_nbcache.report.model import Report, digest_of
from sphinx_nbcache.report.nodes import ReportNode, fill_reports
from sphinx_nbcache.report.status import StatusNode, fill_statuses

_WITH_FILES = frozenset({"html", "dirhtml", "singlehtml"})


def fill_places(app: Sphinx, doctree: nodes.document, docname: str, report: Report) -> None:
    """Fill in what a page shows of the report."""

    def warn(text: str, place: nodes.Node) -> None:
        LOGGER.warning("%s", text, type=WARNING_TYPE, subtype=Topic.REPORT.value, location=place)

    if doctree.next_node(ReportNode) is not None:
        fill_reports(doctree, report, links_from(app.builder, docname), app.builder)
    if doctree.next_node(StatusNode) is not None:
        fill_statuses(doctree, report, warn)


def links_from(builder: Builder, docname: str) -> Links:
    """Return how a page of a builder refers to others."""

    def page(target: str) -> str:
        with suppress(NoUri):
            return builder.get_relative_uri(docname, target)
        return ""

    def file(name: str) -> str:
        if builder.name not in _WITH_FILES:
            return ""
        return relative_uri(builder.get_target_uri(docname).partition("#")[0], name)

    return Links(page, file, has_cells=builder.format == "html")


def shown_digests(domain: NotebookDomain, report: Report) -> dict[str, str]:
    """Return, of each document that shows something of the report, the digest of that."""
    digests: dict[str, str] = {}
    if domain.statuses:
        entries = {entry.docname: entry for entry in report.entries}
        for docname, targets in domain.statuses.items():
            digests[docname] = digest_of(entries[t] for t in targets if t in entries)
    for docname in domain.reports:
        digests[docname] = report.digest + digests.get(docname, "")
    return digests


def add_assets(
    app: Sphinx,
    pagename: str,
    _template: str,
    _context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    """`html-page-context`: give the pages that show the report its style sheet and its script."""
    if doctree is None or app.builder.name not in _WITH_FILES:
        return
    domain = notebook_domain(app.env)
    shows_it = pagename in domain.reports
    if shows_it or (app.builder.name == "singlehtml" and domain.reports):
        app.add_css_file(REPORT_STYLE)
        app.add_js_file(SCRIPT, loading_method="defer")
