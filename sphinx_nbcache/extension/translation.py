"""What translators are offered of a code cell, and what its page shows of their work.

By default that is nothing: outputs are the results of runs, and change with them. Sphinx's own way
of asking for code, `"literal-block"` in `gettext_additional_targets`, asks for code cells and their
textual outputs as well. Sphinx marks what was asked for while it parses a page, which is before our
cells are filled; so both directions are implemented here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.locale import init as load_catalog
from sphinx.util.i18n import docname_to_domain

_TARGET = "literal-block"


def offer_to_translators(app: Sphinx, doctree: nodes.document) -> None:
    """Leave in the code cells of a page what translators are to see: for the gettext builder."""
    is_asked = _TARGET in app.config.gettext_additional_targets
    for cell in list(_cells(doctree)):
        blocks = list(cell.findall(nodes.literal_block)) if is_asked else []
        for block in blocks:
            block["translatable"] = True
            block.source, block.line = cell.source, cell.line
            # The gettext builder ignores nodes without one; for toctrees it does the same as here.
            block.uid = ""  # type: ignore[attr-defined]
        # Without the nodes around them, such as images, whose alternative texts would be offered.
        cell.children.clear()
        cell.extend(blocks)


def show_translated(env: BuildEnvironment, cell: nodes.Element) -> None:
    """Replace the texts of a filled cell by their translations, if that was asked for."""
    config = env.config
    if _TARGET not in config.gettext_additional_targets or not config.language:
        return
    folders = [Path(env.srcdir) / folder for folder in config.locale_dirs]
    domain = docname_to_domain(env.docname, config.gettext_compact)
    catalog, is_found = load_catalog(folders, config.language, domain)
    for block in cell.findall(nodes.literal_block) if is_found else ():
        text = block.rawsource or block.astext()
        if text and (translated := catalog.gettext(text)) != text:
            block.rawsource = translated
            block.children = []
            block.append(nodes.Text(translated))


def _cells(doctree: nodes.document) -> Iterator[nodes.container]:
    for container in doctree.findall(nodes.container):
        if container.get("nb_element") == "cell_code":
            yield container
