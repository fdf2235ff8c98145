"""The report for programs: JSON that keeps to its schema, and JUnit XML that others can read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import msgspec
import pytest
import report_schema
from junitparser import Error, Failure, JUnitXml, Properties, Skipped, TestCase
from support_report import AS_IS, EXECUTED, FAILED, REFUSED, REPORT, REUSED, many

from sphinx_nbcache.report.as_json import report_json
from sphinx_nbcache.report.ci import report_junit
from sphinx_nbcache.report.html.page import report_html, standalone_page
from sphinx_nbcache.report.model import Report, ReportEntry, ReportFailure
from sphinx_nbcache.report.selection import Links, Selection
from sphinx_nbcache.report.side_files import write_files

STRANGE: ReportEntry = replace(
    FAILED,
    name="guide/<&>\"'\x00\x1b[31m.ipynb",
    reason="\ud800 ]]> </script> \x07",
    failure=ReportFailure("E", "\x1b[2J\x00<b>", "\x1b[31m\x00]]>\ufffe", 7, source="\x00"),
)
REPORTS = {
    "all kinds": REPORT,
    "empty": Report(),
    "reproducible": REPORT.without_what_varies(),
    "strange": Report((replace(STRANGE, reason="</script>]]>"),)),
    "many": many(50),
}


def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(report_schema.PATH.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


@pytest.mark.skipif(
    tuple(map(int, msgspec.__version__.split(".")[:2])) < (0, 22),
    reason="older versions of msgspec write it in other words",
)
def test_the_schema_that_is_shipped_describes_the_document_as_it_is() -> None:
    shipped = report_schema.PATH.read_text(encoding="utf-8")
    assert shipped == report_schema.schema_text(), "run: python tests/report_schema.py"


@pytest.mark.parametrize("kind", REPORTS)
def test_every_report_keeps_to_the_schema(kind: str) -> None:
    validator().validate(json.loads(report_json(REPORTS[kind])))


@pytest.mark.parametrize(
    "broken",
    [{"schema": 2}, {"notebooks": [{}]}, {"summary": None}, {"totals": {"notebooks": "five"}}],
)
def test_the_schema_refuses_what_the_document_never_is(broken: dict[str, Any]) -> None:
    document = json.loads(report_json(REPORT)) | broken
    with pytest.raises(jsonschema.ValidationError):
        validator().validate(document)


def test_the_document_tells_what_is_known_of_each_notebook() -> None:
    document = json.loads(report_json(REPORT))
    assert document["totals"] == {
        "notebooks": 5,
        "executed": 2,
        "reused": 1,
        "not_tried_again": 0,
        "to_be_executed": 0,
        "failed": 2,
        "seconds": 7.25,
        "seconds_saved": 20.0,
    }
    failed, as_is, _, reused, _ = document["notebooks"]
    assert failed["failure"]["cell"] == 7
    assert failed["failure"]["source"].endswith("frame['b']")
    assert failed["changed"] == "code cell 7 changed"
    assert failed["peak_memory"] == 212_000_000
    assert failed["cells"][1] == {"number": 7, "seconds": 2.0, "error": "KeyError"}
    assert failed["runs"] == [
        {"started": "2026-09-21T12:13:20Z", "seconds": 4.0, "status": "ok"}
        | {"reason": "no earlier result"},
        {"started": "2026-09-21T14:13:20Z", "seconds": 5.0, "status": "failed"}
        | {"reason": "code cell 7 changed"},
    ]
    assert reused["started"] == "2026-09-21T14:13:20Z"
    assert reused["depends_on"][0] == {"kind": "file", "text": "data/levels.csv"}
    assert reused["untracked"] == ["a program was started: git"]
    assert reused["removed"] == []
    assert reused["produced"] == [{"path": "levels.png", "size": 4096}]
    assert as_is["status"] is as_is["seconds"] is as_is["failure"] is None


def cases(report: Report) -> dict[str, TestCase]:
    suites = JUnitXml.fromstring(report_junit(report).encode())
    (suite,) = suites
    return {case.name: case for case in suite}


def properties(case: TestCase) -> dict[str, str]:
    return {item.name: item.value for item in case.child(Properties)}


def test_junit_has_a_test_case_for_each_notebook() -> None:
    suites = JUnitXml.fromstring(report_junit(REPORT).encode())
    assert (suites.tests, suites.failures, suites.errors, suites.skipped) == (5, 1, 1, 1)
    assert suites.time == 7.25
    found = cases(REPORT)
    assert set(found) == {"fit.ipynb", "kept.md", "old.md", "spring.ipynb", "wet.md"}
    assert found["fit.ipynb"].classname == "guide"


def test_junit_tells_failures_with_their_tracebacks_apart_from_errors() -> None:
    found = cases(REPORT)
    (failure,) = found["fit.ipynb"].result
    assert isinstance(failure, Failure)
    assert failure.type == "KeyError"
    assert failure.message == "KeyError: 'b' (code cell 7, line 2)"
    assert "frame['b']" in failure.text
    assert "\x1b" not in failure.text
    (error,) = found["old.md"].result
    assert isinstance(error, Error)
    assert error.message == "no earlier result"
    (skipped,) = found["kept.md"].result
    assert isinstance(skipped, Skipped)


def test_junit_tells_reused_results_apart_from_those_of_this_build() -> None:
    found = cases(REPORT)
    reused, executed = found["spring.ipynb"], found["wet.md"]
    assert reused.is_passed
    assert executed.is_passed
    assert properties(reused)["decision"] == "reused"
    assert reused.system_out.startswith("reused: nothing changed")
    assert (reused.time, executed.time) == (0.0, 3.0)
    assert properties(executed)["decision"] == "executed"
    assert executed.system_out is None


@pytest.mark.parametrize("kind", REPORTS)
def test_junit_and_html_are_well_formed_whatever_notebooks_print(kind: str) -> None:
    report = REPORTS[kind]
    ET.fromstring(report_junit(report))
    fragment = report_html(report, Selection(), Links(lambda name: f"{name}.html", str, True))  # noqa: FBT003
    ET.fromstring(fragment)


def test_a_page_of_its_own_needs_no_other_file_and_no_other_host() -> None:
    page = standalone_page(Report((STRANGE, FAILED, REUSED)), "Notebooks of <b>")
    assert "<title>Notebooks of &lt;b&gt;</title>" in page
    assert page.count("<script") == page.count("</script>") == 1
    for reference in ("src=", "@import", "url(", "<link"):
        assert reference not in page
    hosts = {part.split('"')[0] for part in page.split("http")[1:]}
    assert hosts == {"://www.w3.org/2000/svg"}  # a namespace, which nothing is loaded from


def test_files_are_written_and_logs_of_mended_notebooks_are_removed(tmp_path: Path) -> None:
    log = tmp_path / "reports" / "guide" / "fit.err.log"
    write_files(REPORT, tmp_path, REPORT)
    assert json.loads((tmp_path / "nbcache-report.json").read_text())["schema"] == 1
    assert (tmp_path / "nbcache-report.xml").read_text().startswith("<?xml")
    text = log.read_text(encoding="utf-8")
    assert "\x1b" not in text
    assert "DataFrame.__getitem__" in text  # nothing is left out here
    foreign = tmp_path / "reports" / "other.err.log"
    foreign.write_text("mine")
    mended = Report((replace(FAILED, failed=False, failure=None), EXECUTED, AS_IS, REFUSED))
    write_files(mended, tmp_path, mended)
    assert not log.exists()
    assert foreign.read_text() == "mine"


def test_files_that_would_not_change_are_not_touched(tmp_path: Path) -> None:
    write_files(REPORT, tmp_path, REPORT)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert len(before) == 3
    write_files(REPORT, tmp_path, REPORT)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert REUSED in REPORT.entries


def test_the_log_of_a_notebook_that_is_gone_goes_with_its_folder(tmp_path: Path) -> None:
    write_files(REPORT, tmp_path, REPORT)
    write_files(Report((EXECUTED,)), tmp_path, Report((EXECUTED,)))
    assert not (tmp_path / "reports").exists()
