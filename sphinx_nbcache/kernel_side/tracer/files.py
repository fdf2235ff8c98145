"""Files that are read, written, moved and removed."""

import os
import re
import sys
import time

from .common import (
    ENTERED,
    HERE,
    PATHS,
    absolute,
    is_below,
    is_emptying,
    is_making,
    is_too_long,
    located,
    outer,
    without_dots,
)
from .links import Links
from .lookups import Looks
from .states import SECOND_NS, digest_of, look, look_of, short, source_of, stat_of
from .watch import Proof, Watch

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_UNKNOWN = object()
# How a file is looked at by code that may see what it contains.
_READING = ("read", "probe")


class Files:
    """The files that were read, written and removed, and the directories that were made."""

    stat, look = staticmethod(stat_of), staticmethod(look)

    def __init__(self, quiet, log, roots=()):
        self.quiet = quiet
        self.log = log
        self.watch = Watch(roots)
        self.links = Links(quiet, log)
        self.restated = {}
        self.asks_sizes = False
        self.touched = set()
        self.seen = {}
        self.probed = set()
        self.reads = Looks()
        self.writes = {}
        self.inferred = {}
        self.databases = set()
        self.removed = {}
        self.moved = {}
        self.made = {}
        self.asked_versions = {}
        self.proof = Proof(self)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.forget_touched)

    def forget_touched(self):
        """Forget which files were opened for writing, so that the next time is noticed."""
        self.touched.clear()
        for flags, seen in self.seen.items():
            if flags & _WRITING:
                seen.clear()

    def is_product(self, path):
        """Tell whether the run wrote a file, or seems to have written it."""
        return path in self.writes or path in self.inferred or path in self.databases

    def read(self, path, how="read", found=_UNKNOWN):
        """Record that a file is about to be read, or looked for.

        A file that the run itself wrote is not an input, unless it only appended to it. Python also
        looks for cells as files after an exception: their names are in angle brackets.
        """
        if self.links.made:
            path = self.links.through(path)
        if path in self.reads or path in self.writes or path in self.inferred:
            if path in self.writes and how in _READING:
                self._read_appended(path)
            return
        if "<" in path and os.path.basename(path).startswith("<"):
            return
        if found is _UNKNOWN:
            found = self.stat(path)
        look = look_of(path, found, how)
        self.reads.keep(path, look)
        if self.log.is_child:
            self.log.note("read", path, look)

    def _read_appended(self, path):
        """Record that the run reads a file to which it has appended."""
        look = self.reads.at(path)
        if look is not None and look[4] == "append":
            look = (*look[:4], "read")
            self.reads.keep(path, look)
            self.log.note("read", path, look)

    def on_sizes(self):
        """Record that user code asks for positions in files: the size of one that it appends to."""
        self.asks_sizes = True
        for path in list(self.reads):
            self._read_appended(path)

    def write(self, path, *, keeps=""):
        """Record that a file is about to be written; `keeps` says how, if its content is kept.

        Content that was read and is about to be lost is hashed first. A child does not know what
        its parent has read.
        """
        self.touched.add(path)
        folder = os.path.dirname(path)
        self.watch.add(folder)
        if path in self.writes and not self.log.is_new(path):
            return
        was_read = path in self.reads or bool(keeps) or self.log.is_child
        # The audit event comes before the file is opened: the last chance to see what it contained.
        look = self.look(path, "write", hashing=was_read)
        if self.log.is_child:
            self.log.note("write", path, look)
            self.proof.prepare()
        if path in self.writes:
            return
        self.writes[path] = look
        if look[0] is not None:
            self.watch.forget_events(path)
        if look[0] is None and self.stat(folder) is None:
            self._expect(folder)
        if keeps and path not in self.reads:
            look = (*look[:-1], keeps)
            self.reads.keep(path, look)
            self.log.note("read", path, look)

    def on_open(self, path, mode, flags):
        seen = self.seen.get(flags)
        if seen is None:
            seen = self.seen[flags] = set()
        # An int is a descriptor that is wrapped in a file object: opening it has been seen.
        if type(path) is int or not path or path in seen or is_too_long(path):
            return False
        full = absolute(path)
        seen.add(path)
        if flags & _WRITING:
            return self._open_for_writing(self.links.through(full), flags)
        if full.startswith(self.quiet.prefixes):
            self._note_version(full)
        # `shutil.rmtree` opens the directories that it empties with `os.open`; `os.open` passes no
        # mode.
        elif not (mode is None and is_emptying(sys._getframe(2))):
            self.read(source_of(full))
        return False

    def _open_for_writing(self, path, flags):
        """Record an opening for writing; return whether to forbid it.

        Python would take bytecode for current if its source was changed twice within a second and
        kept its size. So no bytecode is written for such a young source.
        """
        if "__pycache__" in path:
            # Bytecode contains the time of its source in whole seconds:
            # https://github.com/python/cpython/issues/75953
            young = time.time_ns() - 2 * SECOND_NS
            look = self.look(source_of(re.sub(r"\.pyc\.\d+$", ".pyc", path)), "write")
            return look[0] is not None and look[0][1] > young
        if not path.startswith(self.quiet.prefixes):
            # With O_EXCL, opening fails if the file exists, so its absence is an input.
            if flags & os.O_EXCL:
                self._expect(path)
            if flags & os.O_TRUNC:
                self.write(path)
            elif flags & os.O_RDWR:
                self.write(path, keeps="write")
            elif flags & os.O_APPEND:
                self.write(path, keeps="write" if self.asks_sizes else "append")
            else:
                self.write(path)
        return False

    def _note_version(self, path):
        # `importlib.metadata` reads these files for the version of a package.
        if not path.endswith(("-info/METADATA", "-info/PKG-INFO")):
            return
        if self.quiet.is_user(outer(sys._getframe(3), self.quiet.library_prefixes)):
            self.asked_versions[os.path.basename(os.path.dirname(path))] = True

    def on_remove(self, path, dir_fd=-1):
        path = self._emptied(path, dir_fd)
        if path in self.links.made:
            self.links.remove(path)
            self.forget()
        elif path is not None:
            self._expect(path)
        if path is not None and self.stat(path) is not None:
            self.remove(path)

    def on_rmdir(self, path, dir_fd=-1):
        path = self._emptied(path, dir_fd)
        if path is not None:
            self._expect(path)

    def _emptied(self, path, dir_fd):
        """Return the absolute path of what is removed; None in a tree that `rmtree` removes."""
        is_known = dir_fd not in (-1, None) and is_emptying(sys._getframe(2))
        return None if is_known else self._place(path, dir_fd)

    def _place(self, path, dir_fd=-1):
        """Return the absolute path of what is made, moved or removed; it may be a link itself."""
        full = located(path, dir_fd)
        if full is None or not self.links.made:
            return full
        folder, name = os.path.split(full)
        return os.path.join(self.links.through(folder), name)

    def on_chdir(self, path):
        ENTERED.clear()
        if type(path) is not int:
            full = absolute(path)
            self._expect(full)
            ENTERED.append(without_dots(full))
        self.forget()

    def _expect(self, path):
        """Record that an action depends on whether a path exists.

        Elsewhere than in the project, libraries make their own folders and files.
        """
        is_meant = is_below(path, self.watch.prefixes) or (
            self.quiet.is_user(outer(sys._getframe(2), PATHS)) and not is_making(sys._getframe(2))
        )
        self.read(path, "probe" if is_meant else "touch")

    def remove(self, path):
        """Record that a file is about to be removed."""
        self.write(path)
        self.removed[path] = True
        self.forget()
        self.log.note("remove", path)

    def on_rmtree(self, path, *more):
        self.watch.forget(absolute(path))
        # One event for the whole tree: where `rmtree` works by descriptors, the events for single
        # files have relative names.
        for folder, _, names in os.walk(absolute(path)):
            for name in names:
                self.remove(os.path.join(folder, name))
        self.links.remove(absolute(path))

    def on_rename(self, source, target, source_fd=-1, target_fd=-1):
        source, target = self._place(source, source_fd), self._place(target, target_fd)
        if source is None or target is None:
            return  # names relative to an unknown directory
        self.links.move(source, target)
        if os.path.isdir(source) and not os.path.islink(source):
            self.watch.forget(source)
            self.watch.forget(target)
            for folder, _, names in os.walk(source):
                inside = target + folder[len(source) :]
                self.on_mkdir(inside)
                for name in names:
                    self._move(os.path.join(folder, name), os.path.join(inside, name))
        else:
            self._move(source, target)

    def _move(self, source, target):
        if target not in self.links.made:
            self.read(source)
        if self.stat(source) is not None:
            is_made = self._is_made(source)
            self.remove(source)
            self._write_as(target, is_made=is_made)

    def on_link(self, source, target, source_fd=-1, target_fd=-1):
        source, target = self._place(source, source_fd), self._place(target, target_fd)
        if source is None or target is None:
            return
        self._expect(target)
        self.read(source)
        self.on_touch(source)
        self._write_as(target, is_made=self._is_made(source))

    def on_symlink(self, source, target, dir_fd=-1):
        target = self._place(target, dir_fd)
        if target is None:
            return
        self._expect(target)
        behind = os.path.join(os.path.dirname(target), os.fsdecode(source))
        self._write_as(target, is_made=self._is_made(without_dots(behind)))
        self.links.make(target, source)
        self.forget()

    def on_touch(self, path, *more):
        """Hash a file that is read before the run changes its times, permissions or links."""
        path = None if type(path) is int else self.links.through(absolute(path))
        if path is None or path in self.restated or path.startswith(self.quiet.prefixes):
            return
        now = self.look(path, "named", hashing=True)
        if now[1] != "file" or path in self.writes:
            return
        self.restated[path] = now

    def is_restated(self, path):
        """Tell whether the run changed only the times, the permissions or the links of a file."""
        look = self.restated.get(path)
        return look is not None and look[3] is not None and look[3] == digest_of(path)

    def renewed(self, path, look):
        """Return a look at a file with the times and the links that the run gave it."""
        before = self.restated[path]
        if look is None or look[0] != before[0] or not self.is_restated(path):
            return look
        return (short(self.stat(path)), *look[1:3], before[3], look[4])

    def _is_made(self, path):
        """Tell whether the run created a file where nothing was before."""
        look = self.writes.get(path)
        return look is not None and look[1] == "" and path not in self.moved

    def _write_as(self, path, *, is_made):
        """Record that a path is about to become the new name of an existing file."""
        self.write(path)
        if is_made:
            self.moved.pop(path, None)
        else:
            # The content belongs to someone who may have no other copy.
            self.moved[path] = True
            self.log.note("move", path)

    def on_truncate(self, path, *more):
        if type(path) is not int:
            self.write(self.links.through(absolute(path)), keeps="write")

    def on_mkdir(self, path, mode=None, dir_fd=-1):
        full = self._place(path, dir_fd)
        if full is None:
            return
        self._expect(full)
        if self.stat(full) is None:
            self.made[full] = True
            self.watch.forget(full)
            self.log.note("make", full)

    def forget(self):
        """Forget cached looks: names may stand for other files now."""
        HERE.clear()
        self.seen.clear()
        self.probed.clear()

    def on_sqlite(self, database):
        """Hash a database before it is opened in C, for reading and perhaps for writing."""
        if isinstance(database, str) and database.startswith("file:"):
            # URI filenames: https://www.sqlite.org/uri.html
            database = re.sub(r"^file:(//(localhost)?(?=/))?|[?#].*$", "", database)
        if database and database not in (":memory:", b":memory:"):
            path = absolute(database)
            self.databases.add(path)
            self.watch.add(os.path.dirname(path))
            # Other programs may have the database open: the log then has what is not in it yet.
            for file in (path, path + "-wal"):
                if file not in self.reads and file not in self.writes:
                    look = self.look(file, "database", hashing=True)
                    self.reads.keep(file, look)
                    self.log.note("read", file, look)

    def on_library(self, name):
        """Record that a library of C is loaded by its path; others are the system's."""
        if isinstance(name, (str, bytes)):
            name = os.fsdecode(name)
            path = absolute(name) if os.sep in name else ""
            if path and not path.startswith(self.quiet.prefixes):
                self.read(path)
