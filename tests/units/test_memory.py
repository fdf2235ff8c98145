"""How much memory a process has used."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from sphinx_nbcache.kernels.processes import peak_memory


@pytest.mark.skipif(peak_memory(os.getpid()) is None, reason="other systems do not tell")
def test_the_peak_stays_when_memory_was_given_back() -> None:
    code = "x = b'x' * 120_000_000; del x; print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        peak = peak_memory(process.pid)
        process.communicate(b"\n")
    assert peak is not None
    assert 120_000_000 < peak < 240_000_000


@pytest.mark.parametrize("pid", [None, 2**31 - 1])
def test_of_a_process_that_is_not_there_nothing_is_known(pid: int | None) -> None:
    assert peak_memory(pid) is None
