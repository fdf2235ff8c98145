"""The interpreter and the environment of a kernel, cached because asking is slow."""

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
from sphinx_nbcache.files.stats import Stat
from sphinx_nbcache.traces.distributions import Python, ask

if TYPE_CHECKING:
    from jupyter_client.kernelspec import KernelSpecManager

_SPEC_FILE = "kernel.json"
# These decide where kernels are looked for, and to which interpreter a name such as `python` leads.
_VARIABLES = (
    *("HOME", "PATH", "JUPYTER_PATH", "JUPYTER_DATA_DIR", "JUPYTER_PREFER_ENV_PATH"),
    *("CONDA_PREFIX", "VIRTUAL_ENV", "APPDATA", "PROGRAMDATA", "XDG_DATA_HOME", "PYTHONPATH"),
)


class KernelFacts(msgspec.Struct, frozen=True):
    """Facts about a kernel that are known without starting it."""

    name: Name
    language: Name
    variables: Annotated[dict[Name, Text], Many]
    """The environment variables set in the kernelspec."""
    python: Python | None
    """Its interpreter; `None` if it is not a Python interpreter, or does not answer."""
    watched: Annotated[dict[Name, Stat | None], Many]
    """Source files of these facts, and files that would take precedence over them."""

    @property
    def is_current(self) -> bool:
        """Whether the facts are up to date. This takes one `stat` per file."""
        return all(_stat(Path(path)) == stat for path, stat in self.watched.items())

    @property
    def is_installed(self) -> bool:
        """Whether the source files still exist, in any state."""
        return all(stat is None or _stat(Path(path)) for path, stat in self.watched.items())

    @property
    def fixed_variables(self) -> tuple[str, ...]:
        """The variables of the kernelspec whose values do not refer to other variables."""
        return tuple(name for name, value in self.variables.items() if "$" not in value)

    def environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return the kernel's environment variables if it is started with these."""
        # As `KernelProvisionerBase.pre_launch` does (jupyter_client 8.10).
        own = {n: Template(v).safe_substitute(environment) for n, v in self.variables.items()}
        return {**environment, **own}


def memory_key(name: str, language: str, environment: Mapping[str, str]) -> str:
    """Return the key under which this process remembers the facts of a kernel."""
    parts = [name, language, sys.prefix, sys.executable]
    # Both environments count: kernelspecs are looked for with the variables of this process, and
    # the interpreter with those of the kernel.
    parts += [f"{v}={os.environ.get(v)}={environment.get(v)}" for v in _VARIABLES]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def kernel_facts(name: str, language: str, environment: Mapping[str, str]) -> KernelFacts | None:
    """Look up a kernel; return `None` if it does not exist.

    Args:
        name: The kernel's name; empty if a notebook names none.
        language: The notebook's language.
        environment: The environment variables that the kernel is started with.
    """
    from sphinx_nbcache.kernels.choosing import KernelError, choose_kernel
    from sphinx_nbcache.kernels.specs import KernelSpecs

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
    """Return the file of a kernelspec, and files that would take precedence over it."""
    files: dict[str, Stat | None] = {}
    for folder in specs.kernel_dirs:
        path = Path(folder, name, _SPEC_FILE)
        # Also remember that a file is missing: one that appears here would win.
        files[str(path)] = found = _stat(path)
        if found is not None:
            break
    return files


def _executable(command: str, environment: Mapping[str, str]) -> str:
    """Return the interpreter that jupyter_client starts for the first word of a command."""
    # The same rule as in `KernelManager.format_kernel_cmd` (jupyter_client 8.10).
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
