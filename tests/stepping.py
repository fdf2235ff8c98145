"""Builds in a process of their own that stop at points, where others act or kill them."""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import socket
import threading
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from sphinx_nbcache.files import moving
from sphinx_nbcache.files.confined import OpenFolder
from sphinx_nbcache.files.moving import Move
from sphinx_nbcache.project.products import Artifacts, Change
from sphinx_nbcache.store.access import Access

ASIDE = re.compile(r"\.nbcache-[0-9a-f]{16}-(aside|partial).*", re.DOTALL)
# System calls on the files that a build moves, each of which is a point.
CALLS = ("names", "look", "create", "open", "rename", "link", "remove", "remove_folder")

Stop = dict[str, Any]
Point = Callable[..., None]


class Stepped:
    """Work in a fork of this process, which stops at points until it may go on.

    Args:
        work: Is called in the fork with a function that stops there. Its keyword arguments
            describe the point. What `work` returns is the last stop.
    """

    def __init__(self, work: Callable[[Point], Stop]) -> None:
        here, there = socket.socketpair()
        self.process = os.fork()
        if self.process == 0:
            here.close()
            _work(there, work)
        there.close()
        self._socket, self._stops = here, here.makefile("rb")

    def stop(self) -> Stop:
        """Wait for the next stop, and return what describes it."""
        return dict(json.loads(self._stops.readline()))

    def go_on(self) -> None:
        """Let the process go on."""
        self._socket.sendall(b".")

    def end(self, *, kill: bool = False) -> None:
        """Wait for the end of the process, or kill it where it stopped."""
        if not self.process:
            return
        if kill:
            os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        self.process = 0
        self._stops.close()
        self._socket.close()


def _work(connection: socket.socket, work: Callable[[Point], Stop]) -> NoReturn:
    """Do the work, and end without any cleanup that the work does not do itself."""
    gc.disable()  # a collection would copy every page of what was loaded
    turn = threading.Lock()

    def send(described: Stop) -> None:
        connection.sendall(json.dumps(described).encode() + b"\n")

    def point(**described: Any) -> None:
        with turn:
            send(described)
            connection.recv(1)

    try:
        send({"kind": "end", **work(point)})
    except BaseException:  # noqa: BLE001 (the parent process raises it)
        send({"kind": "error", "text": traceback.format_exc()})
    finally:
        os._exit(0)


def stop_at_changes(point: Point) -> None:
    """Make each change of files by this process, and of the store, a point. There is no way back.

    Points in the course of a change tell which file it is of, relative to the root.
    """
    changed = ""

    def before(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def stopping(*arguments: Any, **named: Any) -> Any:
            point(kind="store" if owner is Access else name, name=changed)
            return original(*arguments, **named)

        setattr(owner, name, stopping)

    trouble, recover = Artifacts._trouble, moving.recover  # noqa: SLF001 (one change)

    def carrying_out(self: Artifacts, change: Change, move: Move) -> str | None:
        nonlocal changed
        changed = change.name
        point(kind="begin", name=changed)
        met = trouble(self, change, move)
        point(kind="done", name=changed)
        return met

    def recovering(folder: OpenFolder, move: Move) -> str | None:
        nonlocal changed
        changed = move.path
        point(kind="recover", name=changed)
        return recover(folder, move)

    for call in CALLS:
        before(OpenFolder, call)
    before(Access, "write")
    Artifacts._trouble = carrying_out  # type: ignore[method-assign]  # noqa: SLF001
    moving.recover = recovering
