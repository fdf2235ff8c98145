"""A store that a stranger can write to changes nothing of the user's (see `tests/forging.py`)."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
from cell_runner import CellRunner
from forging import EVIL, NO_MARK, Build, Site, artifact, changes
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
    assert build.shown == {"a.ipynb": "1\n"}
    # What was said once is not said in every build.
    again = site.build()
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
