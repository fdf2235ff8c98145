"""What is imported when: Sphinx stays outside, and what is not needed is not loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import Book

SPHINX = ("sphinx", "docutils", "myst_parser")
RUNNING = ("nbclient", "jupyter_client", "jupyter_core", "zmq", "ipykernel", "IPython", "asyncio")
READING = ("nbformat", "jupytext")
OLD = 1_600_000_000_123_456_789


def loaded(script: str, *arguments: object) -> set[str]:
    """Run a script in a fresh interpreter; return the modules that it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", script + "\nprint(*sys.modules, sep='\\n')", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    modules = set(done.stdout.split("\n"))
    assert "sphinx_nbcache" in modules
    return modules


@pytest.mark.parametrize(
    "module",
    [
        *["project", "planning", "config", "notices", "report.model", "store.store"],
        *["notebooks.scan", "notebooks.text", "execution.executors", "execution.run"],
    ],
)
def test_only_the_sphinx_side_imports_sphinx(module: str) -> None:
    modules = loaded(f"import sys, sphinx_nbcache.{module}")
    assert modules.isdisjoint(SPHINX)


def test_importing_the_package_imports_nearly_nothing() -> None:
    modules = loaded("import sys, sphinx_nbcache")
    assert modules.isdisjoint(SPHINX + RUNNING + READING)
    ours = {name for name in modules if name.startswith("sphinx_nbcache")}
    assert ours == {"sphinx_nbcache"}


def test_the_public_names_can_be_imported() -> None:
    script = (
        "import sys, sphinx_nbcache\n"
        "for name in sphinx_nbcache.__all__: getattr(sphinx_nbcache, name)\n"
        "try: sphinx_nbcache.nonsense\n"
        "except AttributeError as error: assert 'nonsense' in str(error)\n"
        "else: raise SystemExit('no error')"
    )
    assert "sphinx_nbcache.project" in loaded(script)


PLAN = """
import sys
from sphinx_nbcache import Project
project = Project.find(sys.argv[1], place=sys.argv[2], formats={".txt": "py:percent"})
plan = project.plan()
assert len(plan) == 4, plan
project.close()
"""


def test_planning_from_current_scans_loads_no_reader_and_no_kernel(
    book: Book, tmp_path: Path
) -> None:
    book.ipynb("a.ipynb", "%%1 + 1")
    book.myst("b.md", "%%2")
    book.write("c.txt", "# %%\nx = 1\n")
    book.write("d.ipynb", '{"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": []}')
    book.write("page.md", "# Page\n")
    for path in book.folder.iterdir():
        os.utime(path, ns=(OLD, OLD))
    place = tmp_path / "store"
    first = loaded(PLAN, book.folder, place)
    # Without this the second look could pass for the wrong reason.
    assert first.issuperset(READING)
    second = loaded(PLAN, book.folder, place)
    assert second.isdisjoint(SPHINX + RUNNING + READING)
