"""A store that a stranger can write to changes nothing of the user's (see `tests/forging.py`)."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import unicodedata
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
from cell_runner import CellRunner
from forging import EVIL, NO_MARK, Build, Site, artifact, changes, git
from tracing import Shells

import sphinx_nbcache.execution.run
from sphinx_nbcache.notices import Notice
from sphinx_nbcache.project.run import notices_of

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="runs cells in forks")


@pytest.fixture(scope="module")
def runner() -> Iterator[CellRunner]:
    server = Shells()
    yield CellRunner(server)
    server.close()


@pytest.fixture(autouse=True)
def _in_forks(runner: CellRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sphinx_nbcache.execution.run, "run", runner.run)


@pytest.fixture(scope="module")
def genuine(runner: CellRunner, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A checkout whose only notebook was run by this account."""
    site = Site(tmp_path_factory.mktemp("genuine") / "site")
    site.make("print(1)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sphinx_nbcache.execution.run, "run", runner.run)
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
@pytest.mark.parametrize("by", ["forged", "own"])
def test_what_is_no_name_under_the_root_is_never_written(site: Site, by: str, path: Any) -> None:
    getattr(site, by)(artifact(path))
    assert_untouched(site)


@pytest.mark.parametrize("path", NEVER.values(), ids=NEVER)
@pytest.mark.parametrize("by", ["forged", "own"])
def test_some_names_are_never_written_whoever_made_the_result(
    site: Site, by: str, path: str
) -> None:
    getattr(site, by)(artifact(path))
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


@pytest.mark.parametrize("path", INERT)
@pytest.mark.parametrize("mode", [0o755, 0])
def test_without_a_mark_data_and_bitmaps_come_back_where_nothing_is(
    site: Site, path: str, mode: int
) -> None:
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
def test_with_the_mark_every_kind_comes_back_as_it_was(site: Site, path: str, mode: int) -> None:
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


def test_nbcache_restore_allows_files_without_a_mark(site: Site) -> None:
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
@pytest.mark.parametrize("by", ["forged", "own"])
def test_what_is_in_the_way_stays_as_it_is(
    site: Site, by: str, arrange: Callable[[Site], None]
) -> None:
    arrange(site)
    getattr(site, by)(artifact("way/x.png"))
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
