"""The directive `jcache-report`: the report in any page."""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from sphinx_nbcache.report.document import hide_source_path
from sphinx_nbcache.report.nodes import ReportNode


class JcacheReport(SphinxDirective):
    """Shows what became of each notebook in this build.

    The table is filled in when the page is written: the report is that of the build, not of
    the time at which the page was read.
    """

    has_content = False

    def run(self) -> list[nodes.Node]:
        """Return the place of the report, and note that this document shows it."""
        domain = self.env.domains["nbcache"]
        domain.note_report(self.env.docname)  # type: ignore[attr-defined]  # extension.domain
        return [ReportNode()]


def register_report(app: Sphinx) -> None:
    """Register the directive, and what the report page needs."""
    app.add_directive("jcache-report", JcacheReport)
    app.connect("html-collect-pages", hide_source_path)
