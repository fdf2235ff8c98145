"""Paths that are looked for, and directories that are listed.

`os.stat` raises no audit event, so its callers are wrapped.
"""

import os
import pathlib
import re
import struct
import sys
import threading

from .common import (
    IMPORTLIB,
    PATHS,
    absolute,
    folder_of,
    is_below,
    is_emptying,
    is_making,
    is_too_long,
    located,
    outer,
    uses,
)
from .states import listing

# Arguments for `Files.read`, which tell it that nothing is at a path, or to look there itself.
_NOTHING, _UNSEEN = (None,), ()
_HOWS = ("read", "probe", "touch", "late")
_KINDS = ("", "file", "directory", "other")
_HOW = {how: number for number, how in enumerate(_HOWS)}
_KIND = {kind: number for number, kind in enumerate(_KINDS)}
# How, kind and time; also size, times and inode of an existing path.
_ABSENT = struct.Struct("=BBq")
_PRESENT = struct.Struct("=BBqqqqQ")
# Functions of `posixpath` and `pathlib` that call `lstat`, by version of Python.
_ABOUT_LINKS = ("realpath", "_realpath", "_joinrealpath", "islink", "ismount", "_resolve")


class Looks(dict):
    """The first look at each path that was read.

    A look is `(stat, kind, when, digest, how)`: stat is size, time of modification, time of change
    and inode, or None if nothing was there. Most looks are stored as bytes. So many tuples would
    soon make the collector scan everything in memory: a notebook that opens ten thousand files
    would wait for that longer than for the rest of the tracer.
    """

    def keep(self, path, look):
        """Store a look at a path, replacing the previous one."""
        self[path] = _packed(look)

    def at(self, path):
        """Return the look at a path, or None."""
        kept = self.get(path)
        return _unpacked(kept) if type(kept) is bytes else kept

    def unpacked(self):
        """Return all looks by path; other threads may add looks meanwhile."""
        return {path: self.at(path) for path in list(self)}


def _packed(look):
    stat, kind, when, digest, how = look
    if digest is not None or how not in _HOW:
        return look
    try:
        if stat is None:
            return _ABSENT.pack(_HOW[how], _KIND[kind], when)
        return _PRESENT.pack(_HOW[how], _KIND[kind], when, *stat)
    except struct.error:
        return look  # such as a file from before 1970


def _unpacked(kept):
    form = _ABSENT if len(kept) == _ABSENT.size else _PRESENT
    how, kind, when, *stat = form.unpack(kept)
    return (tuple(stat) or None, _KINDS[kind], when, None, _HOWS[how])


class Listings:
    """The listings of directories, by directory and requested names."""

    def __init__(self, quiet, log, files, folders):
        self.quiet = quiet
        self.files = files
        self.prefixes = tuple(os.path.join(folder, "") for folder in folders)
        self.log = log
        self.found = {}
        self.globs = []

    def on_glob(self, folder, pattern):
        self.globs.append((absolute(folder), str(pattern).split("/")))

    def on_rglob(self, folder, pattern):
        self.globs.append((absolute(folder), ["**", *str(pattern).split("/")]))

    def on_list(self, folder):
        self._listed(folder, sys._getframe(2))

    def _listed(self, folder, frame):
        if type(folder) is int:
            folder = None if is_emptying(frame) else folder_of(folder)
            if folder is None:
                return
        path = self.files.links.through(absolute("." if folder is None else folder))
        if path.startswith(self.quiet.prefixes):
            return
        # Outside the root, libraries look for fonts, plug-ins and settings.
        inside = os.path.join(path, "").startswith(self.prefixes)
        if not inside and not self.quiet.is_user(outer(frame, PATHS)):
            return
        asked = self._asked(frame, path)
        new = [kind for kind in asked if (path, *kind) not in self.found]
        if not new:
            return
        names = listing(path)
        for kind in new:
            self.found[(path, *kind)] = names
            self.log.note("list", path, *kind, names)

    def on_scan(self, folder):
        """Record a listing, and looks at its entries if the code that lists them asks for stats."""
        frame = sys._getframe(2)
        self._listed(folder, frame)
        # `os.DirEntry.stat` raises no event, and its class cannot be replaced.
        is_of_user = self.quiet.is_user(frame.f_code.co_filename)
        if type(folder) is int or not is_of_user or not uses(frame.f_code, "stat"):
            return
        path = self.files.links.through(absolute("." if folder is None else folder))
        with os.scandir(path) as entries:
            for entry in entries:
                self.files.read(os.path.join(path, entry.name), "probe")

    def _asked(self, frame, path):
        """Return the names requested from a directory: pairs of pattern and folders only."""
        if frame.f_code.co_filename.startswith(IMPORTLIB):
            return []  # each import lists directories, and depends only on modules
        while frame is not None and frame.f_code.co_filename.startswith(PATHS):
            name, file = frame.f_code.co_name, frame.f_code.co_filename
            # Private functions of the module glob. If they change, the whole listing counts, which
            # is safe.
            if file.endswith("glob.py") and name in ("_glob1", "glob1"):
                pattern = os.fsdecode(frame.f_locals.get("pattern", ""))
                return [(pattern, bool(frame.f_locals.get("dironly")))]
            if file.endswith("glob.py") and name == "_rlistdir":
                return [("", bool(frame.f_locals.get("dironly")))]
            # Private functions of pathlib, and of glob in later versions of Python.
            if name in ("_select_from", "_iterate_directories") or name.startswith("select_"):
                return self._asked_by_pathlib(path)
            frame = frame.f_back
        return [("", False)]

    def _asked_by_pathlib(self, path):
        """Return the patterns of all calls: pathlib's lazy selectors no longer know their own."""
        asked = set()
        for folder, parts in self.globs:
            if os.path.join(path, "").startswith(os.path.join(os.path.normpath(folder), "")):
                wild = [part for part in parts if re.search(r"[*?[]", part)]
                asked |= {("", True) if part == "**" else (part, False) for part in wild}
                if parts[-1] == "**":
                    asked.add(("", False))
        return sorted(asked) or [("", False)]


class Probes:
    """Replacements of functions that raise no audit event, or one without their arguments.

    These are `os.stat`, `os.lstat` and `os.access`, and `os.open` with `dir_fd`.
    """

    def __init__(self, own, quiet, files, folders):
        self.own = own
        self.quiet = quiet
        self.files = files
        self.prefixes = tuple(os.path.join(folder, "") for folder in folders)

    def wrap(self):
        """Replace the functions."""
        for name in ("stat", "lstat"):
            original = getattr(os, name)
            noting = self._noting(original, name)
            # `os.stat` raises no audit event: https://docs.python.org/3/library/audit_events.html
            self._replace(original, name, noting)
            # Before Python 3.10, `pathlib` keeps the functions that it found when it was loaded.
            accessor = getattr(pathlib, "_NormalAccessor", None)
            if getattr(accessor, name, None) is original:
                setattr(accessor, name, staticmethod(noting))
        self._replace(os.access, "access", self._asking(os.access))
        self._replace(os.open, "open", self._opening(os.open))

    @staticmethod
    def _replace(original, name, replacement):
        replacement.__name__ = replacement.__qualname__ = name
        replacement.__doc__, replacement.__module__ = original.__doc__, original.__module__
        setattr(os, name, replacement)
        # `shutil` and others decide by these sets which variant of an algorithm to use.
        for supported in ("dir_fd", "fd", "follow_symlinks", "effective_ids"):
            functions = getattr(os, "supports_" + supported, set())
            if original in functions:
                functions.add(replacement)

    def _asking(self, original):
        own, quiet, note = self.own, self.quiet, self._note

        def access(path, *arguments, **options):
            found = original(path, *arguments, **options)
            if not own.is_working() and quiet.is_user(outer(sys._getframe(1), PATHS)):
                note(path, _UNSEEN, options)
            return found

        return access

    def _opening(self, original):
        own = self.own

        def opening(path, flags, mode=0o777, *, dir_fd=None):
            if dir_fd is None or own.is_working():
                return original(path, flags, mode, dir_fd=dir_fd)
            with own:
                full = located(path, dir_fd)
                if full is not None:
                    self.files.on_open(full, None, flags)
            # The event has no `dir_fd`: the name would seem to be one in the working directory.
            own.threads.add(threading.get_ident())
            try:
                return original(path, flags, mode, dir_fd=dir_fd)
            finally:
                own.threads.discard(threading.get_ident())

        return opening

    def _noting(self, original, name):
        probed, note, ask = self.files.probed, self._note, self._ask

        def stat(path, *arguments, **options):
            try:
                found = original(path, *arguments, **options)
            except OSError:
                if type(path) is not str or path not in probed:
                    note(path, _NOTHING, options)
                raise
            if type(path) is str and path in probed and options.get("dir_fd") is None:
                if name == "lstat" or options:
                    ask(path, options)
                return found
            # `Path.lstat` and `Path.is_symlink` call it without following links, from Python 3.10
            # on. A run depends on the target of the link, which `note` looks up.
            if name == "stat" and options.get("follow_symlinks", True):
                note(path, (found,), options)
            # Path functions look at every directory in which a link could be.
            else:
                if sys._getframe(1).f_code.co_name not in _ABOUT_LINKS:
                    note(path, _UNSEEN, options)
                ask(path, options)
            return found

        return stat

    def _ask(self, path, options):
        if not self.own.is_working():
            with self.own:
                self.files.links.ask(located(path, options.get("dir_fd")), sys._getframe(2))

    def _note(self, path, found, options):
        if not path or type(path) is int:
            return  # an empty path does not exist; it is not the working directory
        if self.own.is_working():
            return
        with self.own:
            if is_too_long(path):
                return
            full = located(path, options.get("dir_fd"))
            if full is None:
                return
            is_quiet = full.startswith(self.quiet.prefixes)
            is_inside = is_below(full, self.prefixes)
            how = "" if is_quiet else self._how(sys._getframe(2), is_inside=is_inside)
            # Elsewhere, libraries look for their settings and plug-ins, and users for data.
            is_recorded = how == "probe" or (how and is_inside)
            if type(path) is str and options.get("dir_fd") is None and (is_recorded or is_quiet):
                self.files.probed.add(path)
            if is_recorded:
                self.files.read(full, how, *found)

    def _how(self, frame, *, is_inside):
        """Tell whether user code looks at a path; others, such as `shutil`, do before writing."""
        if not self.quiet.is_user(outer(frame, PATHS)):
            return "touch"
        return "probe" if is_inside or not is_making(frame) else "touch"
