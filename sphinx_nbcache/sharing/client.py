"""The side of the build: it gives orders to the helper, and never waits long for it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from sphinx_nbcache.sharing.wire import (
    Delete,
    Done,
    Get,
    Got,
    List,
    Listed,
    Off,
    Order,
    Put,
    Report,
    read,
    write,
)
from sphinx_nbcache.store.marks import SECRET_VARIABLE

# Seconds that a build may lose in all. Each MiB, and every hundred objects, that arrive add one.
_SECONDS = 8.0
_PER_SECOND, _OBJECTS_PER_SECOND = 1 << 20, 100
_TOO_LONG = "it takes too long to answer"


class OffError(Exception):
    """The place is not used any more in this build. The message says why."""


class Client:
    """A helper, and the patience of a build with it. It is started by the first order.

    Attributes:
        off: Why the place is not used any more; `None` while it is.
        process: The helper, while there is one.

    Args:
        url: The address of the place.
        folder: The folder for this format of records, below the address.
    """

    def __init__(self, url: str, folder: str) -> None:
        self.off: str | None = None
        self._url = url
        self._folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._left = _SECONDS
        # The names that are meant by each order that is under way without being waited for.
        self._later: deque[set[str]] = deque()

    def names(self, prefix: str) -> list[str]:
        """Return the names of objects.

        Raises:
            OffError: The place does not work.
        """
        return [name for found in self._reports(List(prefix), Listed) for name in found.names]

    def get(self, limits: Mapping[str, int]) -> dict[str, bytes]:
        """Return those objects that are there, as far as they arrive.

        Args:
            limits: The largest size of each object, by name.

        Raises:
            OffError: The place does not work, and nothing has arrived.
        """
        found: dict[str, bytes] = {}
        if limits:
            try:
                self._collect(Get(dict(limits)), found)
            except OffError:
                if not found:
                    raise
        return found

    def put(self, objects: Mapping[str, bytes]) -> None:
        """Write objects, and wait for it.

        Raises:
            OffError: The place does not work.
        """
        self._reports(Put(dict(objects)), Done)

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects, and wait for it.

        Raises:
            OffError: The place does not work.
        """
        self._reports(Delete(list(names)), Done)

    def put_later(self, objects: Mapping[str, bytes], meant: Iterable[str] = ()) -> None:
        """Write objects while the build goes on.

        Args:
            objects: The objects, by name. They are written after those of earlier calls.
            meant: Names that [](written) returns once they are written.

        Raises:
            OffError: The place does not work.
        """
        self._send(Put(dict(objects)))
        self._later.append(set(meant))

    def written(self, seconds: float) -> set[str]:
        """Wait for what [](put_later) began, and return what was meant by all that is written.

        Args:
            seconds: The longest wait.
        """
        end = time.monotonic() + seconds
        meant: set[str] = set()
        with suppress(OffError):
            while self._later:
                if isinstance(self._next(max(0.0, end - time.monotonic())), Done):
                    meant |= self._later.popleft()
        return meant

    def close(self) -> None:
        """End the helper, whatever it does."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self.process is not None:
            self.process.kill()
            # A process that waits for a file server may not end at once.
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(1)
            self.process = None

    def _collect(self, order: Order, found: dict[str, bytes]) -> None:
        self._send(order)
        while not isinstance(report := self._waited(), Done):
            if isinstance(report, Got) and report.content is not None:
                found[report.name] = report.content

    def _reports(self, order: Order, kind: Any) -> list[Any]:
        self._send(order)
        reports = []
        while not isinstance(report := self._waited(), Done):
            reports.append(report)
        return [report for report in reports if isinstance(report, kind)]

    def _waited(self) -> Report:
        """Return the next report, at the cost of the build's patience."""
        begin = time.monotonic()
        report = self._next(self._left)
        self._left -= time.monotonic() - begin
        size = len(report.content or b"") if isinstance(report, Got) else 0
        self._left += size / _PER_SECOND + 1 / _OBJECTS_PER_SECOND
        return report

    def _next(self, seconds: float) -> Report:
        connection = self._connection
        if connection is None:
            raise OffError(self.off or "the helper has ended")
        connection.settimeout(max(0.001, seconds))
        try:
            message = read(connection)
        except TimeoutError:
            raise self._ended(_TOO_LONG) from None
        except OSError as error:
            raise self._ended(str(error)) from None
        if message is None:
            raise self._ended("its helper has ended")
        report = msgspec.msgpack.decode(message, type=Report)
        if isinstance(report, Off):
            raise self._ended(report.why)
        return report

    def _send(self, order: Order) -> None:
        if self.off is not None:
            raise OffError(self.off)
        try:
            if self._connection is None:
                self._start()
            assert self._connection is not None
            self._connection.settimeout(_SECONDS)
            write(self._connection, msgspec.msgpack.encode(order))
        except OSError as error:
            raise self._ended(str(error)) from None

    def _ended(self, why: str) -> OffError:
        self.off = why
        self.close()
        return OffError(why)

    def _start(self) -> None:
        """Start the helper.

        Raises:
            OSError: No process can be started.
        """
        own, other = socket.socketpair()
        # The helper finds its imports as this process does; the working folder is not searched.
        package = str(Path(__file__).parents[2])
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        environment.pop(SECRET_VARIABLE, None)
        module = "sphinx_nbcache.sharing.helper"
        command = [sys.executable, "-P", "-m", module, self._url, self._folder]
        is_windows = sys.platform == "win32"
        with other:
            self.process = subprocess.Popen(  # noqa: S603 (this interpreter, and our own module)
                command,
                stdin=subprocess.PIPE if is_windows else other.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
            if sys.platform == "win32":
                assert self.process.stdin is not None
                with self.process.stdin as given:
                    given.write(other.share(self.process.pid))
        self._connection = own
