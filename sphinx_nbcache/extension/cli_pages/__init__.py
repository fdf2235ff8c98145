"""Pages that show a command line: each command is run while its page is read.

From a directive to the block in the page: `command` (the content of the directive), `places` (the
folder and the store), `process` and `child` (running it), `printed` (its output as the page shows
it), `dependencies` (the files that make the page outdated).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def connect(app: Sphinx) -> None:
    """Register the directives, and the hooks that they need."""
    from sphinx_nbcache.extension.cli_pages.dependencies import find_outdated_pages
    from sphinx_nbcache.extension.cli_pages.directives import JcacheClear, JcacheCli
    from sphinx_nbcache.extension.cli_pages.reading import check_places, leave_page

    app.add_directive("jcache-cli", JcacheCli)
    app.add_directive("jcache-clear", JcacheClear)
    app.connect("builder-inited", check_places)
    app.connect("env-get-outdated", find_outdated_pages)
    app.connect("doctree-read", leave_page)
