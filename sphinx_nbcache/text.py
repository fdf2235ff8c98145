"""Text for people: safe for terminals, with suggestions, and readable durations and sizes.

Names, messages and reasons may come from another user's store or notebook. Escape sequences in
them could set the window's title, overwrite earlier output, or make the terminal send a response.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# Keep colours (SGR), tabs and line ends. The C1 control U+009B starts escape sequences as well
# (https://invisible-island.net/xterm/ctlseqs/ctlseqs.html).
_ORDERS = re.compile(r"\x1b(?!\[[0-9;]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# U+2028 and U+2029 end lines in some programs. The last two ranges change the text direction, which
# can hide parts of a name (https://www.unicode.org/reports/tr9/#Explicit_Directional_Embeddings).
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
# Characters that neither HTML nor XML can contain, not even escaped
# (https://html.spec.whatwg.org/multipage/parsing.html#preprocessing-the-input-stream).
_NOT_IN_MARKUP = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_MINUTE, _HOUR = 60, 3600


def harmless(text: str) -> str:
    """Return a text with control characters replaced, except colours and line ends."""
    return _ORDERS.sub(_REPLACEMENT, text)


def colourless(text: str) -> str:
    """Return a text without colours, with control characters replaced, except line ends."""
    return harmless(_COLOURS.sub("", text))


def for_markup(text: str) -> str:
    """Return a text with the characters replaced that HTML and XML cannot contain."""
    return _NOT_IN_MARKUP.sub(_REPLACEMENT, text)


def one_line(text: str) -> str:
    """Return a text as one line, with control characters escaped as in Python."""
    # Fast path: most texts are printable.
    return text if text.isprintable() else _CONTROLS.sub(_escaped, text)


def json_for_terminals(text: str) -> str:
    """Return JSON text with all control characters escaped."""
    # JSON requires it only below U+0020 (https://www.rfc-editor.org/rfc/rfc8259#section-7).
    return re.sub(r"[\x7f-\x9f]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def is_encodable(text: str) -> bool:
    """Tell whether a text can be encoded: undecodable bytes of a path become lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known name most similar to a word; empty if none is similar.

    Args:
        word: The name as the user wrote it.
        known: The existing names.
    """
    # Lazy import: only errors need it.
    from difflib import get_close_matches

    by_lower = {name.lower(): name for name in known}
    found = get_close_matches(word.strip().lower(), by_lower, n=1)
    return by_lower[found[0]] if found else ""


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return a suggestion to append to a message about an unknown name; empty if there is none.

    Args:
        word: The name as the user wrote it; only strings have a nearest name.
        known: The existing names.
    """
    found = nearest(word, known) if isinstance(word, str) else ""
    return f"; did you mean `{found}`?" if found else ""


def one_edit_away(word: str, known: Iterable[str]) -> str:
    """Return the known name that is one typing error away from a word; empty if there is none.

    A typing error is an extra, missing or wrong character, two swapped neighbours, or the wrong
    case. Where users may choose words freely, as for the tags of cells, a word that differs more
    is probably intended.

    Args:
        word: The name as the user wrote it.
        known: The existing names.
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
        # Rounded as it is shown: 999,960 bytes are 1.0 MB, not 1000.0 kB.
        if round(amount, 1) < 1000:  # noqa: PLR2004 (decimal units)
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def size_or_dash(size: int | None) -> str:
    """Return a readable number of bytes."""
    return "-" if size is None else size_in_words(size)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 notebook`, `2 notebooks`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def shown(value: object) -> str:
    """Return a value of a user's as Python code in one line; its type if it cannot be shown."""
    try:
        return shortened(repr(value), 200)
    except Exception:  # noqa: BLE001 (it may raise anything, and is only part of a message)
        return f"a value of the type {type(value).__name__}, which has no representation,"


def shortened(text: str, length: int = 160) -> str:
    """Return a text as one line, cut to a maximum length."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1].rstrip()}…"


def first_line(text: str) -> str:
    """Return the first line of a message; empty if the message is blank."""
    return text.strip().partition("\n")[0].rstrip()
