"""Parses IPython's tracebacks: finds the failed line of a cell, and the frames worth showing.

Tracebacks are parsed when a failure is shown: results contain no positions in files, because
several notebooks may share a result. Versions of IPython format frames differently:
`Cell In[2], line 3`, `Input In [2], in <cell line: 3>()`, `<ipython-input-2-ab12> in <module>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import dropwhile

from sphinx_nbcache.results.terminal import strip_ansi

_COLOURS = re.compile(r"\x1b\[[\d;]*m")
# IPython 8.0 replaced the file name by the prompt (https://github.com/ipython/ipython/pull/13043),
# 8.1 named the line in `<cell line: 3>` (https://github.com/ipython/ipython/pull/13535), and later
# versions name it after the prompt (https://github.com/ipython/ipython/pull/13560).
_OWN_FRAME = re.compile(
    r"(?:Cell In ?\[|Input In ?\[|<ipython-input-)(?P<count>\d+)"
    r"(?:[^\n]*?(?:, line |<cell line: )(?P<line>\d+))?"
)
_ARROW = re.compile(r"^-+> ?(\d+) ", re.MULTILINE)
# Chained exceptions come first; the last one ended the cell.
_NEXT_EXCEPTION = re.compile(
    r"^(?:During handling of the above exception, another exception occurred"
    r"|The above exception was the direct cause of the following exception):$",
    re.MULTILINE,
)
# ipykernel's file name for the code of a cell, at the end of a syntax error's message.
_OWN_FILE = re.compile(r" \((?:\d+\.py|<ipython-input-[^)]*>), line \d+\)$", re.MULTILINE)
# The names under which the code of the tracer is compiled (`traces/tracer_code.py`).
_TRACER = re.compile(r"\s*File <nbcache[ \w]*>")
_TRACER_IN_TEXT = re.compile(
    r"^  File \"<nbcache[ \w]*>\", line \d+, in .*\n(?:    .*\n)?", re.MULTILINE
)
# IPython: `Cell In[2], line 1`, `File ~/a.py:12, in f(x)`, in its plain mode `File ~/a.py:12 in f`;
# older ones: `Input In [2], in <cell …>`, `/a.py in f(x)`. Python: `  File "/a.py", line 12, in f`.
_FRAME = re.compile(
    r"\s*(?:Cell In ?\[|Input In ?\[|<ipython-input-)"
    r"|\s*File \"(?P<quoted>[^\"\n]+)\", line \d+"
    r"|\s*File (?P<named>[^\n]+?):\d+(?:,? in |$|\()"
    r"|(?P<bare>[~/.][^\n:]*|[A-Za-z]:[\\/][^\n:]*) in \S"
)
_INSTALLED = re.compile(
    r"[\\/](?:site|dist)-packages[\\/]"
    r"|[\\/]lib(?:64)?[\\/]python\d[\d.]*[\\/]"
    r"|[\\/]Python\d+[\\/]Lib[\\/]"
    r"|^<frozen |^<string>|^<__array_function__"
    # Sources of Cython modules, with paths relative to the build directory.
    r"|^[\w/\\.]+\.(?:pyx|pxi|pxd)$"
)
_PACKAGE = re.compile(
    r"[\\/](?:site|dist)-packages[\\/]([\w-]+)|^(\w+)[\\/][\w/\\.]+\.p(?:yx|xi|xd)$"
)
# A frame ends before an empty line, or one that is neither indented nor numbered.
_BREAK = re.compile(r"\s*$|[^\s\d-]")


def line_in_cell(traceback: str, execution_count: int | None) -> int | None:
    """Return the line at which a cell failed, counted from 1; `None` if unknown.

    If the traceback contains several frames of the cell, the innermost one counts, such as that of
    a function that the cell defines and calls.

    Args:
        traceback: The kernel's traceback.
        execution_count: The kernel's number of the cell.
    """
    text = _NEXT_EXCEPTION.split(_COLOURS.sub("", traceback))[-1]
    count = str(execution_count)
    frames = [found for found in _OWN_FRAME.finditer(text) if found["count"] == count]
    if not frames:
        return None
    if (line := frames[-1]["line"]) is not None:
        return int(line)
    arrow = _ARROW.search(text, frames[-1].end())
    return int(arrow[1]) if arrow else None


def without_own_frames(frames: Sequence[str]) -> list[str]:
    """Return the parts of a traceback without those that are functions of the tracer.

    The tracer stands in front of some functions, such as `importlib.import_module`.

    Args:
        frames: The parts, as kernels send them: one for each frame, or the whole text.
    """
    kept = (_TRACER_IN_TEXT.sub("", frame) for frame in frames)
    return [frame for frame in kept if not _TRACER.match(strip_ansi(frame))]


def without_own_file(message: str) -> str:
    """Return the message of a syntax error without the kernel's internal file name."""
    return _OWN_FILE.sub("", message)


@dataclass
class _Block:
    """The lines of a frame, or of the text between frames."""

    path: str | None = None
    lines: list[str] = field(default_factory=list)

    @property
    def is_installed(self) -> bool:
        return self.path is not None and _INSTALLED.search(self.path) is not None

    @property
    def package(self) -> str:
        found = _PACKAGE.search(self.path or "")
        return (found[1] or found[2]) if found else "Python's library"

    @property
    def is_blank(self) -> bool:
        return not any(strip_ansi(line).strip() for line in self.lines)


def trimmed(traceback: str) -> str:
    """Return a traceback with the frames of installed packages replaced by their number.

    A traceback without other frames is returned unchanged.
    """
    blocks = list(_blocks(traceback))
    frames = [block for block in blocks if block.path is not None]
    if not any(b.is_installed for b in frames) or all(b.is_installed for b in frames):
        return traceback
    lines: list[str] = []
    left_out: list[_Block] = []
    for block in blocks:
        if block.is_installed:
            left_out.append(block)
        elif not left_out:
            lines += block.lines
        elif not block.is_blank:
            lines += [_counted(left_out), "", *_without_first_blanks(block.lines)]
            left_out = []
    return "\n".join([*lines, *([_counted(left_out)] if left_out else [])])


def _blocks(traceback: str) -> Iterator[_Block]:
    block = _Block()
    for line in traceback.split("\n"):
        text = strip_ansi(line)
        if found := _FRAME.match(text):
            yield block
            block = _Block(found["quoted"] or found["named"] or found["bare"] or "")
        elif block.path is not None and _BREAK.match(text):
            yield block
            block = _Block()
        block.lines.append(line)
    yield block


def _without_first_blanks(lines: list[str]) -> list[str]:
    return list(dropwhile(lambda line: not strip_ansi(line).strip(), lines))


def _counted(frames: list[_Block]) -> str:
    packages = ", ".join(dict.fromkeys(frame.package for frame in frames))
    noun = "frame" if len(frames) == 1 else "frames"
    return f"    … {len(frames)} {noun} in {packages}"
