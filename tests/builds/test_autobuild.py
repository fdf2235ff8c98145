"""The real sphinx-autobuild: it watches, and a build must give it nothing new to see."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import Book

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(240)]
pytest.importorskip("sphinx_autobuild")

# As long as nothing happens in this time, nothing will: a build takes two.
QUIET_SECONDS = 4
WRITES = """%%
from pathlib import Path
Path('made').mkdir(exist_ok=True)
Path('made/table.csv').write_text('a,b')
Path('log.txt').open('a').close()
"""


@dataclass
class Watching:
    """A running sphinx-autobuild, and what it has written so far."""

    log: Path

    def builds(self) -> list[str]:
        """Return the line of each build that tells what was executed."""
        return re.findall(r"\d+ of \d+ notebooks executed.*", self.log.read_text())

    def begun(self) -> int:
        text = self.log.read_text()
        return text.count("Starting initial build") + text.count("Detected change")

    def builds_until_quiet(self) -> list[str]:
        """Wait until no build was made for a while; return the builds since the last call."""
        seen, since, end = -1, time.monotonic(), time.monotonic() + 60
        while time.monotonic() < end:
            state = len(self.builds()) + self.begun()
            if state != seen:
                seen, since = state, time.monotonic()
            is_idle = self.begun() == len(self.builds()) > self._told
            if is_idle and time.monotonic() - since > QUIET_SECONDS:
                new = self.builds()[self._told :]
                self._told += len(new)
                return new
            time.sleep(0.1)
        raise AssertionError(f"it does not stop:\n{self.log.read_text()}")

    _told: int = 0


@contextmanager
def watching(book: Book, log: Path) -> Iterator[Watching]:
    output = book.folder / "_build" / "html"
    command = [sys.executable, "-m", "sphinx_autobuild", "--port", "0", str(book.folder)]
    with log.open("w") as file:
        process = subprocess.Popen(
            [*command, str(output)],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        try:
            yield Watching(log)
        finally:
            process.terminate()
            process.wait(30)


def test_one_save_is_one_build_that_executes_and_at_most_one_that_does_not(
    book: Book, tmp_path: Path
) -> None:
    """With a notebook that fails, and one that writes files."""
    book.index("plain", "fails", "writes")
    book.myst("plain.md", "%%1")
    book.myst("fails.md", "%%\n1 / 0")
    book.myst("writes.md", WRITES)
    with watching(book, tmp_path / "autobuild.log") as watched:
        first = watched.builds_until_quiet()
        assert first[0].startswith("3 of 3 notebooks executed")
        assert len(first) <= 2
        for name in ("plain.md", "fails.md", "writes.md"):
            path = book.folder / name
            path.write_text(path.read_text() + "\n```{code-cell}\n2\n```\n")
            executing, *others = watched.builds_until_quiet()
            assert executing.startswith("1 of 3 notebooks executed"), name
            assert [line[:6] for line in others] in ([], ["0 of 3"]), name
