"""Programs on a terminal of a given width, and what they write to it."""

from __future__ import annotations

import os
import re
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_SEQUENCE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])")


@dataclass(frozen=True)
class Shown:
    """What a program wrote.

    Attributes:
        status: Its exit status.
        text: All of it, without what moves the cursor and erases.
        left: What is left on the screen at its end.
    """

    status: int
    text: str
    left: str


def run(command: Sequence[str], folder: Path, columns: int) -> Shown:
    """Run a program on a terminal."""
    import fcntl
    import pty
    import termios

    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    variables = {name: text for name, text in os.environ.items() if name != "COLUMNS"}
    process = subprocess.Popen(
        command,
        stdin=child,
        stdout=child,
        stderr=child,
        cwd=folder,
        env=variables | {"TERM": "xterm"},
        start_new_session=True,
    )
    os.close(child)
    written = b""
    try:
        while chunk := os.read(parent, 4096):
            written += chunk
    except OSError:
        pass  # how Linux says that the other side has gone
    finally:
        os.close(parent)
    text = written.decode()
    return Shown(process.wait(), _SEQUENCE.sub("", text), _left(text))


def _left(text: str) -> str:
    """Return what is left on a screen that is high enough, and on which no line is too wide."""
    lines = [""]
    row = column = position = 0
    while position < len(text):
        if found := _SEQUENCE.match(text, position):
            position = found.end()
            if found[2] == "A":
                row = max(0, row - int(found[1] or 1))
            elif found[2] == "K":
                lines[row] = "" if found[1] == "2" else lines[row][:column]
            continue
        character = text[position]
        position += 1
        if character == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif character == "\r":
            column = 0
        else:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + character + line[column + 1 :]
            column += 1
    return "\n".join(line.rstrip() for line in lines)
