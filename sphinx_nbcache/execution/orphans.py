"""What kernels have started and left running, as far as the system tells: Linux only.

A zygote is the parent of all that its kernels leave. Other kernels have none that looks after
that; but every process has the environment variables of the one that started it, and jupyter_client
gives kernels one with the number of this process.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
# Where in `stat`, behind the name, the parent and the time of the start are.
_PARENT, _START = 1, 19
# Orphans have children themselves, which become orphans.
_ROUNDS = 5


def end_orphans() -> None:
    """Kill what kernels of this process have started, and nobody looks after any more."""
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
        # The number may have been that of another process before, or be one in a container.
        is_younger = stat is not None and int(stat[_START]) >= int(own[_START])
        if is_younger and _has(pid, mark) and _space(pid) == space and not _is_below(pid):
            yield pid


def _numbers() -> list[str]:
    try:
        return [path.name for path in _PROC.iterdir() if path.name.isdigit()]
    except OSError:
        return []


def _stat(pid: int) -> list[str] | None:
    """Return what is known of a process; nothing of one that has ended."""
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
    """Tell whether a process descends from this one: then somebody looks after it."""
    while pid > 1:
        if pid == os.getpid():
            return True
        stat = _stat(pid)
        if stat is None:
            return False
        pid = int(stat[_PARENT])
    return False
