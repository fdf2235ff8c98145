"""Cells that say what they raise, and runs that are begun anew: with real kernels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from running import job, outcome_of, text

from sphinx_nbcache.kernels.choosing import KernelStarts
from sphinx_nbcache.results.records import Promise, Status

pytestmark = pytest.mark.kernel

GO_ON = "print('went', 'on')"


def test_a_cell_may_raise_what_its_metadata_promise_and_what_is_derived_from_it(
    tmp_path: Path, starts: KernelStarts
) -> None:
    promises = (
        Promise(0, ("KeyError", "ZeroDivisionError")),
        Promise(1, ("LookupError",)),
        Promise(2, ("OSError",)),
        Promise(3, ("SyntaxError",)),
    )
    own = "class Gone(FileNotFoundError): pass\ntype = None\nraise Gone('x')"
    order = job(tmp_path, "1 / 0", "{}['a']", own, "a b", GO_ON, promises=promises)
    outcome = outcome_of(order, starts)
    assert (outcome.status, outcome.failure) == (Status.OK, None)
    assert [cell.error for cell in outcome.cells] == [
        *("ZeroDivisionError", "KeyError", "Gone", "SyntaxError"),
        None,
    ]
    assert outcome.cells[0].bases == ()  # it need not be asked for
    assert outcome.cells[1].bases == ("LookupError", "Exception", "BaseException", "object")
    assert {"FileNotFoundError", "OSError"} < set(outcome.cells[2].bases)
    assert text(outcome, 5) == "went on\n"
    # What was asked in between is no part of the notebook.
    assert [cell.execution_count for cell in outcome.cells] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("more", [{}, {"raising": (1,)}, {"allow_errors": True}])
def test_another_exception_than_the_promised_one_fails_whatever_else_is_allowed(
    tmp_path: Path, starts: KernelStarts, more: dict[str, Any]
) -> None:
    promises = (Promise(1, ("KeyError",)),)
    outcome = outcome_of(job(tmp_path, "1", "1 / 0", GO_ON, promises=promises, **more), starts)
    assert outcome.status is Status.FAILED
    assert outcome.failure is not None
    assert (outcome.failure.name, outcome.failure.position) == ("ZeroDivisionError", 1)
    assert text(outcome, 3) == ""


def test_a_cell_that_keeps_no_promise_is_no_failure(tmp_path: Path, starts: KernelStarts) -> None:
    outcome = outcome_of(job(tmp_path, "1", GO_ON, promises=(Promise(0, ("KeyError",)),)), starts)
    assert outcome.status is Status.OK
    assert outcome.cells[0].was_run
    assert outcome.cells[0].error is None


def counting(folder: Path) -> str:
    """Return a line of code that counts attempts, and lets `n` be the number of this one."""
    counter = folder / "attempts"
    return f"f = open({str(counter)!r}, 'a+'); f.write('x'); n = f.tell(); f.close()"


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import os; os._exit(3)", "DeadKernelError"),
        ("import time; time.sleep(60)", "CellTimeoutError"),
    ],
)
def test_a_run_that_failed_is_begun_anew_and_that_is_recorded(
    tmp_path: Path, starts: KernelStarts, fault: str, name: str
) -> None:
    order = job(
        tmp_path, counting(tmp_path), f"if n < 3: {fault}", "print(n)", retries=2, timeout=1.5
    )
    outcome = outcome_of(order, starts)
    assert (outcome.status, outcome.failure) == (Status.OK, None)
    assert text(outcome, 3) == "3\n"
    assert [(failure.name, failure.position) for failure in outcome.retried] == [(name, 1)] * 2
    assert {failure.traceback for failure in outcome.retried} == {""}
    assert outcome.begun is not None
    assert outcome.begun < outcome.started


def test_no_more_attempts_are_made_than_are_allowed(tmp_path: Path, starts: KernelStarts) -> None:
    outcome = outcome_of(job(tmp_path, counting(tmp_path), "1 / 0", retries=1), starts)
    assert outcome.status is Status.FAILED
    assert len(outcome.retried) == 1
    assert (tmp_path / "attempts").read_text() == "xx"
    assert outcome_of(job(tmp_path, "1", retries=3), starts).retried == ()


def test_without_a_kernel_there_is_no_second_attempt(tmp_path: Path) -> None:
    outcome = outcome_of(job(tmp_path, "1", kernel="no-such", retries=3))
    assert outcome.failure is not None
    assert outcome.failure.name == "NoSuchKernel"
    assert outcome.retried == ()


def test_each_attempt_in_a_temporary_folder_finds_an_empty_one(tmp_path: Path) -> None:
    from sphinx_nbcache.execution.job import TemporaryFolder

    below = TemporaryFolder((), str(tmp_path / "below"))
    cells = (counting(tmp_path), "import os\nprint(os.listdir())\nopen('made', 'w').close()")
    order = job(tmp_path, *cells, "if n < 2: 1 / 0", retries=1, temporary=below)
    outcome = outcome_of(order)
    assert outcome.status is Status.OK
    assert text(outcome, 2) == "[]\n"
    assert [file.path for file in outcome.files] == ["made"]
