"""The report as data: totals, what is chosen of it, and what reproducible builds leave out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support_report import AS_IS, EXECUTED, FAILED, REFUSED, REPORT, REUSED, many

from sphinx_nbcache.report.model import Dependency, Report, report_digest
from sphinx_nbcache.report.selection import COLUMNS, STATUSES, Selection, words
from sphinx_nbcache.text import duration_in_words, size_in_words

ONE_FAILED = "; 1 failed: guide/fit.ipynb, cell 7, line 2"


def renamed(entry_name: str, count: int) -> tuple[object, ...]:
    kind = {"executed": EXECUTED, "reused": REUSED}[entry_name]
    return tuple(replace(kind, name=f"{entry_name}-{n}", seconds=552 / 288) for n in range(count))


def test_the_summary_is_one_line_with_all_that_counts() -> None:
    entries = (FAILED, *renamed("executed", 11), *renamed("reused", 288))
    report = Report(entries, seconds=41.2)  # type: ignore[arg-type]
    assert report.summary == (
        "12 of 300 notebooks executed in 41 s (288 reused, 9 min 12 s saved);"
        " 1 failed: guide/fit.ipynb, cell 7, line 2"
    )


@pytest.mark.parametrize(
    ("entries", "summary"),
    [
        ((), "0 of 0 notebooks executed"),
        ((EXECUTED,), "1 of 1 notebook executed in 2 s"),
        ((REUSED,), "0 of 1 notebook executed (1 reused, 20 s saved)"),
        (
            (replace(FAILED, decision="reused"), REUSED),
            "0 of 2 notebooks executed (1 reused, 25 s saved; 1 not tried again)" + ONE_FAILED,
        ),
        ((AS_IS,), "0 of 1 notebook executed (1 not to be executed)"),
        (
            (replace(EXECUTED, decision="to be executed"), REUSED),
            "0 of 2 notebooks executed (1 reused, 20 s saved; 1 to be executed)",
        ),
        ((REFUSED,), "0 of 1 notebook executed (1 not to be executed); 1 failed: old.md"),
    ],
)
def test_the_summary_leaves_out_what_there_is_none_of(entries: tuple, summary: str) -> None:  # type: ignore[type-arg]
    assert Report(entries, seconds=2.0).summary == summary


def test_the_summary_names_no_more_than_a_few_failures() -> None:
    entries = tuple(replace(FAILED, name=f"{n}.md") for n in range(9))
    assert Report(entries).summary.endswith(
        "9 failed: " + "; ".join(f"{n}.md, cell 7, line 2" for n in range(5)) + "; 4 more"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (0.00002, "< 1 ms"), (0.0042, "0.0042 s"), (0.42, "0.42 s"), (9.96, "10 s"),
        (41.4, "41 s"), (59.7, "1 min 0 s"), (552, "9 min 12 s"), (7500, "2 h 5 min"),
    ],
)  # fmt: skip
def test_durations_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert duration_in_words(seconds) == text


def test_sizes_are_said_as_people_say_them() -> None:
    assert [size_in_words(n) for n in (5, 999, 1500, 2_340_000)] == [
        "5 B",
        "999 B",
        "1.5 kB",
        "2.3 MB",
    ]


def test_a_notebook_is_found_by_what_was_done_and_how_it_ended() -> None:
    assert FAILED.labels == {"executed", "failed"}
    assert REUSED.labels == {"reused", "ok"}
    assert AS_IS.labels == {"as-it-is"}
    assert REFUSED.labels == {"refused", "failed"}
    assert replace(FAILED, status="timeout").labels == {"executed", "timeout", "failed"}
    assert all(entry.labels <= set(STATUSES) for entry in REPORT.entries)


def test_the_slowest_cell_comes_first_and_one_that_was_not_run_is_none() -> None:
    assert [cell.number for cell in FAILED.slowest] == [7, 1]


def test_a_reproducible_report_is_the_same_whatever_was_run_and_when() -> None:
    later = replace(
        REUSED,
        decision="executed",
        reason="no earlier result",
        started=1.0,
        seconds=99.0,
        peak_memory=5,
        changed="everything",
        cells=tuple(replace(cell, seconds=1.0) for cell in REUSED.cells),
    )
    one, other = Report((REUSED,), 0.0), Report((later,), 99.0)
    assert one.digest != other.digest
    assert one.without_what_varies().digest == other.without_what_varies().digest
    assert "executed" not in one.without_what_varies().summary


def test_the_digest_covers_every_field() -> None:
    assert report_digest([FAILED]) != report_digest(
        [replace(FAILED, depends_on=(Dependency("file", "x"),))]
    )
    assert report_digest([FAILED]) == report_digest((FAILED,))


def names(selection: Selection) -> list[str]:
    return [entry.docname for entry in selection.shown(selection.within(REPORT))]


def test_a_selection_chooses_by_status_and_document() -> None:
    assert names(Selection(status=frozenset({"failed"}))) == ["guide/fit", "old"]
    assert names(Selection(status=frozenset({"reused", "as-it-is"}))) == ["kept", "spring"]
    assert names(Selection(docs=("guide/*",))) == ["guide/fit"]
    assert names(Selection(docs=("**/fit", "w*"))) == ["guide/fit", "wet"]
    assert names(Selection(docs=("nothing",))) == []


def test_a_selection_sorts_and_then_limits() -> None:
    assert names(Selection(sort="-time", limit=2)) == ["spring", "guide/fit"]
    assert names(Selection(sort="status")) == ["guide/fit", "old", "kept", "spring", "wet"]
    assert names(Selection(sort="notebook", limit=1)) == ["guide/fit"]


def test_totals_are_those_of_the_chosen_documents_whatever_is_listed() -> None:
    chosen = Selection(docs=("guide/*", "spring"), limit=1, status=frozenset({"reused"}))
    assert chosen.within(REPORT).summary.startswith("1 of 2 notebooks executed in 5 s (1 reused")


def test_a_reproducible_table_has_no_columns_that_would_be_empty() -> None:
    columns = Selection(columns=tuple(COLUMNS)).columns_of(REPORT.without_what_varies())
    assert columns == ("notebook", "status", "kernel", "executor", "depends", "produced")
    assert Selection(columns=("time",)).columns_of(REPORT.without_what_varies()) == ("notebook",)


def test_an_unknown_word_is_named_with_those_that_are_known() -> None:
    assert words("a, b c", "abc", "letter") == ("a", "b", "c")
    with pytest.raises(ValueError, match="letter 'x' is unknown; it takes: a, b, c"):
        words("a x", "abc", "letter")
    with pytest.raises(ValueError, match="letter is empty"):
        words(" ", "abc", "letter")


def test_many_notebooks_are_counted_in_no_time() -> None:
    report = many(2000)
    assert len(report.failed) == 400
    assert report.executed + report.reused + 400 == 2000
