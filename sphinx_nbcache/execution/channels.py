"""Channels to kernels that overlook no message."""

from __future__ import annotations

import time
from queue import Empty
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.channels import AsyncZMQSocketChannel
from traitlets import Type

# How long a message may wait unnoticed.
_TURN_SECONDS = 0.2


class WatchedChannel(AsyncZMQSocketChannel):
    """A channel that polls its socket regularly while it waits.

    Workaround: when a message is *sent* on a socket, ZeroMQ registers what has arrived in the
    meantime, and does not announce it again (its descriptor is edge-triggered); jupyter_client
    sends without notifying asyncio. nbclient does so for messages of widgets while it waits for a
    cell's reply. Without polling, it would occasionally wait until the cell's time limit.
    """

    async def get_msg(self, timeout: float | None = None) -> dict[str, Any]:  # type: ignore[override]  # noqa: ASYNC109 (jupyter_client's signature)
        """Return the next message.

        Raises:
            queue.Empty: No message has arrived within the timeout.
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
    """jupyter_client's client, with a [](WatchedChannel) as shell channel."""

    shell_channel_class = Type(WatchedChannel)

    def stop_channels(self) -> None:
        """Close the channels, and ZeroMQ's context if the client created it.

        Old versions of jupyter_client leave the context to the garbage collector.
        """
        super().stop_channels()
        if getattr(self, "_created_context", False) and not self.context.closed:
            self.context.destroy(linger=100)
