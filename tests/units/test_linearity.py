"""What a plan costs, counted: so much for each notebook, however many there are."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from support import Book

from sphinx_nbcache import Action
from sphinx_nbcache.project.planner import NeedsOutputs
from sphinx_nbcache.store.disk_shelf import DiskShelf
from sphinx_nbcache.store.shelf import DamagedEntryError

FEW, MANY = 10, 40


def filled(folder: Path, notebooks: int) -> Book:
    book = Book(folder / f"book{notebooks}", folder / "counter.txt")
    names = [f"note{number}.md" for number in range(notebooks)]
    for name in names:
        book.myst(name, f"%%\nprint({name!r})")
    time.sleep(0.2)  # or the scans would not be trusted: the files were written a moment ago
    book.remember({name: ["", f"{name}\n"] for name in names})
    return book


def counted(
    book: Book, monkeypatch: pytest.MonkeyPatch, needs_outputs: NeedsOutputs
) -> Counter[str]:
    """Plan and execute, where every result is in the store; return what that took."""
    counts: Counter[str] = Counter()
    stat, get_many, opened = os.stat, DiskShelf.get_many, Path.read_bytes

    def counting_stat(path: str | Path, **more: bool) -> os.stat_result:
        counts["stat of a source"] += str(path).endswith(".md")
        return stat(path, **more)

    def counting_get(
        shelf: DiskShelf, keys: Iterable[str]
    ) -> Iterator[tuple[str, bytes | DamagedEntryError]]:
        keys = list(keys)
        counts.update(f"look-up of {key.partition('/')[0]}" for key in keys if "/" in key)
        return get_many(shelf, keys)

    def counting_read(path: Path) -> bytes:
        counts["reading of a source"] += 1
        return opened(path)

    with monkeypatch.context() as patch:
        project = book.project()
        patch.setattr(os, "stat", counting_stat)
        patch.setattr(DiskShelf, "get_many", counting_get)
        patch.setattr(Path, "read_bytes", counting_read)
        plan = project.plan(needs_outputs=needs_outputs)
        project.execute(plan)
        project.close()
    assert {planned.decision.action for planned in plan} == {Action.REUSE}
    return counts


@pytest.mark.parametrize("needs_outputs", [True, False])
def test_a_plan_costs_the_same_for_each_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, needs_outputs: bool
) -> None:
    few, many = (
        counted(filled(tmp_path, number), monkeypatch, lambda _name, _result: needs_outputs)
        for number in (FEW, MANY)
    )
    each = {
        what: (many[what] - few[what]) / (MANY - FEW) for what in many if many[what] > few[what]
    }
    records = ["scan", "history", "results", "result", *(["blob"] if needs_outputs else [])]
    assert each == {"stat of a source": 1} | {f"look-up of {kind}": 1 for kind in records}
