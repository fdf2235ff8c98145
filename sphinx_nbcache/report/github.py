"""Output for GitHub Actions: annotations in the sources, and a summary of the job.

Annotations are workflow commands, lines on the standard output or error of a step
(<https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands>). The summary
is Markdown that is appended to the file which `GITHUB_STEP_SUMMARY` names.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import TextIO

from sphinx_nbcache.notices import Notice, Topic
from sphinx_nbcache.printable import one_line
from sphinx_nbcache.rendering.terminal import strip_ansi
from sphinx_nbcache.report.model import AS_IS, REUSED, Report, ReportEntry, ReportFailure
from sphinx_nbcache.report.words import in_words

SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"
# Topics of notebooks without a valid result. All others are warnings.
_ERRORS = frozenset({Topic.EXECUTION, Topic.FROZEN})
# GitHub refuses the summary of a step that is larger than 1 MiB.
_MOST_ROWS = 200
_MOST_FAILURES = 20
_LONGEST_TRACEBACK = 20_000
# As in `@actions/core` 1.11, `src/command.ts`.
_IN_TEXT = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_IN_PROPERTY = _IN_TEXT | {":": "%3A", ",": "%2C"}


def is_github(option: str, variables: Mapping[str, str]) -> bool:
    """Tell whether to write output for GitHub Actions.

    Args:
        option: `nbcache_ci`.
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
    """Write annotations, and append to the summary of the step.

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
        with Path(path).open("a", encoding="utf-8", errors="replace") as file:
            file.write(job_summary(report, title))


def annotation(notice: Notice, variables: Mapping[str, str]) -> str:
    """Return the workflow command that shows a notice at its place in the sources.

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
    """Return the summary as Markdown: figures, what ran and why, and the failures.

    Everything that comes from notebooks is escaped, as HTML in code elements.

    Args:
        report: The report; it does not need the dependencies of notebooks.
        title: The name of the project.
    """
    return "\n".join([f"### Notebooks of {_code(title)}", "", *_lines(report), ""])


def _lines(report: Report) -> Iterator[str]:
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
        yield from _failure(entry, entry.failure)
    if len(shown) > _MOST_FAILURES:
        yield f"\n… and the tracebacks of {len(shown) - _MOST_FAILURES} more notebooks."


def _is_news(entry: ReportEntry) -> bool:
    return entry.decision not in (REUSED, AS_IS)


def _row(entry: ReportEntry) -> str:
    happened = f"**failed**{entry.at_cell}" if entry.failed else entry.decision
    seconds = "" if entry.seconds is None else in_words(entry.seconds)
    return f"| {_code(entry.name)} | {happened} | {_cell(entry.reason)} | {seconds} |"


def _failure(entry: ReportEntry, failure: ReportFailure) -> Iterator[str]:
    headline = _cell(strip_ansi(failure.headline))
    traceback = strip_ansi(failure.trimmed)[-_LONGEST_TRACEBACK:].strip("\n")
    yield ""
    yield f"<details><summary>{_code(entry.name)}{entry.at_cell}: {headline}</summary>"
    # In Markdown, an empty line within `pre` would end the HTML block.
    yield f"<pre>{escape(traceback, quote=False).replace(chr(10), '&#10;')}</pre>"
    yield "</details>"


def _code(text: str) -> str:
    return f"<code>{_cell(text)}</code>"


def _cell(text: str) -> str:
    """Return a text escaped so that Markdown shows it unchanged, in one line of a table."""
    plain = escape(one_line(text), quote=False)
    return "".join(f"&#{ord(char)};" if char in "|\\`*_[]~@:#" else char for char in plain)


def _relative(path: Path, folder: str | Path) -> str:
    try:
        return os.path.relpath(path, folder)
    except ValueError:  # another drive of Windows
        return str(path)


def _escaped(text: str, replaced: Mapping[str, str]) -> str:
    return "".join(replaced.get(char, char) for char in text)
