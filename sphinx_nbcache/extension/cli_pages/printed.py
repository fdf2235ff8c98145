"""Turns the output of a command into the text that its page shows."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from docutils import nodes

from sphinx_nbcache.project.place import STORE_FOLDER
from sphinx_nbcache.rendering.ansi import ansi_block
from sphinx_nbcache.rendering.nodes import AnsiBlock

_PROMPT = "$ "
_COLOUR = r"\x1b\[[\d;:]*m"
# A path may be coloured piece by piece. It is not searched for inside longer names.
_BEFORE = rf"(?P<before>\A|{_COLOUR}|[^\w.\-])"
_AFTER = r"(?![\w\-]|\.\w)"


def shown_text(printed: str, folder: Path, store: Path) -> str:
    """Return what a terminal would show, without the paths of this machine.

    Args:
        printed: The output of the command.
        folder: Where it was run. Paths below it are shown relative to it, as readers type them.
        store: Its store, which is shown as the one that readers have by default.
    """
    text = _overwritten(printed)
    for path in dict.fromkeys([store, store.resolve()]):
        text = _replaced(text, str(path), STORE_FOLDER)
        with suppress(ValueError):  # on another drive of Windows
            relative = os.path.relpath(path, folder)
            # A single name could also be an ordinary word.
            if len(Path(relative).parts) > 1:
                text = _replaced(text, relative, STORE_FOLDER)
    for path in dict.fromkeys([folder, folder.resolve()]):
        if path != path.parent:
            text = _without(text, path)
    return text


def console_block(line: str, output: str) -> nodes.literal_block:
    """Return the block with a command line and its output."""
    block = ansi_block(output, [])
    if isinstance(block, AnsiBlock):
        # The highlighter's own classes: the block looks like others, also to copy buttons.
        coloured, block.children = block.children, []
        block += nodes.inline(_PROMPT, _PROMPT, classes=["gp"])
        block += nodes.Text(f"{line}\n")
        block += nodes.inline("", "", *coloured, classes=["go"])
    else:
        text = f"{_PROMPT}{line}\n{block.astext()}".rstrip("\n")
        # A command may print anything: highlighting errors are not the page's fault.
        block = nodes.literal_block(text, text, force=True)
    block["language"] = "console"
    return block


def _overwritten(text: str) -> str:
    """Keep the last text written to each line: progress bars return to its beginning."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)


def _without(text: str, folder: Path) -> str:
    """Make paths below a folder relative to it; the folder itself becomes `.`."""
    pattern = rf"{_BEFORE}{_pattern(str(folder))}(?:[\\/]+(?P<below>(?=[^\s\\/'\"]))|{_AFTER})"

    def replacement(match: re.Match[str]) -> str:
        return _before(match) + ("." if match["below"] is None else "")

    return re.sub(pattern, replacement, text)


def _replaced(text: str, path: str, name: str) -> str:
    """Replace a path, also at the beginning of longer ones."""
    return re.sub(rf"{_BEFORE}{_pattern(path)}{_AFTER}", lambda match: _before(match) + name, text)


def _pattern(path: str) -> str:
    names = [re.escape(name) for name in re.split(r"[\\/]+", path) if name]
    begin = r"[\\/]" if path[:1] in ("/", "\\") else ""
    separator = rf"(?:{_COLOUR})*[\\/]+(?:{_COLOUR})*"
    return f"(?P<path>{begin}{separator.join(names)})"


def _before(match: re.Match[str]) -> str:
    """Return the text before a path, and the colours within it."""
    return str(match["before"]) + "".join(re.findall(_COLOUR, match["path"]))
