"""Text for people: harmless for terminals, with suggestions, durations and sizes in words.

Names, messages and reasons may come from another user's store or notebook. Escape sequences in
them could set the window's title, move the cursor over earlier output, or make the terminal send
a response.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# Keep colours (SGR), tabs and line ends. C1 controls are escape sequences as well.
_ORDERS = re.compile(r"\x1b(?!\[[0-9;]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# U+2028 and U+2029 end lines in some programs; the last two ranges change the text direction.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_MINUTE, _HOUR = 60, 3600


def harmless(text: str) -> str:
    """Return a text without control characters; colours and line ends stay."""
    return _ORDERS.sub(_REPLACEMENT, text)


def colourless(text: str) -> str:
    """Return a text without control characters and colours; line ends stay."""
    return harmless(_COLOURS.sub("", text))


def one_line(text: str) -> str:
    """Return a text in one line, with control characters escaped as in Python."""
    # Fast path: most texts are printable.
    return text if text.isprintable() else _CONTROLS.sub(_escaped, text)


def json_for_terminals(text: str) -> str:
    """Return JSON text with all control characters escaped; JSON requires it of some only."""
    return re.sub(r"[\x7f-\x9f]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def is_encodable(text: str) -> bool:
    """Tell whether a text is valid Unicode: bytes of a name may be lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known name most similar to a word; empty if none is similar.

    Args:
        word: The name as the user wrote it.
        known: The names that exist.
    """
    from difflib import get_close_matches

    by_lower = {name.lower(): name for name in known}
    found = get_close_matches(word.strip().lower(), by_lower, n=1)
    return by_lower[found[0]] if found else ""


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return a question to append to a message about an unknown name; empty if nothing is similar.

    Args:
        word: The name as the user wrote it; only strings have a nearest name.
        known: The names that exist.
    """
    found = nearest(word, known) if isinstance(word, str) else ""
    return f"; did you mean `{found}`?" if found else ""


def one_edit_away(word: str, known: Iterable[str]) -> str:
    """Return the known name that is one typing error away from a word; empty if there is none.

    A typing error is a character too many, missing, or replaced, two swapped neighbours, or the
    wrong case. Where free words are allowed as well, such as the tags of cells, a word that
    differs more is probably intended.

    Args:
        word: The name as the user wrote it.
        known: The names that exist.
    """
    names = tuple(known)
    if word in names:
        return ""
    return next((name for name in names if _is_one_edit(word.lower(), name.lower())), "")


def _is_one_edit(word: str, name: str) -> bool:
    start = 0
    while start < min(len(word), len(name)) and word[start] == name[start]:
        start += 1
    rest, expected = word[start:], name[start:]
    is_swapped = rest[:2] == expected[:2][::-1] and rest[2:] == expected[2:]
    return is_swapped or rest == expected[1:] or rest[1:] == expected or rest[1:] == expected[1:]


def duration_in_words(seconds: float) -> str:
    """Return a duration in readable form: `0.42 s`, `41 s`, `9 min 12 s`, `2 h 5 min`."""
    if seconds < 0.001:  # noqa: PLR2004 (more digits would mean nothing)
        return "< 1 ms" if seconds > 0 else "0 s"
    if seconds < 10:  # noqa: PLR2004 (two digits are enough)
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


def size_in_words(size: int) -> str:
    """Return a number of bytes in readable form: `512 B`, `1.4 MB`."""
    amount, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:  # noqa: PLR2004 (decimal units)
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def size_or_dash(size: int | None) -> str:
    """Return a readable number of bytes."""
    return "-" if size is None else size_in_words(size)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 notebook`, `2 notebooks`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def shortened(text: str, length: int = 160) -> str:
    """Return a text in one line of no more than this length."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1].rstrip()}…"


def first_line(text: str) -> str:
    """Return the first line of a message that may have more, or be empty."""
    return text.strip().partition("\n")[0].rstrip()
