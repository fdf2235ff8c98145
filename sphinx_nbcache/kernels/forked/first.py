"""The zygote of the first kernel, started before the build's own imports.

Both take some tenths of a second. This module therefore imports nothing that takes long: it guesses
the kernel, and the zygote is used if the guess was right.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_path

from sphinx_nbcache.config import KernelStart
from sphinx_nbcache.kernels.fitting import UnfitError, command_of, may_fork, unfit_variables
from sphinx_nbcache.kernels.forked.zygote import Zygote, ZygoteError, ZygoteKey
from sphinx_nbcache.kernels.watching import Watchers
from sphinx_nbcache.notebooks.key import DEFAULT_KERNEL


class FirstZygote:
    """A zygote without kernels, and without a list of modules to preload.

    Args:
        key: The zygote's properties, except for the modules to preload.
        zygote: The zygote; `None` if there is none.
    """

    def __init__(self, key: ZygoteKey | None = None, zygote: Zygote | None = None) -> None:
        self._key = key
        self._zygote = zygote

    def take(self, key: ZygoteKey) -> Zygote | None:
        """Return the zygote, once, if its key matches."""
        # The zygote was started on a guess. A `conf.py` may have changed the environment since.
        if self._key != replace(key, modules=()):
            return None
        zygote, self._zygote = self._zygote, None
        return zygote

    def close(self) -> None:
        """End the zygote, unless it was taken."""
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None


@contextmanager
def first_zygote(  # noqa: PLR0913, PLR0917 (what a zygote is started with)
    mode: KernelStart,
    kernel: str,
    language: str,
    environment: Mapping[str, str],
    below: Path,
    watchers: Watchers | None = None,
) -> Iterator[FirstZygote]:
    """Start the zygote for a kernel if possible; it ends with the context unless it was taken.

    Errors are ignored here: they are reported when a kernel is wanted.

    Args:
        mode: `nbcache_kernel_start`.
        kernel: The kernel's name, or an empty string.
        language: The language, if there is no name.
        environment: The environment variables that kernels will have.
        below: The parent of the zygote's own folder; it is created.
        watchers: Makes the system tracers, if there are any.
    """
    first = FirstZygote()
    if may_fork(mode):
        with suppress(UnfitError, ZygoteError, OSError, ValueError):
            spec = _kernelspec(kernel or (DEFAULT_KERNEL if language in ("", "python") else ""))
            python = _python(spec)
            if python and not spec.get("env") and not unfit_variables(environment):
                folder = below / "first"
                folder.mkdir(mode=0o700, parents=True)
                key = ZygoteKey.of(python, environment)
                first = FirstZygote(key, Zygote(python, environment, folder, watchers))
    try:
        yield first
    finally:
        first.close()


def _kernelspec(name: str) -> dict[str, Any]:
    """Return the content of a kernelspec from the usual folders; empty if it is not there."""
    # The name comes from a notebook, and must not lead out of the folders of kernelspecs.
    if name != Path(name).name:
        return {}
    # Not through `KernelSpecManager`: importing jupyter_client takes as long as the zygote needs.
    for folder in jupyter_path("kernels"):
        with suppress(OSError, ValueError):
            found = json.loads(Path(folder, name, "kernel.json").read_text(encoding="utf-8"))
            return found if isinstance(found, dict) else {}
    return {}


def _python(spec: Mapping[str, Any]) -> tuple[str, ...]:
    argv, metadata = spec.get("argv"), spec.get("metadata", {})
    if not isinstance(argv, list) or not all(isinstance(word, str) for word in argv):
        return ()
    if not isinstance(metadata, dict):
        return ()
    return command_of(argv, str(spec.get("interrupt_mode", "signal")), metadata).python
