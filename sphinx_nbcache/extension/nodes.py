"""The placeholder that the parser puts where a code cell will be shown."""

from __future__ import annotations

from docutils import nodes


class CodeCellNode(nodes.container):
    """A code cell that is still to be filled. It never reaches a stored doctree.

    Attributes: `cell` is the [](sphinx_nbcache.notebooks.model.Cell), `number` its number among
    all code cells, `position` its position among those that have code, `code` the digests of
    all of these, and `lexer` the language that the page asks for.
    """
