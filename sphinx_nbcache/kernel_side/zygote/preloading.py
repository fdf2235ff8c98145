"""Imports modules and the tracer ahead of the notebooks, and detects side effects that they notice.

Some modules keep references to the standard streams, as default arguments or in log handlers. In
kernels that are forked later, these must write to the streams of the kernel: hence [](StandIn).
"""

import importlib.util
import io
import os
import sys
import types

from . import hiding, private_names, recording

# Modules that every ipykernel imports before its first cell, as far as they exist.
_BASE = """
ipykernel.kernelapp ipykernel.ipkernel ipykernel.iostream ipykernel.displayhook ipykernel.zmqshell
ipykernel.debugger ipykernel.comm.manager IPython.core.debugger IPython.core.completerlib
IPython.core.oinspect IPython.extensions.storemagic
tornado.platform.asyncio tornado.queues sqlite3 pydoc pdb psutil faulthandler runpy encodings.idna
""".split()
_INLINE = "module://matplotlib_inline.backend_inline"
# These libraries start threads when they are imported. OpenBLAS handles a fork (since 0.2.9, if
# built with pthreads): https://github.com/numpy/numpy/issues/18167
_BLAS = ("numpy", "scipy")
# The name of jemalloc's background thread, which pyarrow starts. jemalloc handles a fork.
_ALLOCATOR = "jemalloc_bg_thd"


class StandIn(io.TextIOBase):
    """A stream that records that it was written to, until it forwards to another one."""

    said = False
    target = None

    def write(self, text):
        if self.target is not None:
            return self.target.write(text)
        self.said = True
        return len(text)

    def flush(self):
        if self.target is not None:
            self.target.flush()

    def isatty(self):
        return False

    def fileno(self):
        if self.target is None:
            raise io.UnsupportedOperation("fileno")
        return self.target.fileno()

    @property
    def encoding(self):
        return getattr(self.target, "encoding", "utf-8")

    @property
    def errors(self):
        return getattr(self.target, "errors", "strict")


out, err = StandIn(), StandIn()


def lead_to_kernel():
    """Forward the replacements to the streams that the kernel has installed."""
    out.target, err.target = sys.stdout, sys.stderr


class Tracers:
    """The loaded tracers, by the source that loads them, for kernels to use as their own."""

    def __init__(self):
        self.loaded = {}

    def load(self, tracer):
        """Load the modules for an order; return whether they were not loaded before.

        Args:
            tracer: The sources from the order, or None.
        """
        if tracer is None or tracer["load"] in self.loaded:
            return False
        try:
            exec(tracer["load"], {"__name__": "<nbcache>"})
        except Exception:
            pass  # the kernel itself reports what is wrong with them
        package = tracer["package"]
        names = [name for name in list(sys.modules) if name.partition(".")[0] == package]
        # Remove them again: kernels of runs that are not traced must not have them.
        self.loaded[tracer["load"]] = modules = {name: sys.modules.pop(name) for name in names}
        if (imports := modules.get(f"{package}.imports")) is not None:
            imports.LOADED = _by_folder(hiding.all_loaded())
        return True

    def start(self, tracer):
        """Start the tracer in a kernel; return whether it runs."""
        if tracer is None:
            return False
        sys.modules.update(self.loaded[tracer["load"]])
        try:
            exec(tracer["install"], {"__name__": "<nbcache>"})
        except Exception:
            return False
        return True


def _by_folder(modules):
    """Return the names of modules by the folder of `sys.path` that contains their files."""
    folders = [os.path.join(path, "") for path in sys.path if os.path.isabs(path)]
    found = {folder: set() for folder in sorted(folders, key=len, reverse=True)}
    for name, module in modules.items():
        file = getattr(module, "__dict__", {}).get("__file__")
        if type(file) is not str or "/.." in file:
            continue
        for folder, names in found.items():
            if file.startswith(folder):
                names.add(name)
                break
    return {folder: frozenset(names) for folder, names in found.items()}


def import_base():
    """Import the modules that all kernels need."""
    # Without it, debugpy warns at its import about frozen modules. Kernelspecs of ipykernel set it
    # as well. https://github.com/fabioz/PyDev.Debugger/issues/213
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    for name in _BASE:
        _import(name)
    if importlib.util.find_spec("argcomplete") is not None:
        # Only then kernels complete their command line, at every start.
        _import("traitlets.config.argcomplete_config")
    _rehearse()


def preload(names):
    """Import further modules, and return a report.

    Returns:
        `python` (version), `missing` (requirements for forking kernels), `not_light` (those that
        only light kernels have), `threads` (before
        these modules), `failed` and `unsafe` (name to reason), `loaded` (top-level names that
        these modules have added).
    """
    report = {
        "python": list(sys.version_info[:3]),
        "missing": _missing(),
        "not_light": private_names.missing(private_names.KERNEL),
        "threads": len(_threads()),
        "failed": {},
        "unsafe": {},
        "loaded": [],
    }
    if names and not report["missing"]:
        before = set(sys.modules)
        with recording.Recorder(_BLAS, _threads) as recorder:
            for name in sorted(names, key=_order):
                _preload_one(name, report, recorder)
        new = {name.partition(".")[0] for name in set(sys.modules) - before}
        report["loaded"] = sorted(new)
        hiding.Hidden(before, recorder).hide(names)
    return report


def _rehearse():
    """Compile and cache the regular expressions with which IPython splits cells."""
    try:
        from IPython.core.inputtransformer2 import TransformerManager

        TransformerManager().transform_cell("x = 1\n")
    except Exception:
        pass


def _order(name):
    top = name.partition(".")[0]
    # BLAS first, so that its threads are started by its own import, and count as harmless.
    return _BLAS.index(top) if top in _BLAS else len(_BLAS), name


def _import(name):
    try:
        __import__(name)
    except Exception:
        pass


def _missing():
    """Return names that forking needs and other versions of the libraries may lack."""
    import atexit
    import gc
    import threading

    app = getattr(sys.modules.get("ipykernel.kernelapp"), "IPKernelApp", None)
    needed = [
        (app, "ipykernel.kernelapp.IPKernelApp", "init_iopub initialize start close parent_handle"),
        (atexit, "atexit", "_run_exitfuncs"),
        (threading, "threading", "_shutdown"),
        (gc, "gc", "freeze"),
    ]
    return [
        f"{place}.{name}"
        for owner, place, names in needed
        for name in names.split()
        if not hasattr(owner, name)
    ]


def _threads():
    """Return the threads of the process: id to name."""
    found = {}
    for thread in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{thread}/comm") as file:
                found[thread] = file.read().strip()
        except OSError:
            pass
    return found


def _preload_one(name, report, recorder):
    if name.partition(".")[0] == "matplotlib" and not os.environ.get("MPLBACKEND"):
        # As kernels do before their first cell (ipykernel 7.4, `IPKernelApp.init_gui_pylab`):
        # matplotlib reads the variable when it is imported.
        os.environ["MPLBACKEND"] = _INLINE
    known = dict(_threads())
    with _Watch() as watch:
        try:
            # Import as a cell does, so that a library's messages to its importer appear here.
            exec(f"import {name}", {"__name__": "__main__"})
        # Also SystemExit: a module must not end the zygote.
        except BaseException as error:
            report["failed"][name] = f"{type(error).__name__}: {error}"
    threads = {
        thread: name
        for thread, name in _threads().items()
        if thread not in known and thread not in recorder.bearable and name != _ALLOCATOR
    }
    if threads:
        report["unsafe"][name] = "it starts threads while it is imported"
    elif watch.noticed:
        report["unsafe"][name] = watch.noticed


class _Watch:
    """Detects imports that behave differently in a cell than before all cells."""

    noticed = ""

    def __enter__(self):
        self.streams = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = self.ours = out, err
        for stream in self.ours:
            stream.said = False
        self.places = [
            (module, module.get_ipython)
            for name, module in list(sys.modules.items())
            if name.partition(".")[0] == "IPython"
            and isinstance(getattr(module, "get_ipython", None), types.FunctionType)
        ]
        for module, _ in self.places:
            module.get_ipython = self.get_ipython
        return self

    def get_ipython(self):
        self.noticed = "it asks, while it is imported, whether it is in IPython"

    def __exit__(self, *_):
        for module, original in self.places:
            module.get_ipython = original
        if any(stream.said for stream in self.ours):
            self.noticed = "it writes something while it is imported"
        sys.stdout, sys.stderr = self.streams
