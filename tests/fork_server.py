"""Runs modules in forks of one process that has their libraries loaded: quick, and otherwise real.

It is started by `processes.py`. Each request comes over the socket that is named on the command
line: a length and JSON, with four file descriptors: the three standard streams, and one to tell
the process id and, later, the exit status. What is run in a fork is what `python -m` would run,
from its `__main__` to the exit of the interpreter.

Only libraries are loaded: each fork imports our own modules itself, in its own order.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
from typing import Any

HEADER = 8
STREAMS = 4

LIBRARIES = """
asyncio click diskcache docutils.core filelock jsonschema jupyter_client jupyter_client.manager
jupytext jupytext.cli msgspec myst_parser.parsers.sphinx_ myst_parser.sphinx_ext.main nbclient
nbformat pygments.lexers.python pygments.formatters.html rich.console rich.live rich.progress
rich.table sphinx.application sphinx.cmd.build yaml zmq.asyncio
""".split()


def load() -> None:
    """Import the libraries that builds and commands need; some are not installed everywhere."""
    for name in LIBRARIES:
        importlib.import_module(name)
    from sphinx.application import builtin_extensions

    for name in builtin_extensions:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    # Collections in forks would copy every page of what was loaded.
    gc.collect()
    gc.freeze()


def serve(control: socket.socket) -> dict[str, Any]:
    """Fork for each request; return the request in the fork. Ends when nobody asks any more."""
    awake, wakeup = socket.socketpair()
    wakeup.settimeout(0)
    awake.settimeout(0)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
    waiting: dict[int, int] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        selector.register(awake, selectors.EVENT_READ)
        while True:
            ready = [key.fileobj for key, _ in selector.select()]
            if awake in ready:
                awake.recv(4096)
                tell_the_ended(waiting)
            if control not in ready:
                continue
            request, descriptors = receive(control)
            if request is None:
                os._exit(0)
            sys.stdout.flush()
            process = os.fork()
            if process == 0:
                break
            for descriptor in descriptors[:-1]:
                os.close(descriptor)
            waiting[process] = descriptors[-1]
            os.write(waiting[process], b"%d\n" % process)
    # From here on this is the fork; nothing of the server may be seen in it.
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for ours in (control, awake, wakeup):
        ours.close()
    for descriptor in (*waiting.values(), descriptors[-1]):
        os.close(descriptor)
    for standard, descriptor in enumerate(descriptors[:-1]):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    return request


def receive(control: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """Return the next request and the descriptors that came with it; `None` at the end."""
    header, descriptors, _, _ = socket.recv_fds(control, HEADER, STREAMS)
    if not header:
        return None, []
    text = b""
    while len(text) < int(header):
        text += control.recv(int(header) - len(text))
    return json.loads(text), descriptors


def tell_the_ended(waiting: dict[int, int]) -> None:
    """Tell the exit status of each fork that has ended."""
    for process in list(waiting):
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            descriptor = waiting.pop(process)
            with contextlib.suppress(BrokenPipeError):  # nobody asked how it ended
                os.write(descriptor, b"%d\n" % os.waitstatus_to_exitcode(status))
            os.close(descriptor)


def become(request: dict[str, Any]) -> None:
    """Run the module of a request in this process, and end as the module does."""
    os.setsid()
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = [sys.executable, *request["arguments"]]
    sys.path[0] = request["folder"]
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    load()
    become(serve(socket.socket(fileno=int(sys.argv[1]))))
