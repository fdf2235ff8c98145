"""Bounded types for values in files that other users may have written.

The bounds are far beyond real use. They prevent a forged or damaged record from exhausting memory
or time, and from reaching code that cannot handle the value: `datetime.fromtimestamp` raises for a
year above 9999, `json` and `pickle` for JSON that is nested a thousand levels deep. msgspec checks
bounds when it decodes, not when a struct is created, so code that writes a record clips texts of
unknown length with [](clipped).
"""

from __future__ import annotations

import math
from typing import Annotated, Any

from msgspec import Meta

# https://learn.microsoft.com/en-us/windows/win32/fileio/maximum-file-path-limitation
LONGEST_NAME = 32_767
"""Characters of a path on Windows; Linux and macOS allow fewer. Other names are shorter."""
LONGEST_TEXT = 1 << 24
"""Characters of a text without a natural length, such as a traceback."""
LONGEST_MESSAGE = 1 << 20
"""Characters kept of an exception's message."""
LARGEST_RECORD = 1 << 28
"""Bytes of a record. The scan of 100,000 cells takes 10 MB."""
LARGEST_VALUE = 1 << 31
"""Bytes of any value. `nbcache_notebook_output_limit` is 200 MB by default, and can be lifted."""
DEEPEST = 200
"""Levels of nested JSON. Python's `json` fails at about 990, and code that walks JSON usually needs
two stack frames per level."""
LATEST = 250_000_000_000
"""Seconds since the epoch: in the year 9892."""
LONGEST = 1_000_000_000
"""Seconds of a duration: 31 years. Added to [](LATEST), it still gives a valid date."""
_MOST_CELLS = 1_000_000
_MOST_ITEMS = 10_000_000
# JavaScript's `Number.MAX_SAFE_INTEGER` plus one; the report's script and JSON readers use doubles.
_LARGEST_COUNT = 1 << 53
# SQLite stores integers in 64 bits (https://www.sqlite.org/datatype3.html).
_INT64 = 1 << 63

# `\A` and `\Z`: msgspec searches for the pattern, and `$` would accept a final line end
# (https://jcristharif.com/msgspec/constraints.html).
Digest = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
"""A hexadecimal SHA-256 digest."""
MaybeDigest = Annotated[str, Meta(pattern=r"\A([0-9a-f]{64})?\Z")]
"""A SHA-256 digest, or an empty string."""
ShortDigest = Annotated[str, Meta(pattern=r"\A([0-9a-f]{32})?\Z")]
"""Half a SHA-256 digest, or an empty string."""
State = Annotated[str, Meta(max_length=64)]
"""A digest that is only compared, or one of the words of `traces.facts`. There are many of these,
and checking a pattern takes ten times as long as checking a length."""
Name = Annotated[str, Meta(max_length=LONGEST_NAME)]
"""A path, a glob, or the name of a kernel, a class or a reader."""
Text = Annotated[str, Meta(max_length=LONGEST_TEXT)]
"""Text in words, such as a reason or a message."""
Count = Annotated[int, Meta(ge=0, le=_LARGEST_COUNT)]
"""A number of items or bytes, exact in JavaScript and SQLite."""
Id = Annotated[int, Meta(ge=1, le=_LARGEST_COUNT)]
"""The number of a result or a notebook."""
Position = Annotated[int, Meta(ge=0, le=_MOST_CELLS)]
"""The position or number of a cell."""
Line = Annotated[int, Meta(ge=0, le=1 << 31)]
"""A line of a file; 0 if unknown."""
Mode = Annotated[int, Meta(ge=0, le=0o777)]
"""The permissions of a file, without set-user-id, set-group-id and sticky bits."""
Inode = Annotated[int, Meta(ge=0)]
"""A file's inode number: up to 128 bits on Windows."""
Nanoseconds = Annotated[int, Meta(ge=-_INT64, le=_INT64 - 1)]
"""Nanoseconds since the epoch; negative for older files."""
Time = Annotated[float, Meta(ge=0, le=LATEST)]
"""Seconds since the epoch, UTC."""
Moment = Annotated[int, Meta(ge=0, le=LATEST)]
"""Whole seconds since the epoch, UTC."""
Seconds = Annotated[float, Meta(ge=0, le=LONGEST)]
"""A duration in seconds."""
Limit = Annotated[float, Meta(ge=0)]
"""A limit set by a user. JSON cannot represent infinity and NaN, so they are rejected."""
PerCell = Meta(max_length=_MOST_CELLS)
"""The bound of a tuple with an item per cell: no real notebook has more."""
Many = Meta(max_length=_MOST_ITEMS)
"""The bound of a tuple of observations of a run. A run that opens ten million files takes hours."""
Json = Annotated[dict[str, Any], Meta(max_length=_MOST_ITEMS)]
"""JSON of any structure; check with [](is_deep) before walking it."""


def clipped(text: str, length: int = LONGEST_NAME) -> str:
    """Return a text cut to a maximum length."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def count_or_none(number: object) -> int | None:
    """Return a number if a record can hold it as a count, else `None`."""
    # Kernels may send anything. `True` is an `int` as well, hence the conversion.
    is_count = isinstance(number, int) and 0 <= number <= _LARGEST_COUNT
    return int(number) if is_count and isinstance(number, int) else None


def time_or(seconds: float, default: float) -> float:
    """Return a time if a record can hold it, else a default."""
    return seconds if _is_between(seconds, LATEST) else default


def duration(seconds: float) -> float:
    """Return a duration if a record can hold it, else 0."""
    return seconds if _is_between(seconds, LONGEST) else 0.0


def is_deep(value: Any, encoded: bytes = b"") -> bool:
    """Tell whether JSON is nested too deeply for code that walks it.

    Args:
        value: The decoded value, a dictionary or a list.
        encoded: The JSON text, if known: a text with few brackets makes walking the value
            unnecessary.
    """
    if encoded and encoded.count(b"[") + encoded.count(b"{") <= DEEPEST:
        return False
    # Level by level: recursion would fail on the values that this function has to find.
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
