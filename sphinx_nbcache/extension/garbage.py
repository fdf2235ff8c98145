"""Controls when Python's garbage collector scans Sphinx's environment, which is slow.

With a large environment in memory, each full collection costs more than planning a thousand
notebooks, and finds nothing: loaded objects live until the end of the build.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection(*, running: bool) -> Iterator[None]:
    """Enable or disable the collector.

    Planning and reporting create many small objects and no cycles. Running notebooks does create
    cycles.
    """
    was_enabled = gc.isenabled()
    (gc.enable if running else gc.disable)()
    try:
        yield
    finally:
        (gc.enable if was_enabled else gc.disable)()


def set_aside(*, has_garbage: bool) -> None:
    """Exempt the objects now in memory from later collections, also at the exit of Python.

    Forked readers then share these memory pages, because the collector does not write to them.

    Args:
        has_garbage: Whether to collect garbage first, as after running notebooks.
    """
    if has_garbage:
        gc.collect()
    gc.freeze()


def take_back() -> None:
    """Let the collector see again the objects that an earlier build in this process set aside."""
    gc.unfreeze()
