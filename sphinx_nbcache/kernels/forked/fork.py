"""A forked kernel before a notebook runs in it, and the spare one that is forked ahead."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from jupyter_client.connect import KernelConnectionInfo, write_connection_file
from jupyter_client.kernelspec import KernelSpec

from sphinx_nbcache.kernels.connections import PORTS
from sphinx_nbcache.kernels.fitting import CONNECTION_FILE, LAUNCHER, KernelCommand
from sphinx_nbcache.kernels.forked.provisioner import ForkError, ForkProvisioner
from sphinx_nbcache.kernels.forked.wire import Wire
from sphinx_nbcache.kernels.forked.zygote import Order, Zygote
from sphinx_nbcache.kernels.tracing import Begun
from sphinx_nbcache.kernels.watching import Watched
from sphinx_nbcache.traces.tracer_code import TracerConfig, remove_log, with_log


@dataclass(frozen=True, slots=True)
class Start:
    """The properties in which kernels can differ at their start.

    Attributes:
        zygote: The zygote that forks the kernel.
        command: The command that would start the kernel in the ordinary way.
        folder: The working folder, absolute.
        environment: All environment variables.
        tracer: The tracer's configuration, without the log of child processes; `None` for no
            tracer.
        is_watched: Whether the system tracer is to see what the kernel does.
        is_light: Whether it is a light kernel.
    """

    zygote: Zygote
    command: KernelCommand
    folder: str
    environment: Mapping[str, str]
    tracer: TracerConfig | None = None
    is_watched: bool = False
    is_light: bool = False


@dataclass(frozen=True, slots=True)
class ForkedKernel:
    """A kernel whose sockets are bound.

    Attributes:
        start: How it was started.
        process: Its process.
        place: The common prefix of the paths of its files.
        connection: How to connect to it.
        log: The output of its process itself.
        tracer: Its tracer, if that runs.
        watched: The watcher that sees what it does, if there is one.
        wire: The connection with it, if it is a light one.
    """

    start: Start
    process: ForkProvisioner
    place: Path
    connection: KernelConnectionInfo
    log: IO[bytes]
    tracer: Begun | None
    watched: Watched | None = None
    wire: Wire | None = None

    @property
    def connection_file(self) -> str:
        """The connection file of the kernel."""
        return _connection_file(self.place)

    @property
    def is_fresh(self) -> bool:
        """Whether the kernel is equivalent to one that is started now.

        It is alive, its folder is still the one of that name, and it has executed no code of the
        user's yet: start-up files might have changed since.
        """
        try:
            # The folder may have been removed and made again since the fork; the kernel would work
            # in the removed one.
            its = Path(f"/proc/{self.process.pid}/cwd").stat()
            named = Path(self.start.folder).stat()
        except OSError:
            return False
        is_alive = self.process.exit_status is None
        return is_alive and self.process.is_untouched() and os.path.samestat(its, named)

    def taken(self) -> ForkedKernel:
        """Return the kernel as one that is assigned to its notebook now."""
        if self.tracer is None:
            return self
        return replace(self, tracer=replace(self.tracer, since_ns=time.time_ns()))

    async def end(self) -> None:
        """Kill the kernel, and remove its files."""
        await self.process.wait_killed()
        self.abandon()

    def abandon(self) -> None:
        """Release the kernel without ending it: its zygote does that."""
        self.process.abandon()
        self.log.close()
        if self.wire is not None:
            self.wire.close()
        remove_files(self.place)
        if self.tracer is not None:
            remove_log(self.tracer.config)


async def fork_kernel(start: Start, place: Path, spec: KernelSpec) -> ForkedKernel:
    """Fork a kernel, and wait until its sockets are bound.

    Args:
        start: How to start it.
        place: A path; the kernel owns all files whose paths begin with it.
        spec: Its kernelspec.

    Raises:
        ForkError: The kernel could not be started. Nothing of it is left.
    """
    process = ForkProvisioner(kernel_id="", kernel_spec=spec)
    log = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the kernel)
    ports: dict[str, Any] = {port: number for number, port in enumerate(PORTS, 1)}
    tracer: TracerConfig | None = None
    wire = Wire() if start.is_light else None
    try:
        if start.tracer is not None:
            tracer = with_log(start.tracer)
        connection: KernelConnectionInfo = {}
        if wire is None:
            _, connection = write_connection_file(
                _connection_file(place),
                # Unix sockets in a folder that only the user can enter: no race for ports, and no
                # other user can connect. jupyter_client names the sockets `{ip}-{port}`.
                transport="ipc",
                ip=str(place),
                key=uuid.uuid4().hex.encode(),
                kernel_name="",
                **ports,
            )
        process.connection_info = connection
        watched = start.zygote.watched(place.name) if start.is_watched else None
        order = _order(start, _connection_file(place), tracer, watched, wire)
        descriptors = [] if wire is None else wire.theirs
        await process.fork(start.zygote, order, [log.fileno(), log.fileno(), *descriptors])
        if wire is not None:
            wire.sent()
    except BaseException:
        # Also if the run is cancelled: no one else knows these files yet.
        log.close()
        if wire is not None:
            wire.close()
        remove_files(place)
        if tracer is not None:
            remove_log(tracer)
        raise
    begun = Begun(tracer) if tracer is not None and process.is_tracing else None
    return ForkedKernel(start, process, place, connection, log, begun, watched, wire)


def remove_files(place: Path) -> None:
    """Remove the files of a kernel that is no longer connected."""
    numbers = range(1, len(PORTS) + 1)
    for path in (_connection_file(place), *(f"{place}-{number}" for number in numbers)):
        with suppress(OSError):
            Path(path).unlink()


def _connection_file(place: Path) -> str:
    return f"{place}.json"


def _order(
    start: Start,
    connection_file: str,
    tracer: TracerConfig | None,
    watched: Watched | None,
    wire: Wire | None,
) -> Order:
    words = start.command.arguments
    arguments = [connection_file if word == CONNECTION_FILE else word for word in words]
    command = [*start.command.python, "-m", LAUNCHER, *arguments]
    folder = os.path.abspath(start.folder)  # noqa: PTH100 (links stay)
    mark = None if wire is None else wire.mark
    return Order(folder, start.environment, command, arguments, tracer, watched, mark)


class Spare:
    """At most one kernel that is not in use yet.

    It equals the kernel that was started last, except for its folder: that of the next notebook. If
    another kernel is wanted then, the spare one is unused, and does no harm. It is bound to one
    event loop, that of its first caller.

    Args:
        new_place: Returns a place for a kernel's files.
    """

    def __init__(self, new_place: Callable[[], Path]) -> None:
        self._new_place = new_place
        self._folder: str | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._start: Start | None = None
        self._coming: asyncio.Task[ForkedKernel] | None = None
        self._dropped: set[asyncio.Task[None]] = set()

    def expect(self, folder: str | None) -> None:
        """Note the folder of the next notebook, if there is one. Callable from any thread."""
        self._folder = folder

    def follow(self, start: Start, spec: KernelSpec) -> None:
        """Note that a kernel was started, and fork its expected successor."""
        if self._folder is None or not start.command.is_plain or not self._is_ours():
            return
        wanted = replace(start, folder=self._folder)
        if self._coming is not None:
            if self._start == wanted:
                return
            # The event loop itself keeps only weak references to tasks:
            # https://docs.python.org/3/library/asyncio-task.html#asyncio.create_task
            dropping = asyncio.create_task(_drop(self._coming))
            self._dropped.add(dropping)
            dropping.add_done_callback(self._dropped.discard)
        self._start = wanted
        self._coming = asyncio.create_task(fork_kernel(wanted, self._new_place(), spec))

    async def take(self, start: Start) -> ForkedKernel | None:
        """Return the kernel that is ready or starting, if it matches a start."""
        if self._coming is None or self._start != start or not self._is_ours():
            return None
        # Before the `await`, during which another notebook may ask.
        coming, self._coming = self._coming, None
        try:
            kernel = await coming
        except (ForkError, OSError):
            return None
        if kernel.is_fresh:
            return kernel.taken()
        await kernel.end()
        return None

    def close(self) -> None:
        """Release the kernel. Its loop no longer runs, and its zygote ends it."""
        coming, self._coming = self._coming, None
        if coming is None or not coming.done() or coming.cancelled():
            return
        if coming.exception() is None:
            coming.result().abandon()

    def _is_ours(self) -> bool:
        # A task and its sockets belong to one loop. Executors of other packages may run each job in
        # a loop of its own.
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        return self._loop is loop


async def _drop(coming: asyncio.Task[ForkedKernel]) -> None:
    # No one awaits this: asyncio would log a traceback of a kernel that no one needs.
    with suppress(ForkError, OSError):
        await (await coming).end()
