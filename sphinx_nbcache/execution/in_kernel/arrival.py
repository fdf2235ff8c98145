"""Makes output that bypasses Python arrive before its cell counts as ended.

ipykernel turns descriptors 1 and 2 into pipes, which threads read. A cell ends without waiting for
these threads: output in transit is lost, or assigned to another cell. Output in C's buffer arrives
only when the buffer is full.
"""

import ctypes
import os
import sys
import time

# A child process that keeps writing in the background must not delay the cells.
_MOST_SECONDS = 1.0
_PAUSE_SECONDS = 0.0002
# Used where the system does not reveal what a thread waits for.
_BLIND_SECONDS = 0.001


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
                self.libc.fflush(self.out)
            end = time.monotonic() + _MOST_SECONDS
            for stream in self.streams:
                self.await_one(stream, end)
        except Exception:
            pass

    def await_one(self, stream, end):
        descriptor, thread = stream._fid, stream.watch_fd_thread
        while thread.is_alive() and time.monotonic() < end:
            # The thread must not even be returning from a read, with data not yet forwarded. If it
            # waits inside the read, the pipe is empty.
            try:
                words = _read(f"/proc/self/task/{thread.native_id}/syscall").split()
            except OSError:
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
    pass  # outputs of cells that write through Python do not depend on it
