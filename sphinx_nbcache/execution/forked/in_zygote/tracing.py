"""The tracer's modules, loaded before the fork: a kernel has only to start it."""

import sys


class Tracers:
    """What was loaded, by the source that loads it. Kernels find it as if they had done so."""

    def __init__(self):
        self.loaded = {}

    def load(self, tracer):
        """Load the modules for an order, unless that was done before; return whether it was not.

        Args:
            tracer: What the order says of it, or None.
        """
        if tracer is None or tracer["load"] in self.loaded:
            return False
        try:
            exec(tracer["load"], {"__name__": "<nbcache>"})
        except Exception:
            pass  # the kernel itself says what is wrong with them
        self.loaded[tracer["load"]] = {
            name: sys.modules.pop(name)
            for name in list(sys.modules)
            if name.partition(".")[0] == tracer["package"]
        }
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
