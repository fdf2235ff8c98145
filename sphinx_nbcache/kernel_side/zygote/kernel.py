"""A kernel, from the fork to its end: equivalent to `python -m ipykernel_launcher`."""

import atexit
import ctypes
import gc
import importlib.util
import io
import json
import os
import sys
import threading
import time
import traceback

import zmq

from . import hiding, ipython_folders, preloading, shortcuts

_LAUNCHER = getattr(importlib.util.find_spec("ipykernel_launcher"), "origin", "ipykernel_launcher")


def run_kernel(order):
    """Become the ordered kernel, and end with it."""
    connection = order.pop("connection")
    logs = {_identity(descriptor) for descriptor in (1, 2)}
    try:
        _take_over(order)
        app = _make_app(order)
    except BaseException as error:
        traceback.print_exc(file=sys.__stderr__)
        _tell(connection, {"error": f"{type(error).__name__}: {error}"})
        # Not `sys.exit`: this stack belongs to the zygote, and has its exit handlers.
        os._exit(1)
    # Start the tracer last: everything before is not the notebook's doing. Tell the other side
    # after that: it may send the first cell at once.
    untouched = _where_nothing_was(app)
    is_tracing = order["tracers"].start(order["tracer"])
    _tell(connection, {"bound": True, "untouched": untouched, "tracing": is_tracing})
    connection.close()
    status = 0
    try:
        app.start()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
        status = 1
    _end(app, status, logs)


def _tell(connection, what):
    try:
        connection.sendall(json.dumps(what).encode() + b"\n")
    except OSError:
        pass


def _take_over(order):
    """Apply an order to the process: variables, folder, arguments, random seeds."""
    os.environ.clear()
    os.environ.update(order["environment"])
    # The variable names the parent of a kernel, which is the zygote here.
    os.environ["JPY_PARENT_PID"] = str(os.getppid())
    # The zygote may have had another TZ when it imported `time`, which sets `time.tzname` and
    # others: https://docs.python.org/3/library/time.html#time.tzset
    time.tzset()
    os.chdir(order["folder"])
    sys.argv = [_LAUNCHER, *order["arguments"]]
    sys.orig_argv = order["command"]
    # CPython's `random` reseeds itself after a fork. Others do not: all kernels of a zygote would
    # draw the same numbers, unlike kernels that are started one by one.
    if (found := hiding.loaded("numpy.random")) is not None:
        found.seed()
    if (found := hiding.loaded("sympy.core.random")) is not None:
        found.rng.seed()


def _make_app(order):
    from ipykernel.kernelapp import IPKernelApp

    # The default was read from the environment when ipykernel was imported. A kernel ends itself
    # when its parent has another id (ipykernel 7.4, `ParentPollerUnix`).
    app = IPKernelApp.instance(parent_handle=os.getppid())
    if order["mark"] is not None:
        order["light"].make_light(app, order["mark"], order["descriptors"])
    else:
        _lift_limit(app)
        # Before `initialize`, which creates the streams.
        shortcuts.spare_empty_flushes()
    order["command_lines"].hand_over(app, order["arguments"])
    ipython_folders.leave_unmade()
    with shortcuts.with_module_files([_LAUNCHER, *order["module_files"]]):
        app.initialize(order["arguments"])
    shortcuts.spare_pauses(app.kernel)
    shortcuts.spare_search_for_children(app.kernel)
    # After `initialize`, which has replaced `sys.stdout` and `sys.stderr`.
    preloading.lead_to_kernel()
    exec(order["before"], {"__name__": "<nbcache>"})
    return app


def _lift_limit(app):
    """Make ZeroMQ keep all messages that no client has fetched; by default, only a thousand."""
    init_iopub = app.init_iopub

    def init_iopub_without_limit(context):
        # The limit counts only if it is set before the socket is bound.
        # https://github.com/nteract/papermill/issues/426
        context.setsockopt(zmq.SNDHWM, 0)
        init_iopub(context)

    app.init_iopub = init_iopub_without_limit


def _where_nothing_was(app):
    """Return modification times of the folders in which no user code to execute was found.

    Nanoseconds by path; `None` for a missing folder. Returns None if there is user code: settings,
    or start-up files.
    """
    try:
        profile, startup = app.profile_dir.location, app.profile_dir.startup_dir
        found = {folder: _changed(folder) for folder in (profile, startup)}
        names = os.listdir(startup) if found[startup] else ()
        if app.loaded_config_files or os.environ.get("PYTHONSTARTUP"):
            return None
        return None if any(name.endswith((".py", ".ipy")) for name in names) else found
    except Exception:
        # Without these attributes of ipykernel, no kernel is used ahead of time.
        return None


def _changed(folder):
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return None


def _end(app, status, logs):
    """End in the same order as Python, but without destroying objects in memory."""
    try:
        # As `Py_FinalizeEx` does: threads that are no daemons are joined first, and exit handlers
        # run after that. https://docs.python.org/3.13/c-api/init.html#c.Py_FinalizeEx
        threading._shutdown()
        # ipykernel's `close` would stop threads that other threads wait for, for up to 20 seconds.
        # The process ends anyway.
        atexit.unregister(app.close)
        atexit._run_exitfuncs()
        shell = app.shell
        if shell is not None:
            # Objects of cells may write when they are destroyed: an open file, or a temporary
            # folder.
            shell.user_ns.clear()
        if _has_open_files(logs):
            # Files may be part of cycles. Collecting takes long, so it is done only if a file is
            # open.
            gc.collect()
            _flush_all()
        for stream in (sys.__stdout__, sys.__stderr__):
            if stream is not None:
                stream.flush()
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    # C libraries flush their files at exit. Not `os._exit`, which skips that, and not `CDLL`, which
    # would release the GIL: then daemon threads would run on while memory is torn down.
    # https://docs.python.org/3/library/ctypes.html#ctypes.PyDLL
    ctypes.PyDLL(None).exit(status)
    os._exit(status)


def _has_open_files(logs):
    """Tell whether a file is open for writing, besides the kernel's logs."""
    for name in os.listdir("/proc/self/fd"):
        try:
            if not os.readlink(f"/proc/self/fd/{name}").startswith("/"):
                continue
            with open(f"/proc/self/fdinfo/{name}") as file:
                flags = next(line for line in file if line.startswith("flags:")).split()[1]
            # `flags` is octal: https://man7.org/linux/man-pages/man5/proc_pid_fdinfo.5.html
            if int(flags, 8) & os.O_ACCMODE != os.O_RDONLY and _identity(int(name)) not in logs:
                return True
        except (OSError, StopIteration, ValueError):
            continue
    return False


def _identity(descriptor):
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _flush_all():
    for found in gc.get_objects():
        # Not `isinstance(found, IOBase)`: it asks for `__class__`, which proxies answer by running
        # code.
        if isinstance(type(found), type) and issubclass(type(found), io.IOBase):
            try:
                found.flush()
            except (OSError, ValueError):
                pass  # closed, or read-only
