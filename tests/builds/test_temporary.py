"""Builds whose notebooks work in temporary folders, and what such builds leave behind."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pytest
from support import Book

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX"),
]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's folder of temporary files, for the builds of a test."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def left_in(temporary: Path) -> list[Path]:
    return sorted(temporary.glob("nbcache-*"))


def wait_for(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.05)


def slow_notebook(book: Book, mark: Path) -> None:
    """Write a notebook that makes files, then a mark, and then takes long."""
    book.conf(executor="temp-serial")
    book.index("a")
    book.myst("a.md", f"%%\nopen('made', 'w').close()\nopen({str(mark)!r}, 'w').close()")
    with (book.folder / "a.md").open("a", encoding="utf-8") as file:
        file.write("\n```{code-cell}\nimport time; time.sleep(100)\n```\n")


def test_a_build_in_temporary_folders_leaves_nothing_behind(book: Book, temporary: Path) -> None:
    book.conf(executor="temp-parallel", retry_failed="always")
    book.index("good", "bad", "missing")
    book.myst("good.md", "%%\nopen('made', 'w').write('made')\nprint('well done')")
    book.myst("bad.md", "%%\nopen('made', 'w').close()\n1 / 0")
    book.myst("missing.md", nbcache={"assets": ["no.csv"]})
    sources = book.sources()
    built = book.build()
    assert "well done" in book.page("good")
    assert sorted(built.ran) == ["bad.md", "good.md"]
    assert "missing.md" in built.warnings
    assert "its asset no.csv does not exist" in built.warnings
    assert "its asset no.csv does not exist" in book.page("nbcache-report")
    assert book.sources() == sources
    assert left_in(temporary) == []
    # The failures are tried again, the other one is not.
    assert book.build().ran == ("bad.md",)


def test_ctrl_c_removes_the_temporary_folders(book: Book, temporary: Path, tmp_path: Path) -> None:
    mark = tmp_path / "running"
    slow_notebook(book, mark)
    build = book.start()
    wait_for(mark)
    assert left_in(temporary) != []
    build.send_signal(signal.SIGINT)
    log, _ = build.communicate(timeout=30)
    assert build.returncode != 0
    assert "Traceback" not in log
    assert left_in(temporary) == []


def test_what_a_killed_build_leaves_is_removed_by_the_next_one(
    book: Book, temporary: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "running"
    slow_notebook(book, mark)
    build = book.start()
    wait_for(mark)
    build.kill()
    build.communicate()
    assert left_in(temporary) != []
    book.myst("a.md", "%%\nprint('shorter')")
    built = book.build()
    assert (built.status, built.ran) == (0, ("a.md",))
    assert left_in(temporary) == []


def test_two_builds_at_once_run_each_notebook_once_and_leave_nothing(
    book: Book, temporary: Path
) -> None:
    names = [f"n{number}" for number in range(4)]
    book.conf(executor="temp-parallel", jobs=2)
    book.index(*names)
    for name in names:
        book.myst(f"{name}.md", f"%%\nopen('made', 'w').write({name!r})\nprint('done', 'here')")
    builds = [
        book.start(output="one", trees="trees-one"),
        book.start(output="two", trees="trees-two", builder="dirhtml"),
    ]
    logs = [build.communicate(timeout=120)[0] for build in builds]
    assert [build.returncode for build in builds] == [0, 0], logs
    assert not any("WARNING" in log for log in logs), logs
    assert sorted(book.runs()) == [f"{name}.md" for name in names]
    assert left_in(temporary) == []
    for name in names:
        assert "done here" in book.page(name, output="one")
