"""The connection of the build with a light kernel: messages, and texts in their place."""

from __future__ import annotations

import asyncio
import codecs
import json
import os
import secrets
import socket
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty
from typing import Any

from jupyter_client.session import DELIM, json_packer

from sphinx_nbcache.kernel_side.zygote.light_wire import (
    CONTROL,
    IOPUB,
    LOOK,
    SHELL,
    frame_of,
    take_frame,
)

_PARTS = ("header", "parent_header", "metadata", "content")
_READ = 1 << 18
# How often to look at the pipes, in seconds: while a cell is silent, and while it writes much.
_LOOK_SECONDS = 0.05
_SOON_SECONDS = 0.001
_MUCH = 1 << 14


class Channel:
    """A channel of a kernel client: messages in their order."""

    def __init__(self, wire: Wire, number: int) -> None:
        self._wire, self._number = wire, number
        self._messages: deque[dict[str, Any]] = deque()
        self._waiting: asyncio.Future[None] | None = None

    def put(self, message: dict[str, Any]) -> None:
        """Add a message."""
        self._messages.append(message)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def get_msg(self, timeout: float | None = None) -> dict[str, Any]:  # noqa: ASYNC109 (jupyter_client's signature)
        """Return the next message.

        Raises:
            queue.Empty: No message has arrived within the timeout.
        """
        while not self._messages:
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(timeout):
                    await self._waiting
            except TimeoutError:
                raise Empty from None
        return self._messages.popleft()

    async def msg_ready(self) -> bool:
        """Take what has arrived; tell whether there is a message."""
        self._wire.take_all()
        return bool(self._messages)

    def send(self, message: dict[str, Any]) -> None:
        """Send a message."""
        self._wire.send(self._number, message)

    def is_alive(self) -> bool:
        """Tell whether the connection is open."""
        return self._wire.is_open


class _Text:
    """The text that a kernel writes to one of its standard streams."""

    def __init__(self, name: str, pipe: int, mark: bytes) -> None:
        self.name = name
        self._pipe, self._mark = pipe, mark
        self._read = bytearray()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def pull(self) -> int:
        """Read what is there; return how many bytes."""
        count = 0
        with suppress(BlockingIOError):
            while part := os.read(self._pipe, _READ):
                self._read += part
                count += len(part)
                if len(part) < _READ and count >= _READ:
                    break
        return count

    def before_mark(self) -> str:
        """Return the text before the next mark, and remove both."""
        end = self._read.find(self._mark)
        if end < 0:
            return self.rest()
        text = self._decoder.decode(bytes(self._read[:end]), final=True)
        self._decoder.reset()
        del self._read[: end + len(self._mark)]
        return text

    def rest(self) -> str:
        """Return the text that certainly comes before the next mark, and remove it."""
        end = self._read.find(self._mark)
        if end < 0:
            # A mark may have arrived in part only.
            end = len(self._read)
            first = self._read.rfind(self._mark[:1])
            if first >= 0 and self._mark.startswith(bytes(self._read[first:])):
                end = first
        text = self._decoder.decode(bytes(self._read[:end]))
        del self._read[:end]
        return text

    def close(self) -> None:
        os.close(self._pipe)


class Wire:
    """The connection with a light kernel.

    Attributes:
        shell: Requests, and the replies to them.
        iopub: Outputs.
        mark: The bytes that the kernel writes to its streams before each output: not to be guessed.
        theirs: The descriptors for the kernel, until they have been sent.
    """

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(0)
        self.mark = f"\0{secrets.token_hex(16)}\0"
        self.theirs = [theirs.detach()]
        self._texts: list[_Text] = []
        for name in ("stdout", "stderr"):
            mine, pipe = os.pipe()
            os.set_blocking(mine, False)
            self.theirs.append(pipe)
            self._texts.append(_Text(name, mine, self.mark.encode()))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._read = bytearray()
        self._unsent = bytearray()
        self._parent: dict[str, Any] = {}
        self.is_open = True
        self.iopub, self.shell = Channel(self, IOPUB), Channel(self, SHELL)

    def sent(self) -> None:
        """Close the kernel's descriptors: it has them now."""
        while self.theirs:
            os.close(self.theirs.pop())

    def open(self) -> None:
        """Begin to take messages, in the running loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._on_readable)
        self._looking = self._loop.call_later(_LOOK_SECONDS, self._look)

    def close(self) -> None:
        """Close the connection."""
        if not self.is_open:
            return
        self.is_open = False
        self.sent()
        if self._looking is not None:
            self._looking.cancel()
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop may be closed
                self._loop.remove_reader(self._socket)
                self._loop.remove_writer(self._socket)
        self._socket.close()
        for text in self._texts:
            text.close()

    def request_end(self, message: dict[str, Any]) -> None:
        """Send a message that asks the kernel to end, also while a cell runs."""
        self.send(CONTROL, message)

    def send(self, number: int, message: dict[str, Any]) -> None:
        """Send a message, later if the kernel does not read."""
        if not self.is_open:
            return
        # No one else can reach the kernel: the signature is empty.
        parts = [DELIM, b"", *(json_packer(message[name]) for name in _PARTS)]
        parts += message.get("buffers") or []
        is_first = not self._unsent
        self._unsent += frame_of(number, parts)
        if is_first:
            self._send_more()
            if self._unsent and self._loop is not None:
                self._loop.add_writer(self._socket, self._send_more)

    def _send_more(self) -> None:
        try:
            del self._unsent[: self._socket.send(self._unsent)]
        except BlockingIOError:
            return
        except OSError:
            self._unsent.clear()  # the kernel has gone
        if not self._unsent and self._loop is not None:
            self._loop.remove_writer(self._socket)

    def _on_readable(self) -> None:
        if not self._take() and self._loop is not None:
            # The zygote reports the end of the kernel.
            self._loop.remove_reader(self._socket)

    def _take(self) -> bool:
        """Take what has arrived; return False at the end of the connection."""
        try:
            part = self._socket.recv(_READ)
        except BlockingIOError:
            return True
        except OSError:
            part = b""
        self._read += part
        while (frame := take_frame(self._read)) is not None:
            number, parts = frame
            if number == LOOK:
                self._pull()
                continue
            message = _message(parts)
            if number == IOPUB:
                self._put_output(message)
            elif number == SHELL:
                self.shell.put(message)
        return bool(part)

    def _put_output(self, message: dict[str, Any]) -> None:
        for text in self._texts:
            # The mark was written before the message was sent.
            text.pull()
            self._put_text(text.name, text.before_mark())
        # Other messages may belong to earlier requests, whose tasks still run.
        if message["content"].get("execution_state") == "busy":
            self._parent = message["parent_header"]
        self.iopub.put(message)

    def _put_text(self, name: str, text: str) -> None:
        if text:
            self.iopub.put(
                {
                    "header": {"msg_type": "stream"},
                    "msg_type": "stream",
                    "parent_header": self._parent,
                    "metadata": {},
                    "content": {"name": name, "text": text},
                    "buffers": [],
                }
            )

    def _pull(self) -> int:
        count = 0
        for text in self._texts:
            count += text.pull()
            self._put_text(text.name, text.rest())
        return count

    def _look(self) -> None:
        """Take texts that no message follows yet: else the kernel would have to wait."""
        assert self._loop is not None
        # First what belongs to messages that were sent before.
        if not self._take():
            self._loop.remove_reader(self._socket)
        seconds = _SOON_SECONDS if self._pull() > _MUCH else _LOOK_SECONDS
        self._looking = self._loop.call_later(seconds, self._look)

    def take_all(self) -> None:
        """Take all that a kernel has left that has ended."""
        if self.is_open:
            self._take()
            self._pull()


def _message(parts: Sequence[bytes]) -> dict[str, Any]:
    """Return a message, as a kernel's session has serialized it."""
    begin = parts.index(DELIM) + 2  # the signature is empty
    header, parent, metadata, content = map(_unpacked, parts[begin : begin + 4])
    return {
        "header": header,
        "msg_id": header["msg_id"],
        "msg_type": header["msg_type"],
        "parent_header": parent,
        "metadata": metadata,
        "content": content,
        "buffers": [memoryview(part) for part in parts[begin + 4 :]],
    }


def _unpacked(part: bytes) -> Any:
    return json.loads(part.decode("utf-8", "replace"))
