"""Prepares a kernel for cells whose output bypasses Python.

Such output arrives before its cell counts as ended, and the commands of `!` and `%%bash` write
to the cell that started them.
"""

import builtins
import ctypes
import functools
import os
import sys
import time
import types

# A child process that keeps writing in the background must not delay the cells.
_MOST_SECONDS = 1.0
_PAUSE_SECONDS = 0.0002
# Used where the system does not reveal what a thread waits for.
_BLIND_SECONDS = 0.001
# Both modules keep the function under this name.
_MODULES = ("IPython.core.interactiveshell", "ipykernel.zmqshell")


class _Arrival:
    def __init__(self, streams):
        self.streams = streams
        try:
            self.libc = ctypes.CDLL(None)
            # Only stdout: another thread may hold the lock of another stream while it waits for
            # input.
            self.out = ctypes.c_void_p.in_dll(self.libc, "stdout")
        except (OSError, TypeError, ValueError):
            self.out = None

    def await_all(self, *_):
        """Flush C's buffer, and wait until all written data has been read."""
        try:
            if self.out is not None:
                # C buffers whole blocks for a pipe, so the text of a `printf` would appear in a
                # later cell. ipykernel reads the descriptors since 6.0:
                # https://github.com/ipython/ipykernel/pull/630
                self.libc.fflush(self.out)
            end = time.monotonic() + _MOST_SECONDS
            for stream in self.streams:
                self.await_one(stream, end)
        except Exception:
            pass

    def await_one(self, stream, end):
        # Private names of `OutStream` (ipykernel 6.0 to 7.4); `_install_arrival` skips streams
        # without.
        descriptor, thread = stream._fid, stream.watch_fd_thread
        while thread.is_alive() and time.monotonic() < end:
            # The thread must not even be returning from a read, with data not yet forwarded. If it
            # waits inside the read, the pipe is empty.
            try:
                # The number of the system call and its arguments: `read` has the descriptor as its
                # first one. https://man7.org/linux/man-pages/man5/proc_pid_syscall.5.html
                words = _read(f"/proc/self/task/{thread.native_id}/syscall").split()
            except OSError:
                # Only Linux has this file, and not in every configuration
                # (CONFIG_HAVE_ARCH_TRACEHOOK).
                time.sleep(_BLIND_SECONDS)
                return
            if len(words) > 1 and int(words[1], 16) == descriptor:
                return
            time.sleep(_PAUSE_SECONDS)


def _read(path):
    """Return the beginning of a file, without `open`, whose layers take longer than the read."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 512)
    finally:
        os.close(descriptor)


def _install_arrival():
    streams = [
        stream
        for stream in (sys.stdout, sys.stderr)
        if getattr(stream, "watch_fd_thread", None) is not None
        and getattr(stream, "_fid", None) is not None
    ]
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if streams and shell is not None:
        # ipykernel sends its reply and the idle message after this event.
        shell.events.register("post_run_cell", _Arrival(streams).await_all)


try:
    _install_arrival()
except Exception:
    pass  # outputs of cells that write through Python do not depend on it


class _Pexpect:
    """The module `pexpect`, except that processes started with it have no input."""

    def __init__(self, module):
        self._module = module

    def __getattr__(self, name):
        found = getattr(self._module, name)
        # IPython (9.18, `ProcessHandler.system`) runs `!` commands in a terminal of their own,
        # where a command that asks for input waits for ever:
        # https://github.com/ipython/ipykernel/issues/304
        if name in ("spawn", "spawnb"):
            return functools.partial(found, preexec_fn=_take_input_away)
        return found


def _take_input_away():
    """Make standard input empty: in the child, before it becomes the shell."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    if nothing != 0:
        os.close(nothing)


def _import(name, *more, **options):
    module = builtins.__import__(name, *more, **options)
    return _Pexpect(module) if name == "pexpect" else module


def _without_input(system):
    """Return IPython's own function with a replaced `pexpect`."""
    function = system.__func__
    # A copy of the function with other globals: patching pexpect itself would concern notebooks
    # that use it. IPython imports pexpect inside the function, hence the replaced `__import__`.
    names = dict(function.__globals__, __builtins__=dict(vars(builtins), __import__=_import))
    if "pexpect" in names:
        names["pexpect"] = _Pexpect(names["pexpect"])
    same = types.FunctionType(
        function.__code__, names, function.__name__, function.__defaults__, function.__closure__
    )
    return types.MethodType(same, system.__self__)


def _install_commands():
    for name in _MODULES:
        module = sys.modules.get(name)
        system = getattr(module, "system", None)
        # Ask the class: asking the object would fix its choice of a shell before the first cell.
        if os.name == "posix" and hasattr(type(getattr(system, "__self__", None)), "sh"):
            module.system = _without_input(system)


try:
    _install_commands()
except Exception:
    pass  # cells without such commands do not depend on it
