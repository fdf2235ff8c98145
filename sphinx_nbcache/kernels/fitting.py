"""Whether a kernel can be forked: only an ipykernel with the usual start command."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePath
from typing import Any

from sphinx_nbcache.config import KernelStart

CONNECTION_FILE = "{connection_file}"
WITHOUT_HISTORY = "--HistoryManager.hist_file=:memory:"
"""Makes an ipykernel write no history."""
_PYTHON = re.compile(r"python(\d+(\.\d+)?)?")
LAUNCHER = "ipykernel_launcher"
# Options of the interpreter that are allowed; some take their value as the next word. Options such
# as `-c` or `-i` change what is run, and so do not fit.
_FLAG = re.compile(r"-([bBdEIOPqsSuvx]+|[XW].+)")
_FLAGS_WITH_VALUE = ("-X", "-W")
# ipykernel runs a subcommand if its first argument is a word.
_ARGUMENT = re.compile(r"--?[A-Za-z].*")
# Placeholders that jupyter_client replaces.
_PLACEHOLDER = re.compile(r"\{(connection_file|prefix|resource_dir)\}")


class UnfitError(Exception):
    """A kernel cannot be forked. The message says why."""


@dataclass(frozen=True, slots=True)
class KernelCommand:
    """The command with which a kernelspec starts an ipykernel.

    Attributes:
        python: The interpreter and its options.
        arguments: The arguments of ipykernel; `{connection_file}` stands for that file.
    """

    python: tuple[str, ...]
    arguments: tuple[str, ...]

    @property
    def is_plain(self) -> bool:
        """Whether the arguments cannot make the kernel execute anything when it starts."""
        return set(self.arguments) <= {"-f", CONNECTION_FILE, WITHOUT_HISTORY}


def may_fork(mode: KernelStart) -> bool:
    """Tell whether kernels that can be forked are forked on this system.

    Args:
        mode: `nbcache_kernel_start`.
    """
    # macOS has `os.fork`, but neither `/proc` nor `prctl`, on which zygotes rely.
    return mode != "spawn" and sys.platform == "linux" and hasattr(os, "fork")


# Code that asks for what a light kernel lacks: a debugger, sockets, and loops of other toolkits.
_NOT_LIGHT = re.compile(
    r"""%debug|%pdb|%gui\b|%matplotlib\s+(?!inline|agg)\w|breakpoint\(|set_trace|debugpy|subshell
    |%connect_info|%qtconsole|connection_(file|info)|(shell|control|stdin|iopub|debugpy)_(socket|stream
    |thread)|shell_channel|do_one_iteration|jupyter_ui_poll|\bzmq\b|ipyparallel|pub_thread""",
    re.VERBOSE,
)


def may_be_light(sources: Sequence[str]) -> bool:
    """Tell whether cells ask for nothing that a light kernel lacks.

    A false alarm only costs time: the kernel is forked in the ordinary way.

    Args:
        sources: The code cells.
    """
    return not any(_NOT_LIGHT.search(source) for source in sources)


def command_of(
    argv: Sequence[str],
    interrupt_mode: str,
    metadata: Mapping[str, Any],
    more: Sequence[str] = (),
) -> KernelCommand:
    """Return the command of a kernelspec.

    Args:
        argv: As in the kernelspec.
        interrupt_mode: As in the kernelspec.
        metadata: As in the kernelspec.
        more: Further arguments of the kernel.

    Raises:
        UnfitError: The command does not start an ipykernel, or has a feature that a fork lacks.
    """
    # The kernel may run on another machine, for example:
    # https://jupyter-client.readthedocs.io/en/stable/provisioning.html
    if "kernel_provisioner" in metadata:
        raise UnfitError("it has a provisioner of its own")
    # `ForkProvisioner` sends signals only:
    # https://jupyter-client.readthedocs.io/en/stable/kernels.html#kernel-specs
    if interrupt_mode != "signal":
        raise UnfitError("it is interrupted by messages")
    words = list(argv)
    if "-m" not in words or words[words.index("-m") + 1 :][:1] != [LAUNCHER]:
        raise UnfitError(f"it is not started by `python -m {LAUNCHER}`")
    position = words.index("-m")
    arguments = _checked(tuple(words[position + 2 :]))
    for word in more:
        if _PLACEHOLDER.search(word):
            raise UnfitError(f"it is given {word!r}")
    return KernelCommand((_interpreter(words[:1]), *_flags(words[1:position])), (*arguments, *more))


def _interpreter(word: Sequence[str]) -> str:
    name = "".join(word)
    if not _PYTHON.fullmatch(PurePath(name).name):
        raise UnfitError(f"{name!r} may be something else than an interpreter of Python")
    version = sys.version_info
    own = ("python", f"python{version[0]}", f"python{version[0]}.{version[1]}")
    # As jupyter_client (8.10) does in `KernelManager.format_kernel_cmd` and `launch_kernel`: a bare
    # name means the Python of this process, whatever is first in PATH.
    return sys.executable if name in own else os.path.expanduser(name)  # noqa: PTH111


def _flags(words: Sequence[str]) -> Sequence[str]:
    is_value = False
    for word in words:
        if not is_value and word not in _FLAGS_WITH_VALUE and not _FLAG.fullmatch(word):
            raise UnfitError(f"its interpreter is given {word!r}")
        is_value = not is_value and word in _FLAGS_WITH_VALUE
    return words


def _checked(arguments: tuple[str, ...]) -> tuple[str, ...]:
    if ("-f", CONNECTION_FILE) not in pairwise(arguments):
        raise UnfitError(f"it is not given `-f {CONNECTION_FILE}`")
    for word in arguments:
        if word != CONNECTION_FILE and ("{" in word or not _ARGUMENT.fullmatch(word)):
            raise UnfitError(f"it is given {word!r}")
    return arguments


def unfit_variables(environment: Mapping[str, str]) -> str | None:
    """Return why kernels with these environment variables cannot be forked; `None` if they can."""
    folders = environment.get("PYTHONPATH", "")
    if folders and not all(os.path.isabs(folder) for folder in folders.split(os.pathsep)):  # noqa: PTH117
        # An interpreter looks for relative folders in its working directory at startup.
        return "PYTHONPATH has relative folders"
    return None
