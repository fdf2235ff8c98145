"""Choosing a notebook's kernel, and starting it."""

from __future__ import annotations

import os
import signal
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, ClassVar, Self

import zmq
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from jupyter_client.manager import AsyncKernelManager

from sphinx_nbcache.kernel_side import cells
from sphinx_nbcache.kernels.connections import PORTS, KernelClient, free_ports
from sphinx_nbcache.kernels.fitting import LAUNCHER, WITHOUT_HISTORY, UnfitError, command_of
from sphinx_nbcache.kernels.processes import end_orphans, first_child
from sphinx_nbcache.kernels.specs import KernelSpecs
from sphinx_nbcache.notebooks.key import DEFAULT_KERNEL
from sphinx_nbcache.text import did_you_mean

if TYPE_CHECKING:
    from sphinx_nbcache.kernels.tracing import Begun
    from sphinx_nbcache.kernels.watching import Watched, Watchers
    from sphinx_nbcache.traces.tracer_code import TracerConfig

_STARTER = Path(cells.__file__).with_name("start_ipykernel.py")


class KernelError(Exception):
    """A kernel does not exist or cannot be started. The message names a remedy."""


class KernelManager(AsyncKernelManager):
    """A kernel manager in a registry, so that its kernel can be killed at once."""

    process_log: IO[bytes] | None = None
    """Output of the kernel's process itself (not of cells), once the process was started."""

    # Weak references, so that the registry keeps no manager of an ended run alive.
    _live: ClassVar[weakref.WeakSet[KernelManager]] = weakref.WeakSet()

    def __init__(
        self, specs: KernelSpecs, watchers: Watchers | None = None, **options: Any
    ) -> None:
        super().__init__(kernel_spec_manager=specs, **options)
        self._watchers = watchers
        self.client_factory = KernelClient
        # By default, ZeroMQ drops messages beyond a thousand that the receiver has not fetched.
        # nbclient would then wait for an idle message that never comes:
        # https://github.com/jupyter/nbconvert/issues/659
        self.context.setsockopt(zmq.RCVHWM, 0)
        self._is_clean = False
        self._is_below_watcher = False
        self._live.add(self)

    async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]  # it is a coroutine either way
        """Start the kernel as Jupyter does, except for its ports and its log."""
        if self.transport == "tcp" and (ports := free_ports(len(PORTS), self.ip)) is not None:
            # Otherwise `LocalProvisioner.pre_launch` (jupyter_client 8.10) replaces the ports.
            self.cache_ports = False
            for name, port in zip(PORTS, ports, strict=True):
                setattr(self, name, port)
        # By default, jupyter_client lets the kernel write to our own standard output, in the middle
        # of Sphinx's progress.
        self.process_log = log = tempfile.TemporaryFile()  # noqa: SIM115 (closed with this)
        await super().start_kernel(stdout=log, stderr=log, **options)
        if self._is_below_watcher and self._watchers is not None:
            self._watchers.processes.add(getattr(self.provisioner, "pid", None) or 0)

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        """Return the command that starts the kernel.

        An ipykernel with the usual start command is started through a file of ours, which keeps it
        from creating folders in the home directory; there is no other difference.
        """
        words = self._plain_command(super().format_kernel_cmd(extra_arguments))
        if self._watchers is None:
            return words
        assert self.kernel_spec is not None
        is_python = self.kernel_spec.language.lower() == "python"
        words, self.watched = self._watchers.around(words, "kernel", is_traced=is_python)
        self._is_below_watcher = True
        return words

    def _plain_command(self, words: list[str]) -> list[str]:
        spec = self.kernel_spec
        assert spec is not None
        try:
            # Do not touch other commands: a file of ours works only in place of ipykernel_launcher.
            command_of(spec.argv, spec.interrupt_mode, spec.metadata)
        except UnfitError:
            return words
        position = words.index("-m")
        assert words[position + 1] == LAUNCHER
        return [*words[:position], str(_STARTER), *words[position + 2 :]]

    watched: Watched | None = None
    """The watcher of the kernel, if one sees what it does."""

    @property
    def kernel_pid(self) -> int | None:
        """The process of the kernel; `None` if it is not known."""
        pid = getattr(self.provisioner, "pid", None)
        return first_child(pid) if self._is_below_watcher and pid is not None else pid

    @property
    def is_prepared(self) -> bool:
        """Whether the kernel has executed all code that precedes the first cell."""
        return False

    @property
    def tracer(self) -> Begun | None:
        """The tracer that runs in the kernel, if it was started with one."""
        return None

    async def _async_cleanup_resources(self, restart: bool = False) -> None:  # noqa: FBT001, FBT002 (jupyter_client's signature)
        await super()._async_cleanup_resources(restart=restart)
        self._is_clean = not restart

    # Workaround: jupyter_client (8.10, end of manager.py) binds the public name to its own method,
    # so overriding the private one would have no effect on callers such as nbclient.
    cleanup_resources = _async_cleanup_resources

    async def close(self) -> None:
        """Close sockets and files, even if the kernel could not be started."""
        if not self._is_clean:
            await self._async_cleanup_resources()
        if self.process_log is not None:
            self.process_log.close()

    @classmethod
    def kill_all(cls) -> None:
        """Kill every running kernel, and the processes that it has started, without asking."""
        for manager in list(cls._live):
            manager.kill_at_once()

    def kill_at_once(self) -> None:
        """Kill the kernel, from any thread, without waiting."""
        process = getattr(self.provisioner, "process", None)
        if process is None or process.poll() is not None:
            return
        with suppress(OSError):
            # jupyter_client starts kernels in a session of their own (`start_new_session`), so that
            # the group contains the kernel and what it has started, but not this process.
            if hasattr(os, "killpg"):
                os.killpg(os.getpgid(process.pid), signal.SIGKILL)
            else:
                process.kill()

    @property
    def exit_status(self) -> int | None:
        """The kernel's exit status, negative for a signal; `None` if it is not known."""
        process = getattr(self.provisioner, "process", None)
        return None if process is None else process.returncode


class KernelStarts:
    """Starts kernels while notebooks are run: here, as Jupyter does.

    A context: at its end, everything that was kept to start further kernels is gone, and so are
    all processes that kernels have started.
    """

    variables: Mapping[str, str] = MappingProxyType({})
    """Environment variables of kernels, in addition to those of this process."""

    watchers: Watchers | None = None
    """Makes the system tracers of kernels, if there are any."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end_orphans()

    def end_orphans(self) -> None:
        """End what kernels have left behind (see [](end_orphans))."""
        end_orphans(() if self.watchers is None else self.watchers.processes)

    def expect(self, folder: str | None) -> None:
        """Note the folder in which the next kernel will be wanted, if it is known."""

    def manager_of(
        self,
        kernel: str,
        specs: KernelSpecs,
        sources: Sequence[str],  # noqa: ARG002 (used by subclasses)
        tracer: TracerConfig | None = None,  # noqa: ARG002 (sent to the kernel later)
        *,
        is_watched: bool = False,
    ) -> KernelManager:
        """Return a manager that starts a kernel for a notebook.

        Args:
            kernel: The kernel's name.
            specs: The kernelspecs.
            sources: The code cells.
            tracer: The configuration of the kernel's tracer, if there will be one.
            is_watched: Whether the system tracer is to see what the kernel does.
        """
        watchers = self.watchers if is_watched else None
        return KernelManager(specs, watchers, kernel_name=kernel)


def choose_kernel(name: str, language: str, specs: KernelSpecManager) -> str:
    """Return the name of the kernel for a notebook that asks for a name or a language.

    Raises:
        KernelError: No such kernel is installed.
    """
    if not name and language in ("", "python"):
        name = DEFAULT_KERNEL
    if not name:
        return _for_language(language, specs)
    try:
        specs.get_kernel_spec(name)
    except NoSuchKernel:
        known = sorted(specs.find_kernel_specs())
        meant = did_you_mean(name, known)
        remedy = "install it, or map the name to another one with nbcache_kernel_aliases"
        raise KernelError(
            f"there is no kernel named {name!r} (installed: {', '.join(known) or 'none'})"
            + (f"{meant} Else {remedy}" if meant else f"; {remedy}")
        ) from None
    return name


def end_in_words(status: int) -> str:
    """Describe how a process ended, given its exit status; negative for a signal."""
    if status >= 0:
        return f"it ended with exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"it was ended by {name}"


def is_ipykernel(name: str, specs: KernelSpecManager) -> bool:
    """Tell whether a kernel is ipykernel, with any Python."""
    return any("ipykernel" in word for word in specs.get_kernel_spec(name).argv)


def is_python(name: str, specs: KernelSpecManager) -> bool:
    """Tell whether a kernel runs Python: no other language understands the tracer."""
    return str(specs.get_kernel_spec(name).language).lower() == "python"


def start_arguments(name: str, specs: KernelSpecManager) -> list[str]:
    """Return further command-line arguments for a kernel: they disable ipykernel's history."""
    return [WITHOUT_HISTORY] if is_ipykernel(name, specs) else []


def _for_language(language: str, specs: KernelSpecManager) -> str:
    found: dict[str, Any] = specs.get_all_specs()
    for name in sorted(found):
        if str(found[name]["spec"].get("language", "")).lower() == language:
            return name
    languages = {str(spec["spec"].get("language", "")).lower() for spec in found.values()}
    meant = did_you_mean(language, languages - {""}) or "; install one"
    raise KernelError(f"there is no kernel for the language {language!r}{meant}")
