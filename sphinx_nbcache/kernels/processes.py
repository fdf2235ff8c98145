"""The processes of a kernel, as reported by the system: their memory, and orphans."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

# VmHWM is the peak of resident memory: https://man7.org/linux/man-pages/man5/proc_pid_status.5.html
_PEAK = re.compile(r"^VmHWM:\s*(\d+) kB$", re.MULTILINE)
_PROC = Path("/proc")
# Positions in `stat`, after the name, of the parent and the start time.
_PARENT, _START = 1, 19
# Orphans have children of their own, which become orphans. A process that keeps forking must not
# keep the build from ending.
_ROUNDS = 5


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


def first_child(pid: int) -> int | None:
    """Return the oldest child of a process; `None` if none is known."""
    try:
        # With CONFIG_PROC_CHILDREN: https://man7.org/linux/man-pages/man5/proc_pid_task.5.html
        words = (_PROC / str(pid) / "task" / str(pid) / "children").read_text("ascii").split()
    except OSError:
        return None
    return int(words[0]) if words else None


def end_orphans(parents: Iterable[int] = ()) -> None:
    """Kill processes that kernels of this process have started and that have no parent left.

    Args:
        parents: Further processes that have started kernels for this one.
    """
    # jupyter_client (8.10, `launch_kernel`) sets this variable, and the children of a kernel
    # inherit it, even those that leave its process group.
    marks = {f"JPY_PARENT_PID={pid}".encode() for pid in (os.getpid(), *parents)}
    for _ in range(_ROUNDS):
        orphans = list(_orphans(marks))
        for pid in orphans:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if not orphans:
            return


def _orphans(marks: set[bytes]) -> Iterator[int]:
    own = _stat(os.getpid())
    if own is None:
        return
    space = _space(os.getpid())
    for name in _numbers():
        pid, stat = int(name), _stat(int(name))
        # The number may be reused, or belong to another container.
        is_younger = stat is not None and int(stat[_START]) >= int(own[_START])
        if is_younger and _has(pid, marks) and _space(pid) == space and not _is_below(pid):
            yield pid


def _numbers() -> list[str]:
    try:
        return [path.name for path in _PROC.iterdir() if path.name.isdigit()]
    except OSError:
        return []


def _stat(pid: int) -> list[str] | None:
    """Return the fields of a process's `stat`; `None` if the process has ended."""
    try:
        # The name of the program, in parentheses, may contain spaces and parentheses itself:
        # https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
        words = (_PROC / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return None
    # Zombies and dead processes: they have ended, and only their parents can remove them.
    return None if words[0] in "ZX" else words


def _has(pid: int, variables: set[bytes]) -> bool:
    try:
        # Other users' processes cannot be read (PermissionError), and are none of ours.
        return not variables.isdisjoint((_PROC / str(pid) / "environ").read_bytes().split(b"\0"))
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
