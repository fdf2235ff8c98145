"""The connection of a light kernel with the build: a pair of sockets, in place of ZeroMQ's.

A frame is a channel and a number of parts, their lengths, and the parts of a message as
jupyter_client's session makes them. Standard output and error go through two pipes. Before each
message on the channel of outputs, the kernel writes a mark to both, which the build has chosen. So
the build knows what was written before the message.
"""

import asyncio
import ctypes
import inspect
import os
import signal
import socket
import struct
import threading

import zmq
from zmq.eventloop.zmqstream import ZMQStream

IOPUB, SHELL, CONTROL, LOOK = range(4)
"""The channels of frames. A frame of the last one has no parts: it asks to look at the pipes."""

_HEAD = struct.Struct("!BI")
_READ = 1 << 18


class Channel(ZMQStream):
    """A channel, as ipykernel uses its streams and sockets."""

    closed = False

    def __init__(self, wire, number):  # not that of the base class, which needs a socket
        self.wire, self.number = wire, number

    def __bool__(self):
        return True

    @property
    def socket(self):
        """Itself: nothing waits in it that was not received."""
        return self

    @property
    def io_loop(self):
        """The loop of the kernel."""
        from tornado.ioloop import IOLoop

        return IOLoop.current()

    def poll(self, *_):
        """Return that no message waits."""
        return 0

    def send_multipart(self, msg, *_, **__):
        """Send a message."""
        self.wire.send(self.number, msg)

    def on_recv(self, callback, copy=True):
        """Take each message with a function."""
        self.wire.receive(self.number, callback)

    def flush(self, *_, **__):
        """Do nothing: each message is sent at once."""

    def close(self, *_, **__):
        """Do nothing: the connection ends with the kernel."""


class Wire:
    """The connection, in the kernel."""

    def __init__(self, mark, connection, out, err):
        self.mark = mark.encode()
        self.connection = socket.socket(fileno=connection)
        self.pipes = {"stdout": out, "stderr": err}
        self.lock = threading.Lock()
        self.callbacks = {}
        self.tasks = set()
        self.read = bytearray()
        libc = ctypes.CDLL(None)
        self.flush_c = libc.fflush
        # Only stdout: another thread may hold the lock of another stream while it waits for input.
        self.out = ctypes.c_void_p.in_dll(libc, "stdout")

    def channel(self, number):
        """Return a channel."""
        return Channel(self, number)

    def send(self, number, parts):
        """Send a message. No signal may come in between: half a frame would spoil all others."""
        data = frame_of(number, parts)
        if number == IOPUB:
            self.flush_c(self.out)
        # It also runs handlers of signals that have come before.
        former = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            with self.lock:
                if number == IOPUB:
                    for pipe in self.pipes.values():
                        os.write(pipe, self.mark)
                self.connection.sendall(data)
        except OSError:
            pass  # the build has gone, and the kernel is about to end
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, former)

    def receive(self, number, callback):
        """Hand each message of a channel to a function, from now on."""
        if not self.callbacks:
            asyncio.get_event_loop().add_reader(self.connection, self.on_readable)
        self.callbacks[number] = callback

    def on_readable(self):
        """Take what has arrived."""
        try:
            part = self.connection.recv(_READ, socket.MSG_DONTWAIT)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            part = b""
        if not part:
            from tornado.ioloop import IOLoop

            asyncio.get_event_loop().remove_reader(self.connection)
            IOLoop.current().stop()
            return
        self.read += part
        while (frame := take_frame(self.read)) is not None:
            number, parts = frame
            done = self.callbacks[number]([zmq.Frame(part) for part in parts])
            if inspect.isawaitable(done):
                # The loop itself keeps only weak references to tasks.
                task = asyncio.ensure_future(done)
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)


def frame_of(number, parts):
    """Return a frame: a channel and the parts of a message."""
    sizes = struct.pack(f"!{len(parts)}Q", *map(len, parts))
    return b"".join((_HEAD.pack(number, len(parts)), sizes, *parts))


def take_frame(read):
    """Remove a frame from the beginning of what was read; return its channel and its parts.

    Returns:
        `None` if the frame is not complete.
    """
    if len(read) < _HEAD.size:
        return None
    number, count = _HEAD.unpack_from(read)
    sizes = struct.Struct(f"!{count}Q")
    begin = _HEAD.size + sizes.size
    if len(read) < begin:
        return None
    parts = []
    for size in sizes.unpack_from(read, _HEAD.size):
        if len(read) < begin + size:
            return None
        parts.append(bytes(read[begin : begin + size]))
        begin += size
    del read[:begin]
    return number, parts
