"""The Sphinx side: hooks, parser, directives. It only drives the project."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sphinx.application import Sphinx

    from sphinx_nbcache.extension.hooks import Hooks


def connect(app: Sphinx) -> None:
    """Connect everything to a Sphinx application, in the order in which a build uses it.

    Raises:
        ConfigError: The wanted renderer cannot be in charge.
    """
    from sphinx_nbcache.extension.config_values import register_options
    from sphinx_nbcache.extension.directives import JcacheReport, JcacheStatus, NbExecTable
    from sphinx_nbcache.extension.domain import NotebookDomain
    from sphinx_nbcache.extension.downloads import NbDownload
    from sphinx_nbcache.extension.galleries import leave_out_galleries
    from sphinx_nbcache.extension.handover import renderers_in_charge
    from sphinx_nbcache.extension.hooks import Hooks
    from sphinx_nbcache.options import PREFIX
    from sphinx_nbcache.report.pages import connect_report

    register_options(app)
    # Not later: from here on, what is registered depends on it, whatever the order of extensions.
    extensions = {*app.config.extensions, *app.extensions}
    renderers = renderers_in_charge(extensions, app.config[PREFIX + "renderer"])
    # Sphinx sets up an extension once, so it does not matter whether `conf.py` lists it before or
    # after this one.
    for renderer in renderers:
        app.setup_extension(renderer)
    app.add_domain(NotebookDomain)
    app.setup_extension("sphinx_nbcache.rendering")
    app.add_directive("jcache-report", JcacheReport)
    if "myst_nb" not in extensions:
        app.add_directive("nb-exec-table", NbExecTable)  # which MyST-NB has itself
    app.add_role("jcache-status", JcacheStatus())
    app.setup_extension("sphinx_nbcache.click_pages")
    connect_report(app)
    # After the formats were checked (700), before files are looked for (900).
    app.connect("config-inited", leave_out_galleries, priority=800)
    hooks = Hooks(renderers)
    hooks.connect(app)
    if renderers:
        _hand_over(app, hooks, renderers)
    else:
        _add_parser(app)
        _add_values(app, hooks)
    if "myst_nb" not in extensions:  # which has the role itself
        app.add_role("nb-download", NbDownload(hooks))


def _hand_over(app: Sphinx, hooks: Hooks, renderers: Sequence[str]) -> None:
    """Hand executed notebooks over to the renderers in charge."""
    from sphinx_nbcache.extension.for_myst_nb import MystNbPages
    from sphinx_nbcache.extension.for_nbsphinx import NbsphinxPages
    from sphinx_nbcache.extension.handover import Pages, connect_pages

    pages: list[Pages] = [NbsphinxPages(hooks), MystNbPages(hooks)]
    connect_pages(app, [item for item in pages if item.name in renderers])


def _add_parser(app: Sphinx) -> None:
    """Register our parser, and the directive that it needs."""
    from sphinx_nbcache.extension.directives import CodeCell
    from sphinx_nbcache.extension.parser import NotebookParser

    # Before our parser: myst-parser registers one for the same file types, which ours overrides.
    app.setup_extension("myst_parser")
    # One parser reads all Markdown: it distinguishes notebooks from ordinary pages.
    app.add_source_parser(NotebookParser, override=True)
    app.add_source_suffix(".ipynb", "nbcache")
    app.add_directive("code-cell", CodeCell)


def _add_values(app: Sphinx, hooks: Hooks) -> None:
    """Register the roles and directives that show values of notebooks."""
    from sphinx_nbcache.extension.pasting import transform_with
    from sphinx_nbcache.extension.value_directives import (
        Eval,
        EvalDomain,
        EvalRole,
        Glue,
        GlueDomain,
        GlueRole,
    )

    app.add_domain(GlueDomain)
    app.add_domain(EvalDomain)
    # Without a colon, Sphinx looks for the names outside of these domains.
    app.add_role("glue", GlueRole())
    app.add_role("eval", EvalRole())
    app.add_directive("glue", Glue)
    app.add_directive("eval", Eval)
    app.add_transform(transform_with(hooks.paste))
