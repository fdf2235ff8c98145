"""The ids of cells in pages, so that other pages can link to them."""

from __future__ import annotations


def cell_id(number: int) -> str:
    """Return the id of a code cell in its page.

    No heading has such an id: docutils never writes an underscore into one.

    Args:
        number: Its number among all code cells, counted from 1.
    """
    return f"nbcache_cell_{number}"
