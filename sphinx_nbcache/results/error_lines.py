"""The line of its cell at which a run failed, taken from IPython's traceback.

Tracebacks are parsed when a failure is shown: results contain no positions in files, because one
result may serve several notebooks. The format of frames differs between versions of IPython:
`Cell In[2], line 3`, `Input In [2], in <cell line: 3>()`, `<ipython-input-2-ab12> in <module>`.
"""

from __future__ import annotations

import re

_COLOURS = re.compile(r"\x1b\[[\d;]*m")
_FRAME = re.compile(
    r"(?:Cell In ?\[|Input In ?\[|<ipython-input-)(?P<count>\d+)"
    r"(?:[^\n]*?(?:, line |<cell line: )(?P<line>\d+))?"
)
_ARROW = re.compile(r"^-+> ?(\d+) ", re.MULTILINE)
# Handled exceptions come first; the last one ended the cell.
_NEXT_EXCEPTION = re.compile(
    r"^(?:During handling of the above exception, another exception occurred"
    r"|The above exception was the direct cause of the following exception):$",
    re.MULTILINE,
)
# ipykernel's file name for the code of a cell, at the end of a syntax error.
_OWN_FILE = re.compile(r" \((?:\d+\.py|<ipython-input-[^)]*>), line \d+\)$", re.MULTILINE)


def line_in_cell(traceback: str, execution_count: int | None) -> int | None:
    """Return the line of its source at which a cell failed, counted from 1; `None` if unknown.

    If the traceback contains several lines of the cell, this is the innermost one, such as a line
    of a function that the cell both defines and calls.

    Args:
        traceback: The traceback as the kernel sent it.
        execution_count: The number that the kernel gave the cell.
    """
    text = _NEXT_EXCEPTION.split(_COLOURS.sub("", traceback))[-1]
    frames = [found for found in _FRAME.finditer(text) if found["count"] == str(execution_count)]
    if not frames:
        return None
    if (line := frames[-1]["line"]) is not None:
        return int(line)
    arrow = _ARROW.search(text, frames[-1].end())
    return int(arrow[1]) if arrow else None


def without_own_file(message: str) -> str:
    """Return the message of a syntax error without the kernel's internal file name."""
    return _OWN_FILE.sub("", message)
