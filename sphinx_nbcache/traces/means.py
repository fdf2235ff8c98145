"""The means of tracing a kernel on this system (see [](sphinx_nbcache.traces.in_kernel))."""

from __future__ import annotations

import os
from pathlib import Path

from sphinx_nbcache.traces.in_kernel.watch import Watch, written_bytes


def tracing_means(folder: Path) -> dict[str, bool]:
    """Return the means by which the actions of a cell are observed, and their availability.

    Nothing is written. The file system of the folder matters: fanotify does not support all of
    them.

    Args:
        folder: A folder of the project.
    """
    return {
        "audit hooks": True,
        "fanotify": _can_watch(str(folder)),
        "/proc": written_bytes() is not None,
    }


def _can_watch(folder: str) -> bool:
    watch = Watch([folder])
    try:
        watch.add(folder)
        return bool(watch.is_known(os.path.join(folder, "any")))
    finally:
        watch.close()
