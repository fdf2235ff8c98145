"""Executing from the command line: places, assets, interrupts, other processes, settings."""

from __future__ import annotations

import os
import signal
import sys
import time

import processes
import psutil
import pytest
import terminal
from support import Book
from support_cli import CommandLine

pytestmark = pytest.mark.kernel

READS_AND_WRITES = """%%
from pathlib import Path
Path("made.txt").write_text(Path("data/in.csv").read_text().upper())
"""


def start(cli: CommandLine, *arguments: str) -> processes.Process:
    """Start a command in a process of its own."""
    return processes.start("sphinx_nbcache", *arguments, folder=cli.folder)


@pytest.fixture
def with_asset(cli: CommandLine) -> CommandLine:
    """A notebook that reads an asset and writes a file."""
    cli.ipynb("a.ipynb", READS_AND_WRITES)
    cli.write("data/in.csv", "x,y\n")
    cli.ok("project", "add-with-assets", "-nb", "a.ipynb", "data/in.csv")
    return cli


@pytest.mark.parametrize("executor", ["temp-serial", "temp-parallel"])
def test_a_temporary_folder_gets_the_assets_and_gives_artifacts(
    with_asset: CommandLine, executor: str
) -> None:
    cli = with_asset
    cli.ok("execute", "--executor", executor)
    assert not (cli.folder / "made.txt").exists()
    (artifact,) = cli.ok("cache", "list", "--json").json["results"][0]["artifacts"]
    assert artifact["path"] == "made.txt"
    assert cli.ok("cache", "artifact", "1", "made.txt").out == "X,Y\n"


def test_the_executor_that_was_chosen_is_used_from_then_on(with_asset: CommandLine) -> None:
    cli = with_asset
    cli.ok("execute", "--executor", "temp-serial")
    assert cli.statuses() == {"a.ipynb": "ok"}
    assert "1 up to date" in cli.ok("execute").out
    cli.ok("project", "merge", "1", "out.ipynb")
    assert "1 succeeded" in cli.ok("execute", "--executor", "local-serial").out
    assert (cli.folder / "made.txt").read_text(encoding="utf-8") == "X,Y\n"
    assert "1 up to date" in cli.ok("execute").out


def test_an_asset_outside_of_the_folder_is_refused(cli: CommandLine) -> None:
    cli.ipynb("sub/a.ipynb", "%%1")
    cli.write("outside.csv", "")
    done = cli("project", "add-with-assets", "-nb", "sub/a.ipynb", "outside.csv")
    assert (done.code, done.out) == (2, "")
    assert "outside.csv" in done.err


def test_of_two_commands_at_once_each_notebook_is_run_by_one(cli: CommandLine) -> None:
    names = [f"{number}.ipynb" for number in range(4)]
    counter = cli.folder.parent / "runs.txt"  # not in the project, where it would be kept
    for name in names:
        cli.ipynb(name, f"%%print('{name}', file=open({str(counter)!r}, 'a'))")
    cli.ok("project", "add", *names)
    both = [start(cli, "execute") for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert out.startswith("Finished! ")
    runs = counter.read_text(encoding="utf-8").split()
    assert sorted(runs) == names


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_ends_kernels_keeps_results_and_has_its_own_code(cli: CommandLine) -> None:
    cli.ipynb("a.ipynb", "%%'quick'")
    cli.ipynb("b.ipynb", "%%open('began', 'w').close()", "%%import time; time.sleep(300)")
    cli.ok("project", "add", "a.ipynb", "b.ipynb")
    process = start(cli, "execute", "--executor", "local-serial", "--timeout", "none")
    end = time.monotonic() + 60
    while not (cli.folder / "began").exists():
        assert time.monotonic() < end
        time.sleep(0.1)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    _, alive = psutil.wait_procs(children, timeout=15)
    assert not alive
    assert cli.statuses() == {"a.ipynb": "ok", "b.ipynb": "none"}


def test_results_that_cannot_be_kept_are_store_trouble(cli: CommandLine) -> None:
    cli.ipynb("a.ipynb", "%%1 + 1")
    cli.ok("project", "add", "a.ipynb")
    folder = cli.folder / ".jupyter_cache"
    folder.rename(cli.folder / "aside")
    folder.write_text("no folder")
    done = cli("execute", "a.ipynb")
    assert done.code == 3
    assert "store" in done.err


@pytest.mark.parametrize("mode", ["off", "frozen"])
def test_what_forbids_execution_to_builds_does_not_forbid_it_here(
    book: Book, cli: CommandLine, mode: str
) -> None:
    book.conf(execute=mode)
    book.index("a")
    book.ipynb("a.ipynb", "%%1 + 1")
    cli.folder = book.folder
    planned = cli.ok("project", "plan", "--conf", ".", "--json").json["notebooks"]
    assert [item["action"] for item in planned] == ["execute"]
    cli.ok("execute", "--conf", ".")
    assert book.runs() == ("a.ipynb",)


def test_a_conf_that_fails_or_is_missing_is_named(cli: CommandLine) -> None:
    (cli.folder / "docs").mkdir()
    missing = cli("execute", "--conf", "docs")
    cli.write("docs/conf.py", "1 / 0")
    failing = cli("execute", "--conf", "docs")
    for done in (missing, failing):
        assert (done.code, done.out) == (2, "")
        assert "conf.py" in done.err
    assert "ZeroDivisionError" in failing.err
    cli.write("docs/conf.py", "nbcache_timeout = 'soon'")
    assert "nbcache_timeout" in cli.ok("project", "list", "--conf", "docs").err


@pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")
@pytest.mark.parametrize("columns", [100, 40])
def test_on_a_terminal_what_runs_is_named_with_its_reason_above_a_live_line(
    cli: CommandLine, columns: int
) -> None:
    name = "chapters/measuring-uncertainty.ipynb"
    cli.ipynb(name, "%%import time; time.sleep(2.5)")
    command = [sys.executable, "-m", "sphinx_nbcache", "execute", name]
    shown = terminal.run(command, cli.folder, columns)
    assert shown.status == 0
    # rich breaks lines between words.
    lines = " ".join(shown.text.split())
    assert f"Executing notebook 1 of 1: {name} (no earlier result)" in lines
    live = lines[lines.index("(no earlier result)") :]
    expected = f"{name} (1 of 1), cell 1 of 1" if columns == 100 else " …-uncertainty.ipynb "
    assert expected in live, live
    assert "uncertainty.ipynb, cell" not in shown.left
    assert "Finished! 1 succeeded" in shown.left


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_ends_a_command_in_one_line(cli: CommandLine, name: str, code: int) -> None:
    cli.ipynb("a.ipynb", "%%open('began', 'w').close()", "%%import time; time.sleep(300)")
    process = start(cli, "execute", "a.ipynb", "--timeout", "none")
    end = time.monotonic() + 60
    while not (cli.folder / "began").exists():
        assert time.monotonic() < end
        time.sleep(0.1)
    begin = time.monotonic()
    process.send_signal(getattr(signal, name))
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - begin < 5
    assert process.returncode == code
    words = "interrupted" if name == "SIGINT" else f"interrupted by {name}"
    assert err.splitlines()[-1] == f"{words}: 0 of 1 notebooks were executed"
    assert err.count("interrupted") == 1
    assert "Traceback" not in err


def test_what_is_told_while_a_kernel_starts_does_not_fail_its_notebook(cli: CommandLine) -> None:
    cli.write("conf.py", "nbcache_preload = ['no_such_module']\n")
    cli.ipynb("a.ipynb", "%%1")
    done = cli.ok("--conf", ".", "execute", "a.ipynb")
    assert "1 succeeded" in done.out
    assert "no_such_module" in done.err


def test_a_notebook_that_is_deleted_before_its_turn_is_said_to_be_removed(cli: CommandLine) -> None:
    cli.ipynb("a.ipynb", "%%import pathlib; pathlib.Path('b.ipynb').unlink(missing_ok=True)")
    cli.ipynb("b.ipynb", "%%1")
    done = cli.ok("execute", "a.ipynb", "b.ipynb", "--executor", "local-serial", "--json")
    gone = next(item for item in done.json["notebooks"] if item["path"] == "b.ipynb")
    assert (gone["outcome"], gone["status"], gone["failed"]) == ("removed", None, False)
    assert gone["reason"] == "removed while the build ran"
    assert "b.ipynb was removed while the build ran" in done.err


def test_a_project_that_stops_at_failures_has_a_summary_with_the_traceback(
    book: Book, cli: CommandLine
) -> None:
    book.conf(on_error="stop", executor="local-serial")
    for name in ("a", "b"):
        book.ipynb(f"{name}.ipynb", "%%1 / 0")
    cli.folder = book.folder
    for _ in range(2):
        done = cli("execute", "--conf", ".", "--show-traceback")
        assert done.code == 1
        assert "----> 1 1 / 0" in done.out
        assert 'Stopped at the first failure, as nbcache_on_error is "stop"' in done.err
    assert book.runs() == ("a.ipynb",)
    (item,) = cli("execute", "--conf", ".", "--json").json["notebooks"]
    assert (item["path"], item["failed"]) == ("a.ipynb", True)
