"""Bytes that were flipped at random in the files of a store: no wrong output, no exception."""

from __future__ import annotations

import random
import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import Book

from sphinx_nbcache import Action, Project
from sphinx_nbcache.planning import Plan

FLIPS = 20
PRINTED = {
    f"{name}.md": ["", f"value {name}\n", name * 40_000]  # the last one is a file of its own
    for name in "abc"
}


@dataclass(frozen=True)
class Filled:
    """A book, and copies of the store that was filled for it."""

    book: Book
    at_rest: Path
    in_use: Path
    """As a build that was killed leaves it: with a write-ahead log."""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    folder = tmp_path_factory.mktemp("filled")
    book = Book(folder / "book", folder / "counter.txt")
    for name in PRINTED:
        book.myst(name, "%%\nprint('value')", "%%\nprint('much')")
    time.sleep(0.2)  # or the scans would not be trusted: the files were written a moment ago
    book.remember(PRINTED)
    copies = Filled(book, folder / "at rest", folder / "in use")
    shutil.copytree(book.store, copies.at_rest)
    with closing(sqlite3.connect(book.store / "nbcache-2" / "cache.db")) as database:
        database.execute("SELECT count(*) FROM Cache").fetchall()
        book.remember(PRINTED)
        shutil.copytree(book.store, copies.in_use)
    assert (copies.in_use / "nbcache-2" / "cache.db-wal").stat().st_size > 10_000
    return copies


def flip(store: Path, moments: random.Random) -> str:
    """Flip some bits in one file of a store; return its name."""
    files = [path for path in sorted(store.rglob("*")) if path.is_file() and path.stat().st_size]
    databases = [path for path in files if path.name.startswith("cache.db")]
    path = moments.choice([*files, *databases, *databases])
    content = bytearray(path.read_bytes())
    for _ in range(moments.choice([1, 1, 2, 10, 50])):
        content[moments.randrange(len(content))] ^= 1 << moments.randrange(8)
    path.write_bytes(content)
    return path.name


def assert_right(project: Project, plan: Plan) -> None:
    """Check that each notebook is read as it is, and shows what it printed or nothing."""
    assert [planned.path.name for planned in plan] == sorted(PRINTED)
    for planned in plan:
        assert (planned.scan.fmt, planned.key.kernel) == ("myst", "python3")
        assert [cell.number for cell in planned.scan.cells] == [1, 2, 3]
        if planned.decision.action is not Action.REUSE:
            assert planned.decision.action is Action.REFUSE
            continue
        assert planned.decision.result is not None
        cells = project.outputs(planned.decision.result).cells
        texts = ["".join(output["text"] for output in cell) for cell in cells]
        assert texts == PRINTED[planned.path.name]


@pytest.mark.parametrize("state", ["at_rest", "in_use"])
@pytest.mark.parametrize("seed", range(3))
def test_flipped_bytes_cost_results_and_never_change_one(
    filled: Filled, seed: int, state: str
) -> None:
    """`frozen` tells a miss without a kernel; filling the store again is what a run would do."""
    moments = random.Random(f"{state} {seed}")
    place = filled.book.store
    for _ in range(FLIPS):
        shutil.rmtree(place)
        shutil.copytree(getattr(filled, state), place)
        name = flip(place, moments)
        missing = missing_at(filled.book)
        # The second time the store is a new one, if the old one could not be written.
        for _ in range(2):
            if missing:
                filled.book.remember(PRINTED)
                missing = missing_at(filled.book)
        assert not missing, name


def missing_at(book: Book) -> list[str]:
    """Plan and execute as a frozen build does; return the notebooks without a result."""
    project = book.project(execute="frozen")
    plan = project.plan()
    assert_right(project, plan)
    project.execute(plan)
    project.close()
    return [planned.name for planned in plan.with_action(Action.REFUSE)]
