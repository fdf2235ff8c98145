"""Output for CI systems: annotations and a job summary for GitHub Actions, and JUnit XML."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import TextIO
from xml.etree import ElementTree as ET

from sphinx_nbcache.notices import Notice, Topic
from sphinx_nbcache.project.outcomes import NotebookOutcome
from sphinx_nbcache.report.model import Report, ReportEntry, ReportFailure
from sphinx_nbcache.results.terminal import printable, strip_ansi
from sphinx_nbcache.text import duration_in_words, for_markup, one_line

SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"
# Topics of notices about notebooks without a valid result. All others are warnings.
_ERRORS = frozenset({Topic.EXECUTION, Topic.FROZEN})
_MOST_ROWS = 200
_MOST_FAILURES = 20
_LONGEST_TRACEBACK = 20_000
# GitHub rejects a step's summary of more than 1 MiB, in bytes
# (https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands).
_LARGEST = 1_000_000
# As in `@actions/core` 1.11
# (https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts).
_IN_TEXT = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_IN_PROPERTY = _IN_TEXT | {":": "%3A", ",": "%2C"}
_NOT_RUN = frozenset(
    {
        NotebookOutcome.AS_IS,
        NotebookOutcome.WAITING,
        NotebookOutcome.MAY_WAIT,
        NotebookOutcome.REMOVED,
        NotebookOutcome.EDITED,
    }
)
_SUITE = "notebooks"


def is_github(option: str, variables: Mapping[str, str]) -> bool:
    """Tell whether to write output for GitHub Actions.

    Args:
        option: The value of `nbcache_ci`.
        variables: The environment; GitHub sets `GITHUB_ACTIONS`.
    """
    return option == "github" or (option == "auto" and variables.get("GITHUB_ACTIONS") == "true")


def serve_github(
    notices: Iterable[Notice],
    report: Report,
    title: str,
    variables: Mapping[str, str],
    stream: TextIO,
) -> None:
    """Write annotations, and append to the job summary.

    Args:
        notices: The notices to annotate.
        report: The report on the run.
        title: The name of the project.
        variables: The environment.
        stream: The standard output or error.

    Raises:
        OSError: The summary cannot be written.
    """
    for notice in notices:
        print(annotation(notice, variables), file=stream, flush=True)
    if path := variables.get(SUMMARY_VARIABLE):
        # Append: other commands of the step may have written to the file.
        with Path(path).open("a", encoding="utf-8", errors="replace") as file:
            file.write(job_summary(report, title))


def annotation(notice: Notice, variables: Mapping[str, str]) -> str:
    """Return the workflow command that shows a notice at its location in the sources.

    Args:
        notice: The notice.
        variables: The environment; files are relative to `GITHUB_WORKSPACE`.
    """
    is_error = notice.is_error or notice.topic in _ERRORS
    properties = {"title": "Notebook failed" if is_error else "Notebook"}
    if notice.path is not None:
        workspace = variables.get("GITHUB_WORKSPACE") or Path.cwd()
        properties["file"] = Path(_relative(notice.path, workspace)).as_posix()
    if notice.line is not None:
        properties["line"] = str(notice.line)
    listed = ",".join(f"{name}={_escaped(v, _IN_PROPERTY)}" for name, v in properties.items())
    text = _escaped(strip_ansi(notice.text), _IN_TEXT)
    return f"::{'error' if is_error else 'warning'} {listed}::{text}"


def job_summary(report: Report, title: str) -> str:
    """Return the summary as Markdown: totals, executed notebooks with reasons, and failures.

    All text from notebooks is escaped, as HTML in code elements.

    Args:
        report: The report; its dependencies are not needed.
        title: The name of the project.
    """
    blocks, size = [f"### Notebooks of {_code(title)}", ""], 0
    for block in _blocks(report):
        size += len(block.encode("utf-8", "replace")) + 1
        if size > _LARGEST:
            blocks.append("\n… and more, for which a summary has no room.")
            break
        blocks.append(block)
    return "\n".join([*blocks, ""])


def _blocks(report: Report) -> Iterator[str]:
    failed = report.failed
    yield report.figures + (f"; **{len(failed)} failed**" if failed else "")
    ran = [entry for entry in report.entries if entry.failed or _is_news(entry)]
    if ran:
        yield from ("", "| Notebook | What happened | Why | Time |", "| --- | --- | --- | ---: |")
    yield from map(_row, ran[:_MOST_ROWS])
    if len(ran) > _MOST_ROWS:
        yield f"| and {len(ran) - _MOST_ROWS} more | | | |"
    shown = [entry for entry in failed if entry.failure is not None]
    for entry in shown[:_MOST_FAILURES]:
        assert entry.failure is not None
        yield _failure(entry, entry.failure)
    if len(shown) > _MOST_FAILURES:
        yield f"\n… and the tracebacks of {len(shown) - _MOST_FAILURES} more notebooks."


def _is_news(entry: ReportEntry) -> bool:
    return entry.decision not in (NotebookOutcome.REUSED, NotebookOutcome.AS_IS)


def _row(entry: ReportEntry) -> str:
    happened = f"**failed**{entry.at_cell}" if entry.failed else entry.decision
    seconds = "" if entry.seconds is None else duration_in_words(entry.seconds)
    return f"| {_code(entry.name)} | {happened} | {_cell(entry.reason)} | {seconds} |"


def _failure(entry: ReportEntry, failure: ReportFailure) -> str:
    headline = _cell(strip_ansi(failure.headline))
    # The end of a traceback names the exception and the innermost frame.
    traceback = strip_ansi(failure.trimmed)[-_LONGEST_TRACEBACK:].strip("\n")
    # An empty line ends an HTML block that begins with `details`, so `pre` must not contain one
    # (https://spec.commonmark.org/0.31.2/#html-blocks).
    shown = escape(traceback, quote=False).replace("\n", "&#10;")
    title = f"<summary>{_code(entry.name)}{entry.at_cell}: {headline}</summary>"
    return f"\n<details>{title}\n<pre>{shown}</pre>\n</details>"


def _code(text: str) -> str:
    return f"<code>{_cell(text)}</code>"


def _cell(text: str) -> str:
    """Return a text escaped for one line of a Markdown table, which shows it unchanged."""
    # `@`, `#` and `:` because GitHub turns `@name`, `#1` and `:name:` into links and emoji. HTML
    # references work where backslashes do not, such as within `code` elements.
    plain = escape(one_line(text), quote=False)
    return "".join(f"&#{ord(char)};" if char in "|\\`*_[]~@:#" else char for char in plain)


def _relative(path: Path, folder: str | Path) -> str:
    try:
        return os.path.relpath(path, folder)
    except ValueError:  # on Windows: the paths are on different drives
        return str(path)


def _escaped(text: str, replaced: Mapping[str, str]) -> str:
    return "".join(replaced.get(char, char) for char in text)


def report_junit(report: Report) -> str:
    """Return a report as JUnit XML.

    A failed notebook has a `failure` with its traceback, one that could not be run an `error`. A
    notebook that was not run is `skipped`. A cache hit passes with a time of 0, with the property
    `decision` and a `system-out`.
    """
    # No official schema exists. Elements and attributes follow the common format that is described
    # in https://github.com/testmoapp/junitxml.
    cases = [_case(entry, report) for entry in report.entries]
    counts = {
        "tests": len(cases),
        "failures": sum(case.find("failure") is not None for case in cases),
        "errors": sum(case.find("error") is not None for case in cases),
        "skipped": sum(case.find("skipped") is not None for case in cases),
    }
    attributes = {name: str(count) for name, count in counts.items()}
    if not report.is_reproducible:
        attributes["time"] = f"{report.seconds:.3f}"
    suites = ET.Element("testsuites", {"name": "nbcache", **attributes})
    suite = ET.SubElement(suites, "testsuite", {"name": _SUITE, **attributes})
    suite.extend(cases)
    ET.indent(suites)
    # With another encoding than "unicode", `tostring` would return bytes and name US-ASCII.
    text = ET.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def _case(entry: ReportEntry, report: Report) -> ET.Element:
    folder, _, name = entry.name.rpartition("/")
    # Viewers group cases by class name, so a directory is shown as a group.
    case = ET.Element(
        "testcase", {"classname": for_markup(folder or _SUITE), "name": for_markup(name)}
    )
    case.set("file", for_markup(entry.name))
    if entry.failure is not None and entry.failure.line is not None:
        case.set("line", str(entry.failure.line))
    if not report.is_reproducible:
        # Viewers sum up the times, so a reused result must not add its former duration.
        spent = (entry.seconds or 0.0) if entry.decision == NotebookOutcome.EXECUTED else 0.0
        case.set("time", f"{spent:.3f}")
    if properties := _properties(entry):
        listed = ET.SubElement(case, "properties")
        for key, value in properties.items():
            ET.SubElement(listed, "property", {"name": key, "value": for_markup(value)})
    if entry.failed:
        case.append(_failed(entry))
    elif entry.decision in _NOT_RUN or not (entry.status or entry.decision):
        ET.SubElement(case, "skipped", {"message": for_markup(entry.reason)})
    elif entry.decision == NotebookOutcome.REUSED:
        ET.SubElement(case, "system-out").text = for_markup(f"reused: {entry.reason}")
    return case


def _properties(entry: ReportEntry) -> dict[str, str]:
    found = {
        "decision": entry.decision,
        "reason": entry.reason,
        "status": entry.status,
        "kernel": entry.kernel,
        "executor": entry.executor,
    }
    if entry.started is not None:
        found["started"] = datetime.fromtimestamp(entry.started, UTC).isoformat(timespec="seconds")
    if entry.seconds is not None:
        found["seconds"] = f"{entry.seconds:.3f}"
    return {name: value for name, value in found.items() if value}


def _failed(entry: ReportEntry) -> ET.Element:
    """Return a `failure` of the notebook, or the `error` that prevented its run."""
    failure = entry.failure
    if failure is None:
        attributes = {"message": for_markup(entry.reason), "type": entry.decision or "failed"}
        return ET.Element("error", attributes)
    where = f" (code {failure.place})" if failure.place else ""
    attributes = {"message": for_markup(failure.headline + where), "type": for_markup(failure.name)}
    element = ET.Element("failure", attributes)
    element.text = printable(failure.traceback)
    return element
