"""In which order notebooks are run, how many at once, and with how many threads each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support import Book

from sphinx_nbcache.files.stats import Stat
from sphinx_nbcache.kernels.environment import VARIABLES, thread_limits
from sphinx_nbcache.notebooks.key import key_parts
from sphinx_nbcache.notebooks.scan import Scan
from sphinx_nbcache.planning import Action, Decision, Planned, Reason, Why
from sphinx_nbcache.project import Project
from sphinx_nbcache.project.order import in_start_order
from sphinx_nbcache.project.run import FormerRun
from sphinx_nbcache.results.records import Rules

DECISION = Decision(Action.EXECUTE, Reason(Why.NO_RESULT, "no earlier result"))


def planned(name: str, *, alone: bool = False) -> Planned:
    scan = Scan(Stat(0, 0, 0, 0), 0, "", "", "ipynb", alone=alone)
    key = key_parts(scan, "", {})
    return Planned(name, Path(name), Path(), scan, key, key.digest(), Rules(), DECISION)


def order(*notebooks: Planned, slots: int = 2, **seconds: float) -> str:
    former = {name: FormerRun(taken, {}) for name, taken in seconds.items()}
    return "".join(g[0].name for g in in_start_order([[item] for item in notebooks], former, slots))


def test_the_longest_are_started_first_and_new_ones_before_them() -> None:
    notebooks = [planned(name) for name in "abcd"]
    assert order(*notebooks, a=1, b=3, d=2) == "cbda"
    assert order(*notebooks) == "abcd"
    assert order(*notebooks, slots=1, a=1, b=3, d=2) == "abcd"


def test_those_that_run_alone_come_last() -> None:
    notebooks = [planned("a", alone=True), planned("b"), planned("c", alone=True), planned("d")]
    assert order(*notebooks, a=9, d=1) == "bdca"


def test_kernels_share_the_cores_unless_the_user_has_a_say() -> None:
    assert set(thread_limits(2, 8, {})) == set(VARIABLES)
    assert set(thread_limits(2, 8, {}).values()) == {"4"}
    assert set(thread_limits(4, 2, {}).values()) == {"1"}
    assert thread_limits(1, 8, {}) == {}
    assert thread_limits(2, 8, {"MKL_NUM_THREADS": "8"}) == {}


TIMES = """%%
import time
began = time.time()
time.sleep(0.7)
with open({log!r}, "a") as log:
    log.write(f"{name} {{began}} {{time.time()}}\\n")
"""


@pytest.mark.kernel
def test_beside_a_notebook_that_must_run_alone_nothing_runs(book: Book, tmp_path: Path) -> None:
    log = tmp_path / "times.log"
    for name in ("a", "b", "c"):
        metadata = {"nbcache": {"alone": True}} if name == "b" else {}
        book.myst(f"{name}.md", TIMES.format(log=str(log), name=name), counts=False, **metadata)
    project = Project.find(book.folder, place=book.store, root=str(book.folder), jobs=3)
    run = project.execute(project.plan())
    project.close()
    assert not any(item.failed for item in run.notebooks)
    lines = [line.split() for line in log.read_text().splitlines()]
    times = {name: (float(began), float(ended)) for name, began, ended in lines}
    alone = times.pop("b")
    assert all(ended <= alone[0] or began >= alone[1] for began, ended in times.values())
    assert max(began for began, _ in times.values()) < min(ended for _, ended in times.values())


THREADS = """%%
import os
print(os.environ.get("OMP_NUM_THREADS"))
"""


@pytest.mark.kernel
@pytest.mark.parametrize("start", ["fork", "light", "spawn"])
def test_limits_of_threads_are_no_dependency_until_the_user_sets_them(
    book: Book, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    book.myst("a.md", THREADS, counts=False)
    jobs = 2 * len(os.sched_getaffinity(0))

    def executed(jobs: int) -> tuple[str, bool, str]:
        project = Project.find(
            book.folder, place=book.store, root=str(book.folder), kernel_start=start, jobs=jobs
        )
        (settled,) = project.execute(project.plan()).notebooks
        assert settled.result is not None
        assert not settled.failed, settled.result.result.failure
        (output, *_), *_ = project.outputs(settled.result).cells
        project.close()
        return output["text"].split()[0], settled.ran_here, str(settled.planned.decision.reason)

    assert executed(jobs)[:2] == ("1", True)
    assert executed(1)[:2] == ("1", False)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert executed(jobs) == ("2", True, "environment variable OMP_NUM_THREADS changed")
