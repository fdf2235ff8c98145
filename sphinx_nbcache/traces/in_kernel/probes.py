"""Paths that are only looked for: `os.stat` raises no audit event."""

import os
import pathlib
import sys

from .common import PATHS, absolute, outer

_ABOUT_LINKS = ("realpath", "_realpath", "_joinrealpath", "islink", "ismount", "_resolve")


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
            setattr(os, name, noting)
            # Before Python 3.10, `pathlib` keeps the functions that it found when it was loaded.
            accessor = getattr(pathlib, "_NormalAccessor", None)
            if getattr(accessor, name, None) is original:
                setattr(accessor, name, staticmethod(noting))
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
                    note(path, (None,), options)
                raise
            if type(path) is str and path in probed:
                return found
            if name == "stat":
                note(path, (found,), options)
            # Path functions look at every directory in which a link could be.
            elif sys._getframe(1).f_code.co_name not in _ABOUT_LINKS:
                note(path, (), options)
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
            if type(path) is str:
                self.files.probed.add(path)
            full = absolute(path)
            if full.startswith(self.prefixes) and not full.startswith(self.quiet.prefixes):
                # Non-path callers, such as `shutil`, stat before writing.
                caller = outer(sys._getframe(2), PATHS)
                how = "probe" if self.quiet.is_user(caller) else "touch"
                self.files.read(full, how, *found)
