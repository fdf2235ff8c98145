"""The zygote that is started before the build knows which kernel it will need."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import pytest
from running import FORKED, job, outcome_of, soon, text

from sphinx_nbcache.kernels.fitting import may_fork
from sphinx_nbcache.kernels.forked.first import first_zygote
from sphinx_nbcache.kernels.forked.starts import kernel_starts
from sphinx_nbcache.notices import say_nothing

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(not may_fork("fork"), reason="works on Linux only"),
]


Zygotes = Callable[[], list[psutil.Process]]


def all_zygotes() -> list[psutil.Process]:
    children = psutil.Process().children()
    return [child for child in children if FORKED in " ".join(child.cmdline())]


@pytest.fixture
def zygotes() -> Zygotes:
    """Return what returns the zygotes that a test has started."""
    before = all_zygotes()
    return lambda: [found for found in all_zygotes() if found not in before]


def parents(  # noqa: PLR0913 (what a zygote depends on)
    tmp_path: Path,
    zygotes: Zygotes,
    *,
    kernel: str = "python3",
    environment: Mapping[str, str] | None = None,
    preload: tuple[str, ...] = (),
    starts_one: bool = True,
) -> tuple[list[int], int]:
    """Return the zygotes that were started ahead, and the parent of the kernel that was run."""
    with first_zygote("auto", kernel, "python", environment or os.environ, tmp_path) as first:
        # Linux wakes the parent of a vfork before it has set the command line of the child.
        assert not starts_one or soon(lambda: bool(zygotes()))
        found = [process.pid for process in zygotes()]
        with kernel_starts("auto", preload, list, say_nothing, first) as starts:
            outcome = outcome_of(job(tmp_path, "import os; print(os.getppid())"), starts)
            assert len(zygotes()) <= 2
    assert soon(lambda: not zygotes())
    assert outcome.failure is None, outcome.failure.traceback
    return found, int(text(outcome, 1))


@pytest.mark.parametrize("kernel", ["python3", ""])
def test_the_first_kernel_is_forked_from_it(tmp_path: Path, zygotes: Zygotes, kernel: str) -> None:
    found, parent = parents(tmp_path, zygotes, kernel=kernel)
    assert found == [parent]


def test_it_preloads_what_is_wanted_later(tmp_path: Path, zygotes: Zygotes) -> None:
    found, parent = parents(tmp_path, zygotes, preload=("yaml",))
    assert found == [parent]


def test_one_with_other_variables_is_not_used_and_ends(tmp_path: Path, zygotes: Zygotes) -> None:
    found, parent = parents(tmp_path, zygotes, environment={**os.environ, "OTHER": "1"})
    assert len(found) == 1
    assert parent not in found


@pytest.mark.parametrize(
    "spec",
    [
        {"argv": ["bash", "-c", "true"], "language": "bash"},
        {"argv": "python", "language": "python"},
        {"argv": [sys.executable, "-m", "ipykernel_launcher"], "metadata": 1},
        [],
    ],
)
def test_none_is_started_for_what_is_no_ipykernel(
    tmp_path: Path, zygotes: Zygotes, monkeypatch: pytest.MonkeyPatch, spec: object
) -> None:
    file = tmp_path / "kernels" / "theirs" / "kernel.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    found, _ = parents(tmp_path, zygotes, kernel="theirs", starts_one=False)
    assert found == []


def test_a_name_that_leads_elsewhere_is_not_followed(
    tmp_path: Path, zygotes: Zygotes, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "outside" / "kernel.json"
    file.parent.mkdir()
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    file.write_text(json.dumps({"argv": argv, "language": "python"}))
    (tmp_path / "jupyter" / "kernels").mkdir(parents=True)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    with first_zygote("auto", "../../outside", "python", os.environ, tmp_path):
        assert zygotes() == []


def test_none_is_started_if_kernels_are_not_to_be_forked(tmp_path: Path, zygotes: Zygotes) -> None:
    with first_zygote("spawn", "python3", "python", os.environ, tmp_path):
        assert zygotes() == []
