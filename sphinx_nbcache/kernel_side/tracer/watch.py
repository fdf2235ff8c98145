"""The process that changed a file, where Linux reports it: fanotify and `/proc`.

An unprivileged fanotify group gets the process ID of its own events only; for all others it gets
zero (fanotify_init(2), Linux 5.13). That is enough here. inotify is no alternative: it names no
process, and merges two saves in a row.
"""

import contextlib
import os
import stat as modes
import struct
import sys

from .states import short

# Constants of <linux/fanotify.h>, which Python does not have:
# https://man7.org/linux/man-pages/man2/fanotify_init.2.html
_CLOEXEC, _NONBLOCK, _REPORT_DIR_FID, _REPORT_NAME = 0x1, 0x2, 0x400, 0x800
_MARK_ADD, _MARK_ONLYDIR = 0x1, 0x8
_CLOSE_WRITE, _MOVED_TO, _OVERFLOW, _ON_CHILD = 0x8, 0x80, 0x4000, 0x08000000
# The only event for a new link, symbolic or hard.
_CREATE = 0x100
_DFID_NAME = 2
# `struct fanotify_event_metadata`, and the information that follows it with a file handle:
# https://man7.org/linux/man-pages/man7/fanotify.7.html
_EVENT = struct.Struct("=IBBHQii")
_INFO = struct.Struct("=BBH8sIi")
_HERE = -100
_LONGEST_HANDLE = 128
_BUFFER = 1 << 16
_MOST_FOLDERS = 1000
# Notebooks may show the numbers of their descriptors, so ours avoids low ones: outputs must not
# depend on whether a run is traced.
_HIGH = 200
_FANOTIFY = "anon_inode:[fanotify]"
# The unwrapped function: the wrapped one is slower.
_stat = os.stat


class Watch:
    """The files that were written in watched folders, by this process or by another one.

    Events start when a folder is marked: `is_known` tells whether they are complete. Without
    fanotify (old kernels, containers that forbid it, network file systems, other systems), they
    never are.
    """

    available = sys.platform == "linux"

    def __init__(self, folders):
        self.prefixes = tuple(os.path.join(folder, "") for folder in folders)
        # The modules loaded without a cell's doing: ours have to be among them.
        self.loaded = set()
        self._begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def _begin(self):
        self.own = set()
        self.others = set()
        self._functions = self._wide = self._group = self._process = None
        self._inodes = {}
        self._late = set()
        self._names = {}

    def add(self, folder):
        """Start to watch a folder below the root."""
        if folder in self._inodes or not os.path.join(folder, "").startswith(self.prefixes):
            return
        if len(self._inodes) < _MOST_FOLDERS:
            self._late.add(folder)
            self._inodes[folder] = None
            self._inodes[folder] = self._mark(folder)

    def is_known(self, path):
        """Tell whether all writes since the folder was watched were observed."""
        folder = os.path.dirname(path)
        inode = self._inodes.get(folder)
        return inode is not None and self._is_open() and inode == _inode(folder)

    def begin(self):
        """Start a cell."""
        self._late.clear()

    def is_complete(self, path):
        """Tell whether all writes since the start of the cell were observed."""
        return os.path.dirname(path) not in self._late and self.is_known(path)

    def forget(self, folder):
        """Stop watching a folder and those in it: their paths stand for other folders now."""
        inside = os.path.join(folder, "")
        for path in list(self._inodes):
            if path == folder or path.startswith(inside):
                del self._inodes[path]

    def forget_events(self, path):
        """Forget who wrote a file so far."""
        self.drain()
        self.own.discard(path)
        self.others.discard(path)

    def drain(self):
        """Process the events that have arrived."""
        while self._group is not None and self._is_open():
            try:
                events = os.read(self._group, _BUFFER)
            except BlockingIOError:
                return
            if not events:
                return
            self._note(events)

    def _mark(self, folder):
        """Mark a folder; return its inode, or None if it cannot be watched."""
        if not self._open():
            return None
        name = os.fsencode(folder)
        inode = _inode(folder)
        key = self._key(name)
        # The kernel takes 64 bits; without the type, ctypes would pass an int.
        mask = self._wide(_CLOSE_WRITE | _MOVED_TO | _CREATE | _ON_CHILD)
        flags = _MARK_ADD | _MARK_ONLYDIR
        if key is None or self._functions.fanotify_mark(self._group, flags, mask, _HERE, name):
            return None
        self._names.setdefault(key, set()).add(folder)
        # Another folder may have taken the name between the two calls.
        return inode if inode == _inode(folder) else None

    def _open(self):
        """Open the group, unless it is open."""
        if self._process is None:
            self._process = os.getpid()
            if self.available:
                self._open_group()
        return self._is_open()

    def _open_group(self):
        before = set(sys.modules)
        import ctypes
        import fcntl

        self.loaded.update(name.partition(".")[0] for name in set(sys.modules) - before)
        self._wide = ctypes.c_uint64
        self._functions = functions = ctypes.CDLL(None)
        # `name_to_handle_at` came with glibc 2.14; other C libraries may lack it.
        if not all(hasattr(functions, n) for n in ("fanotify_init", "name_to_handle_at")):
            return
        flags = _CLOEXEC | _NONBLOCK | _REPORT_DIR_FID | _REPORT_NAME
        group = functions.fanotify_init(flags, os.O_RDONLY)
        if group >= 0:
            try:
                self._group = fcntl.fcntl(group, fcntl.F_DUPFD_CLOEXEC, _HIGH)
            except OSError:
                self._group = group
            else:
                os.close(group)

    def _is_open(self):
        """Tell whether the group is open: libraries may close descriptors that they do not own."""
        if self._group is not None and not _is_fanotify(self._group):
            self._group = None
        return self._group is not None

    def close(self):
        """Stop watching."""
        if self._group is not None and _is_fanotify(self._group):
            os.close(self._group)
        self._begin()

    def _after_fork(self):
        """Restart in a child: the events of the inherited group belong to its parent."""
        self.close()

    def _key(self, name):
        """Return the handle of a folder, in the form that events contain."""
        import ctypes

        handle = ctypes.create_string_buffer(8 + _LONGEST_HANDLE)
        struct.pack_into("=Ii", handle, 0, _LONGEST_HANDLE, 0)
        mount = ctypes.c_int()
        found = self._functions.name_to_handle_at(_HERE, name, handle, ctypes.byref(mount), 0)
        if found:
            return None
        return handle.raw[: 8 + struct.unpack_from("=I", handle, 0)[0]]

    def _note(self, events):
        start, process = 0, os.getpid()
        while start < len(events):
            length, _, _, head, mask, _, pid = _EVENT.unpack_from(events, start)
            # The queue was full, and events are lost: no folder is known from now on.
            if mask & _OVERFLOW:
                self._inodes = dict.fromkeys(self._inodes)
            else:
                found = self.own if pid == process else self.others
                found.update(self._paths(events[start + head : start + length]))
            start += length

    def _paths(self, info):
        """Return the paths in an event; a folder may have several."""
        if len(info) < _INFO.size:
            return []
        kind, _, _, _, size, _ = _INFO.unpack_from(info)
        # Later kernels may add other kinds of information.
        if kind != _DFID_NAME:
            return []
        key, name = info[12 : _INFO.size + size], info[_INFO.size + size :]
        name = os.fsdecode(name.partition(b"\0")[0])
        return [os.path.join(folder, name) for folder in self._names.get(key, ())]


class Proof:
    """The final report of a child: files that only it wrote, and their final state."""

    def __init__(self, files):
        self.files = files
        self.process = None

    def prepare(self):
        """Arrange for the report of this process; a killed process does not report."""
        if self.process == os.getpid():
            return
        self.process = os.getpid()
        import atexit

        atexit.register(self.tell)
        # In most versions of Python, children of multiprocessing exit without running `atexit`
        # callbacks, but its own finalizers run: https://github.com/python/cpython/issues/83856
        util = sys.modules.get("multiprocessing.util")
        if util is not None:
            util.Finalize(None, self.tell, exitpriority=-1000)

    def tell(self):
        if self.process != os.getpid():
            return
        self.process = None
        with contextlib.suppress(Exception):  # without a proof, but not without an end
            self._tell()

    def _tell(self):
        files, watch = self.files, self.files.watch
        watch.drain()
        for path in watch.own - watch.others:
            found = files.stat(path)
            if path in files.touched and found is not None and watch.is_known(path):
                files.log.note("left", path, short(found))


def _is_fanotify(descriptor):
    try:
        return os.readlink("/proc/self/fd/%d" % descriptor) == _FANOTIFY
    except OSError:
        return False


def _inode(folder):
    try:
        found = _stat(folder)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def open_for_writing():
    """Return device and inode of the files that this process has open, or mapped, for writing.

    Return None where the system does not report them.
    """
    try:
        numbers = os.listdir("/proc/self/fd")
    except OSError:
        return None
    found = {_written_through(number) for number in numbers} | _mapped_for_writing()
    return found - {None}


def _written_through(number):
    try:
        with open("/proc/self/fdinfo/" + number, encoding="ascii", errors="replace") as file:
            flags = next((line for line in file if line.startswith("flags:")), "flags: 0")
        if not int(flags.split()[1], 8) & (os.O_WRONLY | os.O_RDWR):
            return None
        found = os.fstat(int(number))
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if modes.S_ISREG(found.st_mode) else None


def _mapped_for_writing():
    found = set()
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                _, access, _, device, inode = line.split(None, 5)[:5]
                # Shared and writable: https://man7.org/linux/man-pages/man5/proc_pid_maps.5.html
                if access[1] == "w" and access[3] == "s" and inode != "0":
                    major, minor = device.split(":")
                    found.add((os.makedev(int(major, 16), int(minor, 16)), int(inode)))
    except OSError:
        pass
    return found


def written_bytes():
    """Return the number of bytes that this process and its awaited children wrote.

    Return None where the system does not report it. Memory-mapped, cloned and moved bytes are not
    included.
    """
    try:
        with open("/proc/self/io", "rb", buffering=0) as file:
            content = file.read()
    except OSError:
        return None
    for line in content.splitlines():
        # Not `write_bytes`, which counts what reaches the disk, later or never:
        # https://man7.org/linux/man-pages/man5/proc_pid_io.5.html
        if line.startswith(b"wchar:"):
            return int(line.split()[1])
    return None
