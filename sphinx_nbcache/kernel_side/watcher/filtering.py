"""Puts the filter on a process, and takes calls from it."""

import ctypes
import os
import platform
import socket
import struct
import sys

from .calls import calls_of, filter_program

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_NO_NEW_PRIVS = 38
# The number of the call on x86-64 and aarch64.
_SYS_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SET_MODE_FILTER = 1
_NEW_LISTENER, _WAIT_KILLABLE = 1 << 3, 1 << 5


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))


def put_on():
    """Put the filter on this process and on all that it will start; return the listener.

    Raises:
        OSError: The system does not offer it, or a filter with a listener is on already.
    """
    machine = platform.machine()
    if not calls_of(machine) or not hasattr(_libc, "prctl"):
        raise OSError(f"the calls of {machine} are not known")
    code = ctypes.create_string_buffer(filter_program(machine))
    program = _Program(len(code) // 8, ctypes.cast(code, ctypes.c_void_p))
    # Needed without root: programs that change their user have no power from here on.
    # https://man7.org/linux/man-pages/man2/PR_SET_NO_NEW_PRIVS.2const.html
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise _error("PR_SET_NO_NEW_PRIVS")
    # Since Linux 5.19, calls wait for the watcher whatever signal comes. Without it, a timer that
    # interrupts each call would take it back again and again.
    for flags in (_NEW_LISTENER | _WAIT_KILLABLE, _NEW_LISTENER):
        listener = _libc.syscall(
            _SYS_SECCOMP[machine], _SET_MODE_FILTER, flags, ctypes.byref(program)
        )
        if listener >= 0:
            return listener
    raise _error("seccomp")


def _error(name):
    number = ctypes.get_errno()
    return OSError(number, f"{name}: {os.strerror(number)}")


def be_watched(path, run):
    """Put the filter on this process, and hand the listener to the watcher at a socket.

    If the system does not allow it, the process goes on: the watcher tells the build that it knows
    of no such run.

    Args:
        path: The path of the watcher's socket.
        run: The name of the run.
    """
    try:
        _be_watched(path, run)
    except OSError as error:
        sys.stderr.write(f"not watched: {error}\n")


def _be_watched(path, run):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(path)
        listener = put_on()
        try:
            # `connect` is observed, `sendmsg` is not: nothing here waits for the watcher.
            socket.send_fds(connection, [b"W" + run.encode()], [listener])
        finally:
            os.close(listener)


# `struct seccomp_notif` and `struct seccomp_notif_resp`; ioctls as `_IOWR('!', number, size)`:
# https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/seccomp.h
_REQUEST, _RESPONSE = struct.Struct("QIIiIQ6Q"), struct.Struct("QqiI")
_CONTINUE = 1


def _ioctl(number, size, direction=3):
    return ctypes.c_ulong((direction << 30) | (size << 16) | (0x21 << 8) | number)


_RECEIVE, _SEND = _ioctl(0, _REQUEST.size), _ioctl(1, _RESPONSE.size)
_IS_VALID = _ioctl(2, 8, direction=1)
_SET_FLAGS = _ioctl(4, 8, direction=1)
_SYNC_WAKE_UP = 1


class Taken:
    """Takes calls from listeners, and lets them go on."""

    def __init__(self):
        self._request = ctypes.create_string_buffer(_REQUEST.size)
        self._response = ctypes.create_string_buffer(_RESPONSE.size)
        self._id = ctypes.c_uint64()
        self._ioctl = _libc.ioctl

    def prepare(self, listener):
        """Let caller and watcher take turns on one processor, where the system can (Linux 6.6)."""
        self._ioctl(listener, _SET_FLAGS, ctypes.c_ulong(_SYNC_WAKE_UP))

    def take(self, listener):
        """Return the next call: its id, the thread, its number and its arguments.

        Returns `None` if it was taken back: a signal had come, or the process was killed.
        """
        # The kernel refuses a structure that is not empty.
        ctypes.memset(self._request, 0, _REQUEST.size)
        if self._ioctl(listener, _RECEIVE, self._request) < 0:
            return None
        call, thread, _flags, number, _machine, _at, *arguments = _REQUEST.unpack(self._request)
        return call, thread, number, arguments

    def is_valid(self, listener, call):
        """Tell whether a call still waits: only then was the memory that was read its own."""
        self._id.value = call
        return self._ioctl(listener, _IS_VALID, ctypes.byref(self._id)) == 0

    def let_go(self, listener, call):
        """Let a call go on."""
        _RESPONSE.pack_into(self._response, 0, call, 0, 0, _CONTINUE)
        self._ioctl(listener, _SEND, self._response)


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


_PAGE = 4096


class Memory:
    """Reads from the memory of other processes.

    Not through `/proc/PID/mem`: a file that is kept open is that of the program before `execve`.
    """

    def __init__(self):
        self._buffer = ctypes.create_string_buffer(_PAGE)
        self._mine = _Vector(ctypes.addressof(self._buffer), _PAGE)
        self._theirs = _Vector(0, 0)
        self._both = ctypes.byref(self._mine), ctypes.byref(self._theirs)
        self._read = _libc.process_vm_readv

    def text(self, thread, address):
        """Return the bytes up to the next null byte.

        Raises:
            OSError: They cannot be read.
        """
        found = b""
        while len(found) <= _PAGE:  # `PATH_MAX`
            # Never across the end of a page: the next one may not be there.
            part = self.read(thread, address, _PAGE - address % _PAGE)
            end = part.find(b"\0")
            if end >= 0:
                return found + part[:end]
            found += part
            address += len(part)
        return found

    def read(self, thread, address, length):
        """Return this many bytes, at most a page.

        Raises:
            OSError: They cannot be read.
        """
        mine, theirs = self._both
        self._theirs.base, self._theirs.length = address, length
        got = self._read(thread, mine, 1, theirs, 1, 0)
        if got <= 0:
            raise _error("process_vm_readv")
        return self._buffer.raw[:got]
