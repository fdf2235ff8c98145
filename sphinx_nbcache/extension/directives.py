"""The directives: `code-cell`, for code cells inside other blocks, and `jcache-report`."""

from __future__ import annotations

from typing import ClassVar

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from sphinx_nbcache.extension.domain import notebook_domain
from sphinx_nbcache.extension.log import LOGGER
from sphinx_nbcache.notices import WARNING_TYPE, Topic
from sphinx_nbcache.report.nodes import ReportNode


class CodeCell(SphinxDirective):
    """A code cell inside a list, an admonition, a tab.

    Its options are not the directive's but the cell's metadata, read by
    [](sphinx_nbcache.notebooks.myst.split_options), as everywhere in a notebook.
    """

    optional_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec: ClassVar = {}

    def run(self) -> list[nodes.Node]:
        """Return the cell's placeholder; outside notebooks, its source."""
        from sphinx_nbcache.notebooks.loading import loaded_source, name_in
        from sphinx_nbcache.notebooks.myst import split_options

        block = split_options("\n".join(self.content))
        source = block.body
        if name := name_in(block.options):
            loaded, problem = loaded_source(name, self.env.doc2path(self.env.docname).parent)
            source = source if problem else loaded
        renderer = getattr(self.state, "_renderer", None)
        find = getattr(renderer, "nested_placeholder", None)
        placeholder: nodes.Node | None = find(source, self.lineno) if find is not None else None
        if placeholder is not None:
            self.set_source_info(placeholder)
            return [placeholder]
        LOGGER.warning(
            "this code-cell is not executed: %s",
            "it is not found by the scan of the notebook (write it at the top level)"
            if find is not None
            else "the page is no notebook; its front matter must name a kernelspec",
            type=WARNING_TYPE,
            subtype=Topic.CELL.value,
            location=self.get_location(),
        )
        language = self.arguments[0] if self.arguments else "python"
        return [nodes.literal_block(source, source, language=language)]


class JcacheReport(SphinxDirective):
    """Shows what became of each notebook in this build.

    The table is filled in when the page is written: the report is that of the build, not of
    the time at which the page was read.
    """

    has_content = False

    def run(self) -> list[nodes.Node]:
        """Return the place of the report, and note that this document shows it."""
        notebook_domain(self.env).note_report(self.env.docname)
        return [ReportNode()]
