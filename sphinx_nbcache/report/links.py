"""The links of a view of the report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sphinx_nbcache.rendering.anchors import cell_id


def _nowhere(_name: str) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Links:
    """How a view refers to pages, their cells, and files. A missing target has an empty URI.

    Attributes:
        page: Returns the URI of a document.
        file: Returns the URI of a file in the output directory.
        has_cells: Whether cells have anchors in the pages.
    """

    page: Callable[[str], str] = _nowhere
    file: Callable[[str], str] = _nowhere
    has_cells: bool = False

    def cell(self, docname: str, number: int | None) -> str:
        """Return the URI of a code cell, or of its page, by its number."""
        uri = self.page(docname) if docname else ""
        if not uri or number is None or not self.has_cells or "#" in uri:
            return uri
        return f"{uri}#{cell_id(number)}"
