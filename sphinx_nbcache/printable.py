"""Text for terminals and logs, without control sequences that a terminal would obey.

Names, messages and reasons may come from another user's store or notebook. Escape sequences in
them could set the window's title, move the cursor over earlier output, or make the terminal send
a response.
"""

from __future__ import annotations

import re

# Keep colours (SGR), tabs and line ends. C1 controls are escape sequences as well.
_ORDERS = re.compile(r"\x1b(?!\[[0-9;]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# U+2028 and U+2029 end lines in some programs; the last two ranges change the text direction.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


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
