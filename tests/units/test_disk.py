"""What a store may hold: nothing that was planted in it is unpickled, run, read or removed."""

from __future__ import annotations

import os
import pickle
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import diskcache
import pytest
from diskcache.core import MODE_BINARY, MODE_NONE, MODE_PICKLE, MODE_RAW, MODE_TEXT

from sphinx_nbcache.store.disk import SafeDisk, UnsafeEntryError, foreign_entry, refuse_link
from sphinx_nbcache.store.disk_shelf import DiskShelf
from sphinx_nbcache.store.opening import open_shelf
from sphinx_nbcache.store.shelf import DamagedEntryError, ShelfError

LARGE = b"x" * 50_000


class Touch:
    """What creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mknod, (str(self.path),)


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[DiskShelf]:
    """A shelf with an entry, closed so that its database can be tampered with."""
    made = DiskShelf(tmp_path / "shelf")
    made.set("good", b"good")
    made.set("key", b"old")
    made.close()
    yield made
    made.close()


def sql(shelf: DiskShelf, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Change the database of a shelf behind its back."""
    with closing(sqlite3.connect(shelf.folder / "cache.db")) as database, database:
        return database.execute(statement, values).fetchall()


def plant(shelf: DiskShelf, **columns: object) -> None:
    """Change the row of the entry `key`."""
    names = ", ".join(f"{name} = ?" for name in columns)
    sql(shelf, f"UPDATE Cache SET {names} WHERE key = 'key'", *columns.values())


def test_the_trap_works_in_a_shelf_that_unpickles(tmp_path: Path) -> None:
    """Without this the tests below could pass for the wrong reason."""
    trap = tmp_path / "trap"
    with closing(diskcache.Cache(str(tmp_path / "unsafe"))) as cache:
        cache["key"] = Touch(trap)
        with suppress(Exception):
            cache["key"]
    assert trap.exists()


def test_a_planted_pickle_is_not_unpickled(shelf: DiskShelf, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    plant(shelf, mode=MODE_PICKLE, value=pickle.dumps(Touch(trap)))
    with pytest.raises(DamagedEntryError):
        shelf.get("key")
    assert not trap.exists()
    # The place is free for an honest value.
    shelf.set("key", b"new")
    assert shelf.get("key") == b"new"
    assert not trap.exists()


def test_a_planted_pickle_in_a_file_is_not_unpickled(shelf: DiskShelf, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    name = "ab/cd/" + "0" * 28 + ".val"
    (shelf.folder / "ab/cd").mkdir(parents=True)
    (shelf.folder / name).write_bytes(pickle.dumps(Touch(trap)))
    plant(shelf, mode=MODE_PICKLE, value=None, filename=name)
    with pytest.raises(DamagedEntryError):
        shelf.get("key")
    shelf.delete("key")
    assert not trap.exists()


def test_a_pickled_key_is_not_unpickled(shelf: DiskShelf, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    plant(shelf, key=pickle.dumps(Touch(trap)), raw=0)
    with suppress(DamagedEntryError):
        shelf.get("key")
    with pytest.raises(UnsafeEntryError):
        SafeDisk(str(shelf.folder)).get(pickle.dumps(Touch(trap)), raw=False)
    assert not trap.exists()


OUTSIDE = ["../secret", "../../secret", "/etc/hostname", "ab/../../secret", "", "cache.db"]


@pytest.mark.parametrize("mode", [MODE_BINARY, MODE_TEXT, MODE_PICKLE])
@pytest.mark.parametrize("filename", OUTSIDE)
def test_a_planted_file_name_is_neither_read_nor_removed(
    shelf: DiskShelf, mode: int, filename: str
) -> None:
    secret = shelf.folder.parent / "secret"
    secret.write_bytes(b"secret")
    plant(shelf, mode=mode, filename=filename, value=None)
    with pytest.raises(DamagedEntryError):
        shelf.get("key")
    shelf.delete("key")
    assert shelf.get("key") is None
    assert secret.read_bytes() == b"secret"
    assert (shelf.folder / "cache.db").exists()
    assert shelf.get("good") == b"good"


@pytest.mark.parametrize("filename", OUTSIDE)
def test_an_entry_with_a_planted_file_name_can_be_replaced(shelf: DiskShelf, filename: str) -> None:
    """After the warning the notebook is run; its result must find the place free."""
    secret = shelf.folder.parent / "secret"
    secret.write_bytes(b"secret")
    plant(shelf, mode=MODE_BINARY, filename=filename, value=None)
    with shelf.transaction():
        shelf.set("key", b"new")
    assert shelf.get("key") == b"new"
    assert secret.read_bytes() == b"secret"


@pytest.mark.parametrize(
    ("mode", "value"),
    [
        (MODE_RAW, "text"),
        (MODE_RAW, 3),
        (MODE_RAW, 1.5),
        (MODE_RAW, None),
        (MODE_TEXT, "text"),
        (MODE_NONE, b"x"),
        (99, b"x"),
        (None, b"x"),
        ("1; DROP TABLE Cache", b"x"),
    ],
)
def test_what_a_shelf_never_writes_counts_as_damaged(
    shelf: DiskShelf, mode: object, value: object
) -> None:
    plant(shelf, mode=mode, value=value)
    with pytest.raises(DamagedEntryError):
        shelf.get("key")
    assert shelf.get("good") == b"good"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("disk_surprise", 1),
        ("get", "not a method"),
        ("_disk", "not a disk"),
        ("_directory", "/nowhere"),
        ("sqlite_nonsense", "; DROP TABLE Cache"),
        ("eviction_policy", "no such policy"),
        ("cull_limit", "many"),
    ],
)
def test_settings_planted_in_the_database_stop_nothing(
    shelf: DiskShelf, name: str, value: object
) -> None:
    """diskcache takes its own settings, and attributes of any name, from the database."""
    sql(shelf, "INSERT OR REPLACE INTO Settings VALUES (?, ?)", name, value)
    opened, _ = open_shelf(shelf.folder)
    opened.set("key", b"new")
    assert opened.get("key") == b"new"
    opened.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE Settings SET key = CAST(x'64ff' AS TEXT) WHERE key = 'count'",
        "UPDATE Settings SET value = CAST(x'ff' AS TEXT) WHERE key = 'cull_limit'",
        "INSERT INTO Settings VALUES (x'ff', 1)",
        "UPDATE sqlite_master SET name = CAST(x'ff' AS TEXT), sql = 'x' WHERE type = 'trigger'",
        "UPDATE sqlite_master SET sql = replace(sql, '\"count\"', CAST(x'ff' AS TEXT))",
    ],
)
def test_names_and_settings_that_are_no_text_stop_nothing(shelf: DiskShelf, statement: str) -> None:
    """What SQLite says of them is no text either."""
    with closing(sqlite3.connect(shelf.folder / "cache.db")) as database, database:
        database.execute("PRAGMA writable_schema = ON")
        database.execute(statement)
    opened, _ = open_shelf(shelf.folder)
    with suppress(ShelfError):
        opened.set("key", b"new")
        assert opened.get("key") == b"new"
    opened.close()


def test_a_value_is_bytes_and_a_key_is_text(shelf: DiskShelf, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    values: list[Any] = ["text", 3, None, bytearray(b"x"), Touch(trap)]
    for value in values:
        with pytest.raises(UnsafeEntryError):
            shelf.set("key", value)
    keys: list[Any] = [3, b"key", None, ("key",), Touch(trap)]
    for key in keys:
        with pytest.raises(UnsafeEntryError):
            shelf.set(key, b"x")
    assert shelf.get("key") == b"old"
    assert not trap.exists()


def test_nothing_but_raw_values_and_binary_files_is_ever_written(shelf: DiskShelf) -> None:
    shelf.set("large", LARGE)
    shelf.close()
    rows = sql(shelf, "SELECT raw, mode, filename IS NULL FROM Cache ORDER BY key")
    assert set(rows) == {(1, MODE_RAW, 1), (1, MODE_BINARY, 0)}


def test_a_value_whose_file_has_gone_is_damaged_and_one_cut_short_is_short(
    shelf: DiskShelf,
) -> None:
    shelf.set("large", LARGE)
    (file,) = shelf.folder.rglob("*.val")
    file.write_bytes(LARGE[:7])
    assert shelf.get("large") == LARGE[:7]
    file.unlink()
    with pytest.raises(DamagedEntryError, match="missing"):
        shelf.get("large")
    shelf.set("large", LARGE)
    assert shelf.get("large") == LARGE


def test_a_file_of_a_store_that_has_another_name_elsewhere_is_not_written(tmp_path: Path) -> None:
    """Archives can hold hard links to files of the user, which SQLite and locks would change."""
    users = tmp_path / "users.txt"
    users.write_text("the user's")
    store = tmp_path / "store"
    store.mkdir()
    assert foreign_entry(store) is None
    os.link(users, store / "cache.db-wal")
    assert foreign_entry(store) is not None
    with pytest.raises(OSError, match="is a hard link"):
        refuse_link(store / "cache.db-wal")
