"""The manager and the client of a forked kernel, as jupyter_client and nbclient need them.

If the kernel cannot be forked, the fallback is to start it as Jupyter does. The client of a fork
skips all waiting that a fork does not need.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any, Protocol

import nbclient
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from sphinx_nbcache.kernels.choosing import KernelManager
from sphinx_nbcache.kernels.connections import KernelClient
from sphinx_nbcache.kernels.fitting import UnfitError, command_of, unfit_variables
from sphinx_nbcache.kernels.forked.fork import ForkedKernel, Start, remove_files
from sphinx_nbcache.kernels.forked.provisioner import ForkError, ForkProvisioner
from sphinx_nbcache.kernels.forked.zygote import Zygote, ZygoteError

if TYPE_CHECKING:
    import zmq.asyncio
    from jupyter_client.kernelspec import KernelSpec

    from sphinx_nbcache.kernels.specs import KernelSpecs
    from sphinx_nbcache.kernels.tracing import Begun
    from sphinx_nbcache.kernels.watching import Watchers
    from sphinx_nbcache.traces.tracer_code import TracerConfig

# A kernel answers within some milliseconds. Versions of ipykernel before 7 do not greet, so they
# are asked.
_GREETING_SECONDS = 0.05
_ANSWER_SECONDS = 1.0
# How long a dead kernel's output must be silent before it counts as complete. Its last messages may
# still be in buffers of the sockets.
_SILENCE_SECONDS = 0.05
# The id of a request that was not sent.
_KNOWN = "known"


class ForkClient(KernelClient):
    """A client of a kernel whose sockets are bound, and whose end is reported."""

    zygote: Zygote | None = None
    """The zygote that forked the kernel."""

    def kernel_info(self) -> str:
        """Request the kernel's info, unless another kernel of the same zygote has answered that."""
        if self.zygote is not None and self.zygote.kernel_info is not None:
            return _KNOWN
        return self._ask_info()

    def _ask_info(self) -> str:
        return str(super().kernel_info())

    def start_channels(self, *_: Any, **__: Any) -> None:
        """Open the channels in use: no heartbeat, no input; the manager has the control channel."""
        # The heartbeat would be a thread for each kernel, which asks what the zygote reports
        # anyway.
        super().start_channels(stdin=False, hb=False, control=False)

    def stop_channels(self) -> None:
        """Close the channels that were opened."""
        # Accessing the other channels would open them.
        for channel in (self.shell_channel, self.iopub_channel):
            if channel.is_alive():
                channel.stop()

    async def wait_for_ready(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 (jupyter_client's signature)
        """Wait until outputs arrive.

        Raises:
            RuntimeError: The kernel has ended, or does not answer in time.
        """
        end = time.monotonic() + (float("inf") if timeout is None else timeout)
        patience = _GREETING_SECONDS
        while True:
            try:
                # ipykernel 7 greets as soon as a client subscribes (JEP 65). Before that, ZeroMQ
                # would drop outputs, as no one has subscribed to them.
                # https://jupyter.org/enhancement-proposals/65-jupyter-xpub/jupyter-xpub.html
                # jupyter_client (8.10) waits here for two answers, and then for 0.2 s of silence.
                await self.iopub_channel.get_msg(timeout=patience)
            except Empty:
                if not await self.is_alive():
                    raise RuntimeError("Kernel died before replying to kernel_info") from None
                if time.monotonic() > end:
                    raise RuntimeError(f"Kernel didn't respond in {timeout} seconds") from None
                self._ask_info()
                patience = _ANSWER_SECONDS
            else:
                return


class DeathWatch(nbclient.NotebookClient):
    """nbclient's client, which notices the end of a forked kernel at once, not within a second.

    It relies on three private names of nbclient. If they change, a death is noticed later. It also
    takes kernel infos from the zygote, and lets no task of a cell outlive that cell.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._tasks_of_cell: set[asyncio.Task[Any]] = set()

    async def async_execute_cell(self, *arguments: Any, **options: Any) -> Any:
        """Execute a cell, and end the tasks that wait for its outputs and for its kernel's end."""
        try:
            return await super().async_execute_cell(*arguments, **options)
        finally:
            # nbclient 0.11 leaves them behind when an output cannot be used, a time limit is
            # exceeded or the run is cancelled. They would fail without the client of the kernel,
            # and asyncio would log the traceback:
            # https://docs.python.org/3/library/asyncio-dev.html#detect-never-retrieved-exceptions
            tasks, self._tasks_of_cell = self._tasks_of_cell, set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _note_task(self) -> None:
        """Note that the running task belongs to the running cell."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks_of_cell.add(task)

    async def _async_poll_output_msg(self, *arguments: Any, **options: Any) -> None:
        self._note_task()
        await super()._async_poll_output_msg(*arguments, **options)

    async def async_wait_for_reply(self, msg_id: str, cell: Any = None) -> dict[str, Any] | None:
        """Wait for the reply to a request, unless the answer is already known."""
        zygote: Zygote | None = getattr(self.kc, "zygote", None)
        if zygote is not None and msg_id == _KNOWN:
            return {"content": zygote.kernel_info}
        reply: dict[str, Any] | None = await super().async_wait_for_reply(msg_id, cell)
        if zygote is not None and reply is not None and "language_info" in reply["content"]:
            zygote.kernel_info = reply["content"]
        return reply

    async def _async_poll_kernel_alive(self) -> None:
        self._note_task()
        fork: ForkProvisioner | None = getattr(self.km, "fork", None)
        if fork is None:
            await super()._async_poll_kernel_alive()
            return
        await fork.ended()
        # The task that waits for outputs still has to fetch the last ones.
        is_silent = False
        while not is_silent:
            await asyncio.sleep(_SILENCE_SECONDS)
            assert self.kc is not None  # the task ends with its cell, the client with the run
            is_silent = not await self.kc.iopub_channel.msg_ready()
        # As nbclient does for a dead kernel: `async_execute_cell` then raises DeadKernelError.
        if self.task_poll_for_reply is not None:
            self.task_poll_for_reply.cancel()


# Time limit for an orderly end: exit handlers, and threads that are joined. The same as in
# jupyter_client (8.10, `shutdown_wait_time`).
_END_SECONDS = 5.0


class Zygotes(Protocol):
    """Owns the zygotes, and forks kernels from them (`ForkStarts`)."""

    @property
    def context(self) -> zmq.asyncio.Context:
        """ZeroMQ's context for all kernels."""

    async def zygote(
        self,
        python: tuple[str, ...],
        environment: Mapping[str, str],
        sources: Sequence[str],
        folder: str,
    ) -> Zygote:
        """Return the zygote for a notebook; start it if necessary.

        Raises:
            ZygoteError: The zygote cannot be used.
        """

    async def kernel(self, start: Start, spec: KernelSpec) -> ForkedKernel:
        """Return a kernel that was forked just now, or ahead.

        Raises:
            ForkError: The kernel could not be started.
        """

    def tell_why_not(self, kernel: str, error: Exception) -> None:
        """Report once why a kernel is started in the ordinary way."""


class ForkManager(KernelManager):
    """A kernel manager whose kernel is forked if possible.

    Args:
        starts: The owner of the zygotes.
        specs: The kernelspecs.
        sources: The code cells that will be run.
        tracer: The configuration of the kernel's tracer, if there will be one.
        watchers: Makes the system tracer, if there will be one.
    """

    def __init__(
        self,
        starts: Zygotes,
        specs: KernelSpecs,
        sources: Sequence[str],
        tracer: TracerConfig | None,
        watchers: Watchers | None = None,
        **options: Any,
    ) -> None:
        super().__init__(specs, watchers, context=starts.context, **options)
        self._starts = starts
        self._sources = sources
        self._tracer = tracer
        self._kernel: ForkedKernel | None = None

    @property
    def fork(self) -> ForkProvisioner | None:
        """The kernel's process, if it was forked."""
        return None if self._kernel is None else self._kernel.process

    @property
    def is_prepared(self) -> bool:
        """Whether the kernel has executed all code that precedes the first cell."""
        return self._kernel is not None

    @property
    def tracer(self) -> Begun | None:
        """The tracer that runs in the kernel, if it was started with one."""
        return None if self._kernel is None else self._kernel.tracer

    async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]  # of two kinds of manager
        """Start the kernel: `cwd`, `env` and `extra_arguments` as usual."""
        try:
            await self._start_by_fork(**options)
        except (UnfitError, ZygoteError, ForkError) as error:
            self._starts.tell_why_not(self.kernel_name, error)
            await super().start_kernel(**options)

    async def _start_by_fork(
        self,
        *,
        extra_arguments: Sequence[str] = (),
        cwd: str | None = None,
        **options: Any,
    ) -> None:
        spec = self.kernel_spec
        assert spec is not None
        command = command_of(spec.argv, spec.interrupt_mode, spec.metadata, extra_arguments)
        # Unknown options, of a later nbclient perhaps, must not be ignored.
        if options.keys() - {"env"}:
            raise UnfitError(f"it is started with {', '.join(options)}")
        # Without a parent, `pre_launch` only adds the variables of the kernelspec to the
        # environment.
        plain = LocalProvisioner(kernel_id="", kernel_spec=spec)
        environment = dict((await plain.pre_launch(**options))["env"])
        if reason := unfit_variables(environment):
            raise UnfitError(reason)
        folder = str(Path(cwd) if cwd is not None else Path.cwd())
        if not _is_folder(folder):
            raise UnfitError("its folder is not there")
        zygote = await self._starts.zygote(command.python, environment, self._sources, folder)
        is_watched = self._watchers is not None
        start = Start(zygote, command, folder, environment, self._tracer, is_watched=is_watched)
        self._kernel = kernel = await self._starts.kernel(start, spec)
        self.watched = kernel.watched
        self.connection_file = kernel.connection_file
        self.load_connection_info(kernel.connection)
        self.provisioner = kernel.process
        self.process_log = kernel.log
        self.client_factory = ForkClient

    def client(self, **options: Any) -> Any:
        """Return a client of the kernel."""
        client: Any = super().client(**{"context": self.context, **options})
        if self._kernel is not None:
            client.zygote = self._kernel.start.zygote
        return client

    async def shutdown_kernel(self, now: bool = False, restart: bool = False) -> None:  # type: ignore[override]  # noqa: FBT001, FBT002 (jupyter_client's signature)
        """End the kernel: its exit handlers run and its files are flushed, unless `now`."""
        if self.fork is None:
            await super().shutdown_kernel(now=now, restart=restart)
            return
        if self.fork.exit_status is None and not now:
            # jupyter_client (8.10) also interrupts first: otherwise a running cell would delay the
            # end.
            await self.interrupt_kernel()
            await self.request_shutdown()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.fork.ended(), _END_SECONDS)
        await self.cleanup_resources()

    async def cleanup_resources(self, restart: bool = False) -> None:  # type: ignore[override]  # noqa: FBT001, FBT002 (jupyter_client's signature)
        """Close sockets and files; a forked kernel has ended before."""
        if self._kernel is not None:
            await self._kernel.process.wait_killed()
            remove_files(self._kernel.place)
        await super().cleanup_resources(restart=restart)

    async def close(self) -> None:
        """Release resources, even if the kernel could not be started."""
        if self.fork is not None:
            await self.fork.wait_killed()
        await super().close()

    @property
    def exit_status(self) -> int | None:
        """The kernel's exit status, negative for a signal."""
        return super().exit_status if self.fork is None else self.fork.exit_status

    def kill_at_once(self) -> None:
        """Kill the kernel from another thread."""
        if self.fork is not None:
            self.fork.kill_at_once()
        else:
            super().kill_at_once()


def _is_folder(path: str) -> bool:
    return Path(path).is_dir()
