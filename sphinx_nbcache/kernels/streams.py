"""The output of a run: streams are joined, and limits are enforced.

An endless `print` must fill neither the memory nor the disk.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from sphinx_nbcache.results.outputs import Output
from sphinx_nbcache.results.terminal import strip_ansi

_MEGABYTE = 10**6
# Updates of a display are not counted: they replace an output.
_COUNTED = frozenset({"stream", "display_data", "execute_result", "error"})


def join_streams(outputs: Sequence[Output]) -> list[Output]:
    """Join all outputs of one stream, at the position of the first one.

    Overwritten lines, such as those of progress bars, keep their last state. If the two streams
    are next to each other, `stdout` goes first, because their order is random.
    """
    texts: dict[str, list[str]] = {}
    joined: list[Output] = []
    for output in outputs:
        if output["output_type"] != "stream":
            joined.append(output)
            continue
        if output["name"] not in texts:
            texts[output["name"]] = []
            joined.append(output)
        texts[output["name"]].append(output["text"])
    joined = [
        {**output, "text": _last_states("".join(texts[output["name"]]))}
        if output["output_type"] == "stream"
        else output
        for output in joined
    ]
    for position in range(len(joined) - 1):
        pair = joined[position : position + 2]
        if [output.get("name") for output in pair] == ["stderr", "stdout"]:
            joined[position : position + 2] = reversed(pair)
    return joined


def _last_states(text: str) -> str:
    """Return a text without what carriage returns have overwritten altogether."""
    return "\n".join(_last_state(line) if "\r" in line else line for line in text.split("\n"))


def _last_state(line: str) -> str:
    content = line.rstrip("\r")
    kept: list[str] = []
    width = 0
    for state in content.split("\r"):
        shown = strip_ansi(state)
        # A shorter one leaves the end of those before it visible, and a backspace more than that.
        if len(shown) >= width and "\b" not in shown:
            kept = []
        width = max(width, len(shown))
        kept.append(state)
    return "\r".join(kept) + line[len(content) :]


class OutputLimits:
    """Counts the output of a run, message by message.

    Attributes:
        exceeded: The exceeded limit, in words; empty as long as there is none.

    Args:
        cell: The largest output of one cell, in megabytes; `None` means no limit.
        notebook: The same for the whole notebook.
    """

    def __init__(self, cell: float | None, notebook: float | None) -> None:
        self._cell, self._notebook = cell, notebook
        self._sizes: Counter[int] = Counter()
        self._total = 0
        self.exceeded = ""

    def allows(self, message: Mapping[str, Any], position: int) -> bool:
        """Count a message of the cell at a position; tell whether it is within the limits."""
        # Otherwise a cell with an animation, which clears its output for each frame, would soon
        # exceed the limit.
        if message["msg_type"] == "clear_output":
            self._total -= self._sizes.pop(position, 0)
        elif message["msg_type"] in _COUNTED:
            size = _size(message["content"])
            self._sizes[position] += size
            self._total += size
            self.exceeded = self._trouble(position)
        return not self.exceeded

    def cut(self, message: Mapping[str, Any], position: int) -> dict[str, Any] | None:
        """Return the part of the message over a limit that still fits, if it is text."""
        content = message["content"]
        text = content.get("text", "")
        excess = max(_excess(size, most) for size, most, _, _ in self._counted(position))
        kept = text[: max(len(text) - excess, 0)]
        return (
            {"output_type": "stream", "name": content.get("name"), "text": kept} if kept else None
        )

    def _trouble(self, position: int) -> str:
        for size, most, what, option in self._counted(position):
            if _excess(size, most) > 0:
                return (
                    f"the outputs of the {what} are larger than {most:g} MB: put out less, or"
                    f" raise {option}"
                )
        return ""

    def _counted(self, position: int) -> Iterator[tuple[int, float, str, str]]:
        """Yield, for each limit: the size so far, the limit, its subject, and the option's name."""
        if self._cell is not None:
            yield self._sizes[position], self._cell, "cell", "nbcache_output_limit"
        if self._notebook is not None:
            yield self._total, self._notebook, "notebook", "nbcache_notebook_output_limit"


def _excess(size: int, most: float) -> int:
    return math.ceil(size - most * _MEGABYTE)


def _size(content: Mapping[str, Any]) -> int:
    texts = [content.get("text", ""), *content.get("traceback", ())]
    data = content.get("data", {})
    return sum(map(len, texts)) + sum(map(_size_of_form, data.values()))


def _size_of_form(value: Any) -> int:
    # Images arrive as Base64 text, and JSON forms as objects.
    return len(value) if isinstance(value, str) else len(msgspec.json.encode(value))


def cut_note(exceeded: str) -> dict[str, Any]:
    """Return the output that takes the place of cut outputs."""
    text = f"\n[cut here by nbcache: {exceeded}]\n"
    return {"output_type": "stream", "name": "stderr", "text": text}
