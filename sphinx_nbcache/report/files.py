"""The files beside the pages: the report for programs, and the tracebacks for people."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from sphinx_nbcache.rendering.terminal import strip_ansi
from sphinx_nbcache.report.as_json import report_json
from sphinx_nbcache.report.junit import report_junit
from sphinx_nbcache.report.model import Report

JSON_FILE = "nbcache-report.json"
JUNIT_FILE = "nbcache-report.xml"
_LOGS = "reports"


def write_files(report: Report, folder: Path, shown: Report) -> None:
    """Write the report for programs, and the log of each failed notebook.

    The log of a notebook that fails no more is removed.

    Args:
        report: The report on this build.
        folder: The output directory.
        shown: The report without what a reproducible build leaves out.

    Raises:
        OSError: A file cannot be written.
    """
    write_if_changed(folder / JSON_FILE, report_json(shown) + "\n")
    write_if_changed(folder / JUNIT_FILE, report_junit(shown))
    had_logs = (folder / _LOGS).is_dir()
    for entry in report.entries:
        path = folder / _LOGS / f"{entry.docname}.err.log"
        if entry.docname and entry.failed and entry.failure is not None:
            write_if_changed(path, strip_ansi(entry.failure.traceback).rstrip("\n") + "\n")
        elif entry.docname and had_logs:
            path.unlink(missing_ok=True)
    with suppress(OSError):
        (folder / _LOGS).rmdir()  # only if it is empty


def write_if_changed(path: Path, text: str) -> None:
    """Write a file, unless that is what stands in it."""
    with suppress(OSError, UnicodeDecodeError):
        if path.read_text(encoding="utf-8") == text:
            return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", errors="replace", newline="\n")
