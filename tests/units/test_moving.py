"""Files are put in place and taken away without harm to what is saved meanwhile."""

from __future__ import annotations

import hashlib
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from sphinx_nbcache.files import moving
from sphinx_nbcache.files.confined import OpenFolder, is_plain_file, open_folder
from sphinx_nbcache.files.moving import ForeignFileError, Move, move_of, place, recover, remove_file

OURS, NEW, THEIRS = b"ours", b"new", b"theirs"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[OpenFolder]:
    """An open folder under a root."""
    (tmp_path / "out").mkdir()
    with open_folder(tmp_path, "out/file") as (opened, name):
        assert name == "file"
        yield opened


def entries(folder: OpenFolder) -> dict[str, bytes]:
    """Return the files of a folder, hidden ones under a common name."""
    found = {}
    for name in folder.names():
        shown = "(aside)" if name.startswith(".nbcache-") else name
        found[shown] = (folder.path / name).read_bytes()
    return found


def save(folder: OpenFolder, content: bytes, *, by_rename: bool = True) -> None:
    """Save a file as an editor does."""
    if not by_rename:
        (folder.path / "file").write_bytes(content)
        return
    partial = folder.path / "file~"
    partial.write_bytes(content)
    partial.replace(folder.path / "file")


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], None]], None]:
    """Let something happen right before the first call of a method of a folder."""

    def arrange(method: str, action: Callable[[], None]) -> None:
        original = getattr(OpenFolder, method)

        def acting(self: OpenFolder, *arguments: str) -> object:
            monkeypatch.setattr(OpenFolder, method, original)
            action()
            return original(self, *arguments)

        monkeypatch.setattr(OpenFolder, method, acting)

    return arrange


def test_a_file_of_ours_is_replaced(folder: OpenFolder) -> None:
    save(folder, OURS)
    place(folder, move_of("out/file"), digest(OURS), [b"n", b"ew"], 0o644)
    assert entries(folder) == {"file": NEW}


@pytest.mark.posix
def test_a_file_is_put_in_place_with_its_mode(folder: OpenFolder) -> None:
    place(folder, move_of("out/file"), "", [NEW], 0o755)
    assert (folder.path / "file").stat().st_mode & 0o777 == 0o755


def test_a_file_of_ours_is_removed(folder: OpenFolder) -> None:
    save(folder, OURS)
    remove_file(folder, move_of("out/file"), digest(OURS))
    assert entries(folder) == {}


def test_a_file_of_ours_stays_if_something_speaks_for_it_once_it_is_aside(
    folder: OpenFolder,
) -> None:
    save(folder, OURS)

    def is_kept() -> bool:
        assert entries(folder) == {"(aside)": OURS}
        return True

    with pytest.raises(ForeignFileError, match="git tracks it now"):
        remove_file(folder, move_of("out/file"), digest(OURS), is_kept)
    assert entries(folder) == {"file": OURS}


@pytest.mark.parametrize("by_rename", [True, False], ids=["by rename", "in place"])
@pytest.mark.parametrize(
    ("action", "method"),
    [
        *(("remove", "rename"), ("remove", "open")),
        *(("replace", "rename"), ("replace", "open"), ("replace", "link")),
    ],
)
def test_what_is_saved_meanwhile_stays(
    folder: OpenFolder,
    before: Callable[[str, Callable[[], None]], None],
    action: str,
    method: str,
    by_rename: bool,  # noqa: FBT001 (a parameter)
) -> None:
    save(folder, OURS)
    before(method, lambda: save(folder, THEIRS, by_rename=by_rename))
    move = move_of("out/file")
    try:
        if action == "remove":
            remove_file(folder, move, digest(OURS))
        else:
            place(folder, move, digest(OURS), [NEW], 0o644)
    except ForeignFileError:
        pass
    assert entries(folder) == {"file": THEIRS}


@pytest.mark.parametrize("step", range(11))
@pytest.mark.parametrize("action", [remove_file, partial(place, content=[NEW], mode=0o644)])
@pytest.mark.parametrize("elsewhere", ["", "renamed"], ids=["deleted", "renamed"])
def test_a_file_that_a_user_takes_away_at_any_step_leaves_nothing_aside(
    folder: OpenFolder,
    monkeypatch: pytest.MonkeyPatch,
    action: Callable[..., None],
    step: int,
    elsewhere: str,
) -> None:
    taken = {}
    left = itertools.count(step, -1)

    def before(method: str) -> None:
        original = getattr(OpenFolder, method)

        def acting(self: OpenFolder, *arguments: str) -> object:
            file = folder.path / "file"
            if next(left) == 0 and file.exists():
                taken[elsewhere] = file.read_bytes()
                if elsewhere:
                    file.replace(folder.path / elsewhere)
                else:
                    file.unlink()
            return original(self, *arguments)

        monkeypatch.setattr(OpenFolder, method, acting)

    save(folder, OURS)
    for method in ("names", "look", "create", "open", "rename", "link", "remove"):
        before(method)
    with suppress(OSError):
        action(folder, move_of("out/file"), digest(OURS))
    monkeypatch.undo()
    files = entries(folder)
    files.pop("file", None)
    taken.pop("", None)
    assert files == taken


def put(path: Path, kind: str) -> None:
    """Let something else be where a file is."""
    path.unlink()
    if kind == "folder":
        path.mkdir()
        (path / "inner").write_bytes(THEIRS)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("elsewhere")


@pytest.mark.parametrize("kind", ["folder", "pipe", "link"])
@pytest.mark.parametrize("action", [remove_file, partial(place, content=[NEW], mode=0o644)])
def test_anything_else_that_is_put_there_at_the_last_instant_gets_its_name_back(
    folder: OpenFolder,
    before: Callable[[str, Callable[[], None]], None],
    action: Callable[..., None],
    kind: str,
) -> None:
    save(folder, OURS)
    before("rename", lambda: put(folder.path / "file", kind))
    with pytest.raises(ForeignFileError, match=r"changed in the meantime$"):
        action(folder, move_of("out/file"), digest(OURS))
    assert folder.names() == ["file"]
    path = folder.path / "file"
    if kind == "folder":
        assert (path / "inner").read_bytes() == THEIRS
    else:
        assert path.is_symlink() if kind == "link" else path.is_fifo()


def test_a_folder_whose_name_is_taken_is_kept_and_named(
    folder: OpenFolder, before: Callable[[str, Callable[[], None]], None]
) -> None:
    save(folder, OURS)

    def take_the_name() -> None:
        before("rename", lambda: save(folder, THEIRS))

    def put_a_folder() -> None:
        put(folder.path / "file", "folder")
        take_the_name()

    before("rename", put_a_folder)
    with pytest.raises(ForeignFileError, match=r"it is kept as .*-aside-file"):
        remove_file(folder, move_of("out/file"), digest(OURS))
    (aside,) = set(folder.names()) - {"file"}
    assert (folder.path / aside / "inner").read_bytes() == THEIRS
    assert (folder.path / "file").read_bytes() == THEIRS


def test_of_two_files_that_are_not_ours_both_are_kept(
    folder: OpenFolder, before: Callable[[str, Callable[[], None]], None]
) -> None:
    save(folder, OURS)
    before("rename", lambda: save(folder, THEIRS))
    before("link", lambda: save(folder, b"a second one"))
    with pytest.raises(ForeignFileError, match=r"it is kept as .*/out/\.nbcache-.*-aside-file"):
        remove_file(folder, move_of("out/file"), digest(OURS))
    assert entries(folder) == {"file": b"a second one", "(aside)": THEIRS}


def test_nothing_is_put_where_something_is(folder: OpenFolder) -> None:
    save(folder, THEIRS)
    with pytest.raises(ForeignFileError, match="something else was saved"):
        place(folder, move_of("out/file"), "", [NEW], 0o644)
    assert entries(folder) == {"file": THEIRS}


@pytest.mark.posix
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_a_file_that_is_being_written_stays(folder: OpenFolder) -> None:
    save(folder, OURS)
    with (folder.path / "file").open("r+b") as writer:
        with pytest.raises(ForeignFileError):
            remove_file(folder, move_of("out/file"), digest(OURS))
        writer.write(THEIRS)
    assert entries(folder) == {"file": THEIRS}
    with (folder.path / "file").open("rb"):  # who only reads it does not mind
        remove_file(folder, move_of("out/file"), digest(THEIRS))


@pytest.mark.parametrize("kind", ["link", "dangling link", "directory", "pipe"])
def test_only_regular_files_are_replaced_or_removed(folder: OpenFolder, kind: str) -> None:
    path = folder.path / "file"
    (folder.path / "target").write_bytes(OURS)
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("target" if kind == "link" else "nowhere")
    before = path.lstat()
    with pytest.raises(ForeignFileError):
        remove_file(folder, move_of("out/file"), digest(OURS))
    for found in (digest(OURS), ""):
        with pytest.raises(ForeignFileError):
            place(folder, move_of("out/file"), found, [NEW], 0o644)
    assert (path.lstat().st_ino, path.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert sorted(folder.names()) == ["file", "target"]


def test_a_name_that_differs_only_in_spelling_is_refused(folder: OpenFolder) -> None:
    (folder.path / "File").write_bytes(THEIRS)
    with pytest.raises(ForeignFileError, match="'File' only in its spelling"):
        place(folder, move_of("out/file"), "", [NEW], 0o644)
    assert entries(folder) == {"File": THEIRS}


def test_content_that_cannot_be_read_to_its_end_changes_nothing(folder: OpenFolder) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise OSError("the rest is damaged")

    save(folder, OURS)
    with pytest.raises(OSError, match="damaged"):
        place(folder, move_of("out/file"), digest(OURS), broken(), 0o644)
    assert entries(folder) == {"file": OURS}


def test_without_links_files_are_copied_and_still_not_overwritten(
    folder: OpenFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(_self: OpenFolder, _name: str, _new: str) -> None:
        raise PermissionError("links are not supported")

    monkeypatch.setattr(OpenFolder, "link", link)
    place(folder, move_of("out/file"), "", [OURS], 0o644)
    assert entries(folder) == {"file": OURS}
    with pytest.raises(ForeignFileError):
        place(folder, move_of("out/file"), "", [NEW], 0o644)
    place(folder, move_of("out/file"), digest(OURS), [NEW], 0o644)
    assert entries(folder) == {"file": NEW}


@pytest.mark.parametrize("kind", ["folder", "link"])
@pytest.mark.parametrize("method", ["look", "link", "remove"])
def test_what_was_put_there_before_the_process_was_killed_gets_its_name_back(
    folder: OpenFolder,
    before: Callable[[str, Callable[[], None]], None],
    method: str,
    kind: str,
) -> None:
    save(folder, OURS)
    move = move_of("out/file", digest(OURS))
    child = os.fork()
    if child == 0:

        def put_and_die() -> None:
            put(folder.path / "file", kind)
            before(method, lambda: os._exit(1))

        before("rename", put_and_die)
        with suppress(OSError):
            remove_file(folder, move, digest(OURS))
        os._exit(0)
    os.waitpid(child, 0)
    assert recover(folder, move) is None
    assert folder.names() == ["file"]
    assert not is_plain_file(folder.look("file"))


@pytest.mark.parametrize("method", ["rename", "open", "link", "remove"])
def test_a_move_whose_process_was_killed_is_undone_or_completed(
    folder: OpenFolder, before: Callable[[str, Callable[[], None]], None], method: str
) -> None:
    save(folder, OURS)
    move = move_of("out/file", digest(OURS))
    child = os.fork()
    if child == 0:
        before(method, lambda: os._exit(1))
        place(folder, move, digest(OURS), [NEW], 0o644)
        os._exit(0)
    assert os.waitpid(child, 0)[1] != 0
    assert recover(folder, move) is None
    assert entries(folder) in ({"file": OURS}, {"file": NEW})


def test_what_a_killed_process_left_aside_is_kept_if_it_is_not_the_runs(
    folder: OpenFolder,
) -> None:
    move = move_of("out/file", digest(OURS))
    save(folder, b"a second one")
    (folder.path / move.aside).write_bytes(THEIRS)
    assert recover(folder, move) == move.aside
    assert entries(folder) == {"file": b"a second one", "(aside)": THEIRS}


def test_a_file_that_cannot_be_put_in_place_gives_the_old_one_its_name_back(
    folder: OpenFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(folder, OURS)
    move = move_of("out/file", digest(OURS))
    link = OpenFolder.link

    def failing(self: OpenFolder, name: str, new: str) -> None:
        if name == move.partial:
            raise OSError("no links")
        link(self, name, new)

    def full(_folder: OpenFolder, _source: str, _name: str) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(OpenFolder, "link", failing)
    monkeypatch.setattr(moving, "_copy", full)
    with pytest.raises(OSError, match="the disk is full"):
        place(folder, move, digest(OURS), [NEW], 0o644)
    assert entries(folder) == {"file": OURS}


def test_a_forged_journal_moves_no_file_of_another_name() -> None:
    for move in (
        Move("", "x", "../../../etc/passwd"),
        Move("", "../x", "0" * 16),
        Move("", "x", "0" * 15),
        Move("", "x/y", "0" * 16),
    ):
        assert not move.is_plausible
    assert move_of("a/b").is_plausible


@pytest.mark.posix
def test_a_folder_that_becomes_a_link_is_not_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "out").mkdir(parents=True)
    outside.mkdir()
    with open_folder(root, "out/file") as (folder, _):
        (root / "out").rename(root / "moved")
        (root / "out").symlink_to(outside)
        place(folder, move_of("out/file"), "", [NEW], 0o644)
    assert list(outside.iterdir()) == []
    assert (root / "moved" / "file").read_bytes() == NEW
    with pytest.raises(OSError, match="leads out of the project"), open_folder(root, "out/file"):
        pass


def test_folders_that_are_missing_are_made_only_on_request(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), open_folder(tmp_path, "a/b/file"):
        pass
    with open_folder(tmp_path, "a/b/file", create=True):
        assert (tmp_path / "a/b").is_dir()
    with (
        pytest.raises(OSError, match="only in its spelling"),
        open_folder(tmp_path, "A/file", create=True),
    ):
        pass
    assert moving.move_of("file").folder == ""
