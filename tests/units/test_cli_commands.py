"""Commands of pages: how they are read, run, and shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from docutils import nodes

from sphinx_nbcache.click_pages.dependencies import named_files
from sphinx_nbcache.click_pages.process import (
    CommandError,
    Ran,
    console_block,
    read_command,
    run_command,
    shown_text,
    variables,
)
from sphinx_nbcache.click_pages.stores import CliStore, places_of
from sphinx_nbcache.config import Settings
from sphinx_nbcache.rendering.nodes import AnsiBlock

MODULE = "click_commands"


def run(tmp_path: Path, words: str, typed: str = "", target: str = "tool", prog: str = "") -> Ran:
    """Run one of the commands in `click_commands`."""
    command = read_command(f"{MODULE}:{target}", "", words, typed=typed, prog=prog)
    return run_command(command, tmp_path, tmp_path / "store")


# --- reading what is written ---


@pytest.mark.parametrize(
    ("arguments", "words", "shown"),
    [
        ("a  b", ("a", "b"), "a  b"),
        ("'a b' \"c d\" e\\ f", ("a b", "c d", "e f"), "'a b' \"c d\" e\\ f"),
        ("--name='a b'", ("--name=a b",), "--name='a b'"),
        ("''", ("",), "''"),
        ("a \\\n  b\n  c", ("a", "b", "c"), "a b c"),
        ("*.ipynb # no comment", ("*.ipynb", "#", "no", "comment"), "*.ipynb # no comment"),
        ("", (), ""),
    ],
)
def test_arguments_are_quoted_as_for_a_shell(
    arguments: str, words: tuple[str, ...], shown: str
) -> None:
    command = read_command("m:c", "", arguments)
    assert (command.words, command.shown) == (words, shown)


def test_subcommands_stand_before_the_arguments() -> None:
    command = read_command("m:c", "deep deeper", "--x 'y z'", prog="tool")
    assert command.words == ("deep", "deeper", "--x", "y z")
    assert command.line("tool") == "tool deep deeper --x 'y z'"
    assert read_command("m:c").line("tool") == "tool"


@pytest.mark.parametrize("target", ["", "module", "module:", ":attribute"])
def test_a_target_has_a_module_and_an_attribute(target: str) -> None:
    with pytest.raises(CommandError, match="module:attribute"):
        read_command(target)


def test_quotes_must_be_closed() -> None:
    with pytest.raises(CommandError, match="No closing quotation"):
        read_command("m:c", "", "'a")


@pytest.mark.parametrize(
    ("target", "prog"),
    [
        ("sphinx_nbcache.cli:jcache", "sphinx-nbcache"),
        ("sphinx_nbcache.cli:project", "sphinx-nbcache project"),
        ("sphinx_nbcache.cli:cache", "sphinx-nbcache cache"),
        ("other.cli:project", ""),
    ],
)
def test_our_own_groups_are_called_as_readers_call_them(target: str, prog: str) -> None:
    assert read_command(target).prog == prog
    assert read_command(target, prog="jcache").prog == "jcache"


# --- running ---


def test_a_group_a_nested_group_and_a_command_are_run(tmp_path: Path) -> None:
    ran = run(tmp_path, "hello a 'b c'")
    assert (ran.printed, ran.status, ran.prog, ran.failure) == ("hello|a|b c\n", 0, "tool", "")
    assert run(tmp_path, "--loud hello").printed == "HELLO\n"
    assert run(tmp_path, "deep deeper say it").printed == "said it\n"
    ran = run(tmp_path, "--times 2", target="alone")
    assert (ran.printed, ran.prog) == ("alone alone \n", "by-itself")
    assert run(tmp_path, "deeper say it", target="deep").printed == "said it\n"


def test_help_and_usage_name_the_program_as_the_page_does(tmp_path: Path) -> None:
    assert "Usage: my tool hello [OPTIONS]" in run(tmp_path, "hello --help", prog="my tool").printed
    ran = run(tmp_path, "nonsense")
    assert "No such command" in ran.printed
    assert ran.failure == "ended with exit status 2"


def test_what_is_typed_is_shown_unless_it_is_hidden(tmp_path: Path) -> None:
    ran = run(tmp_path, "ask", typed="Ada\ntop secret\ny\nbecause")
    assert ran.printed == (
        "Name: Ada\nSecret: \nSure? [y/N]: y\nWhy? because\nAda has 10 letters; because\n"
    )
    assert run(tmp_path, "ask", typed="Ada\nx\nn").printed.endswith("Sure? [y/N]: n\n")
    ran = run(tmp_path, "ask")
    assert ran.printed == "Name: \nAborted!\n"
    assert ran.status == 1


def test_both_streams_are_shown_in_the_order_of_writing(tmp_path: Path) -> None:
    lines = run(tmp_path, "both").printed.split("\n")[:-1]
    assert lines == [f"{what} {n}" for n in range(20) for what in ("out", "err", "process")]


def test_colours_are_kept_whatever_the_builds_own_terminal_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = run(tmp_path, "colours").printed
    assert printed == "\x1b[32mgood\x1b[0m\n\x1b[31m\x1b[1mbad\x1b[0m\nplain\n"
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "40")
    assert run(tmp_path, "colours").printed == printed
    assert run(tmp_path, "wide").printed.startswith("=" * 80 + "\n")


def test_the_environment_is_that_of_the_build_but_for_the_terminal_and_the_store() -> None:
    environ = {"NO_COLOR": "1", "MINE": "x", "TERM": "dumb", "JUPYTERCACHE": "/build"}
    made = variables(environ, Path("/root"), Path("/store"))
    assert made["MINE"] == "x"
    assert "NO_COLOR" not in made
    assert (made["TERM"], made["JUPYTERCACHE"]) == ("xterm-256color", str(Path("/store")))


def test_every_way_to_fail_is_told(tmp_path: Path) -> None:
    ran = run(tmp_path, "fail 3")
    assert (ran.status, ran.failure) == (3, "ended with exit status 3")
    ran = run(tmp_path, "crash")
    assert ran.failure.startswith("raised RuntimeError: oh no (click_commands.py, line ")
    assert ran.printed == (
        "before the crash\nTraceback (most recent call last):\n  ...\nRuntimeError: oh no\n"
    )
    ran = run(tmp_path, "killed")
    assert (ran.printed, ran.failure) == ("before the kill\n", "was ended by signal 9")


@pytest.mark.parametrize(
    ("target", "trouble"),
    [
        ("no_such_module:x", "the module 'no_such_module' cannot be imported: ModuleNotFoundError"),
        ("click_commands:absent", "the module 'click_commands' has no attribute 'absent'"),
        ("click_commands:nothing", "click_commands:nothing is no click command, but of type int"),
        ("broken:x", "the module 'broken' cannot be imported: ZeroDivisionError"),
        ("leaving:x", "the module 'leaving' cannot be imported: SystemExit: 4"),
        ("crashing:x", "its process ended with status 5 before it began"),
    ],
)
def test_what_cannot_be_found_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, trouble: str
) -> None:
    (tmp_path / "broken.py").write_text("1 / 0")
    (tmp_path / "leaving.py").write_text("raise SystemExit(4)")
    (tmp_path / "crashing.py").write_text("import os; os._exit(5)")
    monkeypatch.syspath_prepend(tmp_path)
    ran = run_command(read_command(target), tmp_path, tmp_path / "store")
    assert ran.trouble.startswith(trouble)
    if target == "broken:x":
        assert ran.files == (tmp_path / "broken.py",)


def test_the_files_of_a_command_are_those_of_its_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "front.py").write_text("import click, back\n@click.group()\ndef main(): pass\n")
    with (tmp_path / "front.py").open("a") as file:
        file.write("main.add_command(back.sub)\n")
    (tmp_path / "back.py").write_text(
        "import click\n@click.command()\n@click.pass_context\ndef sub(c): print('x')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    ran = run_command(read_command("front:main", "sub"), tmp_path, tmp_path / "store")
    assert ran.printed == "x\n"
    assert set(ran.files) == {tmp_path / "front.py", tmp_path / "back.py"}


@pytest.mark.timeout(20)
def test_a_process_that_is_left_behind_is_not_waited_for(tmp_path: Path) -> None:
    assert run(tmp_path, "leave").printed == "left\n"


def test_the_folder_and_its_modules_are_not_importable_by_chance(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise RuntimeError('shadowed')")
    assert run(tmp_path, "hello").printed == "hello\n"


# --- showing ---

ROOT = Path("/home/me/project")
STORE = ROOT / "docs/_build/.nbcache-cli/page/.jupyter_cache"


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("/home/me/project/a/b.txt", "a/b.txt"),
        ("in /home/me/project, then", "in ., then"),
        ("run in /home/me/project.x", "run in /home/me/project.x"),
        ("in /home/me/project/ and", "in ./ and"),
        ("'/home/me/project'", "'.'"),
        ("/home/me/project /home/me/project/x", ". x"),
        ("file:///home/me/project/a", "file://a"),
        ("/home/me/projects/a", "/home/me/projects/a"),
        ("/home/me/project-2/a", "/home/me/project-2/a"),
        ("/mnt/home/me/project/a", "/mnt/home/me/project/a"),
        (
            "\x1b[35m/home/me/project/\x1b[0m\x1b[95ma.txt\x1b[0m",
            "\x1b[35m\x1b[0m\x1b[95ma.txt\x1b[0m",
        ),
        ("\x1b[35m/home/me/\x1b[0m\x1b[95mproject\x1b[0m", "\x1b[35m\x1b[0m\x1b[95m.\x1b[0m"),
        (f"Cache path: {STORE}", "Cache path: .jupyter_cache"),
        (f"{STORE}/nbcache-2", ".jupyter_cache/nbcache-2"),
        ("docs/_build/.nbcache-cli/page/.jupyter_cache", ".jupyter_cache"),
        ("1 %\r2 %\r\n3 %\r", "2 %\n3 %"),
    ],
)
def test_paths_of_this_machine_are_replaced(printed: str, shown: str) -> None:
    assert shown_text(printed, ROOT, STORE) == shown


def test_a_symbolic_link_to_the_folder_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    text = f"{tmp_path}/real/x {tmp_path}/link/x"
    assert shown_text(text, tmp_path / "link", tmp_path / "s" / "t") == "x x"


def test_the_root_of_the_file_system_and_single_names_are_no_patterns() -> None:
    assert shown_text("a/b /c cache", Path("/"), Path("/cache")) == "a/b /c cache"


def test_output_without_colours_is_an_ordinary_console_block() -> None:
    block = console_block("tool x", "one\ntwo\n")
    assert type(block) is nodes.literal_block
    assert block.astext() == block.rawsource == "$ tool x\none\ntwo"
    assert block["language"] == "console"
    assert block["force"]
    assert console_block("tool", "").astext() == "$ tool"


def test_output_with_colours_has_the_prompt_of_other_console_blocks() -> None:
    block = console_block("tool", "\x1b[31mred\x1b[0m\n")
    assert isinstance(block, AnsiBlock)
    assert block.astext() == "$ tool\nred"
    classes = [child["classes"] for child in block.findall(nodes.inline)]
    assert classes == [["gp"], ["go"], ["ansi-red-fg"]]
    assert block["language"] == "console"
    assert console_block("tool", "\x1b[0m\n").astext().rstrip() == "$ tool"


# --- places and dependencies ---


def test_each_page_has_a_store_that_lies_in_no_other_ones(tmp_path: Path) -> None:
    places, problems = places_of(tmp_path / "docs", tmp_path / "docs" / "_build", Settings())
    assert problems == []
    assert places.root == tmp_path
    outer, inner = places.store_of("a").place, places.store_of("a/b").place
    assert outer == tmp_path / "docs/_build/.nbcache-cli/a/.jupyter_cache"
    assert outer not in inner.parents


def test_the_store_of_the_build_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUPYTERCACHE", raising=False)
    base, output = tmp_path / "docs", tmp_path / "docs" / "_build"
    for settings in (
        Settings(cli_store="_build/.jupyter_cache"),
        Settings(cli_store="cache", store="../docs/cache"),
    ):
        places, (problem,) = places_of(base, output, settings)
        assert places.common is None
        assert "is the store of this build" in problem.text
        assert problem.is_error
    monkeypatch.setenv("JUPYTERCACHE", str(tmp_path / "variable"))
    assert places_of(base, output, Settings(cli_store="../variable"))[1]
    places, problems = places_of(base, output, Settings(cli_store="../cache"))
    assert problems == []
    assert places.common == tmp_path / "cache"
    assert places.store_of("a") == places.store_of("b")


def test_a_root_that_is_no_folder_is_told(tmp_path: Path) -> None:
    places, (problem,) = places_of(tmp_path / "docs", tmp_path, Settings(cli_root="absent"))
    assert places.root == tmp_path
    assert "nbcache_cli_root = 'absent' is no folder" in problem.text


def test_emptying_a_common_store_leaves_files_that_are_not_a_stores(tmp_path: Path) -> None:
    kept = ["nbcache-report.md", "notes.txt", "nbcache-x"]
    for name in kept:
        (tmp_path / name).write_text("mine")
    for name in ("nbcache-1", "nbcache-12", "nbcache-1.damaged-17"):
        (tmp_path / name / "locks").mkdir(parents=True)
    (tmp_path / "nbcache-1.moving.lock").touch()
    CliStore(tmp_path, is_common=True).empty()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_emptying_a_store_never_follows_a_link(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    store = tmp_path / "store"
    store.mkdir()
    (store / "nbcache-1").symlink_to(tmp_path / "mine")
    CliStore(store, is_common=True).empty()
    CliStore(store, is_common=False).empty()
    assert (tmp_path / "mine" / "file").exists()
    assert not store.exists()


def test_files_in_arguments_are_found_in_the_folder_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    (tmp_path / "b.txt").touch()
    (tmp_path / "folder").mkdir()
    words = ["add", "a.txt", "--like=b.txt", "folder", "absent", "x" * 5000, "nul\0", "--x=", ""]
    assert set(named_files(words, tmp_path)) == {tmp_path / "a.txt", tmp_path / "b.txt"}
