"""Connections to kernels: ports that no other process takes first, and channels."""

from __future__ import annotations

import random
import socket
import threading
import time
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.channels import AsyncZMQSocketChannel
from traitlets import Type

PORTS = ("shell_port", "iopub_port", "stdin_port", "hb_port", "control_port")
"""jupyter_client's names for the ports of a kernel."""

# Below this range, no outgoing connection takes a port by chance, as its local end, between the
# choice of a port and its use. https://docs.kernel.org/networking/ip-sysctl.html
# Such a connection would make the kernel end, or, if the port is that of its outputs, stay silent
# for ever (ipykernel 7.4 fails to bind it, and waits for its own threads).
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
# Where the range cannot be read: Linux's default. On macOS and Windows it starts at 49152.
_USUAL_END = 32_768
_FIRST = 10_240
# In a small range, kernels of several builds would often get the same ports.
_LEAST = 2_000
_ATTEMPTS = 200

_lock = threading.Lock()
# A kernel may take seconds until it binds its ports: so long, they look free to others.
# https://github.com/jupyter/jupyter_client/issues/487
_given: set[int] = set()
# How long a message may wait unnoticed.
_TURN_SECONDS = 0.2


def free_ports(count: int, ip: str) -> list[int] | None:
    """Return free ports, each given once in this process.

    Args:
        count: The number of ports.
        ip: The address on which they have to be free.

    Returns:
        `None` if too few are left below those of outgoing connections: the system has to choose.
    """
    try:
        end = int(_RANGE.read_text("ascii").split()[0])
    except (OSError, ValueError, IndexError):
        end = _USUAL_END
    if end - _FIRST < _LEAST:
        return None
    chance = random.SystemRandom()  # other processes must arrive at other ports
    found: list[int] = []
    with _lock:
        # The kernels of the oldest ports have ended, or have bound them.
        if len(_given) > (end - _FIRST) // 2:
            _given.clear()
        for _ in range(_ATTEMPTS):
            port = chance.randrange(_FIRST, end)
            if port not in _given and is_free(ip, port):
                _given.add(port)
                found.append(port)
            if len(found) == count:
                return found
    return None


def is_free(ip: str, port: int) -> bool:
    """Tell whether a port of an address is free now."""
    try:
        with socket.socket() as probe:
            probe.bind((ip, port))
    except OSError:
        return False
    return True


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
        # pyzmq's asyncio sockets check for such messages after each send
        # (https://github.com/zeromq/pyzmq/issues/1203), but jupyter_client (8.10, `Session.send`)
        # sends through a plain socket that shares the descriptor. Cells with widgets hang now and
        # then: https://github.com/jupyter/nbclient/issues/312
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
