"""Zygotes that do not answer, or not in time, and zygotes with too few open files."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from running import job, outcome_of, soon, text

from sphinx_nbcache.kernels.fitting import may_fork
from sphinx_nbcache.kernels.forked import zygote
from sphinx_nbcache.kernels.forked.starts import kernel_starts
from sphinx_nbcache.kernels.forked.zygote import Zygote, ZygoteError
from sphinx_nbcache.notices import say_nothing

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


def opened(pid: int) -> dict[int, str]:
    """Return the open files of a process, by descriptor."""
    return {int(link.name): str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}


@contextmanager
def room_for(count: int, pid: int) -> Iterator[None]:
    """Let a zygote whose kernels have ended open so many further files."""
    import resource  # not on Windows

    assert soon(lambda: "".join(opened(pid).values()).count("socket:") == 1)
    is_open = opened(pid)
    free = [number for number in range(len(is_open) + count + 1) if number not in is_open]
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (free[count], before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


@pytest.mark.kernel
@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_zygote_at_its_limit_of_open_files_forks_again_later(tmp_path: Path, count: int) -> None:
    def parent() -> int:
        outcome = outcome_of(job(tmp_path, "import os; print(os.getppid())"), starts)
        assert outcome.failure is None, outcome.failure.traceback
        return int(text(outcome, 1))

    with kernel_starts("auto", (), list, say_nothing) as starts:
        pid = parent()
        assert pid != os.getpid()
        with room_for(count, pid):
            assert parent() == os.getpid()  # started in the ordinary way
        assert parent() == pid
