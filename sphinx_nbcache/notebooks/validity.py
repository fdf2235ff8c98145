"""Checks whether a notebook file looks as if it had been run from top to bottom."""

from __future__ import annotations

from dataclasses import dataclass

from sphinx_nbcache.notebooks.model import SKIP_TAG, Notebook


@dataclass(frozen=True, slots=True)
class WrongCount:
    """A code cell whose execution count differs from that of a complete run.

    Attributes:
        number: Its number among all code cells, counted from 1.
        found: The count in the file.
        expected: The count that a run from top to bottom leaves.
    """

    number: int
    found: int | None
    expected: int

    def __str__(self) -> str:
        if self.found is None:
            return f"code cell {self.number} has no execution count"
        return f"code cell {self.number} has execution count {self.found}, not {self.expected}"


def wrong_counts(notebook: Notebook) -> tuple[WrongCount, ...]:
    """Return the code cells whose counts are not 1, 2, 3, … in the order of the notebook.

    Cells without code are skipped, because a kernel does not count them; so are cells tagged
    `skip-execution` without a count.
    """
    wrong = []
    expected = 1
    for numbered in notebook.code_cells:
        cell = numbered.cell
        if cell.execution_count is None and SKIP_TAG in cell.tags:
            continue
        if cell.execution_count != expected:
            wrong.append(WrongCount(numbered.number, cell.execution_count, expected))
        expected += 1
    return tuple(wrong)
