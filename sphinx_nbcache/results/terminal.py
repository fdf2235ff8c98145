"""Shows streams and tracebacks as a terminal does: colours, overwritten lines, escape sequences.

The colours 0 to 15 have one class each: 0 to 7 as in nbconvert (`ansi-red-fg`), the others with
`bright` (`ansi-bright-red-bg`).
Colours of the 256-colour palette and 24-bit colours are mapped to the nearest of these sixteen, for
which the style sheet has readable shades on light and dark pages.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from itertools import groupby

from sphinx_nbcache.text import for_markup

# The forms of escape sequences, sections 5.3 to 5.6 of ECMA-48
# (https://ecma-international.org/publications-and-standards/standards/ecma-48/): control sequences,
# of which Select Graphic Rendition (`m`) sets colours and Erase in Line (`K`) erases; strings, such
# as titles and links; all others; and what is left of one that was cut. Not those that begin with a
# C1 character: it more often comes from text in a wrong encoding, which they would hide.
_ESCAPES = re.compile(
    r"\x1b\[(?P<parameters>[0-?]*)[ -/]*(?P<final>[@-~])"
    r"|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?"
    r"|\x1b[ -/]*[0-~]?"
)
_CODES = re.compile(r"[\d;:]*")
# Backspaces, carriage returns, and Erase in Line: they change what stands in the line already.
_MOVES = re.compile(r"[\b\r]|\x1b\[[0-2]?K")
_RUN = re.compile(r"[\b\r\n]|[^\b\r\n]+")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
# All other control characters show nothing.
_SILENT = re.compile(r"[\x00-\x07\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SPECIAL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
# The default colours of xterm (https://en.wikipedia.org/wiki/ANSI_escape_code#3-bit_and_4-bit).
_PALETTE = (
    (0, 0, 0), (205, 0, 0), (0, 205, 0), (205, 205, 0),
    (0, 0, 238), (205, 0, 205), (0, 205, 205), (229, 229, 229),
    (127, 127, 127), (255, 0, 0), (0, 255, 0), (255, 255, 0),
    (92, 92, 255), (255, 0, 255), (0, 255, 255), (255, 255, 255),
)  # fmt: skip
# The levels of each component in xterm's cube of 216 colours.
_CUBE = (0, 95, 135, 175, 215, 255)
_FLAGS = {1: "bold", 2: "faint", 3: "italic", 4: "underline", 7: "inverse", 9: "strike"}
_FLAGS_OFF = {22: {"bold", "faint"}, 23: {"italic"}, 24: {"underline"}, 27: {"inverse"}}
_FLAGS_OFF[29] = {"strike"}
_NO_UNDERLINE = 24
# An output may contain thousands of digits, which Python refuses to convert
# (https://docs.python.org/3/library/stdtypes.html#int-max-str-digits).
_LONGEST_CODE = 5


@dataclass(frozen=True, slots=True)
class _Style:
    """The current text style of the terminal."""

    foreground: int | None = None
    background: int | None = None
    flags: frozenset[str] = frozenset()

    @property
    def classes(self) -> list[str]:
        grounds = ((self.foreground, "fg"), (self.background, "bg"))
        colours = [f"ansi-{_name(colour)}-{end}" for colour, end in grounds if colour is not None]
        return colours + [f"ansi-{flag}" for flag in sorted(self.flags)]


class _Erase(Enum):
    """A part of the line, by the parameter of Erase in Line."""

    TO_END = "0"
    TO_START = "1"
    ALL = "2"


_Part = tuple[_Style, str]
_Event = tuple[_Style, str | _Erase]
_ERASE = {"": _Erase.TO_END, **{erase.value: erase for erase in _Erase}}
_BLANK = (_Style(), " ")


def is_plain(text: str) -> bool:
    """Tell whether a text has no control characters, except tabs and line breaks."""
    return _SPECIAL.search(text) is None


def strip_ansi(text: str) -> str:
    """Return a text without its escape sequences."""
    return _ESCAPES.sub("", text)


def printable(text: str) -> str:
    """Return a text without escape sequences and what HTML and XML cannot contain."""
    if not is_plain(text):
        text = _SILENT.sub("", strip_ansi(text)).replace("\b", "")
    return for_markup(text)


def pieces(text: str) -> Iterator[tuple[list[str], str]]:
    """Yield the pieces of a text as a terminal shows it, each with the classes of its style.

    Backspaces, carriage returns and the erasing of a line act within their line. All other
    movements of the cursor are left out.
    """
    for style, shown in groupby(_shown(text), key=lambda item: item[0]):
        if piece := "".join(part for _, part in shown):
            yield style.classes, piece


def _shown(text: str) -> Iterator[_Part]:
    style = _Style()
    # Most texts have nothing that moves, and are not taken apart.
    for line in _LINE.findall(text) if _MOVES.search(text) else [text]:
        events = list(_events(line, style))
        style = events[-1][0]
        yield from _overwritten(events) if _MOVES.search(line) else _texts(events)


def _events(text: str, style: _Style) -> Iterator[_Event]:
    """Yield each part of a text with its style, and each order to erase a part of the line."""
    position = 0
    for match in _ESCAPES.finditer(text):
        yield style, _SILENT.sub("", text[position : match.start()])
        position = match.end()
        if match["final"] == "m" and _CODES.fullmatch(match["parameters"]):
            style = _changed(style, _codes(match["parameters"]))
        elif match["final"] == "K" and match["parameters"] in _ERASE:
            yield style, _ERASE[match["parameters"]]
    yield style, _SILENT.sub("", text[position:])


def _texts(events: Iterable[_Event]) -> Iterator[_Part]:
    return ((style, part) for style, part in events if isinstance(part, str))


def _overwritten(events: Iterable[_Event]) -> Iterator[_Part]:
    """Yield the characters of one line after all that was written over them."""
    line: list[_Part] = []
    cursor = 0
    for style, part in events:
        if isinstance(part, _Erase):
            _erase(line, cursor, part)
            continue
        for match in _RUN.finditer(part):
            run = match[0]
            if run == "\r":
                cursor = 0
            elif run == "\b":
                cursor = max(cursor - 1, 0)
            else:
                cursor = len(line) if run == "\n" else cursor
                line += [_BLANK] * (cursor - len(line))
                line[cursor : cursor + len(run)] = [(style, char) for char in run]
                cursor += len(run)
    return iter(line)


def _erase(line: list[_Part], cursor: int, erase: _Erase) -> None:
    if erase is not _Erase.TO_START:
        del line[0 if erase is _Erase.ALL else cursor :]
    else:
        erased = min(cursor + 1, len(line))
        line[:erased] = [_BLANK] * erased


def _codes(parameters: str) -> deque[int]:
    """Return the codes of a sequence; sub-parameters after colons become parameters."""
    codes: deque[int] = deque()
    for parameter in parameters.split(";"):
        first, *rest = (int(code[:_LONGEST_CODE] or 0) for code in parameter.split(":"))
        if first in (38, 48) and rest:
            # ITU-T T.416: 38:2:<colour space>:r:g:b, usually with an empty or omitted colour space.
            if rest[0] == 2 and len(rest) > 4:  # noqa: PLR2004 (2 and three colours)
                rest = [2, *rest[2:]]
            codes += [first, *rest[:4]]
        elif rest == [0]:
            codes.append(_NO_UNDERLINE)  # 4:0
        else:
            codes.append(first)  # 4:3 is a curly underline
    return codes


def _changed(style: _Style, codes: deque[int]) -> _Style:
    while codes:
        # Remove it from the list: an extended colour consumes the following codes.
        code = codes.popleft()
        if code == 0:
            style = _Style()
        elif code in _FLAGS:
            style = replace(style, flags=style.flags | {_FLAGS[code]})
        elif code in _FLAGS_OFF:
            style = replace(style, flags=style.flags - _FLAGS_OFF[code])
        else:
            style = _coloured(style, code, codes)
    return style


def _coloured(style: _Style, code: int, rest: deque[int]) -> _Style:
    """Apply a colour code; an extended colour takes its parameters from the rest."""
    base = code % 10
    if code in (38, 48):
        colour = _extended(rest)
    elif code in (39, 49):
        colour = None
    elif 30 <= code <= 47:  # noqa: PLR2004 (the codes of ECMA-48)
        colour = base
    elif code in range(90, 98) or code in range(100, 108):
        colour = base + 8
    else:
        return style
    # 38 and 48 reach this line as well, so 48 has to count as a background.
    if code in range(40, 50) or code in range(100, 108):
        return replace(style, background=colour)
    return replace(style, foreground=colour)


def _extended(rest: deque[int]) -> int | None:
    """Consume the parameters of a 256-colour or 24-bit colour; return the nearest of sixteen."""
    kind = rest.popleft() if rest else 0
    if kind == 5 and rest:  # noqa: PLR2004 (38;5;n)
        return _from_256(rest.popleft())
    if kind == 2 and len(rest) >= 3:  # noqa: PLR2004 (38;2;r;g;b)
        red, green, blue = (rest.popleft() for _ in range(3))
        return _nearest((red, green, blue))
    return None


def _from_256(number: int) -> int:
    if number < len(_PALETTE):
        return number
    if number < 232:  # noqa: PLR2004 (a cube of 6 x 6 x 6 colours)
        cube = number - 16
        return _nearest((_CUBE[cube // 36], _CUBE[cube // 6 % 6], _CUBE[cube % 6]))
    grey = 8 + 10 * (min(number, 255) - 232)
    return _nearest((grey, grey, grey))


def _nearest(colour: tuple[int, int, int]) -> int:
    def distance(number: int) -> int:
        return sum((a - b) ** 2 for a, b in zip(colour, _PALETTE[number], strict=True))

    return min(range(len(_PALETTE)), key=distance)


def _name(colour: int) -> str:
    bright = "bright-" if colour >= len(_NAMES) else ""
    return bright + _NAMES[colour % len(_NAMES)]
