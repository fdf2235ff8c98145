"""Notes what a run does: the first look at each path, in the form of the tracer's records."""

import os
import re
import socket
import stat as modes
import struct

from . import calls, states
from .callers import KNOWN, OTHER, SCRIPT, folder_of, kind_of, module_folders
from .calls import AT_FDCWD

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# `struct sockaddr_in` and `sockaddr_in6` up to the address.
_LONGEST_ADDRESS = 28
_OWN_ADDRESSES = ("127.", "::1", "0.0.0.0", "::ffff:127.")  # noqa: S104 (compared)
# Names are looked up at port 53, and a connection to port 0 asks for the own address only.
_NO_PORTS = (0, 53)
# The report of a run that looks at a million files would not fit in memory.
_MOST = 200_000
# Packages of R, by what R looks at first: https://cran.r-project.org/doc/manuals/R-exts.html
_DESCRIBED = (b"/DESCRIPTION", b"/Meta/package.rds")
# Settings that a program reads when it starts, such as `.Rprofile` and `.bashrc`.
_SETTING = re.compile(r"\.\w*(?:rc|[Pp]rofile|[Ee]nviron|RData)")


class Notes:
    """The notes about one run.

    In Python with a tracer, opened and changed files count: what its code looks for and lists, and
    why, the tracer in the process knows better. The same holds for a program in Python that is the
    kernel of another language: it looks for its own modules.

    Args:
        main: The process of the kernel.
        quiet: Prefixes of paths, as bytes, that do not count.
        memory: Reads the memory of processes.
        is_traced: Whether Python processes have a tracer.
    """

    def __init__(self, main, quiet, memory, *, is_traced):
        self.main = main
        self._is_traced = is_traced
        self._quiet = quiet
        self._memory = memory
        self._kinds = {}
        self._described = {}
        self.unseen = {}
        self.powerless = {}
        self._forget()

    def _forget(self):
        self._seen = set()
        self._reads = {}
        self._writes = {}
        self._removed = {}
        self._moved = {}
        self._made = {}
        self._listings = {}
        self._hosts = {}

    def begin(self):
        """Note that the first cell begins: what came before belongs to the start of the kernel.

        Its settings count, in the home directory and in its folder.
        """
        folders = {os.path.expanduser("~"), folder_of(self.main)}
        settings = {
            path: found
            for path, found in self._reads.items()
            if os.path.dirname(path) in folders and _SETTING.fullmatch(os.path.basename(path))
        }
        self._forget()
        self._reads = settings

    def note(self, call, thread, arguments, waits):
        """Note a call before it goes on.

        Args:
            call: Its description.
            thread: The thread that calls.
            arguments: The arguments.
            waits: Tells whether the call still waits: the number of a thread may be given again.

        Raises:
            OSError: The process has gone, or its memory cannot be read.
        """
        does = call.does
        if does == calls.CONNECT:
            self._connect(thread, arguments)
        elif does == calls.LIST:
            self._list(thread, arguments[0])
        elif does == calls.UNSEEN:
            self.unseen["io_uring"] = True
        else:
            raw = self._memory.text(thread, arguments[call.path])
            if waits():
                self._note_path(call, thread, arguments, raw)

    def _note_path(self, call, thread, arguments, raw):
        does = call.does
        if raw.endswith(_DESCRIBED):
            self._described[os.fsdecode(self._absolute(thread, raw, call.folder, arguments))] = True
        # Most calls: the libraries of a program, before anything else is asked of the system.
        is_quiet = not raw or raw.startswith(self._quiet)
        kind = None if is_quiet else self._kind(thread)
        if does == calls.EXECUTE:
            self._kinds.pop(thread, None)
            self._note_powerless(os.fsdecode(self._absolute(thread, raw, call.folder, arguments)))
        if is_quiet:
            return
        flags = self._flags(call, thread, arguments) if does == calls.OPEN else 0
        path = self._absolute(thread, raw, call.folder, arguments)
        if self._is_new((does, path, flags & _WRITING, kind)):
            name = os.fsdecode(path)
            if does == calls.OPEN:
                self._open(name, flags)
            elif does == calls.RENAME:
                self._rename(call, thread, arguments, name)
            elif does == calls.LOOK:
                self._look_for(thread, name, kind)
            else:
                _SIMPLE[does](self, name)

    def _is_new(self, key):
        """Tell whether something is seen for the first time, or after a change."""
        does, path = key[:2]
        if key in self._seen or path.startswith(self._quiet):
            return False
        if len(self._seen) > _MOST:
            self.unseen["more than 200,000 files"] = True
            return False
        # Names may stand for other files after a change.
        if does in (calls.OPEN, calls.LOOK, calls.EXECUTE, calls.ENTER):
            self._seen.add(key)
        else:
            self._seen.clear()
        return True

    def _flags(self, call, thread, arguments):
        if call.flags is not None:
            return arguments[call.flags] & 0xFFFFFFFF
        return struct.unpack("Q", self._memory.read(thread, arguments[2], 8))[0]

    def _kind(self, thread):
        if thread not in self._kinds:
            self._kinds[thread] = kind_of(thread, self.main, is_traced=self._is_traced)
        return self._kinds[thread]

    @staticmethod
    def _absolute(thread, raw, folder, arguments):
        if raw[:1] != b"/":
            base = f"/proc/{thread}/cwd"
            if folder is not None:
                descriptor = arguments[folder] & 0xFFFFFFFF
                if descriptor != AT_FDCWD & 0xFFFFFFFF:
                    base = f"/proc/{thread}/fd/{descriptor}"
            raw = os.fsencode(os.readlink(base)) + b"/" + raw
        if b".." in raw:
            # A `..` goes up from the target of a link.
            above, dots, rest = (raw + b"/").rpartition(b"../")
            return os.path.normpath(os.path.join(os.path.realpath(above + dots), rest))
        return os.path.normpath(raw) if b"/." in raw or b"//" in raw or raw[-1:] == b"/" else raw

    def _open(self, path, flags):
        if not flags & _WRITING:
            self._read(path)
            return
        if flags & os.O_EXCL:
            self._expect(path)
        if flags & os.O_TRUNC:
            self._write(path)
        elif flags & os.O_RDWR:
            self._write(path, keeps="write")
        else:
            self._write(path, keeps="append" if flags & os.O_APPEND else "")

    def _look_for(self, thread, path, kind):
        if kind is KNOWN or path in self._reads or path in self._writes:
            return
        found = states.look(path, "touch")
        if found[1] == "directory" and not _is_in(folder_of(thread), path):
            # That it is there may decide what is done. The folders above the current one are.
            found = (*found[:-1], "probe")
        self._reads[states.source_of(path)] = found

    def _enter(self, path):
        self._look_for(self.main, path, OTHER)

    def _execute(self, path):
        # A missing program is a step of the search through `PATH`.
        if os.path.exists(path):
            self._read(path)

    def _note_powerless(self, path):
        """Note a program that would change its user, which it cannot do below the filter."""
        try:
            found = os.stat(path)
        except OSError:
            return
        if found.st_mode & modes.S_ISUID and found.st_uid != os.geteuid():
            self.powerless[path] = True

    def _expect(self, path):
        self._read(path, "probe")

    def _read(self, path, how="read"):
        if path not in self._reads and path not in self._writes:
            path = states.source_of(path)
            self._reads[path] = states.look(path, how)

    def _write(self, path, *, keeps=""):
        if path in self._writes:
            return
        found = states.look(path, "write", hashing=path in self._reads or bool(keeps))
        self._writes[path] = found
        folder = os.path.dirname(path)
        if found[0] is None and not os.path.isdir(folder):
            self._expect(folder)
        if keeps and path not in self._reads:
            self._reads[path] = (*found[:-1], keeps)

    def _truncate(self, path):
        self._write(path, keeps="write")

    def _make(self, path):
        self._expect(path)
        if not os.path.lexists(path):
            self._made[path] = True

    def _link(self, path):
        self._expect(path)
        self._write(path)

    def _remove(self, path):
        self._expect(path)
        if os.path.lexists(path) and not os.path.isdir(path):
            self._write(path)
            self._removed[path] = True

    def _rename(self, call, thread, arguments, source):
        folder = None if call.folder is None else call.folder + 2
        position = call.path + (1 if call.folder is None else 2)
        raw = self._memory.text(thread, arguments[position])
        target = os.fsdecode(self._absolute(thread, raw, folder, arguments))
        if not os.path.isdir(source):
            self._move(source, target)
            return
        for above, _, names in os.walk(source):
            inside = target + above[len(source) :]
            if not os.path.lexists(inside):
                self._made[inside] = True
            for name in names:
                self._move(os.path.join(above, name), os.path.join(inside, name))

    def _move(self, source, target):
        if not os.path.lexists(source):
            return
        made = self._writes.get(source)
        is_made = made is not None and made[1] == "" and source not in self._moved
        self._read(source)
        self._remove(source)
        self._write(target)
        if is_made:
            self._moved.pop(target, None)
        else:
            self._moved[target] = True

    def _list(self, thread, descriptor):
        kind = self._kind(thread)
        if kind is KNOWN:
            return
        path = os.readlink(f"/proc/{thread}/fd/{descriptor & 0xFFFFFFFF}")
        if path in self._listings or os.fsencode(path + "/").startswith(self._quiet):
            return
        if kind is SCRIPT and path in module_folders(thread):
            return  # the import of each module lists it
        names = states.listing(path)
        if names is not None:
            self._listings[path] = names

    def _connect(self, thread, arguments):
        length = min(arguments[2], _LONGEST_ADDRESS)
        raw = self._memory.read(thread, arguments[1], length)
        family = int.from_bytes(raw[:2], "little")
        if family == socket.AF_INET:
            host = socket.inet_ntop(family, raw[4:8])
        elif family == socket.AF_INET6 and length == _LONGEST_ADDRESS:
            host = socket.inet_ntop(family, raw[8:24])
        else:
            return
        port = int.from_bytes(raw[2:4], "big")
        if port not in _NO_PORTS and not host.startswith(_OWN_ADDRESSES):
            self._hosts[host] = True

    def records(self):
        """Return the observations, as records of the tracer's log of child processes."""
        found = [("read", *item) for item in self._reads.items()]
        found += [("write", *item) for item in self._writes.items()]
        for path in self._writes:
            state = states.look(path, "")
            if state[0] is not None:
                found.append(("left", path, state[0]))
        for kind, paths in (
            ("remove", self._removed),
            ("move", self._moved),
            ("make", self._made),
            ("host", self._hosts),
            ("described", self._described),
        ):
            found += [(kind, path) for path in paths]
        found += [("list", path, "", False, names) for path, names in self._listings.items()]
        return found


_SIMPLE = {
    calls.CREATE: Notes._write,
    calls.TRUNCATE: Notes._truncate,
    calls.EXECUTE: Notes._execute,
    calls.ENTER: Notes._enter,
    calls.MAKE: Notes._make,
    calls.REMOVE: Notes._remove,
    calls.LINK: Notes._link,
}


def _is_in(path, folder):
    return path == folder or path.startswith(folder.rstrip("/") + "/")
