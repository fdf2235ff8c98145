"""A file that exceeds the limit of its size leaves nothing behind, and says why.

The limit stands for a full disk: both show in the middle of writing.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from sphinx_nbcache.files import atomic
from sphinx_nbcache.files.atomic import replace_file, replace_if_changed, trouble_in_words
from sphinx_nbcache.files.confined import open_folder
from sphinx_nbcache.files.moving import move_of, place
from sphinx_nbcache.notices import Notice
from sphinx_nbcache.project.locations import write_project_file
from sphinx_nbcache.rendering.images import write_image
from sphinx_nbcache.report.side_files import write_text
from sphinx_nbcache.results.outputs import RunOutputs
from sphinx_nbcache.results.records import CellRun, Result, Rules, Status
from sphinx_nbcache.store import marks
from sphinx_nbcache.store.disk_shelf import DiskShelf, translated
from sphinx_nbcache.store.file_records import keep_html, page_html
from sphinx_nbcache.store.shelf import ShelfError
from sphinx_nbcache.store.store import Store

resource = pytest.importorskip("resource", reason="limits are those of POSIX")
LIMIT = 100
LARGE = b"x" * 200_000


@contextmanager
def limited(size: int = LIMIT) -> Iterator[None]:
    """Let no file grow beyond a size. Python ignores the signal that would end it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def tree(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def put_in_place(folder: Path) -> None:
    with open_folder(folder, "file") as (opened, _):
        place(opened, move_of("file"), "", [LARGE], 0o644)


WRITERS: dict[str, Callable[[Path], object]] = {
    "any file": lambda folder: replace_file(folder / "file", LARGE),
    "a file that changed": lambda folder: replace_if_changed(folder / "file", LARGE),
    "an image": lambda folder: write_image(LARGE, ".png", folder),
    "the report": lambda folder: write_text(folder / "file", LARGE.decode()),
    "a file of a notebook": put_in_place,
}


@pytest.mark.parametrize("name", WRITERS)
def test_nothing_is_left_of_a_file_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "other").write_bytes(b"mine")
    with limited(), pytest.raises(OSError, match="too large") as caught:
        WRITERS[name](tmp_path)
    assert tree(tmp_path) == {"other": b"mine"}
    assert "`ulimit -f`" in trouble_in_words(caught.value)
    WRITERS[name](tmp_path)
    assert LARGE in tree(tmp_path).values()


def test_a_file_that_cannot_be_replaced_is_as_before(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with limited(), pytest.raises(OSError, match="too large"):
        replace_file(tmp_path / "file", LARGE)
    assert tree(tmp_path) == {"file": b"old"}


def test_a_project_file_that_cannot_be_written_is_left_out(tmp_path: Path) -> None:
    with limited():
        write_project_file(tmp_path, tmp_path, tmp_path, {"exclude": ["x" * 200]})
    assert tree(tmp_path) == {}


def test_a_secret_that_cannot_be_kept_lasts_for_this_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marks, "secret_path", lambda: tmp_path / "data" / "secret")
    told: list[Notice] = []
    with limited(8):
        made = marks.Marks(2, told.append)
        mark = made.of("key", b"content")
    assert made.is_ours(mark, "key", b"content")
    assert not marks.Marks(2, told.append).is_ours(mark, "key", b"content")
    assert tree(tmp_path) == {}


def committed(store: Store, text: str) -> None:
    result = Result(
        code_key="ab" * 32,
        status=Status.OK,
        rules=Rules(),
        cells=(CellRun("0" * 32, 1, 0.01),),
        outputs="",
        render_id="0" * 32,
        kernel="python3",
        language_info={},
        started=1.0,
        seconds=1.0,
        executor="local-serial",
        notebook="a.md",
    )
    data = {"text/plain": text}
    output = {"output_type": "display_data", "data": data, "metadata": {}}
    store.commit(result, RunOutputs([[output]]))


def test_a_store_that_is_full_keeps_what_it_has_and_no_part_of_what_it_has_not(
    tmp_path: Path,
) -> None:
    told: list[Notice] = []
    store = Store(tmp_path, told.append)
    committed(store, "a" * 50_000)
    store.close()
    before = {p for p in tmp_path.rglob("*") if p.suffix == ".val"}
    with limited(60_000):
        committed(store, "b" * 100_000)
        assert len(store.results("ab" * 32)) == 2
        store.close()
    (notice,) = told
    assert "new results are kept for this build only" in notice.text
    assert "read-only" not in notice.text
    assert {p for p in tmp_path.rglob("*") if p.suffix == ".val"} == before
    again = Store(tmp_path, told.append)
    (stored,) = again.results("ab" * 32)
    assert again.outputs(stored.result).cells[0][0]["data"]["text/plain"] == "a" * 50_000
    again.close()


def test_html_that_cannot_be_kept_costs_only_time(tmp_path: Path) -> None:
    told: list[Notice] = []
    store = Store(tmp_path / "place", told.append)
    keep_html(store.access, {"a.md": {"0" * 64: "<b></b>"}})
    with limited():
        keep_html(store.access, {"b.md": {"0" * 64: LARGE.decode()}})
    assert page_html(store.access, "a.md") == {"0" * 64: "<b></b>"}
    assert page_html(store.access, "b.md") == {}
    assert told == []
    store.close()


def test_files_of_a_transaction_that_fails_are_removed(tmp_path: Path) -> None:
    shelf = DiskShelf(tmp_path)
    shelf.set("old", LARGE)
    with suppress(ZeroDivisionError), shelf.transaction():
        shelf.set("old", LARGE[1:])
        shelf.set("new", LARGE[2:])
        raise ZeroDivisionError
    assert [path.read_bytes() for path in tmp_path.rglob("*.val")] == [LARGE]
    assert shelf.get("old") == LARGE
    shelf.close()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_called_so(code: int) -> None:
    with pytest.raises(ShelfError, match="no space left on the disk"), translated():
        raise OSError(code, "as the system says it")
    assert "no space left" in trouble_in_words(OSError(code, "x"))
    assert atomic.trouble_in_words(OSError(errno.EACCES, "denied")) == "[Errno 13] denied"


def test_a_database_that_is_full_is_called_so() -> None:
    database = sqlite3.connect(":memory:")
    database.execute("PRAGMA max_page_count = 2")
    with pytest.raises(ShelfError, match="no space left on the disk"), translated():
        database.executescript("CREATE TABLE a (b); CREATE TABLE c (d); CREATE TABLE e (f);")
    database.close()
