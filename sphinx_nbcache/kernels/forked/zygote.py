"""A zygote, as the build sees it: a process, a socket, and its report."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import tempfile
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from sphinx_nbcache.kernel_side import zygote as in_zygote
from sphinx_nbcache.kernel_side.cells import preparing_text
from sphinx_nbcache.kernels.watching import Watched, Watchers
from sphinx_nbcache.traces.tracer_code import PACKAGE, TracerConfig, install_code, loading_code

# Time limit for a zygote to import all requested modules.
_START_SECONDS = 60
_END_SECONDS = 5
# `socket.recv_fds` and `os.waitstatus_to_exitcode` are new in Python 3.9:
# https://docs.python.org/3/library/socket.html#socket.recv_fds
_OLDEST_PYTHON = (3, 9, 0)
# Variables that may differ between kernels (or tests) and affect no import. jupyter_client and
# shells set them.
_OF_ONE_KERNEL = frozenset(
    "JPY_SESSION_NAME JPY_PARENT_PID PWD OLDPWD _ SHLVL PYTEST_CURRENT_TEST".split()
)


class ZygoteError(Exception):
    """A zygote cannot be used. The message says why."""


class ZygoteReport(msgspec.Struct, frozen=True):
    """The report of a zygote when it is ready.

    Attributes:
        python: The version of its interpreter.
        missing: Missing names that forking requires, of ipykernel and the standard library.
        not_light: Missing names that only light kernels require.
        threads: How many threads it had before it preloaded anything; one, if it may fork.
        failed: Modules that could not be imported, with the reason.
        unsafe: Modules whose preloading notebooks would notice, with the reason.
        loaded: Top-level names of all modules that preloading has added.
    """

    python: tuple[int, int, int]
    missing: tuple[str, ...]
    threads: int
    not_light: tuple[str, ...]
    failed: dict[str, str]
    unsafe: dict[str, str]
    loaded: frozenset[str]


@dataclass(frozen=True, slots=True)
class ZygoteKey:
    """The properties that kernels must share to be forked from one zygote.

    Attributes:
        python: The interpreter and its options.
        environment: The environment variables that may affect imports.
        modules: The modules to preload.
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
        folder: The working folder, absolute.
        environment: All environment variables.
        command: The words of a command that would start the kernel in the ordinary way.
        arguments: The words of it that are for ipykernel.
        tracer: The tracer's configuration; `None` for no tracer.
        watched: The watcher that is to see what the kernel does, if there is one.
        mark: The mark in the streams of a light kernel (see [](Wire)); `None` for others.
    """

    folder: str
    environment: Mapping[str, str]
    command: Sequence[str]
    arguments: Sequence[str]
    tracer: TracerConfig | None = None
    watched: Watched | None = None
    mark: str | None = None

    def encoded(self) -> bytes:
        """Return the encoded order."""
        return json.dumps(
            {
                "folder": self.folder,
                "environment": dict(self.environment),
                "command": list(self.command),
                "arguments": list(self.arguments),
                "tracer": _texts(self.tracer) if self.tracer is not None else None,
                "watched": [self.watched.socket, self.watched.run] if self.watched else None,
                "mark": self.mark,
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
    """A process that forks kernels. [](close) ends it and all its kernels.

    Once started, it imports the modules that every kernel needs; it can fork after [](preload).

    Args:
        python: The interpreter and its options.
        environment: The environment variables during its imports.
        folder: An empty folder to work in.
        watchers: Makes the watcher of its kernels, if they may be watched.

    Raises:
        ZygoteError: The process cannot be started.
    """

    report: ZygoteReport
    """The zygote's report when it became ready."""

    kernel_info: dict[str, Any] | None = None
    """The kernel info reported by its kernels, if one was asked: it is the same for all."""

    _live: ClassVar[weakref.WeakSet[Zygote]] = weakref.WeakSet()
    is_ready = False
    """Whether it has finished its imports, and can fork."""

    def __init__(
        self,
        python: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        watchers: Watchers | None = None,
    ) -> None:
        self._watched: Watched | None = None
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        # A file and not a pipe: no one reads while the zygote imports, and a full pipe would stop
        # it.
        self._log = log = tempfile.TemporaryFile()  # noqa: SIM115 (until it is ready)
        with theirs:
            program = Path(in_zygote.__file__).with_name("__main__.py")
            command = [*python, str(program), str(theirs.fileno())]
            if watchers is not None and watchers.is_for_python:
                command, self._watched = watchers.around(command)
            try:
                self._process = subprocess.Popen(  # noqa: S603 (what the kernelspec says)
                    command,
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=dict(environment),
                    cwd=folder,
                    # Ctrl-C at the terminal is for the build, which ends the zygote.
                    start_new_session=True,
                )
            except OSError as error:
                self._control.close()
                log.close()
                raise ZygoteError(str(error)) from None
        self._live.add(self)

    @classmethod
    def kill_all(cls, *, unready: bool = False) -> None:
        """Kill every zygote and so its kernels, from any thread, without waiting.

        Args:
            unready: Whether to kill only zygotes that are still importing and have no kernels.
        """
        for zygote in list(cls._live):
            if not (unready and zygote.is_ready):
                zygote.kill()

    def preload(self, modules: Sequence[str]) -> None:
        """Make the zygote preload modules, and wait until it can fork.

        Raises:
            ZygoteError: The zygote has ended, or is not ready in time.
        """
        try:
            deadline = time.monotonic() + _START_SECONDS
            told = {"modules": list(modules), "before": preparing_text()}
            # For `sendall`, a time-out is the limit of the whole call.
            self._control.settimeout(_START_SECONDS)
            self._control.sendall(json.dumps(told).encode() + b"\n")
            self.report = self._read_report(deadline)
            self._control.settimeout(None)
            self.is_ready = True
        except (OSError, EOFError, msgspec.DecodeError) as error:
            # Its log is complete once it has ended.
            self._end()
            self._log.seek(0)
            words = self._log.read().decode("utf-8", "replace").strip().splitlines()
            self._log.close()
            raise ZygoteError(words[-1] if words else repr(error)) from None
        except BaseException:
            self.close()
            raise
        self._log.close()

    def _read_report(self, deadline: float) -> ZygoteReport:
        read = b""
        while not read.endswith(b"\n"):
            # A time-out limits each `recv`, not the sum of them.
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._control.settimeout(left)
            part = self._control.recv(65536)
            if not part:
                raise EOFError("it ended")
            read += part
        return msgspec.json.decode(read, type=ZygoteReport)

    @property
    def trouble(self) -> str | None:
        """Why it cannot fork kernels; `None` if it can."""
        report = self.report
        if report.python < _OLDEST_PYTHON:
            return "its Python is older than 3.9"
        if report.missing:
            return f"it has no {', '.join(report.missing)}"
        # After a fork only the calling thread exists, and locks that others held stay locked.
        if report.threads != 1:
            return f"{report.threads} threads run in it before the first cell"
        return None

    def watched(self, run: str) -> Watched | None:
        """Return the watcher for a run in one of its kernels; `None` if it has none."""
        return None if self._watched is None else replace(self._watched, run=run)

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    async def fork(self, order: Order, descriptors: Sequence[int]) -> socket.socket:
        """Fork a kernel; return the connection that reports its state.

        Args:
            order: How the kernel is to be.
            descriptors: Its standard output and error, and those of a light kernel.

        Raises:
            OSError: The zygote has ended.
        """
        mine, theirs = socket.socketpair()
        try:
            mine.settimeout(0)
            # The byte carries the descriptors (SCM_RIGHTS): none are sent without data. See
            # unix(7).
            with theirs, self._lock:
                word = b"F" if order.mark is None else b"L"
                socket.send_fds(self._control, [word], [theirs.fileno(), *descriptors])
            body = order.encoded()
            # Imported here, because zygotes are started before there is time for it.
            import asyncio

            loop = asyncio.get_running_loop()
            # On the connection of this kernel: orders of several threads would mix on the control
            # socket.
            await loop.sock_sendall(mine, struct.pack("!I", len(body)) + body)
        except BaseException:
            mine.close()
            raise
        return mine

    def kill(self) -> None:
        """Kill the zygote without waiting; its kernels die with it."""
        self._process.kill()

    def close(self) -> None:
        """End the zygote and all its kernels."""
        self._end()
        self._log.close()

    def _end(self) -> None:
        with suppress(OSError):
            # Processes forked from this one may hold copies of the socket.
            self._control.shutdown(socket.SHUT_RDWR)
        self._control.close()
        if not self.is_ready:
            # It checks the socket only after all imports, which may take long.
            self.kill()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
