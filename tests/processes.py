"""Modules run as `python -m` runs them, in processes of their own that start quickly.

Most of what a short build takes is the start of Python and the import of Sphinx, MyST-Parser and
nbclient. So there are servers that have imported them (`fork_server.py`), and a build is a fork
of one of them. It has its own folder, environment, streams, process id and exit status, takes
signals, and shares nothing with other forks. What is not as in a new interpreter:

- Libraries are in `sys.modules` from the start. Tests that look at that ask for a fresh one.
- Strings have the hashes of the server. There are two servers, used in turn, so that two builds
  one after the other have different ones, as they have in real life.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import fork_server

# Python itself reads these when it starts: too early for a fork.
_OF_THE_INTERPRETER = ("PYTHON", "LC_", "LANG")
_SERVERS = 2


class Process(Protocol):
    """What is needed of `subprocess.Popen`, and what forks have as well."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | Any: ...
    def communicate(self, *, timeout: float | None = None) -> tuple[str, str]: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def poll(self) -> int | None: ...
    def send_signal(self, sig: int, /) -> None: ...
    def kill(self) -> None: ...


def start(
    module: str,
    *arguments: str,
    folder: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    merged: bool = False,
    fresh: bool = False,
) -> Process:
    """Start a module in a session of its own.

    Args:
        module: What is named after `python -m`.
        arguments: Its arguments.
        folder: Where it works; by default here.
        environment: All environment variables that it has.
        merged: Whether its errors go into its standard output.
        fresh: Whether it needs an interpreter in which nothing was imported before.
    """
    command = [sys.executable, "-m", module, *arguments]
    folder = (folder or Path()).absolute()
    if not fresh and sys.platform == "linux":
        server = next(_turns())
        if server.suits(environment):
            return server.start(command, folder, environment, merged=merged)
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if merged else subprocess.PIPE,
        cwd=folder,
        env=environment,
        encoding="utf-8",
        start_new_session=True,
    )


def run(
    module: str,
    *arguments: str,
    folder: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    fresh: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a module to its end; the arguments are those of [](start)."""
    process = start(module, *arguments, folder=folder, environment=environment, fresh=fresh)
    try:
        out, err = process.communicate()
    except BaseException:
        process.kill()
        raise
    return subprocess.CompletedProcess([module, *arguments], process.returncode, out, err)


def end_servers() -> None:
    """End the servers of this process; the next module that is run starts new ones."""
    if _turns.cache_info().currsize:
        for _ in range(_SERVERS):
            next(_turns()).end()
        _turns.cache_clear()


@functools.cache
def _turns() -> Iterator[_Server]:
    return itertools.cycle([_Server() for _ in range(_SERVERS)])


class _Server:
    """A process that forks for each module that is to be run."""

    def __init__(self) -> None:
        self._environment = dict(os.environ)
        self._control, theirs = socket.socketpair()
        with theirs:
            # Forks keep the objects that Python made for its streams, so they must be pipes.
            self._process = subprocess.Popen(
                [sys.executable, fork_server.__file__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def suits(self, environment: Mapping[str, str]) -> bool:
        """Whether Python would start in this environment as the server did."""
        return all(
            environment.get(name) == self._environment.get(name)
            for name in {*environment, *self._environment}
            if name.startswith(_OF_THE_INTERPRETER)
        )

    def start(
        self, command: list[str], folder: Path, environment: Mapping[str, str], *, merged: bool
    ) -> _Fork:
        """Ask for a fork that runs a command, which is `python -m` with arguments."""
        _, _, module, *arguments = command
        request = {
            "module": module,
            "arguments": arguments,
            "folder": str(folder),
            "environment": dict(environment),
        }
        out, theirs_out = os.pipe()
        err, theirs_err = (None, theirs_out) if merged else os.pipe()
        status, theirs_status = os.pipe()
        nothing = os.open(os.devnull, os.O_RDONLY)
        theirs = [nothing, theirs_out, theirs_err, theirs_status]
        text = json.dumps(request).encode()
        socket.send_fds(self._control, [b"%*d" % (fork_server.HEADER, len(text))], theirs)
        self._control.sendall(text)
        for descriptor in set(theirs):
            os.close(descriptor)
        return _Fork(command, out, err, status)

    def end(self) -> None:
        self._control.close()
        self._process.communicate()


class _Fork:
    """A process that a server has forked, with the methods of `subprocess.Popen`."""

    def __init__(self, command: list[str], out: int, err: int | None, status: int) -> None:
        self.args = command
        self.returncode: int | None = None
        self._status = os.fdopen(status)
        self.pid = int(self._status.readline())
        self._streams = [
            os.fdopen(stream, "rb", buffering=0) for stream in (out, err) if stream is not None
        ]
        self._written = [b"" for _ in self._streams]

    def poll(self) -> int | None:
        """Return how it ended, as `wait` does, or `None` while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; return its exit status, which is negative if a signal ended it."""
        if self.returncode is None:
            self._wait_for([self._status], timeout)
            with self._status:
                self.returncode = int(self._status.readline())
        return self.returncode

    def communicate(self, *, timeout: float | None = None) -> tuple[str, str]:
        """Return all that it and its child processes write, until they all have ended."""
        end = time.monotonic() + timeout if timeout is not None else None
        while reading := [stream for stream in self._streams if not stream.closed]:
            left = max(end - time.monotonic(), 0) if end is not None else None
            for stream in self._wait_for(reading, left):
                if chunk := stream.read(65536):
                    self._written[self._streams.index(stream)] += chunk
                else:
                    stream.close()
        self.wait(timeout)
        out, err = (_text(written) for written in [*self._written, b""][:2])
        return out, err

    def send_signal(self, sig: int, /) -> None:
        """Send a signal to it, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        """End it as nothing can be ended more suddenly."""
        self.send_signal(signal.SIGKILL)

    def _wait_for(self, readable: list[Any], timeout: float | None) -> list[Any]:
        ready, _, _ = select.select(readable, [], [], timeout)
        if not ready:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return ready


def _text(written: bytes) -> str:
    """Return what was written as a text, with the ends of lines that `subprocess` makes."""
    return written.decode().replace("\r\n", "\n").replace("\r", "\n")
