"""The output of `--version --verbose`: the facts that a bug report should contain."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path

from sphinx_nbcache import __version__
from sphinx_nbcache.config import KernelStart, Settings
from sphinx_nbcache.kernels.fitting import may_fork
from sphinx_nbcache.traces.tracer_code import tracing_means

# For bug reports: packages on whose versions behaviour depends.
PACKAGES = (
    *("Sphinx", "docutils", "myst-parser", "nbclient", "jupyter_client", "ipykernel"),
    *("jupytext", "diskcache"),
)


def about(place: Path | str, settings: Settings, here: Path) -> str:
    """Return the versions and the environment of this program, one fact per line.

    Args:
        place: The folder of the store, or why it is not known.
        settings: The options of the project.
        here: A folder of the project.
    """
    return "\n".join(f"{name:<16}{value}" for name, value in _facts(place, settings, here))


def _facts(place: Path | str, settings: Settings, here: Path) -> Iterator[tuple[str, str]]:
    yield "sphinx_nbcache", f"{__version__} ({Path(__file__).parent.parent})"
    implementation = platform.python_implementation()
    yield "Python", f"{platform.python_version()} {implementation} ({sys.executable})"
    yield from versions(PACKAGES).items()
    yield "platform", platform.platform()
    yield "tracer", means_in_words(tracing_means(here))
    yield "kernel start", kernel_start(settings.kernel_start)
    yield "store", place if isinstance(place, str) else f"{place} ({state_of_store(place)})"


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the version of each package that is installed."""
    return {name: _version(name) for name in packages}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def means_in_words(means: Mapping[str, bool]) -> str:
    """Return the available means and the missing ones as text."""
    there = [name for name, is_available in means.items() if is_available]
    missing = [name for name in means if name not in there]
    return ", ".join(there) + (f" (not available: {', '.join(missing)})" if missing else "")


def kernel_start(mode: KernelStart) -> str:
    """Return how kernels that can be forked are started."""
    return f"{'fork' if may_fork(mode) else 'spawn'} (nbcache_kernel_start = {mode!r})"


def state_of_store(place: Path) -> str:
    """Say whether a folder exists and is writable, without writing to it."""
    if place.is_dir():
        # Asked, not tried: `--version` must not leave files. A folder also needs the right to enter
        # it.
        return "writable" if os.access(place, os.W_OK | os.X_OK) else "not writable"
    if place.exists():
        return "not a folder"
    # On Windows, not even the root exists if there is no such drive.
    above = next((folder for folder in place.absolute().parents if folder.exists()), place)
    may_create = above.is_dir() and os.access(above, os.W_OK | os.X_OK)
    return "not there yet" if may_create else "not there, cannot be created"
