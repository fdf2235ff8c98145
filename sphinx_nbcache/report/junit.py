"""The report as JUnit XML, which CI systems show as tests: one test case for each notebook."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from sphinx_nbcache.rendering.terminal import strip_ansi
from sphinx_nbcache.report.model import (
    AS_IS,
    EDITED,
    EXECUTED,
    MAY_WAIT,
    REMOVED,
    REUSED,
    WAITING,
    Report,
    ReportEntry,
)

# Characters that XML 1.0 cannot contain, not even escaped.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NOT_RUN = frozenset({AS_IS, WAITING, MAY_WAIT, REMOVED, EDITED})
_SUITE = "notebooks"


def report_junit(report: Report) -> str:
    """Return a report as JUnit XML.

    A notebook that failed has a `failure` with its traceback; one that could not be run has an
    `error`. One that is not to be run is `skipped`. One with a reused result passes with a time of
    0; its property `decision` and its `system-out` say so.
    """
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
    text = ET.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def _case(entry: ReportEntry, report: Report) -> ET.Element:
    folder, _, name = entry.name.rpartition("/")
    case = ET.Element("testcase", {"classname": _text(folder or _SUITE), "name": _text(name)})
    case.set("file", _text(entry.name))
    if entry.failure is not None and entry.failure.line is not None:
        case.set("line", str(entry.failure.line))
    if not report.is_reproducible:
        spent = (entry.seconds or 0.0) if entry.decision == EXECUTED else 0.0
        case.set("time", f"{spent:.3f}")
    if properties := _properties(entry):
        listed = ET.SubElement(case, "properties")
        for key, value in properties.items():
            ET.SubElement(listed, "property", {"name": key, "value": _text(value)})
    if entry.failed:
        case.append(_failed(entry))
    elif entry.decision in _NOT_RUN or not (entry.status or entry.decision):
        ET.SubElement(case, "skipped", {"message": _text(entry.reason)})
    elif entry.decision == REUSED:
        ET.SubElement(case, "system-out").text = _text(f"reused: {entry.reason}")
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
    """Return the reason: a failure of the notebook, or an error that kept it from running."""
    failure = entry.failure
    if failure is None:
        attributes = {"message": _text(entry.reason), "type": entry.decision or "failed"}
        return ET.Element("error", attributes)
    where = f" (code {failure.place})" if failure.place else ""
    attributes = {"message": _text(failure.headline + where), "type": _text(failure.name)}
    element = ET.Element("failure", attributes)
    element.text = _text(strip_ansi(failure.traceback))
    return element


def _text(text: str) -> str:
    """Return a text without characters that XML cannot contain."""
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)
