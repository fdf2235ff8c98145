"""Tries whether processes can be watched on this system."""

import os
import select
import socket

from . import children
from .filtering import Memory, Taken, put_on

_SECONDS = 5
_PATH = "/_nbcache_is_looked_for"


def why_not():
    """Return why processes cannot be watched here; `None` if they can.

    A child looks for a file, and its call is taken, read and let go, as it is done for kernels.
    """
    mine, theirs = socket.socketpair()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        children.die_with(parent)
        mine.close()
        _look(theirs)
    theirs.close()
    try:
        return _seen(mine)
    except OSError as error:
        return str(error)
    finally:
        # Before its end is waited for: it may wait for an answer.
        children.kill_tree(pid)
        os.waitpid(pid, 0)


def _look(connection):
    try:
        socket.send_fds(connection, [b"W"], [put_on()])
        os.path.exists(_PATH)
    except OSError as error:
        connection.sendall(str(error).encode())
    os._exit(0)


def _seen(connection):
    connection.settimeout(_SECONDS)
    said, descriptors, _, _ = socket.recv_fds(connection, 1 << 10, 1)
    if not descriptors:
        return said.decode() or "the process that is to be watched has ended"
    (listener,) = descriptors
    ready, _, _ = select.select([listener], [], [], _SECONDS)
    found = Taken().take(listener) if ready else None
    if found is None:
        return "no call arrives"
    _, thread, _, arguments = found
    wanted = os.fsencode(_PATH)
    # It is the first argument of the call, or the second one.
    if not any(_read(thread, address) == wanted for address in arguments[:2]):
        return "the memory of other processes cannot be read"
    return None


def _read(thread, address):
    try:
        return Memory().text(thread, address)
    except OSError:
        return None
