"""`execute --check-reproducible`: what is found, and that nothing else happens."""

from __future__ import annotations

from pathlib import Path

import pytest
from support_cli import CommandLine

from sphinx_nbcache import open_project
from sphinx_nbcache.project import Comparison

pytestmark = pytest.mark.kernel

CHECK = ("execute", "--check-reproducible")
# Each run is told from the others by a counter outside of the project.
NUMBER = """%%
from pathlib import Path
counter = Path({counter!r})
counter.write_text(str(int(counter.read_text()) + 1) if counter.exists() else "1")
number = counter.read_text()
"""


@pytest.fixture
def number(tmp_path: Path) -> str:
    """A cell that makes each run another one, without a dependency."""
    return NUMBER.format(counter=str(tmp_path / "counter"))


def untracked(**more: object) -> dict[str, object]:
    return {"nbcache": {"track": ["imports", "versions"], **more}}


def state(cli: CommandLine) -> dict[str, object]:
    """Return all that must stay: files with their contents, and results."""
    files = {
        str(path.relative_to(cli.folder)): (path.read_bytes(), path.stat().st_mode)
        for path in cli.folder.rglob("*")
        if path.is_file() and ".jupyter_cache" not in path.parts
    }
    folders = sorted(str(path) for path in cli.folder.rglob("*") if path.is_dir())
    folders = [path for path in folders if ".jupyter_cache" not in path]
    results = [
        {k: v for k, v in item.items() if k not in ("accessed", "used")}
        for item in cli.ok("cache", "list", "--json").json["results"]
    ]
    return {"files": files, "folders": folders, "results": results}


def test_outputs_that_differ_are_named_by_notebook_and_cell(cli: CommandLine, number: str) -> None:
    cli.ipynb("same.ipynb", "%%\nprint('same')", "%%\n1 + 1")
    cli.ipynb("other.ipynb", number, "text", "%%\n1", "%%\nprint('run', number)", **untracked())
    cli.ok("execute", "same.ipynb", "other.ipynb")
    before = state(cli)
    done = cli(*CHECK)
    assert done.code == 1
    assert "Run again: 2 notebooks, 1 with other outputs." in done.out
    assert "- other.ipynb (result " in done.out
    assert "code cell 3" in done.out
    assert "-stdout: run 1\n" in done.out
    assert "+stdout: run 2\n" in done.out
    assert "same.ipynb" not in done.out.partition("Run again")[2]
    assert state(cli) == before
    document = cli(*CHECK, "--json").json
    compared = {item["path"]: item for item in document["compared"]}
    assert (compared["same.ipynb"]["same"], compared["other.ipynb"]["same"]) == (True, False)
    (cell,) = compared["other.ipynb"]["cells"]
    assert (cell["cell"], "+stdout: run 3" in cell["diff"]) == (3, True)
    assert cli.ok("execute", "--json").json["compared"] is None


def test_outputs_that_are_the_same_are_no_failure(cli: CommandLine) -> None:
    cli.ipynb("a.ipynb", "%%\nprint('same')")
    cli.ok("execute", "a.ipynb")
    assert "1 notebook, 0 with other outputs" in cli.ok(*CHECK).out
    assert "1 notebook, 0 with other outputs" in cli.ok(*CHECK, "a.ipynb").out


def test_what_has_just_been_run_is_not_run_again(cli: CommandLine, number: str) -> None:
    cli.ipynb("a.ipynb", number, "%%\nnumber", **untracked())
    done = cli.ok(*CHECK, "a.ipynb")
    assert "1 succeeded" in done.out
    assert "Nothing was compared" in done.out
    assert cli(*CHECK, "--force").code == 2


def test_a_second_run_that_fails_is_a_difference(cli: CommandLine, number: str) -> None:
    cli.ipynb("a.ipynb", number, "%%\nassert number == '1'", "%%\nprint(1)", **untracked())
    cli.ok("execute", "a.ipynb")
    done = cli(*CHECK)
    assert done.code == 1
    assert "the second run failed: code cell 2, line 1: AssertionError" in done.out
    assert cli.statuses() == {"a.ipynb": "ok"}
    assert "1 up to date" in cli.ok("execute").out


WRITES = """%%
import os
Path("made").mkdir(exist_ok=True)
assert not Path("made/file.txt").exists()
Path("made/file.txt").write_text(f"content {number}")
Path("made/file.txt").chmod(0o640)
with open("log.txt", "a") as log:
    log.write("line\\n")
Path(f"new-{number}").mkdir()
Path(f"new-{number}/{number}.txt").write_text("new")
"""


def test_files_that_notebooks_write_are_put_back(cli: CommandLine, number: str) -> None:
    cli.write("log.txt", "mine\n")
    cli.ipynb("a.ipynb", number, WRITES, **untracked())
    cli.ipynb("b.ipynb", "%%\nprint(open('made/file.txt').read())")
    cli.ok("execute", "a.ipynb", "b.ipynb")
    before = state(cli)
    assert cli(*CHECK).code == 0
    assert state(cli) == before
    assert (cli.folder / "made" / "file.txt").read_text() == "content 1"
    again = cli.ok("execute")
    assert "2 up to date" in again.out, again.err  # which says why


def test_temporary_folders_leave_nothing(cli: CommandLine, number: str) -> None:
    cli.ipynb("a.ipynb", number, "%%\nPath('made.txt').write_text(number); None", **untracked())
    cli.ok("execute", "--executor", "temp-serial", "a.ipynb")
    before = state(cli)
    cli.ok(*CHECK)
    assert state(cli) == before


def test_a_project_tells_it_too(cli: CommandLine, number: str) -> None:
    for name in ("a", "b"):
        cli.ipynb(f"{name}.ipynb", number, f"%%\nprint('{name}', number)", **untracked())
    project = open_project(cli.folder)
    try:
        project.notebooks.add([cli.folder / "a.ipynb"])
        project.execute(project.plan())
        project.notebooks.add([cli.folder / "b.ipynb"])
        (compared,) = project.check_reproducible(project.execute(project.plan()))
        assert isinstance(compared, Comparison)
        assert (compared.planned.name, compared.is_same) == ("a.ipynb", False)
        assert [found.cell.number for found in compared.cells] == [2]
        text = project.outputs(project.results.get(compared.result.id)).cells[1][0]["text"]
        assert text == "a 1\n"
    finally:
        project.close()
