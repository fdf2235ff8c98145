"""The texts of code cells for translators, and their translations in pages.

By default there are none: outputs are the results of runs, and change with them. Sphinx's option
for code, `"literal-block"` in `gettext_additional_targets`, includes code cells and their textual
outputs. Sphinx marks the nodes for translation while it parses a page, before our cells are filled;
so both directions are implemented here.
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
    """Reduce the code cells of a page to the texts for translators: for the gettext builder."""
    is_asked = _TARGET in app.config.gettext_additional_targets
    for cell in list(_cells(doctree)):
        blocks = list(cell.findall(nodes.literal_block)) if is_asked else []
        for block in blocks:
            block["translatable"] = True
            block.source, block.line = cell.source, cell.line
            # The gettext builder ignores nodes without a `uid`; it sets the same value for
            # toctrees.
            block.uid = ""  # type: ignore[attr-defined]
        # Without the nodes around them, such as images, whose alternative texts would be offered.
        cell.children.clear()
        cell.extend(blocks)


def show_translated(env: BuildEnvironment, cell: nodes.Element) -> None:
    """Replace the texts of a filled cell with their translations, if `conf.py` asks for it."""
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
