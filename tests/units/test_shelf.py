"""One contract, two shelves: bytes under text keys."""

from __future__ import annotations

import pickle
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sphinx_nbcache.store.disk_shelf import DiskShelf
from sphinx_nbcache.store.opening import open_shelf
from sphinx_nbcache.store.read_only import ReadOnlyShelf
from sphinx_nbcache.store.shelf import DamagedEntryError, MemoryShelf, Shelf, ShelfError

# On both sides of the size from which a value is a file of its own.
SMALL, LARGE = b"small", b"x" * 40_000


class CallOffError(Exception):
    """Ends a transaction from within."""


class ShelfContract:
    """What every shelf does."""

    def test_what_was_never_set_is_none(self, shelf: Shelf) -> None:
        assert shelf.get("key") is None

    def test_a_look_up_that_was_left_early_locks_out_no_other_thread(self, shelf: Shelf) -> None:
        shelf.set("a", SMALL)
        shelf.set("b", SMALL)
        left = shelf.get_many(["a", "b"])
        next(left)
        other = threading.Thread(target=shelf.get, args=("a",), daemon=True)
        other.start()
        other.join(10)
        assert not other.is_alive()
        assert dict(left) == {"b": SMALL}

    @pytest.mark.parametrize("value", [b"", b"\x00\xff", SMALL, LARGE])
    @pytest.mark.parametrize("key", ["key", "", "a/b é", "scan/../x", "0"])
    def test_what_was_set_is_there(self, shelf: Shelf, key: str, value: bytes) -> None:
        shelf.set(key, value)
        assert shelf.get(key) == value
        assert shelf.get(key + " ") is None

    @pytest.mark.parametrize("first", [SMALL, LARGE])
    @pytest.mark.parametrize("second", [b"other", b"y" * 40_000])
    def test_the_last_value_counts(self, shelf: Shelf, first: bytes, second: bytes) -> None:
        shelf.set("key", first)
        shelf.set("key", second)
        assert shelf.get("key") == second

    @pytest.mark.parametrize("value", [SMALL, LARGE])
    def test_what_was_deleted_has_gone(self, shelf: Shelf, value: bytes) -> None:
        shelf.set("key", value)
        shelf.set("other", value)
        shelf.delete("key")
        shelf.delete("never there")
        assert shelf.get("key") is None
        assert shelf.get("other") == value

    def test_a_transaction_sees_what_it_did_and_keeps_it(self, shelf: Shelf) -> None:
        shelf.set("old", b"old")
        with shelf.transaction():
            shelf.set("key", SMALL)
            shelf.delete("old")
            assert shelf.get("key") == SMALL
            assert shelf.get("old") is None
        assert shelf.get("key") == SMALL
        assert shelf.get("old") is None

    def test_transactions_can_be_nested(self, shelf: Shelf) -> None:
        with shelf.transaction():
            with shelf.transaction():
                shelf.set("inner", SMALL)
            shelf.set("outer", SMALL)
        assert shelf.get("inner") == shelf.get("outer") == SMALL

    @pytest.mark.parametrize("before", [SMALL, LARGE])
    @pytest.mark.parametrize("after", [b"after", b"y" * 40_000])
    def test_a_transaction_that_fails_changes_nothing(
        self, shelf: Shelf, before: bytes, after: bytes
    ) -> None:
        shelf.set("changed", before)
        shelf.set("deleted", before)
        with suppress(CallOffError), shelf.transaction():
            shelf.set("changed", after)
            shelf.set("added", after)
            shelf.delete("deleted")
            raise CallOffError
        assert shelf.get("changed") == before
        assert shelf.get("deleted") == before
        assert shelf.get("added") is None
        # The shelf still works.
        shelf.set("added", SMALL)
        assert shelf.get("added") == SMALL

    def test_a_closed_shelf_can_be_used_again(self, shelf: Shelf) -> None:
        shelf.set("key", SMALL)
        shelf.close()
        shelf.close()
        assert shelf.get("key") == SMALL
        shelf.close()
        shelf.set("key", LARGE)
        assert shelf.get("key") == LARGE


class TestMemoryShelf(ShelfContract):
    @pytest.fixture
    def shelf(self) -> Shelf:
        return MemoryShelf()


class TestDiskShelf(ShelfContract):
    @pytest.fixture
    def shelf(self, tmp_path: Path) -> Iterator[DiskShelf]:
        made = DiskShelf(tmp_path / "a folder" / "shelf")
        yield made
        made.close()

    def test_another_shelf_of_the_folder_sees_the_same(self, shelf: DiskShelf) -> None:
        shelf.set("key", LARGE)
        other = DiskShelf(shelf.folder)
        assert other.get("key") == LARGE
        other.set("key", SMALL)
        other.close()
        assert shelf.get("key") == SMALL

    def test_nobody_else_sees_half_a_transaction(self, shelf: DiskShelf) -> None:
        shelf.set("key", b"old")
        other = DiskShelf(shelf.folder)
        # Opened before: opening waits for the end of a transaction.
        assert other.get("key") == b"old"
        with shelf.transaction():
            shelf.set("key", b"new")
            assert other.get("key") == b"old"
        assert other.get("key") == b"new"
        other.close()

    def test_it_travels_as_its_folder(self, shelf: DiskShelf) -> None:
        shelf.set("key", SMALL)
        other: DiskShelf = pickle.loads(pickle.dumps(shelf))
        assert other.folder == shelf.folder
        assert other.get("key") == SMALL
        other.close()

    def test_a_small_value_is_no_file_and_a_large_one_is_removed_with_its_key(
        self, shelf: DiskShelf
    ) -> None:
        shelf.set("small", SMALL)
        shelf.set("large", LARGE)
        assert len(list(shelf.folder.rglob("*.val"))) == 1
        shelf.delete("large")
        assert list(shelf.folder.rglob("*.val")) == []

    def test_nothing_is_evicted(self, shelf: DiskShelf) -> None:
        with shelf.transaction():
            for number in range(300):
                shelf.set(f"{number}", LARGE if number % 50 == 0 else SMALL)
        assert all(shelf.get(f"{number}") for number in range(300))


KEYS = st.sampled_from(["a", "b", "é/ü", ""])
# Values are drawn as a letter and a length: Hypothesis prints what it draws.
VALUES = st.tuples(st.sampled_from("xyz"), st.sampled_from([0, 5, 33_000]))
Value = tuple[str, int]
Steps = list[tuple[str, Value | None]]
STEPS = st.lists(st.tuples(KEYS, st.none() | VALUES), max_size=4)


class DiskShelfMachine(RuleBasedStateMachine):
    """A disk shelf and a dictionary that must agree after every step."""

    def __init__(self) -> None:
        super().__init__()
        self.temporary = Path(tempfile.mkdtemp(prefix="nbcache-shelf-"))
        self.shelf = DiskShelf(self.temporary / "shelf")
        self.model: dict[str, bytes] = {}

    def apply(self, steps: Steps) -> None:
        """Carry out steps: a value is set, `None` deletes."""
        for key, value in steps:
            if value is None:
                self.shelf.delete(key)
            else:
                self.shelf.set(key, value[0].encode() * value[1])

    def remember(self, steps: Steps) -> None:
        for key, value in steps:
            self.model.pop(key, None)
            if value is not None:
                self.model[key] = value[0].encode() * value[1]

    @rule(key=KEYS, value=VALUES)
    def set_one(self, key: str, value: Value) -> None:
        self.apply([(key, value)])
        self.remember([(key, value)])

    @rule(key=KEYS)
    def delete_one(self, key: str) -> None:
        self.apply([(key, None)])
        self.remember([(key, None)])

    @rule(steps=STEPS)
    def transaction(self, steps: Steps) -> None:
        with self.shelf.transaction():
            self.apply(steps)
        self.remember(steps)

    @rule(steps=STEPS)
    def transaction_that_fails(self, steps: Steps) -> None:
        with suppress(CallOffError), self.shelf.transaction():
            self.apply(steps)
            raise CallOffError

    @rule()
    def reopen(self) -> None:
        self.shelf.close()

    @rule()
    def open_elsewhere(self) -> None:
        self.shelf.close()
        self.shelf = pickle.loads(pickle.dumps(self.shelf))

    @invariant()
    def agrees_with_the_model(self) -> None:
        for key in ("a", "b", "é/ü", ""):
            # Compared by hand: pytest would print what differs, byte by byte.
            assert (self.shelf.get(key) == self.model.get(key)) is True, key

    def teardown(self) -> None:
        self.shelf.close()
        shutil.rmtree(self.temporary)


TestDiskShelfMachine = DiskShelfMachine.TestCase
TestDiskShelfMachine.settings = settings(
    max_examples=20,
    stateful_step_count=10,
    # Runs are short as they are; shrinking one that fails takes minutes.
    phases=[Phase.reuse, Phase.generate],
    report_multiple_bugs=False,
)


def test_a_new_folder_is_opened_without_ado(tmp_path: Path) -> None:
    shelf, trouble = open_shelf(tmp_path / "new" / "shelf")
    assert isinstance(shelf, DiskShelf)
    assert trouble is None
    shelf.close()


GARBAGE = [b"garbage " * 400, b"SQLite format 3\x00" + b"\xff" * 4000]


@pytest.mark.parametrize("content", GARBAGE)
def test_garbage_instead_of_the_database_is_moved_aside(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "shelf"
    folder.mkdir()
    (folder / "cache.db").write_bytes(content)
    shelf, trouble = open_shelf(folder)
    assert isinstance(shelf, DiskShelf)
    assert trouble is not None
    (aside,) = (path for path in tmp_path.iterdir() if path.is_dir() and path != folder)
    assert aside.name in trouble
    assert (aside / "cache.db").read_bytes() == content
    shelf.set("key", SMALL)
    shelf.close()
    again, trouble = open_shelf(folder)
    assert again.get("key") == SMALL
    assert trouble is None
    again.close()


def test_a_database_that_was_cut_short_is_moved_aside_or_read(tmp_path: Path) -> None:
    shelf = DiskShelf(tmp_path / "shelf")
    for number in range(50):
        shelf.set(f"{number}", SMALL * 400)
    shelf.close()
    database = tmp_path / "shelf" / "cache.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.write_bytes(database.read_bytes()[: 3 * 4096 + 100])
    opened, _ = open_shelf(tmp_path / "shelf")
    for number in range(50):
        with suppress(ShelfError):
            assert opened.get(f"{number}") in (None, SMALL * 400)
    opened.close()


@pytest.mark.parametrize("part", [".", "shelf"])
def test_where_no_folder_can_be_made_the_shelf_is_in_memory(tmp_path: Path, part: str) -> None:
    # Permission bits do not stop root, a file in the way stops everybody.
    (tmp_path / "place").mkdir()
    blocked = tmp_path / "place" / "shelf"
    blocked.write_text("in the way")
    shelf, trouble = open_shelf(blocked if part == "." else blocked / part)
    assert isinstance(shelf, MemoryShelf)
    assert trouble is not None
    assert str(blocked) in trouble
    assert blocked.read_text() == "in the way"


class OnAbsentDrive(type(Path())):  # type: ignore[misc]  # the class for this system
    """A path on a drive of Windows that does not exist: neither does any folder above it."""

    def exists(self, **_: object) -> bool:
        """Return False."""
        return False


def test_a_shelf_on_a_drive_that_does_not_exist_is_a_shelf_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    shelf = DiskShelf(OnAbsentDrive(file / "a" / "b"))
    with pytest.raises(ShelfError):
        shelf.get("x")
    shelf.close()


def test_trouble_with_the_disk_is_a_shelf_error(tmp_path: Path) -> None:
    (tmp_path / "shelf").write_text("in the way")
    shelf = DiskShelf(tmp_path / "shelf")
    with pytest.raises(ShelfError):
        shelf.get("key")
    with pytest.raises(ShelfError):
        shelf.set("key", b"x")
    with pytest.raises(ShelfError):
        shelf.delete("key")
    with pytest.raises(ShelfError), shelf.transaction():
        raise AssertionError("the transaction began")


def test_other_processes_write_to_the_same_shelf_at_once(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from sphinx_nbcache.store.disk_shelf import DiskShelf\n"
        "shelf = DiskShelf(Path(sys.argv[1]))\n"
        "for n in range(40):\n"
        "    with shelf.transaction():\n"
        "        shelf.set('sum', str(int(shelf.get('sum') or 0) + 1).encode())\n"
        "        shelf.set(f'{sys.argv[2]}-{n}', b'x' * 900 * n)\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "shelf"), name])
        for name in ("one", "two", "three")
    ]
    assert [process.wait() for process in processes] == [0, 0, 0]
    shelf = DiskShelf(tmp_path / "shelf")
    assert shelf.get("sum") == b"120"
    assert shelf.get("two-39") == b"x" * 900 * 39
    shelf.close()


# Where nothing can be written


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A shelf that holds something, on a mount that cannot be written."""
    folder = tmp_path / "shelf"
    shelf = DiskShelf(folder)
    shelf.set("small", b"1")
    shelf.set("large", LARGE)
    shelf.close()
    bind = ["mount", "--bind", str(folder), str(folder)]
    remount = ["mount", "-o", "remount,ro,bind", str(folder)]
    if any(subprocess.run(command, check=False).returncode for command in (bind, remount)):
        pytest.skip("mounts need rights that this system does not give")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_shelf_on_a_read_only_mount_can_be_read(read_only: Path) -> None:
    shelf, trouble = open_shelf(read_only)
    assert isinstance(shelf, ReadOnlyShelf)
    assert trouble is None
    assert (shelf.get("small"), shelf.get("large"), shelf.get("none")) == (b"1", LARGE, None)
    with pytest.raises(ShelfError, match="read-only"):
        shelf.set("x", b"")
    with pytest.raises(ShelfError, match="read-only"):
        shelf.delete("small")
    with pytest.raises(ShelfError, match="read-only"), shelf.transaction():
        raise AssertionError("the transaction began")
    shelf.close()
    assert shelf.get("small") == b"1"
    assert pickle.loads(pickle.dumps(shelf)).get("large") == LARGE


def test_what_stands_in_the_write_ahead_log_only_is_read_as_well(tmp_path: Path) -> None:
    written = DiskShelf(tmp_path / "shelf")
    written.set("key", b"value")  # and not closed: the log is not yet part of the database
    assert (tmp_path / "shelf" / "cache.db-wal").stat().st_size
    before = {path.name for path in (tmp_path / "shelf").iterdir()}
    shelf = ReadOnlyShelf(tmp_path / "shelf")
    assert shelf.get("key") == b"value"
    assert {path.name for path in (tmp_path / "shelf").iterdir()} == before
    written.close()


def test_a_read_only_shelf_refuses_what_is_never_written(tmp_path: Path) -> None:
    written = DiskShelf(tmp_path)
    written.set("key", b"value")
    written.close()
    with sqlite3.connect(tmp_path / "cache.db") as database:
        database.execute("UPDATE Cache SET mode = 4, value = x'80'")
    database.close()
    with pytest.raises(DamagedEntryError):
        ReadOnlyShelf(tmp_path).get("key")


def test_a_damaged_store_that_another_build_has_replaced_and_uses_is_not_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "shelf"
    folder.mkdir()
    (folder / "cache.db").write_bytes(b"no database" * 100)
    look, looks = DiskShelf.size, []

    def size(shelf: DiskShelf) -> int:
        looks.append(shelf)
        # What the other build has put in its place is in use when it is looked at again.
        raise ShelfError("it is in use") from busy

    busy = sqlite3.OperationalError("database is locked")
    busy.sqlite_errorcode = sqlite3.SQLITE_BUSY
    monkeypatch.setattr(DiskShelf, "size", size)
    shelf, trouble = open_shelf(folder)
    assert isinstance(shelf, MemoryShelf)
    assert "it is in use" in str(trouble)
    assert looks
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["shelf"]
    monkeypatch.setattr(DiskShelf, "size", look)
    shelf, trouble = open_shelf(folder)
    assert isinstance(shelf, DiskShelf)
    assert "is damaged" in str(trouble)
    shelf.close()
