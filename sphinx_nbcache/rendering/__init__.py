"""Renders outputs as docutils nodes: one small renderer for each family of MIME types."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def register(app: Sphinx) -> None:
    """Register the nodes that outputs are made of, and the choice among their forms."""
    from sphinx_nbcache.rendering.bundle import ChooseForms
    from sphinx_nbcache.rendering.visitors import register_nodes

    register_nodes(app)
    app.add_post_transform(ChooseForms)
