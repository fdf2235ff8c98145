"""The clients of forked kernels: they skip all waiting that a fork does not need.

That of a light kernel has one connection instead of ZeroMQ's sockets.
"""

from __future__ import annotations

import time
from queue import Empty
from typing import Any

from sphinx_nbcache.kernels.connections import KernelClient
from sphinx_nbcache.kernels.forked.wire import Channel, Wire
from sphinx_nbcache.kernels.forked.zygote import Zygote

KNOWN = "known"
"""The id of a request that was not sent, because its answer is known."""
# A kernel answers within some milliseconds. Versions of ipykernel before 7 do not greet, so they
# are asked.
_GREETING_SECONDS = 0.05
_ANSWER_SECONDS = 1.0


class ForkClient(KernelClient):
    """A client of a kernel whose sockets are bound, and whose end is reported."""

    zygote: Zygote | None = None
    """The zygote that forked the kernel."""

    def kernel_info(self) -> str:
        """Request the kernel's info, unless another kernel of the same zygote has answered that."""
        if self.zygote is not None and self.zygote.kernel_info is not None:
            return KNOWN
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


class LightClient(ForkClient):
    """A client of a light kernel."""

    wire: Wire

    @property
    def shell_channel(self) -> Channel:
        """Requests and replies."""
        return self.wire.shell

    @property
    def iopub_channel(self) -> Channel:
        """Outputs."""
        return self.wire.iopub

    def start_channels(self, *_: Any, **__: Any) -> None:
        """Begin to take messages."""
        self.wire.open()

    def stop_channels(self) -> None:
        """Close the connection."""
        self.wire.close()

    async def wait_for_ready(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 (jupyter_client's signature)
        """Do nothing: a connection that exists loses no message."""
