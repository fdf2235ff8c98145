"""Writes the files next to the pages: JSON and JUnit reports, and logs with tracebacks."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec

from sphinx_nbcache.files.atomic import replace_if_changed
from sphinx_nbcache.files.paths import is_inner_path
from sphinx_nbcache.report.as_json import ReportDocument, report_json
from sphinx_nbcache.report.ci import report_junit
from sphinx_nbcache.report.model import Report, ReportFailure
from sphinx_nbcache.results.terminal import strip_ansi

JSON_FILE = "nbcache-report.json"
JUNIT_FILE = "nbcache-report.xml"
# The directory in which MyST-NB writes its tracebacks, so that CI jobs keep collecting them
# (https://github.com/executablebooks/MyST-NB/blob/v1.4.0/myst_nb/sphinx_.py).
_LOGS = "reports"


def write_files(report: Report, folder: Path, shown: Report) -> None:
    """Write the JSON and JUnit reports, and a log for each failed notebook.

    Stale logs are removed: those of notebooks that no longer fail or no longer exist.

    Args:
        report: The report on this build.
        folder: The output directory.
        shown: The report for JSON and JUnit; in a reproducible build, without varying data.

    Raises:
        OSError: A file cannot be written.
    """
    logs = folder / _LOGS
    # Read before the file is replaced: it names the documents of the previous build. Removing every
    # log in the directory instead could remove files of the user's.
    former = _documents_of(folder / JSON_FILE) if logs.is_dir() else set()
    write_text(folder / JSON_FILE, report_json(shown) + "\n")
    write_text(folder / JUNIT_FILE, report_junit(shown))
    failures = _failures(report)
    for docname, failure in failures.items():
        text = strip_ansi(failure.traceback).rstrip("\n") + "\n"
        write_text(_log(folder, docname), text)
    known = former | {entry.docname for entry in report.entries if entry.docname}
    for docname in known - failures.keys():
        _remove(_log(folder, docname), logs)


def files_state(report: Report, folder: Path) -> str:
    """Return the sizes and times of the files; empty if one of them is missing.

    Args:
        report: The report in the files, or its outline.
        folder: The output directory.
    """
    # Builds without changes compare this text instead of making the whole report again.
    logs = [_log(folder, docname) for docname in _failures(report)]
    try:
        stats = [path.stat() for path in (folder / JSON_FILE, folder / JUNIT_FILE, *logs)]
    except OSError:
        return ""
    return " ".join(f"{stat.st_size} {stat.st_mtime_ns}" for stat in stats)


def _failures(report: Report) -> dict[str, ReportFailure]:
    """Return the failure of each document that has a log."""
    return {
        entry.docname: entry.failure
        for entry in report.entries
        if entry.docname and entry.failed and entry.failure is not None
    }


def _log(folder: Path, docname: str) -> Path:
    return folder / _LOGS / f"{docname}.err.log"


def _documents_of(path: Path) -> set[str]:
    """Return the documents in a report file; none if it is not a report."""
    try:
        document = msgspec.json.decode(path.read_bytes(), type=ReportDocument)
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
        return set()
    names = {item.docname for item in document.notebooks if item.docname}
    # A forged report must not cause the removal of files outside the output directory.
    return set(filter(is_inner_path, names))


def _remove(path: Path, folder: Path) -> None:
    """Remove a file below a directory, and the parent directories that this leaves empty."""
    with suppress(OSError):
        path.unlink()
        for parent in path.parents[: len(path.relative_to(folder).parts)]:
            parent.rmdir()  # raises `OSError` if it is not empty, which ends the loop


def write_text(path: Path, text: str) -> None:
    """Write a file of the report, unless it already has this text.

    Raises:
        OSError: The file cannot be written.
    """
    # An unchanged time spares uploads by tools such as rsync. Lone surrogates cannot be encoded.
    replace_if_changed(path, text.encode("utf-8", errors="replace"))
