"""Help and wrong usage: at once, complete, without a traceback, and without a project."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import sphinx_nbcache
from sphinx_nbcache.cli import cache, jcache, notebook, project
from sphinx_nbcache.cli.groups import Exit

# What `--help` has no use for.
HEAVY = {
    *("rich", "msgspec", "nbformat", "jupytext", "nbclient", "nbdime", "filelock", "diskcache"),
    *("sphinx", "docutils", "yaml", "asyncio", "sqlite3", "sphinx_nbcache.project"),
}
VERBS = {
    "project": "add add-with-assets list show info plan execute merge invalidate remove clear"
    " version cache-limit",
    "cache": "list show info add import-jupyter-cache add-with-artifacts add-with-artefacts"
    " artifact cat-artifact cat-artefact diff remove clear limit check prune export import",
}


def all_commands(
    command: click.Command, *path: str
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command below one, with its path."""
    yield path, command
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from all_commands(inner, *path, name)


COMMANDS = dict(all_commands(jcache))


def test_the_groups_are_named_as_pages_name_them() -> None:
    assert [group.name for group in (jcache, project, notebook, cache)] == [
        "jcache",
        "project",
        "notebook",
        "cache",
    ]
    assert jcache.commands["project"] is project
    assert jcache.commands["cache"] is cache


@pytest.mark.parametrize("group", [project, notebook, cache], ids=lambda group: str(group.name))
def test_every_verb_and_every_second_name_is_there(group: click.Group) -> None:
    expected = VERBS["cache" if group is cache else "project"].split()
    assert set(group.commands) == set(expected)


def test_a_second_name_is_found_but_listed_only_in_words() -> None:
    text = CliRunner().invoke(cache, ["--help"]).output
    assert "(Also:\n" in text or "(Also: " in text
    assert not any(line.strip().startswith("info ") for line in text.splitlines())
    assert cache.commands["info"] is cache.commands["show"]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_help_under_both_names(path: tuple[str, ...]) -> None:
    runner = CliRunner()
    short, long = (runner.invoke(jcache, [*path, flag]) for flag in ("-h", "--help"))
    assert (short.exit_code, long.exit_code) == (Exit.OK, Exit.OK)
    assert short.output == long.output
    assert long.output.startswith("Usage:")
    assert "--cache-path" in long.output
    assert "--conf" in long.output


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_option_and_every_command_is_described(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert command.get_short_help_str(limit=1000).endswith("."), path
    for param in command.params:
        if isinstance(param, click.Option):
            assert param.help, (path, param.name)
            assert param.help.endswith("."), (path, param.name)


def test_groups_can_be_used_on_their_own() -> None:
    result = CliRunner().invoke(project, ["-h"])
    assert result.exit_code == Exit.OK
    assert result.output.startswith("Usage: project ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["cache", "nonsense"],
        ["cache", "list", "--nonsense"],
        ["cache", "show"],
        ["cache", "show", "1", "2"],
        ["cache", "add", "missing.ipynb"],
        ["cache", "add", "."],
        ["cache", "remove"],
        ["cache", "remove", "1", "--all"],
        ["cache", "limit", "0"],
        ["cache", "limit", "--", "-1"],
        ["cache", "limit", "many"],
        ["cache", "limit", "1.5"],
        ["cache", "limit", "9" * 5000],
        ["cache", "limit", "--size", "0"],
        ["cache", "limit", "--size", "5 parsecs"],
        ["project", "add"],
        ["project", "add", "missing.ipynb"],
        ["project", "remove"],
        ["project", "invalidate"],
        ["project", "merge", "1"],
        ["project", "list", "--path-length", "0"],
        ["execute", "--jobs", "0"],
        ["execute", "--timeout", "0"],
        ["execute", "--timeout", "soon"],
        ["execute", "--conf", "missing"],
        ["add"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_code_2_and_a_message(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(jcache, arguments)
    assert result.exit_code == Exit.USAGE, result.output
    assert isinstance(result.exception, SystemExit)
    assert "Error: " in result.output
    assert list(tmp_path.iterdir()) == []


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "sphinx_nbcache", *arguments],
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
        env=os.environ | environment,
    )


def test_the_module_is_the_command_line() -> None:
    done = run("--version")
    assert done.stdout == f"sphinx-nbcache, version {sphinx_nbcache.__version__}\n"
    assert (done.returncode, done.stderr) == (Exit.OK, "")
    assert run("nonsense").returncode == Exit.USAGE


def test_no_arguments_show_the_help() -> None:
    assert run().stdout == run("--help").stdout


def test_help_imports_nothing_that_it_does_not_need() -> None:
    script = "import sys, runpy\nsys.argv = ['x', *sys.argv[1:]]\n"
    script += "try: runpy.run_module('sphinx_nbcache', run_name='__main__')\n"
    script += "except SystemExit: print('loaded:', *sys.modules)"
    for arguments in ([], ["cache"], ["execute"], ["cache", "diff"]):
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments, "--help"],
            capture_output=True,
            text=True,
            check=True,
        )
        modules = set(done.stdout.partition("loaded:")[2].split())
        assert "sphinx_nbcache.cli" in modules
        assert modules.isdisjoint(HEAVY), modules & HEAVY


def test_help_takes_less_than_three_tenths_of_a_second() -> None:
    def seconds() -> float:
        begin = time.perf_counter()
        assert run("--help").returncode == Exit.OK
        return time.perf_counter() - begin

    # The best of some, because other processes share the machine.
    times = itertools.islice(iter(seconds, None), 10)
    assert any(taken < 0.3 for taken in times)


@pytest.mark.skipif(sys.platform == "win32", reason="completion is for Unix shells")
@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_shells_are_given_their_completion(shell: str) -> None:
    done = run(_SPHINX_NBCACHE_COMPLETE=f"{shell}_source")
    assert done.returncode == Exit.OK
    assert "_SPHINX_NBCACHE_COMPLETE" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="completion is for Unix shells")
def test_names_of_commands_are_completed() -> None:
    done = run(
        _SPHINX_NBCACHE_COMPLETE="bash_complete", COMP_WORDS="sphinx-nbcache cache ", COMP_CWORD="2"
    )
    assert "plain,prune" in done.stdout.split()


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_the_options_of_all_commands_are_one_short_group_at_the_end(path: tuple[str, ...]) -> None:
    text = CliRunner().invoke(jcache, [*path, "--help"]).output
    own, _, common = text.partition("Common options:\n")
    assert len(common.splitlines()) <= 10
    for name in ("--cache-path", "--conf", "--quiet", "--verbose", "--verbosity", "--help"):
        assert name in common
        assert f"  {name}" not in own


def completions(folder: Path, words: str) -> list[str]:
    """Return what bash is offered after these words, of which the last is incomplete."""
    done = subprocess.run(
        [sys.executable, "-m", "sphinx_nbcache"],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env=os.environ
        | {
            "_SPHINX_NBCACHE_COMPLETE": "bash_complete",
            "COMP_WORDS": f"sphinx-nbcache {words}",
            "COMP_CWORD": str(len(words.split(" "))),
        },
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.skipif(sys.platform == "win32", reason="completion is for Unix shells")
def test_notebooks_folders_paths_and_executors_are_completed(tmp_path: Path) -> None:
    (tmp_path / "book").mkdir()
    for name in ("book/fit.ipynb", "first.md", "data.csv"):
        (tmp_path / name).write_text("---\nkernelspec: {name: python3}\n---\n")
    assert completions(tmp_path, "execute fi") == ["plain,first.md"]
    assert completions(tmp_path, "show book/") == ["plain,book/fit.ipynb"]
    assert completions(tmp_path, "execute ") == ["plain,book/", "plain,first.md"]
    assert completions(tmp_path, "project add d") == ["file,d"]
    assert completions(tmp_path, "execute --executor temp") == [
        "plain,temp-serial",
        "plain,temp-parallel",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["book", "data.csv", "first.md"]
    subprocess.run(
        [sys.executable, "-m", "sphinx_nbcache", "project", "add", "first.md"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    (tmp_path / "first.md").unlink()
    assert completions(tmp_path, "explain fi") == ["plain,first.md"]
