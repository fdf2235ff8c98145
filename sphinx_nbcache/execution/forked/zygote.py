"""A zygote, as the build sees it: a process, a socket, and what it said of itself."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sphinx_nbcache.execution.forked import in_zygote

# What a zygote may take to import all that it is told to.
_START_SECONDS = 60
_END_SECONDS = 5
_OLDEST_PYTHON = (3, 9, 0)


class ZygoteError(Exception):
    """A zygote that cannot be used. The message says why."""


class Report(msgspec.Struct, frozen=True):
    """What a zygote says of itself when it is ready.

    Attributes:
        python: The version of its interpreter.
        missing: Modules of ipykernel and IPython that are not there.
        threads: How many threads it had before it preloaded anything; one, if it may fork.
        failed: Modules that could not be imported, with the reason.
        unsafe: Modules that notebooks would see the preloading of, with the reason.
        loaded: Top-level names of all modules that have come by preloading.
    """

    python: tuple[int, int, int]
    missing: tuple[str, ...]
    threads: int
    failed: dict[str, str]
    unsafe: dict[str, str]
    loaded: frozenset[str]


@dataclass(frozen=True, slots=True)
class Order:
    """An order to fork a kernel.

    Attributes:
        folder: Where it works, absolute.
        environment: All its environment variables.
        command: The words of a command that would start it in the ordinary way.
        arguments: Those of them that are for ipykernel.
    """

    folder: str
    environment: Mapping[str, str]
    command: Sequence[str]
    arguments: Sequence[str]

    def encoded(self) -> bytes:
        """Return the order as it is sent."""
        return json.dumps(
            {
                "folder": self.folder,
                "environment": dict(self.environment),
                "command": list(self.command),
                "arguments": list(self.arguments),
            }
        ).encode()


class Zygote:
    """A process that forks kernels. It ends, with all of them, when this is closed.

    Args:
        python: The interpreter and its options.
        environment: The environment variables that it has when it imports.
        folder: An empty folder to be in.
        modules: What it is to preload.

    Raises:
        ZygoteError: It cannot be started.
    """

    def __init__(
        self,
        python: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        modules: Sequence[str] = (),
    ) -> None:
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs, tempfile.TemporaryFile() as log:
            program = Path(in_zygote.__file__).with_name("__main__.py")
            try:
                self._process = subprocess.Popen(  # noqa: S603 (what the kernelspec says)
                    [*python, str(program), str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=dict(environment),
                    cwd=folder,
                    # Ctrl-C at the terminal is for the build, which ends this one.
                    start_new_session=True,
                )
            except OSError as error:
                self._control.close()
                raise ZygoteError(str(error)) from None
            theirs.close()
            try:
                self._control.sendall(json.dumps(list(modules)).encode() + b"\n")
                self.report = self._read_report()
            except (OSError, EOFError, msgspec.DecodeError) as error:
                self.close()
                log.seek(0)
                words = log.read().decode("utf-8", "replace").strip().splitlines()
                raise ZygoteError(words[-1] if words else repr(error)) from None
            except BaseException:
                self.close()
                raise

    def _read_report(self) -> Report:
        self._control.settimeout(_START_SECONDS)
        read = b""
        while not read.endswith(b"\n"):
            part = self._control.recv(65536)
            if not part:
                raise EOFError("it ended")
            read += part
        self._control.settimeout(None)
        return msgspec.json.decode(read, type=Report)

    @property
    def trouble(self) -> str | None:
        """Why no kernel may be forked from it, if none may."""
        report = self.report
        if report.python < _OLDEST_PYTHON:
            return "its Python is older than 3.9"
        if report.missing:
            return f"it has no {', '.join(report.missing)}"
        if report.threads != 1:
            return f"{report.threads} threads run in it before the first cell"
        return None

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    async def fork(self, order: Order, out: int, err: int) -> socket.socket:
        """Fork a kernel; return the connection on which is told what becomes of it.

        Raises:
            OSError: The zygote has ended.
        """
        mine, theirs = socket.socketpair()
        try:
            mine.settimeout(0)
            with theirs, self._lock:
                socket.send_fds(self._control, [b"F"], [theirs.fileno(), out, err])
            body = order.encoded()
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(mine, struct.pack("!I", len(body)) + body)
        except BaseException:
            mine.close()
            raise
        return mine

    def close(self) -> None:
        """End it, and all its kernels."""
        with suppress(OSError):
            # Copies of the socket may be in other processes: those that were forked from this.
            self._control.shutdown(socket.SHUT_RDWR)
        self._control.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
