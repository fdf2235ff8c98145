"""Names at which nothing is ever put back, in every spelling that some file system accepts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sphinx_nbcache.files.protected import is_inert, is_page, look_alike, plain_component, why_never


@pytest.mark.parametrize(
    "name",
    [
        *(".git/hooks/post-checkout", ".GIT/config", "sub/.git/config", ".git./config"),
        *(".git /config", ".g\u200cit/config", "git~1/config", ".git::$INDEX_ALLOCATION/config"),
        *("\uff0egit/config", ".git", ".hg/hgrc", ".svn/x", ".jj/x", "CVS/Root"),
        *("conf.py", "docs/conf.py", "Conf.PY", "conf.py.", "conf.py ", "conf.py::$DATA"),
        *("out/ ", "out/...", "\u200b/x"),
    ],
)
def test_version_control_and_configuration_are_never_written(name: str) -> None:
    assert why_never(name) is not None


@pytest.mark.parametrize("name", ["a.csv", ".gitignore", "git/x", "out/myconf.py", ".github/x.yml"])
def test_other_names_may_be_written(name: str) -> None:
    assert why_never(name) is None


@pytest.mark.parametrize("name", ["a.png", "a/B.PNG", "x.csv", "x.tar.npz", "é.webp"])
def test_bitmaps_and_data_may_come_from_anyone(name: str) -> None:
    assert is_inert(name)


@pytest.mark.parametrize(
    "name",
    [
        *("a.py", "a.svg", "a.html", "a.pkl", "a", "png", ".png", "a.png.py", "a.png/b"),
        *("a.png ", "a.png.", "a.p\u200bng", "a.png:x.py", "a.py:x.png", "a.jpeg", "a.json"),
    ],
)
def test_all_else_needs_a_mark(name: str) -> None:
    assert not is_inert(name)


def test_pages_are_known_by_their_suffix() -> None:
    assert all(map(is_page, ["a.md", "b/A.RST", "c.ipynb", "a.md."]))
    assert not any(map(is_page, ["a.csv", "md", "a.md/b.csv"]))
    assert is_page("a.txt", (".txt",))


@given(st.text(alphabet="aAéÉ\u0301.e \u200c:", min_size=1, max_size=6))
def test_the_plain_form_of_a_plain_form_is_itself(part: str) -> None:
    assert plain_component(plain_component(part)) == plain_component(part)


def test_names_that_differ_only_in_spelling_are_found() -> None:
    entries = ["README", "caf\u00e9", "plot"]
    for part in ("readme", "cafe\u0301", "plot.", "PLOT"):
        assert look_alike(part, entries) is not None
    for part in ("README", "plots", "caf"):
        assert look_alike(part, entries) is None


def test_names_with_times_differ_in_more_than_their_spelling() -> None:
    assert look_alike("T12:45.png", ["T12:30.png"]) is None
    assert look_alike("T12:45.png", ["T12:30.png", "t12:45.PNG"]) == "t12:45.PNG"
    assert look_alike("a:b", ["a"]) == "a"
    assert look_alike("a", ["a:b"]) == "a:b"
