"""How looks at files are kept in a kernel."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest

from sphinx_nbcache.kernel_side.tracer.lookups import Looks

STAT = (12, 1_700_000_000_123_456_789, 1_700_000_000_123_456_790, 2**63 + 5)


@pytest.mark.parametrize("how", ["read", "probe", "touch", "late", "write", "database"])
@pytest.mark.parametrize("digest", [None, "abc"])
@pytest.mark.parametrize(
    ("stat", "kind"),
    [
        (None, ""),
        (STAT, "file"),
        (STAT, "directory"),
        (STAT, "other"),
        ((1, -(2**70), 0, 0), "file"),
    ],
)
def test_a_look_comes_back_as_it_was(
    stat: tuple[int, ...] | None, kind: str, digest: str | None, how: str
) -> None:
    look = (stat, kind, 1_700_000_001_000_000_000, digest, how)
    looks: Any = Looks()
    looks.keep("/a", look)
    assert looks.at("/a") == look
    assert looks.unpacked() == {"/a": look}
    assert "/a" in looks
    assert looks.at("/b") is None


def test_looks_can_be_asked_for_while_another_thread_goes_on() -> None:
    looks: Any = Looks()

    def go_on() -> None:
        for n in range(30_000):
            looks.keep(f"/{n}", (STAT, "file", 1, None, "read"))

    thread = threading.Thread(target=go_on)
    thread.start()
    counts = [len(looks.unpacked())]
    while thread.is_alive():
        counts.append(len(looks.unpacked()))
    assert counts == sorted(counts)
    assert len(looks.unpacked()) == 30_000


def test_ordinary_looks_are_nothing_for_the_collector() -> None:
    looks: Any = Looks()
    for n in range(100):
        looks.keep(f"/{n}", (STAT, "file", 1, None, "read"))
        looks.keep(f"/no/{n}", (None, "", 1, None, "probe"))
    assert not any(map(gc.is_tracked, looks.values()))
