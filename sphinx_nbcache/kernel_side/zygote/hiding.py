"""Hiding of preloaded modules from notebooks until they are imported.

`sys.modules` and the attributes of packages look as if nothing had been preloaded.
"""

import os
import sys
import types

# As in the tracer: code with this name counts neither as user code nor as code to inspect.
_FILENAME = "<preloaded>"


class Hidden:
    """Reveals preloaded modules as they are imported: each with the modules that it has imported.

    Args:
        before: The names of the modules that are not hidden.
        recorder: The record of what happened while the other modules were loaded.

    Attributes:
        modules: The modules that are still hidden, by name.
        shown: The names of the other preloaded modules.
        closures: The modules that the import of a wanted module shows, by its name.
        edges_of: The known imports among these modules.
        whole: The wanted modules whose closures were shown.
    """

    def __init__(self, before, recorder):
        self.recorder = recorder
        self.modules = {
            name: module
            for name, module in sys.modules.items()
            # Modules without a spec are never imported.
            if name not in before and getattr(module, "__spec__", None) is not None
        }
        self.shown = set()
        recorder.add_contents(self.modules)
        self.closures = {}
        self.edges_of = {}
        self.whole = set()
        self.attributes = set()
        self.tops = {name: recorder.tops_of(name) for name in self.modules}

    def find(self, name):
        """Return a loaded module, hidden or not, or None."""
        return self.modules.get(name) or sys.modules.get(name)

    def hide(self, wanted):
        """Hide the modules, and prepare the wanted ones to be shown quickly."""
        for name in wanted:
            if name in self.modules:
                self.closures[name] = closure = self.closure(name)
                self.edges_of[name] = self._edges(closure)
        for name, module in self.modules.items():
            del sys.modules[name]
            package, _, last = name.rpartition(".")
            # The import system sets a submodule as an attribute of its package, so `a.b` would be
            # visible after `import a`: https://docs.python.org/3/reference/import.html#submodules
            names = getattr(self.find(package), "__dict__", {})
            if names.get(last) is module:
                del names[last]
                self.attributes.add(name)
        # First: modules that are already loaded win over all finders.
        sys.meta_path.insert(0, self)

    def closure(self, name):
        """Return the names of the hidden modules that the import of one module loads."""
        closure, waiting = set(), [name]
        while waiting:
            name = waiting.pop()
            if name in closure or name not in self.modules:
                continue
            closure.add(name)
            waiting.extend(found for _, found in self.recorder.imports.get(name, ()))
            waiting.append(name.rpartition(".")[0])
        return closure

    def show(self, names):
        """Restore modules, and repeat the file accesses recorded while they were loaded."""
        found = {name: self.modules.pop(name) for name in names if name in self.modules}
        sys.modules.update(found)
        self.shown.update(found)
        for name in self.attributes & found.keys():
            package, _, last = name.rpartition(".")
            setattr(sys.modules[package], last, found[name])
        for name in self.recorder.looks.keys() & found.keys():
            _look(self.recorder.looks[name])

    def edges(self):
        """Return the imports and attributes between top-level modules, for the shown modules."""
        wholes = list(self.whole)
        rest = self.shown.difference(*(self.closures[name] for name in wholes))
        edges = self._edges(rest)
        for name in wholes:
            _add(edges, self.edges_of[name])
        return edges

    def _edges(self, names):
        edges = {}
        for name in names:
            _add(edges, self.tops[name])
        return edges

    def find_spec(self, name, path=None, target=None):
        """Find a hidden module if it is being imported, not only looked for."""
        if name not in self.modules or not _is_import(sys._getframe(1)):
            return None
        module = self.modules[name]
        if name in self.closures:
            self.whole.add(name)
            self.show(self.closures[name])
        else:
            self.show(self.closure(name))
        # importlib adds the module to `sys.modules` itself.
        sys.modules.pop(name, None)
        return type(module.__spec__)(name, _Loader(module))


class _Loader:
    """Returns a module that is already loaded."""

    def __init__(self, module):
        self.module = module
        self.spec = module.__spec__

    def create_module(self, spec):
        return self.module

    def exec_module(self, module):
        # `module_from_spec` has set the temporary spec; restore the one with the real loader.
        module.__spec__ = self.spec


def _add(edges, more):
    for importer, found in more.items():
        edges.setdefault(importer, set()).update(found)


def loaded(name):
    """Return a loaded module, hidden or not, or None."""
    for finder in sys.meta_path:
        if isinstance(finder, Hidden):
            return finder.find(name)
    return sys.modules.get(name)


def all_loaded():
    """Return all loaded modules, hidden or not, by name."""
    hidden = [finder.modules for finder in sys.meta_path if isinstance(finder, Hidden)]
    return {name: module for modules in (*hidden, sys.modules) for name, module in modules.items()}


def _is_import(frame):
    """Tell whether the finder was called in order to load a module."""
    below = frame.f_back
    return (
        # `importlib.util.find_spec` calls the finders as well, to ask whether a module exists. Only
        # `import` and `import_module` go through this function of `importlib._bootstrap`.
        frame.f_code.co_name == "_find_spec"
        and below is not None
        and below.f_code.co_name == "_find_and_load_unlocked"
    )


def _look(looks):
    """Access files again, where and when a notebook's own import would have done so."""
    for how, path in looks:
        try:
            if how == "open":
                open(path, "rb").close()
            else:
                getattr(os, how)(path)
        except (OSError, ValueError):
            pass


def _as_of_preloaded(function):
    code = function.__code__.replace(co_filename=_FILENAME)
    return types.FunctionType(code, function.__globals__, function.__name__)


_look = _as_of_preloaded(_look)
