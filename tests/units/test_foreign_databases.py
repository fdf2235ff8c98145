"""Databases that somebody else made: they are refused before they cost time, memory or a crash."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import struct
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sphinx_nbcache.store import foreign
from sphinx_nbcache.store.disk_shelf import DiskShelf
from sphinx_nbcache.store.opening import open_shelf
from sphinx_nbcache.store.read_only import ReadOnlyShelf
from sphinx_nbcache.store.shelf import ShelfError

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
COLUMNS = (
    "0 AS store_time, 0 AS expire_time, 0 AS access_time, 0 AS access_count, NULL AS tag,"
    " 1 AS size, 1 AS mode, NULL AS filename, x'00' AS value"
)
DEFINITIONS = {
    "endless view": "ALTER TABLE Cache RENAME TO Old; CREATE VIEW Cache AS"
    f" {ENDLESS} SELECT i AS rowid, 'x' AS key, 1 AS raw, {COLUMNS} FROM n",
    "large view": "ALTER TABLE Cache RENAME TO Old; CREATE VIEW Cache AS"
    f" SELECT 1 AS rowid, hex(zeroblob(500000000)) AS key, 1 AS raw, {COLUMNS}",
    "endless settings": "ALTER TABLE Settings RENAME TO Old; CREATE VIEW Settings AS"
    f" {ENDLESS} SELECT 'size' AS key, i AS value FROM n",
    "trigger that writes": "CREATE TRIGGER evil AFTER INSERT ON Cache BEGIN"
    f" INSERT INTO Settings {ENDLESS} SELECT 'x' || i, 1 FROM n; END",
    "trigger that computes": "CREATE TRIGGER evil AFTER UPDATE ON Settings BEGIN"
    f" DELETE FROM Cache WHERE ({ENDLESS} SELECT max(i) FROM n) = 5; END",
    "index": "CREATE INDEX evil ON Cache (hex(zeroblob(size)))",
    "check": "ALTER TABLE Cache ADD COLUMN evil CHECK (length(hex(zeroblob(9))) > 0)",
    "table": "CREATE TABLE other (x)",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a shelf that nothing has open."""
    shelf = DiskShelf(tmp_path / "nbcache-2")
    for number in range(3):
        shelf.set(f"x/{number}", b"x")
    shelf.close()
    return shelf.folder


def change(folder: Path, sql: str) -> None:
    with closing(sqlite3.connect(folder / "cache.db")) as database:
        database.executescript(f"PRAGMA legacy_alter_table=ON; {sql}")


def assert_moved_aside(folder: Path, why: str) -> None:
    shelf, trouble = open_shelf(folder)
    assert trouble is not None
    assert why in trouble
    shelf.set("y", b"y")
    assert shelf.keys("") == ["y"]
    shelf.close()


def test_what_diskcache_makes_is_known() -> None:
    """Else every build would make a database to compare with: add its definitions."""
    assert foreign.made_by_diskcache() == foreign.KNOWN


def test_definitions_of_another_version_of_diskcache_are_no_damage(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign, "KNOWN", frozenset({"of an older version"}))
    shelf, trouble = open_shelf(folder)
    assert trouble is None
    assert shelf.keys("x/") == ["x/0", "x/1", "x/2"]
    shelf.close()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("sql", DEFINITIONS.values(), ids=DEFINITIONS)
def test_a_database_with_definitions_that_diskcache_does_not_make_is_moved_aside(
    folder: Path, sql: str
) -> None:
    change(folder, sql)
    with pytest.raises(ShelfError, match="never written"):
        ReadOnlyShelf(folder).get("x/0")
    begin = time.process_time()
    assert_moved_aside(folder, "tables, views or triggers")
    assert time.process_time() - begin < 5


@pytest.mark.parametrize("kind", [DiskShelf, ReadOnlyShelf])
def test_a_refused_database_is_refused_at_every_read(
    folder: Path, kind: type[DiskShelf | ReadOnlyShelf]
) -> None:
    change(folder, "CREATE TABLE other (x)")
    time.sleep(0.15)  # only then a shelf reads it without opening it (`Stat.is_racy`)
    shelf = kind(folder)
    for _ in range(3):
        with pytest.raises(ShelfError, match="never written"):
            shelf.get("x/0")
    shelf.close()


@pytest.mark.parametrize("name", ["size", "count"])
@pytest.mark.parametrize("value", ["'x'", "9e999", "x'00'", "1e30", "NULL", "9223372036854775807"])
def test_a_size_that_is_none_does_not_end_a_build(folder: Path, name: str, value: str) -> None:
    change(folder, f"UPDATE Settings SET value = {value} WHERE key = '{name}'")
    assert_moved_aside(folder, "a size that is none")


def _pages(size: int, first: int, levels: int, key: bytes) -> Iterator[bytes]:
    """Yield pages of an index, in each of which all entries lead to the page after it."""
    # A record of SQLite: a text and twice the number 1 (sqlite.org/fileformat2.html, 2.1).
    record = bytes([4, 13 + 2 * len(key), 9, 9]) + key
    for number in range(first, first + levels):
        child = struct.pack(">I", number + 1) if number < first + levels - 1 else b""
        cell = child + bytes([len(record)]) + record
        header = 8 + len(child)
        count = (size - header) // (len(cell) + 2)
        start = size - count * len(cell)
        kind = 2 if child else 10
        page = struct.pack(">BHHHB", kind, 0, count, start, 0) + child
        page += b"".join(struct.pack(">H", start + n * len(cell)) for n in range(count))
        yield page.ljust(start, b"\0") + cell * count


def plant_index_without_end(folder: Path, key: str) -> None:
    """Let the index of the keys have more entries than anyone can count, in twenty pages."""
    database = folder / "cache.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'Cache_key_raw'"
        (root,) = connection.execute(query).fetchone()
    content = bytearray(database.read_bytes())
    pages = list(_pages(size, len(content) // size, 19, key.encode()))
    content[(root - 1) * size : root * size] = pages[0]
    content += b"".join(pages[1:])
    content[28:32] = struct.pack(">I", len(content) // size)
    database.write_bytes(content)


@pytest.mark.timeout(60)
def test_a_table_without_end_is_not_read_to_its_end(folder: Path) -> None:
    plant_index_without_end(folder, "x/3")
    for shelf in (DiskShelf(folder), ReadOnlyShelf(folder)):
        begin = time.process_time()
        with pytest.raises(ShelfError, match="interrupted"):
            shelf.keys("x/")
        assert time.process_time() - begin < 20
        shelf.close()


def test_a_large_store_is_read_to_its_end(folder: Path) -> None:
    change(
        folder,
        f"INSERT INTO Cache (key, raw, mode, value) {ENDLESS}"
        " SELECT 'y/' || i, 1, 1, x'00' FROM n LIMIT 200000",
    )
    for shelf in (DiskShelf(folder), ReadOnlyShelf(folder)):
        assert len(shelf.keys("y/")) == 200_000
        shelf.close()


# --- Rollback journals, of file systems without a write-ahead log --------------------------


def kill_in_transaction(folder: Path) -> Path:
    """Kill a process that has written half a transaction; return the journal that it leaves."""
    child = os.fork()
    if child == 0:
        connection = sqlite3.connect(folder / "cache.db", isolation_level=None)
        for sql in (
            "PRAGMA journal_mode = DELETE",
            "PRAGMA cache_size = 1",
            "BEGIN IMMEDIATE",
            "UPDATE Cache SET value = zeroblob(20000)",
        ):
            connection.execute(sql)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    return folder / "cache.db-journal"


def name_a_file(journal: Path, path: Path) -> None:
    """Let a journal name the file that SQLite removes after a transaction over databases."""
    name = os.fsencode(path)
    page = 0x40000000 // 4096 + 1
    numbers = struct.pack(">II", len(name), sum(name))
    with journal.open("ab") as file:
        file.write(struct.pack(">I", page) + name + numbers + bytes.fromhex("d9d505f920a163d7"))


@pytest.fixture
def journal(folder: Path) -> Path:
    """A journal that a killed process has left. The file system has settled since."""
    path = kill_in_transaction(folder)
    assert path.stat().st_size
    for file in (path, folder / "cache.db"):
        os.utime(file, (1e9, 1e9))
    return path


@pytest.mark.posix
def test_a_transaction_whose_process_was_killed_is_rolled_back(journal: Path) -> None:
    read_only = ReadOnlyShelf(journal.parent)
    assert read_only.get("x/0") == b"x"
    read_only.close()
    assert journal.exists()
    shelf, trouble = open_shelf(journal.parent)
    assert trouble is None
    assert shelf.get("x/0") == b"x"
    shelf.set("y", b"y")
    assert shelf.keys("") == ["x/0", "x/1", "x/2", "y"]
    shelf.close()


@pytest.mark.posix
def test_a_journal_makes_sqlite_remove_no_file_of_the_user(journal: Path, tmp_path: Path) -> None:
    """The control: SQLite itself removes it."""
    precious = tmp_path / "precious.txt"
    precious.write_text("the user's")
    name_a_file(journal, precious)
    copy = shutil.copytree(journal.parent, tmp_path / "copy")
    with pytest.raises(ShelfError, match="names another file"):
        ReadOnlyShelf(journal.parent).get("x/0")
    assert_moved_aside(journal.parent, "names another file")
    assert precious.read_text() == "the user's"
    with closing(sqlite3.connect(copy / "cache.db")) as connection:
        connection.execute("SELECT * FROM Cache").fetchall()
    assert not precious.exists()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["cache.db", "cache.db-wal", "cache.db-journal"])
def test_a_sparse_database_is_not_copied_into_memory(folder: Path, name: str) -> None:
    """A log is only read with its database, in a copy if the store is read-only."""
    (folder / "cache.db-wal").write_bytes(b"x" * 100)
    (folder / name).touch()
    os.truncate(folder / name, 1 << 42)
    with pytest.raises(ShelfError, match="too large"):
        ReadOnlyShelf(folder).get("x/0")
