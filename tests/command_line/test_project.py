"""The list of notebooks: ids, paths, states, and what is done with some of them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from support_cli import CommandLine

from sphinx_nbcache.cli import notebook

PERCENT = "# ---\n# jupyter:\n#   kernelspec:\n#     name: python3\n# ---\n\n# %%\nprint('hi')\n"
MYST = "---\nkernelspec:\n  name: python3\n---\n\n# T\n\n```{code-cell}\nprint('hi')\n```\n"


def paths(cli: CommandLine) -> list[tuple[int, str]]:
    listed = cli.ok("project", "list", "--json").json["notebooks"]
    return [(item["id"], item["path"]) for item in listed]


def test_an_empty_project_is_said_to_be_empty(cli: CommandLine) -> None:
    assert cli.ok("project", "list").out == "No notebooks in project\n"
    assert cli.ok("project", "plan").out == "No notebooks in project\n"
    assert cli.ok("project", "list", "--json").json["notebooks"] == []
    for more in ([], ["--executor", "temp-serial"]):
        executed = cli("execute", *more)
        assert (executed.code, executed.out) == (5, "")
        assert "there is no notebook to execute" in executed.err
    assert cli("execute", "--json").json["notebooks"] == []
    assert list(cli.folder.iterdir()) == []


def test_commands_that_only_read_create_no_folder(cli: CommandLine) -> None:
    cli.ipynb("a.ipynb", "%%1")
    before = set(cli.folder.iterdir())
    for command in ("list", "plan", "report", "--print-path", "cache list", "cache check"):
        cli.ok(*command.split())
    for command in ("project version", "cache limit"):
        cli.ok(*command.split())
    for command in ("show 1", "explain a.ipynb", "cache show 1", "cache diff 1 a.ipynb"):
        assert cli(*command.split()).code == 2
    assert set(cli.folder.iterdir()) == before


@pytest.mark.parametrize("verb", ["execute", "project add"])
def test_a_page_that_is_no_notebook_is_refused_and_nothing_is_added(
    cli: CommandLine, verb: str
) -> None:
    cli.ipynb("a.ipynb", "# Text")
    cli.write("index.md", "# A page\n")
    done = cli(*verb.split(), "a.ipynb", "index.md")
    assert done.code == 2
    assert "index.md is not a notebook: it names neither a kernel nor a format" in done.err
    assert cli.statuses() == {}


def test_a_file_that_is_not_there_is_named(cli: CommandLine) -> None:
    cli.ipynb("a.ipynb", "# Text")
    done = cli("execute", "a.ipynb", "nope.ipynb")
    assert (done.code, done.err) == (2, "Error: there is no such file: nope.ipynb\n")
    assert cli.statuses() == {}


@pytest.mark.parametrize("verb", ["execute", "project add"])
def test_a_folder_stands_for_the_notebooks_below_it(cli: CommandLine, verb: str) -> None:
    for name in ("sub/a.ipynb", "sub/deep/b.ipynb", "sub/_build/c.ipynb", "other.ipynb"):
        cli.ipynb(name, "# Text")
    cli.write("sub/index.md", "# A page\n")
    cli.ok(*verb.split(), "sub")
    assert set(cli.statuses()) == {"sub/a.ipynb", "sub/deep/b.ipynb"}
    cli.write("empty/page.md", "# A page\n")
    done = cli(*verb.split(), "empty")
    assert (done.code, done.err) == (2, "Error: there is no notebook below empty\n")


def test_notebooks_keep_their_ids_and_no_id_is_used_again(cli: CommandLine) -> None:
    for name in "abcd":
        cli.ipynb(f"{name}.ipynb", f"%%'{name}'")
    cli.ok("project", "add", "a.ipynb", "b.ipynb")
    cli.ok("project", "remove", "1")
    assert cli.ok("project", "add", "c.ipynb").out.startswith("Added: c.ipynb (notebook 3)\n")
    assert paths(cli) == [(2, "b.ipynb"), (3, "c.ipynb")]
    cli.ok("project", "clear", "--force")
    assert paths(cli) == []
    cli.ok("project", "add", "d.ipynb")
    assert paths(cli) == [(4, "d.ipynb")]


def test_adding_again_keeps_the_id_and_changes_the_reader(cli: CommandLine) -> None:
    cli.write("a.py", PERCENT)
    cli.ok("project", "add", "a.py", "--reader", "py:light")
    cli.ok("project", "add", "a.py", "--reader", "py:percent")
    (item,) = cli.ok("project", "list", "--json").json["notebooks"]
    assert (item["id"], item["reader"]) == (1, "py:percent")


def test_ids_and_paths_can_be_mixed(cli: CommandLine) -> None:
    for name in "abc":
        cli.ipynb(f"{name}.ipynb", "# Text")
    cli.ok("project", "add", "a.ipynb", "b.ipynb", "c.ipynb")
    planned = cli.ok("project", "plan", "1", "c.ipynb", "--json").json["notebooks"]
    assert [item["path"] for item in planned] == ["a.ipynb", "c.ipynb"]
    removed = cli.ok("project", "remove", "c.ipynb", "1", "--json").json["notebooks"]
    assert {item["id"] for item in removed} == {1, 3}
    assert paths(cli) == [(2, "b.ipynb")]


def test_the_group_is_also_called_notebook(cli: CommandLine) -> None:
    cli.ipynb("a.ipynb", "# Text")
    cli.ok("notebook", "add", "a.ipynb")
    assert cli.ok("list", group=notebook).out == cli.ok("project", "list").out


def test_a_file_that_has_gone_is_listed_as_missing(cli: CommandLine) -> None:
    cli.ipynb("a.ipynb", "# Text").touch()
    cli.ipynb("b.ipynb", "# Text")
    cli.ok("project", "add", "a.ipynb", "b.ipynb")
    (cli.folder / "a.ipynb").unlink()
    assert cli.statuses() == {"a.ipynb": "missing", "b.ipynb": "as-is"}
    assert "missing" in cli.ok("project", "list").out
    for reference in ("1", "a.ipynb"):
        assert "missing" in cli.ok("project", "show", reference).out
        assert "no such file" in cli.ok("explain", reference).out
    cli.ok("project", "plan")
    cli.ok("project", "remove", "a.ipynb")
    assert paths(cli) == [(2, "b.ipynb")]


def test_a_file_that_has_gone_or_is_none_is_one_failed_notebook(cli: CommandLine) -> None:
    for name in ("gone.ipynb", "good.ipynb"):
        cli.ipynb(name, "# Text")
    cli.write("page.md", "---\nkernelspec: {name: python3}\n---\n")
    cli.ok("project", "add", "gone.ipynb", "good.ipynb", "page.md")
    cli.write("page.md", "# A page without a kernel\n")
    (cli.folder / "gone.ipynb").unlink()
    done = cli("execute")
    assert done.code == 1
    assert done.out.splitlines() == [
        "Finished! 0 succeeded, 2 failed, 1 not to be executed.",
        "failed:",
        "- gone.ipynb: there is no such file",
        "- page.md: it is no notebook: nothing in it names a kernel or a format",
    ]
    assert cli.statuses()["page.md"] == "unreadable"
    planned = cli.ok("project", "plan", "--json").json["notebooks"]
    assert [item["action"] for item in planned] == [None, "as-is", None]


def test_a_file_that_cannot_be_read_is_one_bad_notebook(cli: CommandLine) -> None:
    cli.write("bad.ipynb", "{")
    cli.ipynb("good.ipynb", "# Text")
    cli.ok("project", "add", "bad.ipynb", "good.ipynb")
    assert cli.statuses() == {"bad.ipynb": "unreadable", "good.ipynb": "as-is"}
    done = cli("execute")
    assert done.code == 1
    assert "bad.ipynb: it cannot be read" in done.out
    assert "not valid JSON" in done.err


@pytest.mark.posix
@pytest.mark.timeout(30)
def test_a_named_pipe_in_the_place_of_a_notebook_is_not_waited_for(cli: CommandLine) -> None:
    path = cli.ipynb("a.ipynb", "# Text")
    cli.ok("project", "add", "a.ipynb")
    path.unlink()
    os.mkfifo(path)
    assert cli.statuses() == {"a.ipynb": "unreadable"}
    assert "a.ipynb: it cannot be read (it is a named pipe)" in cli("execute").out


@pytest.mark.kernel
def test_only_the_named_notebooks_are_executed(cli: CommandLine) -> None:
    for name in "abc":
        cli.ipynb(f"{name}.ipynb", f"%%print('{name}')")
    cli.ok("project", "add", "a.ipynb", "b.ipynb", "c.ipynb")
    done = cli.ok("execute", "1", "b.ipynb", "--json").json
    assert [item["outcome"] for item in done["notebooks"]] == ["executed", "executed"]
    assert cli.statuses() == {"a.ipynb": "ok", "b.ipynb": "ok", "c.ipynb": "none"}


@pytest.mark.kernel
@pytest.mark.parametrize(("name", "text"), [("a.md", MYST), ("a.py", PERCENT)])
def test_text_notebooks_are_executed_and_merged(cli: CommandLine, name: str, text: str) -> None:
    cli.write(name, text)
    if name.endswith(".py"):
        cli.ok("project", "add", name, "--reader", "py:percent")
    cli.ok("execute", name)
    cli.ok("project", "merge", name, "out.ipynb")
    (code,) = [cell for cell in cli.read("out.ipynb")["cells"] if cell["cell_type"] == "code"]
    assert (code["execution_count"], code["outputs"][0]["text"]) == (1, ["hi\n"])
    cli.ok("project", "merge", name, "out.md")
    assert "print('hi')" in (cli.folder / "out.md").read_text(encoding="utf-8")


@pytest.mark.kernel
def test_a_plan_says_what_would_be_done_and_does_nothing(cli: CommandLine) -> None:
    cli.ipynb("a.ipynb", "%%1 + 1")
    cli.ok("project", "add", "a.ipynb")
    text = cli.ok("project", "plan").out
    assert "execute" in text
    assert "no earlier result" in text
    assert text.endswith("1 of 1 notebook to execute\n")
    assert cli.ok("cache", "list").out == "No results in the store\n"
    cli.ok("execute")
    assert cli.ok("project", "plan", "--json").json["notebooks"][0]["action"] == "reuse"
    cli.ipynb("a.ipynb", "%%1 + 2")
    (item,) = cli.ok("project", "plan", "--json").json["notebooks"]
    assert (item["action"], item["why"]) == ("execute", "code-changed")
    assert item["reason"] == "code cell 1 changed"
    assert "code cell 1 changed" in cli.ok("explain", "a.ipynb").out
    report = cli.ok("report", "--json").json
    assert report["notebooks"][0]["decision"] == "to be executed"
    assert report["summary"] == "0 of 1 notebook executed (1 to be executed)"


@pytest.mark.kernel
def test_what_was_invalidated_is_executed_again(cli: CommandLine) -> None:
    cli.ipynb("a.ipynb", "%%1 + 1")
    cli.ipynb("b.ipynb", "%%1 + 2")
    cli.ok("execute", "a.ipynb", "b.ipynb")
    removed = cli.ok("project", "invalidate", "a.ipynb", "--json").json["removed"]
    assert len(removed) == 1
    assert cli.statuses() == {"a.ipynb": "none", "b.ipynb": "ok"}
    cli.ok("project", "invalidate", "--all", "--force")
    assert set(cli.statuses().values()) == {"none"}
    assert cli.ok("execute").out.startswith("Finished! 2 succeeded, 0 failed.\n")


@pytest.mark.kernel
def test_force_executes_what_has_a_result(cli: CommandLine) -> None:
    cli.ipynb("a.ipynb", "%%1 + 1")
    cli.ok("execute", "a.ipynb")
    assert "1 up to date" in cli.ok("execute").out
    for executor in ("local-serial", "local-parallel"):
        done = cli.ok("execute", "--force", "--executor", executor)
        assert done.out.startswith("Finished! 1 succeeded, 0 failed.\n")


@pytest.mark.kernel
def test_options_of_execution_are_respected(cli: CommandLine) -> None:
    cli.ipynb("slow.ipynb", "%%import time\ntime.sleep(30)")
    done = cli("execute", "slow.ipynb", "--timeout", "0.5")
    assert done.code == 1
    assert "CellTimeoutError" in done.out
    cli.ipynb("raising.ipynb", "%%1 / 0", "%%print('behind')")
    assert cli("execute", "raising.ipynb").code == 1
    cli.ok("execute", "raising.ipynb", "--allow-errors")


@pytest.mark.kernel
def test_everything_else_of_the_source_is_kept_by_a_merge(cli: CommandLine) -> None:
    cells: list[dict[str, Any]] = [
        {"cell_type": "markdown", "source": "![](attachment:a.png)", "id": "text"}
        | {"metadata": {"k": 1}, "attachments": {"a.png": {"image/png": "AAAA"}}},
        {"cell_type": "code", "source": "1 + 1", "id": "code", "metadata": {"tags": ["t"]}}
        | {"outputs": [], "execution_count": None},
    ]
    source = cli.ipynb("a.ipynb", *cells, own={"deep": [1]})
    cli.ok("execute", "a.ipynb")
    cli.ok("project", "merge", "1", "out.ipynb")
    merged, before = cli.read("out.ipynb"), json.loads(source.read_text(encoding="utf-8"))
    assert merged["cells"][0] == before["cells"][0] | {"source": ["![](attachment:a.png)"]}
    assert merged["cells"][1]["metadata"] == {"tags": ["t"]}
    assert merged["cells"][1]["id"] == "code"
    assert merged["metadata"]["own"] == {"deep": [1]}
    assert merged["nbformat_minor"] == 5


def test_the_store_is_where_it_was_asked_for(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.ipynb("a.ipynb", "# Text")
    cli.ok("project", "--cache-path", tmp_path / "one", "add", "a.ipynb")
    assert len(list((tmp_path / "one").iterdir())) == 1
    assert not (cli.folder / ".jupyter_cache").exists()
    # Behind the command as well; and it wins over the one before.
    arguments = ("project", "-p", tmp_path / "two", "list", "-p", tmp_path / "one", "--json")
    assert len(cli.ok(*arguments).json["notebooks"]) == 1
    monkeypatch.setenv("JUPYTERCACHE", str(tmp_path / "one"))
    assert len(cli.ok("project", "list", "--json").json["notebooks"]) == 1
    monkeypatch.delenv("JUPYTERCACHE")
    assert paths(cli) == []
    expected = cli.folder / ".jupyter_cache"
    assert cli.ok("--print-path").out == f"Cache path: {expected}\n"
