"""A store that was damaged, planted, filled up or made read-only: pages are right all the same."""

from __future__ import annotations

import json
import pickle
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support import Book, code_cell, stream

pytestmark = pytest.mark.kernel

Damage = Callable[[Path], None]


def sql(statement: str, *values: object) -> Damage:
    """Return what executes a statement in the store's database."""

    def execute(store: Path) -> None:
        with sqlite3.connect(store / "cache.db") as database:
            database.execute(statement, values)
        database.close()

    return execute


def both(*damages: Damage) -> Damage:
    """Return what does several kinds of damage, one after the other."""

    def execute(store: Path) -> None:
        for damage in damages:
            damage(store)

    return execute


def on_paths(pattern: str, change: Callable[[Path], None]) -> Damage:
    """Return what does something with each path of the store that matches."""

    def execute(store: Path) -> None:
        for path in list(store.glob(pattern)):
            change(path)

    return execute


def into_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def into_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("x")


def in_file(name: str, change: Callable[[bytes], bytes]) -> Damage:
    """Return what changes the bytes of a file, or of all files that match."""

    def rewrite(path: Path) -> None:
        path.write_bytes(change(path.read_bytes()))

    return on_paths(name, rewrite)


def on_record(kind: str, change: Callable[[bytes], bytes]) -> Damage:
    """Return what changes every record of a kind."""

    def execute(store: Path) -> None:
        with sqlite3.connect(store / "cache.db") as database:
            query = "SELECT rowid, value FROM Cache WHERE key LIKE ? AND value IS NOT NULL"
            for row, value in database.execute(query, (kind + "/%",)).fetchall():
                changed = change(bytes(value))
                database.execute("UPDATE Cache SET value = ? WHERE rowid = ?", (changed, row))
        database.close()

    return execute


class _Trap:
    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return print, ("the pickle was loaded",)


PICKLE = pickle.dumps(_Trap())
OUTSIDE = "../../../../outside.txt"

# What is done to the store, and whether it may be noticed only by what a single notebook needs.
DAMAGES: dict[str, Damage] = {
    "database is garbage": in_file("cache.db", lambda _: b"garbage" * 1000),
    "database is empty": in_file("cache.db", lambda _: b""),
    "database is cut in half": in_file("cache.db", lambda data: data[: len(data) // 2]),
    "database is cut in the header": in_file("cache.db", lambda data: data[:50]),
    "header is zeroed": in_file("cache.db", lambda data: bytes(100) + data[100:]),
    "second half is zeroed": in_file(
        "cache.db", lambda data: data[: len(data) // 2] + bytes(len(data) // 2)
    ),
    "database is a text": in_file("cache.db", lambda _: b"SQLite format 3\x00 not really"),
    "table is gone": sql("DROP TABLE Cache"),
    "columns are of another program": both(
        sql("DROP TABLE Cache"), sql("CREATE TABLE Cache (id INTEGER, text TEXT)")
    ),
    "settings are gone": sql("DROP TABLE Settings"),
    "foreign setting": sql("INSERT INTO Settings VALUES ('disk_surprise', 1)"),
    "setting named like a method": sql("INSERT INTO Settings VALUES ('get', 1)"),
    "all rows are gone": sql("DELETE FROM Cache"),
    "results are gone": sql("DELETE FROM Cache WHERE key LIKE 'result/%'"),
    "lists of results are gone": sql("DELETE FROM Cache WHERE key LIKE 'results/%'"),
    "blobs are gone": sql("DELETE FROM Cache WHERE key LIKE 'blob/%'"),
    "files of blobs are gone": on_paths("*/*/*.val", Path.unlink),
    "files of blobs are empty": in_file("*/*/*.val", lambda _: b""),
    "files of blobs are cut": in_file("*/*/*.val", lambda data: data[:-9]),
    "a bit is flipped in the files": in_file(
        "*/*/*.val", lambda data: data[:50] + bytes([data[50] ^ 1]) + data[51:]
    ),
    "files are folders": on_paths("*/*/*.val", into_folder),
    "results are cut": on_record("result", lambda data: data[:-9]),
    "results were changed by hand": on_record(
        "result", lambda data: data.replace(b'"ok"', b'"OK"')
    ),
    "results have other outputs": on_record(
        "result", lambda data: data.replace(b'"outputs":"', b'"outputs":"0')
    ),
    "results are JSON of something else": on_record("result", lambda _: b"[1, 2, 3]"),
    "lists are no JSON": on_record("results", lambda _: b"\xff\xfe"),
    "lists point to nothing": on_record("results", lambda _: b'[[1,"' + b"0" * 64 + b'"]]'),
    "lists are endlessly nested": on_record("results", lambda _: b"[" * 100_000),
    "planted pickle": sql("UPDATE Cache SET mode = 4, value = ?, filename = NULL", PICKLE),
    "planted pickled key": sql("UPDATE Cache SET raw = 0, key = ?||rowid", PICKLE),
    "planted file name": sql(f"UPDATE Cache SET mode = 2, filename = '{OUTSIDE}', value = NULL"),
    "planted absolute file name": sql("UPDATE Cache SET mode = 2, filename = '/etc/passwd'"),
    "values are numbers": sql("UPDATE Cache SET mode = 1, value = 42, filename = NULL"),
    "values are texts": sql("UPDATE Cache SET mode = 3, value = 'x', filename = NULL"),
    "ids are absurd": sql("UPDATE Cache SET value = x'39393939' WHERE key = 'next-id'"),
    "everything has expired": sql("UPDATE Cache SET expire_time = 1"),
    "folder is a file": into_file,
}
# After these, what is left is right, so nothing need be run.
HARMLESS = {"ids are absurd", "settings are gone", "everything has expired"}
# Nothing is damaged here: it looks like a store in which nothing is.
SILENT = HARMLESS | {
    "database is empty",
    "all rows are gone",
    "lists of results are gone",
    "table is gone",
    "planted pickled key",
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Book:
    """A book that was built, to be copied: with a small output and one that is a file."""
    folder = tmp_path_factory.mktemp("sound")
    book = Book(folder / "project" / "book", folder / "counter.txt")
    book.conf()
    book.index("note")
    book.myst("note.md", "%%\nprint('computed', 6 * 7)", "%%\nprint('z' * 50_000)")
    assert book.build(builder="text").ran == ("note.md",)
    return book


def copy_of(book: Book, folder: Path) -> Book:
    shutil.copytree(book.folder, folder / "project" / "book")
    return Book(folder / "project" / "book", book.counter)


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_leads_to_a_warning_and_an_execution(sound: Book, tmp_path: Path, kind: str) -> None:
    book = copy_of(sound, tmp_path)
    outside = tmp_path / "project" / "outside.txt"
    outside.write_text("precious")
    DAMAGES[kind](book.folder / "_build" / ".jupyter_cache" / "nbcache-2")
    # A fresh environment: pages are read again, so their outputs are needed.
    shutil.rmtree(book.folder / "_build" / "doctrees")
    built = book.build(builder="text")
    assert built.status == 0
    assert built.ran == (() if kind in HARMLESS else ("note.md",))
    assert ("[nbcache.store]" in built.warnings) == (kind not in SILENT), built.warnings
    assert "the pickle was loaded" not in built.log + built.warnings
    assert outside.read_text() == "precious"
    page = book.page("note", "text")
    assert "computed 42" in page
    assert "z" * 50_000 in page
    again = book.build(builder="text")
    if kind != "folder is a file":
        assert again.ran == ()
        assert "[nbcache.store]" not in again.warnings


@pytest.mark.parametrize("seed", range(3))
def test_builds_on_a_store_with_flipped_bytes_show_right_pages(
    sound: Book, tmp_path: Path, seed: int
) -> None:
    """More of them, without builds, are in `tests/units/test_byte_flips.py`."""
    moments = random.Random(seed)
    book = copy_of(sound, tmp_path)
    path = book.store / "nbcache-2" / "cache.db"
    content = bytearray(path.read_bytes())
    for _ in range(10 ** (seed + 1)):
        content[moments.randrange(len(content))] ^= 1 << moments.randrange(8)
    path.write_bytes(content)
    shutil.rmtree(book.folder / "_build" / "doctrees")
    built = book.build(builder="text")
    assert built.status == 0
    assert set(built.ran) <= {"note.md"}
    page = book.page("note", "text")
    assert "computed 42" in page
    assert "z" * 50_000 in page


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mounts file systems, and takes them away again."""
    mounts: list[Path] = []

    def mount(folder: Path, *arguments: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        if subprocess.run(["mount", *arguments, str(folder)], check=False).returncode:
            pytest.skip("mounts need rights that this system does not give")
        mounts.append(folder)
        return folder

    yield mount
    for folder in reversed(mounts):
        subprocess.run(["umount", str(folder)], check=True)


def test_hits_work_on_a_read_only_mount(book: Book, mounted: Callable[..., Path]) -> None:
    book.index("note")
    book.myst("note.md", "%%\nprint('computed', 6 * 7)")
    book.build()
    store = str(book.folder / "_build" / ".jupyter_cache")
    mounted(Path(store), "--bind", store)
    subprocess.run(["mount", "-o", "remount,ro,bind", store], check=True)
    for execute in ("changed", "frozen"):
        shutil.rmtree(book.folder / "_build" / "doctrees")
        built = book.build("-W", "-D", f"nbcache_execute={execute}")
        assert (built.status, built.warnings, built.ran) == (0, "", ())
        assert "computed 42" in book.page("note")
    book.myst("note.md", "%%\nprint('computed', 7 * 7)")
    built = book.build()
    assert built.ran == ("note.md",)
    assert built.warnings.count("[nbcache.store]") == 1
    assert "new results are kept for this build only" in built.warnings
    assert "computed 49" in book.page("note")


def test_a_full_disk_costs_one_warning(
    book: Book, tmp_path: Path, mounted: Callable[..., Path]
) -> None:
    full = mounted(tmp_path / "full", "-t", "tmpfs", "-o", "size=256k", "tmpfs")
    book.conf(store=str(full))
    book.index("one", "two")
    for name in ("one", "two"):
        book.myst(f"{name}.md", f"%%\nprint({name!r} * 100_000)")
    built = book.build()
    assert built.status == 0
    assert sorted(built.ran) == ["one.md", "two.md"]
    assert built.warnings.count("[nbcache.store]") == built.warnings.count("WARNING") == 1
    assert "no space left on the disk" in built.warnings
    assert "read-only" not in built.warnings
    for name in ("one", "two"):
        assert name * 100_000 in book.page(name)


def test_a_disk_that_is_full_from_the_beginning_is_not_called_read_only(
    book: Book, tmp_path: Path, mounted: Callable[..., Path]
) -> None:
    full = mounted(tmp_path / "full", "-t", "tmpfs", "-o", "size=512k", "tmpfs")
    book.conf(store=str(full))
    book.index("one", "two")
    book.myst("one.md")
    book.build()
    filling = full / "filling"
    with filling.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    before = {path: path.read_bytes() for path in full.rglob("*.val")}
    book.myst("two.md", "%%\nprint('x' * 40_000)")
    built = book.build()
    assert (built.status, built.ran) == (0, ("two.md",)), built
    assert "no space left on the disk" in built.warnings
    assert "read-only" not in built.warnings
    assert {path: path.read_bytes() for path in full.rglob("*.val")} == before
    filling.unlink()
    assert book.build().ran == ("two.md",)
    again = book.build()
    assert (again.ran, again.warnings) == ((), "")


def test_a_full_disk_under_the_pages_leaves_no_temporary_file(
    book: Book, mounted: Callable[..., Path]
) -> None:
    """Sphinx itself cannot go on there; the next build, with room again, is right."""
    trees = book.folder / "_build" / "doctrees"
    full = mounted(trees, "-t", "tmpfs", "-o", "size=1m", "tmpfs")
    book.index("one")
    image = "import base64, os\nfrom IPython.display import Image\n"
    book.myst("one.md", f"%%\n{image}Image(os.urandom(1_200_000), format='png')")
    sources = book.sources()
    with suppress(AssertionError):  # a traceback of Sphinx's
        book.build()
    assert [path for path in full.rglob("*") if "partial" in path.name] == []
    assert book.sources() == sources
    subprocess.run(["mount", "-o", "remount,size=100m", str(full)], check=True)
    built = book.build()
    assert built.status == 0, built.warnings
    assert "data:image" in book.page("one") or "_images" in book.page("one")


def test_jupyter_cache_in_the_same_folder_and_this_store_leave_each_other_alone(
    book: Book, tmp_path: Path
) -> None:
    jupyter_cache = pytest.importorskip("jupyter_cache")
    book.index("note")
    book.ipynb("note.ipynb", "%%\nprint('computed', 6 * 7)")
    executed = [tmp_path / "first.ipynb", tmp_path / "second.ipynb"]
    for number, path in enumerate(executed):
        cells = [code_cell(f"print({number})", outputs=stream(f"{number}\n"), count=1)]
        notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
        path.write_text(json.dumps(notebook))

    def contents(*, ours: bool) -> dict[Path, bytes]:
        files = [path for path in book.store.rglob("*") if path.is_file()]
        return {p: p.read_bytes() for p in files if ("nbcache-2" in p.parts) == ours}

    theirs = jupyter_cache.get_cache(book.store)
    theirs.cache_notebook_file(executed[0], check_validity=False)
    before = contents(ours=False)
    assert {path.name for path in before} == {"global.db", "base.ipynb", "__version__.txt"}
    built = book.build()
    assert (built.warnings, built.ran) == ("", ("note.ipynb",))
    assert contents(ours=False) == before
    before = contents(ours=True)
    theirs.cache_notebook_file(executed[1], check_validity=False)
    for path in executed:
        assert theirs.match_cache_file(path) is not None
    assert contents(ours=True) == before
    assert book.build().ran == ()
    assert "computed 42" in book.page("note")


def test_nothing_is_open_or_locked_when_readers_are_forked(book: Book) -> None:
    """The workers of `-j` inherit no lock, socket, thread or handle of the store."""
    if sys.platform != "linux":
        pytest.skip("looks into /proc")
    book.conf(
        """
        import os, threading
        from pathlib import Path
        def setup(app):
            def look(app, env, docnames):
                links = [os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')
                         if Path(f'/proc/self/fd/{n}').exists()]
                ours = [link for link in links if 'jupyter_cache' in link or 'nbcache' in link
                        or link.startswith(('socket:', 'anon_inode:'))]
                print('OPEN', ours, [t.name for t in threading.enumerate()][1:])
            app.connect('env-before-read-docs', look)
        """
    )
    book.index("one", "two")
    book.myst("one.md")
    book.myst("two.md", "%%\n1 / 0")
    assert "OPEN [] []" in book.build("-j", "2").log
