"""Which files git tracks, wherever the repository begins."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sphinx_nbcache.files.protected import Tracked


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def write(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with two tracked files."""
    top = tmp_path / "top"
    for name in ("a.txt", "docs/Café.txt"):
        write(top / name)
    git(top, "init", "-q")
    git(top, "add", "-A")
    git(top, "commit", "-qm", "x")
    return top


def test_tracked_files_are_known_also_when_they_are_deleted(repository: Path) -> None:
    write(repository / "other.txt")
    (repository / "a.txt").unlink()
    tracked = Tracked(repository)
    assert "a.txt" in tracked
    assert "docs/Café.txt" in tracked
    assert "other.txt" not in tracked
    assert "docs/missing/x" not in tracked


def test_a_file_that_is_added_later_is_tracked_from_then_on(repository: Path) -> None:
    tracked = Tracked(repository)
    (repository / "later.txt").write_text("later")
    assert "later.txt" not in tracked
    git(repository, "add", "later.txt")
    assert "later.txt" in tracked
    git(repository, "rm", "--cached", "-q", "later.txt")
    assert "later.txt" not in tracked


def test_a_repository_that_is_made_later_in_a_folder_counts_from_then_on(repository: Path) -> None:
    tracked = Tracked(repository)
    write(repository / "out" / "x.csv")
    assert "out/x.csv" not in tracked
    git(repository / "out", "init", "-q")
    git(repository / "out", "add", "x.csv")
    assert "out/x.csv" in tracked


def test_names_that_differ_only_in_spelling_count_as_tracked(repository: Path) -> None:
    tracked = Tracked(repository)
    for name in ("A.TXT", "docs/cafe\u0301.txt", "a.txt."):
        assert name in tracked


def test_the_repository_may_begin_above_the_root_or_below_it(repository: Path) -> None:
    assert "Café.txt" in Tracked(repository / "docs")
    inner = repository / "inner"
    write(inner / "b.txt")
    git(inner, "init", "-q")
    git(inner, "add", "-A")
    assert "inner/b.txt" in Tracked(repository)


def test_files_of_submodules_and_other_work_trees_are_tracked(
    repository: Path, tmp_path: Path
) -> None:
    git(repository, "worktree", "add", "-q", str(tmp_path / "tree"))
    assert "a.txt" in Tracked(tmp_path / "tree")
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "-q")
    git(outer, "submodule", "add", "-q", str(repository), "sub")
    assert "sub/a.txt" in Tracked(outer)


def test_variables_of_a_git_hook_do_not_mislead(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "no-index"))
    assert "a.txt" in Tracked(repository)


def test_where_git_cannot_be_asked_files_that_are_there_count_as_tracked(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(repository / "other.txt")
    monkeypatch.setenv("PATH", "")
    tracked = Tracked(repository)
    assert "other.txt" in tracked
    assert "missing.txt" not in tracked


def test_a_file_is_clean_if_git_has_its_content(repository: Path) -> None:
    write(repository / "[a].txt")
    tracked = Tracked(repository)
    assert tracked.is_clean("a.txt")
    assert not tracked.is_clean("[a].txt")
    (repository / "a.txt").write_text("edited")
    assert not tracked.is_clean("a.txt")


def test_without_a_repository_nothing_is_tracked(tmp_path: Path) -> None:
    write(tmp_path / "a.txt")
    assert "a.txt" not in Tracked(tmp_path)


def test_programs_that_the_repository_names_are_not_run(repository: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    program = write(tmp_path / "program", f"#!/bin/sh\ntouch '{ran}'\n")
    program.chmod(0o755)
    for option in ("core.fsmonitor", "diff.external"):
        git(repository, "config", option, str(program))
    (repository / "a.txt").write_text("edited")
    tracked = Tracked(repository)
    assert "a.txt" in tracked
    assert not tracked.is_clean("a.txt")
    assert not ran.exists()
