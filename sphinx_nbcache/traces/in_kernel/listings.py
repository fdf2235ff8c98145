"""Directories that are listed, and the names that are requested in them."""

import os
import re
import sys

from .common import IMPORTLIB, PATHS, absolute, is_folder, outer


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
            if file.endswith("glob.py") and name in ("_glob1", "glob1"):
                pattern = os.fsdecode(frame.f_locals.get("pattern", ""))
                return [(pattern, bool(frame.f_locals.get("dironly")))]
            if file.endswith("glob.py") and name == "_rlistdir":
                return [("", bool(frame.f_locals.get("dironly")))]
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
