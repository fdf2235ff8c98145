"""A zygote, as the build sees it: a process, a socket, and what it said of itself."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from sphinx_nbcache.execution.forked import in_zygote
from sphinx_nbcache.execution.in_kernel import preparing_texts
from sphinx_nbcache.traces.session import PACKAGE, TracerConfig, install_code, loading_code

# What a zygote may take to import all that it is told to.
_START_SECONDS = 60
_END_SECONDS = 5
_OLDEST_PYTHON = (3, 9, 0)
# Variables that may be others for each kernel (or test), and matter to no import.
_OF_ONE_KERNEL = frozenset(
    "JPY_SESSION_NAME JPY_PARENT_PID PWD OLDPWD _ SHLVL PYTEST_CURRENT_TEST".split()
)


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
class ZygoteKey:
    """What kernels must have in common to be forked from one zygote.

    Attributes:
        python: The interpreter and its options.
        environment: The environment variables that may matter to imports.
        modules: What is preloaded.
    """

    python: tuple[str, ...]
    environment: frozenset[tuple[str, str]]
    modules: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, python: tuple[str, ...], environment: Mapping[str, str], modules: tuple[str, ...] = ()
    ) -> ZygoteKey:
        """Return the key of a kernel, given all its environment variables."""
        common = (item for item in environment.items() if item[0] not in _OF_ONE_KERNEL)
        return cls(python, frozenset(common), modules)


@dataclass(frozen=True, slots=True)
class Order:
    """An order to fork a kernel.

    Attributes:
        folder: Where it works, absolute.
        environment: All its environment variables.
        command: The words of a command that would start it in the ordinary way.
        arguments: Those of them that are for ipykernel.
        tracer: What its tracer is told, if it is to have one.
    """

    folder: str
    environment: Mapping[str, str]
    command: Sequence[str]
    arguments: Sequence[str]
    tracer: TracerConfig | None = None

    def encoded(self) -> bytes:
        """Return the order as it is sent."""
        return json.dumps(
            {
                "folder": self.folder,
                "environment": dict(self.environment),
                "command": list(self.command),
                "arguments": list(self.arguments),
                "tracer": _texts(self.tracer) if self.tracer is not None else None,
            }
        ).encode()


def _texts(tracer: TracerConfig) -> dict[str, str]:
    assert tracer.support is not None
    return {
        "package": PACKAGE,
        "load": loading_code(tracer.support),
        "install": install_code(tracer),
    }


class Zygote:
    """A process that forks kernels. It ends, with all of them, when this is closed.

    Once it is started it imports what every kernel needs; it is of use after `preload`.

    Args:
        python: The interpreter and its options.
        environment: The environment variables that it has when it imports.
        folder: An empty folder to be in.

    Raises:
        ZygoteError: It cannot be started.
    """

    report: Report
    """What it said of itself when it was ready."""

    kernel_info: dict[str, Any] | None = None
    """What its kernels say of themselves, if one was asked: they all say the same."""

    _live: ClassVar[weakref.WeakSet[Zygote]] = weakref.WeakSet()
    is_ready = False
    """Whether it has imported what it is to import, and can fork."""

    def __init__(
        self,
        python: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
    ) -> None:
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._log = log = tempfile.TemporaryFile()  # noqa: SIM115 (until it is ready)
        with theirs:
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
                log.close()
                raise ZygoteError(str(error)) from None
        self._live.add(self)

    @classmethod
    def kill_all(cls, *, unready: bool = False) -> None:
        """Kill every zygote, and with it its kernels, from whatever thread, without waiting.

        Args:
            unready: Whether to kill only those that still import, and have no kernels.
        """
        for zygote in list(cls._live):
            if not (unready and zygote.is_ready):
                zygote.kill()

    def preload(self, modules: Sequence[str]) -> None:
        """Let it preload modules, and wait until it is ready to fork.

        Raises:
            ZygoteError: It has ended, or is not ready in time.
        """
        try:
            told = {"modules": list(modules), "before": preparing_texts()}
            self._control.sendall(json.dumps(told).encode() + b"\n")
            self.report = self._read_report()
            self.is_ready = True
        except (OSError, EOFError, msgspec.DecodeError) as error:
            # All that it says is there when it has ended.
            self._end()
            self._log.seek(0)
            words = self._log.read().decode("utf-8", "replace").strip().splitlines()
            self._log.close()
            raise ZygoteError(words[-1] if words else repr(error)) from None
        except BaseException:
            self.close()
            raise
        self._log.close()

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
            # Here, because zygotes are started before there is time for its import.
            import asyncio

            loop = asyncio.get_running_loop()
            await loop.sock_sendall(mine, struct.pack("!I", len(body)) + body)
        except BaseException:
            mine.close()
            raise
        return mine

    def kill(self) -> None:
        """Kill it without waiting; its kernels die with it."""
        self._process.kill()

    def close(self) -> None:
        """End it, and all its kernels."""
        self._end()
        self._log.close()

    def _end(self) -> None:
        with suppress(OSError):
            # Copies of the socket may be in other processes: those that were forked from this.
            self._control.shutdown(socket.SHUT_RDWR)
        self._control.close()
        if not self.is_ready:
            # It looks at the socket when it has imported everything, which may take long.
            self.kill()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
