"""The entry point of a watcher.

usage: python [options] __main__.py ORDER COMMAND ...

The order is JSON: see `watch`. With the order `null` and no command, it tries whether processes can
be watched here: the status says so, and the standard error why not.
"""

import json
import os
import sys
import types

PACKAGE = "_nbcache_watcher"


def _main(order, *command):
    here = os.path.dirname(os.path.abspath(__file__))
    package = types.ModuleType(PACKAGE)
    # Processes of a kernel are found and ended as by the zygote, and files look as to the tracer.
    folders = ("zygote", "tracer")
    package.__path__ = [here, *(os.path.join(here, os.pardir, name) for name in folders)]
    sys.modules[PACKAGE] = package
    from _nbcache_watcher import loop, trying

    found = json.loads(order)
    if found is None:
        sys.exit(trying.why_not())
    loop.watch(found, command)


if __name__ == "__main__":
    _main(*sys.argv[1:])
