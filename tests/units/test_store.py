"""The store: what is remembered, and what becomes of damage."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sphinx_nbcache.files.stats import Stat
from sphinx_nbcache.notebooks.scan import Scan
from sphinx_nbcache.notices import Notice, Topic
from sphinx_nbcache.results.outputs import OutputsError, RunOutputs
from sphinx_nbcache.results.records import (
    SCHEMA,
    CellRun,
    Failure,
    History,
    HistoryCell,
    Result,
    Rules,
    Status,
    Stored,
    content_digest,
)
from sphinx_nbcache.store.file_records import made_contents, note_made
from sphinx_nbcache.store.marks import unwrapped, wrapped
from sphinx_nbcache.store.store import Store

KEY = "a" * 64
# Large enough to be a file of its own.
PICTURE = "A" * 60_000


@dataclass
class Told:
    """Collects notices."""

    notices: list[Notice] = field(default_factory=list)

    def __call__(self, notice: Notice) -> None:
        self.notices.append(notice)

    @property
    def only(self) -> str:
        """The text of the one notice there is."""
        (notice,) = self.notices
        assert notice.topic is Topic.STORE
        return notice.text


@pytest.fixture
def told() -> Told:
    """What the store said."""
    return Told()


@pytest.fixture
def store(tmp_path: Path, told: Told) -> Iterator[Store]:
    """An empty store."""
    made = Store(tmp_path / "place", told)
    yield made
    made.close()


def result(number: int = 0, status: Status = Status.OK, key: str = KEY) -> Result:
    """Return a result; each number is another run."""
    failure = None if status is Status.OK else Failure("ValueError", "no", "Traceback", 0)
    return Result(
        code_key=key,
        status=status,
        rules=Rules(5.0, raising=(0,)),
        cells=(CellRun("d", 1, 0.5),),
        outputs="",
        render_id="0" * 32,
        kernel="python3",
        language_info={"name": "python"},
        started=1000.0 + number,
        seconds=2.0,
        executor="local-serial",
        notebook="docs/a.ipynb",
        failure=failure,
    )


def outputs(text: str = "1", picture: str = PICTURE) -> RunOutputs:
    """Return outputs: a text, and a picture that is kept apart."""
    data = {"text/plain": text, "image/png": picture}
    return RunOutputs([[{"output_type": "display_data", "data": data, "metadata": {}}]])


def commit(store: Store, number: int = 0, **more: Any) -> Stored:
    """Commit a result with outputs of its own."""
    return store.commit(result(number, **more), outputs(f"{number}"))


def started(store: Store, key: str = KEY) -> list[int]:
    """Return the numbers of the results under a key, in the store's order."""
    return [round(stored.result.started - 1000) for stored in store.results(key)]


def reopened(store: Store, told: Told) -> Store:
    """Return the store as another build opens it."""
    store.close()
    return Store(store.folder.parent, told)


def tamper(store: Store, prefix: str, value: bytes | None) -> int:
    """Change (or, for `None`, delete) entries behind the store's back; return how many.

    The values have right checksums, which anyone can compute, and marks, which only this account
    can.
    """
    store.close()
    with closing(sqlite3.connect(store.folder / "cache.db")) as database, database:
        where = "WHERE key LIKE ? || '%'"
        if value is None:
            return database.execute(f"DELETE FROM Cache {where}", (prefix,)).rowcount
        keys = [key for (key,) in database.execute(f"SELECT key FROM Cache {where}", (prefix,))]
        statement = "UPDATE Cache SET mode = 1, filename = NULL, value = ? WHERE key = ?"
        database.executemany(
            statement, [(wrapped(key, value, store.access.marks), key) for key in keys]
        )
        return len(keys)


def test_a_result_comes_back_as_it_was_committed(store: Store, told: Told) -> None:
    stored = commit(store)
    other = reopened(store, told)
    (found,) = other.results(KEY)
    assert found == stored
    written = {
        name: getattr(found.result, name)
        for name in ("outputs", "sources", "trace", "blobs", "bytes")
    }
    assert found.result == msgspec.structs.replace(result(), **written)
    assert other.outputs(found.result) == outputs("0")
    assert told.notices == []
    other.close()


def test_an_unknown_key_has_no_results(store: Store, told: Told) -> None:
    commit(store)
    assert store.results("b" * 64) == []
    assert told.notices == []


def test_ids_are_small_and_increase_and_are_never_used_again(store: Store, told: Told) -> None:
    ids = [commit(store, n, key=f"{n % 2}" * 64).id for n in range(3)]
    # A failed result is dropped by the next one; its number is not given again.
    ids.append(commit(store, 3, status=Status.FAILED).id)
    ids.append(commit(store, 4).id)
    other = reopened(store, told)
    ids += [commit(other, n).id for n in (5, 6)]
    other.close()
    assert ids == [1, 2, 3, 4, 5, 6, 7]
    assert [stored.id for stored in store.results(KEY)] == [7, 6, 5]


def test_the_newest_result_comes_first(store: Store) -> None:
    for number in (5, 1, 3):
        commit(store, number)
    assert started(store) == [3, 1, 5]


@pytest.mark.parametrize("status", [Status.FAILED, Status.TIMEOUT, Status.DIED])
def test_a_failed_result_gives_way_to_the_next(store: Store, status: Status) -> None:
    commit(store, 0)
    failed = commit(store, 1, status=status)
    assert started(store) == [1, 0]
    commit(store, 2, status=status)
    assert started(store) == [2, 0]
    commit(store, 3)
    assert started(store) == [3, 0]
    assert tamper(store, f"result/{failed.digest}", None) == 0


def test_a_key_keeps_the_twenty_newest_results(store: Store, told: Told) -> None:
    for number in range(23):
        commit(store, number)
    assert started(store) == list(range(22, 2, -1))
    assert tamper(store, "result/", None) == 20
    assert told.notices == []


def test_results_of_different_keys_stay_apart(store: Store) -> None:
    commit(store, 1)
    commit(store, 2, key="b" * 64, status=Status.FAILED)
    assert (started(store), started(store, "b" * 64)) == ([1], [2])


def test_equal_pictures_are_kept_once(store: Store) -> None:
    commit(store, 1)
    commit(store, 2)
    # Two texts of outputs, one picture, one list of sources, one trace.
    assert tamper(store, "blob/", None) == 5


SCAN = Scan(Stat(1, 2, 2, 3), 4, "", "", "ipynb", kernel="python3", timeout=None)
HISTORY = History("d" * 64, "python3", "python", "docs", (HistoryCell(1, "x", skipped=False),))


def test_scans_and_histories_come_back(store: Store, told: Told) -> None:
    store.keep({"a é.md": SCAN}, {"a é.md": HISTORY, "b.md": HISTORY})
    store.keep({}, {})
    other = reopened(store, told)
    assert other.scans(["a é.md", "b.md"]) == {"a é.md": SCAN}
    assert other.histories(["b.md", "c.md"]) == {"b.md": HISTORY}
    other.close()


DAMAGE = [
    b"",
    b"garbage",
    b"\xff\xfe",
    b"[]x",
    b"null",
    b"3",
    b'"text"',
    b'{"code_key": 3}',
    b"[[1, 2]]",
    b'[{"id": 1}]',
    b'[["1", "d"]]',
]


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("kind", ["scan", "history"])
def test_a_damaged_scan_or_history_reads_as_absent_with_one_notice(
    store: Store, told: Told, kind: str, damage: bytes
) -> None:
    store.keep({"a": SCAN}, {"a": HISTORY})
    assert tamper(store, f"{kind}/", damage) == 1
    found = store.scans(["a"]) if kind == "scan" else store.histories(["a"])
    assert found == {}
    assert "absent" in told.only
    store.keep({"a": SCAN}, {"a": HISTORY})
    assert (store.scans(["a"]), store.histories(["a"])) == ({"a": SCAN}, {"a": HISTORY})


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_index_reads_as_absent_with_one_notice(
    store: Store, told: Told, damage: bytes
) -> None:
    commit(store)
    assert tamper(store, "results/", damage) == 1
    assert store.results(KEY) == []
    assert "absent" in told.only


@pytest.mark.parametrize("damage", [*DAMAGE, None])
def test_a_damaged_result_reads_as_absent_with_one_notice(
    store: Store, told: Told, damage: bytes | None
) -> None:
    commit(store)
    assert tamper(store, "result/", damage) == 1
    assert store.results(KEY) == []
    assert "absent" in told.only


def test_a_changed_result_is_not_believed(store: Store, told: Told) -> None:
    stored = commit(store, status=Status.FAILED)
    better = msgspec.structs.replace(stored.result, status=Status.OK, failure=None)
    assert tamper(store, "result/", msgspec.json.encode(better)) == 1
    assert store.results(KEY) == []
    assert "not what was written" in told.only


@pytest.mark.parametrize("kind", ["scan", "history", "results", "next-id"])
def test_a_record_in_which_a_bit_was_flipped_is_not_believed(
    store: Store, told: Told, kind: str
) -> None:
    """It may well be a valid record still: one of a notebook with another kernel, say."""
    commit(store)
    store.keep({"a": SCAN}, {"a": HISTORY})
    store.close()
    with closing(sqlite3.connect(store.folder / "cache.db")) as database, database:
        query = "SELECT key, value FROM Cache WHERE key = ? OR key LIKE ? || '/%'"
        ((key, value),) = database.execute(query, (kind, kind)).fetchall()
        flipped = value[:-1] + bytes([value[-1] ^ 1])
        database.execute("UPDATE Cache SET value = ? WHERE key = ?", (flipped, key))
    assert store.scans(["a"]).get("a") == (None if kind == "scan" else SCAN)
    assert store.histories(["a"]).get("a") == (None if kind == "history" else HISTORY)
    assert len(store.results(KEY)) == (0 if kind == "results" else 1)
    commit(store, 1)
    assert "not what was written" in told.only


def test_a_record_under_another_name_is_not_believed(store: Store, told: Told) -> None:
    store.keep({"a": SCAN}, {})
    store.close()
    with closing(sqlite3.connect(store.folder / "cache.db")) as database, database:
        database.execute("UPDATE Cache SET key = 'scan/b' WHERE key = 'scan/a'")
    assert store.scans(["b"]) == {}
    assert "not what was written" in told.only


def test_a_database_that_is_malformed_where_only_some_look_is_left_by_the_next_build(
    store: Store, told: Told
) -> None:
    """What is whole serves this build to its end; then there is a new store."""
    names = [f"{number:03}" for number in range(300)]
    large = msgspec.structs.replace(SCAN, kernel="k" * 2000)
    store.keep(dict.fromkeys(names, large), {})
    store.close()
    database = store.folder / "cache.db"
    content = bytearray(database.read_bytes())
    page = 4096
    for number in range(60, 80):
        content[number * page : (number + 1) * page] = bytes(page)
    database.write_bytes(content)
    whole = list(store.scans(names))
    assert all(scan == large for scan in store.scans(names).values())
    assert 100 < len(whole) < 300
    assert "malformed" in told.only
    store.close()
    assert list(store.scans(names)) == whole
    other = reopened(store, told)
    other.keep(dict.fromkeys(names, large), {})
    assert other.scans(names) == dict.fromkeys(names, large)
    other.close()
    assert "the last build found it so" in told.notices[-1].text
    third = Store(store.folder.parent, told)
    assert third.scans(names[:1]) == {names[0]: large}
    third.close()
    assert len(told.notices) == 2


def test_a_result_listed_under_a_foreign_key_is_not_believed(store: Store) -> None:
    commit(store)
    commit(store, 1, key="b" * 64)
    store.close()
    with closing(sqlite3.connect(store.folder / "cache.db")) as database, database:
        query = "SELECT value FROM Cache WHERE key = ?"
        ((index,),) = database.execute(query, (f"results/{KEY}",)).fetchall()
    content = unwrapped(f"results/{KEY}", index, store.access.marks)
    assert content is not None
    tamper(store, "results/" + "b" * 64, content)
    assert store.results("b" * 64) == []
    assert started(store) == [0]


def test_whole_results_are_found_beside_a_damaged_one(store: Store, told: Told) -> None:
    damaged = commit(store, 1)
    commit(store, 2)
    tamper(store, f"result/{damaged.digest}", b"garbage")
    assert started(store) == [2]
    assert damaged.digest[:12] in told.only


def test_the_same_damage_is_told_once_in_a_build(store: Store, told: Told) -> None:
    """Planning, claiming and committing all look at the results of a key."""
    commit(store)
    tamper(store, "result/", b"garbage")
    store.results(KEY)
    store.results(KEY)
    commit(store, 1)
    assert "absent" in told.only


@pytest.mark.parametrize("damage", [b"garbage", b"", None])
def test_damaged_outputs_are_an_error_that_says_so(store: Store, damage: bytes | None) -> None:
    stored = commit(store)
    tamper(store, f"blob/{stored.result.outputs}", damage)
    with pytest.raises(OutputsError):
        store.outputs(stored.result)
    # Committing the same again mends them.
    again = commit(store)
    assert store.outputs(again.result) == outputs("0")


def test_a_damaged_picture_is_an_error_that_says_so(store: Store) -> None:
    stored = commit(store)
    (file,) = store.folder.rglob("*.val")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(OutputsError):
        store.outputs(stored.result)


@pytest.mark.parametrize("damage", [b"garbage", b"", b"-3", b"\xff", b"9" * 5000, None])
def test_a_damaged_counter_of_ids_stops_no_commit(store: Store, damage: bytes | None) -> None:
    commit(store, 1)
    tamper(store, "next-id", damage)
    stored = commit(store, 2)
    assert stored.id >= 1
    assert started(store) == [2, 1]


def test_a_planted_file_name_costs_one_run(store: Store, told: Told, tmp_path: Path) -> None:
    """The notebook is run again, and its result replaces what was planted."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    commit(store, 1)
    store.close()
    with closing(sqlite3.connect(store.folder / "cache.db")) as database, database:
        database.execute(
            "UPDATE Cache SET mode = 2, value = NULL, filename = '../../secret'"
            " WHERE key LIKE 'results/%'"
        )
    assert store.results(KEY) == []
    assert "absent" in told.only
    commit(store, 2)
    assert started(store) == [2]
    assert secret.read_text() == "secret"


def test_garbage_instead_of_the_database_is_moved_aside_and_the_store_works(
    store: Store, told: Told
) -> None:
    commit(store, 1)
    other = reopened(store, told)
    for extra in store.folder.glob("cache.db-*"):
        extra.unlink()
    (store.folder / "cache.db").write_bytes(b"garbage" * 1000)
    assert other.results(KEY) == []
    assert "moved" in told.only
    commit(other, 2)
    assert started(other) == [2]
    other.close()
    assert started(Store(store.folder.parent, told)) == [2]
    assert len(told.notices) == 1


def test_a_database_that_is_damaged_while_the_store_is_closed_stops_nothing(
    store: Store, told: Told
) -> None:
    """`close` promises that the next use opens it again, in the same build."""
    commit(store, 1)
    store.close()
    for extra in store.folder.glob("cache.db-*"):
        extra.unlink()
    (store.folder / "cache.db").write_bytes(b"garbage" * 1000)
    assert store.results(KEY) == []
    commit(store, 2)
    assert started(store) == [2]
    assert len(told.notices) == 1


@pytest.mark.parametrize("closed", [True, False])
def test_a_folder_that_is_deleted_meanwhile_stops_nothing(
    store: Store,
    told: Told,
    closed: bool,  # noqa: FBT001 (a table)
) -> None:
    commit(store, 1)
    if closed:
        store.close()
    shutil.rmtree(store.folder)
    store.results(KEY)
    commit(store, 2)
    found = store.results(KEY)
    assert found[0].result.started == 1002.0
    assert store.outputs(found[0].result) == outputs("2")
    assert len(told.notices) <= 1


@pytest.mark.parametrize("in_the_way", ["place", f"place/nbcache-{SCHEMA}"])
def test_where_nothing_can_be_written_results_live_in_memory_with_one_notice(
    store: Store, told: Told, tmp_path: Path, in_the_way: str
) -> None:
    blocked = tmp_path / in_the_way
    blocked.parent.mkdir(exist_ok=True)
    blocked.write_text("in the way")
    store.keep({"a": SCAN}, {})
    stored = commit(store)
    assert store.scans(["a"]) == {"a": SCAN}
    assert store.results(KEY) == [stored]
    assert store.outputs(stored.result) == outputs("0")
    # They last as long as the build, which closes the store before pages are read.
    store.close()
    assert store.results(KEY) == [stored]
    assert "this build only" in told.only
    assert store.claims().try_claim(KEY)
    assert blocked.read_text() == "in the way"


def test_when_writing_begins_to_fail_results_live_in_memory_with_one_notice(
    store: Store, told: Told
) -> None:
    commit(store, 1)
    with closing(sqlite3.connect(store.folder / "cache.db")) as database, database:
        # What a full disk does: reading works, writing does not. (A store that is opened with a
        # trigger is moved aside.)
        database.execute(
            "CREATE TRIGGER full BEFORE INSERT ON Cache BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    store.keep({"a": SCAN}, {})
    commit(store, 2)
    commit(store, 3)
    assert started(store) == [3, 2, 1]
    assert store.scans(["a"]) == {}  # costs the next build a reading, and no warning
    assert "this build only" in told.only


def test_results_of_one_process_are_seen_by_another_while_both_are_open(
    store: Store, told: Told
) -> None:
    commit(store, 1)
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path;"
        "import test_store as t; store = t.Store(Path(sys.argv[2]), print);"
        "print(t.started(store)); print(t.commit(store, 2).id)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent), str(store.folder.parent)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("\n") == ["[1]", "2", ""]
    assert started(store) == [2, 1]
    assert store.outputs(store.results(KEY)[0].result) == outputs("2")
    assert commit(store, 3).id == 3
    assert told.notices == []


@dataclass
class Interposed:
    """Reads values; before the first record of a result is read, something happens."""

    read: Callable[[Iterable[str]], dict[str, bytes]]
    happens: Callable[[], object]
    is_over: bool = False

    def __call__(self, keys: Iterable[str]) -> dict[str, bytes]:
        keys = list(keys)
        if not self.is_over and keys[0].startswith("result/"):
            self.is_over = True
            self.happens()
        return self.read(keys)


def test_a_result_that_another_build_replaces_while_it_is_read_is_no_damage(
    store: Store, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(store, 1, status=Status.FAILED)
    with closing(Store(store.folder.parent, told)) as other:
        interposed = Interposed(store.access.get_many, lambda: commit(other, 2))
        monkeypatch.setattr(store.access, "get_many", interposed)
        assert started(store) == [2]
        assert interposed.is_over
        assert started(other) == [2]
    assert told.notices == []


def test_a_result_that_another_build_adds_while_a_damaged_one_is_found_is_kept(
    store: Store, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = commit(store, 1)
    tamper(store, f"result/{damaged.digest}", b"garbage")
    with closing(Store(store.folder.parent, Told())) as other:
        interposed = Interposed(store.access.get_many, lambda: commit(other, 2))
        monkeypatch.setattr(store.access, "get_many", interposed)
        assert started(store) == []
        assert interposed.is_over
        assert started(other) == [2]
    assert damaged.digest[:12] in told.only


def test_what_two_builds_note_of_one_file_at_once_is_kept(
    store: Store, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(store)
    read = store.access.get_many
    noted: list[bool] = []

    def read_and_wait(keys: Iterable[str]) -> dict[str, bytes]:
        found = read(keys)
        if not noted:
            noted.append(True)
            note_made(other.access, {"a.csv": "1"}, "there")
        return found

    with closing(Store(store.folder.parent, told)) as other:
        monkeypatch.setattr(store.access, "get_many", read_and_wait)
        note_made(store.access, {"a.csv": "2"}, "here")
        for access in (store.access, other.access):
            assert made_contents(access, "a.csv", "here") == {"2"}
            assert made_contents(access, "a.csv", "there") == {"1"}


def test_another_schema_and_other_tools_are_left_alone(store: Store, tmp_path: Path) -> None:
    other = tmp_path / "place" / "global.db"
    other.parent.mkdir()
    other.write_text("not ours")
    commit(store)
    assert store.folder == tmp_path / "place" / f"nbcache-{SCHEMA}"
    assert other.read_text() == "not ours"


def test_of_several_who_run_notebooks_each_has_claims_of_its_own(store: Store) -> None:
    """Also in one process: threads that use one project do not run a notebook twice."""
    first, second = store.claims(), store.claims()
    assert first.try_claim(KEY)
    assert not second.try_claim(KEY)
    second.release_all()
    assert not second.try_claim(KEY)
    first.release_all()
    assert second.try_claim(KEY)
    second.release_all()


@pytest.mark.parametrize("odd", [b"[" * 100_000 + b"]" * 100_000, b'"\xff"'])
def test_hostile_records_with_right_digests_are_absent_or_an_error(
    store: Store, odd: bytes
) -> None:
    """Digests protect from damage; whoever plants a record can compute them."""
    packed = b'{"cells":[[{"a":' + odd + b"}]]}"
    stored = commit(store)
    digest = content_digest(packed)
    tamper(store, f"blob/{stored.result.outputs}", packed)
    store.close()
    with closing(sqlite3.connect(store.folder / "cache.db")) as database, database:
        names = (f"blob/{digest}", f"blob/{stored.result.outputs}")
        database.execute("UPDATE Cache SET key = ? WHERE key = ?", names)
    with pytest.raises(OutputsError):
        store.outputs(msgspec.structs.replace(stored.result, outputs=digest))
    encoded = json.dumps({"deep": 0}).encode().replace(b"0", odd)
    store.keep({"a": SCAN}, {})
    tamper(store, "scan/", encoded)
    tamper(store, "result/", encoded)
    assert store.scans(["a"]) == {}
    assert store.results(KEY) == []
