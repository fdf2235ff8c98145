"""What is written where, and how much."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys

import processes
import pytest
from support import code_cell
from support_cli import CommandLine, printing

RUN = code_cell("print('hi')", outputs=printing("hi\n"), count=1)
LISTING = [
    ["project", "list"],
    ["project", "show", "1"],
    ["project", "plan"],
    ["notebook", "list"],
    ["cache", "list"],
    ["cache", "show", "1"],
    ["cache", "limit"],
    ["cache", "check"],
    ["cache", "prune"],
    ["explain", "1"],
    ["report"],
    ["execute"],
]


@pytest.fixture
def filled(cli: CommandLine) -> CommandLine:
    """A project with a notebook that has a result."""
    cli.ipynb("a.ipynb", RUN)
    cli.ok("project", "add", "a.ipynb")
    cli.ok("cache", "add", "a.ipynb")
    return cli


@pytest.mark.parametrize("arguments", LISTING, ids=" ".join)
def test_every_listing_has_json_and_nothing_else_on_the_standard_output(
    filled: CommandLine, arguments: list[str]
) -> None:
    filled.write("bad.ipynb", "{")
    filled.ok("project", "add", "bad.ipynb")
    done = filled(*arguments, "--json")
    assert done.json["schema"] == 1
    text = filled(*arguments)
    assert text.code == done.code
    assert not text.out.startswith("{")


@pytest.mark.kernel
def test_progress_goes_to_the_standard_error(cli: CommandLine) -> None:
    cli.ipynb("a.ipynb", "%%1 + 1")
    done = cli.ok("execute", "a.ipynb", "--json")
    assert done.err.splitlines() == [
        "Added: a.ipynb",
        "Executing notebook 1 of 1: a.ipynb (no earlier result)",
    ]
    assert done.json["notebooks"][0]["outcome"] == "executed"


@pytest.mark.kernel
def test_each_success_is_listed_once_quiet_lists_none_and_verbose_adds_times(
    cli: CommandLine,
) -> None:
    cli.ipynb("a.ipynb", "%%1 + 1")
    assert cli.ok("project", "add", "-q", "a.ipynb").out == ""
    done = cli.ok("-q", "execute")
    assert (done.out, done.err) == ("", "")
    done = cli.ok("execute", "--force", "-v")
    assert done.err == "Executing notebook 1 of 1: a.ipynb (execution is forced)\n"
    assert re.fullmatch(
        r"Finished! 1 succeeded, 0 failed\.\nsucceeded:\n- a\.ipynb \(result 2\) in [\d.]+ s\n",
        done.out,
    )
    assert cli.ok("-q", "list").out.count("a.ipynb") == 1


@pytest.mark.kernel
def test_a_failure_comes_with_the_command_that_shows_it_or_with_its_traceback(
    cli: CommandLine,
) -> None:
    cli.ipynb("my notes/a.ipynb", "%%1 / 0")
    done = cli("execute", "-p", "store", "my notes/a.ipynb")
    assert "----> 1" not in done.out
    hint = "To see the traceback: sphinx-nbcache --cache-path store show 'my notes/a.ipynb'\n"
    assert done.err.endswith(hint)
    command = shlex.split(hint.partition("sphinx-nbcache ")[2])
    assert "----> 1 1 / 0" in cli.ok(*command).out
    in_place = cli("execute", "-p", "store", "-q", "--show-traceback")
    assert in_place.code == 1
    assert "----> 1 1 / 0" in in_place.out
    assert "see the traceback" not in in_place.err


@pytest.mark.kernel
def test_explain_hides_what_every_run_depends_on_unless_verbose(cli: CommandLine) -> None:
    cli.write("data.csv", "1")
    cli.ipynb("a.ipynb", "%%open('data.csv').read()")
    cli.ok("execute", "a.ipynb")
    brief, all_of_it = cli.ok("explain", "a.ipynb").out, cli.ok("explain", "-v", "a.ipynb").out
    assert "- data.csv\n" in brief
    assert "ipykernel" not in brief
    assert "-v lists them" in brief
    assert "- data.csv\n" in all_of_it
    assert "- ipykernel" in all_of_it
    assert "-v lists them" not in all_of_it


def test_list_plan_and_show_work_at_the_top_level(filled: CommandLine) -> None:
    for command in (["list"], ["plan"], ["show", "a.ipynb"]):
        assert filled.ok(*command).out == filled.ok("project", *command).out


def test_one_kind_of_id_is_shown_at_a_time(filled: CommandLine) -> None:
    filled.ipynb("b.ipynb", RUN)
    added = filled.ok("project", "add", "b.ipynb").out
    assert added.splitlines()[0] == "Added: b.ipynb (notebook 2)"
    assert filled.ok("cache", "add", "b.ipynb").out.startswith("Added: b.ipynb (result 2)")
    for command in (["list"], ["show", "2"]):
        assert "✅\n" in filled.ok(*command).out
    assert "Result 2 of this code" in filled.ok("explain", "2").out


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--verbosity", "debug"], "more"),
        (["-v", "DEBUG"], "more"),
        (["-q", "-vDEBUG", "-v"], "more"),
        (["--verbosity=INFO"], "as usual"),
        (["-v", "WARNING"], "nothing"),
        (["-vCRITICAL"], "nothing"),
    ],
    ids=str,
)
def test_how_much_is_told_can_be_named(cli: CommandLine, arguments: list[str], told: str) -> None:
    cli.ipynb("a.ipynb", "%%1 + 1")
    cli.ok("project", "add", "a.ipynb")
    done = cli.ok("execute", *arguments, "a.ipynb")
    out, err = done.out, done.err
    assert (err == "") is (told == "nothing")
    assert (re.search(r" in [\d.]+ s$", out.strip()) is not None) is (told == "more")


def test_warnings_are_told_down_to_the_level_of_warnings(cli: CommandLine) -> None:
    cli.write("bad.ipynb", "{")
    cli.ok("project", "add", "bad.ipynb")
    assert "warning:" in cli("-v", "WARNING", "execute").err
    assert cli("execute", "-v", "ERROR").err == ""


def test_warnings_are_left_out_by_two_q(cli: CommandLine) -> None:
    cli.write("bad.ipynb", "{")
    cli.ok("project", "add", "bad.ipynb")
    assert "warning:" in cli("execute", "-q").err
    assert cli("execute", "-qq").err == ""


def test_a_warning_names_the_file_as_it_is_seen_from_here(cli: CommandLine) -> None:
    cli.write("sub/bad.ipynb", "{\n\n")
    cli.ok("project", "add", "sub/bad.ipynb")
    assert re.match(r"sub/bad.ipynb:\d+: warning: ", cli("execute").err.splitlines()[-1])


def process(cli: CommandLine, *arguments: str, **environment: str) -> str:
    """Return what a command writes in a process of its own, whose output is no terminal."""
    done = processes.run(
        "sphinx_nbcache", *arguments, folder=cli.folder, environment=os.environ | environment
    )
    done.check_returncode()
    return done.stdout


def test_colours_are_for_terminals_and_for_those_who_want_them(filled: CommandLine) -> None:
    plain = process(filled, "project", "list")
    assert "\x1b[" not in plain
    coloured = process(filled, "project", "list", FORCE_COLOR="1")
    assert "\x1b[32m✅" in coloured
    assert process(filled, "project", "list", FORCE_COLOR="1", NO_COLOR="1") == plain


def test_tables_are_as_wide_as_columns_says(filled: CommandLine) -> None:
    for number in range(3):
        filled.ipynb(f"{'long_name_' * 12}{number}.ipynb", "# Text")
    filled.ok("project", "add", *[p.name for p in filled.folder.glob("long*")])
    for columns, wide in (("", 80), ("60", 60), ("300", 300)):
        lines = process(filled, "project", "list", COLUMNS=columns).splitlines()
        assert max(map(len, lines)) <= wide
    assert "long_name_" * 12 + "0.ipynb" in process(filled, "project", "list", COLUMNS="300")


def test_an_encoding_without_our_symbols_does_not_end_a_command(filled: CommandLine) -> None:
    text = process(filled, "project", "list", PYTHONIOENCODING="cp1252")
    assert text.rstrip().endswith(" ?")


def test_a_reader_that_goes_away_is_no_error(filled: CommandLine) -> None:
    command = f'"{sys.executable}" -m sphinx_nbcache cache list --json | true'
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, check=False, cwd=filled.folder
    )
    assert "Traceback" not in done.stderr


CLOSED = [">&-", "2>&-", "<&- >&- 2>&-"]


def with_closed(cli: CommandLine, streams: str, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        f'"{sys.executable}" -m sphinx_nbcache {command} {streams}',
        shell=True,
        capture_output=True,
        text=True,
        check=False,
        cwd=cli.folder,
        env=os.environ | {"COLUMNS": ""},
    )


@pytest.mark.skipif(sys.platform == "win32", reason="the syntax is that of POSIX shells")
@pytest.mark.parametrize("closed", CLOSED)
def test_a_closed_stream_does_not_end_a_command(filled: CommandLine, closed: str) -> None:
    done = with_closed(filled, closed, "cache list")
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == (">&-" not in closed.replace("2>&-", ""))


@pytest.mark.kernel
@pytest.mark.skipif(sys.platform == "win32", reason="the syntax is that of POSIX shells")
@pytest.mark.parametrize("closed", CLOSED)
def test_notebooks_run_if_streams_are_closed(filled: CommandLine, closed: str) -> None:
    assert with_closed(filled, closed, "execute --force a.ipynb").returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="the syntax is that of POSIX shells")
def test_errors_are_not_written_to_standard_output_if_standard_error_is_closed(
    filled: CommandLine,
) -> None:
    done = with_closed(filled, "2>&-", "show nothing --json")
    assert (done.returncode, done.stdout) == (2, "")


def test_json_is_the_same_each_time(filled: CommandLine) -> None:
    first, second = (process(filled, "cache", "list", "--json") for _ in range(2))
    assert first == second
    assert json.loads(first)["results"][0]["notebook"] == "a.ipynb"
