"""Memory use of a kernel, as reported by the operating system."""

from __future__ import annotations

import re
from pathlib import Path

_PEAK = re.compile(r"^VmHWM:\s*(\d+) kB$", re.MULTILINE)


def peak_memory(pid: int | None) -> int | None:
    """Return the peak memory use of a running process, in bytes.

    Its child processes are not counted.

    Args:
        pid: The process; `None` if unknown, as for a kernel on another machine.

    Returns:
        `None` if there is no such process, or if the operating system is not Linux.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    found = _PEAK.search(status)
    return int(found[1]) * 1024 if found is not None else None
