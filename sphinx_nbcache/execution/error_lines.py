"""At which line of its cell a run failed, as IPython's traceback tells it.

Tracebacks are read when a failure is shown: results do not hold places in files, because one of
them may serve several notebooks. IPython words frames differently from version to version:
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
# Exceptions that were handled come first; the last one ended the cell.
_NEXT_EXCEPTION = re.compile(
    r"^(?:During handling of the above exception, another exception occurred"
    r"|The above exception was the direct cause of the following exception):$",
    re.MULTILINE,
)
# The name of the file in which ipykernel has the code of a cell, at the end of a syntax error.
_OWN_FILE = re.compile(r" \((?:\d+\.py|<ipython-input-[^)]*>), line \d+\)$", re.MULTILINE)


def line_in_cell(traceback: str, execution_count: int | None) -> int | None:
    """Return the line of its source at which a cell failed, counted from 1; `None` if unknown.

    Of several lines of the cell in a traceback it is the innermost, such as that in a function
    which the cell both defines and calls.

    Args:
        traceback: As the kernel sent it.
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
    """Return the message of a syntax error without the name of the kernel's own file."""
    return _OWN_FILE.sub("", message)
