"""The tracer of one run: it begins with the kernel, or is sent to it, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from running import job, kernels, outcome_of, soon

from sphinx_nbcache.config import KernelStart
from sphinx_nbcache.execution.job import Job, Outcome
from sphinx_nbcache.execution.runner import run
from sphinx_nbcache.kernels.choosing import KernelStarts
from sphinx_nbcache.kernels.fitting import may_fork
from sphinx_nbcache.kernels.forked.starts import kernel_starts
from sphinx_nbcache.kernels.tracing import Tracing
from sphinx_nbcache.notices import say_nothing
from sphinx_nbcache.traces import tracer_code

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(not may_fork("fork"), reason="forks work on Linux only"),
]

WAYS: list[KernelStart] = ["fork", "light", "spawn"]


def starts_by(way: KernelStart) -> KernelStarts:
    return kernel_starts(way, (), list, say_nothing)


def traced(folder: Path, *sources: str) -> Job:
    """Return the order to run cells, and to trace them."""
    return job(folder, *sources, tracing=Tracing(str(folder), (), str(folder / "trace")))


@pytest.mark.parametrize("way", WAYS)
def test_after_the_run_only_is_left_what_other_runs_need(tmp_path: Path, way: KernelStart) -> None:
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'open(\\'a\\')'])"
    (tmp_path / "a").touch()
    with starts_by(way) as starts:
        for _ in range(2):
            outcome = outcome_of(traced(tmp_path, child), starts)
            assert str(tmp_path / "a") in str(outcome.report["children"])
    left = {path.name for path in (tmp_path / "trace").rglob("*")}
    assert left == {"tracer", "tracer.bin", "sitecustomize.py"}


@pytest.mark.parametrize("way", WAYS)
def test_a_tracer_that_cannot_be_started_is_no_failure_of_the_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: KernelStart
) -> None:
    monkeypatch.setattr(tracer_code, "_compiled", lambda: b"damaged")
    with starts_by(way) as starts:
        outcome = outcome_of(traced(tmp_path, "1"), starts)
    assert outcome.failure is None
    assert outcome.report.keys() == {"errors"}
    assert "marshal" in outcome.report["errors"][0]


def test_what_a_kernel_could_not_see_while_it_waited_is_older_than_its_run(tmp_path: Path) -> None:
    order = traced(tmp_path, "1")

    async def both(starts: KernelStarts) -> tuple[int, Outcome]:
        starts.expect(str(tmp_path))
        await run(order, starts)
        starts.expect(None)
        # The kernel that was forked for the second run is there, and its tracer runs.
        assert await asyncio.to_thread(soon, kernels)
        await asyncio.sleep(0.5)
        return time.time_ns(), await run(order, starts)

    with starts_by("fork") as starts:
        between, outcome = asyncio.run(both(starts))
    assert outcome.report["started"] >= between
