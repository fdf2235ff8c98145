"""Renders outputs as docutils nodes: one small renderer for each family of MIME types."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config
    from sphinx.util.typing import ExtensionMetadata


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the nodes that outputs are made of, the choice among their forms, and their style.

    The other packages load this one by name, because Sphinx sets up an extension only once.
    """
    from sphinx_nbcache.rendering.bundle import ChooseForms
    from sphinx_nbcache.rendering.nodes import register_nodes

    register_nodes(app)
    app.add_post_transform(ChooseForms)
    app.connect("config-inited", add_style)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def add_style(app: Sphinx, config: Config) -> None:
    """`config-inited`: ship the style sheet with the pages."""
    static = str(Path(__file__).parent.parent / "static")
    # A new list: the old one may be the default, which all configurations share.
    config.html_static_path = [*config.html_static_path, static]
    app.add_css_file("nbcache.css")
