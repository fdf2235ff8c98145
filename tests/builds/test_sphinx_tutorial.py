"""The tutorial, followed step by step: the files and the log lines are those of the page."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.kernel
PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")


def block(language: str, number: int) -> str:
    """Return a block of code of the page, counted from 0 among those of its language."""
    fence = r"^(`{3,4})" + language + r"\n(.*?)^\1$"
    found: list[tuple[str, str]] = re.findall(fence, PAGE, flags=re.MULTILINE | re.DOTALL)
    return found[number][1]


def build(folder: Path, expected: int, *arguments: str) -> None:
    """Build, and compare what is printed with a block of the page, apart from times."""
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *arguments, "-b", "html", ".", "_build/html"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    printed = _without_times(done.stdout + done.stderr).replace(str(folder), "…")
    for line in _without_times(block("text", expected)).splitlines():
        if line != "…":
            assert line in printed, printed


def _without_times(text: str) -> str:
    return re.sub(r"\d+(\.\d+)? (s|ms)\b", "TIME", text)


def edit(folder: Path, name: str, old: str, new: str) -> None:
    path = folder / name
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_the_tutorial_shows_what_is_printed(tmp_path: Path) -> None:
    (tmp_path / "conf.py").write_text(block("python", 0))
    (tmp_path / "index.md").write_text(block("markdown", 0))
    (tmp_path / "dice.md").write_text(block("markdown", 1))
    build(tmp_path, 0)
    build(tmp_path, 1)
    edit(tmp_path, "dice.md", "each sum come up", "each sum of two dice come up")
    build(tmp_path, 2)
    edit(tmp_path, "dice.md", "'*'", "'#'")
    build(tmp_path, 3)
    edit(tmp_path, "dice.md", "'#'", "'*'")
    build(tmp_path, 4)
    edit(tmp_path, "dice.md", "    print(", "    prnt(")
    build(tmp_path, 5)
    edit(tmp_path, "dice.md", "    prnt(", "    print(")
    build(tmp_path, 4)
    (tmp_path / "title.txt").write_text("Two dice\n")
    with (tmp_path / "dice.md").open("a") as file:
        file.write("\n" + block("markdown", 2))
    subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-b", "html", ".", "_build/html"],
        cwd=tmp_path,
        check=True,
    )
    (tmp_path / "title.txt").write_text("Two fair dice\n")
    build(tmp_path, 6)
    assert "Two fair dice" in (tmp_path / "_build" / "html" / "dice.html").read_text()
    build(tmp_path, 7, "-D", "nbcache_execute=force")
