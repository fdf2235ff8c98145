"""Which interpreter runs a kernel, in which environment. Asking is slow: it is remembered."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Annotated

import msgspec

from sphinx_nbcache.bounded import Many, Name, Text
from sphinx_nbcache.notebooks.scan import Stat
from sphinx_nbcache.traces.environments import Python, ask

if TYPE_CHECKING:
    from jupyter_client.kernelspec import KernelSpecManager

_SPEC_FILE = "kernel.json"
# What decides where kernels are looked for, and which interpreter a name such as `python` is.
_VARIABLES = (
    *("HOME", "PATH", "JUPYTER_PATH", "JUPYTER_DATA_DIR", "JUPYTER_PREFER_ENV_PATH"),
    *("CONDA_PREFIX", "VIRTUAL_ENV", "APPDATA", "PROGRAMDATA", "XDG_DATA_HOME", "PYTHONPATH"),
)


class KernelFacts(msgspec.Struct, frozen=True):
    """What is known of a kernel without starting it."""

    name: Name
    language: Name
    variables: Annotated[dict[Name, Text], Many]
    """What its kernelspec sets."""
    python: Python | None
    """Its interpreter; `None` if it is none of Python, or does not answer."""
    watched: Annotated[dict[Name, Stat | None], Many]
    """Files that this was read from, and such as would have come before them."""

    @property
    def is_current(self) -> bool:
        """Whether nothing of it has changed. One `stat` for each file."""
        return all(_stat(Path(path)) == stat for path, stat in self.watched.items())

    @property
    def is_installed(self) -> bool:
        """Whether the files that it was read from are still there, in whatever state."""
        return all(stat is None or Path(path).exists() for path, stat in self.watched.items())

    def environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return the environment variables that the kernel has, if it is started with these."""
        own = {n: Template(v).safe_substitute(environment) for n, v in self.variables.items()}
        return {**environment, **own}


def memory_key(name: str, language: str, environment: Mapping[str, str]) -> str:
    """Return the key under which the facts of a kernel are remembered, for this process."""
    parts = [name, language, sys.prefix, sys.executable]
    parts += [f"{v}={os.environ.get(v)}={environment.get(v)}" for v in _VARIABLES]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def kernel_facts(name: str, language: str, environment: Mapping[str, str]) -> KernelFacts | None:
    """Look up a kernel; `None` if there is none.

    Args:
        name: Its name; empty if a notebook names none.
        language: The notebook's language.
        environment: The environment variables that it is started with.
    """
    from sphinx_nbcache.execution.kernels import KernelError, choose_kernel
    from sphinx_nbcache.execution.specs import KernelSpecs

    specs = KernelSpecs()
    try:
        chosen = choose_kernel(name, language, specs)
        spec = specs.get_kernel_spec(chosen)
    except (KernelError, ValueError, OSError):
        return None
    watched = dict(_spec_files(chosen, specs))
    python = None
    if spec.language.lower() == "python" and spec.argv:
        executable = _executable(spec.argv[0], environment)
        for path in (Path(executable), Path(executable).parent.parent / "pyvenv.cfg"):
            watched[str(path)] = _stat(path)
        python = ask(executable, environment)
    return KernelFacts(chosen, spec.language.lower(), _texts(spec.env), python, watched)


def _spec_files(name: str, specs: KernelSpecManager) -> dict[str, Stat | None]:
    """Return where the file of a kernel is, and where it would come from instead."""
    files: dict[str, Stat | None] = {}
    for folder in specs.kernel_dirs:
        path = Path(folder, name, _SPEC_FILE)
        files[str(path)] = found = _stat(path)
        if found is not None:
            break
    return files


def _executable(command: str, environment: Mapping[str, str]) -> str:
    """Return the interpreter that jupyter_client starts for the first word of a command."""
    version = sys.version_info
    if command in ("python", f"python{version[0]}", f"python{version[0]}.{version[1]}"):
        return sys.executable
    return shutil.which(command, path=environment.get("PATH")) or command


def _texts(variables: object) -> dict[str, str]:
    if not isinstance(variables, Mapping):
        return {}
    return {str(name): str(value) for name, value in variables.items()}


def _stat(path: Path) -> Stat | None:
    try:
        return Stat.of(path)
    except (OSError, ValueError):
        return None
