"""The zygote's loop, which forks and monitors kernels.

Everything that all kernels need is imported at once. Then the other side of the control socket
sends one line of JSON: which `modules` to preload, and the code that each kernel executes `before`
its first cell. The answer is one line of JSON: the report on preloading. Each order to fork is a
byte with three descriptors: a connection for this kernel alone, and its standard output and error.
A light kernel gets three more: its connection with the build, and pipes for what cells write.
The order itself (a length and JSON) is sent on the connection, and lines of JSON come back:

    {"pid": ...}     it was forked
    {"bound": true}  its sockets are bound (sent by the kernel itself, with `untouched`: where it
                     has looked for user code, if it has executed none)
    {"error": ...}   it could not be started (may also be sent by the kernel)
    {"exit": ...}    it has ended: an exit status, negative for a signal

If the connection is closed, the kernel is killed; if the control socket is closed, all kernels are.
The process has a single thread, as forking requires; only libraries that handle a fork may have
more.
"""

import gc
import json
import os
import select
import signal
import socket
import struct
import sys

from . import children, filtering, preloading, shortcuts

# How often to check that the parent still exists: copies of its sockets may outlive it, in
# processes that the parent has forked, so the end of a socket is not enough.
_LOOK_MILLISECONDS = 1000
# How many descriptors come with an order, by its byte: see above.
_PASSED = {b"F": 3, b"L": 6}
# The rest of an order arrives immediately.
_ORDER_SECONDS = 10


def serve(descriptor):
    """Fork kernels until the other side closes the socket. Return the order, in the children."""
    return _Zygote(socket.socket(fileno=descriptor)).loop()


class _Zygote:
    def __init__(self, control):
        self.parent = os.getppid()
        self.control = control
        os.set_inheritable(control.fileno(), False)
        self.kernels = {}  # by process id: the connection
        self.by_descriptor = {}  # of the connection: the process id
        self.poller = select.poll()
        # Not PR_SET_PDEATHSIG: it is sent when the parent's *thread* ends that has started this
        # process. https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
        children.adopt_orphans()
        thresholds = gc.get_threshold()
        # Imports create permanent objects: collecting garbage meanwhile takes a fifth of their
        # time.
        gc.set_threshold(0)
        preloading.import_base()
        # Not at the top: it imports ipykernel.
        from . import light

        self.light = light
        told = json.loads(_line(control))
        report = preloading.preload(told["modules"])
        self.before = compile(told["before"], "<nbcache>", "exec")
        self.command_lines = shortcuts.CommandLines()
        self.tracers = preloading.Tracers()
        # A kernel does not look through all names: the pages it reads would be copied.
        self.ours = [name for name in sys.modules if name.partition(".")[0] == __package__]
        self.module_files = shortcuts.module_files(self.ours)
        # Exclude existing objects from garbage collection, so that their pages stay shared: the
        # collector writes to each object that it examines.
        # https://docs.python.org/3/library/gc.html#gc.freeze
        gc.freeze()
        if gc.get_threshold()[0] == 0:  # a module may have set others
            gc.set_threshold(*thresholds)
        control.sendall(json.dumps(report).encode() + b"\n")
        self.woken, self.wake = os.pipe()
        for end in (self.woken, self.wake):
            # `set_wakeup_fd` rejects a blocking descriptor, and a full pipe must not block a
            # signal.
            os.set_blocking(end, False)
        # Python restarts `poll` after a signal (PEP 475), so a handler alone would not end it. The
        # byte that Python writes to the pipe does. A handler must be set, or SIGCHLD writes none.
        # https://docs.python.org/3/library/signal.html#signal.set_wakeup_fd
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.wake)
        # Ctrl-C at the terminal is for the parent to handle.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.poller.register(control, select.POLLIN)
        self.poller.register(self.woken, select.POLLIN)

    def loop(self):
        while True:
            ready = self.poller.poll(_LOOK_MILLISECONDS)
            # The parent was killed: whoever adopts this process has another id.
            if os.getppid() != self.parent:
                self.end()
            for descriptor, _ in ready:
                if descriptor == self.woken:
                    self.drain()
                elif descriptor == self.control.fileno():
                    order = self.take_order()
                    if order is not None:
                        return order
                elif descriptor in self.by_descriptor:
                    self.hear(descriptor)
            self.reap()

    def drain(self):
        try:
            os.read(self.woken, 512)
        except BlockingIOError:
            pass

    def take_order(self):
        """Fork; return the order in the child, and None in the parent."""
        descriptors = self.receive()
        if descriptors is None:
            return None
        connection, out, err, *light = descriptors
        connection = socket.socket(fileno=connection)
        try:
            connection.settimeout(_ORDER_SECONDS)
            (length,) = struct.unpack("!I", _exactly(connection, 4))
            order = json.loads(_exactly(connection, length))
            connection.settimeout(None)
            self.command_lines.parse(order["arguments"])
            # Before the fork, so that the next kernel has them too. It is frozen like
            # the rest.
            if self.tracers.load(order["tracer"]):
                gc.freeze()
            # The child compares it with its parent: the zygote may be killed before the child has
            # asked to die with it.
            zygote = os.getpid()
            pid = os.fork()
        except (OSError, EOFError, ValueError) as error:
            _tell(connection, {"error": f"it cannot be forked: {error}"})
            connection.close()
            pid = None
        if pid == 0:
            self.become_child(out, err)
            children.die_with(zygote)
            if order["watched"]:
                filtering.be_watched(*order["watched"])
            order["connection"] = connection
            order["descriptors"] = light
            order["light"] = self.light
            order["command_lines"] = self.command_lines
            order["before"] = self.before
            order["tracers"] = self.tracers
            order["module_files"] = self.module_files
            order["ours"] = self.ours
            return order
        for descriptor in (out, err, *light):
            os.close(descriptor)
        if pid is not None:
            self.kernels[pid] = connection
            self.by_descriptor[connection.fileno()] = pid
            self.poller.register(connection, select.POLLIN)
            _tell(connection, {"pid": pid})
        return None

    def receive(self):
        """Return the descriptors of an order; None if they are not complete."""
        try:
            sent, descriptors, _, _ = socket.recv_fds(self.control, 1, max(_PASSED.values()))
        except OSError:
            sent, descriptors = b"", []
        if not sent:
            self.end()
        if len(descriptors) < _PASSED[sent]:
            # This process is at its limit of open files, and Linux drops the descriptors that are
            # too many: see MSG_CTRUNC in https://man7.org/linux/man-pages/man2/recvmsg.2.html.
            # The end of the connection tells the other side.
            for descriptor in descriptors:
                os.close(descriptor)
            return None
        for descriptor in descriptors:
            # Received descriptors are inheritable, unlike others in Python (PEP 446): commands that
            # cells start would keep the connection open.
            os.set_inheritable(descriptor, False)
        return descriptors

    def become_child(self, out, err):
        """Release the zygote's resources in the child."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # As jupyter_client does (`start_new_session`): signals to the group reach the kernel and
        # its commands only.
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        for position, descriptor in enumerate((nothing, out, err)):
            os.dup2(descriptor, position)
        for descriptor in (nothing, out, err, self.woken, self.wake):
            os.close(descriptor)
        self.control.close()
        # Otherwise this kernel would keep the connections of others open, and their ends unnoticed.
        for other in self.kernels.values():
            other.close()

    def hear(self, descriptor):
        """Kill the kernel if its connection was closed by the other side."""
        pid = self.by_descriptor[descriptor]
        try:
            said = self.kernels[pid].recv(4096)
        except OSError:
            said = b""
        if not said:
            self.poller.unregister(descriptor)
            del self.by_descriptor[descriptor]
            children.kill_tree(pid)

    def reap(self):
        """Report kernels that have ended. Orphans that have ended are reaped as well."""
        for pid, status in children.ended():
            # As a subreaper, this process also gets orphans that kernels have left
            # (`adopt_orphans`).
            connection = self.kernels.pop(pid, None)
            if connection is None:
                continue
            children.kill_left(pid, self.kernels)
            if self.by_descriptor.pop(connection.fileno(), None) is not None:
                self.poller.unregister(connection)
            _tell(connection, {"exit": os.waitstatus_to_exitcode(status)})
            connection.close()

    def end(self):
        """Kill all kernels and the processes that they have left, and exit."""
        children.kill_all(self.kernels)
        # Exit handlers of preloaded modules belong to kernels: here they would run for nothing, or
        # hang.
        os._exit(0)


def _tell(connection, what):
    try:
        connection.sendall(json.dumps(what).encode() + b"\n")
    except OSError:
        pass  # no one is listening


def _exactly(connection, length):
    read = b""
    while len(read) < length:
        part = connection.recv(length - len(read))
        if not part:
            raise EOFError("the order ends too early")
        read += part
    return read


def _line(connection):
    read = b""
    while not read.endswith(b"\n"):
        part = connection.recv(65536)
        if not part:
            os._exit(0)
        read += part
    return read
