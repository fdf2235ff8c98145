"""A kernel that is forked ahead of its notebook, while others run.

Between two notebooks, cores are idle: kernels wait for the build, and the build for them. That time
is enough to start another kernel.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from jupyter_client.kernelspec import KernelSpec

from sphinx_nbcache.execution.forked.kernel import ForkedKernel, Start, fork_kernel
from sphinx_nbcache.execution.forked.provisioner import ForkError


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
            dropping = asyncio.create_task(_drop(self._coming))
            self._dropped.add(dropping)
            dropping.add_done_callback(self._dropped.discard)
        self._start = wanted
        self._coming = asyncio.create_task(fork_kernel(wanted, self._new_place(), spec))

    async def take(self, start: Start) -> ForkedKernel | None:
        """Return the kernel that is ready or starting, if it matches a start."""
        if self._coming is None or self._start != start or not self._is_ours():
            return None
        coming, self._coming = self._coming, None
        try:
            kernel = await coming
        except ForkError:
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
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        return self._loop is loop


async def _drop(coming: asyncio.Task[ForkedKernel]) -> None:
    with suppress(ForkError):
        await (await coming).end()
