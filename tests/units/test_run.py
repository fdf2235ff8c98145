"""`run(job) -> Outcome` with real kernels, and the executors around it."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from running import job, kernels, outcome_of, soon, text

from sphinx_nbcache.execution import attempt, executors
from sphinx_nbcache.execution.executors import Parallel, first_done, make_executor
from sphinx_nbcache.execution.job import Job, Outcome
from sphinx_nbcache.execution.runner import run
from sphinx_nbcache.kernels.choosing import KernelStarts
from sphinx_nbcache.planning import Planned
from sphinx_nbcache.project import NotebookFailedError, Progress, Project, Settled
from sphinx_nbcache.results.records import Status
from sphinx_nbcache.results.terminal import strip_ansi
from sphinx_nbcache.signals import Interrupted

pytestmark = pytest.mark.kernel


def counts(outcome: Outcome) -> list[int | None]:
    """Return the execution counts of the cells."""
    return [cell.execution_count for cell in outcome.cells]


def test_a_notebook_is_run_in_its_folder_with_all_its_outputs(
    tmp_path: Path, starts: KernelStarts
) -> None:
    source = (
        "import os, sys\nx = 20 + 1\nprint(os.getcwd())\nprint('error', file=sys.stderr)\nx * 2"
    )
    outcome = outcome_of(job(tmp_path, source, "x"), starts)
    assert (outcome.status, outcome.failure) == (Status.OK, None)
    first, second = outcome.outputs.cells
    streams = {output["name"]: output["text"] for output in first if "name" in output}
    assert streams == {"stdout": f"{tmp_path}\n", "stderr": "error\n"}
    assert first[-1]["data"]["text/plain"] == "42"
    assert second[0]["data"]["text/plain"] == "21"
    assert counts(outcome) == [1, 2]
    assert all(cell.seconds is not None and cell.error is None for cell in outcome.cells)
    assert [cell.digest for cell in outcome.cells] == ["d0", "d1"]
    assert outcome.kernel == "python3"
    assert outcome.language_info["name"] == "python"
    # Plain data, that can travel.
    assert type(first[-1]) is dict
    assert type(first[-1]["data"]) is dict
    assert outcome.seconds > 0
    assert kernels() == []


def test_a_failure_stops_the_run_and_keeps_what_came_before(
    tmp_path: Path, starts: KernelStarts
) -> None:
    outcome = outcome_of(
        job(tmp_path, "print('one')", "print('two')\n1 / 0", "print('three')"), starts
    )
    assert outcome.status is Status.FAILED
    assert (text(outcome, 1), text(outcome, 2), text(outcome, 3)) == ("one\n", "two\n", "")
    assert outcome.failure is not None
    assert outcome.failure.headline == "ZeroDivisionError: division by zero"
    assert outcome.failure.position == 1
    assert "1 / 0" in strip_ansi(outcome.failure.traceback)
    assert [cell.error for cell in outcome.cells] == [None, "ZeroDivisionError", None]
    assert counts(outcome) == [1, 2, None]
    assert outcome.outputs.cells[1][-1]["output_type"] == "error"


def test_a_cell_that_may_raise_stops_nothing_and_a_skipped_one_is_not_run(
    tmp_path: Path, starts: KernelStarts
) -> None:
    order = job(tmp_path, "1 / 0", "print('skipped')", "print('end')", raising=(0,), skipped=(1,))
    outcome = outcome_of(order, starts)
    assert (outcome.status, outcome.failure) == (Status.OK, None)
    assert [cell.error for cell in outcome.cells] == ["ZeroDivisionError", None, None]
    assert (text(outcome, 2), text(outcome, 3)) == ("", "end\n")
    assert counts(outcome) == [1, None, 2]
    assert outcome.cells[1].seconds is None


def test_where_errors_are_allowed_every_cell_may_raise(
    tmp_path: Path, starts: KernelStarts
) -> None:
    outcome = outcome_of(job(tmp_path, "1 / 0", "print('end')", allow_errors=True), starts)
    assert outcome.status is Status.OK
    assert text(outcome, 2) == "end\n"


def test_a_cell_that_takes_too_long_is_named_and_its_kernel_ends(
    tmp_path: Path, starts: KernelStarts
) -> None:
    sleep = "import time\nprint('start', flush=True)\ntime.sleep(60)"
    begin = time.monotonic()
    outcome = outcome_of(job(tmp_path, "1", sleep, "3", timeout=0.5), starts)
    assert time.monotonic() - begin < 20
    assert outcome.status is Status.TIMEOUT
    assert outcome.failure is not None
    assert outcome.failure.position == 1
    assert "0.5 s" in outcome.failure.message
    assert text(outcome, 2) == "start\n"
    assert counts(outcome)[2] is None
    assert soon(lambda: not kernels())


def test_a_cell_about_iopub_that_takes_too_long_is_told_by_its_time_limit(tmp_path: Path) -> None:
    """nbclient's message on a time limit contains the cell, and a word tells which limit it was."""
    code = "# Timeout waiting for IOPub output\nimport time\ntime.sleep(60)"
    outcome = outcome_of(job(tmp_path, code, timeout=0.5))
    assert outcome.status is Status.TIMEOUT
    assert outcome.failure is not None
    assert "longer than 0.5 s" in outcome.failure.message


@pytest.mark.parametrize("timeout", [None, 60.0])
def test_outputs_that_do_not_arrive_are_a_failure_that_says_so(
    tmp_path: Path, timeout: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "_OUTPUT_SECONDS", 1)
    outcome = outcome_of(job(tmp_path, "get_ipython().kernel.iopub_thread.stop()", timeout=timeout))
    assert outcome.status is Status.TIMEOUT
    assert outcome.failure is not None
    assert "its last outputs did not arrive" in outcome.failure.message


def test_a_kernel_that_dies_is_a_failure_of_its_cell_with_its_last_words(
    tmp_path: Path, starts: KernelStarts
) -> None:
    die = "import os\nos.write(2, b'last words')\nos._exit(1)"
    outcome = outcome_of(job(tmp_path, "print('one')", die, "3"), starts)
    assert outcome.status is Status.DIED
    assert outcome.failure is not None
    assert outcome.failure.position == 1
    assert text(outcome, 1) == "one\n"
    assert counts(outcome)[2] is None


def test_a_kernel_that_is_not_installed_is_a_failure_that_says_what_to_do(
    tmp_path: Path, starts: KernelStarts
) -> None:
    outcome = outcome_of(job(tmp_path, "1", kernel="no-such-kernel"), starts)
    assert outcome.status is Status.FAILED
    assert outcome.failure is not None
    assert "no-such-kernel" in outcome.failure.message
    assert "nbcache_kernel_aliases" in outcome.failure.message
    assert outcome.failure.position is None
    assert outcome.outputs.cells == [[]]
    other = outcome_of(job(tmp_path, "1", kernel="", language="no such language"), starts)
    assert other.failure is not None
    assert "no such language" in other.failure.message


def test_a_notebook_that_names_no_kernel_is_run_by_the_default_one(
    tmp_path: Path, starts: KernelStarts
) -> None:
    outcome = outcome_of(job(tmp_path, "1", kernel="", language=""), starts)
    assert (outcome.status, outcome.kernel) == (Status.OK, "python3")


def test_code_that_asks_for_input_fails_instead_of_waiting(
    tmp_path: Path, starts: KernelStarts
) -> None:
    outcome = outcome_of(job(tmp_path, "input('name? ')"), starts)
    assert outcome.status is Status.FAILED
    assert outcome.failure is not None
    assert outcome.failure.name == "StdinNotImplementedError"


def test_a_folder_that_is_not_there_is_a_failure_and_no_exception(
    tmp_path: Path, starts: KernelStarts
) -> None:
    outcome = outcome_of(job(tmp_path / "gone", "1"), starts)
    assert outcome.status is Status.FAILED
    assert outcome.failure is not None
    assert kernels() == []


def test_a_cancelled_run_ends_its_kernel(tmp_path: Path, starts: KernelStarts) -> None:
    mark = tmp_path / "mark"

    async def cancel_while_it_runs() -> None:
        cells = ("import os", f"open({str(mark)!r}, 'w').close()\nimport time\ntime.sleep(60)")
        task = asyncio.create_task(run(job(tmp_path, *cells), starts))
        while not mark.exists():  # noqa: ASYNC110 (a file has no event)
            await asyncio.sleep(0.02)
        assert len(kernels()) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel_while_it_runs())
    assert kernels() == []


def test_many_more_outputs_than_zeromq_has_room_for_are_all_kept(
    tmp_path: Path, starts: KernelStarts
) -> None:
    # An ordinary kernel has a limit, which its connection must make up for.
    count = 4_000 if type(starts) is KernelStarts else 20_000
    code = (
        "publish = get_ipython().display_pub.publish\n"
        f"for n in range({count}): publish({{'text/plain': str(n)}})"
    )
    outcome = outcome_of(job(tmp_path, code, "'the end'"), starts)
    assert (outcome.status, outcome.failure) == (Status.OK, None)
    shown = [output["data"]["text/plain"] for output in outcome.outputs.cells[0]]
    assert shown == [str(number) for number in range(count)]
    assert outcome.outputs.cells[1]


def test_a_kernelspec_that_is_broken_is_a_failure_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "kernels" / "broken"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text("{")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    outcome = outcome_of(job(tmp_path, "1", kernel="broken"))
    assert outcome.status is Status.FAILED
    assert outcome.failure is not None
    assert "'broken'" in outcome.failure.message


def test_a_kernelspec_that_is_removed_while_its_kernel_starts_is_a_failure_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "kernels" / "removed"
    folder.mkdir(parents=True)
    # It ends before it is ready, so that it is started again.
    argv = ["sh", "-c", f"rm -r '{folder}'", "{connection_file}"]
    spec = {"argv": argv, "display_name": "A", "language": "p"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    outcome = outcome_of(job(tmp_path, "1", kernel="removed"))
    assert outcome.status is Status.FAILED
    assert outcome.failure is not None
    assert (outcome.failure.name, folder.exists()) == ("NoSuchKernel", False)
    assert "'removed'" in outcome.failure.message


def test_a_kernel_that_cannot_be_started_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "kernels" / "absent"
    folder.mkdir(parents=True)
    spec = {"argv": ["/no/such/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]}
    (folder / "kernel.json").write_text(json.dumps({**spec, "display_name": "A", "language": "p"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    outcome = outcome_of(job(tmp_path, "1", kernel="absent"))
    assert outcome.status is Status.FAILED
    gc.collect()
    assert list(temporary.glob("nbcache-*")) == []


def test_leaving_an_executor_cancels_what_it_runs(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    order = job(tmp_path, f"open({str(mark)!r}, 'w').close()\nimport time\ntime.sleep(60)")
    begin = time.monotonic()
    with Parallel(run, 2) as executor:
        future = executor.submit(order)
        assert first_done({future}, 0.01) == set()
        assert soon(mark.exists)
    assert future.cancelled()
    assert kernels() == []
    assert time.monotonic() - begin < 30


@pytest.mark.parametrize("error", [KeyboardInterrupt, Interrupted, NotebookFailedError])
def test_a_run_that_cannot_be_ended_does_not_hide_why_it_should_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    for name in ("_CANCEL_SECONDS", "_INTERRUPTED_SECONDS", "_KILL_SECONDS"):
        monkeypatch.setattr(executors, name, 0.1)
    killed: list[bool] = []
    # The real one would kill the zygotes that other tests share.
    monkeypatch.setattr(executors, "_kill_all", lambda: killed.append(True))
    begun = threading.Event()

    async def stubborn(_job: Job) -> Outcome:
        begun.set()
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    def interrupted_run() -> None:
        with Parallel(stubborn, jobs=1) as executor:
            executor.submit(job(tmp_path, "1"))
            assert begun.wait(10)
            raise reason

    reason = error(signal.SIGTERM)
    with pytest.raises(error) as raised:
        interrupted_run()
    assert raised.value is reason
    assert killed == [True]


def test_executors_are_made_by_name_with_their_slots() -> None:
    def slots(name: str, jobs: int | None) -> int:
        with make_executor(name, jobs, run) as executor:
            return executor.slots

    for place in ("local", "temp"):
        assert slots(f"{place}-serial", 5) == 1
        assert slots(f"{place}-parallel", 5) == 5
    assert 1 <= slots("local-parallel", None) <= (os.cpu_count() or 1)


class Watch(Progress):
    """Notes how many notebooks were under way at once."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.names: list[str] = []

    def started(self, planned: Planned, number: int, total: int) -> None:  # noqa: ARG002
        self.now += 1
        self.most = max(self.most, self.now)

    def finished(self, settled: Settled) -> None:
        self.now -= 1
        self.names.append(settled.planned.name)


def write_notebooks(folder: Path, *sources: str) -> None:
    """Write MyST notebooks of one code cell each."""
    for number, source in enumerate(sources):
        text = f"---\nkernelspec: {{name: python3}}\n---\n\n```{{code-cell}}\n{source}\n```\n"
        (folder / f"n{number}.md").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("executor", "jobs", "most"), [("local-serial", 4, 1), ("local-parallel", 2, 2)]
)
def test_no_more_notebooks_run_at_once_than_there_are_slots(
    tmp_path: Path, executor: str, jobs: int, most: int
) -> None:
    write_notebooks(tmp_path, *(f"import time\ntime.sleep(0.3)\n{n}" for n in range(3)))
    project = Project.find(tmp_path, place=tmp_path / "store", executor=executor, jobs=jobs)
    watch = Watch()
    run_of_all = project.execute(project.plan(), watch)
    assert watch.most == most
    assert sorted(watch.names) == ["n0.md", "n1.md", "n2.md"]
    assert all(item.ran_here and not item.failed for item in run_of_all.notebooks)
    # Nothing is left to run.
    assert {item.decision.action.value for item in project.plan()} == {"reuse"}
    project.close()
    assert kernels() == []


def test_stopping_at_the_first_failure_leaves_no_kernel(tmp_path: Path) -> None:
    write_notebooks(tmp_path, "import time\ntime.sleep(60)", "1 / 0")
    project = Project.find(tmp_path, place=tmp_path / "store", jobs=2, on_error="stop")
    begin = time.monotonic()
    with pytest.raises(NotebookFailedError, match=r"n1\.md: ZeroDivisionError"):
        project.execute(project.plan())
    assert time.monotonic() - begin < 30
    assert kernels() == []
    # What ended is remembered, also that it failed.
    reasons = {item.name: str(item.decision.reason) for item in project.plan()}
    assert "ZeroDivisionError" in reasons["n1.md"]
    assert reasons["n0.md"] == "no earlier result"
    project.close()


def test_notebooks_with_the_same_code_are_run_once(tmp_path: Path) -> None:
    source = f"print('x', file=open({str(tmp_path / 'count')!r}, 'a'))"
    write_notebooks(tmp_path, source, source)
    project = Project.find(tmp_path, place=tmp_path / "store", jobs=2)
    settled = project.execute(project.plan()).notebooks
    assert (tmp_path / "count").read_text() == "x\n"
    assert [item.ran_here for item in settled] == [True, False]
    assert settled[0].result == settled[1].result
    project.close()
