"""A kernel that is forked ahead: the next notebook runs in it, if it is as good as a new one."""

from __future__ import annotations

import asyncio
import gc
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import psutil
import pytest
from jupyter_client.kernelspec import KernelSpec
from running import job, kernels, soon, text, users_of

from sphinx_nbcache.execution.job import Job, Outcome
from sphinx_nbcache.execution.runner import run
from sphinx_nbcache.kernels.fitting import KernelCommand, may_fork
from sphinx_nbcache.kernels.forked.fork import ForkedKernel, Spare, Start
from sphinx_nbcache.kernels.forked.starts import ForkStarts, kernel_starts
from sphinx_nbcache.kernels.forked.zygote import Zygote
from sphinx_nbcache.notices import say_nothing

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(not may_fork("fork"), reason="works on Linux only"),
]

WHO = "import os; print(os.getpid(), os.getcwd(), os.environ.get('SEEN'))"


def two_runs(
    first: Job,
    second: Job,
    meanwhile: Callable[[psutil.Process], Any] = id,
    expected: str | None = None,
) -> tuple[list[str], psutil.Process]:
    """Run two jobs; return what the second one printed, and the kernel that was forked ahead.

    Args:
        first: Whose kernel the spare one is to follow.
        second: The other one.
        meanwhile: Is called between them, with the spare kernel.
        expected: The folder that is expected; by default, that of the second.
    """

    async def both(starts: ForkStarts) -> tuple[Outcome, psutil.Process]:
        starts.expect(second.directory if expected is None else expected)
        await run(first, starts)
        assert await asyncio.to_thread(soon, kernels)
        starts.expect(None)
        await asyncio.sleep(0.3)
        (spare,) = kernels()
        meanwhile(spare)
        return await run(second, starts), spare

    starts = kernel_starts("auto", (), list, say_nothing)
    assert isinstance(starts, ForkStarts)
    with starts:
        outcome, spare = asyncio.run(both(starts))
        assert soon(lambda: not kernels() or kernels() == [spare])
    assert soon(lambda: not kernels())
    assert outcome.failure is None, outcome.failure.traceback
    return text(outcome, 1).split(), spare


def test_the_next_notebook_runs_in_the_kernel_that_was_forked_ahead(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    found, spare = two_runs(job(here, "1"), job(there, WHO))
    assert found == [str(spare.pid), str(there), "None"]


@pytest.mark.parametrize(
    "more",
    [
        {"environment": {"SEEN": "1"}},
        {"arguments": ("--InteractiveShell.cache_size=7",)},
    ],
    ids=["environment", "arguments"],
)
def test_one_that_was_started_in_another_way_is_not_used(
    tmp_path: Path, more: dict[str, Any]
) -> None:
    found, spare = two_runs(job(tmp_path, "1"), job(tmp_path, WHO, **more))
    assert found[0] != str(spare.pid)
    assert found[2] == more.get("environment", {}).get("SEEN", "None")


def test_one_in_another_folder_is_not_used(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    found, spare = two_runs(job(tmp_path, "1"), job(tmp_path, WHO), expected=str(other))
    assert found[0] != str(spare.pid)
    assert found[1] == str(tmp_path)


def test_one_whose_folder_was_made_anew_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()

    def make_anew(_: psutil.Process) -> None:
        shutil.rmtree(folder)
        (tmp_path / "takes the place").mkdir()
        folder.mkdir()

    found, spare = two_runs(job(folder, "1"), job(folder, WHO), make_anew)
    assert found[0] != str(spare.pid)
    assert found[1] == str(folder)


def test_one_that_was_killed_costs_no_notebook(tmp_path: Path) -> None:
    found, spare = two_runs(job(tmp_path, "1"), job(tmp_path, WHO), lambda spare: spare.kill())
    assert found[0] != str(spare.pid)


@pytest.fixture
def startup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of IPython's start-up files, which is empty."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    folder = tmp_path / "ipython" / "profile_default" / "startup"
    folder.mkdir(parents=True)
    return folder


SEEN = "print(os.getpid(), seen)"


def test_start_up_files_are_executed_when_the_notebook_starts(
    tmp_path: Path, startup: Path
) -> None:
    file = startup / "mine.py"
    file.write_text("import os; seen = 1")
    new = "import os; seen = 2"
    found, spare = two_runs(job(tmp_path, "1"), job(tmp_path, SEEN), lambda _: file.write_text(new))
    assert found[0] != str(spare.pid)
    assert found[1] == "2"


def test_start_up_files_that_are_made_meanwhile_are_executed(tmp_path: Path, startup: Path) -> None:
    def make(_: psutil.Process) -> None:
        (startup / "mine.py").write_text("import os; seen = 2")

    found, spare = two_runs(job(tmp_path, "1"), job(tmp_path, SEEN), make)
    assert found[0] != str(spare.pid)
    assert found[1] == "2"


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_of_one_that_nobody_used_nothing_is_left(tmp_path: Path) -> None:
    async def one(starts: ForkStarts) -> list[psutil.Process]:
        starts.expect(str(tmp_path))
        await run(job(tmp_path, "1"), starts)
        assert await asyncio.to_thread(soon, kernels)
        return kernels()

    descriptors = open_files()
    starts = kernel_starts("auto", (), list, say_nothing)
    assert isinstance(starts, ForkStarts)
    with starts:
        (spare,) = asyncio.run(one(starts))
    assert soon(lambda: not spare.is_running())
    assert users_of(tmp_path) == []
    assert open_files() <= descriptors


def test_one_that_cannot_be_made_is_not_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def follow(spare: Spare) -> ForkedKernel | None:
        # The zygote is not reached: there is no place for the files of the kernel.
        first = Start(cast("Zygote", None), KernelCommand(("python",), ()), "/", {})
        second = replace(first, environment={"A": "1"})
        spare.expect("/")
        for start in (first, second):
            spare.follow(start, KernelSpec())
            await asyncio.sleep(0.1)
        return await spare.take(second)

    assert asyncio.run(follow(Spare(lambda: tmp_path / "missing" / "kernel"))) is None
    gc.collect()
    assert caplog.text == ""
