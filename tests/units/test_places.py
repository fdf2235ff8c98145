"""Where kernels work: what a temporary folder has at first, and what is kept of it."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest

from sphinx_nbcache.execution.folders import PlaceError, place_of
from sphinx_nbcache.execution.job import Asset, Job, TemporaryFolder
from sphinx_nbcache.files.temporary import remove_folder, work_folder
from sphinx_nbcache.results.artifacts import MadeFile
from sphinx_nbcache.results.records import Rules

posix = pytest.mark.skipif(sys.platform == "win32", reason="what only POSIX has")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The folder of a notebook, with what may be assets."""
    folder = tmp_path / "source"
    (folder / "data" / "deep").mkdir(parents=True)
    (folder / "data" / "deep" / "x.csv").write_text("1,2")
    (folder / "data" / "y.csv").write_text("3,4")
    (folder / "other.txt").write_text("not an asset")
    return folder


@pytest.fixture
def below(tmp_path: Path) -> Path:
    """Where temporary folders are made; it is not there yet."""
    return tmp_path / "work"


def job(source: Path, below: Path, *assets: str) -> Job:
    given = tuple(Asset(path, str(source / path)) for path in assets)
    return Job(
        code_key="k",
        notebook="a.md",
        directory=str(source),
        kernel="python3",
        language="python",
        cells=(),
        rules=Rules(),
        temporary=TemporaryFolder(given, str(below)),
    )


def contents(folder: Path | str) -> dict[str, str]:
    """Return the text of each file in and below a folder."""
    base = Path(folder)
    files = (path for path in base.rglob("*") if path.is_file())
    return {path.relative_to(base).as_posix(): path.read_text() for path in files}


def kept(files: list[MadeFile]) -> dict[str, str]:
    """Return the text of each file that was kept, by its path."""
    return {file.path: Path(file.kept_in).read_text() for file in files}


def test_a_temporary_folder_has_the_assets_at_their_places_and_nothing_else(
    source: Path, below: Path
) -> None:
    with place_of(job(source, below, "data/deep/x.csv")) as place:
        assert contents(place.folder) == {"data/deep/x.csv": "1,2"}
        assert Path(place.folder).parent == below
        assert place.take_files() == []
    assert list(below.iterdir()) == []


def test_a_folder_may_be_an_asset(source: Path, below: Path) -> None:
    (source / "data" / "__pycache__").mkdir()
    (source / "data" / "__pycache__" / "x.pyc").write_text("")
    with place_of(job(source, below, "data", "data/y.csv")) as place:
        assert contents(place.folder) == {"data/deep/x.csv": "1,2", "data/y.csv": "3,4"}


def test_a_link_to_nothing_in_a_folder_of_assets_is_left_out(source: Path, below: Path) -> None:
    # The lock of an editor.
    (source / "data" / ".#y.csv").symlink_to("user@host.1:2")
    with place_of(job(source, below, "data")) as place:
        assert contents(place.folder) == {"data/deep/x.csv": "1,2", "data/y.csv": "3,4"}


def test_what_is_created_or_changed_is_kept_and_what_is_not_is_not(
    source: Path, below: Path
) -> None:
    with place_of(job(source, below, "data")) as place:
        folder = Path(place.folder)
        (folder / "data" / "y.csv").write_text("5,6")
        (folder / "out" / "deep").mkdir(parents=True)
        (folder / "out" / "deep" / "new.txt").write_text("new")
        (folder / ".hidden").write_text("hidden")
        for left_out in ("__pycache__", ".ipynb_checkpoints", "out/__pycache__"):
            (folder / left_out).mkdir()
            (folder / left_out / "a").write_text("no work of a notebook")
        files = place.take_files()
        assert [file.path for file in files] == [".hidden", "data/y.csv", "out/deep/new.txt"]
    # They outlive the place; who gave the order removes them.
    assert kept(files) == {".hidden": "hidden", "data/y.csv": "5,6", "out/deep/new.txt": "new"}
    assert contents(source)["data/y.csv"] == "3,4"


def test_a_file_that_is_rewritten_with_the_same_size_counts_as_changed(
    source: Path, below: Path
) -> None:
    with place_of(job(source, below, "data/y.csv")) as place:
        path = Path(place.folder, "data", "y.csv")
        before = path.stat()
        path.write_text("9,9")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        if path.stat().st_ctime_ns == before.st_ctime_ns:
            pytest.skip("the file system's clock is too coarse for this test")
        assert kept(place.take_files()) == {"data/y.csv": "9,9"}


@posix
def test_links_out_of_the_place_are_not_followed_and_pipes_and_sockets_are_passed_over(
    source: Path, below: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with place_of(job(source, below)) as place:
        folder = Path(place.folder)
        (folder / "file").symlink_to(source / "other.txt")
        (folder / "folder").symlink_to(source)
        (folder / "dangling").symlink_to("nowhere")
        (folder / "loop").symlink_to("loop")
        (folder / "real").mkdir()
        (folder / "real" / "x").write_text("x")
        (folder / "same").symlink_to("real")
        (folder / "latest").symlink_to("real/x")
        os.mkfifo(folder / "pipe")
        with socket.socket(socket.AF_UNIX) as made:
            monkeypatch.chdir(folder)  # the paths of sockets must be short
            made.bind("socket")
        files = place.take_files()
    assert kept(files) == {"latest": "x", "real/x": "x"}
    assert (source / "other.txt").exists()


@posix
def test_permissions_are_kept_and_a_file_without_any_can_still_be(
    source: Path, below: Path
) -> None:
    with place_of(job(source, below)) as place:
        for name, mode in (("script", 0o755), ("secret", 0o000), ("odd", 0o4711)):
            Path(place.folder, name).write_text(name)
            Path(place.folder, name).chmod(mode)
        files = place.take_files()
    assert {file.path: file.mode for file in files} == {"odd": 0o711, "script": 0o755, "secret": 0}
    assert kept(files)["secret"] == "secret"


def test_an_asset_that_is_read_only_can_be_changed_by_the_run(source: Path, below: Path) -> None:
    (source / "data" / "y.csv").chmod(stat.S_IRUSR)
    with place_of(job(source, below, "data/y.csv")) as place:
        mode = Path(place.folder, "data", "y.csv").stat().st_mode
        assert mode & stat.S_IWUSR
        assert place.take_files() == []


def test_a_missing_asset_is_named_and_nothing_is_left(source: Path, below: Path) -> None:
    with (
        pytest.raises(PlaceError, match=r"its asset data/z\.csv does not exist"),
        place_of(job(source, below, "data/y.csv", "data/z.csv")),
    ):
        pytest.fail("the place was made")
    assert list(below.iterdir()) == []


@pytest.mark.parametrize("path", ["../out.txt", "/out.txt", "a/../../out.txt"])
def test_an_asset_is_never_copied_out_of_the_place(source: Path, below: Path, path: str) -> None:
    outside = TemporaryFolder((Asset(path, str(source / "other.txt")),), str(below))
    order = msgspec.structs.replace(job(source, below), temporary=outside)
    with (
        pytest.raises(PlaceError, match="would not be in the temporary folder"),
        place_of(order),
    ):
        pytest.fail("the place was made")
    assert not (below / "out.txt").exists()


@posix
def test_an_asset_that_is_no_file_is_refused_without_waiting(source: Path, below: Path) -> None:
    os.mkfifo(source / "pipe")
    with (
        pytest.raises(PlaceError, match="pipe cannot be copied"),
        place_of(job(source, below, "pipe")),
    ):
        pytest.fail("the place was made")


def test_a_place_that_cannot_be_made_is_told(source: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with (
        pytest.raises(PlaceError, match="no temporary folder can be made"),
        place_of(job(source, blocked)),
    ):
        pytest.fail("the place was made")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's folder of temporary files."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_work_folder_is_removed_also_if_what_is_in_it_is_read_only(temporary: Path) -> None:
    with work_folder() as folder:
        assert folder.parent == temporary
        (folder / "a" / "b").mkdir(parents=True)
        (folder / "a" / "b" / "c").write_text("")
        (folder / "a" / "b").chmod(0o500)
        (folder / "a").chmod(0o000)
    assert names(temporary) == []


def test_removing_a_folder_follows_no_links(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a").write_text("")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(outside, target_is_directory=True)
    remove_folder(inside)
    assert not inside.exists()
    assert names(outside) == ["a"]


KILLED = """
import os, signal
from sphinx_nbcache.files.temporary import work_folder
with work_folder() as folder:
    folder.mkdir()
    (folder / "large").write_text("")
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@posix
def test_what_a_killed_process_left_is_removed_and_what_a_living_one_uses_is_not(
    temporary: Path,
) -> None:
    foreign = temporary / "nbcache-work-of-somebody-else"
    foreign.mkdir()
    with work_folder() as living:
        living.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", KILLED], check=False, capture_output=True, text=True
        )
        left = Path(done.stdout.strip())
        assert left.is_dir(), done.stderr
        with work_folder() as other:
            assert not left.exists()
            assert living.exists()
            assert other != living
    assert names(temporary) == [foreign.name]
