"""Tables: as wide as they may be, and nothing is cut off."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner
from rich.cells import cell_len

from sphinx_nbcache.cli.output import width
from sphinx_nbcache.cli.tables import Column, table

COLUMNS = [Column("ID", is_number=True), Column("Path", folds=True), Column("Status")]
LONG = "tests/notebooks/" + "a_very_long_name_" * 10 + ".ipynb"


def lines(*rows: tuple[str, str, str], wide: int = 80) -> list[str]:
    """Return the lines of a table, without colours."""
    coloured = [(number, path, (status, "green")) for number, path, status in rows]
    return click.unstyle(table(COLUMNS, coloured, wide)).splitlines()


@pytest.mark.parametrize("wide", [30, 40, 80, 200])
def test_no_line_is_wider_than_the_terminal(wide: int) -> None:
    made = lines(("1", LONG, "✅ [1]"), ("12345678", "a.md", "-"), wide=wide)
    assert max(map(cell_len, made)) <= wide


@pytest.mark.parametrize("wide", [40, 80, 200])
def test_nothing_is_cut_off(wide: int) -> None:
    made = lines(("12345678", LONG, "✅ [123456]"), wide=wide)
    row = made[2:]
    assert row[0].startswith("12345678 ")
    assert row[0].endswith("✅ [123456]")
    cells = [line.replace("12345678", "").replace("✅ [123456]", "").strip() for line in row]
    assert "".join(cells) == LONG


@pytest.mark.parametrize("wide", [36, 40, 50, 60, 80])
def test_times_are_broken_between_words_where_there_is_no_room(wide: int) -> None:
    columns = [*COLUMNS, Column("Created (UTC)"), Column("Accessed (UTC)")]
    row = ("12", LONG, "✅ [1]", "2026-01-02 03:04", "2026-11-12 13:14")
    made = table(columns, [row], wide).splitlines()
    assert max(map(cell_len, made)) <= wide
    text = "\n".join(made)
    assert all(part in text for part in ("12", "2026-01-02", "03:04", "2026-11-12", "13:14"))
    assert ("2026-01-02 03:04" in text) is (wide > 60)


def test_texts_that_look_like_markup_are_texts() -> None:
    assert "[bold] [/x] :smile:" in "\n".join(lines(("1", "[bold] [/x] :smile:", "-")))


def test_numbers_are_aligned_to_the_right_and_lines_have_no_spaces_at_their_ends() -> None:
    made = lines(("1", "a", "-"), ("10", "b", "-"))
    assert made[0].split() == ["ID", "Path", "Status"]
    assert [line.split()[0] for line in made[2:]] == ["1", "10"]
    assert made[2].startswith(" 1 ")
    assert all(line == line.rstrip() for line in made)


def width_with(**environment: str | None) -> int:
    """Return the width of what a command writes that is not on a terminal."""

    @click.command()
    def command() -> None:
        click.echo(width())

    return int(CliRunner(env=environment).invoke(command).output)


def test_where_there_is_no_terminal_the_width_is_80_or_what_columns_says() -> None:
    assert width_with(COLUMNS=None) == 80
    assert width_with(COLUMNS="120") == 120
    for nonsense in ("", "0", "-3", "wide", "9" * 5000, "²"):
        assert width_with(COLUMNS=nonsense) == 80


def test_a_text_cannot_break_a_row() -> None:
    made = lines(("1", "two\nlines\tand \x1b[2Ja trick", "-"))
    assert len(made) == 3
    assert "two lines and  [2Ja trick" in made[2]
