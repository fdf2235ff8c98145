"""Lets commands of cells, such as `!cat`, find the end of their input at once.

IPython gives them a terminal, on which nobody ever writes anything: what reads from it would wait
until the time of the cell is over. They keep it for what they write, and for Ctrl-C.
"""

import builtins
import functools
import os
import sys
import types

# Both keep the function under this name.
_MODULES = ("IPython.core.interactiveshell", "ipykernel.zmqshell")


class _Pexpect:
    """The module `pexpect`, but what it starts has no input."""

    def __init__(self, module):
        self._module = module

    def __getattr__(self, name):
        found = getattr(self._module, name)
        if name in ("spawn", "spawnb"):
            return functools.partial(found, preexec_fn=_take_input_away)
        return found


def _take_input_away():
    """Let the standard input be empty: in the child, before it becomes the shell."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    if nothing != 0:
        os.close(nothing)


def _import(name, *more, **options):
    module = builtins.__import__(name, *more, **options)
    return _Pexpect(module) if name == "pexpect" else module


def _without_input(system):
    """Return IPython's own function, which differs in the `pexpect` that it sees."""
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
        # Of the class: asking the object would settle which shell it is, before the first cell.
        if os.name == "posix" and hasattr(type(getattr(system, "__self__", None)), "sh"):
            module.system = _without_input(system)


try:
    _install()
except Exception:
    pass  # cells without such commands do not depend on it
