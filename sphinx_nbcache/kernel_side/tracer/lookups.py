"""Paths that are looked for, and directories that are listed.

`os.stat` raises no audit event, so its callers are wrapped.
"""

import hashlib
import os
import pathlib
import re
import struct
import sys

from .common import IMPORTLIB, PATHS, absolute, is_folder, is_too_long, outer

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
# The digest of a short secret could be guessed, and stores are shared.
_SECRET = re.compile(r"TOKEN|SECRET|KEY|PASSW|CREDENTIAL|AUTH", re.IGNORECASE)
_ABC_FILE = getattr(sys.modules["_collections_abc"], "__file__", None) or "<none>"
_INNER = ("<frozen os>", "<frozen _collections_abc>", os.__file__, _ABC_FILE)


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

    def __init__(self, quiet, log, folders):
        self.quiet = quiet
        self.prefixes = tuple(os.path.join(folder, "") for folder in folders)
        self.log = log
        self.found = {}
        self.globs = []

    def on_glob(self, folder, pattern):
        self.globs.append((absolute(folder), str(pattern).split("/")))

    def on_rglob(self, folder, pattern):
        self.globs.append((absolute(folder), ["**", *str(pattern).split("/")]))

    def on_list(self, folder):
        if type(folder) is int:
            return
        path = absolute("." if folder is None else folder)
        if path.startswith(self.quiet.prefixes):
            return
        # Outside the root, libraries look for fonts, plug-ins and settings.
        inside = os.path.join(path, "").startswith(self.prefixes)
        if not inside and not self.quiet.is_user(outer(sys._getframe(2), PATHS)):
            return
        asked = self._asked(sys._getframe(2), path)
        new = [kind for kind in asked if (path, *kind) not in self.found]
        if not new:
            return
        try:
            with os.scandir(path) as entries:
                names = sorted(e.name + "/" if is_folder(e) else e.name for e in entries)
        except OSError:
            names = None
        for kind in new:
            self.found[(path, *kind)] = names
            self.log.note("list", path, *kind, names)

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
    """Replacements of `os.stat` and `os.lstat` that record their arguments."""

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
            setattr(os, name, noting)
            # Before Python 3.10, `pathlib` keeps the functions that it found when it was loaded.
            accessor = getattr(pathlib, "_NormalAccessor", None)
            if getattr(accessor, name, None) is original:
                setattr(accessor, name, staticmethod(noting))
            # `shutil` and others decide by these sets which variant of an algorithm to use.
            for supported in ("dir_fd", "fd", "follow_symlinks", "effective_ids"):
                functions = getattr(os, "supports_" + supported, set())
                if original in functions:
                    functions.add(noting)

    def _noting(self, original, name):
        probed, note = self.files.probed, self._note

        def stat(path, *arguments, **options):
            try:
                found = original(path, *arguments, **options)
            except OSError:
                if type(path) is not str or path not in probed:
                    note(path, _NOTHING, options)
                raise
            if type(path) is str and path in probed:
                return found
            # `Path.lstat` and `Path.is_symlink` call it without following links, from Python 3.10
            # on. A run depends on the target of the link, which `note` looks up.
            if name == "stat" and options.get("follow_symlinks", True):
                note(path, (found,), options)
            # Path functions look at every directory in which a link could be.
            elif sys._getframe(1).f_code.co_name not in _ABOUT_LINKS:
                note(path, _UNSEEN, options)
            return found

        stat.__name__ = stat.__qualname__ = name
        stat.__doc__, stat.__module__ = original.__doc__, original.__module__
        return stat

    def _note(self, path, found, options):
        if not path or type(path) is int or options.get("dir_fd") is not None:
            return  # an empty path does not exist; it is not the working directory
        if self.own.is_working():
            return
        with self.own:
            if is_too_long(path):
                return
            if type(path) is str:
                self.files.probed.add(path)
            full = absolute(path)
            if full.startswith(self.prefixes) and not full.startswith(self.quiet.prefixes):
                # Non-path callers, such as `shutil`, stat before writing.
                caller = outer(sys._getframe(2), PATHS)
                how = "probe" if self.quiet.is_user(caller) else "touch"
                self.files.read(full, how, *found)


def is_secret(name: str) -> bool:
    """Tell whether a variable of this name may hold a secret, which must not be stored."""
    return _SECRET.search(name) is not None


def digest_of(name, value):
    """Return the digest of an encoded value; `None` for a secret, which is not stored."""
    if is_secret(name):
        return None
    if value is None:
        return ""
    encoded = os.environ.decodevalue(value).encode("utf-8", "surrogatepass")
    return hashlib.sha256(b"%d:" % len(encoded) + encoded).hexdigest()


class Variables:
    """The environment variables that user code read. Copying all of them does not count."""

    def __init__(self, quiet, log, own):
        self.quiet = quiet
        self.log = log
        self.read = {}
        self.ignored = set()
        # Treated as unset: they are absent from the environment that is compared later.
        self.own = set(own)
        self.iterated = None
        self.copying = None

    def on_put(self, name, *more):
        self.ignored.add(os.fsdecode(name))

    def iterate(self, name, frame):
        """Record that this code iterates over all variables, and has reached this one."""
        while frame is not None and frame.f_code.co_filename in _INNER:
            frame = frame.f_back
        self.iterated = name
        self.copying = frame and (frame.f_code, frame.f_lasti)

    def _is_of_all(self, name, frame):
        """Tell whether a variable is read while all of them are read.

        `items`, like loops, asks for each value in turn. `dict` asks for all names first, and then
        for the values, from the same place in the code.
        """
        if name == self.iterated:
            self.iterated = None
            return True
        while frame is not None and frame.f_code.co_filename in _INNER:
            frame = frame.f_back
        return frame is not None and (frame.f_code, frame.f_lasti) == self.copying

    def note(self, name, frame):
        """Note that a variable is read."""
        if self._is_of_all(name, frame):
            return
        if not isinstance(name, str) or name in self.read or name in self.ignored:
            return
        reader = outer(frame, _INNER)
        # A child may run `python -c`.
        if self.quiet.is_user(reader) or (self.log.is_child and reader == "<string>"):
            is_own = name in self.own
            value = None if is_own else os.environ._data.get(os.environ.encodekey(name))
            self.read[name] = digest_of(name, value)
            self.log.note("variable", name, self.read[name])

    def watch(self):
        """Replace the class of `os.environ` by one that records reads."""
        plain = type(os.environ)

        class Environ(plain):
            def __getitem__(self, key):
                variables.note(key, sys._getframe(1))
                return plain.__getitem__(self, key)

            def __iter__(self):
                for key in plain.__iter__(self):
                    variables.iterate(key, sys._getframe(1))
                    yield key
                variables.iterated = None

        variables = self
        Environ.__name__, Environ.__qualname__ = plain.__name__, plain.__qualname__
        Environ.__module__ = plain.__module__
        # The object stays: modules keep references to it (`from os import environ`).
        os.environ.__class__ = Environ
