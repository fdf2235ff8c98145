"""Zygotes that do not answer, or not in time, and zygotes with too few open files."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sphinx_nbcache.kernels.fitting import may_fork
from sphinx_nbcache.kernels.forked import zygote
from sphinx_nbcache.kernels.forked.zygote import Zygote, ZygoteError

pytestmark = pytest.mark.skipif(not may_fork("fork"), reason="works on Linux only")

# Programs in the place of a zygote's. They have its descriptor of the socket.
BEGIN = "import socket, sys, time; control = socket.socket(fileno=int(sys.argv[2]))"
DRIP = f"{BEGIN}\nwhile True: control.send(b' '); time.sleep(0.02)"
SILENT = f"{BEGIN}\ntime.sleep(60)"

StartZygote = Callable[[str], Zygote]


@pytest.fixture
def start(tmp_path: Path) -> StartZygote:
    """Return a function that starts a program as a zygote."""
    return lambda program: Zygote([sys.executable, "-c", program], os.environ, tmp_path)


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    ("program", "modules"),
    [(DRIP, []), (SILENT, []), (SILENT, ["m" * 10_000_000])],
    ids=["answers slowly", "does not answer", "does not read"],
)
def test_a_zygote_that_is_not_ready_in_time_is_ended(
    start: StartZygote, program: str, modules: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zygote, "_START_SECONDS", 0.5)
    slow = start(program)
    begin = time.monotonic()
    with pytest.raises(ZygoteError, match="timed out"):
        slow.preload(modules)
    assert time.monotonic() - begin < 10
    assert not slow.is_alive
