"""When Python's garbage collector may look through Sphinx's environment, which is slow.

With a large environment in memory, each full collection costs more than planning a thousand
notebooks, and finds nothing: what is loaded lives until the end of the build.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection(*, running: bool) -> Iterator[None]:
    """Let the collector run, or keep it from running.

    Planning and reporting make many small objects and no cycles. Running notebooks does make
    cycles.
    """
    was_enabled = gc.isenabled()
    (gc.enable if running else gc.disable)()
    try:
        yield
    finally:
        (gc.enable if was_enabled else gc.disable)()


def set_aside(*, has_garbage: bool) -> None:
    """Keep what is in memory now from being looked through again, at the exit of Python too.

    Forked readers share these pages of memory then, as the collector writes to none of them.

    Args:
        has_garbage: Whether there is something to collect before, as after running notebooks.
    """
    if has_garbage:
        gc.collect()
    gc.freeze()


def take_back() -> None:
    """Let what was set aside for an earlier build in this process be collected."""
    gc.unfreeze()
