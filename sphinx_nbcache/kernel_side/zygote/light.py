"""A light kernel: ipykernel's own, without ZeroMQ's sockets, and with a single thread.

ipykernel and IPython do what a kernel does. Only what connects them with the build differs:
[](light_wire.Wire) takes the place of sockets, and [](light_streams.Stream) that of the streams
whose threads read what is written past Python.
"""

import inspect
import threading
from contextlib import contextmanager

from . import light_streams, light_wire

# Settings of the application with which a light kernel would differ from an ordinary one.
_USUAL = {
    "kernel_class": "ipykernel.ipkernel.IPythonKernel",
    "outstream_class": "ipykernel.iostream.OutStream",
    "displayhook_class": "ipykernel.displayhook.ZMQDisplayHook",
    "capture_fd_output": "True",
    "quiet": "True",
    "no_stdout": "False",
    "no_stderr": "False",
    "trio_loop": "False",
}


class UnfitError(Exception):
    """The kernel is configured in a way that a light one cannot follow."""


def make_light(app, mark, descriptors):
    """Change an application, before it is initialised, so that its kernel is a light one.

    Args:
        app: The application of ipykernel.
        mark: The mark in the pipes.
        descriptors: The connection with the build, and the pipes for standard output and error.
    """
    from jupyter_client.session import Session

    wire = light_wire.Wire(mark, *descriptors)
    for name in (
        "init_connection_file",
        "init_poller",
        "init_heartbeat",
        "write_connection_file",
        "log_connection_info",
    ):
        setattr(app, name, _do_nothing)

    def init_sockets():
        _check(app)
        # The connection is a pair of sockets that no one else can reach: no message is signed.
        app.session = session = Session(parent=app)
        session.auth = None
        app.iopub_socket = wire.channel(light_wire.IOPUB)

    init_io = app.init_io

    def init_io_of_ours():
        with _outstreams(app, light_streams.factory(wire)):
            init_io()

    app.init_sockets, app.init_io = init_sockets, init_io_of_ours
    app.init_kernel = lambda: _init_kernel(app, wire)


def _do_nothing(*_):
    pass


def _check(app):
    """Raise an exception if the application is not configured as usual."""
    for name, usual in _USUAL.items():
        found = getattr(app, name)
        if inspect.isclass(found):
            found = f"{found.__module__}.{found.__qualname__}"
        if str(found) != usual:
            raise UnfitError(f"IPKernelApp.{name} is {found}")


@contextmanager
def _outstreams(app, factory):
    """Give ipykernel another class of streams while it makes them."""
    from ipykernel import kernelapp

    find, wanted = kernelapp.import_item, str(app.outstream_class)
    kernelapp.import_item = lambda name: factory if name == wanted else find(name)
    try:
        yield
    finally:
        kernelapp.import_item = find


class _NoThread:
    """Stands for the thread of the shell channel, which there is not."""

    parent_thread = threading.main_thread()

    def __bool__(self):
        return False


def _init_kernel(app, wire):
    from ipykernel.ipkernel import IPythonKernel
    from ipykernel.kernelbase import Kernel

    class LightKernel(IPythonKernel):
        _supports_kernel_subshells = False

        def start(self):
            self.shell.exit_now = False
            # Not that of `IPythonKernel`, which warns that there is no debugger.
            Kernel.start(self)

    # Cells see the names of the class.
    LightKernel.__name__ = LightKernel.__qualname__ = IPythonKernel.__name__
    LightKernel.__module__ = IPythonKernel.__module__
    options = {}
    if hasattr(IPythonKernel, "shell_channel_thread"):  # ipykernel 7
        options["shell_channel_thread"] = _NoThread()
    app.kernel = kernel = LightKernel.instance(
        parent=app,
        session=app.session,
        shell_stream=wire.channel(light_wire.SHELL),
        control_stream=wire.channel(light_wire.CONTROL),
        iopub_socket=app.iopub_socket,
        log=app.log,
        profile_dir=app.profile_dir,
        user_ns=app.user_ns,
        **options,
    )
    app.displayhook.get_execution_count = lambda: kernel.execution_count
