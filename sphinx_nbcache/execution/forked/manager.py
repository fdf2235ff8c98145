"""A manager that forks its kernel, if that fits, and else starts it as Jupyter does."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from sphinx_nbcache.execution.forked.client import ForkClient
from sphinx_nbcache.execution.forked.fitting import (
    CONNECTION_FILE,
    Command,
    UnfitError,
    command_of,
    unfit_variables,
)
from sphinx_nbcache.execution.forked.provisioner import ForkError, ForkProvisioner
from sphinx_nbcache.execution.forked.zygote import Order, ZygoteError
from sphinx_nbcache.execution.kernels import PORTS, KernelManager

if TYPE_CHECKING:
    from sphinx_nbcache.execution.forked.starts import ForkStarts

# What an orderly end may take: exit handlers, and threads that are waited for.
_END_SECONDS = 5.0


class ForkManager(KernelManager):
    """A kernel manager whose kernel is forked if that fits.

    Args:
        starts: Who has the zygotes.
        sources: The code cells that will be run.
    """

    fork: ForkProvisioner | None = None
    """The kernel, if it was forked."""

    def __init__(self, starts: ForkStarts, sources: Sequence[str], **options: Any) -> None:
        super().__init__(context=starts.context, **options)
        self._starts = starts
        self._sources = sources

    async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]  # of two kinds of manager
        """Start the kernel: `cwd`, `env`, `stdout`, `stderr` and `extra_arguments` as usual."""
        try:
            await self._start_by_fork(**options)
        except (UnfitError, ZygoteError, ForkError) as error:
            self._starts.tell_why_not(self.kernel_name, error)
            await super().start_kernel(**options)

    async def _start_by_fork(
        self,
        *,
        extra_arguments: Sequence[str] = (),
        stdout: IO[bytes] | None = None,
        stderr: IO[bytes] | None = None,
        cwd: str | None = None,
        **options: Any,
    ) -> None:
        spec = self.kernel_spec
        assert spec is not None
        command = command_of(spec.argv, spec.interrupt_mode, spec.metadata, extra_arguments)
        if options.keys() - {"env"}:
            raise UnfitError(f"it is started with {', '.join(options)}")
        # Without a parent it only puts the variables of the kernelspec into the environment.
        plain = LocalProvisioner(kernel_id="", kernel_spec=spec)
        environment = dict((await plain.pre_launch(**options))["env"])
        if reason := unfit_variables(environment):
            raise UnfitError(reason)
        folder = str(Path(cwd) if cwd is not None else Path.cwd())
        if not _is_folder(folder):
            raise UnfitError("its folder is not there")
        zygote = await self._starts.zygote(command.python, environment, self._sources, folder)
        fork = ForkProvisioner(kernel_id="", kernel_spec=spec, parent=self)
        self._take_place(self._starts.new_place())
        order = _order(command, folder, environment, self.connection_file)
        out = 1 if stdout is None else stdout.fileno()
        err = 2 if stderr is None else stderr.fileno()
        try:
            self.write_connection_file()
            fork.connection_info = self.get_connection_info()
            await fork.fork(zygote, order, out, err)
        except BaseException as error:
            self._give_place_back()
            if isinstance(error, ForkError):
                self._starts.look_after(zygote)
            raise
        self.provisioner = self.fork = fork
        self.client_factory = ForkClient

    def _take_place(self, place: Path) -> None:
        """Let the kernel's sockets be files: `place` with a number behind."""
        self.connection_file = f"{place}.json"
        self.transport = "ipc"
        self.ip = str(place)
        for number, port in enumerate(PORTS, 1):
            setattr(self, port, number)

    def _give_place_back(self) -> None:
        """Forget about the place: the kernel is to be started in the ordinary way."""
        self.cleanup_connection_file()
        self.cleanup_ipc_files()
        for name in ("connection_file", "transport", "ip"):
            with suppress(KeyError):
                del self._trait_values[name]
        for port in PORTS:
            setattr(self, port, 0)

    def client(self, **options: Any) -> Any:
        """Return a client of the kernel."""
        return super().client(**{"context": self.context, **options})

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
        """Let go of sockets and files; a forked kernel has ended then."""
        if self.fork is not None:
            await self.fork.wait_killed()
        await super().cleanup_resources(restart=restart)

    async def close(self) -> None:
        """Let go of all, also if the kernel could not even be started."""
        if self.fork is not None:
            await self.fork.wait_killed()
        await super().close()

    @property
    def exit_status(self) -> int | None:
        """How the kernel ended: its exit status, or less than 0 for a signal."""
        return super().exit_status if self.fork is None else self.fork.exit_status

    def kill_at_once(self) -> None:
        """Kill the kernel from another thread."""
        if self.fork is not None:
            self.fork.kill_at_once()
        else:
            super().kill_at_once()


def _order(
    command: Command, folder: str, environment: Mapping[str, str], connection_file: str
) -> Order:
    arguments = [connection_file if word == CONNECTION_FILE else word for word in command.arguments]
    words = [*command.python, "-m", "ipykernel_launcher", *arguments]
    return Order(os.path.abspath(folder), environment, words, arguments)  # noqa: PTH100 (links stay)


def _is_folder(path: str) -> bool:
    return Path(path).is_dir()
