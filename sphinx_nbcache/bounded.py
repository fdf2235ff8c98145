"""Types for what is read from files that others may have written: every value has a bound.

The bounds are far beyond real use. They keep a record that was forged or damaged from costing
memory or time, and from reaching code that cannot take the value: `datetime.fromtimestamp`
raises for a year above 9999, `json` and `pickle` for JSON that is nested a thousand deep.
msgspec checks them when it decodes, not when a struct is made: what writes a record clips texts
of unknown length with [](clipped).
"""

from __future__ import annotations

import math
from typing import Annotated, Any

from msgspec import Meta

LONGEST_NAME = 32_767
"""Characters of a path on Windows; Linux and macOS allow fewer. Other names are shorter."""
LONGEST_TEXT = 1 << 24
"""Characters of a text without a natural length, such as a traceback."""
LONGEST_MESSAGE = 1 << 20
"""Characters that are kept of the message of an exception."""
LARGEST_RECORD = 1 << 28
"""Bytes of a record. The scan of 100,000 cells has 10 MB."""
LARGEST_VALUE = 1 << 31
"""Bytes of any value. `nbcache_notebook_output_limit` is 200 MB by default, and can be lifted."""
DEEPEST = 200
"""Levels of free JSON. Python's `json` gives up at about 990, and two frames for each level are
usual in code that walks it."""
LATEST = 250_000_000_000
"""Seconds since the epoch: in the year 9892."""
LONGEST = 1_000_000_000
"""Seconds that something can take: 31 years. Added to [](LATEST) it is a date still."""
_MOST_CELLS = 1_000_000
_MOST_ITEMS = 10_000_000
_LARGEST_COUNT = 1 << 53
_INT64 = 1 << 63

Digest = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
"""A SHA-256, in hexadecimal."""
MaybeDigest = Annotated[str, Meta(pattern=r"\A([0-9a-f]{64})?\Z")]
"""A SHA-256, or nothing."""
ShortDigest = Annotated[str, Meta(pattern=r"\A([0-9a-f]{32})?\Z")]
"""Half a SHA-256, or nothing."""
State = Annotated[str, Meta(max_length=64)]
"""A digest that is only compared, or one of the words of `traces.facts`: of these there are many,
and a pattern takes ten times as long as a length."""
Name = Annotated[str, Meta(max_length=LONGEST_NAME)]
"""A path, a glob, or what a kernel, a class or a reader is called."""
Text = Annotated[str, Meta(max_length=LONGEST_TEXT)]
"""Words."""
Count = Annotated[int, Meta(ge=0, le=_LARGEST_COUNT)]
"""A number of things or bytes: JavaScript and SQLite know it exactly."""
Id = Annotated[int, Meta(ge=1, le=_LARGEST_COUNT)]
"""The number of a result or a notebook."""
Position = Annotated[int, Meta(ge=0, le=_MOST_CELLS)]
"""The position or the number of a cell."""
Line = Annotated[int, Meta(ge=0, le=1 << 31)]
"""The line of a file; 0 if unknown."""
Mode = Annotated[int, Meta(ge=0, le=0o777)]
"""The permissions of a file, without set-user-id, set-group-id and sticky bits."""
Inode = Annotated[int, Meta(ge=0)]
"""The number of a file: up to 128 bits on Windows."""
Nanoseconds = Annotated[int, Meta(ge=-_INT64, le=_INT64 - 1)]
"""Since the epoch; a file may be older."""
Time = Annotated[float, Meta(ge=0, le=LATEST)]
"""Seconds since the epoch, UTC."""
Moment = Annotated[int, Meta(ge=0, le=LATEST)]
"""The same, in whole seconds."""
Seconds = Annotated[float, Meta(ge=0, le=LONGEST)]
"""How long something took."""
Limit = Annotated[float, Meta(ge=0)]
"""What a user allows: msgspec refuses what is not finite."""
PerCell = Meta(max_length=_MOST_CELLS)
"""Of a tuple with an item for each cell: more have not fit into any notebook."""
Many = Meta(max_length=_MOST_ITEMS)
"""Of a tuple of what a run has seen. A run that opens ten million files takes hours."""
Json = Annotated[dict[str, Any], Meta(max_length=_MOST_ITEMS)]
"""Free JSON: [](is_deep) tells whether it can be walked."""


def clipped(text: str, length: int = LONGEST_NAME) -> str:
    """Return a text of no more than this length."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def count_or_none(number: object) -> int | None:
    """Return a number of things if it is one that a record can have; kernels may send anything."""
    is_count = isinstance(number, int) and 0 <= number <= _LARGEST_COUNT
    return int(number) if is_count and isinstance(number, int) else None


def time_or(seconds: float, default: float) -> float:
    """Return a time if it is one that a record can have, else the default."""
    return seconds if _is_between(seconds, LATEST) else default


def duration(seconds: float) -> float:
    """Return how long something took, as a record can have it."""
    return seconds if _is_between(seconds, LONGEST) else 0.0


def is_deep(value: Any, encoded: bytes = b"") -> bool:
    """Tell whether JSON is nested deeper than code that walks it can take.

    Args:
        value: What was decoded: a dictionary or a list.
        encoded: The text that it was decoded from, if that is known: if it has few brackets the
            value need not be walked.
    """
    if encoded and encoded.count(b"[") + encoded.count(b"{") <= DEEPEST:
        return False
    level = [value]
    for _ in range(DEEPEST):
        level = [item for container in level for item in _items(container)]
        if not level:
            return False
    return True


def _items(value: Any) -> list[Any]:
    """Return the dictionaries and lists in a dictionary or list."""
    items = value.values() if isinstance(value, dict) else value
    return [item for item in items if isinstance(item, dict | list)]


def _is_between(number: float, most: float) -> bool:
    return math.isfinite(number) and 0 <= number <= most
