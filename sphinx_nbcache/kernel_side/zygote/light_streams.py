"""The standard streams of a light kernel: one pipe for the text of all who write to it."""

import contextvars
import os
import threading

from ipykernel.iostream import OutStream
from jupyter_client.session import extract_header

from . import light_wire

# The build looks at the pipes now and then; sooner if the kernel says that there is much in them.
_MUCH = 1 << 14


def factory(wire):
    """Return what makes the streams in place of ipykernel's class."""

    def make(session, pub_thread, name, *_, **__):
        return _Stream(session, name, wire)

    return make


class _Stream(OutStream):
    """ipykernel's stream, which writes at once what it is given.

    Text is a message of its own only if it belongs to another request than the present one, or if
    a hook is to see it.
    """

    def __init__(self, session, name, wire):  # not that of the base class, which starts threads
        self.session, self.name, self.wire = session, name, wire
        self.topic = b"stream." + name.encode()
        self.descriptor = wire.pipes[name]
        self.unseen = 0
        self.echo = None
        self.pub_thread = self  # until it is closed
        self._isatty = self._should_watch = False
        self._fid = self.watch_fd_thread = self._exc = None
        self._local = threading.local()
        self._parent_header = contextvars.ContextVar("parent_header")
        self._parent_header.set({})
        self._parent_header_global = {}
        # ipykernel 6 keeps in them which thread has started which.
        self._thread_to_parent, self._thread_to_parent_header = {}, {}
        # ipykernel leaves them to pytest as well.
        if "PYTEST_CURRENT_TEST" not in os.environ:
            self._original_stdstream_fd = number = 1 if name == "stdout" else 2
            # As in ipykernel: `fileno` is the log, and the descriptor itself leads to the cell.
            self._original_stdstream_copy = os.dup(number)
            os.dup2(self.descriptor, number)

    @property
    def parent_header(self):
        """The header of the request that text belongs to: that of the running task or thread."""
        return self._parent_header.get(self._parent_header_global)

    @parent_header.setter
    def parent_header(self, value):
        self._parent_header.set(value)
        self._parent_header_global = value

    def set_parent(self, parent):
        """Set the request that text belongs to."""
        self.parent_header = extract_header(parent)

    def write(self, string):
        """Write a text."""
        if not isinstance(string, str):
            raise TypeError(f"write() argument must be str, not {type(string)}")
        if self.pub_thread is None:
            raise ValueError("I/O operation on closed file")
        parent = self.parent_header
        if (parent is not self._parent_header_global or self._hooks) and self._is_kernel():
            self._send(string, parent)
            return len(string)
        try:
            data = string.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            data = string.encode("utf-8", "replace")
        self.unseen += len(data)
        while data:
            data = data[os.write(self.descriptor, data) :]
        if self.unseen > _MUCH and self._is_kernel():
            self.unseen = 0
            self.wire.send(light_wire.LOOK, ())
        return len(string)

    def _is_kernel(self):
        return os.getpid() == self.session.pid

    def _send(self, text, parent):
        message = self.session.msg("stream", {"name": self.name, "text": text}, parent=parent)
        for hook in self._hooks:
            message = hook(message)
            if message is None:
                return
        self.session.send(self.wire.channel(light_wire.IOPUB), message, ident=self.topic)

    def flush(self):
        """Do nothing: text is written at once."""

    def close(self):
        """Refuse further text."""
        self.pub_thread = None


_Stream.__name__ = _Stream.__qualname__ = OutStream.__name__
_Stream.__module__ = OutStream.__module__
