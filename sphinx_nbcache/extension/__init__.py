"""The Sphinx side: hooks, parser, directives. It only drives the project."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def connect(app: Sphinx) -> None:
    """Connect everything to a Sphinx application, in the order in which a build uses it.

    Raises:
        ConfigError: MyST-NB is loaded as well.
    """
    from sphinx.errors import ConfigError

    from sphinx_nbcache.extension.config_values import register_options
    from sphinx_nbcache.extension.directives import CodeCell, JcacheReport, JcacheStatus
    from sphinx_nbcache.extension.domain import NotebookDomain
    from sphinx_nbcache.extension.hooks import Hooks
    from sphinx_nbcache.extension.parser import NotebookParser
    from sphinx_nbcache.report.pages import (
        REPORT_SUFFIX,
        PlainLinks,
        ReportParser,
        forget_report_document,
    )

    if "myst_nb" in app.config.extensions:
        # MyST-NB (1.4, `sphinx_ext.py`) registers `.md` and `.ipynb` without
        # `override`, so that the one that is set up last would end the build with a traceback.
        raise ConfigError(
            "conf.py loads both myst_nb and sphinx_nbcache, which read the same files (`.md`,"
            " `.ipynb`); remove myst_nb from `extensions`: its options and tags have their"
            " counterparts here (see the page on migration)"
        )
    register_options(app)
    # Before our parser: myst-parser registers one for the same file types, which ours overrides.
    # Sphinx sets up an extension once, so it does not matter whether `conf.py` lists it, too.
    app.setup_extension("myst_parser")
    # One parser reads all Markdown: it distinguishes notebooks from ordinary pages.
    app.add_source_parser(NotebookParser, override=True)
    app.add_source_suffix(".ipynb", "nbcache")
    # A suffix and a parser of its own: each project reads the page, whatever its suffixes are.
    app.add_source_parser(ReportParser)
    app.add_source_suffix(REPORT_SUFFIX, ReportParser.supported[0])
    # Before other extensions look at the documents, whose handlers have the priority 500.
    app.connect("builder-inited", forget_report_document, priority=100)
    app.add_domain(NotebookDomain)
    app.add_directive("code-cell", CodeCell)
    app.setup_extension("sphinx_nbcache.rendering")
    app.add_directive("jcache-report", JcacheReport)
    app.add_directive("nb-exec-table", JcacheReport)  # the name in MyST-NB
    app.add_role("jcache-status", JcacheStatus())
    app.setup_extension("sphinx_nbcache.click_pages")
    app.add_post_transform(PlainLinks)
    Hooks().connect(app)
