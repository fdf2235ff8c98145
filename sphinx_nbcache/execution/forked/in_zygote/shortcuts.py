"""What a forked kernel need not do: it was done before the fork, or nothing would come of it.

Each of these is left out where ipykernel is not as it is known here: it takes longer then.
"""

import contextlib
import copy
import functools
import os
import sys
import threading

from . import processes

_PLACE = "/nbcache/connection-file"
# Who calls `flush` to have all outputs in order, not because something was written.
_CAREFUL = ("IPython", "ipykernel")


class CommandLines:
    """Command lines of kernels that were parsed ahead: they differ in the connection file alone."""

    def __init__(self):
        self.parsed = {}

    def parse(self, arguments):
        """Parse the arguments of a kernel, unless those of one like it were parsed before."""
        template = _template(arguments)
        if template in self.parsed:
            return
        self.parsed[template] = None
        try:
            config = _parsed(template)
            if _with_file(config, arguments) == _parsed(arguments):
                self.parsed[template] = config
        except (Exception, SystemExit):
            pass  # the kernel itself says what is wrong with them

    def hand_over(self, app, arguments):
        """Let an application have the arguments that it would parse."""
        config = self.parsed.get(_template(arguments))
        if config is None:
            return

        def parse_command_line(argv=None):
            if list(argv or ()) != list(arguments):
                type(app).parse_command_line(app, argv)
                return
            app.argv = list(argv)
            app.cli_config = _with_file(config, arguments)
            app.update_config(app.cli_config)
            app.extra_args = []

        app.parse_command_line = parse_command_line


def _template(arguments):
    """Return the arguments with a word that stands for the connection file."""
    words = list(arguments)
    if "-f" in words[:-1]:
        words[words.index("-f") + 1] = _PLACE
    return tuple(words)


def _parsed(arguments):
    """Return the configuration that an application makes of its arguments."""
    from ipykernel.kernelapp import IPKernelApp

    app = IPKernelApp()
    app.parse_command_line(list(arguments))
    if app.extra_args or app.subapp is not None or app.argv != list(arguments):
        raise ValueError("they are not all for the configuration")
    return app.cli_config


def _with_file(config, arguments):
    """Return a copy of a configuration with the connection file that the arguments name."""
    filled = copy.deepcopy(config)
    section = filled["IPKernelApp"]
    kind = type(section["connection_file"])
    section["connection_file"] = kind(arguments[list(arguments).index("-f") + 1])
    return filled


def module_files(ours):
    """Return the files of all modules but ours, as a kernel collects them for its debugger."""
    left_out = {"__main__", *ours}
    return [
        # A copy: all of them lie side by side, on few pages of memory.
        file[:1] + file[1:]
        for name, module in list(sys.modules.items())
        if name not in left_out
        and type(file := getattr(module, "__dict__", {}).get("__file__")) is str
        and file
    ]


@contextlib.contextmanager
def with_module_files(files):
    """Let ipykernel find these files in `sys.modules`, and not look at each module.

    What is looked at is copied, and of thousands of modules hardly one is needed.
    """
    from ipykernel import ipkernel

    if getattr(ipkernel, "sys", None) is not sys:
        yield
        return
    ipkernel.sys = _Sys(files)
    try:
        yield
    finally:
        ipkernel.sys = sys


class _Sys:
    """Stands in for `sys`."""

    def __init__(self, files):
        self.modules = _Modules(files)

    def __getattr__(self, name):
        return getattr(sys, name)


class _Modules:
    """Stands in for `sys.modules`, but a copy of it holds nothing but files."""

    def __init__(self, files):
        self._files = files

    def __getattr__(self, name):
        return getattr(sys.modules, name)

    def __getitem__(self, name):
        return sys.modules[name]

    def __contains__(self, name):
        return name in sys.modules

    def copy(self):
        return self

    def values(self):
        module = _Module()
        for file in self._files:
            module.__file__ = file
            yield module


class _Module:
    """Stands in for each module in turn."""


def spare_empty_flushes():
    """Let IPython's and ipykernel's own flushes of a stream that holds nothing return at once.

    They would wait until another thread has done nothing, several times for each cell.
    """
    from ipykernel.iostream import OutStream

    flush, send = getattr(OutStream, "flush", None), getattr(OutStream, "_flush", None)
    if flush is None or send is None or not hasattr(OutStream, "_rotate_buffers"):
        return
    # What a thread has taken out of the buffer must be under way before others see it empty.
    lock, process = threading.RLock(), os.getpid()

    @functools.wraps(flush)
    def flush_if_needed(self):
        if os.getpid() == process and _caller(2) in _CAREFUL:
            with lock:
                if not getattr(self, "_buffers", True):
                    return
        flush(self)

    @functools.wraps(send)
    def send_locked(self):
        if os.getpid() != process:
            # In a child nobody may be there to let go of it.
            send(self)
            return
        with lock:
            send(self)

    OutStream.flush, OutStream._flush = flush_if_needed, send_locked


def spare_pauses(kernel):
    """Let a kernel not sleep after each cell.

    It does so in the hope that outputs arrive before the reply; whoever runs notebooks waits for
    the message that comes after them on the same way.
    """
    if hasattr(kernel, "_execute_sleep"):
        kernel._execute_sleep = 0


def spare_search_for_children(kernel):
    """Let a kernel that ends, and has no child, not look through all processes of the system."""
    search = getattr(kernel, "_process_children", None)
    if search is not None:
        kernel._process_children = lambda: [] if processes.has_no_child() else search()


def _caller(depth):
    """Return the name of the package whose code is that many frames above."""
    return sys._getframe(depth).f_globals.get("__name__", "").partition(".")[0]
