"""Lets commands of cells, such as `!cat`, find the end of their input at once.

IPython gives them a terminal, on which nobody ever writes anything: what reads from it would wait
until the time of the cell is over.
"""

import os
import sys

# A line of its own, so that a shell that quotes the command quotes that alone. The tracer takes it
# off again.
_PREFIX = "exec </dev/null\n"
_SHELLS = ("sh", "ash", "bash", "dash", "ksh", "mksh", "zsh")
# Both keep the function under this name.
_MODULES = ("IPython.core.interactiveshell", "ipykernel.zmqshell")


def _install():
    for name in _MODULES:
        module = sys.modules.get(name)
        system = getattr(module, "system", None)
        if os.name == "posix" and hasattr(getattr(system, "__self__", None), "sh"):
            module.system = _without_input(system)


def _without_input(system):
    def on_command(command):
        shell = os.path.basename(system.__self__.sh)
        return system(_PREFIX + command if shell in _SHELLS else command)

    return on_command


try:
    _install()
except Exception:
    pass  # cells without such commands do not depend on it
