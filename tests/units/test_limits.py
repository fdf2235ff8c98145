"""Limits of a run: how long a notebook takes, and how much it puts out."""

from __future__ import annotations

import asyncio
import gc
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from running import job, outcome_of

from sphinx_nbcache.execution.runner import _in_thread
from sphinx_nbcache.kernels.choosing import KernelStarts
from sphinx_nbcache.kernels.streams import OutputLimits
from sphinx_nbcache.results.records import Status


def stream(text: str) -> dict[str, Any]:
    return {"msg_type": "stream", "content": {"name": "stdout", "text": text}}


def image(text: str) -> dict[str, Any]:
    data = {"image/png": text, "application/json": {"a": [1]}}
    return {"msg_type": "display_data", "content": {"data": data, "metadata": {}}}


CLEAR = {"msg_type": "clear_output", "content": {"wait": True}}


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 400_000))))
def test_what_all_messages_put_out_counts(messages: list[tuple[int, int]]) -> None:
    limits = OutputLimits(cell=1, notebook=2)
    sizes: dict[int, int] = {}
    for position, size in messages:
        sizes[position] = sizes.get(position, 0) + size
        is_within = sizes[position] <= 10**6 and sum(sizes.values()) <= 2 * 10**6
        assert limits.allows(stream("x" * size), position) == is_within
        assert bool(limits.exceeded) != is_within
        if not is_within:
            break


def test_what_was_cleared_or_replaced_does_not_count() -> None:
    limits = OutputLimits(cell=1, notebook=1)
    for _ in range(9):
        assert limits.allows(image("x" * 900_000), 0)
        assert limits.allows(CLEAR, 0)
        assert limits.allows({**image("x" * 900_000), "msg_type": "update_display_data"}, 0)
    assert limits.allows(image("x" * 900_000), 0)
    assert not limits.allows(image("x" * 900_000), 0)


def test_without_limits_everything_is_allowed() -> None:
    limits = OutputLimits(cell=None, notebook=None)
    assert all(limits.allows(stream("x" * 10**6), 0) for _ in range(99))


@pytest.mark.kernel
@pytest.mark.parametrize(
    "code",
    [
        "while True: print('y' * 999)",
        "import os\nwhile True: os.write(1, b'y' * 999)",
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: print('y' * 999)",
        "from IPython.display import HTML, display\nwhile True: display(HTML('y' * 99_999))",
    ],
)
def test_a_cell_that_puts_out_without_end_is_ended_with_what_came_before(
    tmp_path: Path, starts: KernelStarts, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With it, ipykernel does not watch what is written past Python.
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    order = job(tmp_path, "print('before')", code, "3", output_limit=1)
    outcome = outcome_of(order, starts)
    assert outcome.status is Status.FAILED
    assert outcome.failure is not None
    assert (outcome.failure.name, outcome.failure.position) == ("OutputLimitError", 1)
    assert "larger than 1 MB" in outcome.failure.message
    assert "nbcache_output_limit" in outcome.failure.message
    first, second, third = outcome.outputs.cells
    assert (first[0]["text"], third) == ("before\n", [])
    notes = [o["text"] for o in second if o.get("name") == "stderr"]
    assert "cut here" in "".join(notes)
    kept = sum(len(o.get("text", "")) + len(o.get("data", {}).get("text/html", "")) for o in second)
    assert 900_000 < kept < 1_001_000


@pytest.mark.kernel
def test_all_cells_together_have_a_limit_too(tmp_path: Path, starts: KernelStarts) -> None:
    cells = ["print('x' * 1_400_000)"] * 3
    order = job(tmp_path, *cells, output_limit=2, notebook_output_limit=3)
    outcome = outcome_of(order, starts)
    assert outcome.failure is not None
    assert outcome.failure.position == 2
    assert "nbcache_notebook_output_limit" in outcome.failure.message


@pytest.mark.kernel
def test_a_notebook_that_takes_too_long_is_ended_with_what_came_before(
    tmp_path: Path, starts: KernelStarts
) -> None:
    outcome_of(job(tmp_path, "1"), starts)  # a zygote is there
    cells = ["print('before')", "import time; time.sleep(99)"]
    outcome = outcome_of(job(tmp_path, *cells, notebook_timeout=6), starts)
    assert outcome.status is Status.TIMEOUT
    assert outcome.failure is not None
    assert outcome.failure.message.startswith("the notebook took longer than 6 s")
    assert outcome.failure.position == 1
    assert outcome.outputs.cells[0][0]["text"] == "before\n"
    assert 5 < outcome.seconds < 30


REFUSED = "from IPython.display import display\ndisplay({'text/plain': None}, raw=True)\n"


@pytest.mark.kernel
@pytest.mark.parametrize(
    "then", ["print('more')", "import time; time.sleep(60)", "import os; os._exit(1)"]
)
def test_an_output_that_nbformat_refuses_fails_the_run_and_nothing_is_logged(
    tmp_path: Path, starts: KernelStarts, caplog: pytest.LogCaptureFixture, then: str
) -> None:
    outcome = outcome_of(job(tmp_path, "1", REFUSED + then, timeout=3), starts)
    gc.collect()  # asyncio logs an exception that no one has seen when its task is collected
    assert outcome.failure is not None
    assert outcome.failure.position == 1
    assert caplog.text == ""


def test_work_that_fails_after_its_run_was_cancelled_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun, cancelled = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        cancelled.wait(30)
        raise OSError("the disk is full")

    async def run() -> None:
        task = asyncio.create_task(_in_thread(work))
        await asyncio.to_thread(begun.wait, 30)
        task.cancel()
        await asyncio.sleep(0)
        cancelled.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    gc.collect()
    assert caplog.text == ""
