"""Limits, removal, waste, and the look through a whole store."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sphinx_nbcache.notices import Notice
from sphinx_nbcache.results.outputs import OutputsError, RunOutputs
from sphinx_nbcache.results.records import CellRun, Result, Rules, Status, Stored, StoreLimits
from sphinx_nbcache.store.checking import check_store
from sphinx_nbcache.store.file_records import keep_html, page_html
from sphinx_nbcache.store.store import Store
from sphinx_nbcache.store.upkeep import (
    collect_blobs,
    keep_limits,
    last_uses,
    note_uses,
    read_limits,
    remove_results,
    write_limits,
)

# Large enough to be a file of its own.
LARGE = "x" * 60_000
SHARED = "the same picture " * 4000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "place", _Told())
    yield made
    made.close()


class _Told:
    def __call__(self, notice: Notice) -> None:
        """Nobody looks: what is damaged here is damaged on purpose."""


def commit(store: Store, number: int, text: str = "") -> Stored:
    """Commit the result of a notebook of its own, with outputs of its own and one of all."""
    result = Result(
        code_key=f"{number:064x}",
        status=Status.OK,
        rules=Rules(),
        cells=(CellRun("d"),),
        outputs="",
        render_id="0" * 32,
        kernel="python3",
        language_info={},
        started=1000.0 + number,
        seconds=1.0,
        executor="local-serial",
        notebook=f"{number}.md",
    )
    data = {"text/plain": f"{number} {text}", "image/svg+xml": SHARED}
    outputs = RunOutputs([[{"output_type": "display_data", "data": data, "metadata": {}}]])
    return store.commit(result, outputs, sources=[f"print({number})"])


def left(store: Store) -> list[str]:
    return [stored.result.notebook for stored in store.all_results()]


def test_what_was_not_used_for_the_longest_time_goes_first(store: Store) -> None:
    stored = [commit(store, number) for number in range(5)]
    note_uses(store, [stored[0].id, stored[2].id], 5000.0)
    write_limits(store, StoreLimits(count=3, size=None))
    assert [s.result.notebook for s in keep_limits(store)] == ["1.md", "3.md"]
    assert left(store) == ["0.md", "2.md", "4.md"]
    assert keep_limits(store) == []


def test_a_limit_of_size_is_kept_and_what_is_left_is_whole(store: Store) -> None:
    for number in range(20):
        commit(store, number, LARGE)
    size = store.access.size()
    write_limits(store, StoreLimits(count=None, size=size // 2))
    removed = keep_limits(store)
    assert 5 <= len(removed) < 20
    assert store.access.size() <= size // 2
    for stored in store.all_results():
        assert SHARED in str(store.outputs(stored.result).cells)
    assert check_store(store) == []


def test_a_limit_of_size_first_takes_what_costs_no_run(store: Store) -> None:
    commit(store, 1)
    write_limits(store, StoreLimits(size=store.access.size() + 100_000))
    keep_html(store.access, {"page.md": {"0" * 64: "<b></b>" * 40_000}})
    assert keep_limits(store) == []
    assert page_html(store.access, "page.md") == {}
    assert len(store.all_results()) == 1


def test_limits_are_generous_unless_they_are_set(store: Store) -> None:
    assert read_limits(store) == StoreLimits(count=10_000, size=4 * 2**30)
    assert keep_limits(store) == []


def test_contents_go_with_the_last_result_that_refers_to_them(store: Store) -> None:
    first, second = commit(store, 1), commit(store, 2)
    shared = set(first.result.blobs) & set(second.result.blobs)
    assert len(shared) == 2
    remove_results(store, [first])
    assert store.outputs(second.result).cells
    remove_results(store, [second])
    assert store.access.keys("blob/") == []
    assert not [path for path in store.folder.glob("??/??/*.val") if path.is_file()]
    with pytest.raises(OutputsError):
        store.outputs(second.result)


def test_a_use_is_news_once_an_hour(store: Store) -> None:
    stored = commit(store, 1)
    note_uses(store, [stored.id], 10_000)
    note_uses(store, [stored.id], 10_000 + 3599)
    assert last_uses(store) == {stored.id: 10_000}
    note_uses(store, [stored.id], 10_000 + 3600)
    assert last_uses(store) == {stored.id: 13_600}
    remove_results(store, [stored])
    assert last_uses(store) == {}


def test_a_sound_store_has_no_findings(store: Store) -> None:
    for number in range(3):
        commit(store, number, LARGE)
    note_uses(store, [1, 2], 10_000)
    write_limits(store, StoreLimits(5, None))
    assert check_store(store) == []
    assert check_store(store, fix=True) == []
    assert left(store) == ["0.md", "1.md", "2.md"]


def sql(store: Store, statement: str, *values: object) -> None:
    store.close()
    with closing(sqlite3.connect(store.folder / "cache.db")) as database, database:
        assert database.execute(statement, values).rowcount > 0


DAMAGES = {
    "a result is changed": "UPDATE Cache SET value = x'7b7d' WHERE key LIKE 'result/%'",
    "a list is changed": "UPDATE Cache SET value = x'5b5d' WHERE key LIKE 'results/%01'",
    "a result is missing": "DELETE FROM Cache WHERE rowid ="
    " (SELECT min(rowid) FROM Cache WHERE key LIKE 'result/%')",
    "contents are missing": "DELETE FROM Cache WHERE key LIKE 'blob/%' AND filename IS NULL",
    "a large content is changed": "UPDATE Cache SET mode = 1, value = x'00', filename = NULL"
    " WHERE filename IS NOT NULL",
    "a file name is planted": "UPDATE Cache SET filename = '../../x' WHERE filename IS NOT NULL",
    "something of another program": "INSERT INTO Cache (key, raw, mode, value, store_time,"
    " access_time, access_count, size) VALUES ('other/x', 1, 1, x'00', 1, 1, 0, 1)",
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_every_damage_is_found_and_taken_out(store: Store, kind: str) -> None:
    for number in range(3):
        commit(store, number, LARGE)
    sql(store, DAMAGES[kind])
    found = check_store(store)
    assert found
    assert not any(finding.fixed for finding in found)
    assert all(finding.fixed for finding in check_store(store, fix=True))
    assert check_store(store) == []
    for stored in store.all_results():
        assert store.outputs(stored.result).cells
    assert commit(store, 7).id > 3


def test_files_without_an_entry_are_waste_when_they_are_old(store: Store) -> None:
    """A young one may belong to a run that is just being written."""
    commit(store, 1, LARGE)
    for name, age in (("ab" * 14, 0), ("cd" * 14, 7200)):
        path = store.folder / "00" / "11" / f"{name}.val"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"left by a process that was killed")
        os.utime(path, (time.time() - age,) * 2)
    (found,) = check_store(store)
    assert found.key == f"00/11/{'cd' * 14}.val"
    check_store(store, fix=True)
    assert sorted(path.stem for path in (store.folder / "00" / "11").iterdir()) == ["ab" * 14]


def test_contents_that_nothing_refers_to_are_collected(store: Store) -> None:
    commit(store, 1)
    sql(store, "DELETE FROM Cache WHERE key LIKE 'result%'")
    assert len(collect_blobs(store)) == 4
    assert check_store(store) == []
