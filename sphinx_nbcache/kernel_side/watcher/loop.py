"""The watcher's loop: starts the command, takes calls, and answers the build."""

import functools
import json
import os
import platform
import select
import signal
import socket
import sys

from . import children
from .calls import calls_of
from .filtering import Memory, Taken, be_watched
from .notes import Notes

# How often to check that the parent still exists.
_LOOK_SECONDS = 1.0
# A message is one short line.
_LONGEST = 1 << 20


def watch(order, command):
    """Start a command, watch its processes until it ends, and end as it did.

    Args:
        order: Where to put the `socket` for the build, and for processes that are to be watched;
            the name of the `run`, if the command is a kernel, else empty; whether Python
            `is_traced` in it; the `parent` of this process; the `quiet` directories whose files do
            not count, with a slash at the end.
        command: The words of the command.
    """
    path = order["socket"]
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(path)
    server.listen(64)
    watcher = os.getpid()
    # Orphans come to this process, and can be found.
    children.adopt_orphans()
    pid = os.fork()
    if pid == 0:
        _become(command, path, order["run"], watcher)
    # A descriptor for the command must not stay open here, or its end would go unnoticed.
    _close_others(server.fileno())
    _Watcher(server, pid, order).loop()


def _become(command, path, run, watcher):
    """Become the command."""
    try:
        children.die_with(watcher)
        if os.environ.get("JPY_PARENT_PID"):
            # A kernel ends itself when its parent has another id (ipykernel 7.4).
            os.environ["JPY_PARENT_PID"] = str(watcher)
        if run:
            be_watched(path, run)
        os.execvpe(command[0], command, os.environ)  # noqa: S606 (what the kernelspec says)
    except BaseException as error:
        sys.stderr.write(f"{command[0]}: {error}\n")
    os._exit(127)


def _close_others(kept):
    nothing = os.open(os.devnull, os.O_RDWR)
    standard = (0, 1, 2)
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        if descriptor not in (*standard, kept, nothing):
            try:
                os.close(descriptor)
            except OSError:
                pass  # that of the listing itself
    for descriptor in standard:
        os.dup2(nothing, descriptor)
    os.close(nothing)


class _Watcher:
    def __init__(self, server, pid, order):
        self.server = server
        self.pid = pid
        self.path = order["socket"]
        self.parent = order["parent"]
        self.is_traced = order["is_traced"]
        self.poller = select.epoll()
        self.calls = calls_of(platform.machine())
        self.taken = Taken()
        self.memory = Memory()
        self.by_listener = {}  # the notes
        self.by_run = {}
        self.connections = {}
        self.quiet = (b"/dev/", *map(os.fsencode, order["quiet"]))
        self.woken, wake = os.pipe()
        for end in (self.woken, wake):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # The command is in the same group, and gets them too.
            signal.signal(ignored, signal.SIG_IGN)
        for descriptor in (server.fileno(), self.woken):
            self.poller.register(descriptor, select.EPOLLIN)

    def loop(self):
        while True:
            # First what waits: a process that has ended does not.
            for descriptor, event in self.poller.poll(_LOOK_SECONDS):
                if descriptor in self.by_listener:
                    self.on_listener(descriptor, event)
                elif descriptor == self.server.fileno():
                    self.on_connection()
                elif descriptor in self.connections:
                    self.on_message(descriptor)
                else:
                    self.on_child()
            if os.getppid() != self.parent:
                self.end(signal.SIGKILL)

    def on_listener(self, listener, event):
        if event & select.EPOLLIN:
            self.on_call(listener, self.by_listener[listener])
        elif event & (select.EPOLLHUP | select.EPOLLERR):
            # No process has the filter any more.
            self.poller.unregister(listener)
            os.close(listener)
            del self.by_listener[listener]

    def on_call(self, listener, notes):
        found = self.taken.take(listener)
        if found is None:
            return
        call, thread, number, arguments = found
        try:
            described = self.calls.get(number)
            if described is not None:
                waits = functools.partial(self.taken.is_valid, listener, call)
                notes.note(described, thread, arguments, waits)
        except (OSError, ValueError):
            pass  # the process has gone, or the address is wrong: the call will fail
        except Exception as error:
            notes.unseen[f"the watcher: {type(error).__name__}: {error}"] = True
        finally:
            self.taken.let_go(listener, call)

    def on_connection(self):
        connection, _ = self.server.accept()
        connection.settimeout(_LOOK_SECONDS)
        self.connections[connection.fileno()] = connection
        self.poller.register(connection, select.EPOLLIN)

    def on_message(self, descriptor):
        connection = self.connections.pop(descriptor)
        self.poller.unregister(descriptor)
        with connection:
            try:
                said, descriptors, _, _ = socket.recv_fds(connection, _LONGEST, 1)
                word, rest = said[:1], said[1:]
                if word == b"W" and descriptors:
                    self.add(connection, rest.decode(), descriptors[0])
                elif word == b"B":
                    self.begin(connection, rest.decode())
                elif word == b"E":
                    self.answer(connection, rest.decode())
            except (OSError, ValueError):
                pass  # whoever asked has gone

    def add(self, connection, run, listener):
        os.set_inheritable(listener, False)
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        main = int.from_bytes(credentials[:4], sys.byteorder)
        notes = Notes(main, self.quiet, self.memory, is_traced=self.is_traced)
        self.by_run[run] = self.by_listener[listener] = notes
        self.taken.prepare(listener)
        self.poller.register(listener, select.EPOLLIN)

    def begin(self, connection, run):
        if run in self.by_run:
            self.by_run[run].begin()
        connection.sendall(b"null")

    def answer(self, connection, run):
        notes = self.by_run.pop(run, None)
        found = None
        if notes is not None:
            found = {
                "records": notes.records(),
                "unseen": list(notes.unseen),
                "powerless": list(notes.powerless),
            }
        connection.settimeout(10 * _LOOK_SECONDS)
        connection.sendall(json.dumps(found).encode("ascii"))

    def on_child(self):
        try:
            os.read(self.woken, 512)
        except BlockingIOError:
            pass
        for pid, status in children.ended():
            if pid == self.pid:
                self.end(status)

    def end(self, status):
        """End as the command did, and leave nothing of it behind."""
        children.kill_all()
        # A socket that is left says that this process was killed itself.
        os.unlink(self.path)
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            signal.signal(-code, signal.SIG_DFL) if code not in (-9, -19) else None
            os.kill(os.getpid(), -code)
        os._exit(code if code >= 0 else 128 - code)
