"""Terminal escape sequences: colours become classes, everything else disappears."""

from __future__ import annotations

import re
import time

import pytest
from docutils import nodes
from hypothesis import given
from hypothesis import strategies as st

from sphinx_nbcache.rendering.nodes import ansi_block
from sphinx_nbcache.results.terminal import pieces, strip_ansi

ESC = "\x1b"


def classes(text: str) -> list[tuple[str, list[str]]]:
    """Return the pieces of a text, each with its classes without `ansi-`."""
    block = ansi_block(text, [])
    return [
        (
            piece.astext(),
            [name.removeprefix("ansi-") for name in piece["classes"]]
            if isinstance(piece, nodes.Element)
            else [],
        )
        for piece in block.children
    ]


def coloured(codes: str) -> list[str]:
    """Return the classes of a text after these codes."""
    ((text, names),) = classes(f"{ESC}[{codes}mx")
    assert text == "x"
    return names


NAMES = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"]


@pytest.mark.parametrize(("number", "name"), list(enumerate(NAMES)))
def test_the_sixteen_colours_have_a_class_each(number: int, name: str) -> None:
    assert coloured(f"{30 + number}") == [f"{name}-fg"]
    assert coloured(f"{40 + number}") == [f"{name}-bg"]
    assert coloured(f"{90 + number}") == [f"bright-{name}-fg"]
    assert coloured(f"{100 + number}") == [f"bright-{name}-bg"]
    assert coloured(f"38;5;{number}") == [f"{name}-fg"]
    assert coloured(f"48;5;{number + 8}") == [f"bright-{name}-bg"]


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ("38;5;196", "bright-red-fg"),
        ("38;5;16", "black-fg"),
        ("38;5;231", "bright-white-fg"),
        ("38;5;232", "black-fg"),
        ("38;5;255", "white-fg"),
        ("48;5;46", "bright-green-bg"),
        ("38;5;999", "white-fg"),
        ("38;2;255;0;0", "bright-red-fg"),
        ("38;2;200;10;0", "red-fg"),
        ("48;2;0;0;0", "black-bg"),
        ("48;2;250;250;250", "bright-white-bg"),
        ("38;2;999;999;999", "bright-white-fg"),
        ("38:5:1", "red-fg"),
        ("38:2:255:0:0", "bright-red-fg"),
        # The form of the standard, ITU T.416, has a colour space before the colour.
        ("38:2::255:0:0", "bright-red-fg"),
        ("48:2:1:0:255:0", "bright-green-bg"),
    ],
)
def test_other_colours_take_the_nearest_of_the_sixteen(codes: str, expected: str) -> None:
    assert coloured(codes) == [expected]


@pytest.mark.parametrize(
    ("code", "name", "off"),
    [
        (1, "bold", 22),
        (2, "faint", 22),
        (3, "italic", 23),
        (4, "underline", 24),
        (7, "inverse", 27),
        (9, "strike", 29),
    ],
)
def test_a_flag_lasts_until_it_is_taken_back(code: int, name: str, off: int) -> None:
    assert coloured(f"{code}") == [name]
    assert coloured(f"{code};{off}") == []
    assert coloured(f"{code};0") == []
    assert coloured(f"{code};31") == ["red-fg", name]


def test_codes_add_up_until_a_reset() -> None:
    text = f"a{ESC}[31mb{ESC}[1mc{ESC}[44md{ESC}[39me{ESC}[0mf{ESC}[32mg{ESC}[mh"
    assert classes(text) == [
        ("a", []),
        ("b", ["red-fg"]),
        ("c", ["red-fg", "bold"]),
        ("d", ["red-fg", "blue-bg", "bold"]),
        ("e", ["blue-bg", "bold"]),
        ("f", []),
        ("g", ["green-fg"]),
        ("h", []),
    ]


def test_an_extended_colour_takes_its_own_numbers_only() -> None:
    assert coloured("38;5;1;4") == ["red-fg", "underline"]
    assert coloured("38;2;255;0;0;1") == ["bright-red-fg", "bold"]
    assert coloured("1;38;5;2;48;5;4") == ["green-fg", "blue-bg", "bold"]


def test_numbers_behind_a_colon_belong_to_the_code_before_it() -> None:
    """`4:3` is a curly underline, not an underline and italics; `4:0` is none."""
    assert coloured("4:3") == ["underline"]
    assert coloured("1;4:0") == ["bold"]


@pytest.mark.parametrize("codes", ["38", "38;5", "48;2", "8", "98", "99", "108", "1234", ";"])
def test_incomplete_and_unknown_codes_colour_nothing(codes: str) -> None:
    assert coloured(codes) == []


def test_a_number_of_thousands_of_digits_is_no_error() -> None:
    assert coloured("1" * 5000) == []


@pytest.mark.parametrize(
    "sequence",
    [
        f"{ESC}[2J",
        f"{ESC}[1;5H",
        f"{ESC}[?25l",
        f"{ESC}[K",
        f"{ESC}]0;title\x07",
        f"{ESC}]8;;https://example.org{ESC}\\",
        f"{ESC}M",
        f"{ESC}[31m",
        f"{ESC}[m",
        f"{ESC}[1;31;4m",
    ],
)
def test_sequences_leave_nothing_in_the_text(sequence: str) -> None:
    assert strip_ansi(f"a{sequence}b") == "ab"
    assert ansi_block(f"a{sequence}b", []).astext() == "ab"


def test_a_text_without_sequences_is_an_ordinary_block() -> None:
    block = ansi_block("a\n b\n\n", ["output"])
    assert type(block) is nodes.literal_block
    assert (block.astext(), block["classes"]) == ("a\n b", ["output"])


def test_newlines_before_a_last_reset_are_trailing_ones() -> None:
    """Programs often end a coloured text by a newline, then reset: that is no blank line."""
    assert ansi_block(f"{ESC}[31mred\n{ESC}[0m", []).astext() == "red"


SGR = st.lists(st.integers(0, 120) | st.sampled_from([38, 48, 5, 2]), max_size=5).map(
    lambda codes: f"{ESC}[{';'.join(map(str, codes))}m"
)
OTHER = st.sampled_from(
    [f"{ESC}[2;3H", f"{ESC}]0;t\x07", f"{ESC}[?25h", f"{ESC}(B", f"{ESC}Pq\x1b\\", f"{ESC}c"]
)
PLAIN = st.text(
    alphabet=st.characters(
        exclude_characters="\ufffe\uffff",
        include_characters="\n\t",
        exclude_categories=["Cs", "Cc"],
    ),
    max_size=6,
)
TEXTS = st.lists(SGR | PLAIN | OTHER, max_size=10).map("".join)


@given(TEXTS)
def test_well_formed_texts_lose_all_escapes_and_nothing_else(text: str) -> None:
    shown = ansi_block(text, []).astext()
    assert ESC not in shown
    assert shown == strip_ansi(text).rstrip("\n")


@given(st.lists(SGR | PLAIN, max_size=10))
def test_what_is_not_a_sequence_stays(parts: list[str]) -> None:
    plain = "".join(part for part in parts if not part.startswith(ESC))
    assert strip_ansi("".join(parts)) == plain


@given(st.text(alphabet=f"{ESC}[];:m0123456789ab\n\\\x07", max_size=30))
def test_no_text_is_an_error_and_classes_are_known(text: str) -> None:
    known = re.compile(
        r"ansi-(bright-)?(black|red|green|yellow|blue|magenta|cyan|white)-[fb]g"
        r"|ansi-(bold|faint|italic|underline|inverse|strike)"
    )
    strip_ansi(text)
    for piece in ansi_block(text, []).findall(nodes.inline):
        assert all(known.fullmatch(name) for name in piece["classes"])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        # docutils takes NUL for its own mark.
        ("a\x00b", "ab"),
        ("bell\x07 form\x0c feed \x7f\x9d.", "bell form feed ."),
        ("not a character \ufffe \ud800", "not a character \ufffd \ufffd"),
        # As Keras writes progress, and tqdm.
        ("1/3" + "\b" * 3 + "\r2/3\n", "2/3"),
        ("10%\rok", "ok%"),
        ("abc\b\bX", "aXc"),
        ("\b\b\bx", "x"),
        ("a\r\nb\r\n", "a\nb"),
        # Erase in Line.
        (f"abcdef\r{ESC}[Kx", "x"),
        (f"abc{ESC}[2K\rdone", "done"),
        (f"abcdef\b\b{ESC}[1Kx", "    xf"),
        (f"{ESC}]8;;https://a.b{ESC}\\a link{ESC}]8;;{ESC}\\ ends", "a link ends"),
        (f"{ESC}(B{ESC}[mafter tput sgr0", "after tput sgr0"),
        (f"cut {ESC}[3", "cut 3"),
    ],
)
def test_a_text_is_shown_as_a_terminal_shows_it(text: str, shown: str) -> None:
    assert ansi_block(text, []).astext() == shown


def test_what_overwrites_has_its_own_colour() -> None:
    assert classes(f"{ESC}[31mred{ESC}[32m\rG{ESC}[0m") == [
        ("G", ["green-fg"]),
        ("ed", ["red-fg"]),
    ]


MOVING = st.text(alphabet="ab\b\r\n", max_size=20)


@given(MOVING)
def test_a_text_looks_like_the_screen_of_a_terminal(text: str) -> None:
    """A model: each line is a list of characters with a cursor."""
    lines: list[list[str]] = [[]]
    cursor = 0
    for char in text:
        if char == "\n":
            lines.append([])
            cursor = 0
        elif char in "\b\r":
            cursor = 0 if char == "\r" else max(cursor - 1, 0)
        else:
            lines[-1][cursor : cursor + 1] = [char]
            cursor += 1
    assert "".join(part for _, part in pieces(text)) == "\n".join(map("".join, lines))


def test_a_sequence_with_very_many_codes_takes_no_time() -> None:
    begin = time.perf_counter()
    assert strip_ansi(f"{ESC}[{'1;' * 200_000}31mred") == "red"
    assert classes(f"{ESC}[{'1;' * 200_000}31mred") == [("red", ["red-fg", "bold"])]
    assert time.perf_counter() - begin < 3
