"""Pages that show a command line: each command is run while its page is read.

`sphinx_nbcache` loads this package, which is an extension of its own: a project that shows click
commands and has no notebooks may load it alone.

From a directive to the block in the page: `cli_directives`, `stores` (the folder and the store),
`process` and `child` (the command, its run, and its output as the page shows it), `dependencies`
(the files that make the page outdated).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sphinx_nbcache import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directives, and the hooks that they need (called by Sphinx itself)."""
    from sphinx_nbcache.click_pages.cli_directives import JcacheClear, JcacheCli
    from sphinx_nbcache.click_pages.dependencies import CommandDomain, find_outdated_pages
    from sphinx_nbcache.click_pages.stores import check_places, leave_page
    from sphinx_nbcache.extension.config_values import register_options

    # Both extensions register the options: a project may load only this one.
    register_options(app)
    app.setup_extension("sphinx_nbcache.rendering")
    app.add_domain(CommandDomain)
    app.add_directive("jcache-cli", JcacheCli)
    app.add_directive("jcache-clear", JcacheClear)
    app.connect("builder-inited", check_places)
    app.connect("env-get-outdated", find_outdated_pages)
    # The event that follows the last directive of a page; it comes in the process that reads it.
    app.connect("doctree-read", leave_page)
    return {
        "version": __version__,
        "env_version": 1,
        # Pages with a common store wait for each other, in forked workers as well (see `stores`).
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
