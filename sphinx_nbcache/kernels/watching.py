"""The system tracer, as the build sees it: a watcher's command, and its answers."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from sphinx_nbcache.kernel_side import watcher

# An answer takes milliseconds, unless the run has read a hundred thousand files.
_ANSWER_SECONDS = 60
_TRIAL_SECONDS = 20
# https://man7.org/linux/man-pages/man7/unix.7.html
_LONGEST_PATH = 107
_PROGRAM = Path(watcher.__file__).with_name("__main__.py")
# Directories whose files never count: no `stat` is taken of what is in them.
_QUIET = ("/usr/", "/lib/", "/lib32/", "/lib64/", "/etc/", "/bin/", "/sbin/", "/proc/", "/sys/")


@dataclass(frozen=True, slots=True)
class Watched:
    """A watcher, and a run that it watches.

    Attributes:
        socket: The path of its socket.
        run: The name of the run.
    """

    socket: str
    run: str

    async def begin(self) -> None:
        """Tell the watcher that the first cell begins.

        Raises:
            OSError: The watcher has gone.
        """
        await asyncio.to_thread(self._ask, b"B")

    async def end(self) -> dict[str, Any] | None:
        """Return what the run was seen to do; `None` if it is not watched.

        Raises:
            OSError: The watcher has gone.
        """
        answer = await asyncio.to_thread(self._ask, b"E")
        return answer if isinstance(answer, dict) else None

    def _ask(self, word: bytes) -> Any:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            connection.connect(self.socket)
            connection.sendall(word + self.run.encode())
            read = bytearray()
            while part := connection.recv(1 << 20):
                read += part
        try:
            return json.loads(read)
        except ValueError:
            raise OSError("its answer is not complete") from None

    @property
    def was_killed(self) -> bool:
        """Whether the watcher was killed: its socket is left, and no one answers."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            try:
                connection.connect(self.socket)
            except FileNotFoundError:
                return False  # it has removed the socket at its end
            except OSError:
                return True
            return False


@dataclass(slots=True)
class Watchers:
    """Makes watchers, in a folder for their sockets.

    Args:
        folder: The folder.
        is_for_python: Whether zygotes have one, so that the kernels that they fork can be watched.
        processes: The processes of those that have started kernels.
    """

    folder: Path
    is_for_python: bool = True
    processes: set[int] = field(default_factory=set)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def around(
        self, command: Sequence[str], run: str = "", *, is_traced: bool = True
    ) -> tuple[list[str], Watched]:
        """Return the command of a watcher that starts a command.

        Args:
            command: The words of the command.
            run: The name of the run, if the command is a kernel; else its children are watched.
            is_traced: Whether Python in it has a tracer of its own.
        """
        path = str(self.folder / f"w{next(self._numbers)}")
        order = json.dumps(
            {
                "socket": path,
                "run": run,
                "is_traced": is_traced,
                "parent": os.getpid(),
                "quiet": _QUIET,
            }
        )
        # Without the user's packages and variables, which are the kernel's.
        words = [sys.executable, "-I", "-S", str(_PROGRAM), order, *command]
        return words, Watched(path, run)


def why_not(folder: Path) -> str | None:
    """Return why watchers cannot work here; `None` if they can.

    Args:
        folder: The folder for their sockets.
    """
    if len(os.fsencode(folder)) + len("/w12345") > _LONGEST_PATH:
        return f"the path of the folder for temporary files is too long: {folder}"
    return why_no_system_tracer()


@cache
def why_no_system_tracer() -> str | None:
    """Return why this system has no system tracer; `None` if it has. It is tried once."""
    if sys.platform != "linux":
        return "it needs Linux"
    words = [sys.executable, "-I", "-S", str(_PROGRAM), "null"]
    try:
        done = subprocess.run(  # noqa: S603 (a file of ours)
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TRIAL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return None
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"its trial ended with status {done.returncode}"
