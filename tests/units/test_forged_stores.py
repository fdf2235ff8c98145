"""A store that a stranger can write to changes nothing of the user's (see `tests/forging.py`)."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
from cell_runner import CellRunner
from forging import EVIL, NO_MARK, Build, Forge, Site, Tree, artifact, changes, checksummed, git
from running import job, outcome_of, text
from support import Book, ipynb_text
from tracing import Shells

import sphinx_nbcache.execution.runner
from sphinx_nbcache import Project
from sphinx_nbcache.click_pages.process import variables
from sphinx_nbcache.config import checked_settings
from sphinx_nbcache.files.confined import open_folder
from sphinx_nbcache.files.moving import move_of, place, remove_file
from sphinx_nbcache.kernels.choosing import KernelStarts
from sphinx_nbcache.notices import Notice, Notify, say_nothing
from sphinx_nbcache.project.locations import read_project_file, write_project_file
from sphinx_nbcache.project.run import notices_of
from sphinx_nbcache.results.records import SCHEMA, content_digest
from sphinx_nbcache.store.file_records import checkout_id
from sphinx_nbcache.store.marks import Marks, secret_path
from sphinx_nbcache.store.store import PIECE

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="runs cells in forks")


@pytest.fixture(scope="module")
def runner() -> Iterator[CellRunner]:
    server = Shells()
    yield CellRunner(server)
    server.close()


@pytest.fixture(autouse=True)
def _in_forks(runner: CellRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sphinx_nbcache.execution.runner, "run", runner.run)


@pytest.fixture(scope="module")
def genuine(runner: CellRunner, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A checkout whose only notebook was run by this account."""
    site = Site(tmp_path_factory.mktemp("genuine") / "site")
    site.make("print(1)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sphinx_nbcache.execution.runner, "run", runner.run)
        assert site.build().ran == ["a.ipynb"]
    assert site.build().ran == []
    return site


@pytest.fixture
def site(genuine: Site, tmp_path: Path) -> Site:
    """A fresh checkout, and a copy of the genuine store."""
    return genuine.copy(tmp_path / "site")


def test_a_fresh_checkout_reuses_the_genuine_result(site: Site) -> None:
    before = site.tree()
    build = site.build()
    assert (build.ran, build.told, build.shown) == ([], [], {"a.ipynb": "1\n"})
    assert changes(before, site.tree()) == {}


# -- names

UNUSABLE = {
    "up": "../outside/x.png",
    "up in the middle": "a/../../outside/x.png",
    "absolute": "/tmp/nbcache-x.png",
    "drive": "C:/x.png",
    "drive without a slash": "C:x.png",
    "network": "//server/share/x.png",
    "backslashes": "..\\outside\\x.png",
    "NUL": "x\0.png",
    "empty": "",
    "dot": ".",
    "dot in front": "./x.png",
    "slash at the end": "x.png/",
    "two slashes": "a//x.png",
    "not UTF-8": "\udcff.png",
    "a number": 5,
    "a list": ["x.png"],
    "nothing": None,
}
NEVER = {
    "hook": ".git/hooks/post-checkout",
    "bitmap": ".git/x.png",
    "capitals": ".GIT/hooks/x.png",
    "dot behind": ".git./x.png",
    "space behind": ".git /x.png",
    "short name": "git~1/x.png",
    "short name in capitals": "GIT~1/x.png",
    "invisible": ".g\u200cit/x.png",
    "byte order mark": ".git\ufeff/x.png",
    "full width": "\uff0egit/x.png",
    "stream": ".git::$INDEX_ALLOCATION/x.png",
    "below": "data/.git/x.png",
    "file of a worktree": "data/.git",
    "Mercurial": ".hg/x.png",
    "Subversion": "data/.svn/x.png",
    "Jujutsu": ".jj/x.png",
    "CVS": "CVS/x.png",
    "conf.py": "conf.py",
    "another conf.py": "docs/conf.py",
    "conf.py in capitals": "docs/CONF.py",
    "conf.py with a dot": "docs/conf.py.",
    "conf.py as a stream": "docs/conf.py::$DATA",
    "only spaces": "data/ /x.png",
    "three dots": "data/.../x.png",
    "too long": "x" * 300 + ".png",
    "too long in a new folder": "new/" + "x" * 300 + ".png",
    "too deep": "x/" * 2100 + "x.png",
}


def assert_untouched(
    site: Site, *, at_most: int = 1, allowed: Collection[str] = (), **options: Any
) -> Build:
    """Build; nothing but these files changes, and there is at most one notice for the result."""
    before = site.tree()
    build = site.build(**options)
    assert changes(before, site.tree()).keys() <= set(allowed)
    assert len(build.told) <= at_most, build.texts
    assert set(build.shown.values()) == {"1\n"}
    return build


@pytest.mark.parametrize("path", UNUSABLE.values(), ids=UNUSABLE)
def test_what_is_no_name_under_the_root_is_never_written(site: Site, path: Any) -> None:
    site.own(artifact(path))
    assert_untouched(site)


@pytest.mark.parametrize("path", NEVER.values(), ids=NEVER)
def test_some_names_are_never_written_whoever_made_the_result(site: Site, path: str) -> None:
    # With the mark, which brings back all else.
    site.own(artifact(path))
    build = assert_untouched(site)
    assert build.ran == ["a.ipynb"]
    assert "is not put back" in build.reasons["a.ipynb"]


# -- kinds of files

OTHER_KINDS = {
    "module": "numpy.py",
    "notebook": "b.ipynb",
    "page": "b.md",
    "HTML": "x.html",
    "SVG": "x.svg",
    "pickle": "x.pkl",
    "path configuration": "x.pth",
    "library": "x.so",
    "script": "x.sh",
    "no suffix": "Makefile",
    "only a suffix": ".png",
    "two suffixes": "x.png.py",
    "space behind": "x.png ",
    "dot behind": "x.png.",
    "stream": "x.png:evil.py",
    "stream of a bitmap": "x.py:a.png",
    "invisible": "x.p\u200bng",
    "attributes": ".gitattributes",
    "modules": ".gitmodules",
    "customization": "sitecustomize.py",
    "bytecode": "__pycache__/tool.cpython-311.pyc",
    "package": "pyproject.toml",
    "hook of direnv": ".envrc",
    "JSON": "x.json",
}
INERT = ["a.png", "a.jpg", "a.gif", "a.webp", "a.pdf", "a.csv", "a.tsv", "a.parquet", "a.npy"]
INERT += ["a.npz", "new/folder/a.png", "A.PNG"]


@pytest.mark.parametrize("mark", ["none", "of another record", "short"])
def test_nothing_but_the_mark_of_the_record_itself_counts(site: Site, mark: str) -> None:
    marks = {"none": NO_MARK, "of another record": site.genuine_mark, "short": b""}
    site.forged(artifact("numpy.py"), mark=marks[mark])
    assert assert_untouched(site).ran == ["a.ipynb"]


@pytest.mark.parametrize("path", OTHER_KINDS.values(), ids=OTHER_KINDS)
def test_without_a_mark_what_could_be_executed_is_not_put_back(site: Site, path: str) -> None:
    site.forged(artifact(path))
    build = assert_untouched(site)
    assert build.ran == ["a.ipynb"]
    assert path in build.reasons["a.ipynb"]
    assert "nbcache_restore" in build.reasons["a.ipynb"]


@pytest.mark.parametrize(("path", "mode"), [*((path, 0o755) for path in INERT), ("a.png", 0)])
def test_unmarked(site: Site, path: str, mode: int) -> None:
    """Data and bitmaps come back where nothing is."""
    site.forged(artifact(path, mode=mode))
    before = site.tree()
    build = site.build()
    found = changes(before, site.tree())
    assert found.pop(f"root/{path}")[:2] == ("0o100644", EVIL)  # type: ignore[index]
    assert found.keys() <= {"root/new", "root/new/folder"}
    assert (build.ran, build.told) == ([], [])


@pytest.mark.parametrize(
    "path", ["x.py", "new/x.html", "x.svg", "run", "x.pkl", "x.png.py", "b.md", "Makefile"]
)
@pytest.mark.parametrize("mode", [0o755, 0o600])
def test_marked(site: Site, path: str, mode: int) -> None:
    """Every kind comes back as it was."""
    site.own(artifact(path, mode=mode))
    before = site.tree()
    build = site.build()
    found = changes(before, site.tree())
    assert found.pop(f"root/{path}")[:2] == (oct(0o100000 | mode), EVIL)  # type: ignore[index]
    assert found.keys() <= {"root/new"}
    assert (build.ran, build.told) == ([], [])


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o1777, 0o7777, 0o100644, -1, 10**24, "rwx"])
@pytest.mark.parametrize("by", ["forged", "own"])
def test_modes_that_no_run_leaves_are_never_set(site: Site, by: str, mode: Any) -> None:
    getattr(site, by)(artifact("x.png", mode=mode))
    assert_untouched(site)


def test_restore(site: Site) -> None:
    """`nbcache_restore` allows files without a mark."""
    site.forged(artifact("figures/x.svg"), artifact("figures/y.html"))
    before = site.tree()
    assert site.build(restore=["other/**"], execute="frozen").ran == []
    assert changes(before, site.tree()) == {}
    build = site.build(restore=["figures/**"], execute="frozen")
    assert build.told == []
    assert (site.root / "figures/x.svg").stat().st_mode & 0o7777 == 0o644
    new = {"root/figures", "root/figures/x.svg", "root/figures/y.html"}
    assert changes(before, site.tree()).keys() == new


@pytest.mark.parametrize(
    "path", [".git/hooks/post-checkout", "conf.py", "page.md", "a.ipynb", "mine.py", "docs/conf.py"]
)
@pytest.mark.parametrize("by", ["forged", "own"])
def test_nbcache_restore_never_allows_sources_configuration_or_files_of_the_user(
    site: Site, by: str, path: str
) -> None:
    getattr(site, by)(artifact(path))
    before = site.tree()
    build = site.build(restore=["**"])
    assert changes(before, site.tree()) == {}
    assert build.ran == ["a.ipynb"]


@pytest.mark.parametrize("by", ["forged", "own"])
def test_nbcache_restore_allows_to_replace_what_git_has_and_nothing_else(
    site: Site, by: str
) -> None:
    getattr(site, by)(artifact("tool.py"))
    before = site.tree()
    assert site.build(restore=["*.py"], execute="frozen").told == []
    assert changes(before, site.tree()).keys() == {"root/tool.py"}
    assert (site.root / "tool.py").read_bytes() == EVIL
    site.write("tool.py", "edited by the user")
    before = site.tree()
    site.build(restore=["*.py"])
    assert changes(before, site.tree()) == {}


def test_a_frozen_build_names_the_file_that_is_missing(site: Site) -> None:
    site.forged(artifact("numpy.py"))
    told: list[Notice] = []
    project = site.project(told, execute="frozen")
    plan = project.plan()
    (settled,) = project.execute(plan).notebooks
    (error,) = notices_of(settled, project.settings)
    project.close()
    assert error.is_error
    assert "numpy.py is not put back" in error.text


# -- what is in the way


def _link_out(site: Site) -> None:
    (site.root / "way").symlink_to(site.outside)


def _link_out_deep(site: Site) -> None:
    (site.root / "b").mkdir()
    (site.root / "b" / "way").symlink_to("../../outside")
    (site.root / "way").symlink_to("b/way")


def _link_to_hooks(site: Site) -> None:
    (site.root / "way").symlink_to(".git/hooks")


def _dangling_folder(site: Site) -> None:
    (site.root / "way").symlink_to(site.outside / "not-there")


def _dangling_into_git(site: Site) -> None:
    (site.root / "way").symlink_to(".git/new")


def _circle(site: Site) -> None:
    (site.root / "way").symlink_to("back")
    (site.root / "back").symlink_to("way")


def _file_as_folder(site: Site) -> None:
    site.write("way", "the user's")


def _pipe_as_folder(site: Site) -> None:
    os.mkfifo(site.root / "way")


def _bare_repository(site: Site) -> None:
    git(site.root, "init", "-q", "--bare", "way")


def _inside_bare_repository(site: Site) -> None:
    git(site.root, "init", "-q", "--bare", "bare")
    (site.root / "way").symlink_to("bare/hooks")


def _separate_git_folder(site: Site) -> None:
    git(site.root, "init", "-q", "--separate-git-dir", str(site.root / "way"), "work")


def _other_case(site: Site) -> None:
    site.write("Way/mine.csv", "1")


def _other_unicode_form(site: Site) -> None:
    site.write("wa\u0443/mine.csv", "1")  # another letter: no look-alike
    site.write("WAY./mine.csv", "1")


def _tracked_and_deleted(site: Site) -> None:
    site.write("way/x.png", "x")
    git(site.root, "add", "way")
    (site.root / "way/x.png").unlink()


def _tracked_behind_a_link(site: Site) -> None:
    site.write("real/x.png", "x")
    git(site.root, "add", "real")
    (site.root / "real/x.png").unlink()
    (site.root / "way").symlink_to("real")


def _link(target: str) -> Callable[[Site], None]:
    def make(site: Site) -> None:
        (site.root / "way").mkdir()
        (site.root / "way/x.png").symlink_to(target)

    return make


def _target(name: str, content: str = "the user's") -> Callable[[Site], None]:
    def make(site: Site) -> None:
        site.write(f"way/{name}", content)

    return make


def _directory(site: Site) -> None:
    (site.root / "way/x.png").mkdir(parents=True)


def _pipe(site: Site) -> None:
    (site.root / "way").mkdir()
    os.mkfifo(site.root / "way/x.png")


def _socket(site: Site) -> None:
    (site.root / "way").mkdir()
    with contextlib.chdir(site.root / "way"), socket.socket(socket.AF_UNIX) as made:
        made.bind("x.png")


def _device(site: Site) -> None:
    (site.root / "way").mkdir()
    try:
        os.mknod(site.root / "way/x.png", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("devices need rights")


def _tracked_file(site: Site) -> None:
    site.write("way/x.png", "tracked")
    git(site.root, "add", "way")


def _file_of_submodule(site: Site) -> None:
    other = site.folder / "other"
    other.mkdir()
    git(other, "init", "-q")
    (other / "x.png").write_text("of a submodule")
    git(other, "add", "-A")
    git(other, "commit", "-qm", "x")
    git(site.root, "submodule", "add", "-q", str(other), "way")


def _deleted_in_submodule(site: Site) -> None:
    _file_of_submodule(site)
    (site.root / "way/x.png").unlink()


def _deleted_in_nested_repository(site: Site) -> None:
    site.write("way/x.png", "nested")
    git(site.root / "way", "init", "-q")
    git(site.root / "way", "add", "-A")
    (site.root / "way/x.png").unlink()


def _deleted_in_work_tree(site: Site) -> None:
    site.write("x.png", "x")
    git(site.root, "add", "x.png")
    git(site.root, "commit", "-qm", "y")
    git(site.root, "worktree", "add", "-q", "way")
    (site.root / "way/x.png").unlink()
    (site.root / "x.png").unlink()


OBSTACLES: dict[str, Callable[[Site], None]] = {
    "folder is a link out": _link_out,
    "folder is a link to a link out": _link_out_deep,
    "folder is a link to hooks": _link_to_hooks,
    "folder is a dangling link": _dangling_folder,
    "folder is a dangling link into .git": _dangling_into_git,
    "links in a circle": _circle,
    "folder is a file": _file_as_folder,
    "folder is a pipe": _pipe_as_folder,
    "folder is a bare repository": _bare_repository,
    "link into a bare repository": _inside_bare_repository,
    "folder of a repository elsewhere": _separate_git_folder,
    "folder in another case": _other_case,
    "folder with a dot": _other_unicode_form,
    "deleted, tracked": _tracked_and_deleted,
    "deleted, tracked behind a link": _tracked_behind_a_link,
    "deleted in a submodule": _deleted_in_submodule,
    "deleted in a nested repository": _deleted_in_nested_repository,
    "deleted in a work tree": _deleted_in_work_tree,
    "link out": _link("../../outside/canary"),
    "link to a page": _link("../page.md"),
    "dangling link": _link("../../outside/new"),
    "dangling link into .git": _link("../.git/hooks/post-checkout"),
    "file": _target("x.png"),
    "file in another case": _target("X.png"),
    "file with a dot": _target("x.png."),
    "file with an invisible character": _target("x\u200b.png"),
    "full-width file": _target("\uff58.png"),
    "directory": _directory,
    "pipe": _pipe,
    "socket": _socket,
    "device": _device,
    "tracked": _tracked_file,
    "tracked in a submodule": _file_of_submodule,
}


@pytest.mark.parametrize("arrange", OBSTACLES.values(), ids=OBSTACLES)
def test_over(site: Site, arrange: Callable[[Site], None]) -> None:
    """What is in the way of a file stays as it is."""
    arrange(site)
    site.own(artifact("way/x.png"))
    build = assert_untouched(site)
    # What the user deleted stays away, which is said; else the notebook is run.
    if not build.ran:
        (notice,) = build.told
        assert "way/x.png is part of the git repository and was deleted" in notice.text


@pytest.mark.parametrize("name", ["caf\u00e9.png", "cafe\u0301.png"])
def test_a_name_in_another_unicode_form_is_refused(site: Site, name: str) -> None:
    site.write(unicodedata.normalize("NFD" if name.isascii() else "NFKC", "cafe\u0301.png"), "1")
    other = unicodedata.normalize("NFD", name)
    if not (site.root / other).exists():
        site.forged(artifact(other))
        assert "only in its spelling" in assert_untouched(site).reasons["a.ipynb"]


@pytest.mark.parametrize("name", ["conf.py", "a.ipynb", "page.md", "tool.py", "data/in.csv"])
@pytest.mark.parametrize("by", ["forged", "own"])
def test_sources_and_tracked_files_are_not_replaced(site: Site, by: str, name: str) -> None:
    getattr(site, by)(artifact(name))
    assert assert_untouched(site).ran == ["a.ipynb"]


def test_a_file_that_a_run_made_here_is_replaced_and_one_that_the_user_edited_is_not(
    site: Site,
) -> None:
    site.write("out.csv", "by a run")
    site.made_here("out.csv", b"by a run")
    site.own(artifact("out.csv", mode=0o644))
    before = site.tree()
    assert site.build().ran == []
    assert changes(before, site.tree()).keys() == {"root/out.csv"}
    assert (site.root / "out.csv").read_bytes() == EVIL
    site.write("out.csv", "edited")
    assert assert_untouched(site).ran == ["a.ipynb"]


def test_without_a_mark_not_even_a_file_of_a_run_is_replaced(site: Site) -> None:
    site.write("out.csv", "by a run")
    site.made_here("out.csv", b"by a run")
    site.forged(artifact("out.csv"))
    assert assert_untouched(site).ran == ["a.ipynb"]


def test_of_a_thousand_files_that_cannot_be_put_back_one_is_named(site: Site) -> None:
    # They are found to be in each other's way only when the first of them is there.
    files = [artifact(f"new/{'e' if n % 2 else 'E'}{n // 2}.png") for n in range(1000)]
    site.forged(*files)
    before = site.tree()
    build = site.build()
    assert len(build.told) == 1
    assert "499 more files" in build.told[0].text
    assert len(changes(before, site.tree())) == 501


def test_of_many_tracked_files_that_were_deleted_one_is_named(site: Site) -> None:
    for number in range(9):
        site.write(f"x{number}.png", "x")
    git(site.root, "add", "-A")
    for path in site.root.glob("x*.png"):
        path.unlink()
    site.forged(*(artifact(f"x{number}.png") for number in range(9)))
    (text,) = assert_untouched(site).texts
    assert text.startswith("x0.png is part of the git repository")
    assert "8 more files" in text


# -- types, sizes, bombs and digests

HUGE = 10**24
OTHER_DIGEST = "0" * 64

WRONG_ARTIFACTS: dict[str, dict[str, Any]] = {
    "huge size": {"size": HUGE},
    "size beyond 64 bits": {"size": 2**64},
    "size a bit too large": {"size": len(EVIL) + 1},
    "size a bit too small": {"size": len(EVIL) - 1},
    "no size": {"size": 0},
    "negative size": {"size": -1},
    "size as a text": {"size": "21"},
    "size as a fraction": {"size": 2.5},
    "size as a list": {"size": [21]},
    "digest of nothing": {"digest": ""},
    "digest that is a path": {"digest": "../../../../etc/passwd"},
    "digest in capitals": {"digest": content_digest(EVIL).upper()},
    "digest as a number": {"digest": 5},
    "another digest": {"digest": OTHER_DIGEST},
    "pieces as a text": {"pieces": "abc"},
    "pieces that are missing": {"pieces": [OTHER_DIGEST, OTHER_DIGEST]},
    "pieces that repeat": {"pieces": [content_digest(EVIL)] * 2},
    "pieces of another file": {"pieces": [content_digest(EVIL)], "digest": OTHER_DIGEST},
    "a million pieces": {"pieces": [content_digest(EVIL)] * 10**6, "size": HUGE},
    "created as a text": {"created": "yes"},
}


@pytest.mark.parametrize("changed", WRONG_ARTIFACTS.values(), ids=WRONG_ARTIFACTS)
def test_an_artifact_that_is_not_what_it_says_is_not_put_back(
    site: Site, changed: dict[str, Any]
) -> None:
    site.forge.blob(b"")
    site.forged(artifact("x.png", **changed))
    begin = time.process_time()
    assert assert_untouched(site).ran == ["a.ipynb"]
    assert time.process_time() - begin < 10


def test_a_small_store_does_not_fill_the_disk(site: Site) -> None:
    piece = b"\0" * PIECE
    digest = site.forge.blob(piece)
    size = 2 * PIECE
    whole = hashlib.sha256(piece * 2).hexdigest()
    for count in (1, 3):
        site.forged(artifact("x.png", digest=whole, size=size, pieces=[digest] * count))
        before = site.tree()
        site.build()
        assert changes(before, site.tree()) == {}
    site.forged(artifact("x.png", digest=whole, size=size, pieces=[digest] * 2))
    assert site.build().ran == []
    assert (site.root / "x.png").stat().st_size == size


def test_a_blob_with_the_content_of_another_one_is_not_written(site: Site) -> None:
    site.forged(artifact("x.png"))
    site.forge.raw({f"blob/{content_digest(EVIL)}": b"something else"})
    build = assert_untouched(site)
    assert build.ran == ["a.ipynb"]
    site.forge.raw({f"blob/{content_digest(EVIL)}": EVIL + b"\n"})
    assert_untouched(site)


WRONG_FIELDS: dict[str, dict[str, Any]] = {
    "texts for numbers": {"started": "now", "seconds": "1"},
    "numbers for texts": {"notebook": 5, "kernel": 6},
    "list for a struct": {"rules": [1, 2]},
    "struct for a list": {"cells": {"0": 1}},
    "time that no calendar has": {"started": 1e300},
    "time before all calendars": {"started": -1e300},
    "seconds without end": {"seconds": 1e308},
    "huge bytes": {"bytes": HUGE},
    "negative bytes": {"bytes": -1},
    "huge memory": {"peak_memory": HUGE},
    "another status": {"status": "fine"},
    "outputs that are missing": {"outputs": OTHER_DIGEST},
    "outputs that are a path": {"outputs": "../../conf.py"},
    "trace that is missing": {"trace": OTHER_DIGEST},
    "sources that are missing": {"sources": OTHER_DIGEST},
    "blobs as a text": {"blobs": "abc"},
    "no cells": {"cells": []},
    "a thousand cells": {"cells": [{"digest": "x"}] * 1000},
    "negative position of a failure": {
        "failure": {"name": "E", "message": "", "traceback": "", "position": -5},
        "status": "failed",
    },
    "another place": {"temporary": True},
    "notebook out of the root": {"notebook": "../../outside/canary"},
    "escapes in texts": {"notebook": "\x1b]0;owned\x07\n::set-env name=A::b", "kernel": "\x1b[31m"},
    "language that is deep": {"language_info": json.loads("[" * 200 + "]" * 200)},
    "lexer that is no text": {"language_info": {"pygments_lexer": {"a": 1}}},
    "unknown field": {"future": 1},
    "long text": {"executor": "x" * 10**7},
    "many artifacts": {"artifacts": [artifact(f"x/{n}.html") for n in range(3 * 10**4)]},
    "artifact as a list": {"artifacts": [["x.png", "d", 1, 1]]},
    "artifacts as a struct": {"artifacts": {"path": "x.png"}},
    "one path twice": {"artifacts": [artifact("x.svg"), artifact("x.svg", b"other")]},
    "file in a file": {"artifacts": [artifact("x.svg"), artifact("x.svg/y.svg")]},
}


@pytest.mark.parametrize("changed", WRONG_FIELDS.values(), ids=WRONG_FIELDS)
def test_a_record_that_is_not_what_a_run_writes_does_no_harm(
    site: Site, changed: dict[str, Any]
) -> None:
    site.forge.result(site.result, **changed)
    begin = time.process_time()
    assert_untouched(site)
    assert time.process_time() - begin < 10


RECORDS = {
    "nothing": b"",
    "no JSON": b"\xff\xfe",
    "null": b"null",
    "list": b"[]",
    "deep": b"[" * 10**6 + b"]" * 10**6,
    "deep and open": b'{"a":' * 10**5,
    "long": b'"' + b"x" * 10**7 + b'"',
    "number with many digits": b"9" * 10**5,
    "repeated fields": b"{" + b'"code_key": "a",' * 10**5 + b'"code_key": "a"}',
}


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
@pytest.mark.parametrize("kind", ["result", "list", "trace", "outputs", "history"])
def test_bytes_that_are_no_record_read_as_absent(site: Site, kind: str, record: bytes) -> None:
    forge, stored = site.forge, site.result
    key = stored.result.code_key
    if kind == "result":
        forge.put(record)
    elif kind in ("trace", "outputs"):
        forge.result(stored, **dict[str, Any]({kind: forge.blob(record)}))
    else:
        keys = {"list": f"results/{key}", "history": "history/a.ipynb"}
        forge.record(keys[kind], record)
    begin = time.process_time()
    assert_untouched(site)
    assert time.process_time() - begin < 10


def test_a_record_of_a_hundred_megabytes_reads_as_absent(site: Site) -> None:
    site.forge.put(b'"' + b"x" * 10**8 + b'"')
    assert_untouched(site)


@pytest.mark.parametrize(
    "entry",
    [
        *([-5], [], 5, "x", None, [99], ["99", "x"], [99, 5], [99, "x", 3]),
        *([HUGE, "x"], [-HUGE, "x"], [99, "../../conf.py"], [99, ""], {"id": 1, "digest": "x"}),
    ],
    ids=repr,
)
def test_entries_of_lists_that_no_run_writes_do_no_harm(site: Site, entry: Any) -> None:
    forge, stored = site.forge, site.result
    forge.record(f"results/{stored.result.code_key}", [entry, [1, stored.digest]])
    assert_untouched(site)


def test_a_list_that_names_one_result_a_hundred_thousand_times_is_not_used(site: Site) -> None:
    key, digest = site.result.result.code_key, site.result.digest
    site.forge.record(f"results/{key}", [[number, digest] for number in range(1, 10**5)])
    begin = time.process_time()
    assert assert_untouched(site).ran == ["a.ipynb"]
    assert time.process_time() - begin < 10


@pytest.mark.parametrize("number", [-5, HUGE, 0, 2**63])
def test_results_with_an_impossible_number_are_listed_and_used_without_a_crash(
    site: Site, number: int
) -> None:
    forge, stored = site.forge, site.result
    forge.record(f"results/{stored.result.code_key}", [[number, stored.digest]])
    assert_untouched(site)
    told: list[Notice] = []
    project = site.project(told)
    list(project.results)
    project.results.check()
    project.results.set_limits(count=1, size=None)
    project.close()


OUTPUTS: dict[str, Any] = {
    "no cells": {"cells": []},
    "too many cells": {"cells": [[]] * 10},
    "text that is a number": [{"output_type": "stream", "name": "stdout", "text": 5}],
    "text that is a list": [{"output_type": "stream", "name": "stdout", "text": ["1", 2]}],
    "unknown type": [{"output_type": "evil", "text": "1"}],
    "no type": [{"text": "1"}],
    "data that is a list": [{"output_type": "display_data", "data": [1], "metadata": {}}],
    "data that is missing": [{"output_type": "display_data"}],
    "image that is no text": [{"output_type": "display_data", "data": {"image/png": 5}}],
    "reference to a path": [
        {"output_type": "display_data", "data": {"image/png": {"$nbcache-base64": "../x"}}}
    ],
    "reference to a reference": [
        {"output_type": "display_data", "data": {"text/html": {"$nbcache-text": {"a": 1}}}}
    ],
    "MIME type that is a path": [
        {"output_type": "display_data", "data": {"../../evil": "x", "image/../../x": "y"}}
    ],
    "traceback that is a text": [
        {"output_type": "error", "ename": 1, "evalue": 2, "traceback": "no list"}
    ],
}


def test_pages_show_forged_outputs_or_run_the_notebook_and_builds_go_on(book: Book) -> None:
    names = [f"n{number}" for number in range(len(OUTPUTS))]
    for name in names:
        book.myst(f"{name}.md", f"# {name}", f"%%print({name!r})", counts=False)
    book.index(*names)
    book.remember({f"{name}.md": ["1"] for name in names})
    forge = Forge(book.store)
    stored = {Path(item.result.notebook).stem: item for item in forge.genuine()}
    for name, outputs in zip(names, OUTPUTS.values(), strict=True):
        whole = outputs if isinstance(outputs, dict) else {"cells": [outputs]}
        forge.result(stored[name], outputs=forge.blob(json.dumps(whole).encode()))
    before = book.sources()
    built = book.build("-D", "nbcache_execute=frozen", "-D", "nbcache_on_error=warn")
    assert all("print" in book.page(name) for name in names)
    assert built.ran == ()
    assert book.sources() == before
    assert "Traceback" not in built.log + built.warnings
    assert len(built.warnings.splitlines()) <= 2 * len(names)


def test_an_output_publishes_no_file_from_elsewhere(book: Book) -> None:
    """Sphinx copies what pages refer to. With it, a store could publish keys and passwords."""
    (book.folder.parent / "private.txt").write_text("the user's password")
    book.write(".env", "the user's password")
    book.write("public.csv", "1,2")
    (book.folder / "way").symlink_to(book.folder.parent)
    book.write("page.rst", "Another page\n============")
    book.myst("a.md", "# A", "%%print(1)", counts=False)
    book.index("a", "page")
    book.remember({"a.md": ["1"]})
    private = (
        "../private.txt",
        "/../private.txt",
        ".env",
        "way/private.txt",
        "../private.*",
        "data:/../../private.txt",
        "x:/../../private.txt",
        "../private.txt#x",
    )
    text = "\n\n".join(
        f"![shown]({name}) [offered]({name}) [offered](path:{name}) <path:{name}>"
        for name in (*private, str(book.folder.parent / "private.txt"))
    )
    text += "\n\n[offered](public.csv) [linked](page.rst)\n\n[ref]: ../private.txt\n\n[x][ref]"
    forge = Forge(book.store)
    (stored,) = forge.genuine()
    output = {"output_type": "display_data", "data": {"text/markdown": text}, "metadata": {}}
    forge.result(stored, outputs=forge.blob(json.dumps({"cells": [[output]]}).encode()))
    built = book.build("-D", "nbcache_execute=frozen")
    published = [path for path in book.folder.glob("_build/html/**/*") if path.is_file()]
    assert "public.csv" in {path.name for path in published}
    assert not any(b"password" in path.read_bytes() for path in published)
    assert 'href="page.html"' in book.page("a")
    assert "offered" in book.page("a")
    assert built.warnings.count("is not published") == 1


def test_a_thousand_outputs_that_cannot_be_shown_are_one_warning(book: Book) -> None:
    book.myst("a.md", "# A", "%%print(1)", "%%print(2)", counts=False)
    book.index("a")
    book.remember({"a.md": ["1", "2"]})
    forge = Forge(book.store)
    (stored,) = forge.genuine()
    output = {"output_type": "display_data", "data": {"image/png": "AA=A"}, "metadata": {}}
    forge.result(stored, outputs=forge.blob(json.dumps({"cells": [[output] * 500] * 2}).encode()))
    built = book.build("-D", "nbcache_execute=frozen")
    (line,) = built.warnings.splitlines()
    assert "a.md:8: WARNING: code cell 1" in line
    assert "(and 1999 more" in line


def test_latex_in_an_output_goes_into_the_sources_for_tex_as_it_is(book: Book) -> None:
    book.myst("a.md", "# A", "%%print(1)", counts=False)
    book.index("a")
    book.remember({"a.md": ["1"]})
    forge = Forge(book.store)
    (stored,) = forge.genuine()
    text = "\\begin{center}\\input{/etc/hostname}\\end{center}"
    output = {"output_type": "display_data", "data": {"text/latex": text}, "metadata": {}}
    forge.result(stored, outputs=forge.blob(json.dumps({"cells": [[output]]}).encode()))
    book.build("-D", "nbcache_execute=frozen", builder="latex")
    (tex,) = (book.folder / "_build" / "latex").glob("*.tex")
    assert text in tex.read_text(encoding="utf-8")


# -- what else a store holds


def _file_of_the_user(site: Site) -> str:
    """Let the user have a file with the content that a result lists."""
    site.write("mine.png", EVIL)
    return content_digest(EVIL)


def test_a_file_of_the_user_is_not_declared_one_of_a_run(site: Site) -> None:
    digest = _file_of_the_user(site)
    checkout = checkout_id(site.root)
    made = {"contents": [[digest, checkout]]}
    site.forge.record("made/mine.png", made)
    site.forge.record("made/mine.csv", {"contents": [[content_digest(b"the user's\n"), checkout]]})
    # Such a mark is one of a record of the same content under another key.
    site.made_here("other.png")
    site.forge.raw({"made/mine.png": site.forge.bytes_of("made/other.png")})
    content = site.forge.bytes_of("made/other.png")[16:]
    site.forge.raw({"made/mine.png": checksummed("made/mine.png", content)})
    site.own(artifact("mine.png", b"other"), artifact("mine.csv"), content=b"other")
    assert assert_untouched(site).ran == ["a.ipynb"]


@pytest.mark.parametrize("is_declared", [True, False])
@pytest.mark.parametrize("by", ["forged", "own"])
def test_a_history_does_not_make_a_build_remove_files_of_the_user(
    site: Site,
    by: str,
    is_declared: bool,  # noqa: FBT001 (a parameter)
) -> None:
    digest = _file_of_the_user(site)
    old = getattr(site, by)(artifact("mine.png"))
    if is_declared:
        made = {"contents": [[digest, checkout_id(site.root)]]}
        site.forge.record("made/mine.png", made)
    stored = site.result
    site.forge.record(f"results/{stored.result.code_key}", [[1, site.genuine_digest]])
    history = json.loads(site.genuine_history)
    site.forge.record("history/a.ipynb", {**history, "result": old})
    assert_untouched(site)
    # Nor do builds that run the notebook.
    assert assert_untouched(site, execute="force").ran == ["a.ipynb"]


def test_a_file_that_a_run_made_here_and_that_is_not_written_any_more_goes(site: Site) -> None:
    site.write("out/x.png", EVIL)
    site.made_here("out/x.png")
    old = site.own(artifact("out/x.png"))
    stored = site.result
    site.forge.record(f"results/{stored.result.code_key}", [[1, site.genuine_digest]])
    history = json.loads(site.genuine_history)
    site.forge.record("history/a.ipynb", {**history, "result": old})
    before = site.tree()
    assert site.build().ran == []
    # The folder stays, since no marked trace says that a run made it.
    assert changes(before, site.tree()) == {"root/out/x.png": None}


def test_a_folder_of_the_user_does_not_go_because_a_stranger_says_that_a_run_made_it(
    site: Site,
) -> None:
    site.write("mine/x.png", EVIL)
    site.made_here("mine/x.png")
    old = site.own(artifact("mine/x.png"))
    stored = site.result
    facts = [{"type": "absent", "path": "mine", "after": "other"}]
    forged = site.forge.result(stored, trace=site.forge.trace(stored, facts=facts))
    site.forge.record(
        f"results/{stored.result.code_key}", [[3, forged], [2, old], [1, site.genuine_digest]]
    )
    history = json.loads(site.genuine_history)
    site.forge.record("history/a.ipynb", {**history, "result": old})
    before = site.tree()
    site.build(execute="force")
    assert changes(before, site.tree()).keys() <= {"root/mine/x.png"}


@pytest.mark.parametrize("kind", ["file", "scan", "kernel", "made", "moving"])
def test_forged_scans(site: Site, kind: str) -> None:
    """What another machine saw does not count: scans, fingerprints, kernels, files of runs."""
    forge = site.forge
    site.write("data/in.csv", "edited")
    site.own(artifact("out.csv", b"out"), content=b"out", trace=_reading_trace(site))
    keys = {
        "file": f"file/{site.root}/data/in.csv",
        "scan": "scan/a.ipynb",
        "kernel": next(iter(forge.keys("kernel/"))),
        "made": "made/mine.csv",
        "moving": "moving/0011223344556677",
    }
    found = (site.root / "data/in.csv").stat()
    stat_now = [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
    values: dict[str, Any] = {
        "file": [stat_now, content_digest(b"1,2\n"), found.st_mtime_ns + 10**10],
        "scan": {**site.marked_record("scan/a.ipynb"), "kernel": "evil", "run_in": "root"},
        "kernel": {**site.marked_record(keys["kernel"]), "variables": {"PATH": "/evil"}},
        "made": {"contents": [[content_digest(b"the user's\n"), checkout_id(site.root)]]},
        "moving": {
            "checkout": checkout_id(site.root),
            "moves": [{"folder": "", "name": "new.csv", "token": "0011223344556677"}],
        },
    }
    site.write(".nbcache-0011223344556677-aside-new.csv", "the user's")
    site.write(".nbcache-0011223344556677-partial", "the user's")
    forge.record(keys[kind], values[kind])
    build = assert_untouched(site)
    assert build.ran == ["a.ipynb"]
    assert "in.csv changed" in build.reasons["a.ipynb"]


def _reading_trace(site: Site) -> str:
    """Return the digest of a trace that says that the result depends on a file of old."""
    fact = {"type": "file", "path": "data/in.csv", "digest": content_digest(b"1,2\n")}
    return site.forge.trace(site.result, facts=[fact])


@pytest.mark.parametrize(
    "move",
    [
        {"folder": "", "name": "../../etc/passwd", "token": "0" * 16},
        {"folder": "../outside", "name": "canary", "token": "0" * 16},
        {"folder": ".git/hooks", "name": "x", "token": "0" * 16},
        {"folder": "", "name": "conf.py", "token": "../../x"},
        {"folder": "", "name": "", "token": "0" * 16},
        {"folder": "", "name": "x\0", "token": "0" * 16},
        {"folder": "/", "name": "x", "token": "0" * 16},
        {"folder": "a" * 5000, "name": "x", "token": "0" * 16},
        {"folder": "data", "name": "x" * 5000, "token": "0" * 16},
    ],
    ids=str,
)
def test_not_even_a_marked_journal_leads_out_of_the_root(site: Site, move: dict[str, str]) -> None:
    """The account itself may have written it for another project: a copy is what a stranger has."""
    for folder in (site.outside, site.root / ".git/hooks", site.root):
        (folder / ".nbcache-0000000000000000-partial").write_text("keep me")
        (folder / ".nbcache-0000000000000000-aside-canary2").write_text("keep me")
    value = {"checkout": checkout_id(site.root), "moves": [move]}
    Forge(site.place, Marks(SCHEMA, say_nothing)).record("moving/0011223344556677", value)
    partial = "root/.nbcache-0000000000000000-partial"
    assert_untouched(site, allowed={partial} if not move["folder"] else ())


FACTS: dict[str, Any] = {
    "memory of the kernel": {"type": "file", "path": "/proc/kcore", "digest": OTHER_DIGEST},
    "endless device": {"type": "file", "path": "/dev/zero", "digest": OTHER_DIGEST},
    "all files": {"type": "declared", "glob": "/**", "digest": OTHER_DIGEST},
    "root of all": {"type": "listing", "path": "/proc", "digest": OTHER_DIGEST},
    "up": {"type": "file", "path": "../outside/canary", "digest": OTHER_DIGEST},
    "NUL": {"type": "file", "path": "a\0b", "digest": OTHER_DIGEST},
    "empty": {"type": "file", "path": "", "digest": OTHER_DIGEST},
    "long": {"type": "file", "path": "x" * 10**6, "digest": OTHER_DIGEST},
    "many dots": {"type": "file", "path": "/." * 10**5, "digest": OTHER_DIGEST},
    "bad pattern": {"type": "listing", "path": ".", "digest": "x", "pattern": "[" * 2000},
    "slow pattern": {"type": "listing", "path": ".", "digest": "x", "pattern": "*a" * 40 + "b"},
    "unknown type": {"type": "evil"},
    "no type": {"path": "x"},
    "location": {"type": "location", "path": "/" * 10**5},
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("fact", FACTS.values(), ids=FACTS)
def test_facts_that_no_run_notes_are_answered_quickly(site: Site, fact: dict[str, Any]) -> None:
    stored = site.result
    site.forge.result(stored, trace=site.forge.trace(stored, facts=[fact]))
    begin = time.process_time()
    assert_untouched(site)
    assert time.process_time() - begin < 10


@pytest.mark.timeout(20)
@pytest.mark.parametrize("before", ["", "/", "/.", "//"])
def test_a_sparse_file_that_came_with_a_store_is_not_hashed(site: Site, before: str) -> None:
    """An archive or a CI cache of a few bytes can hold one: hashing it would take hours."""
    huge = site.place / "huge"
    huge.touch()
    os.truncate(huge, 1 << 42)
    fact = {"type": "file", "path": f"{before}{huge}", "digest": OTHER_DIGEST}
    site.forge.result(site.result, trace=site.forge.trace(site.result, facts=[fact]))
    assert site.build().ran == ["a.ipynb"]


@pytest.mark.parametrize(
    "written",
    ["../../../../proc/kcore", "/proc/kcore", "~/x", "", "a\0b", ".git/config", "/dev/zero"],
)
def test_traces_of_files_that_no_run_writes_do_no_harm(site: Site, written: str) -> None:
    stored = site.result
    found = [{"path": written, "digest": OTHER_DIGEST, "mode": 0o644, "created": True}]
    site.forge.result(stored, trace=site.forge.trace(stored, written=found, removed=[written]))
    assert_untouched(site)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("limits", {"count": n, "size": n}) for n in (0, -1, 1, HUGE, 0.5, "x", None)),
        ("limits", [1, 2]),
        *(("used", {"1": n}) for n in (-1, HUGE, "x", None)),
        *(("used", {number: 1}) for number in ("x", str(HUGE))),
        ("used", [1]),
        *(("next-id", number) for number in (-5, HUGE, "x", None, 0)),
    ],
    ids=str,
)
def test_numbers_of_the_whole_store_do_no_harm(site: Site, key: str, value: Any) -> None:
    site.forge.record(key, value)
    assert assert_untouched(site, execute="force").ran == ["a.ipynb"]


@pytest.mark.parametrize(
    "name",
    ["../outside/evil.ipynb", "{outside}/evil.ipynb", ".git/evil.ipynb", "a\0.ipynb", "", "."],
)
def test_a_list_of_notebooks_does_not_lead_out_of_the_root(site: Site, name: str) -> None:
    code = f"open({str(site.outside / 'owned')!r}, 'w')"
    for folder in (site.outside, site.root / ".git"):
        (folder / "evil.ipynb").write_text(ipynb_text(["%%" + code], {}))
    item = {"id": 1, "name": name.format(outside=site.outside), "assets": ["../../x"]}
    site.forge.record("notebooks", {"next_id": 2, "notebooks": [item]})
    before = site.tree()
    told: list[Notice] = []
    project = Project(
        None,
        base=site.root,
        place=site.place,
        settings=checked_settings({"executor": "local-serial", "kernel_start": "spawn"}),
        notify=told.append,
    )
    run = project.execute(project.plan())
    project.close()
    assert [item.result for item in run.notebooks if item.ran_here] == []
    assert changes(before, site.tree()) == {}
    assert len(told) <= 1


@pytest.mark.parametrize("asset", ["../../outside/canary", "/etc/passwd", "~/x", "a\0b"])
def test_assets_in_a_list_of_notebooks_do_not_lead_out_of_the_folder(
    site: Site, asset: str
) -> None:
    item = {"id": 1, "name": "a.ipynb", "assets": [asset]}
    site.forge.record("notebooks", {"next_id": 2, "notebooks": [item]})
    before = site.tree()
    build = site.build(executor="temp-serial")
    assert changes(before, site.tree()) == {}
    assert len(build.told) <= 1


# -- the folder of the store


def _linked(name: str, target: str) -> Callable[[Site], None]:
    def make(site: Site) -> None:
        path = site.forge.folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.symlink_to(site.outside / target)

    return make


def _piped(name: str) -> Callable[[Site], None]:
    def make(site: Site) -> None:
        (site.forge.folder / name).unlink(missing_ok=True)
        os.mkfifo(site.forge.folder / name)

    return make


def _named_twice(name: str, target: str = "canary") -> Callable[[Site], None]:
    """Give a file of the user a second name, as an archive can do that is unpacked."""

    def make(site: Site) -> None:
        path = site.forge.folder / name
        path.unlink(missing_ok=True)
        path.parent.mkdir(exist_ok=True)
        os.link(site.outside / target, path)

    return make


def _each_lock_is_named_twice(site: Site) -> None:
    for name in [*(f"{number:02x}" for number in range(256)), "moving"]:
        _named_twice(f"locks/{name}.lock")(site)


def _database_of_the_user_is_named_twice(site: Site) -> None:
    _database_of_the_user(site)
    _named_twice("cache.db", "user.db")(site)


def _database_of_the_user(site: Site) -> None:
    with contextlib.closing(sqlite3.connect(site.outside / "user.db")) as database:
        database.execute("CREATE TABLE places (x)")
        database.commit()
    _linked("cache.db", "user.db")(site)


def _store_elsewhere(site: Site) -> None:
    shutil.move(site.forge.folder, site.outside / "store")
    site.forge.folder.symlink_to(site.outside / "store")


def _store_is_a_folder_of_the_user(site: Site) -> None:
    shutil.rmtree(site.forge.folder)
    site.forge.folder.symlink_to(site.outside)


def _store_is_dangling(site: Site) -> None:
    shutil.rmtree(site.forge.folder)
    site.forge.folder.symlink_to(site.outside / "new")


def _store_is_a_file(site: Site) -> None:
    shutil.rmtree(site.forge.folder)
    site.forge.folder.write_text("x")


def _folders_are_links(site: Site) -> None:
    for number in range(256):
        _linked(f"{number:02x}", "")(site)


def _each_lock_is_a_link(site: Site) -> None:
    locks = site.forge.folder / "locks"
    locks.mkdir(exist_ok=True)
    for name in [*(f"{number:02x}" for number in range(256)), "moving"]:
        (locks / f"{name}.lock").unlink(missing_ok=True)
        (locks / f"{name}.lock").symlink_to(site.outside / "canary")


def _moving_lock_is_a_link(site: Site) -> None:
    _linked("cache.db", "new.db")(site)
    name = f"{site.forge.folder.name}.moving.lock"
    (site.place / name).unlink(missing_ok=True)
    (site.place / name).symlink_to(site.outside / "canary")


def _garbage(site: Site) -> None:
    (site.forge.folder / "cache.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)


FOLDERS: dict[str, Callable[[Site], None]] = {
    "locks are elsewhere": _linked("locks", ""),
    "locks are in a new folder": _linked("locks", "new"),
    "each lock is a link": _each_lock_is_a_link,
    "lock of a move": _moving_lock_is_a_link,
    "database of the user": _database_of_the_user,
    "database is a file of the user": _linked("cache.db", "canary"),
    "database would be new": _linked("cache.db", "new.db"),
    "database is a pipe": _piped("cache.db"),
    "database is garbage": _garbage,
    "log is a file of the user": _linked("cache.db-wal", "canary"),
    "log would be new": _linked("cache.db-wal", "new"),
    "shared memory": _linked("cache.db-shm", "canary"),
    "journal": _linked("cache.db-journal", "canary"),
    "sign of damage": _linked("damaged", "canary"),
    "sign of damage would be new": _linked("damaged", "new"),
    "project file": _linked("project.json", "canary"),
    "project file is a pipe": _piped("project.json"),
    "store elsewhere": _store_elsewhere,
    "store is a folder of the user": _store_is_a_folder_of_the_user,
    "store is dangling": _store_is_dangling,
    "store is a file": _store_is_a_file,
    "folders of values": _folders_are_links,
    "locks are files of the user": _each_lock_is_named_twice,
    "database is also elsewhere": _database_of_the_user_is_named_twice,
    "log is also elsewhere": _named_twice("cache.db-wal"),
    "shared memory is also elsewhere": _named_twice("cache.db-shm"),
    "journal is also elsewhere": _named_twice("cache.db-journal"),
    "sign of damage is also elsewhere": _named_twice("damaged"),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("arrange", FOLDERS.values(), ids=FOLDERS)
def test_what_lies_in_the_folder_of_a_store_leads_nowhere(
    site: Site, arrange: Callable[[Site], None]
) -> None:
    arrange(site)
    before = site.tree()
    site.write("a.ipynb", ipynb_text(["%%print(1)\nx = ' ' * 50000\nprint(2, x)"], {}))
    before["root/a.ipynb"] = site.tree()["root/a.ipynb"]
    write_project_file(site.place, site.root, site.root, {})
    read_project_file(site.place)
    build = site.build()
    assert changes(before, site.tree()) == {}
    assert build.ran == ["a.ipynb"]
    assert len(build.told) <= 1, build.texts
    assert changes(before, site.tree()) == {}


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("kind", "level"),
    [
        *((kind, 0) for kind in ("link", "dangling link", "pipe", "endless", "folder", "huge")),
        *((kind, level) for kind in ("link", "dangling link") for level in (1, 2)),
    ],
)
def test_files_of_values_are_read_only_if_they_are_files(site: Site, kind: str, level: int) -> None:
    digest = site.forge.blob(b"x" * 10**5)
    (path,) = site.forge.folder.glob("??/??/*.val")
    stored = site.result
    place = [path, path.parent, path.parent.parent][level]
    aside = site.outside / "aside"
    place.rename(aside)
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    elif kind == "huge":
        with place.open("wb") as sparse:
            sparse.truncate(2**40)
    else:
        targets: dict[str, Path | str] = {
            "link": aside,
            "dangling link": site.outside / "no",
            "endless": "/dev/zero",
        }
        place.symlink_to(targets[kind])
    site.forge.result(stored, outputs=digest, artifacts=[artifact("x.png", b"x" * 10**5)])
    assert assert_untouched(site).ran == ["a.ipynb"]


@pytest.mark.parametrize("kind", ["folder is a link", "database is a link", "content is a link"])
def test_pruning_removes_no_more_than_folders_of_older_stores(site: Site, kind: str) -> None:
    older = site.place / "nbcache-1"
    (site.outside / "store").mkdir()
    (site.outside / "store" / "cache.db").write_text("x")
    if kind == "folder is a link":
        older.symlink_to(site.outside / "store")
    else:
        older.mkdir()
        if kind == "database is a link":
            (older / "cache.db").symlink_to(site.outside / "canary")
        else:
            (older / "cache.db").write_text("x")
            (older / "way").symlink_to(site.outside)
    (site.place / "nbcache-1.moving.lock").symlink_to(site.outside / "canary")
    for name in ("nbcache-99999999", "nbcache-0", "nbcache-1x", "mine"):
        (site.place / name).mkdir()
        (site.place / name / "cache.db").write_text("x")
    before = site.tree()
    told: list[Notice] = []
    project = site.project(told)
    project.results.prune()
    project.close()
    assert changes(before, site.tree()) == {}
    assert sum(path.name != older.name and path.is_dir() for path in site.place.iterdir()) >= 5
    assert older.is_symlink() == (kind == "folder is a link")


def test_a_project_file_without_the_mark_of_the_account_says_nothing(site: Site) -> None:
    write_project_file(site.place, site.root, site.root, {"restore": ["*.csv"]})
    path = site.forge.folder / "project.json"
    assert read_project_file(site.place) is not None
    genuine = json.loads(path.read_text())
    for changed in (
        {"settings": {"restore": ["**"]}},
        {"root": "../../outside"},
        {"mark": ""},
        {"mark": "00" * 32},
        {"mark": "no digits"},
        {"settings": {"environment": {"LD_PRELOAD": "evil.so"}}, "format": 1},
    ):
        path.write_text(json.dumps({**genuine, **changed}))
        assert read_project_file(site.place) is None


def test_a_project_file_of_another_project_of_the_account_says_nothing(site: Site) -> None:
    """The other project may allow more, and lie at another depth."""
    other = site.folder / "other"
    other.mkdir()
    write_project_file(other / "place", other, other, {"restore": ["**"]})
    assert read_project_file(other / "place") is not None
    shutil.copy(other / "place" / site.forge.folder.name / "project.json", site.forge.folder)
    assert read_project_file(site.place) is None
    moved = other.rename(site.folder / "moved")
    assert read_project_file(moved / "place") is not None


def test_a_project_file_of_any_size_is_not_read_into_memory(site: Site) -> None:
    path = site.forge.folder / "project.json"
    path.touch()
    os.truncate(path, 2**41)  # it takes no room
    assert read_project_file(site.place) is None
    write_project_file(site.place, site.root, site.root, {})
    assert read_project_file(site.place) is not None


# -- races


_SWAP = """
import ctypes, os, shutil, sys
root, outside, how = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
folder, link = os.path.join(root, "way"), os.path.join(root, "link")
os.makedirs(folder, exist_ok=True)
os.symlink(outside, link)
print(flush=True)
AT_FDCWD, EXCHANGE = -100, 2
while True:
    if how == "exchange":
        if libc.renameat2(AT_FDCWD, folder.encode(), AT_FDCWD, link.encode(), EXCHANGE):
            sys.exit(3)
    elif how == "replace":
        try:
            os.rename(folder, folder + "-aside")
            os.symlink(outside, folder)
            os.unlink(folder)
            os.rename(folder + "-aside", folder)
        except OSError:  # the build has made the folder anew
            if not os.path.islink(folder):
                shutil.rmtree(folder + "-aside", ignore_errors=True)
    else:
        target = os.path.join(folder, "x.png")
        os.symlink(os.path.join(outside, "canary"), link + "2")
        try:
            os.rename(link + "2", target)
            os.unlink(target)
        except OSError:
            pass
"""


@contextlib.contextmanager
def swapping(site: Site, how: str) -> Iterator[None]:
    """Let another process put a link in the place of a folder or a file, again and again."""
    command = [sys.executable, "-c", _SWAP, str(site.root), str(site.outside), how]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        try:
            yield
            if other.poll() == 3:
                pytest.skip("this system exchanges no names")
            assert other.poll() is None
        finally:
            other.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="swaps by system calls of Linux")
@pytest.mark.parametrize("how", ["exchange", "replace", "target"])
def test_a_folder_that_is_swapped_for_a_link_leads_nowhere(site: Site, how: str) -> None:
    site.forged(artifact("way/x.png"))
    outside = _outside(site)
    placed = 0
    with swapping(site, how):
        end = time.monotonic() + 1
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                placed += _placed(site.root, "way/x.png")
        # The looks of whole builds are further apart.
        for _ in range(20):
            site.build()
    assert changes(outside, _outside(site)) == {}
    # Else nothing was tried: now and then the folder was one.
    assert placed


def _placed(root: Path, name: str) -> bool:
    """Put a file in place, and take it away again, as builds do."""
    with open_folder(root, name, create=True) as (folder, _):
        place(folder, move_of(name), "", [EVIL], 0o644)
        remove_file(folder, move_of(name), content_digest(EVIL))
    return True


def _outside(site: Site) -> Tree:
    return {name: found for name, found in site.tree().items() if name.startswith("outside")}


# -- the mark and the secret


def test_an_added_notebook_is_not_marked(site: Site) -> None:
    (site.root / "x.py").write_bytes(EVIL)
    told: list[Notice] = []
    project = site.project(told)
    project.results.clear()
    project.results.add(site.root / "a.ipynb", validate=False, artifacts=[site.root / "x.py"])
    (stored,) = project.store.all_results()
    assert not stored.is_marked
    assert [artifact.path for artifact in stored.result.artifacts] == ["x.py"]
    project.close()
    (site.root / "x.py").unlink()
    before = site.tree()
    build = site.build()
    assert changes(before, site.tree()) == {}
    assert build.ran == ["a.ipynb"]


def test_the_result_of_a_run_is_marked(site: Site) -> None:
    assert site.result.is_marked


def test_a_copied_store_has_no_mark_of_the_other_account(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.own(artifact("x.py"), artifact("x.png"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "other"))
    assert not any(stored.is_marked for stored in site.forge.genuine())
    assert assert_untouched(site).ran == ["a.ipynb"]
    assert secret_path().is_relative_to(tmp_path)


def test_a_genuine_result_of_other_times_is_used_only_if_what_it_read_is_the_same(
    site: Site,
) -> None:
    """Nothing tells an old genuine result from a new one, but what it depends on must hold."""
    site.own(artifact("x.py"), trace=_reading_trace(site))
    (site.root / "data/in.csv").write_text("edited")
    build = assert_untouched(site)
    assert "data/in.csv changed" in build.reasons["a.ipynb"]
    (site.root / "data/in.csv").write_text("1,2\n")


@pytest.mark.parametrize("moved", ["key", "schema", "content"])
def test_a_mark_counts_for_one_record_in_one_format(site: Site, moved: str) -> None:
    marks = Marks(SCHEMA, say_nothing)
    mark = marks.of("result/a", b"content")
    assert marks.is_ours(mark, "result/a", b"content")
    other = Marks(SCHEMA + 1, say_nothing) if moved == "schema" else marks
    key = "result/b" if moved == "key" else "result/a"
    content = b"other" if moved == "content" else b"content"
    assert not other.is_ours(mark, key, content)
    # Nothing can be moved over the borders between schema, key and content.
    assert not marks.is_ours(mark, "result", b"a\0content")
    assert not marks.is_ours(mark, "result/a\0content", b"")
    assert not marks.is_ours(b"", "result/a", b"content")
    assert not marks.is_ours(mark + b"\0", "result/a", b"content")


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory of a new account."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data"


def is_kept(notify: Notify = say_nothing) -> bool:
    """Tell whether a mark of this process is recognised by another one."""
    mark = Marks(SCHEMA, notify).of("result/a", b"content")
    return Marks(SCHEMA, say_nothing).is_ours(mark, "result/a", b"content")


def test_the_secret_is_private(account: Path) -> None:
    old = os.umask(0)
    try:
        assert is_kept()
    finally:
        os.umask(old)
    path = secret_path()
    assert path.is_relative_to(account)
    assert path.stat().st_mode & 0o7777 == 0o600
    assert path.parent.stat().st_mode & 0o7777 == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert len(path.read_bytes()) == 32


def test_nothing_is_made_where_no_record_is_marked(account: Path) -> None:
    assert not Marks(SCHEMA, say_nothing).is_ours(b"x" * 32, "result/a", b"content")
    assert not account.exists()


@pytest.mark.parametrize("damage", ["readable", "group", "short", "long", "empty", "link", "pipe"])
def test_a_secret_that_is_damaged_or_public_is_replaced(
    account: Path, tmp_path: Path, damage: str
) -> None:
    assert is_kept()
    path = secret_path()
    before = path.read_bytes()
    mark = Marks(SCHEMA, say_nothing).of("result/a", b"content")
    if damage in ("readable", "group"):
        path.chmod(0o604 if damage == "readable" else 0o640)
    elif damage in ("link", "pipe"):
        path.rename(tmp_path / "secret")
        if damage == "link":
            path.symlink_to(tmp_path / "secret")
        else:
            os.mkfifo(path)
    else:
        path.write_bytes({"short": before[:-1], "long": before + b"x", "empty": b""}[damage])
    assert not Marks(SCHEMA, say_nothing).is_ours(mark, "result/a", b"content")
    assert is_kept()
    assert path.read_bytes() != before
    assert path.lstat().st_mode & 0o7777 == 0o600
    if damage == "link":
        assert (tmp_path / "secret").read_bytes() == before


def test_the_secret_of_another_user_is_not_used(account: Path) -> None:
    assert is_kept()
    mark = Marks(SCHEMA, say_nothing).of("result/a", b"content")
    try:
        os.chown(secret_path(), 12345, -1)
    except PermissionError:
        pytest.skip("needs rights")
    assert not Marks(SCHEMA, say_nothing).is_ours(mark, "result/a", b"content")


@pytest.mark.parametrize("where", ["a file", "a folder in the place of the secret"])
def test_secret_of_one_build(
    account: Path, site: Site, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no secret can be kept, what this build marks is recognised by this build alone."""
    if where == "a file":
        account.write_text("no folder")
    else:
        secret_path().mkdir(parents=True)
    marks = Marks(SCHEMA, say_nothing)
    mark = marks.of("result/a", b"content")
    assert marks.is_ours(mark, "result/a", b"content")
    assert not is_kept()
    build = site.build(execute="force")
    assert (build.ran, build.told) == (["a.ipynb"], [])
    assert site.build().ran == []


def test_secret_of_the_environment(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBCACHE_SECRET", "a long and random text")
    assert is_kept()
    mark = Marks(SCHEMA, say_nothing).of("result/a", b"content")
    assert not account.exists()
    monkeypatch.setenv("NBCACHE_SECRET", "another long and random text")
    assert not Marks(SCHEMA, say_nothing).is_ours(mark, "result/a", b"content")
    told: list[Notice] = []
    monkeypatch.setenv("NBCACHE_SECRET", "short")
    assert is_kept(told.append)
    assert [notice.text.partition(" has ")[0] for notice in told] == ["NBCACHE_SECRET"]
    assert account.exists()
    monkeypatch.setenv("NBCACHE_SECRET", "")
    told.clear()
    assert is_kept(told.append)
    assert told == []
    monkeypatch.setenv("NBCACHE_SECRET", " \n" * 20)
    marks = Marks(SCHEMA, told.append)
    guessed = [_mark_by(text, b"") for text in ("", " \n" * 20)]
    assert marks.of("result/a", b"") not in guessed
    monkeypatch.setenv("NBCACHE_SECRET", "a long and random text\n")
    assert Marks(SCHEMA, told.append).is_ours(mark, "result/a", b"content")
    assert told == []


def _mark_by(text: str, content: bytes) -> bytes:
    """Return the mark that anyone can make who knows the text of the secret."""
    secret = hashlib.sha256(text.encode()).digest()
    return hmac.digest(secret, b"%d\0result/a\0%b" % (SCHEMA, content), "sha256")


def test_of_two_processes_that_make_the_secret_at_once_both_have_the_same(account: Path) -> None:
    code = (
        "import sys; from sphinx_nbcache.store.marks import Marks;"
        "print(flush=True); sys.stdin.readline();"
        "print(Marks(2, print).of('result/a', b'content').hex())"
    )
    command = [sys.executable, "-c", code]
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(
                subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            )
            for _ in range(4)
        ]
        for process in started:
            assert process.stdout is not None
            process.stdout.readline()
        found = set()
        for process in started:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        for process in started:
            found.add(process.communicate()[0].strip())
    assert len(found) == 1
    assert [path.name for path in secret_path().parent.iterdir()] == ["secret"]


@pytest.mark.kernel
def test_the_secret_is_in_no_kernels_environment(
    tmp_path: Path, starts: KernelStarts, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "a text that is looked for"
    monkeypatch.setenv("NBCACHE_SECRET", secret)
    code = f"""
import os, glob, subprocess
found = [str(dict(os.environ)), subprocess.check_output("env", text=True)]
pid = os.getpid()
while pid > 1:
    with open(f"/proc/{{pid}}/stat") as file:
        parent = int(file.read().rpartition(")")[2].split()[1])
    try:
        with open(f"/proc/{{pid}}/environ") as file:
            found.append(file.read())
        with open(f"/proc/{{pid}}/cmdline") as file:
            if "pytest" in file.read() or parent == {os.getpid()}:
                break
    except OSError:
        break
    pid = parent
print(len(found), any("{secret[:10]}" "{secret[10:]}" in text for text in found))
"""
    outcome = outcome_of(job(tmp_path, code), starts)
    count, is_there = text(outcome, 1).split()
    assert is_there == "False"
    if sys.platform == "linux":
        assert int(count) >= 3


@pytest.mark.kernel
def test_the_secret_is_not_in_the_environment_of_a_bash_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("bash_kernel")
    argv = [sys.executable, "-m", "bash_kernel", "-f", "{connection_file}"]
    spec = tmp_path / "jupyter/kernels/bash/kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps({"argv": argv, "display_name": "Bash", "language": "bash"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("NBCACHE_SECRET", "a text that is looked for")
    outcome = outcome_of(job(tmp_path, "env; echo done", kernel="bash", language="bash"))
    assert "done" in text(outcome, 1)
    assert "NBCACHE_SECRET" not in text(outcome, 1)


def test_the_secret_is_not_in_the_environment_of_commands_in_pages(tmp_path: Path) -> None:
    given = {"NBCACHE_SECRET": "a text that is looked for", "OTHER": "x"}
    found = variables(given, tmp_path, tmp_path)
    assert found["OTHER"] == "x"
    assert "a text that is looked for" not in found.values()
