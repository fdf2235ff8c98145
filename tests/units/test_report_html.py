"""The parts of the page: what they tell in words, and what they draw."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from support_report import EXECUTED, FAILED, REPORT, REUSED

from sphinx_nbcache.report.html.chart import chart
from sphinx_nbcache.report.html.elements import Rows
from sphinx_nbcache.report.html.page import report_html, report_pieces
from sphinx_nbcache.report.html.table import last_runs
from sphinx_nbcache.report.model import Report, ReportCell, ReportEntry, ReportRun
from sphinx_nbcache.report.selection import Links, Selection

LINKS = Links("{}.html".format, str, has_cells=True)
SVG = "{http://www.w3.org/2000/svg}"


def drawn(*entries: ReportEntry) -> ET.Element:
    return ET.fromstring(chart(entries, Rows({entry.name: entry.name for entry in entries}), LINKS))


def text(element: ET.Element | None) -> str:
    return "" if element is None else "".join(element.itertext())


def test_a_bar_is_as_long_as_its_notebook_took_and_divided_into_cells() -> None:
    bars = drawn(REUSED, EXECUTED).findall(f"ol/li/{SVG}svg")
    spans = []
    for bar in bars:
        shapes = bar.findall(f"{SVG}rect")
        last = shapes[-1]
        spans.append(float(last.get("x", 0)) + float(last.get("width", 0)))
        assert [text(shape) for shape in shapes][:2] == ["cell 1: 12 s", "cell 2: 7 s"]
    # 20 s, and 19 s in cells of a notebook that is said to have taken 3 s: a bar for each cell.
    assert spans[0] == pytest.approx(1000)
    assert "cell 1: 12 s; cell 2: 7 s; start of the kernel, and the rest: 1 s" in text(bars[0])


@pytest.mark.parametrize(
    ("seconds", "ticks"),
    [
        (0.0007, ["0 s", "< 1 ms", "< 1 ms", "< 1 ms"]),
        (5.0, ["0 s", "1 s", "2 s", "3 s", "4 s", "5 s"]),
        (31.0, ["0 s", "10 s", "20 s", "30 s"]),
        (100.0, ["0 s", "20 s", "40 s", "1 min 0 s", "1 min 20 s", "1 min 40 s"]),
        (900.0, ["0 s", "5 min 0 s", "10 min 0 s", "15 min 0 s"]),
        (1e6, ["0 s", "138 h 53 min", "277 h 46 min"]),
    ],
)
def test_the_axis_has_a_few_round_numbers(seconds: float, ticks: list[str]) -> None:
    axis = drawn(replace(EXECUTED, seconds=seconds, cells=())).find(f"{SVG}svg")
    assert axis is not None
    assert [text(tick) for tick in axis.findall(f"{SVG}text")] == ticks


def test_of_many_notebooks_the_chart_tells_how_much_the_slowest_took() -> None:
    entries = [replace(EXECUTED, name=f"{n}.md", seconds=float(n)) for n in range(1, 31)]
    caption = text(drawn(*entries).find("figcaption"))
    # 19 to 30, of 1 to 30
    assert "The 12 slowest of 30 notebooks took 4 min 54 s of 7 min 45 s." in caption
    assert "slowest of" not in text(drawn(*entries[:12]).find("figcaption"))


def test_beside_a_bar_stands_the_cell_that_is_worth_a_look() -> None:
    even = tuple(ReportCell(number, 0.1) for number in range(1, 31))
    entries = (FAILED, REUSED, replace(EXECUTED, cells=even))
    rows = [text(row.find("div")) for row in drawn(*entries).findall("ol/li")]
    assert rows == [
        "spring.ipynb cell 1: 12 s20 s",
        "guide/fit.ipynb cell 7 failed5 s",
        "wet.md 3 s",
    ]


def test_the_last_runs_are_drawn_and_told_the_newest_first() -> None:
    runs = [ReportRun(n * 86400.0, n + 1.0, "ok", f"change {n}") for n in range(12)]
    runs[3] = replace(runs[3], status="timeout", reason="")
    shown = ET.fromstring(f"<div>{last_runs(runs)}</div>")
    well, bad = shown.findall(f".//{SVG}path")
    assert (well.get("d", "").count("M"), bad.get("d", "").count("M")) == (11, 2)
    listed = [text(item) for item in shown.findall("ol/li")]
    assert len(listed) == 5
    assert listed[0] == "1970-01-12 00:00 · 12 s · change 11"
    assert "Durations of 12 runs, the longest 12 s" in text(shown)
    assert "timeout" in last_runs(runs[:5])


def test_a_single_run_is_no_history() -> None:
    one = replace(REUSED, runs=(ReportRun(1.0, 1.0, "ok"),))
    assert "Last runs" not in report_html(Report((one,)), Selection(), LINKS)
    assert "Last runs" in report_html(REPORT, Selection(), LINKS)


def test_a_long_message_is_cut_where_it_is_only_mentioned() -> None:
    assert FAILED.failure is not None
    failure = replace(FAILED.failure, message="word " * 500)
    entry = replace(FAILED, failure=failure, reason="why " * 500)
    page = report_html(Report((entry,)), Selection(), LINKS)
    assert page.count("word") < 100
    assert page.count("why") <= 100


def test_the_pieces_of_a_report_are_what_it_is_as_one_string() -> None:
    many = Report(tuple(replace(REPORT.entries[0], name=f"{n}.md") for n in range(300)))
    pieces = list(report_pieces(many, Selection(), LINKS))
    whole = report_html(many, Selection(), LINKS)
    assert "".join(pieces) == whole
    assert len(pieces) > 300
    assert whole.count("<tbody") == whole.count("</tbody>") == 300
