"""Lets what a cell wrote past Python arrive before the cell counts as ended.

ipykernel makes pipes of the descriptors 1 and 2, and threads that read them. A cell ends without
waiting for these: what is still on its way is lost, or shown as that of another cell. And what C
has kept in its buffer comes when that is full.
"""

import ctypes
import os
import sys
import time

# A child process that writes on and on in the background must not hold up the cells.
_MOST_SECONDS = 1.0
_PAUSE_SECONDS = 0.0002
# Where nobody tells what a thread waits for.
_BLIND_SECONDS = 0.001


class _Arrival:
    def __init__(self, streams):
        self.streams = streams
        try:
            self.libc = ctypes.CDLL(None)
            # Only this one: of others another thread may hold the lock, and wait for input.
            self.out = ctypes.c_void_p.in_dll(self.libc, "stdout")
        except (OSError, TypeError, ValueError):
            self.out = None

    def await_all(self, *_):
        """Write out C's buffer, and wait until all that was written has been read."""
        try:
            if self.out is not None:
                self.libc.fflush(self.out)
            end = time.monotonic() + _MOST_SECONDS
            for stream in self.streams:
                self.await_one(stream, end)
        except Exception:
            pass

    def await_one(self, stream, end):
        descriptor, thread = stream._fid, stream.watch_fd_thread
        while thread.is_alive() and time.monotonic() < end:
            # It must not even be on its way back from reading: then it has not handed on yet what
            # it has read. If it waits in there, the pipe is empty.
            try:
                words = _read(f"/proc/self/task/{thread.native_id}/syscall").split()
            except OSError:
                time.sleep(_BLIND_SECONDS)
                return
            if len(words) > 1 and int(words[1], 16) == descriptor:
                return
            time.sleep(_PAUSE_SECONDS)


def _read(path):
    """Return what a file begins with, without the layers of `open`: they take longer than that."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 512)
    finally:
        os.close(descriptor)


def _install():
    streams = [
        stream
        for stream in (sys.stdout, sys.stderr)
        if getattr(stream, "watch_fd_thread", None) is not None
        and getattr(stream, "_fid", None) is not None
    ]
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if streams and shell is not None:
        shell.events.register("post_run_cell", _Arrival(streams).await_all)


try:
    _install()
except Exception:
    pass  # outputs of cells that write by themselves do not depend on it
