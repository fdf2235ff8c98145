"""Preloaded modules are hidden from notebooks until something imports them.

So `sys.modules`, and what packages have as attributes, are as if nothing had been preloaded.
"""

import os
import sys
import types

# Like the tracer: what it does not take for user code, nor for code to look through.
_FILENAME = "<preloaded>"


class Hidden:
    """Gives out preloaded modules as they are imported: each with those that it has imported.

    Args:
        before: The names of the modules that are not to be hidden.
        recorder: What was noted while the others were loaded.

    Attributes:
        modules: Those that are still hidden, by name.
        shown: The names of the others.
        closures: What the import of a wanted module shows, by its name.
        edges_of: What is known of the imports of all these.
        whole: Of which modules all that was shown.
    """

    def __init__(self, before, recorder):
        self.recorder = recorder
        self.modules = {
            name: module
            for name, module in sys.modules.items()
            # What was made by hand nobody imports.
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
        """Return a module that is loaded, hidden or not, or None."""
        return self.modules.get(name) or sys.modules.get(name)

    def hide(self, wanted):
        """Hide the modules; the wanted ones are prepared to be shown quickly."""
        for name in wanted:
            if name in self.modules:
                self.closures[name] = closure = self.closure(name)
                self.edges_of[name] = self._edges(closure)
        for name, module in self.modules.items():
            del sys.modules[name]
            package, _, last = name.rpartition(".")
            names = getattr(self.find(package), "__dict__", {})
            if names.get(last) is module:
                del names[last]
                self.attributes.add(name)
        sys.meta_path.insert(0, self)

    def closure(self, name):
        """Return the names of the hidden modules that the import of one of them loads."""
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
        """Put modules, and what was seen as they were loaded, where they belong."""
        found = {name: self.modules.pop(name) for name in names if name in self.modules}
        sys.modules.update(found)
        self.shown.update(found)
        for name in self.attributes & found.keys():
            package, _, last = name.rpartition(".")
            setattr(sys.modules[package], last, found[name])
        for name in self.recorder.looks.keys() & found.keys():
            _look(self.recorder.looks[name])

    def edges(self):
        """Return which top-level modules import or have others, of those that were shown."""
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
        """Find a hidden module, if it is to be imported and not only looked for."""
        if name not in self.modules or not _is_import(sys._getframe(1)):
            return None
        module = self.modules[name]
        if name in self.closures:
            self.whole.add(name)
            self.show(self.closures[name])
        else:
            self.show(self.closure(name))
        # Importlib puts it there itself.
        sys.modules.pop(name, None)
        return type(module.__spec__)(name, _Loader(module))


class _Loader:
    """Gives out a module that is loaded."""

    def __init__(self, module):
        self.module = module
        self.spec = module.__spec__

    def create_module(self, spec):
        return self.module

    def exec_module(self, module):
        module.__spec__ = self.spec


def _add(edges, more):
    for importer, found in more.items():
        edges.setdefault(importer, set()).update(found)


def loaded(name):
    """Return a module that is loaded, hidden or not, or None."""
    for finder in sys.meta_path:
        if isinstance(finder, Hidden):
            return finder.find(name)
    return sys.modules.get(name)


def all_loaded():
    """Return all modules that are loaded, hidden or not, by name."""
    hidden = [finder.modules for finder in sys.meta_path if isinstance(finder, Hidden)]
    return {name: module for modules in (*hidden, sys.modules) for name, module in modules.items()}


def _is_import(frame):
    """Tell whether the finder was asked in order to load a module."""
    below = frame.f_back
    return (
        frame.f_code.co_name == "_find_spec"
        and below is not None
        and below.f_code.co_name == "_find_and_load_unlocked"
    )


def _look(looks):
    """Look at files again, where and when a notebook's own import would have done so."""
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
