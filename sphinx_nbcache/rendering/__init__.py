"""Renders outputs as docutils nodes: one small renderer for each family of MIME types."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the nodes that outputs are made of, and the choice among their forms.

    The other packages load this one by name, because Sphinx sets up an extension only once.
    """
    from sphinx_nbcache.rendering.bundle import ChooseForms
    from sphinx_nbcache.rendering.nodes import register_nodes

    register_nodes(app)
    app.add_post_transform(ChooseForms)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
