"""Importing ahead of the notebooks, and what can be said about it."""

import builtins
import importlib
import os
import sys

# What every ipykernel imports before its first cell.
_BASE = """
ipykernel.kernelapp ipykernel.ipkernel ipykernel.iostream ipykernel.displayhook ipykernel.zmqshell
ipykernel.debugger ipykernel.comm.manager IPython.core.debugger IPython.core.completerlib
IPython.core.oinspect IPython.core.pylabtools IPython.extensions.storemagic
tornado.platform.asyncio tornado.queues sqlite3 pydoc pdb encodings.idna
""".split()


def preload(names):
    """Import what all kernels need, and these modules; return what is to be known about it.

    Returns:
        `python` (version), `threads` (of the base), `failed` (name to reason), `unsafe` (name to
        reason), `loaded` (top-level names that came with the modules), `edges`.
    """
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    missing = [name for name in _BASE if not _import(name)]
    report = {
        "python": list(sys.version_info[:3]),
        "missing": missing,
        "threads": len(_threads()),
        "failed": {},
        "unsafe": {},
        "loaded": [],
        "edges": {},
    }
    return report


def _import(name):
    try:
        importlib.import_module(name)
    except Exception:
        return False
    return True


def _threads():
    return os.listdir("/proc/self/task")
