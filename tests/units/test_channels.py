"""What arrives on a channel is seen, also if something is sent meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from queue import Empty
from typing import Any

import pytest
import zmq
import zmq.asyncio
from jupyter_client.session import Session

from sphinx_nbcache.kernels.choosing import KernelManager
from sphinx_nbcache.kernels.connections import KernelClient, WatchedChannel
from sphinx_nbcache.kernels.specs import KernelSpecs

Answer = Callable[[], object]


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[WatchedChannel, Session, Answer]]:
    """Yield a channel, its session, and what lets a message arrive there."""
    context = zmq.asyncio.Context()
    kernel: zmq.Socket[bytes] = zmq.Context.shadow(context.underlying).socket(zmq.ROUTER)
    socket = context.socket(zmq.DEALER)
    try:
        socket.connect(f"tcp://127.0.0.1:{kernel.bind_to_random_port('tcp://127.0.0.1')}")
        session = Session(key=b"")
        channel: Any = WatchedChannel(socket, session, None)
        channel.send(session.msg("first"))
        identity, _ = session.feed_identities(kernel.recv_multipart())
        yield channel, session, lambda: session.send(kernel, session.msg("reply"), ident=identity)
    finally:
        for opened in (socket, kernel):
            opened.close(linger=0)
        context.term()


async def seconds_until_seen() -> float:
    async with connected() as (channel, session, answer):
        waiting = asyncio.create_task(channel.get_msg(timeout=60))
        await asyncio.sleep(0.05)
        answer()
        # In this time it arrives, and nobody looks.
        time.sleep(0.1)  # noqa: ASYNC251 (that is the point)
        channel.send(session.msg("second"))
        begin = time.monotonic()
        assert (await waiting)["header"]["msg_type"] == "reply"
        return time.monotonic() - begin


async def seconds_until_empty(patience: float) -> float:
    async with connected() as (channel, _, _):
        begin = time.monotonic()
        with pytest.raises(Empty):
            await channel.get_msg(timeout=patience)
        return time.monotonic() - begin


def test_a_message_that_came_before_another_was_sent_is_not_overlooked() -> None:
    assert asyncio.run(seconds_until_seen()) < 5


@pytest.mark.parametrize("timeout", [0, 0.05, 0.5])
def test_a_channel_waits_as_long_as_it_is_told_to(timeout: float) -> None:
    assert timeout <= asyncio.run(seconds_until_empty(timeout)) + 0.01 < timeout + 2


def test_clients_of_all_kernels_have_such_a_channel() -> None:
    manager = KernelManager(KernelSpecs(), kernel_name="python3")
    try:
        assert issubclass(manager.client_factory, KernelClient)
    finally:
        manager.context.destroy()
    assert KernelClient().shell_channel_class is WatchedChannel
