"""Processes that kernels have started and left running, as far as the system reveals: Linux only.

A zygote is the parent of all processes that its kernels leave. Other kernels have no such parent.
But every process inherits environment variables from the one that started it, and jupyter_client
sets one for kernels that contains the number of this process.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
# Positions in `stat`, after the name, of the parent and the start time.
_PARENT, _START = 1, 19
# Orphans have children of their own, which become orphans.
_ROUNDS = 5


def end_orphans() -> None:
    """Kill processes that kernels of this process have started and that have no parent left."""
    mark = f"JPY_PARENT_PID={os.getpid()}".encode()
    for _ in range(_ROUNDS):
        orphans = list(_orphans(mark))
        for pid in orphans:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if not orphans:
            return


def _orphans(mark: bytes) -> Iterator[int]:
    own = _stat(os.getpid())
    if own is None:
        return
    space = _space(os.getpid())
    for name in _numbers():
        pid, stat = int(name), _stat(int(name))
        # The number may be reused, or belong to another container.
        is_younger = stat is not None and int(stat[_START]) >= int(own[_START])
        if is_younger and _has(pid, mark) and _space(pid) == space and not _is_below(pid):
            yield pid


def _numbers() -> list[str]:
    try:
        return [path.name for path in _PROC.iterdir() if path.name.isdigit()]
    except OSError:
        return []


def _stat(pid: int) -> list[str] | None:
    """Return the fields of a process's `stat`; `None` if the process has ended."""
    try:
        words = (_PROC / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if words[0] in "ZX" else words


def _has(pid: int, variable: bytes) -> bool:
    try:
        return variable in (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _space(pid: int) -> str | None:
    try:
        return os.readlink(_PROC / str(pid) / "ns" / "pid")  # noqa: PTH115 (it is no path)
    except OSError:
        return None


def _is_below(pid: int) -> bool:
    """Tell whether a process descends from this one, so that it is not an orphan."""
    while pid > 1:
        if pid == os.getpid():
            return True
        stat = _stat(pid)
        if stat is None:
            return False
        pid = int(stat[_PARENT])
    return False
