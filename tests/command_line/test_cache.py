"""The results in the store: what is listed, added, compared, limited, checked, removed."""

from __future__ import annotations

import io
import sys
from contextlib import closing

import pytest
from support import code_cell
from support_cli import CommandLine, printing

from sphinx_nbcache import open_project
from sphinx_nbcache.cli.items import info_of
from sphinx_nbcache.project.requests import UnknownReferenceError

RUN = code_cell("print('hi')", outputs=printing("hi\n"), count=1)
UNRUN = code_cell("print('hi')")


def results(cli: CommandLine) -> list[tuple[int, str]]:
    listed = cli.ok("cache", "list", "--json").json["results"]
    return [(item["id"], item["notebook"]) for item in listed]


def test_an_empty_store_is_said_to_be_empty(cli: CommandLine) -> None:
    assert cli.ok("cache", "list").out == "No results in the store\n"
    assert cli.ok("cache", "check").out == "The store is whole.\n"
    assert cli.ok("cache", "prune").out == "Removed 0 results\n"
    assert cli.ok("cache", "clear", "--force").out == "Removed 0 results\n"


def test_a_notebook_that_was_executed_elsewhere_is_not_executed_again(cli: CommandLine) -> None:
    cli.ipynb("a.ipynb", RUN)
    assert cli.ok("cache", "add", "a.ipynb").out == "Added: a.ipynb (result 1)\nSuccess!\n"
    cli.ipynb("a.ipynb", UNRUN)
    assert "1 up to date" in cli.ok("execute", "a.ipynb").out
    cli.ok("project", "merge", "a.ipynb", "out.ipynb")
    assert cli.read("out.ipynb")["cells"][0]["outputs"][0]["text"] == ["hi\n"]


def test_a_result_that_is_removed_while_it_is_looked_at_is_named(cli: CommandLine) -> None:
    cli.ipynb("a.ipynb", RUN)
    cli.ok("cache", "add", "a.ipynb")
    with closing(open_project(cli.folder)) as project:
        stored = project.results.get(1)
        assert info_of(project, stored).id == 1
        cli.ok("cache", "remove", "1")
        with pytest.raises(UnknownReferenceError, match="result 1 was removed meanwhile"):
            info_of(project, stored)


def test_a_notebook_that_looks_unrun_is_refused_and_the_others_are_added(cli: CommandLine) -> None:
    cli.ipynb("bad.ipynb", RUN, code_cell("2", count=7))
    cli.ipynb("good.ipynb", RUN)
    done = cli("cache", "add", "bad.ipynb", "good.ipynb")
    assert done.code == 2
    assert "code cell 2 has execution count 7, not 2" in done.err
    assert "bad.ipynb" in done.err
    assert done.out == "Added: good.ipynb (result 1)\n"
    cli.ok("cache", "add", "--no-validate", "bad.ipynb")
    assert [name for _, name in results(cli)] == ["bad.ipynb", "good.ipynb"]


def test_it_is_asked_whether_to_add_what_looks_unrun(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["one.ipynb", "good.ipynb", "two.ipynb"]
    for name in ("one.ipynb", "two.ipynb"):
        cli.ipynb(name, code_cell(f"'{name}'", count=7))
    cli.ipynb("good.ipynb", RUN)
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\ny\n"))
    done = cli("cache", "add", *names)
    added = ["Added: good.ipynb (result 1)", "Added: two.ipynb (result 2)"]
    assert (done.code, done.out.splitlines()) == (2, added)
    assert done.err.count("[y/N]") == 2
    assert "Not added: one.ipynb" in done.err
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\ny\n"))
    assert cli.ok("cache", "add", *names).out.endswith("Success!\n")


def test_what_is_asked_does_not_get_into_json(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one.ipynb", "two.ipynb"):
        cli.ipynb(name, code_cell("1", count=7))
    cli.write("bad.ipynb", "{")
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    done = cli("cache", "add", "--json", "bad.ipynb", "one.ipynb", "two.ipynb")
    assert done.code == 2
    assert done.json["added"] == [{"path": "one.ipynb", "result": 1}]
    assert [item["path"] for item in done.json["refused"]] == ["bad.ipynb", "two.ipynb"]
    assert "has execution count 7, not 1" in done.json["refused"][1]["reason"]
    assert "Add it nevertheless?" in done.err


def test_the_question_is_left_out_where_counts_are_not_looked_at(cli: CommandLine) -> None:
    cli.ipynb("odd.ipynb", code_cell("1", count=7))
    done = cli.ok("cache", "add", "--no-validate", "--json", "odd.ipynb")
    assert (done.err, done.json["refused"]) == ("", [])


def test_artifacts_are_kept_and_written_to_the_standard_output(cli: CommandLine) -> None:
    cli.ipynb("a.ipynb", RUN)
    cli.write("out/data.csv", "x,y\n1,2\n")
    for verb in ("add-with-artifacts", "add-with-artefacts"):
        cli.ok("cache", verb, "-nb", "a.ipynb", "out/data.csv")
    for verb in ("artifact", "cat-artifact", "cat-artefact"):
        assert cli.ok("cache", verb, "1", "out/data.csv").out == "x,y\n1,2\n"
    missing = cli("cache", "artifact", "1", "out/other.csv")
    assert missing.code == 2
    assert "out/other.csv" in missing.err
    (item,) = cli.ok("cache", "show", "1", "--json").json["result"]["artifacts"]
    assert (item["path"], item["size"]) == ("out/data.csv", 8)
    assert "- out/data.csv (8 B)" in cli.ok("cache", "show", "1").out


def test_results_have_ids_and_digests_as_names(cli: CommandLine) -> None:
    cli.ipynb("a.ipynb", RUN)
    cli.ok("cache", "add", "a.ipynb")
    result = cli.ok("cache", "show", "1", "--json").json["result"]
    digest = result["digest"]
    assert digest[:12] in cli.ok("cache", "list", "--hashkeys").out
    for reference in (digest, "1") if digest[:8].isdigit() else (digest, digest[:8], "1"):
        assert cli.ok("cache", "show", reference, "--json").json["result"]["id"] == 1


def test_code_is_compared_with_nbdime(cli: CommandLine) -> None:
    pytest.importorskip("nbdime")
    cli.ipynb("a.ipynb", RUN)
    cli.ok("cache", "add", "a.ipynb")
    assert cli.ok("cache", "diff", "1", "a.ipynb").out == "The code is the same.\n"
    cli.ipynb("b.ipynb", code_cell("print('ho')"))
    lines = cli.ok("cache", "diff", "1", "b.ipynb").out.splitlines()
    assert lines[:2] == ["--- result 1 (a.ipynb)", "+++ b.ipynb"]
    assert "-  print('hi')" in lines
    assert "+  print('ho')" in lines


def test_without_nbdime_it_is_said_what_to_install(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("nbdime", "nbdime.diffing.notebooks", "nbdime.prettyprint"):
        monkeypatch.setitem(sys.modules, name, None)
    cli.ipynb("a.ipynb", RUN)
    cli.ok("cache", "add", "a.ipynb")
    done = cli("cache", "diff", "1", "a.ipynb")
    assert (done.code, done.out) == (2, "")
    assert "sphinx-nbcache[diff]" in done.err


def test_results_are_removed_by_id_and_ids_are_not_used_again(cli: CommandLine) -> None:
    for number in range(3):
        cli.ipynb(f"{number}.ipynb", code_cell(f"print({number})", count=1))
        cli.ok("cache", "add", f"{number}.ipynb")
    assert cli.ok("cache", "remove", "1", "3").out == "Removed 2 results: 1, 3\n"
    assert results(cli) == [(2, "1.ipynb")]
    assert cli.ok("cache", "remove", "--all", "--force").out == "Removed 1 result: 2\n"
    assert cli.ok("cache", "add", "0.ipynb").out.startswith("Added: 0.ipynb (result 4)\n")


def test_only_the_newest_result_of_each_notebook_is_listed_if_asked_for(cli: CommandLine) -> None:
    for number in range(2):
        cli.ipynb("a.ipynb", code_cell(f"print({number})", count=1))
        cli.ok("cache", "add", "a.ipynb")
    assert len(results(cli)) == 2
    (item,) = cli.ok("cache", "list", "--latest-only", "--json").json["results"]
    assert item["id"] == 2


def test_limits_are_shown_changed_and_taken_away(cli: CommandLine) -> None:
    for verb in (("cache", "limit"), ("project", "cache-limit")):
        cli.ok(*verb, "7", "--size", "2MB")
        assert cli.ok(*verb, "--json").json == {"schema": 1, "count": 7, "size": 2_000_000}
        assert cli.ok(*verb).out == "Current cache limit: 7 results; of size: 2.0 MB\n"
        cli.ok(*verb, "none")
        assert cli.ok(*verb, "--json").json == {"schema": 1, "count": None, "size": 2_000_000}
        assert cli.ok(*verb, "--size", "none").out.startswith("Cache limit changed! ")


def test_a_limit_is_kept(cli: CommandLine) -> None:
    cli.ok("cache", "limit", "2")
    for number in range(4):
        cli.ipynb(f"{number}.ipynb", code_cell(f"print({number})", count=1))
        cli.ok("cache", "add", f"{number}.ipynb")
    assert sorted(name for _, name in results(cli)) == ["2.ipynb", "3.ipynb"]


def test_pruning_removes_what_no_notebook_of_the_project_uses(cli: CommandLine) -> None:
    for name in ("used", "unused"):
        cli.ipynb(f"{name}.ipynb", code_cell(f"print('{name}')", count=1))
        cli.ok("cache", "add", f"{name}.ipynb")
    cli.ok("project", "add", "used.ipynb")
    assert cli.ok("cache", "prune", "--json").json["removed"] == [2]
    assert results(cli) == [(1, "used.ipynb")]


def test_damage_is_reported_with_code_3_and_taken_out(cli: CommandLine) -> None:
    big = [{"output_type": "stream", "name": "stdout", "text": "x" * 200_000}]
    cli.ipynb("a.ipynb", code_cell("print('x' * 200_000)", outputs=big, count=1))
    cli.ok("cache", "add", "a.ipynb")
    (value,) = (cli.folder / ".jupyter_cache").rglob("*.val")
    value.write_bytes(b"not what was written")
    found = cli("cache", "check")
    assert found.code == 3
    assert "--fix" in found.out
    document = cli("cache", "check", "--json").json
    assert document["findings"]
    assert not any(item["fixed"] for item in document["findings"])
    cli.ok("cache", "check", "--fix")
    assert cli.ok("cache", "check").out == "The store is whole.\n"


def test_prune_removes_stores_in_older_formats(cli: CommandLine) -> None:
    old = cli.folder / ".jupyter_cache" / "nbcache-1"
    old.mkdir(parents=True)
    (old / "cache.db").write_bytes(b"")
    ran = cli("cache", "prune")
    assert f"removed {old}" in ran.err
    assert not old.exists()
