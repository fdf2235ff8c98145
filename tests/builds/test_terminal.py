"""What a build shows on a terminal."""

from __future__ import annotations

import os
import sys

import pytest
import terminal
from support import Book

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX"),
]


@pytest.mark.parametrize("columns", [100, 40])
def test_each_notebook_that_runs_is_named_with_its_reason_above_a_live_line(
    book: Book, columns: int
) -> None:
    name = "chapters/measuring-uncertainty.md"
    book.index(name.removesuffix(".md"), "dice")
    book.conf(executor="local-serial")
    book.myst(name, "%%\nimport time; time.sleep(2)")
    book.myst("dice.md", "%%\n1")
    book.build()
    book.myst(name, "%%\nimport time; time.sleep(2.5)")
    book.myst("dice.md", "%%\n2")
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-d", "_build/doctrees"]
    shown = terminal.run([*command, ".", "_build/html"], book.folder, columns)
    assert shown.status == 0
    for line in (
        f"executing notebook 1 of 2: {name} (code cell 2 changed)",
        "executing notebook 2 of 2: dice.md (code cell 2 changed)",
    ):
        assert line in shown.left
    if columns == 100:
        assert "executed 0 of 2 (1 queued, about " in shown.text
        assert f"· {name}, cell 2 of 2, " in shown.text
    else:
        assert "0 of 2 · …-uncertainty.md, " in shown.text, shown.text
    assert "cell 2 of 2" not in shown.left
