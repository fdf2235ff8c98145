"""Which top-level modules import which others: later nobody can see it any more."""

import builtins
import importlib
import sys

_IMPORTLIB = ("importlib", "_frozen_importlib", "_frozen_importlib_external")


class Recorder:
    """Notes who imports whom, as long as it is entered.

    Args:
        blas: Packages whose new threads can bear a fork.
        threads: Returns the threads of the process.
    """

    def __init__(self, blas, threads):
        self.blas = blas
        self.threads = threads
        self.bearable = set()
        self.found = {}

    def __enter__(self):
        self.original = builtins.__import__, importlib.import_module
        builtins.__import__ = self.on_import
        importlib.import_module = self.on_import_module
        sys.meta_path.insert(0, self)
        return self

    def __exit__(self, *_):
        sys.meta_path.remove(self)
        builtins.__import__, importlib.import_module = self.original

    def on_import(self, name, globals=None, locals=None, fromlist=(), level=0):
        if level == 0:
            self.note((globals or {}).get("__name__"), name)
        if name.partition(".")[0] not in self.blas or name in sys.modules:
            return self.original[0](name, globals, locals, fromlist, level)
        before = set(self.threads())
        try:
            return self.original[0](name, globals, locals, fromlist, level)
        finally:
            self.bearable |= set(self.threads()) - before

    def on_import_module(self, name, package=None):
        if not name.startswith("."):
            self.note(sys._getframe(1).f_globals.get("__name__"), name)
        return self.original[1](name, package)

    def find_spec(self, name, path=None, target=None):
        """Note an import, also by a module in C; the module itself is for others to find."""
        frame = sys._getframe(1)
        while frame is not None:
            importer = frame.f_globals.get("__name__")
            if frame.f_globals is not globals() and importer not in _IMPORTLIB:
                self.note(importer, name)
                return
            frame = frame.f_back

    def note(self, importer, name):
        importer, name = str(importer or "").partition(".")[0], name.partition(".")[0]
        if importer not in ("", "__main__", name):
            self.found.setdefault(importer, set()).add(name)

    def edges(self):
        return {importer: sorted(names) for importer, names in self.found.items()}
