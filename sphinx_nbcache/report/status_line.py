"""The line that a terminal shows while notebooks run, cut so that the most important parts fit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from unicodedata import combining, east_asian_width

_BETWEEN = " · "
# A name is shown with at least this many columns, or not at all.
_NAME = 14
_CUT = "…"
_BETWEEN_WORDS = re.compile(r"[\W_]")


@dataclass(frozen=True, slots=True)
class Shown:
    """A running notebook.

    Attributes:
        name: Its name, which may be cut to its end.
        state: Its progress.
        brief: The same in fewer words.
    """

    name: str
    state: str
    brief: str


def status_line(heads: Sequence[str], running: Sequence[Shown], columns: int) -> str:
    """Return a line that is not wider than the terminal.

    Args:
        heads: Possible beginnings; the first that leaves room for a notebook is used.
        running: The running notebooks. The line counts those for which it has no room.
        columns: How wide it may be.
    """
    told = [(item.name, item.state) for item in running]
    in_brief = [(item.name, item.brief) for item in running]
    lines = [_line(head, told, columns) for head in heads]
    lines.append(_line(heads[-1], in_brief, columns))
    found = [text for text, has_whole_words in lines if text and has_whole_words]
    found += [text for text, _ in lines if text]
    return found[0] if found else start_of(heads[-1], columns)


def _line(head: str, running: Sequence[tuple[str, str]], columns: int) -> tuple[str, bool]:
    """Return a line with as many notebooks as there is room for; empty if that is none.

    Returns:
        The line, and whether no name in it is cut within a word.
    """
    for number in range(len(running), 0, -1):
        shown, left = running[:number], len(running) - number
        more = f"{_BETWEEN}+{left}" if left else ""
        room = columns - width_of(head) - width_of(more) - number * len(_BETWEEN)
        wanted = [width_of(name) for name, _ in shown]
        given = _shared(room - sum(width_of(state) for _, state in shown), wanted)
        if all(g >= min(_NAME, w) for g, w in zip(given, wanted, strict=True)):
            names = [end_of(name, g) for (name, _), g in zip(shown, given, strict=True)]
            parts = [name + state for name, (_, state) in zip(names, shown, strict=True)]
            whole = all(is_whole(cut, name) for cut, (name, _) in zip(names, shown, strict=True))
            return _BETWEEN.join([head, *parts]) + more, whole
    return (head if not running and width_of(head) <= columns else ""), True


def _shared(room: int, wanted: Sequence[int]) -> list[int]:
    """Share columns among names: each gets its full width, or as much as the others."""
    given = [0] * len(wanted)
    for rank, position in enumerate(sorted(range(len(wanted)), key=wanted.__getitem__)):
        given[position] = min(wanted[position], max(0, room) // (len(wanted) - rank))
        room -= given[position]
    return given


def end_of(text: str, columns: int) -> str:
    """Return the end of a text that is too wide, starting at the beginning of a word.

    A text is cut within a word only if less than half of the room would be used otherwise.
    """
    if width_of(text) <= columns:
        return text
    end = start_of(reversed(text), columns - 1)[::-1]
    before = text[: len(text) - len(end)][-1:]
    if before.isalnum() and (between := _BETWEEN_WORDS.search(end)) is not None:
        whole_words = end[between.start() :]
        if 2 * width_of(whole_words) >= columns:
            end = whole_words
    return _CUT + end


def is_whole(shown: str, text: str) -> bool:
    """Tell whether the end of a text that [](end_of) returned begins with a whole word."""
    end = shown.removeprefix(_CUT)
    before = text[: len(text) - len(end)][-1:]
    return not (before.isalnum() and end[:1].isalnum())


def start_of(text: Iterable[str], columns: int) -> str:
    """Return as much of a text as fits."""
    kept = ""
    for character in text:
        columns -= width_of(character)
        if columns < 0:
            break
        kept += character
    return kept


def width_of(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    wide = sum(east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(combining(character) > 0 for character in text)
