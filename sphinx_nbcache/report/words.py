"""Durations and sizes in words, the same in every view."""

from __future__ import annotations

_MINUTE, _HOUR = 60, 3600


def in_words(seconds: float) -> str:
    """Return a duration in readable form: `0.42 s`, `41 s`, `9 min 12 s`, `2 h 5 min`."""
    if seconds < 0.001:  # noqa: PLR2004 (more digits would mean nothing)
        return "< 1 ms" if seconds > 0 else "0 s"
    if seconds < 10:  # noqa: PLR2004 (two digits are enough)
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


def size_in_words(size: int) -> str:
    """Return a number of bytes in readable form: `512 B`, `1.4 MB`."""
    amount, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:  # noqa: PLR2004 (decimal units)
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
