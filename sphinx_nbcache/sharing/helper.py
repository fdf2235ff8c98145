"""The helper: a process that talks to a place, so that no thread for it lives in a build.

It gets orders on a socket, carries them out one after the other, each in many threads, and reports
every object. It ends with the build, when the socket closes, or when the place turns out not to
work: a request that takes too long is the last one.
"""

from __future__ import annotations

import os
import queue
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from sphinx_nbcache.sharing.places import Place, PlaceError, Received, place_of
from sphinx_nbcache.sharing.wire import (
    Deleted,
    Done,
    Get,
    Got,
    List,
    Listed,
    Off,
    Order,
    Put,
    Written,
    allowed_seconds,
    read,
    write,
)
from sphinx_nbcache.text import one_line, shortened

_THREADS = 48
_LOOK_SECONDS = 0.05
_CAUSE = re.compile(r'(?:message|error): "([^"\n]{1,200})"')


class _Pool:
    """Threads that carry out the parts of one order at a time.

    Attributes:
        done: The reports of parts, or the exceptions that ended them.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._waiting: queue.SimpleQueue[tuple[Any, Received]] = queue.SimpleQueue()
        self.done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._running: dict[int, tuple[float, Received]] = {}
        self._threads = 0

    def start(self, parts: list[tuple[Any, Received]]) -> None:
        """Begin with the parts of an order."""
        for part in parts:
            self._waiting.put(part)
        while self._threads < min(_THREADS, len(parts)):
            self._threads += 1
            threading.Thread(target=self._work, daemon=True).start()

    def is_late(self) -> bool:
        """Tell whether a request takes longer than its bytes explain."""
        now = time.monotonic()
        running = list(self._running.values())
        return any(now - begin > allowed_seconds(received.size) for begin, received in running)

    def _work(self) -> None:
        me = threading.get_ident()
        while True:
            part, received = self._waiting.get()
            self._running[me] = time.monotonic(), received
            try:
                report = self._carried_out(part, received)
            except Exception as error:  # noqa: BLE001 (whatever a client raises ends the helper)
                report = error
            del self._running[me]
            self.done.put(report)

    def _carried_out(self, part: Any, received: Received) -> Any:
        match part:
            case ("get", name):
                return Got(name, self._place.get(name, received))
            case ("put", name, content):
                self._place.put(name, content)
                return Written(name)
            case ("delete", name):
                self._place.delete(name)
                return Deleted(name)
            case ("list", prefix):
                return Listed(self._place.list(prefix))
        raise AssertionError(part)


def parts_of(order: Order) -> list[tuple[Any, Received]]:
    """Return the requests of an order, each with its limit."""
    match order:
        case Get(limits=limits):
            return [(("get", name), Received(limit)) for name, limit in limits.items()]
        case Put(objects=objects):
            parts = []
            for name, content in objects.items():
                sent = Received(0)
                # Sending takes its time as well.
                sent.size = len(content)
                parts.append((("put", name, content), sent))
            return parts
        case List(prefix=prefix):
            return [(("list", prefix), Received(0))]
    return [(("delete", name), Received(0)) for name in order.names]


def serve(connection: socket.socket, url: str, folder: str) -> None:
    """Carry out orders until the connection closes, or the place does not work."""

    def tell(report: Any) -> None:
        write(connection, msgspec.msgpack.encode(report))

    orders: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, orders.put), daemon=True).start()
    try:
        pool = _Pool(place_of(url, folder))
        while True:
            order = msgspec.msgpack.decode(orders.get(), type=Order)
            for report in _reports(pool, parts_of(order)):
                tell(report)
            tell(Done())
    except Exception as error:  # noqa: BLE001 (its words are the report)
        tell(Off(words_of(error)))


def _reports(pool: _Pool, parts: list[tuple[Any, Received]]) -> Iterator[Any]:
    pool.start(parts)
    left = len(parts)
    while left:
        try:
            report = pool.done.get(timeout=_LOOK_SECONDS)
        except queue.Empty:
            if pool.is_late():
                raise PlaceError("a request takes too long") from None
            continue
        if isinstance(report, Exception):
            raise report
        left -= 1
        yield report


def words_of(error: Exception) -> str:
    """Return why a place does not work, in one line."""
    # obstore tells what it did, and after a dash why that failed; the cause of that is in a dump.
    told, _, dump = str(error).partition("Debug source:")
    did, _, why = " ".join(told.split()).partition(" - ")
    words = shortened(why.partition("<")[0].strip() or did or type(error).__name__)
    causes = _CAUSE.findall(dump)
    return one_line(f"{words} ({causes[-1]})" if causes else words)


def _listen(connection: socket.socket, put: Callable[[bytes], None]) -> None:
    """Read orders at once, so that a build that sends one never waits."""
    try:
        while (message := read(connection)) is not None:
            put(message)
    except OSError:
        pass
    # The build has ended, or was killed: nothing that is under way is of use.
    os._exit(0)


def main() -> None:
    """Serve the process that started this one."""
    # Ctrl-C is for the build, which ends this process by closing the socket.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "win32":
        connection = socket.fromshare(sys.stdin.buffer.read())
    else:
        connection = socket.socket(fileno=0)
    serve(connection, sys.argv[1], sys.argv[2])
    connection.close()
    os._exit(0)


if __name__ == "__main__":
    main()
