"""Real builds that are killed at any moment, and users who save meanwhile.

Moments are times here, not points, and everything really runs at once. So only what must not be
changed at all is checked: a file that a user saved is there, byte for byte, unless a cell wrote to
it at the same time or later. Cells keep a log of what they write.

`NBCACHE_USER_BUILDS` sets how many sequences are tried, and `NBCACHE_USER_FILES_SEED` which. The
session `user-files` of nox tries many.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import processes
import pytest
from support import Book
from user_files import (
    ELSEWHERE,
    NAMES,
    NOTEBOOKS,
    PLAIN_ACTS,
    READS,
    Cell,
    User,
    new_repository,
    save_notebook,
    some_code,
    sources,
)

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(sys.platform != "linux", reason="kills builds"),
]

PARTS = 2
BUILDS = 4
# A build takes about this long; kills and saves come before.
SECONDS = 1.5
WRITTEN = tuple(name for name in NAMES if name != "conf.py")


@dataclass
class Expected:
    """The content that a file must have: a user gave it to the file not before this time."""

    content: bytes
    since: int


@dataclass
class Desk:
    """Someone who works on a book while builds run.

    Attributes:
        book: The book.
        log: Where cells say before and after each write what they write to, and when.
        expected: The files that must be there, by name.
    """

    book: Book
    log: Path
    chance: Random
    expected: dict[str, Expected] = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.user = User(self.book.folder, self.log.with_name("outside.txt"))
        self.names = self.chance.sample(WRITTEN, 2)
        self.codes: dict[str, list[list[Cell]]] = {}

    def begin(self) -> None:
        self.user.save(self.user.outside)
        new_repository(self.book.folder)
        self.book.conf(text="suppress_warnings = ['nbcache', 'toc']", on_error="report")
        self.book.index()
        for name in ("conf.py", "index.rst"):
            self._expect(name)
        for name in NOTEBOOKS[:2]:
            self.codes[name] = [some_code(self.chance, self.names) for _ in range(2)]
            self._edit(name)

    def change_code(self) -> None:
        name = self.chance.choice(list(self.codes))
        self.codes[name].reverse()
        self._edit(name)

    def act(self) -> None:
        """Do something to a file, and expect that nothing but a cell undoes it."""
        kind, name = self.chance.choice(PLAIN_ACTS), self.chance.choice(self.names)
        self.events[kind] += 1
        before = time.monotonic_ns()
        for path in (name, f"{name}/inner.txt"):
            self.expected.pop(path, None)
        if kind == "rename":
            for path in ELSEWHERE:
                self.expected.pop(path, None)
        with suppress(OSError):
            self.user.do(kind, self.book.folder / name)
        for path in (name, f"{name}/inner.txt", *ELSEWHERE):
            self._expect(path, before)

    def check(self) -> None:
        """Compare the files with what they must be, after a build that came to its end."""
        for name, last in self._written().items():
            if name in self.expected and last >= self.expected[name].since:
                del self.expected[name]
        for name, expected in self.expected.items():
            path = self.book.folder / name
            found = path.read_bytes() if path.is_file() else None
            assert found == expected.content, f"{name}: {expected.content!r} -> {found!r}"
            self.events["kept"] += 1

    def _edit(self, name: str) -> None:
        code = self.codes[name][0]
        cells = [
            source if kind in READS else self._logged(written, source)
            for (kind, written, _), source in zip(code, sources(name, code), strict=True)
        ]
        save_notebook(self.book.folder / name, cells)
        self.expected.pop(name, None)
        self._expect(name)

    def _logged(self, name: str, source: str) -> str:
        say = "print({0!r}, __import__('time').monotonic_ns(), {1!r}, file=open({2!r}, 'a'))"
        begin, end = (say.format(at, name, str(self.log)) for at in ("begin", "end"))
        return f"{begin}\n{source}\n{end}"

    def _expect(self, name: str, before: int = 0) -> None:
        """Expect that a file stays as it is, if a user gave it its content."""
        path = self.book.folder / name
        if path.is_symlink() or not path.is_file():
            return
        content = path.read_bytes()
        if before == 0 or content.startswith(b"the user's") or b"the user's" in content:
            self.expected[name] = Expected(content, before)

    def _written(self) -> dict[str, int]:
        """Return when cells last may have written to files; a cell that was killed, at any time."""
        begun: Counter[str] = Counter()
        last: dict[str, int] = {}
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        for line in lines:
            word, at, name = line.split(" ", 2)
            begun[name] += 1 if word == "begin" else -1
            last[name] = int(at)
        return {n: sys.maxsize if begun[n] else last[n] for n in last}


def play(desk: Desk) -> None:
    desk.begin()
    for number in itertools.count(1):
        is_last = number == BUILDS
        build = desk.book.start()
        if not is_last and desk.chance.random() < 0.5:
            delay, victim = desk.chance.uniform(0, SECONDS), build
            threading.Thread(target=_kill_later, args=(victim, delay)).start()
        for _ in range(0 if is_last else desk.chance.randrange(4)):
            time.sleep(desk.chance.uniform(0, SECONDS / 3))
            desk.act()
        output, _ = build.communicate(timeout=60)
        assert "Traceback (most recent call last):\n  File" not in output, output
        if build.returncode == 0:
            desk.check()
        desk.events["killed"] += build.returncode == -signal.SIGKILL
        if is_last:
            assert build.returncode == 0, output
            return
        desk.change_code()
        if desk.chance.random() < 0.3:
            desk.act()


def _kill_later(build: processes.Process, delay: float) -> None:
    time.sleep(delay)
    with suppress(ProcessLookupError):
        build.kill()


@pytest.mark.timeout(0)
@pytest.mark.parametrize("part", range(PARTS))
def test_what_users_save_while_builds_run_and_are_killed_is_there(
    tmp_path: Path, part: int
) -> None:
    seed = os.environ.get("NBCACHE_USER_FILES_SEED", "0")
    number = int(os.environ.get("NBCACHE_USER_BUILDS", "10"))
    totals: Counter[str] = Counter()
    for each in range(part, number, PARTS):
        folder = tmp_path / str(each)
        book = Book(folder / "book", folder / "ran")
        desk = Desk(book, folder / "written.log", Random(f"{seed}-{each}"))
        try:
            play(desk)
        except Exception as error:
            raise AssertionError(f"sequence {seed}-{each}: {error}") from error
        totals.update(desk.events)
    assert totals["kept"] > totals["killed"] > 0
