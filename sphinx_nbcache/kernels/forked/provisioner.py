"""A kernel forked by a zygote, with jupyter_client's interface of a provisioner."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from sphinx_nbcache.kernels.forked.zygote import Order, Zygote

# From the order until the kernel's sockets are bound.
_START_SECONDS = 60
# A killed kernel is reaped at once, unless the system hangs.
_KILL_SECONDS = 5


class ForkError(Exception):
    """A kernel could not be forked. The message says why."""


class ForkProvisioner(LocalProvisioner):
    """Starts its kernel through a zygote, and notices its end at once.

    A single reader takes the messages of the zygote and the kernel from the connection as long as
    the kernel lives: successive readers would take each other's messages.
    """

    exit_status: int | None = None
    """The kernel's exit status, negative for a signal."""

    is_tracing = False
    """Whether the ordered tracer runs in the kernel."""

    _untouched: dict[str, int | None] | None = None

    _connection: socket.socket | None = None

    async def fork(self, zygote: Zygote, order: Order, descriptors: Sequence[int]) -> None:
        """Start the kernel, and wait until its sockets are bound.

        Raises:
            ForkError: The kernel could not be started. Nothing of it is left.
        """
        self._loop = asyncio.get_running_loop()
        self._read = b""
        self._bound: asyncio.Future[None] = self._loop.create_future()
        self._forked: asyncio.Future[int] = self._loop.create_future()
        self._ended: asyncio.Future[int] = self._loop.create_future()
        try:
            self._connection = await zygote.fork(order, descriptors)
        except OSError as error:
            raise ForkError(f"its zygote has ended ({error})") from None
        self._loop.add_reader(self._connection.fileno(), self._on_readable)
        try:
            async with asyncio.timeout(_START_SECONDS):
                # Either may come first: they are sent by two processes. The kernel leads a session
                # of its own, so its group has the same number.
                self.pid = self.pgid = await self._forked
                await self._bound
        except TimeoutError:
            await self.wait_killed()
            raise ForkError(f"it was not ready after {_START_SECONDS} s") from None
        except BaseException:
            await self.wait_killed()
            raise
        self.cwd = order.folder

    def _on_readable(self) -> None:
        assert self._connection is not None
        try:
            part = self._connection.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            # ECONNRESET, if the zygote was killed with data still unread.
            part = b""
        if not part:
            # The zygote has refused the order, or the fork has failed, or the zygote is dead; then
            # the kernel dies with it. Processes that the kernel has started may live.
            self._kill_group()
            self._end(-signal.SIGKILL)
            return
        *lines, self._read = (self._read + part).split(b"\n")
        for line in lines:
            self._take(json.loads(line))

    def _take(self, said: dict[str, Any]) -> None:
        if "pid" in said and not self._forked.done():
            self._forked.set_result(said["pid"])
        if "bound" in said and not self._bound.done():
            self._untouched = said.get("untouched")
            self.is_tracing = bool(said.get("tracing"))
            self._bound.set_result(None)
        if "error" in said:
            self._fail(str(said["error"]))
        if "exit" in said:
            self._end(said["exit"])

    def _fail(self, reason: str) -> None:
        for awaited in (self._forked, self._bound):
            if not awaited.done():
                awaited.set_exception(ForkError(reason))
                # Mark it as retrieved. Otherwise asyncio logs an error if no one awaits it:
                # https://docs.python.org/3/library/asyncio-dev.html#detect-never-retrieved-exceptions
                awaited.exception()

    def _end(self, status: int) -> None:
        if self.exit_status is not None:
            return
        self.exit_status = status
        assert self._connection is not None
        self._loop.remove_reader(self._connection.fileno())
        self._fail(f"it died at once ({status})")
        self._ended.set_result(status)

    def _kill_group(self) -> None:
        if self.pgid:
            with suppress(OSError):
                os.killpg(self.pgid, signal.SIGKILL)

    async def ended(self) -> int:
        """Wait until the kernel has ended; return its exit status."""
        # Several tasks wait for this future. Cancelling one of them must not cancel the future.
        return await asyncio.shield(self._ended)

    async def wait_killed(self) -> None:
        """Kill the kernel and the processes that it has started, and wait for their end."""
        if self._connection is None:
            return
        if self.exit_status is None:
            # The zygote kills the kernel of a closed connection.
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_WR)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.ended(), _KILL_SECONDS)
        self.abandon()

    def is_untouched(self) -> bool:
        """Tell whether the kernel has run no user code, and one started now would run none."""
        if self._untouched is None:
            return False
        # The time of a folder changes when a file is added to it: a start-up file, for example.
        return all(_changed(path) == seen for path, seen in self._untouched.items())

    def abandon(self) -> None:
        """Release the kernel. Its end will not be noticed."""
        if self._connection is not None:
            with suppress(RuntimeError):  # its loop may be closed
                self._loop.remove_reader(self._connection.fileno())
            self._connection.close()
            self._connection = None

    def kill_at_once(self) -> None:
        """Kill the kernel, from any thread, without waiting."""
        if self.exit_status is None:
            self._kill_group()

    # jupyter_client's interface.

    @property
    def has_process(self) -> bool:
        """Whether there is a kernel, or one that has ended but was not waited for."""
        return self._connection is not None

    async def poll(self) -> int | None:
        """Return None as long as the kernel lives."""
        # jupyter_client takes any status for the end of the kernel, and None for a living one.
        return 0 if self._connection is None else self.exit_status

    async def wait(self) -> int | None:
        """Wait until the kernel has ended, and release it."""
        if self._connection is not None:
            await self.ended()
            self.abandon()
        return self.exit_status

    async def send_signal(self, signum: int) -> None:
        """Send a signal to the kernel and the processes in its group."""
        if self._connection is not None and self.exit_status is None and self.pgid:
            with suppress(ProcessLookupError):
                os.killpg(self.pgid, signum)

    async def kill(self, restart: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 (jupyter_client's signature)
        """Kill the kernel."""
        await self.wait_killed()

    async def terminate(self, restart: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 (jupyter_client's signature)
        """Ask the kernel to end."""
        await self.send_signal(signal.SIGTERM)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Refuse: a restarted kernel would not be forked."""
        raise NotImplementedError("a forked kernel is started by `fork`")


def _changed(path: str) -> int | None:
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return None
