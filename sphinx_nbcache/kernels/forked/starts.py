"""Starting the kernels of one run of notebooks: which zygote forks which kernel."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import zmq
import zmq.asyncio
from jupyter_client.kernelspec import KernelSpec

from sphinx_nbcache.config import KernelStart
from sphinx_nbcache.files.temporary import work_folder
from sphinx_nbcache.kernel_side.zygote import private_names
from sphinx_nbcache.kernels.choosing import KernelManager, KernelStarts
from sphinx_nbcache.kernels.fitting import UnfitError, may_be_light, may_fork
from sphinx_nbcache.kernels.forked.first import FirstZygote
from sphinx_nbcache.kernels.forked.fork import ForkedKernel, Spare, Start, fork_kernel
from sphinx_nbcache.kernels.forked.preload import (
    imported_modules,
    may_preload,
    safe_modules,
    shadows,
)
from sphinx_nbcache.kernels.forked.provisioner import ForkError
from sphinx_nbcache.kernels.forked.zygote import Zygote, ZygoteError, ZygoteKey
from sphinx_nbcache.kernels.specs import KernelSpecs
from sphinx_nbcache.notices import Notice, Notify, Topic
from sphinx_nbcache.options import AUTO
from sphinx_nbcache.traces.tracer_code import TracerConfig

# The most zygotes with different environments; more are not worth their memory.
_MOST = 8
# How often to retry without modules that prove unsafe: without one, another may be loaded first,
# and prove unsafe then.
_ATTEMPTS = 4
# The path of a socket has at most 107 bytes and a null byte; two numbers follow the folder.
# https://man7.org/linux/man-pages/man7/unix.7.html
_LONGEST_FOLDER = 107 - len("/1234567-5")


class ForkStarts(KernelStarts):
    """Starts kernels by fork if possible. A context: at its end, no zygote is left.

    It may be used from several threads and event loops. In another process (it can be pickled),
    kernels are started in the ordinary way.

    Args:
        preload: Modules to preload, or `"auto"` for the modules that the notebooks import.
        cells: Returns the code cells of each notebook to be run, if asked.
        notify: Takes warnings and information.
        first: A zygote that was started ahead, if any.
        insists: Whether to warn if a kernel cannot be forked.
        wants_light: Whether kernels are light ones where these fit.
    """

    def __init__(  # noqa: PLR0913 (how kernels are started)
        self,
        preload: Sequence[str] | str,
        cells: Callable[[], Iterable[Sequence[str]]],
        notify: Notify,
        *,
        first: FirstZygote | None = None,
        insists: bool = False,
        wants_light: bool = False,
    ) -> None:
        self._preload = preload
        self._cells = cells
        self._notify = notify
        self._insists = insists
        self._wants_light = wants_light
        # Held for moments only, because event loops wait for it.
        self._lock = threading.Lock()
        # Held in threads, for as long as a zygote imports or all notebooks are read. Taken before
        # `_lock`, never while that is held.
        self._slow_lock = threading.Lock()
        self._zygotes: dict[ZygoteKey, Zygote | ZygoteError] = {}
        self._modules: tuple[str, ...] | None = None
        self._told: set[str] = set()
        self._has_others = False
        self._numbers = itertools.count(1)
        self._stack = ExitStack()
        self._folder: Path | None = None
        self._context: zmq.asyncio.Context | None = None
        self._spare = Spare(self._new_place)
        self._first = first or FirstZygote()

    def __reduce__(self) -> tuple[type[KernelStarts], tuple[()]]:
        # Zygotes are children of this process, and their sockets cannot be sent.
        return KernelStarts, ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._has_others:
            self.end_orphans()
        # Before the zygotes, whose end also ends the spare kernel.
        self._spare.close()
        with self._slow_lock, self._lock:
            for zygote in self._zygotes.values():
                if isinstance(zygote, Zygote):
                    zygote.close()
            self._zygotes.clear()
            if self._context is not None:
                # All kernels have ended. With a linger, closing would wait for messages that no one
                # will read.
                self._context.destroy(linger=0)
                self._context = None
            self._stack.close()
            self._folder = None

    def manager_of(
        self,
        kernel: str,
        specs: KernelSpecs,
        sources: Sequence[str],
        tracer: TracerConfig | None = None,
        *,
        is_watched: bool = False,
    ) -> KernelManager:
        """Return a manager that forks the kernel for a notebook if possible."""
        from sphinx_nbcache.kernels.forked.manager import ForkManager

        watchers = self.watchers if is_watched else None
        return ForkManager(self, specs, sources, tracer, watchers=watchers, kernel_name=kernel)

    @property
    def context(self) -> zmq.asyncio.Context:
        """ZeroMQ's context, shared by all kernels because each context has a thread."""
        with self._lock:
            if self._context is None:
                self._context = zmq.asyncio.Context()
                self._context.setsockopt(zmq.RCVHWM, 0)
            return self._context

    async def kernel(self, start: Start, spec: KernelSpec) -> ForkedKernel:
        """Return a kernel that was forked just now, or ahead.

        Raises:
            ForkError: The kernel could not be started.
        """
        try:
            kernel = await self._spare.take(start)
            if kernel is None:
                kernel = await fork_kernel(start, self._new_place(), spec)
        except ForkError:
            self._look_after(start.zygote)
            raise
        self._spare.follow(start, spec)
        return kernel

    def expect(self, folder: str | None) -> None:
        """Note the folder in which the next kernel will be wanted: it may be forked ahead."""
        self._spare.expect(folder)

    def _new_place(self) -> Path:
        """Return a path; a kernel owns all files whose paths begin with it."""
        return self._own_folder() / str(next(self._numbers))

    def _own_folder(self) -> Path:
        with self._lock:
            if self._folder is None:
                self._folder = self._stack.enter_context(work_folder(longest=_LONGEST_FOLDER))
                self._folder.mkdir(mode=0o700)
            return self._folder

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
        if self._preload == AUTO and self._modules is None:
            # This may read all notebooks.
            modules = await asyncio.to_thread(self._modules_for, sources, folder)
        else:
            modules = self._modules_for(sources, folder)
        if modules:
            zygote = await self._zygote(python, environment, modules)
            if not shadows(folder, zygote.report.loaded):
                return zygote
        return await self._zygote(python, environment, ())

    async def _zygote(
        self, python: tuple[str, ...], environment: Mapping[str, str], modules: tuple[str, ...]
    ) -> Zygote:
        key = ZygoteKey.of(python, environment, modules)
        # Without `_slow_lock`: the event loop must not wait while another zygote imports.
        found = self._zygotes.get(key)
        if found is None:
            found = await asyncio.to_thread(self._started, key, environment)
        if isinstance(found, ZygoteError):
            raise found
        return found

    def _started(self, key: ZygoteKey, environment: Mapping[str, str]) -> Zygote | ZygoteError:
        with self._slow_lock:
            found = self._zygotes.get(key)
            if found is None:
                try:
                    found = self._start(key, environment, self._own_folder())
                except ZygoteError as error:
                    # Remember the failure: each further notebook would wait for the same time-out.
                    found = error
                with self._lock:
                    self._zygotes[key] = found
            return found

    def _start(self, key: ZygoteKey, environment: Mapping[str, str], folder: Path) -> Zygote:
        if len(self._zygotes) >= _MOST:
            raise ZygoteError("there are too many environments to keep one for each")
        modules = key.modules
        for _ in range(_ATTEMPTS):
            zygote = self._first.take(key) or Zygote(key.python, environment, folder, self.watchers)
            zygote.preload(modules)
            if trouble := zygote.trouble:
                zygote.close()
                raise ZygoteError(trouble)
            unsafe = zygote.report.unsafe
            if not unsafe:
                self._tell_failed(zygote.report.failed)
                return zygote
            zygote.close()
            self._tell_failed(unsafe)
            modules = tuple(name for name in modules if name not in unsafe)
        zygote = Zygote(key.python, environment, folder, self.watchers)
        zygote.preload(())
        return zygote

    def _look_after(self, zygote: Zygote) -> None:
        """Handle a failed fork: a dead zygote is not used again."""
        if zygote.is_alive:
            return
        with self._lock:
            for key, found in list(self._zygotes.items()):
                if found is zygote:
                    zygote.close()
                    self._zygotes[key] = ZygoteError("the process that forks them has ended")

    def _modules_for(self, sources: Sequence[str], folder: str) -> tuple[str, ...]:
        """Return the modules that the zygote for a notebook should preload."""
        if not self._preload or not may_preload(sources, folder):
            return ()
        if self._preload != AUTO:
            return tuple(self._preload)
        return self._wanted() if safe_modules(imported_modules(sources)) else ()

    def _wanted(self) -> tuple[str, ...]:
        """Return the modules known to be safe that the notebooks to be run import."""
        # The event loop asks only once they are known: see `zygote`.
        if self._modules is None:
            with self._slow_lock:
                if self._modules is None:
                    self._modules = self._modules_of_all()
        return self._modules

    def _modules_of_all(self) -> tuple[str, ...]:
        imported: set[str] = set()
        for sources in self._cells():
            if may_preload(sources):
                imported |= safe_modules(imported_modules(sources))
        return tuple(sorted(imported))

    def may_be_light(self, start: Start, sources: Sequence[str]) -> bool:
        """Tell whether a kernel for these cells may be a light one."""
        if not self._wants_light or not may_be_light(sources):
            return False
        missing = (*start.zygote.report.not_light, *private_names.missing(private_names.CLIENT))
        if missing:
            self.tell_not_light(f"there is no {', '.join(missing)}")
        return not missing

    def tell_not_light(self, reason: str) -> None:
        """Report once why kernels are not light ones."""
        self._tell(f"kernels are not light ones: {reason}")

    def tell_why_not(self, kernel: str, error: Exception) -> None:
        """Report once why a kernel is not forked; for an unfit one, only if forking is demanded."""
        self._has_others = True
        if isinstance(error, UnfitError) and not self._insists:
            return
        self._tell(f"kernels of {kernel!r} are started in the ordinary way: {error}")

    def _tell_failed(self, reasons: Mapping[str, str]) -> None:
        if self._preload == AUTO:  # the user has not requested these modules
            return
        for name, reason in reasons.items():
            self._tell(f"nbcache_preload: {name} is not preloaded: {reason}")

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            topic = Topic.CONFIG if self._insists else Topic.EXECUTION
            self._notify(Notice(topic, text, is_information=not self._insists))


def kernel_starts(
    mode: KernelStart,
    preload: Sequence[str] | str,
    cells: Callable[[], Iterable[Sequence[str]]],
    notify: Notify,
    first: FirstZygote | None = None,
) -> KernelStarts:
    """Return the way in which kernels are started, as a context for the run of notebooks.

    Args:
        mode: `nbcache_kernel_start`.
        preload: `nbcache_preload`.
        cells: Returns the code cells of each notebook to be run.
        notify: Takes warnings and information.
        first: A zygote that was started ahead, if any.
    """
    if not may_fork(mode):
        if mode in ("fork", "light"):
            text = f"nbcache_kernel_start = {mode!r} works on Linux only; 'spawn' is used"
            notify(Notice(Topic.CONFIG, text))
        return KernelStarts()
    insists, is_light = mode in ("fork", "light"), mode == "light"
    return ForkStarts(preload, cells, notify, first=first, insists=insists, wants_light=is_light)
