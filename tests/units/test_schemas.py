"""Stores in older formats, beside the present one."""

from __future__ import annotations

from pathlib import Path

from support import Book

from sphinx_nbcache.notices import Notice
from sphinx_nbcache.results.records import SCHEMA
from sphinx_nbcache.store.opening import folder_name, older_folders, remove_older_folders
from sphinx_nbcache.store.store import Store


def old_store(place: Path, name: str = "nbcache-1") -> Path:
    folder = place / name
    folder.mkdir(parents=True)
    (folder / "cache.db").write_bytes(b"")
    return folder


def test_the_first_use_after_an_upgrade_says_why_everything_runs(tmp_path: Path) -> None:
    old = old_store(tmp_path)
    told: list[Notice] = []
    for _ in range(2):
        store = Store(tmp_path, told.append)
        store.results("0" * 64)
        store.close()
    (notice,) = told
    assert notice.is_information
    assert f"every notebook runs once; results in {old} are not used any more" in notice.text


def test_a_build_says_it_although_it_has_written_its_project_file_before(book: Book) -> None:
    book.index("one")
    book.write("one.md", "# One\n")
    old_store(book.store)
    built = book.build()
    assert "the store has a new format" in built.log
    assert built.warnings == ""
    assert "new format" not in book.build().log


def test_only_stores_in_older_formats_are_removed(tmp_path: Path) -> None:
    old = old_store(tmp_path)
    (tmp_path / "nbcache-1.moving.lock").touch()
    elsewhere = old_store(tmp_path / "elsewhere", "kept")
    kept = [
        old_store(tmp_path, folder_name(SCHEMA)),
        old_store(tmp_path, folder_name(SCHEMA + 1)),
        old_store(tmp_path, "nbcache-1.damaged-17"),
        tmp_path / "nbcache-0",
        tmp_path / "global.db",
    ]
    (tmp_path / "nbcache-0").symlink_to(elsewhere)
    (tmp_path / "global.db").touch()
    own = tmp_path / folder_name(SCHEMA)
    assert older_folders(own) == [old]
    assert remove_older_folders(own) == [old]
    assert sorted(tmp_path.iterdir()) == sorted([*kept, tmp_path / "elsewhere"])
    assert (elsewhere / "cache.db").exists()
    assert older_folders(tmp_path / "nowhere" / "nbcache-2") == []
