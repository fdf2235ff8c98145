"""Text for terminals and logs, without what a terminal would obey.

Names, messages and reasons may come from a store or a notebook of somebody else. Escape sequences
in them could set the title of a window, move the cursor over what was said before, or answer
questions that a terminal is asked.
"""

from __future__ import annotations

import re

# Everything but colours (SGR), tabs and line ends. C1 controls are escape sequences as well.
_ORDERS = re.compile(r"\x1b(?!\[[0-9;]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# Line and paragraph separators end lines for some programs; the last ones reverse what follows.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def harmless(text: str) -> str:
    """Return a text that keeps its colours and line ends."""
    return _ORDERS.sub(_REPLACEMENT, text)


def colourless(text: str) -> str:
    """Return a text that keeps its line ends."""
    return harmless(_COLOURS.sub("", text))


def one_line(text: str) -> str:
    """Return a text in one line, in which control characters are escaped as in Python."""
    # Most texts are printable, which is quicker to see.
    return text if text.isprintable() else _CONTROLS.sub(_escaped, text)


def json_for_terminals(text: str) -> str:
    """Return JSON text in which all control characters are escaped; JSON requires it of some."""
    return re.sub(r"[\x7f-\x9f]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
