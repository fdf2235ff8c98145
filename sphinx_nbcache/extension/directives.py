"""`code-cell` inside other blocks, `jcache-report`, `nb-exec-table` and `jcache-status`."""

from __future__ import annotations

from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util import docname_join
from sphinx.util.docutils import ReferenceRole, SphinxDirective

from sphinx_nbcache.extension.domain import notebook_domain
from sphinx_nbcache.extension.log import LOGGER
from sphinx_nbcache.notices import WARNING_TYPE, Topic
from sphinx_nbcache.report.pages import FACTS, ReportNode, StatusNode
from sphinx_nbcache.report.selection import (
    COLUMNS,
    EXEC_TABLE,
    PARTS,
    SORTS,
    STATUSES,
    Selection,
    words,
)


class CodeCellNode(nodes.container):
    """A code cell that is still to be filled. It never reaches a stored doctree.

    Attributes: `cell` is the [](sphinx_nbcache.notebooks.notebook.Cell), `number` its number among
    all code cells, `position` its position among those that have code, `code` the digests of
    all of these, `lexer` the language that the page asks for, `looks` how it looks, and `widgets`
    the state of widgets in the file. Its child, if there is one, is the figure for its outputs.
    """


class CodeCell(SphinxDirective):
    """A code cell inside a list, an admonition, a tab.

    Its options are not the directive's but the cell's metadata, read by
    [](sphinx_nbcache.notebooks.myst.split_options), as everywhere in a notebook.
    """

    optional_arguments = 1
    final_argument_whitespace = True
    has_content = True
    # Empty, so that myst-parser leaves `:key: value` lines in the content (`parse_directive_text`
    # of myst-parser 5.2 looks for options only if there is a specification).
    option_spec: ClassVar = {}

    def run(self) -> list[nodes.Node]:
        """Return the cell's placeholder; outside notebooks, its source."""
        from sphinx_nbcache.notebooks.myst import split_options
        from sphinx_nbcache.notebooks.notebook import loaded_source, name_in

        block = split_options("\n".join(self.content))
        source = block.body.rstrip()
        if name := name_in(block.options):
            loaded, problem = loaded_source(name, self.env.doc2path(self.env.docname).parent)
            source = source if problem else loaded
        # myst-parser runs directives with a mock of docutils' state, which has the renderer in a
        # private attribute (myst_parser/mocking.py, 5.2). A real state, in a reST page, has none.
        renderer = getattr(self.state, "_renderer", None)
        find = getattr(renderer, "nested_placeholder", None)
        placeholder: nodes.Node | None = find(source, self.lineno) if find is not None else None
        if placeholder is not None:
            self.set_source_info(placeholder)
            return [placeholder]
        # A warning, because a reader would miss the outputs: MyST-NB 1.4
        # leaves such a cell out (https://github.com/executablebooks/MyST-NB/pull/729).
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
    """Shows the outcome of each notebook in this build.

    The report is filled in when the page is written: it covers the whole build, not only the time
    before the page was read.
    """

    has_content = False
    option_spec: ClassVar = {
        "status": lambda text: frozenset(words(text or "", STATUSES, "status")),
        "columns": lambda text: words(text or "", COLUMNS, "column"),
        "limit": directives.positive_int,
        "sort": lambda text: _sort(text or ""),
        "part": lambda text: directives.choice(text, PARTS),
        "docs": lambda text: tuple((text or "").replace(",", " ").split()),
    }

    def run(self) -> list[nodes.Node]:
        """Return the placeholder for the report, and note that this document shows it."""
        notebook_domain(self.env).note_report(self.env.docname)
        place = ReportNode(selection=self.selection())
        self.set_source_info(place)
        return [place]

    def selection(self) -> Selection:
        """Return the part of the report to show."""
        return Selection(**self.options)


class NbExecTable(JcacheReport):
    """Shows a plain table of the notebooks, as the directive of this name in MyST-NB does."""

    # MyST-NB allows content, and ignores it.
    has_content = True
    option_spec: ClassVar = {}

    def selection(self) -> Selection:
        """Return all notebooks, with the columns of MyST-NB."""
        return Selection(columns=tuple(EXEC_TABLE))


class JcacheStatus(ReferenceRole):
    """Shows the state of the page's own notebook, or of another one.

    Its text is a list of facts: `state, time, date`; `state <guide/fit>` is about another page.
    """

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the placeholder for the state, and note that this document shows it."""
        try:
            facts = words(self.title, FACTS, "fact")
        except ValueError as error:
            message = self.inliner.reporter.error(f"jcache-status: {error}", line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]
        docname = self.env.docname
        target = docname_join(docname, self.target) if self.has_explicit_title else docname
        notebook_domain(self.env).note_status(docname, target)
        place = StatusNode("", facts=facts, target=target)
        self.set_source_info(place)
        return [place], []


def _sort(text: str) -> str:
    # `[:1]` and one name: an empty text fails as an unknown word does, with ValueError, from which
    # docutils makes an error at the directive.
    (word,) = words(text.strip().removeprefix("-"), SORTS, "column to sort by")[:1]
    return f"-{word}" if text.strip().startswith("-") else word
