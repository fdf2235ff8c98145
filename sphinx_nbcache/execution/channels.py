"""Channels to kernels on which nothing that arrives is overlooked."""

from __future__ import annotations

import time
from queue import Empty
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.channels import AsyncZMQSocketChannel
from traitlets import Type

# How long a message may lie there unseen.
_TURN_SECONDS = 0.2


class WatchedChannel(AsyncZMQSocketChannel):
    """A channel that looks at its socket every now and then while it waits.

    When something is *sent* on a socket, ZeroMQ takes note of what has arrived meanwhile, and does
    not announce it any more (its descriptor is "edge-triggered"); jupyter_client sends without
    telling asyncio. nbclient does so for the messages of widgets, while it waits for the reply of a
    cell: once in a while it would wait until the time of the cell is over.
    """

    async def get_msg(self, timeout: float | None = None) -> dict[str, Any]:  # type: ignore[override]  # noqa: ASYNC109 (jupyter_client's signature)
        """Return the next message.

        Raises:
            queue.Empty: None has come in that many seconds.
        """
        end = float("inf") if timeout is None else time.monotonic() + timeout
        while True:
            left = max(0.0, end - time.monotonic())
            try:
                return await super().get_msg(timeout=min(left, _TURN_SECONDS))
            except Empty:
                if left <= _TURN_SECONDS:
                    raise


class KernelClient(AsyncKernelClient):
    """jupyter_client's client, with such a channel for what is executed."""

    shell_channel_class = Type(WatchedChannel)

    def stop_channels(self) -> None:
        """Close the channels, and let go of ZeroMQ's context if it is the client's own.

        Old versions of jupyter_client leave that to the collector of garbage.
        """
        super().stop_channels()
        if getattr(self, "_created_context", False) and not self.context.closed:
            self.context.destroy(linger=100)
