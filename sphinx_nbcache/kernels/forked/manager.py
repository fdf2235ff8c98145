"""The manager of a forked kernel, as jupyter_client and nbclient need it.

If the kernel cannot be forked, the fallback is to start it as Jupyter does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import nbclient
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from sphinx_nbcache.kernels.choosing import KernelManager
from sphinx_nbcache.kernels.fitting import UnfitError, command_of, unfit_variables
from sphinx_nbcache.kernels.forked.clients import KNOWN, ForkClient, LightClient
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

# How long a dead kernel's output must be silent before it counts as complete. Its last messages may
# still be in buffers of the sockets.
_SILENCE_SECONDS = 0.05


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
        if zygote is not None and msg_id == KNOWN:
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

    def may_be_light(self, start: Start, sources: Sequence[str]) -> bool:
        """Tell whether a kernel for these cells may be a light one."""

    def tell_not_light(self, reason: str) -> None:
        """Report once why kernels are not light ones."""

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
        self._kernel = kernel = await self._forked(start, spec)
        self.watched = kernel.watched
        self.connection_file = kernel.connection_file
        self.provisioner = kernel.process
        self.process_log = kernel.log
        if kernel.wire is None:
            self.load_connection_info(kernel.connection)
            self.client_factory = ForkClient

    async def _forked(self, start: Start, spec: KernelSpec) -> ForkedKernel:
        """Return a light kernel if one fits, else an ordinary one."""
        if self._starts.may_be_light(start, self._sources):
            try:
                return await self._starts.kernel(replace(start, is_light=True), spec)
            except ForkError as error:
                if not start.zygote.is_alive:
                    raise
                self._starts.tell_not_light(str(error))
        return await self._starts.kernel(start, spec)

    def client(self, **options: Any) -> Any:
        """Return a client of the kernel."""
        if self._kernel is not None and self._kernel.wire is not None:
            client: Any = LightClient(session=self.session, parent=self, **options)
            client.wire = self._kernel.wire
        else:
            client = super().client(**{"context": self.context, **options})
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

    async def request_shutdown(self, restart: bool = False) -> None:  # type: ignore[override]  # noqa: FBT001, FBT002 (jupyter_client's signature)
        """Ask the kernel to end."""
        if self._kernel is not None and self._kernel.wire is not None:
            self._kernel.wire.request_end(
                self.session.msg("shutdown_request", {"restart": restart})
            )
        else:
            await super().request_shutdown(restart)

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
