"""Makes commands in cells, such as `!cat`, reach the end of their input at once.

IPython gives them a terminal to which no one ever writes: a command that reads from it would wait
until the cell's time limit. The terminal stays in use for output, and for Ctrl-C.
"""

import builtins
import functools
import os
import sys
import types

# Both modules keep the function under this name.
_MODULES = ("IPython.core.interactiveshell", "ipykernel.zmqshell")


class _Pexpect:
    """The module `pexpect`, except that processes started with it have no input."""

    def __init__(self, module):
        self._module = module

    def __getattr__(self, name):
        found = getattr(self._module, name)
        if name in ("spawn", "spawnb"):
            return functools.partial(found, preexec_fn=_take_input_away)
        return found


def _take_input_away():
    """Make standard input empty: in the child, before it becomes the shell."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    if nothing != 0:
        os.close(nothing)


def _import(name, *more, **options):
    module = builtins.__import__(name, *more, **options)
    return _Pexpect(module) if name == "pexpect" else module


def _without_input(system):
    """Return IPython's own function with a replaced `pexpect`."""
    function = system.__func__
    names = dict(function.__globals__, __builtins__=dict(vars(builtins), __import__=_import))
    if "pexpect" in names:
        names["pexpect"] = _Pexpect(names["pexpect"])
    same = types.FunctionType(
        function.__code__, names, function.__name__, function.__defaults__, function.__closure__
    )
    return types.MethodType(same, system.__self__)


def _install():
    for name in _MODULES:
        module = sys.modules.get(name)
        system = getattr(module, "system", None)
        # Ask the class: asking the object would fix its choice of a shell before the first cell.
        if os.name == "posix" and hasattr(type(getattr(system, "__self__", None)), "sh"):
            module.system = _without_input(system)


try:
    _install()
except Exception:
    pass  # cells without such commands do not depend on it
