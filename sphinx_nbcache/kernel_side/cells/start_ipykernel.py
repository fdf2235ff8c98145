"""Starts a kernel as `python -m ipykernel_launcher` does, without unrequested folders."""

import os
import sys


def _be_the_launcher(launcher):
    """Hide that this file was started, except in the command line of the process."""
    here = os.path.dirname(os.path.abspath(__file__))
    for path in (here, __file__):
        sys.path_importer_cache.pop(path, None)
    # The interpreter's options may have kept the folder out of the path.
    if sys.path and os.path.abspath(sys.path[0]) == here:
        try:
            # As `python -m` does, which the kernelspec asks for: the first entry is the working
            # directory.
            sys.path[0] = os.getcwd()
        except OSError:
            # The working directory was removed.
            sys.path[0] = ""
    words = getattr(sys, "orig_argv", [])
    if __file__ in words:
        position = words.index(__file__)
        words[position : position + 1] = ["-m", launcher]
    return os.path.join(here, "ipython_folders.py")


def _leave_unmade(module):
    """Import the kernel's modules as its launcher does: not from the notebook's folder."""
    first = sys.path[:1]
    try:
        # A file `traitlets.py` next to the notebook would otherwise be imported here, before the
        # launcher decides: ipykernel_launcher removes this entry as well.
        if first == [os.getcwd()]:
            del sys.path[0]
        else:
            first = []
        with open(module, encoding="utf-8") as file:
            code = compile(file.read(), module, "exec")
        names = {"__name__": "<nbcache>"}
        exec(code, names)
        names["leave_unmade"]()
    except Exception:
        pass  # then the folders are made
    finally:
        if first and sys.path[:1] != first:
            sys.path[:0] = first


if __name__ == "__main__":
    import runpy

    _leave_unmade(_be_the_launcher("ipykernel_launcher"))
    del _be_the_launcher, _leave_unmade, os
    # The function behind `python -m`: it sets `sys.argv[0]` and `__main__.__spec__` alike.
    if hasattr(runpy, "_run_module_as_main"):
        runpy._run_module_as_main("ipykernel_launcher")
    else:
        runpy.run_module("ipykernel_launcher", run_name="__main__", alter_sys=True)
