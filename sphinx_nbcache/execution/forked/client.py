"""A client of a forked kernel, which skips all waiting that a fork does not need."""

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

# A kernel answers within some milliseconds; old versions do not greet, so they are asked.
_GREETING_SECONDS = 0.05
_ANSWER_SECONDS = 1.0
# How long a dead kernel's output must be silent before it counts as complete.
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
                # ipykernel 7 greets as soon as a client subscribes.
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

    It relies on two private names of nbclient. If they change, a death is noticed later. It also
    takes kernel infos from the zygote.
    """

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
        fork: ForkProvisioner | None = getattr(self.km, "fork", None)
        # nbclient 0.11 does not cancel this task with the run, and drops its client.
        if fork is None:
            with suppress(AssertionError):
                await super()._async_poll_kernel_alive()
            return
        await fork.ended()
        # The task that waits for outputs still has to fetch the last ones.
        is_silent = False
        while not is_silent:
            await asyncio.sleep(_SILENCE_SECONDS)
            if self.kc is None:
                return  # the run has ended in the meantime, for example after a time-out
            is_silent = not await self.kc.iopub_channel.msg_ready()
        if self.task_poll_for_reply is not None:
            self.task_poll_for_reply.cancel()
