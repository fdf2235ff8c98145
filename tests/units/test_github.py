"""What GitHub Actions is given: annotations and the summary of the job."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from support import Book
from support_cli import CommandLine

from sphinx_nbcache.notices import Notice, Topic
from sphinx_nbcache.project.outcomes import NotebookOutcome
from sphinx_nbcache.report.ci import annotation, is_github, job_summary
from sphinx_nbcache.report.model import Report, ReportEntry, ReportFailure

WORKSPACE = {"GITHUB_WORKSPACE": str(Path("/runner/project").absolute())}
HOSTILE = "a|b`c` <script>alert(1)</script> *x* [l](http://h) ![i](x)\n# h | &amp; \x1b[31mred\\"


@pytest.mark.parametrize(
    ("option", "variables", "expected"),
    [
        ("auto", {}, False),
        ("auto", {"GITHUB_ACTIONS": "true"}, True),
        ("auto", {"GITHUB_ACTIONS": "false"}, False),
        ("github", {}, True),
        ("off", {"GITHUB_ACTIONS": "true"}, False),
    ],
)
def test_github_is_served_where_it_runs_the_build_or_an_option_says_so(
    option: str, variables: dict[str, str], *, expected: bool
) -> None:
    assert is_github(option, variables) is expected


def test_an_annotation_names_file_and_line_relative_to_the_workspace() -> None:
    path = Path(WORKSPACE["GITHUB_WORKSPACE"]) / "docs" / "fit, 50%:x.md"
    notice = Notice(Topic.EXECUTION, "it failed: 100%\r\n::error::next", path, 41)
    assert annotation(notice, WORKSPACE) == (
        "::error title=Notebook failed,file=docs/fit%2C 50%25%3Ax.md,line=41"
        "::it failed: 100%25%0D%0A::error::next"
    )


@pytest.mark.parametrize(
    ("topic", "is_error", "command"),
    [
        (Topic.EXECUTION, False, "error"),
        (Topic.FROZEN, True, "error"),
        (Topic.SOURCE, True, "error"),
        (Topic.SOURCE, False, "warning"),
        (Topic.RAISES, False, "warning"),
    ],
)
def test_what_leaves_a_page_without_a_result_is_an_error(
    topic: Topic, command: str, *, is_error: bool
) -> None:
    notice = Notice(topic, "text", is_error=is_error)
    assert annotation(notice, {}).startswith(f"::{command} title=")


def entry(number: int, **more: object) -> ReportEntry:
    known: dict[str, object] = {
        "decision": NotebookOutcome.EXECUTED,
        "reason": "code cell 1 changed",
    }
    return ReportEntry(f"guide/{number}.md", **(known | more))  # type: ignore[arg-type]


def failed(number: int, traceback: str = "Traceback") -> ReportEntry:
    failure = ReportFailure("ValueError", "no such column", traceback, cell=3)
    return entry(number, failed=True, failure=failure)


def shown(text: str) -> str:
    """Return the Markdown as HTML, with tables as GitHub has them."""
    return str(MarkdownIt("commonmark").enable("table").render(text))


def test_the_summary_tells_what_ran_and_why_and_what_failed() -> None:
    reused = [
        entry(n, decision=NotebookOutcome.REUSED, reason="as before", seconds=60.0)
        for n in range(9, 300)
    ]
    report = Report((entry(1, seconds=3.1), failed(2), *reused), seconds=4.0)
    text = job_summary(report, "My docs")
    html = shown(text)
    assert "<h3>Notebooks of <code>My docs</code></h3>" in html
    assert "2 of 293 notebooks executed in 4 s (291 reused, 4 h 51 min saved)" in html
    assert "<strong>1 failed</strong>" in html
    rows = re.findall(r"<tr>\n<td>(.*?)</td>\n<td>(.*?)</td>\n<td>(.*?)</td>", html)
    assert rows == [
        ("<code>guide/1.md</code>", "executed", "code cell 1 changed"),
        ("<code>guide/2.md</code>", "<strong>failed</strong>, cell 3", "code cell 1 changed"),
    ]
    assert (
        "<summary><code>guide/2.md</code>, cell 3: ValueError: no such column</summary>"
        in unescape(html)
    )


def test_texts_of_notebooks_are_shown_and_do_nothing() -> None:
    failure = ReportFailure(HOSTILE, HOSTILE, f"{HOSTILE}\n\n</pre><b>{HOSTILE}", cell=1)
    hostile = ReportEntry(
        HOSTILE, decision=NotebookOutcome.EXECUTED, reason=HOSTILE, failed=True, failure=failure
    )
    html = shown(job_summary(Report((hostile,)), HOSTILE))
    tags = set(re.findall(r"</?([a-z0-9]+)", html))
    assert tags <= set("h3 code p strong table thead tbody tr th td details summary pre".split())
    assert html.count("<tr>") == 2
    assert html.count("&lt;script&gt;") == 8
    assert "\x1b" not in html


def test_a_summary_stays_below_what_github_takes() -> None:
    long = "x" * 5_000_000
    report = Report((*[failed(n, long) for n in range(300)], *[entry(n) for n in range(5_000)]))
    text = job_summary(report, "docs")
    assert len(text.encode()) < 1 << 20
    assert "and 5100 more" in text
    assert "the tracebacks of 280 more notebooks" in text


@pytest.mark.kernel
def test_a_build_in_github_actions_annotates_failures(
    book: Book, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_WORKSPACE", str(book.folder.parent))
    book.index("good", "bad")
    book.myst("good.md", "%%1")
    book.myst("bad.md", "%%\nx = 1\nraise ValueError('no: such, column')")
    built = book.build("-q")
    line = (
        book.folder.joinpath("bad.md")
        .read_text()
        .splitlines()
        .index("raise ValueError('no: such, column')")
    )
    (command,) = [text for text in built.log.splitlines() if text.startswith("::")]
    place = f"title=Notebook failed,file={book.folder.name}/bad.md,line={line + 1}"
    assert command.startswith(f"::error {place}::the notebook failed")
    assert "ValueError: no: such, column" in command
    text = summary.read_text()
    assert text.startswith("before\n### Notebooks of <code>B</code>")
    assert "<code>good.md</code>" in text
    assert book.build("-D", "nbcache_ci=off").log.count("::error") == 0


@pytest.mark.kernel
def test_suppressed_warnings_are_not_annotated(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    book.conf("suppress_warnings = ['nbcache.execution']")
    book.index("bad")
    book.myst("bad.md", "%%\n1 / 0")
    assert "::" not in book.build("-q").log


@pytest.mark.kernel
def test_the_command_line_annotates_on_its_standard_error(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    cli.ipynb("bad.ipynb", "%%\n1 / 0")
    done = cli("execute", "--ci", "--json", "bad.ipynb")
    assert done.code == 1
    assert done.out.startswith("{")
    assert "::error title=Notebook failed,file=" in done.err
    assert "ZeroDivisionError" in summary.read_text()
    assert "::error" not in cli("execute", "--no-ci", "-f", "bad.ipynb").err


@pytest.mark.kernel
def test_a_summary_that_cannot_be_written_is_a_warning(
    book: Book, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    book.conf(ci="github")
    book.index("good")
    book.myst("good.md", "%%1")
    built = book.build()
    assert built.status == 0
    assert "the summary of the job cannot be written" in built.warnings


def test_a_summary_of_any_notebooks_is_as_small_as_github_takes_it() -> None:
    failure = ReportFailure("E", "<" * 30_000, "<é" * 20_000, cell=1)
    many = [
        ReportEntry(
            f"{number}" + "|" * 1000,
            decision=NotebookOutcome.EXECUTED,
            reason="`é" * 1000,
            failed=True,
            failure=failure,
        )
        for number in range(300)
    ]
    text = job_summary(Report(tuple(many)), "My docs")
    assert len(text.encode()) < 2**20
    assert text.endswith("… and more, for which a summary has no room.\n")
    assert text.count("<details>") == text.count("</details>")
