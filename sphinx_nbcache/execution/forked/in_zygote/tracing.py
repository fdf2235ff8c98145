"""The tracer's modules, loaded before the fork, so that a kernel only starts the tracer."""

import os
import sys

from . import hiding


class Tracers:
    """The loaded tracers, by the source that loads them, for kernels to use as their own."""

    def __init__(self):
        self.loaded = {}

    def load(self, tracer):
        """Load the modules for an order; return whether they were not loaded before.

        Args:
            tracer: The sources from the order, or None.
        """
        if tracer is None or tracer["load"] in self.loaded:
            return False
        try:
            exec(tracer["load"], {"__name__": "<nbcache>"})
        except Exception:
            pass  # the kernel itself reports what is wrong with them
        package = tracer["package"]
        names = [name for name in list(sys.modules) if name.partition(".")[0] == package]
        self.loaded[tracer["load"]] = modules = {name: sys.modules.pop(name) for name in names}
        if (imports := modules.get(f"{package}.imports")) is not None:
            imports.LOADED = _by_folder(hiding.all_loaded())
        return True

    def start(self, tracer):
        """Start the tracer in a kernel; return whether it runs."""
        if tracer is None:
            return False
        sys.modules.update(self.loaded[tracer["load"]])
        try:
            exec(tracer["install"], {"__name__": "<nbcache>"})
        except Exception:
            return False
        return True


def _by_folder(modules):
    """Return the names of modules by the folder of `sys.path` that contains their files."""
    folders = [os.path.join(path, "") for path in sys.path if os.path.isabs(path)]
    found = {folder: set() for folder in sorted(folders, key=len, reverse=True)}
    for name, module in modules.items():
        file = getattr(module, "__dict__", {}).get("__file__")
        if type(file) is not str or "/.." in file:
            continue
        for folder, names in found.items():
            if file.startswith(folder):
                names.add(name)
                break
    return {folder: frozenset(names) for folder, names in found.items()}
