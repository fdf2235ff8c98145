"""Digests of files and listings of directories: looked at once, and never stale."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sphinx_nbcache.files.stats import Stat
from sphinx_nbcache.traces import fingerprints as module
from sphinx_nbcache.traces.fingerprints import Fingerprint, Fingerprints, matching

SECOND = 1_000_000_000
OLD = 1_600_000_000 * SECOND + 123_456_789


def later() -> int:
    """Return a time at which everything that was written in a test is old."""
    return time.time_ns() + 10 * SECOND


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that were hashed."""
    paths: list[str] = []
    original = module._hash_file  # noqa: SLF001

    def counting(path: str) -> tuple[str, Stat, Stat]:
        paths.append(path)
        return original(path)

    monkeypatch.setattr(module, "_hash_file", counting)
    return paths


def test_a_file_is_hashed_once_a_build(tmp_path: Path, hashed: list[str]) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"1")
    prints = Fingerprints()
    assert [prints.digest(str(file)) for _ in range(3)] == [sha(b"1")] * 3
    assert len(hashed) == 1


def test_an_unchanged_file_is_not_hashed_by_later_builds(tmp_path: Path, hashed: list[str]) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"1")
    first = Fingerprints(now_ns=later)
    first.digest(str(file))
    second = Fingerprints(first.fresh)
    assert second.digest(str(file)) == sha(b"1")
    assert len(hashed) == 1
    assert second.fresh == {}


def test_a_change_within_the_same_tick_of_the_clock_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"1")
    first = Fingerprints()
    first.digest(str(file))
    # The stat is as it was, to the nanosecond: only the time of hashing tells that it is fresh.
    file.write_bytes(b"2")
    remembered = {
        path: Fingerprint(Stat.of(file), print_.digest, print_.seen_ns)
        for path, print_ in first.fresh.items()
    }
    assert Fingerprints(remembered).digest(str(file)) == sha(b"2")


def test_a_size_and_time_that_were_put_back_do_not_hide_a_change(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"1")
    os.utime(file, ns=(OLD, OLD))
    first = Fingerprints(now_ns=later)
    first.digest(str(file))
    time.sleep(0.02)
    file.write_bytes(b"2")
    os.utime(file, ns=(OLD, OLD))
    assert Fingerprints(first.fresh).digest(str(file)) == sha(b"2")


def test_large_files_are_hashed_in_pieces(tmp_path: Path) -> None:
    file = tmp_path / "a"
    content = os.urandom(1 << 16) * 50
    file.write_bytes(content)
    assert Fingerprints().digest(str(file)) == sha(content)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders")
def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    prints = Fingerprints()
    assert prints.digest(str(tmp_path / "pipe")) is None
    assert prints.digest("/dev/zero") is None
    assert prints.digest(str(tmp_path)) is None
    assert prints.digest(str(tmp_path / "missing")) is None
    assert prints.digest("with\0null") is None


def test_a_file_that_cannot_be_read_has_no_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"1")

    def refuse(*arguments: Any, **options: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "open", refuse)
    assert Fingerprints().digest(str(file)) is None


def test_a_file_that_changes_while_it_is_hashed_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"0")
    real = os.fstat

    def look_and_write(descriptor: int) -> os.stat_result:
        found = real(descriptor)
        with file.open("ab") as other:
            other.write(b"1")
        return found

    monkeypatch.setattr(os, "fstat", look_and_write)
    prints = Fingerprints(now_ns=later)
    assert prints.digest(str(file)) is not None
    assert prints.fresh == {}


def test_renewing_hashes_only_what_changed(tmp_path: Path, hashed: list[str]) -> None:
    same, other = tmp_path / "same", tmp_path / "other"
    for file in (same, other):
        file.write_bytes(b"1")
        os.utime(file, ns=(OLD, OLD))
    prints = Fingerprints(now_ns=later)
    for file in (same, other):
        prints.digest(str(file))
    other.write_bytes(b"22")
    for file in (same, other):
        prints.renew(str(file))
    assert prints.digest(str(same)) == sha(b"1")
    assert prints.digest(str(other)) == sha(b"22")
    assert hashed == [str(same), str(other), str(other)]


def test_what_was_forgotten_is_looked_at_again(tmp_path: Path) -> None:
    file = tmp_path / "a"
    prints = Fingerprints()
    assert prints.digest(str(file)) is None
    assert prints.listing(str(tmp_path)) == ()
    file.write_bytes(b"1")
    assert prints.digest(str(file)) is None
    prints.forget([str(file)])
    assert prints.digest(str(file)) == sha(b"1")
    assert prints.listing(str(tmp_path)) == ("a",)


def test_a_listing_tells_directories_from_files(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a").write_bytes(b"")
    (tmp_path / "c").symlink_to(tmp_path / "b")
    assert Fingerprints().listing(str(tmp_path)) == ("a", "b/", "c/")
    assert Fingerprints().listing(str(tmp_path / "missing")) is None


def test_names_that_were_not_asked_for_do_not_match() -> None:
    names = ("a.csv", "b.csv", "c.txt", "d.csv/")
    assert matching(names, "*.csv", folders=False) == ("a.csv", "b.csv", "d.csv/")
    assert matching(names, "", folders=True) == ("d.csv/",)
    assert matching(names, "*.csv", folders=False, without=("a.csv", "d.csv")) == ("b.csv",)


class Builds(RuleBasedStateMachine):
    """Files change between builds in every way; digests are always those of the content."""

    @initialize()
    def start(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        self.prints = Fingerprints()

    def teardown(self) -> None:
        if hasattr(self, "_folder"):
            self._folder.cleanup()

    names = st.sampled_from("abc")

    @rule(name=names, content=st.sampled_from([b"1", b"2", b"33"]))
    def edit(self, name: str, content: bytes) -> None:
        (self.folder / name).write_bytes(content)

    @rule(name=names, content=st.sampled_from([b"1", b"2"]))
    def edit_and_put_time_back(self, name: str, content: bytes) -> None:
        path = self.folder / name
        times = path.stat().st_mtime_ns if path.exists() else OLD
        path.write_bytes(content)
        os.utime(path, ns=(times, times))

    @rule(name=names, age=st.sampled_from([0, 1, 5 * SECOND]))
    def touch(self, name: str, age: int) -> None:
        path = self.folder / name
        if path.exists():
            os.utime(path, ns=(OLD - age, OLD - age))

    @rule(name=names)
    def delete(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)

    @rule(name=names, to=names)
    def rename(self, name: str, to: str) -> None:
        if (self.folder / name).exists():
            (self.folder / name).replace(self.folder / to)

    @rule()
    def build(self) -> None:
        self.prints = Fingerprints({**self.prints.remembered, **self.prints.fresh})

    @rule(name=names)
    def renew(self, name: str) -> None:
        self.prints.renew(str(self.folder / name))
        self.agree([name])

    @invariant()
    def a_new_build_sees_what_is_there(self) -> None:
        if not hasattr(self, "prints"):
            return
        self.build()
        self.agree("abc")

    def agree(self, names: Any) -> None:
        for name in names:
            path = self.folder / name
            expected = sha(path.read_bytes()) if path.exists() else None
            assert self.prints.digest(str(path)) == expected


TestBuilds = Builds.TestCase


@given(st.lists(st.text("ab*?[]/.", max_size=5), max_size=5), st.text("ab*?[]", max_size=4))
def test_matching_names_keep_their_order(names: list[str], pattern: str) -> None:
    found = matching(names, pattern, folders=False)
    assert list(found) == [name for name in names if name in found]
