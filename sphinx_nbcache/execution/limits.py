"""How much a run may put out: an endless `print` must fill neither the memory nor the disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

_MEGABYTE = 10**6
# What replaces an output is none in addition.
_COUNTED = frozenset({"stream", "display_data", "execute_result", "error"})


class OutputLimits:
    """Counts what a run puts out, message by message.

    Attributes:
        exceeded: Which limit was exceeded, in words; empty as long as none was.

    Args:
        cell: The most that one cell may put out, in megabytes; `None`: any amount.
        notebook: The most that the whole notebook may.
    """

    def __init__(self, cell: float | None, notebook: float | None) -> None:
        self._cell, self._notebook = cell, notebook
        self._sizes: dict[int, int] = {}
        self.exceeded = ""

    def allows(self, message: Mapping[str, Any], position: int) -> bool:
        """Count a message of the cell at a position; tell whether it is still within the limits."""
        if self.exceeded:
            return False
        if message["msg_type"] == "clear_output":
            self._sizes[position] = 0
        elif message["msg_type"] in _COUNTED:
            self._sizes[position] = self._sizes.get(position, 0) + _size(message["content"])
            self.exceeded = self._trouble(position)
        return not self.exceeded

    def cut(self, message: Mapping[str, Any], position: int) -> dict[str, Any] | None:
        """Return what the message that exceeded a limit still may put out, if it is of text."""
        text = message["content"].get("text", "")
        excess = [
            size - most * _MEGABYTE
            for size, most in (
                (self._sizes[position], self._cell),
                (sum(self._sizes.values()), self._notebook),
            )
            if most is not None
        ]
        kept = text[: len(text) - int(max(excess))] if int(max(excess)) < len(text) else ""
        name = message["content"].get("name")
        return {"output_type": "stream", "name": name, "text": kept} if kept else None

    def _trouble(self, position: int) -> str:
        if self._cell is not None and self._sizes[position] > self._cell * _MEGABYTE:
            return (
                f"the outputs of the cell are larger than {self._cell:g} MB: put out less, or"
                " raise nbcache_output_limit"
            )
        if self._notebook is not None and sum(self._sizes.values()) > self._notebook * _MEGABYTE:
            return (
                f"the outputs of the notebook are larger than {self._notebook:g} MB: put out less,"
                " or raise nbcache_notebook_output_limit"
            )
        return ""


def _size(content: Mapping[str, Any]) -> int:
    texts = [content.get("text", ""), *content.get("traceback", ())]
    data = content.get("data", {})
    return sum(map(len, texts)) + sum(map(_size_of_form, data.values()))


def _size_of_form(value: Any) -> int:
    return len(value) if isinstance(value, str) else len(msgspec.json.encode(value))


def cut_note(exceeded: str) -> dict[str, Any]:
    """Return the output that stands where outputs were cut."""
    text = f"\n[cut here by nbcache: {exceeded}]\n"
    return {"output_type": "stream", "name": "stderr", "text": text}
