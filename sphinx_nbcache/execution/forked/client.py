"""A client of a forked kernel: it waits for nothing that a fork does not need."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from queue import Empty
from typing import TYPE_CHECKING, Any

import nbclient

from sphinx_nbcache.execution.channels import KernelClient

if TYPE_CHECKING:
    from sphinx_nbcache.execution.forked.provisioner import ForkProvisioner
    from sphinx_nbcache.execution.forked.zygote import Zygote

# A kernel answers within some milliseconds; old ones do not greet, and are asked.
_GREETING_SECONDS = 0.05
_ANSWER_SECONDS = 1.0
# How long no output must have come from a kernel that is dead until the last one has.
_SILENCE_SECONDS = 0.05
# Stands for a question that was not asked.
_KNOWN = "known"


class ForkClient(KernelClient):
    """Knows that all sockets of the kernel are bound, and that it is told if the kernel ends."""

    zygote: Zygote | None = None
    """What has forked the kernel."""

    def kernel_info(self) -> str:
        """Ask the kernel what it is, unless another one of the same zygote has answered that."""
        if self.zygote is not None and self.zygote.kernel_info is not None:
            return _KNOWN
        return self._ask_info()

    def _ask_info(self) -> str:
        return str(super().kernel_info())

    def start_channels(self, *_: Any, **__: Any) -> None:
        """Open the channels that are used: no heartbeat, no input, and the manager has control."""
        super().start_channels(stdin=False, hb=False, control=False)

    def stop_channels(self) -> None:
        """Close the channels that were opened."""
        # Asking for the others would open them.
        for channel in (self.shell_channel, self.iopub_channel):
            if channel.is_alive():
                channel.stop()

    async def wait_for_ready(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 (jupyter_client's signature)
        """Wait until outputs arrive.

        Raises:
            RuntimeError: The kernel has ended, or it does not answer in time.
        """
        end = time.monotonic() + (float("inf") if timeout is None else timeout)
        patience = _GREETING_SECONDS
        while True:
            try:
                # As soon as it is subscribed to, ipykernel 7 greets.
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
    """nbclient's client, but it is told when a forked kernel ends: nbclient looks each second.

    It relies on two private names of nbclient. If they change, the death is noticed later. And it
    takes from the zygote what is known of its kernels.
    """

    async def async_wait_for_reply(self, msg_id: str, cell: Any = None) -> dict[str, Any] | None:
        """Wait for the reply to a request, unless it is known what the kernel is."""
        zygote: Zygote | None = getattr(self.kc, "zygote", None)
        if zygote is not None and msg_id == _KNOWN:
            return {"content": zygote.kernel_info}
        reply: dict[str, Any] | None = await super().async_wait_for_reply(msg_id, cell)
        if zygote is not None and reply is not None and "language_info" in reply["content"]:
            zygote.kernel_info = reply["content"]
        return reply

    async def _async_poll_kernel_alive(self) -> None:
        fork: ForkProvisioner | None = getattr(self.km, "fork", None)
        # nbclient does not cancel this task with the run, and drops its client (nbclient 0.11).
        if fork is None:
            with suppress(AssertionError):
                await super()._async_poll_kernel_alive()
            return
        await fork.ended()
        # What it had sent is still to be fetched, by the one who waits for outputs.
        is_silent = False
        while not is_silent:
            await asyncio.sleep(_SILENCE_SECONDS)
            if self.kc is None:
                return  # the run has ended meanwhile, after a time-out for example
            is_silent = not await self.kc.iopub_channel.msg_ready()
        if self.task_poll_for_reply is not None:
            self.task_poll_for_reply.cancel()
