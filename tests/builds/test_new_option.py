"""An option is declared once: a copy of the package with one more declaration has it everywhere."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support import Book

import sphinx_nbcache

PACKAGE = Path(sphinx_nbcache.__file__).parent
DOCS = Path(__file__).parents[2] / "docs"
DECLARED = """
    colour_depth: int = option(
        8,
        values.whole_number,
        expects="a whole number",
        in_key="value",
        per_notebook="nbcache.colour_depth",
        flag=Flag(("--colour-depth",), "count", "How many bits a colour has.", "BITS"),
        help="How many bits a colour has in figures.",
    )
"""
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(book: Book, tmp_path: Path) -> Run:
    """Return a function that runs a module of Python with a copy of the package.

    Only `config.py` differs: it declares one more option.
    """
    copy = tmp_path / "copy"
    shutil.copytree(PACKAGE, copy / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    config = copy / PACKAGE.name / "config.py"
    before, found, after = config.read_text("utf-8").partition("    retries: int = option(")
    assert found
    config.write_text(before + DECLARED.lstrip("\n") + found + after, "utf-8")
    paths = os.pathsep.join([str(copy), str(DOCS / "_ext")])

    def run(*words: str, folder: Path = book.folder) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": paths},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def reasons(run: Run) -> dict[str, str]:
    """Build, and return why notebooks were run, as the log says it."""
    done = run("sphinx", "-b", "html", ".", "_build/html")
    assert done.returncode == 0, done.stderr
    return dict(re.findall(r"executing notebook \d+ of \d+: (\S+) \((.*)\)", done.stdout))


def test_it_counts_in_conf_py_in_metadata_and_on_the_command_line(book: Book, run: Run) -> None:
    book.conf(execute="changed")
    book.index("plain", "own")
    book.myst("plain.md", "%%1 + 1")
    book.myst("own.md", "%%1 + 2", nbcache={"colour_depth": 4})
    first = "no earlier result"
    assert reasons(run) == {"own.md": first, "plain.md": first}
    assert reasons(run) == {}
    # The value of `conf.py` is part of the key of the notebook that does not override it.
    book.conf(execute="changed", colour_depth=16)
    assert reasons(run) == {"plain.md": "nbcache_colour_depth changed: default → 16"}
    book.myst("own.md", "%%1 + 2", nbcache={"colour_depth": 2})
    assert reasons(run) == {"own.md": "nbcache_colour_depth changed: 4 → 2"}
    # The default is not hashed, so the first result is valid again.
    book.conf(execute="changed")
    assert reasons(run) == {}
    cli = ("sphinx_nbcache", "execute", "--colour-depth", "32", "--json")
    done = run(*cli)
    items = json.loads(done.stdout)["notebooks"]
    found = {item["path"]: (item["outcome"], item["reason"]) for item in items}
    assert found["plain.md"] == ("executed", "nbcache_colour_depth changed: default → 32")
    assert found["own.md"][0] == "reused"


def test_a_wrong_value_is_a_warning_with_its_place(book: Book, run: Run) -> None:
    book.conf(execute="off", colour_depth="deep")
    book.index("own")
    path = book.myst("own.md", nbcache={"colour_depth": "deep"}, counts=False)
    done = run("sphinx", "-q", "-b", "html", ".", "_build/html")
    line = path.read_text("utf-8").splitlines()
    assert "nbcache_colour_depth = 'deep' is not a whole number" in done.stderr
    assert "nbcache.colour_depth = 'deep' in its metadata is not a whole number" in done.stderr
    assert "own.md:2" in done.stderr, (line, done.stderr)
    wrong = run("sphinx_nbcache", "execute", "--colour-depth", "deep")
    assert (wrong.returncode, "--colour-depth" in wrong.stderr) == (2, True)


def test_it_is_in_the_help_and_in_the_reference(book: Book, run: Run) -> None:
    words = run("sphinx_nbcache", "execute", "--help").stdout
    assert "--colour-depth BITS" in words
    assert "How many bits a colour has." in words
    book.write("conf.py", "extensions = ['myst_parser', 'generated']\n")
    directives = ("options", "option-table", "own-settings")
    body = "\n\n".join(f"```{{nbcache-{name}}}\n```" for name in directives)
    book.write("index.md", f"# Reference\n\n{body}\n")
    done = run("sphinx", "-q", "-b", "text", ".", "_build/text")
    assert done.returncode == 0, done.stderr
    text = (book.folder / "_build/text/index.txt").read_text("utf-8")
    assert text.count("nbcache_colour_depth") >= 3, text
    assert "How many bits a colour has in figures." in " ".join(text.split())
    assert "nbcache.colour_depth" in text
    assert "--colour-depth" in text
