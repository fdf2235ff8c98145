"""Names of paths: the same in every checkout, and none for what does not count."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sphinx_nbcache.traces.facts import Location
from sphinx_nbcache.traces.names import PathNames


def places(**options: object) -> PathNames:
    given = {"root": "/projects/book", "home": "/home/me", "temporary": ("/tmp",), **options}
    return PathNames(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/projects/book/data/a.csv", "data/a.csv"),
        ("/projects/book", "."),
        ("/projects/book/./data//a.csv", "data/a.csv"),
        ("/projects/book/x/../data/a.csv", "data/a.csv"),
        ("/projects/book/a..b/c", "a..b/c"),
        ("/projects/bookshelf/a.csv", "/projects/bookshelf/a.csv"),
        ("/home/me/data/a.csv", "~/data/a.csv"),
        ("/home/meyer/a.csv", "/home/meyer/a.csv"),
        ("/mnt/data/a.csv", "/mnt/data/a.csv"),
        ("/projects/book/~/a", "./~/a"),
        ("/projects/book/größe.csv", "größe.csv"),
        ("/projects/book/history.sqlite", "history.sqlite"),
        ("/projects/book/.cache/a", ".cache/a"),
        ("/projects/book/the-journal", "the-journal"),
        ("/projects/book/old.pyc", "old.pyc"),
    ],
)
def test_a_path_has_a_name_and_a_name_a_path(path: str, name: str) -> None:
    assert places().name_of(path) == name
    assert places().path_of(name) == os.path.normpath(path)


def test_without_a_folder_for_temporary_files_there_are_places(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr("tempfile.gettempdir", full)
    assert PathNames("/projects/book").temporary == ()


@pytest.mark.parametrize(
    "path",
    [
        "/projects/book/__pycache__/a.cpython-311.pyc",
        "/projects/book/.ipynb_checkpoints/a.ipynb",
        "/projects/book/_build/html/index.html",
        "/projects/book/_build",
        "/projects/book/logs/today.txt",
        "/projects/book/results.db-journal",
        "/projects/book/.venv/lib/python3.11/site-packages/a.py",
        "/home/me/.cache/matplotlib/fontlist-v390.json",
        "/home/me/.config/matplotlib/fontlist-v390.json",
        "/usr/share/fonts/a.ttf",
        "/home/you/.cache/matplotlib/fontlist-v3.11.0.json",
        "/var/tmp/fontlist-v3.11.0.json",
        "/home/me/.ipython/profile_default/history.sqlite",
        "/somewhere/ipykernel_123/456.py",
        "/etc/localtime",
        "/proc/self/maps",
    ],
)
def test_what_never_counts_has_no_name(path: str) -> None:
    where = places(
        ignored=("/projects/book/_build", "/projects/book/.venv/lib"), globs=("logs/*", "*.log")
    )
    assert where.name_of(path) is None


def test_the_innermost_directory_decides() -> None:
    where = places(root="/usr/src/book", ignored=("/usr/src/book/.venv", "/usr/src"))
    assert where.name_of("/usr/src/book/a.csv") == "a.csv"
    assert where.name_of("/usr/src/book/.venv/a.csv") is None
    assert where.name_of("/usr/src/a.csv") is None


@pytest.mark.parametrize("name", ["../a", "a/../../b", "~/../you/a", "/projects/../etc/a", "a\0b"])
def test_a_name_of_somebody_else_leads_nowhere(name: str) -> None:
    assert places().path_of(name) is None


def test_a_name_of_what_does_not_count_leads_nowhere() -> None:
    where = places(ignored=("/projects/book/_build", "/projects"))
    assert where.path_of("_build/huge") is None
    assert where.path_of("./_build/./huge") is None
    assert where.path_of("/projects/shelf/huge") is None
    assert where.path_of("data/a.csv") == "/projects/book/data/a.csv"
    assert where.path_of("/mnt/data/a.csv") == "/mnt/data/a.csv"


def test_a_root_behind_a_link_has_two_paths(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    (real / "a").touch()
    link.symlink_to(real)
    for root, other in ((link, real), (real, link)):
        where = places(root=str(root))
        assert where.name_of(str(root / "a")) == where.name_of(str(other / "a")) == "a"


def test_dots_go_up_from_where_a_link_leads(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "far" / "deep").mkdir(parents=True)
    (tmp_path / "root" / "link").symlink_to(tmp_path / "far" / "deep")
    where = places(root=str(tmp_path / "root"))
    name = where.name_of(str(tmp_path / "root" / "link" / ".." / "a"))
    assert name == str((tmp_path / "far" / "a").resolve())


def test_a_name_that_is_not_utf8_can_be_kept() -> None:
    path = os.fsdecode(b"/projects/book/caf\xe9.csv")
    name = places().name_of(path)
    assert name is not None
    assert msgspec.json.decode(msgspec.json.encode(name)) == name
    assert places().path_of(name) == path


def test_temporary_files_are_those_outside_of_the_root() -> None:
    where = places(root="/tmp/book")
    assert where.is_temporary("/tmp/x")
    assert not where.is_temporary("/tmp/book/x")
    assert not where.is_temporary("/projects/x")


def test_caches_and_ignored_names_are_left_out_of_listings() -> None:
    where = places(ignored=("/projects/book/_build",), globs=("*.log",))
    assert [n for n in ("a.csv", "__pycache__/", "_build/", "x.log") if where.keeps(".", n)] == [
        "a.csv"
    ]
    assert where.keeps("data", "_build/")
    assert not where.keeps("~/x", "__pycache__/")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see /projects/book/data", [Location("/projects/book")]),
        ("'/projects/book'", [Location("/projects/book")]),
        ("/projects/bookshelf and /projects/book-2", []),
        ("/home/me/x", [Location("/home/me", home=True)]),
        ("/home/meyer", []),
        ("nothing", []),
    ],
)
def test_texts_that_mention_the_place_are_found(text: str, found: list[Location]) -> None:
    assert list(Location.mentioned([text, "other"], places())) == found


def test_a_root_in_the_home_directory_is_no_mention_of_home() -> None:
    where = places(root="/home/me/book")
    assert list(Location.mentioned(["/home/me/book/a"], where)) == [Location("/home/me/book")]


@given(st.text())
def test_any_name_is_safe(name: str) -> None:
    path = places().path_of(name)
    assert path is None or Path(path).is_absolute()
