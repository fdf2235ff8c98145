"""Shortcuts for a forked kernel: it skips work that was done before the fork, or has no effect.

Each shortcut is skipped if ipykernel does not look as expected: then the kernel is slower.
"""

import contextlib
import copy
import functools
import os
import sys
import threading

from . import children

_PLACE = "/nbcache/connection-file"
# These packages call `flush` to keep outputs in order, not because something was written.
_CAREFUL = ("IPython", "ipykernel")


class CommandLines:
    """Command lines of kernels, parsed ahead: they differ in the connection file only."""

    def __init__(self):
        self.parsed = {}

    def parse(self, arguments):
        """Parse the arguments of a kernel, unless similar ones were parsed before."""
        template = _template(arguments)
        if template in self.parsed:
            return
        # If parsing fails, do not try again for each kernel.
        self.parsed[template] = None
        try:
            config = _parsed(template)
            # Prove with one real case that nothing but the file depends on it.
            if _with_file(config, arguments) == _parsed(arguments):
                self.parsed[template] = config
        except (Exception, SystemExit):
            pass  # the kernel itself reports what is wrong with them

    def hand_over(self, app, arguments):
        """Give an application the arguments that it would parse."""
        config = self.parsed.get(_template(arguments))
        if config is None:
            return

        def parse_command_line(argv=None):
            # Another caller, perhaps of a later version, has changed the arguments.
            if list(argv or ()) != list(arguments):
                type(app).parse_command_line(app, argv)
                return
            app.argv = list(argv)
            app.cli_config = _with_file(config, arguments)
            app.update_config(app.cli_config)
            app.extra_args = []

        app.parse_command_line = parse_command_line


def _template(arguments):
    """Return the arguments with a placeholder for the connection file."""
    words = list(arguments)
    if "-f" in words[:-1]:
        words[words.index("-f") + 1] = _PLACE
    return tuple(words)


def _parsed(arguments):
    """Return the configuration that an application creates from its arguments."""
    from ipykernel.kernelapp import IPKernelApp

    app = IPKernelApp()
    app.parse_command_line(list(arguments))
    if app.extra_args or app.subapp is not None or app.argv != list(arguments):
        raise ValueError("they are not all for the configuration")
    return app.cli_config


def _with_file(config, arguments):
    """Return a copy of a configuration with the connection file from the arguments."""
    filled = copy.deepcopy(config)
    section = filled["IPKernelApp"]
    kind = type(section["connection_file"])
    section["connection_file"] = kind(arguments[list(arguments).index("-f") + 1])
    return filled


def module_files(ours):
    """Return the files of all modules but ours, as a kernel collects them for its debugger."""
    left_out = {"__main__", *ours}
    return [
        # Copied, so that all of them lie next to each other, on few pages of memory.
        file[:1] + file[1:]
        for name, module in list(sys.modules.items())
        if name not in left_out
        and type(file := getattr(module, "__dict__", {}).get("__file__")) is str
        and file
    ]


@contextlib.contextmanager
def with_module_files(files):
    """Make ipykernel find these files in `sys.modules`, instead of inspecting each module.

    Inspecting a module copies its memory pages, and hardly any of thousands of modules is needed.
    """
    from ipykernel import ipkernel

    # ipykernel 7.4 iterates over `sys.modules.copy()` in `IPythonKernel.__init__`.
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
    """Stands in for `sys.modules`, but a copy of it contains only files."""

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
    """Make IPython's and ipykernel's own flushes of an empty stream return at once.

    Otherwise they wait for another thread that has nothing to do, several times per cell.
    """
    from ipykernel.iostream import OutStream

    flush, send = getattr(OutStream, "flush", None), getattr(OutStream, "_flush", None)
    if flush is None or send is None or not hasattr(OutStream, "_rotate_buffers"):
        return
    # `OutStream._flush` (ipykernel 7.4) empties the buffer before it sends. Another thread must not
    # see the buffer empty in between, and continue before the text is sent.
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
            # In a child process, the thread that would release the lock may not exist.
            send(self)
            return
        with lock:
            send(self)

    OutStream.flush, OutStream._flush = flush_if_needed, send_locked


def spare_pauses(kernel):
    """Make a kernel not sleep after each cell.

    It sleeps in the hope that outputs arrive before the reply; nbclient waits for the idle message,
    which follows the outputs on the same channel.
    """
    # A FIXME in ipykernel 7.4 (`Kernel.execute_request`) explains the pause: messages were lost on
    # rare occasions.
    if hasattr(kernel, "_execute_sleep"):
        kernel._execute_sleep = 0


def spare_search_for_children(kernel):
    """Make a kernel that ends without children not search all processes of the system."""
    # psutil (7.2, `Process.children`) reads the parents of all processes in /proc.
    search = getattr(kernel, "_process_children", None)
    if search is not None:
        kernel._process_children = lambda: [] if children.has_no_child() else search()


def _caller(depth):
    """Return the name of the package whose code is that many frames above."""
    return sys._getframe(depth).f_globals.get("__name__", "").partition(".")[0]
