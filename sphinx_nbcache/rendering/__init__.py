"""Renders outputs as docutils nodes: one small renderer for each family of MIME types."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils.nodes import Element, raw

if TYPE_CHECKING:
    from docutils.nodes import document
    from sphinx.application import Sphinx
    from sphinx.config import Config
    from sphinx.util.typing import ExtensionMetadata

_STYLE = "nbcache.css"
# The file type of our parser (see [](sphinx_nbcache.extension.config_values)).
_FILE_TYPE = "nbcache"
_LATE = 950
# Classes of nodes, and the class of the report, which is one raw node.
_CLASSES = ("nbcache-", "ansi-")
_REPORT = 'class="nbcache-report"'


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the nodes that outputs are made of, the choice among their forms, and their style.

    The other packages load this one by name, because Sphinx sets up an extension only once.
    """
    from sphinx_nbcache.rendering.choosing import ChooseForms
    from sphinx_nbcache.rendering.live.pages import add_scripts
    from sphinx_nbcache.rendering.nodes import register_nodes

    register_nodes(app)
    app.add_post_transform(ChooseForms)
    app.connect("html-page-context", add_scripts)
    # After the suffixes and parsers of extensions are settled.
    app.connect("config-inited", add_style, priority=_LATE)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def add_style(app: Sphinx, config: Config) -> None:
    """`config-inited`: ship the style sheet with the pages."""
    static = str(Path(__file__).parent.parent / "static")
    # A new list: the old one may be the default, which all configurations share.
    config.html_static_path = [*config.html_static_path, static]
    # Pages of MyST-NB and nbsphinx have the same classes, but their own style.
    if "nbcache_renderer" in config and _FILE_TYPE not in app.registry.source_parsers:
        app.connect("html-page-context", style_page)
    else:
        app.add_css_file(_STYLE)


def style_page(
    app: Sphinx,
    _pagename: str,
    _template: str,
    _context: dict[str, Any],
    doctree: document | None,
) -> None:
    """`html-page-context`: add the style sheet to a page with nodes of this package."""
    if doctree is not None and any(map(_is_ours, doctree.findall(Element))):
        # During this event, Sphinx adds the file to the current page only
        # (https://www.sphinx-doc.org/en/master/extdev/appapi.html).
        app.add_css_file(_STYLE)


def _is_ours(node: Element) -> bool:
    if isinstance(node, raw):
        return _REPORT in node.rawsource or _REPORT in node.astext()
    return any(name.startswith(_CLASSES) for name in node["classes"])
