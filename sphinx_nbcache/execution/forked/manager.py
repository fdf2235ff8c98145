"""A manager that forks its kernel if possible; the fallback is to start it as Jupyter does."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from sphinx_nbcache.execution.fitting import (
    UnfitError,
    command_of,
    unfit_variables,
)
from sphinx_nbcache.execution.forked.client import ForkClient
from sphinx_nbcache.execution.forked.kernel import ForkedKernel, Start, remove_files
from sphinx_nbcache.execution.forked.provisioner import ForkError, ForkProvisioner
from sphinx_nbcache.execution.forked.zygote import Zygote, ZygoteError
from sphinx_nbcache.execution.kernels import KernelManager

if TYPE_CHECKING:
    import zmq.asyncio
    from jupyter_client.kernelspec import KernelSpec

    from sphinx_nbcache.execution.specs import KernelSpecs
    from sphinx_nbcache.execution.tracing import Begun
    from sphinx_nbcache.traces.session import TracerConfig

# Time limit for an orderly end: exit handlers, and threads that are joined.
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
    """

    def __init__(
        self,
        starts: Zygotes,
        specs: KernelSpecs,
        sources: Sequence[str],
        tracer: TracerConfig | None,
        **options: Any,
    ) -> None:
        super().__init__(specs, context=starts.context, **options)
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
        start = Start(zygote, command, folder, environment, self._tracer)
        self._kernel = kernel = await self._starts.kernel(start, spec)
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
