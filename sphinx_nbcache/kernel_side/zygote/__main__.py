"""The entry point of a zygote, and of each kernel that it forks.

usage: python [options] __main__.py CONTROL
"""

import os
import sys

PACKAGE = "_nbcache_zygote"


def _as_package():
    """Make the modules next to this file a package that no import of a notebook can find."""
    import types

    here = os.path.dirname(os.path.abspath(__file__))
    # `python -m ipykernel_launcher` has no script folder in its path.
    if sys.path and os.path.abspath(sys.path[0]) == here:
        del sys.path[0]
    # Kernels would otherwise inherit an entry that an ordinary kernel does not have.
    sys.path_importer_cache.pop(here, None)
    package = types.ModuleType(PACKAGE)
    # Code for every Python kernel, however it is started, is in another folder.
    folders = ("cells", "watcher")
    package.__path__ = [here, *(os.path.join(here, os.pardir, name) for name in folders)]
    sys.modules[PACKAGE] = package


def _main(control):
    from _nbcache_zygote import kernel, loop

    order = loop.serve(control)
    # Only a forked child returns. A notebook must not find our modules in `sys.modules`; the
    # modules that are still needed live on through references.
    for name in order["ours"]:
        del sys.modules[name]
    kernel.run_kernel(order)


if __name__ == "__main__":
    _as_package()
    _main(int(sys.argv[1]))
