"""Modules: local ones, the packages that are reached, and what could shadow them."""

import functools
import importlib
import importlib.util
import json
import os
import sys
import types

from .common import IMPORTLIB, absolute, outer, preloaded
from .states import source_of

# The base of every notebook. Its own imports are not followed.
_BASE = frozenset(("IPython", "ipykernel"))

# The modules that `from sphinx_nbcache import glue` loads. They make outputs in a way that does not
# change with the version, so an upgrade of this package must not run all notebooks that use it.
_GLUE = frozenset(
    ("sphinx_nbcache", "sphinx_nbcache.kernel_side", "sphinx_nbcache.kernel_side.gluing")
)

# The modules that a kernel had in memory before its first cell, by the folder of their files, as
# reported by the process that it was forked from. Looking at each of them would take long, because
# the memory pages that are looked at are copied.
LOADED = {}


class Imports:
    """The imported modules, their importers, and the places where others could shadow them."""

    def __init__(self, quiet, log):
        self.quiet = quiet
        self.log = log
        self.before = {name.partition(".")[0] for name in sys.modules}
        self.importers = {}
        self.again = set()
        self.on_first = {}
        self.called = set()
        self.wanted = set()
        self.sources = {}
        self.looked_at = set()
        self.quiet_loaded = frozenset().union(
            *(names for folder, names in LOADED.items() if folder.startswith(quiet.prefixes))
        )

    def watch(self):
        """Also record the imports of `importlib.import_module`, which raises no audit event."""
        original = importlib.import_module

        def import_module(name, package=None):
            if isinstance(name, str) and not name.startswith("."):
                self.on_import(name, None)
                self.called.add((name, outer(sys._getframe(1), IMPORTLIB)))
            return original(name, package)

        functools.update_wrapper(import_module, original)
        finding = importlib.util.find_spec

        def find_spec(name, package=None):
            # Whether an optional dependency is there is asked in this way, too.
            if isinstance(name, str) and not name.startswith(".") and name not in sys.modules:
                self.on_import(name, None)
            return finding(name, package)

        functools.update_wrapper(find_spec, finding)
        importlib.util.find_spec = find_spec
        # CPython raises the audit event `import` for `import` and `__import__` only.
        importlib.import_module = import_module

    def want(self, names):
        """Record the imports of a cell: modules that are already loaded raise no audit event."""
        self.wanted.update(name.partition(".")[0] for name in names)

    def on_import(self, name, filename, *more):
        if name in self.on_first:
            self.on_first.pop(name)(name)
        if name not in self.importers:
            self.importers[name] = importer = outer(sys._getframe(2), IMPORTLIB)
            if self.log.is_child and "." not in name:
                self.note_in_child(name, self.quiet.package_of(importer))
        elif name not in sys.modules:
            # It was not found before; another importer may depend on that as well.
            self.again.add((name, outer(sys._getframe(2), IMPORTLIB)))

    def note_in_child(self, name, package):
        """Write to the log that a package imports a module; the name is empty for other code.

        A child may be killed at any time, so where the module is found is not waited for.
        """
        folders = []
        for folder in sys.path:
            if os.path.join(absolute(folder), "").startswith(self.quiet.prefixes):
                break
            folders.append(absolute(folder))
        standard = getattr(sys, "stdlib_module_names", sys.builtin_module_names)
        self.log.note("import", name, package, name in standard, folders)

    def local_modules(self):
        """Return the name, file and importer of modules without a distribution."""
        found = {}
        for name, source in self._sources(list(sys.modules)):
            importer = self.importers.get(name, "")
            found[name] = [source, importer if self.quiet.is_user(importer) else ""]
        return found

    def new_local_modules(self):
        """Return name and file of the local modules that are new since the last call.

        This is called after each cell, and there may be thousands of modules.
        """
        names = [name for name in list(sys.modules) if name not in self.looked_at]
        self.looked_at.update(names)
        return self._sources(names)

    def _sources(self, names):
        for name in names:
            # A module that was imported again may come from elsewhere now.
            if name in _GLUE or (name in self.quiet_loaded and name not in self.importers):
                continue
            file = getattr(sys.modules.get(name), "__dict__", {}).get("__file__")
            if type(file) is not str or name == "__main__":
                continue
            source = self.sources.get(file)
            if source is None:
                source = self.sources[file] = self._local_source(file)
            if source:
                yield name, source

    def _local_source(self, file):
        """Return the source of a module's file; empty if a version represents it."""
        # Fast path: already under a quiet prefix.
        if file.startswith(self.quiet.prefixes) and "/.." not in file:
            return ""
        source = source_of(absolute(file))
        return "" if source.startswith(self.quiet.prefixes) else source

    def missing(self):
        """Return the modules that user code failed to import, and the directories searched."""
        found = {}
        for name, importer in (*list(self.importers.items()), *list(self.again)):
            if name not in sys.modules and self.quiet.is_user(importer):
                parent = sys.modules.get(name.rpartition(".")[0])
                # A dotted name is looked for only in its package.
                folders = sys.path if "." not in name else getattr(parent, "__path__", ())
                found[name] = [absolute(folder) for folder in folders]
        return found

    def missing_for(self, reached):
        """Return the names of missing modules that these packages, or user code, tried to import.

        A dotted name is that of a missing part of a package which has parts elsewhere.
        """
        found = set()
        for name, importer in (*list(self.importers.items()), *list(self.again)):
            package = self.quiet.package_of(importer)
            if name not in sys.modules and (package in reached or self.quiet.is_user(importer)):
                top, dot, _ = name.partition(".")
                # The version stands for the package's own modules, and files for local ones.
                if not dot or (top != package and self._is_installed((top,))):
                    found.add(name)
        for importer, name in _preloaded_imports():
            if "." not in name and importer.partition(".")[0] in reached and not _is_loaded(name):
                found.add(name)
        # Python's own modules may be those of another system, such as `winreg`.
        standard = getattr(sys, "stdlib_module_names", sys.builtin_module_names)
        found.discard("__main__")
        return sorted(name for name in found if name.partition(".")[0] not in standard)

    def reached(self, local):
        """Return the installed packages that user code reaches, by their top-level names.

        Imports are observed while a module loads. If it was loaded before, only its attributes show
        them: other modules, and their functions and classes.

        Args:
            local: The names of the local modules.
        """
        modules, reached = {}, set()
        for name in list(sys.modules):
            if name not in _GLUE:
                modules.setdefault(name.partition(".")[0], []).append(name)
        edges, known = self._seen_edges()
        waiting = set(self.wanted) | edges.get("", set())
        for name in local:
            waiting |= self._names_in(sys.modules.get(name))
        while waiting:
            top = waiting.pop()
            if top in reached or top in _BASE or not self._is_installed(modules.get(top, ())):
                continue
            reached.add(top)
            waiting |= edges.get(top, set())
            for name in modules[top]:
                if name not in known:
                    waiting |= self._names_in(sys.modules.get(name))
        return sorted(reached)

    def _seen_edges(self):
        """Return which names were observed to import which; user code has an empty name.

        Also return the modules for which these imports are complete.
        """
        edges, known = _preloaded_edges()
        for name, importer in (*self.importers.items(), *self.called, *self.again):
            package = self.quiet.package_of(importer)
            if package or self.quiet.is_user(importer):
                edges.setdefault(package, set()).add(name.partition(".")[0])
        return edges, known

    @staticmethod
    def _names_in(module):
        names = set()
        for value in list(getattr(module, "__dict__", {}).values()):
            # Do not touch any value that could run its own code.
            kind = type(value)
            if kind is types.ModuleType:
                name = value.__dict__.get("__name__")
            elif kind is types.FunctionType or kind is types.BuiltinFunctionType:
                name = value.__module__
            elif kind is type:
                name = value.__dict__.get("__module__")
            else:
                continue
            if type(name) is str:
                names.add(name.partition(".")[0])
        return names

    def _is_installed(self, names):
        for name in names:
            found = getattr(sys.modules.get(name), "__dict__", {})
            paths = [found.get("__file__"), *(found.get("__path__") or ())]
            if any(isinstance(p, str) and p.startswith(self.quiet.site_prefixes) for p in paths):
                return True
        return False

    def sources_in(self, roots):
        """Return the files of modules whose source is under a root, but which are installed.

        The names are those of modules; the files are relative to the directory of packages.
        """
        tops = {top for site in self.quiet.sites for top in _installed_from(site, roots)}
        found = {}
        for name, module in list(sys.modules.items()) if tops else ():
            file = getattr(module, "__dict__", {}).get("__file__")
            if name.partition(".")[0] in tops and type(file) is str:
                for prefix in self.quiet.site_prefixes:
                    if file.startswith(prefix):
                        found[name] = file[len(prefix) :].replace(os.sep, "/")
        return found

    def shadowable(self, reached):
        """Return, for each folder, the names of modules that a file there would shadow.

        Only folders in which files count are listed. A module that was loaded before the first cell
        can only be shadowed for a process that starts later, so it does not count.
        """
        path = [absolute(folder) for folder in sys.path if isinstance(folder, str)]
        places = {}
        for top in {name.partition(".")[0] for name in list(sys.modules)}:
            if top in sys.builtin_module_names or _is_made_by_hand(top):
                continue
            if top not in self.before or top in reached:
                places[top] = self._position(top, path)
        for name in self.missing():
            if "." not in name:
                places[name] = len(path)
        # multiprocessing registers the main module under this name too.
        places.pop("__mp_main__", None)
        return [
            [folder, sorted(name for name, position in places.items() if position > index)]
            for index, folder in enumerate(path)
            if not os.path.join(folder, "").startswith(self.quiet.prefixes)
        ]

    @staticmethod
    def _position(top, path):
        found = getattr(sys.modules.get(top), "__dict__", {})
        file = found.get("__file__")
        if isinstance(file, str):
            folder = os.path.dirname(file)
            if found.get("__path__"):
                folder = os.path.dirname(folder)
            if folder in path:
                return path.index(folder)
        # Unknown, as for a namespace package: a module in any folder could shadow it.
        return len(path)


def _installed_from(site, roots):
    """Yield the top-level modules of packages that were installed from a folder under a root."""
    try:
        names = [name for name in os.listdir(site) if name.endswith(".dist-info")]
    except OSError:
        return
    for name in names:
        try:
            with open(os.path.join(site, name, "direct_url.json"), encoding="utf-8") as file:
                origin = json.load(file)
            path = _path_of_url(origin.get("url"))
            if not any(path == root or path.startswith(root + os.sep) for root in roots):
                continue
            with open(os.path.join(site, name, "RECORD"), encoding="utf-8") as file:
                lines = file.read().splitlines()
        except (OSError, ValueError, AttributeError):
            continue
        for line in lines:
            top = line.partition(",")[0].partition("/")[0].partition(".")[0]
            if top and not line.startswith(name):
                yield top


def _path_of_url(url):
    """Return the path of a `file:` URL; empty for other URLs."""
    if not isinstance(url, str) or not url.startswith("file://"):
        return ""
    path = url[len("file://") :]
    if "%" in path:
        from urllib.parse import unquote

        path = unquote(path)
    return path


def _preloaded_edges():
    """Return the imports among the preloaded modules, and the names of those that are shown."""
    finder = preloaded()
    return (finder.edges(), finder.shown) if finder is not None else ({}, ())


def _preloaded_imports():
    """Yield the importer and the name of imports, also failed ones, of preloaded modules."""
    finder = preloaded()
    for module in list(finder.shown) if finder is not None else ():
        yield from finder.recorder.imports.get(module, ())


def _is_loaded(name):
    """Tell whether a module is loaded, perhaps in advance and hidden."""
    hidden = (getattr(finder, "modules", ()) for finder in sys.meta_path)
    return name in sys.modules or any(name in modules for modules in hidden)


def _is_made_by_hand(name):
    """Tell whether a module has no spec, like those that Cython makes for itself."""
    module = sys.modules.get(name)
    return type(module) is types.ModuleType and module.__spec__ is None
