"""The results of a run in a notebook, as data, and whether they look like a complete run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sphinx_nbcache.notebooks.notebook import SKIP_TAG, Notebook
from sphinx_nbcache.notebooks.scan import cell_digest

WIDGET_STATE = "application/vnd.jupyter.widget-state+json"


@dataclass(frozen=True, slots=True)
class Executed:
    """The results of a run. Sequences have an item for each code cell that has code.

    Attributes:
        digests: Digests of the sources that were executed (see [](cell_digest)).
        outputs: The outputs (nbformat 4).
        counts: The execution counts; `None` where a cell was not run.
        widgets: State of the notebook's widgets, or empty.
        language_info: The kernel's description of its language, or empty.
    """

    digests: Sequence[str]
    outputs: Sequence[Sequence[Mapping[str, Any]]]
    counts: Sequence[int | None]
    widgets: Mapping[str, Any] = field(default_factory=dict)
    language_info: Mapping[str, Any] = field(default_factory=dict)


def taken_out(notebook: Notebook) -> Executed:
    """Return the results of a run from a notebook that was read from a file."""
    cells = [numbered.cell for numbered in notebook.code_cells]
    return Executed(
        digests=[cell_digest(cell.source) for cell in cells],
        outputs=[cell.outputs for cell in cells],
        counts=[cell.execution_count for cell in cells],
        widgets=_section(_section(notebook.metadata, "widgets"), WIDGET_STATE),
        language_info=_section(notebook.metadata, "language_info"),
    )


def _section(metadata: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = metadata.get(name)
    # Metadata come from a file: any value may be of any type.
    return section if isinstance(section, Mapping) else {}


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
    # The counter is the kernel's, and starts at 1 with each start
    # (https://jupyter-client.readthedocs.io/en/stable/messaging.html).
    expected = 1
    for numbered in notebook.code_cells:
        cell = numbered.cell
        if cell.execution_count is None and SKIP_TAG in cell.tags:
            continue
        if cell.execution_count != expected:
            wrong.append(WrongCount(numbered.number, cell.execution_count, expected))
        expected += 1
    return tuple(wrong)
