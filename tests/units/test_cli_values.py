"""Values that are given on the command line, and how values are written there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sphinx_nbcache.cli import options, tables
from sphinx_nbcache.text import counted, harmless, size_or_dash


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        ("500MB", 500_000_000),
        ("500 mb", 500_000_000),
        ("1.5kB", 1500),
        ("2GiB", 2 * 1024**3),
        ("3TB", 3 * 1000**4),
        ("7B", 7),
        ("none", options.UNLIMITED),
        ("None", options.UNLIMITED),
    ],
)
def test_sizes(text: str, number: int) -> None:
    assert options.size(text) == number


@given(st.text())
def test_no_text_but_a_size_is_one(text: str) -> None:
    try:
        number = options.size(text)
    except click.BadParameter:
        return
    assert number >= 1 or text.lower() == "none"


@given(st.text())
def test_no_text_but_a_count_is_one(text: str) -> None:
    try:
        number = options.count(text)
    except click.BadParameter:
        return
    assert text == str(number).rjust(len(text), "0") or text.lower() == "none"


@given(st.text() | st.floats().map(str) | st.integers().map(str))
def test_a_time_limit_is_above_nothing(text: str) -> None:
    try:
        limit = options.time_limit_or_none(text)
    except click.BadParameter:
        return
    assert limit == "none" or (isinstance(limit, float) and 0 < limit < float("inf"))


def test_a_reference_is_an_id_a_file_or_a_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.ipynb").touch()
    assert options.as_reference("12") == 12
    assert options.as_reference("a.ipynb") == tmp_path / "a.ipynb"
    assert options.as_reference("gone.ipynb") == "gone.ipynb"
    assert options.as_reference("1f3a") == "1f3a"
    assert options.as_reference("²") == "²"
    assert options.as_reference("1" * 5000) == "1" * 5000


def test_a_file_name_that_is_too_long_is_a_text() -> None:
    assert options.as_reference("a" * 5000) == "a" * 5000
    assert options.as_reference("a\0b") == "a\0b"


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, "-"),
        (0, "0 B"),
        (999, "999 B"),
        (1500, "1.5 kB"),
        (999_960, "1.0 MB"),
        (10**13, "10.0 TB"),
    ],
)
def test_sizes_in_words(size: int | None, text: str) -> None:
    assert size_or_dash(size) == text


def test_times_are_written_in_utc() -> None:
    when = datetime(2026, 1, 2, 3, 4, 59, tzinfo=UTC)
    there = when.astimezone(timezone(timedelta(hours=5)))
    assert tables.utc_minute(when) == tables.utc_minute(there) == "2026-01-02 03:04"
    assert tables.utc_minute(None) == "-"


def test_paths_are_shortened_from_the_left() -> None:
    assert tables.last_parts("a/b/c.md", 2) == "b/c.md"
    assert tables.last_parts("a/b/c.md", 9) == "a/b/c.md"
    assert tables.last_parts("a/b/c.md", None) == "a/b/c.md"


def test_states_have_a_symbol() -> None:
    assert tables.status_in_words("ok")[0] == "✅"
    assert tables.status_in_words("died")[0] == "❌"
    assert tables.status_in_words("none")[0] == "-"
    assert tables.status_in_words("new-state")[0] == "new-state"


def test_numbers_have_the_right_noun() -> None:
    assert [counted(n, "result") for n in (0, 1, 2)] == [
        "0 results",
        "1 result",
        "2 results",
    ]


def test_what_a_terminal_would_obey_is_taken_out_but_colours_stay() -> None:
    text = "\x1b[31mred\x1b[0m\n\x1b]0;title\x07\x1b[2J\x9b2J\ttab"
    assert harmless(text) == "\x1b[31mred\x1b[0m\n\ufffd]0;title\ufffd\ufffd[2J\ufffd2J\ttab"
