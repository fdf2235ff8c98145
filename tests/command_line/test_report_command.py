"""`report`: the same report as that of a build, as a page, as JSON and as JUnit, without Sphinx."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import jsonschema
import pytest
import report_schema
from junitparser import JUnitXml
from support_cli import CommandLine

pytestmark = pytest.mark.kernel


@pytest.fixture
def project(cli: CommandLine) -> CommandLine:
    """A project with a notebook that is well, one that failed, and one that was not run."""
    cli.ipynb("good.ipynb", "%%1 + 1")
    # What a subprocess does is not known: the next build tries it again.
    cli.ipynb("bad.ipynb", "%%import os; _ = os.system('true')", "%%1 / 0")
    assert cli("execute", "good.ipynb", "bad.ipynb").code == 1
    cli.ipynb("new.ipynb", "%%'new'")
    cli.ok("project", "add", "new.ipynb")
    return cli


def test_all_forms_are_written_in_one_go_and_nothing_is_run(project: CommandLine) -> None:
    done = project.ok("report", "--html", "out/page.html", "--junit", "out/cases.xml", "--json")
    document = done.json
    schema = json.loads(report_schema.PATH.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(document)
    told = {item["path"]: (item["decision"], item["status"]) for item in document["notebooks"]}
    assert told == {
        "bad.ipynb": ("to be executed", "failed"),
        "good.ipynb": ("reused", "ok"),
        "new.ipynb": ("to be executed", None),
    }
    (bad,) = (item for item in document["notebooks"] if item["path"] == "bad.ipynb")
    assert bad["failure"]["source"] == "1 / 0"
    assert [run["status"] for run in bad["runs"]] == ["failed"]
    page = (project.folder / "out" / "page.html").read_text(encoding="utf-8")
    assert "ZeroDivisionError" in page
    assert "nb-good.ipynb" in page
    assert "<dt>To be executed</dt><dd>2</dd>" in page
    assert "Time spent" not in page  # nothing was run here
    suites = JUnitXml.fromstring((project.folder / "out" / "cases.xml").read_bytes())
    assert (suites.tests, suites.failures, suites.skipped) == (3, 1, 1)
    assert [line.split()[0] for line in done.err.splitlines()] == ["Written:", "Written:"]
    assert project.statuses()["new.ipynb"] == "none"


def test_without_options_it_is_a_table_with_the_totals(project: CommandLine) -> None:
    text = project.ok("report").out
    assert text.splitlines()[-1].startswith("0 of 3 notebooks executed (1 reused, ")
    assert text.endswith("2 to be executed); 1 failed: bad.ipynb, cell 2, line 1\n")


@pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX")
def test_open_shows_the_page_in_the_browser_of_the_user(project: CommandLine) -> None:
    browser = project.write("browser", f"#!/bin/sh\necho \"$1\" > '{project.folder}/opened'\n")
    browser.chmod(0o755)
    for arguments, name in (
        (["--html", "page.html"], (project.folder / "page.html").as_uri()),
        ([], "nbcache-report.html"),
    ):
        subprocess.run(
            [sys.executable, "-m", "sphinx_nbcache", "report", "--open", *arguments],
            cwd=project.folder,
            env=os.environ | {"BROWSER": f"{browser} %s"},
            check=True,
            capture_output=True,
        )
        assert name in (project.folder / "opened").read_text(encoding="utf-8")


@pytest.mark.parametrize("option", ["--html", "--junit"])
def test_a_place_that_cannot_be_written_is_named(project: CommandLine, option: str) -> None:
    project.write("file", "")
    done = project("report", option, "file/page")
    assert done.code != 0
    assert "file" in done.err
    assert done.out == ""


def test_a_notebook_outside_of_the_root_is_in_the_report_with_the_others(
    project: CommandLine,
) -> None:
    outside = project.folder.parent / "outside.ipynb"
    outside.write_bytes((project.folder / "new.ipynb").read_bytes())
    project.ok("project", "add", str(outside))
    project.ok("report", "--html", "page.html")
    page = (project.folder / "page.html").read_text(encoding="utf-8")
    assert str(outside) in page
    assert "good.ipynb" in page
