"""Runs notebooks again to compare outputs, and describes the differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sphinx_nbcache.cli.as_json import ComparedItem, DifferingCellItem
from sphinx_nbcache.cli.items import failure_item
from sphinx_nbcache.cli.output import tell
from sphinx_nbcache.cli.wording import counted, failure_in_words
from sphinx_nbcache.project import Comparison, Progress, Project, Run


def compare_outputs(project: Project, run: Run, progress: Progress) -> Sequence[Comparison]:
    """Run the reused notebooks again."""
    tell("Once more, to compare outputs")
    return project.check_reproducible(run, progress)


def compared_item(comparison: Comparison, ids: Mapping[str, int]) -> ComparedItem:
    """Return the item for a notebook that was run again.

    Args:
        comparison: The comparison of its outputs.
        ids: The ids of notebooks, by name.
    """
    planned = comparison.planned
    return ComparedItem(
        id=ids[planned.name],
        path=planned.name,
        result=comparison.result.id,
        same=comparison.is_same,
        cells=tuple(
            DifferingCellItem(cell=d.cell.number, line=d.cell.line or None, diff=d.diff)
            for d in comparison.cells
        ),
        failure=failure_item(comparison.again.failure, planned.scan, comparison.again.cells),
    )


def comparison_lines(compared: Sequence[ComparedItem]) -> list[str]:
    """Return the differences as lines."""
    if not compared:
        return ["Nothing was compared: no notebook had an earlier result."]
    differing = [item for item in compared if not item.same]
    total = counted(len(compared), "notebook")
    lines = [f"Run again: {total}, {len(differing)} with other outputs."]
    for item in differing:
        lines.append(f"- {item.path} (result {item.result})")
        if item.failure is not None:
            lines.append(f"  the second run failed: {failure_in_words(item.failure)}")
        for cell in item.cells:
            where = "" if cell.line is None else f" (line {cell.line})"
            lines.append(f"  code cell {cell.cell}{where}:")
            lines += [f"    {line}" for line in cell.diff.splitlines()]
    return lines
