"""What is told while notebooks run: cells, what is to come, and what takes much longer."""

from __future__ import annotations

import io
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from support import Book

from sphinx_nbcache import Project
from sphinx_nbcache.execution.runner import Runner
from sphinx_nbcache.extension.log import LOGGER, LogProgress, TerminalProgress
from sphinx_nbcache.planning import Planned
from sphinx_nbcache.project import FormerRun, Progress, Settled
from sphinx_nbcache.report.running import RunningNotebooks, StatusItem, status_line, width_of


class Clock:
    """A clock that stands still until it is set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def planned(book: Book) -> list[Planned]:
    """Three notebooks, with three code cells each, of which the second one is blank."""
    for name in ("a", "b", "c"):
        book.myst(f"{name}.md", "%%", f"%%\n'{name}'")
    project = book.project()
    plan = list(project.plan())
    project.close()
    return plan


def former(planned: Planned, *seconds: float) -> dict[str, FormerRun]:
    cells = {cell.digest: took for cell, took in zip(planned.scan.cells, seconds, strict=True)}
    return {planned.name: FormerRun(sum(seconds) + 1, cells)}


def test_a_running_notebook_is_named_with_its_cell_by_the_number_that_readers_see(
    planned: list[Planned],
) -> None:
    watch = RunningNotebooks(Clock())
    watch.queued(planned, {}, 2)
    watch.started(planned[0], 1, 3)
    assert watch.running["a.md"].at_cell == ""
    watch.cell_started(planned[0], 1)
    assert watch.running["a.md"].at_cell == ", cell 3 of 3"
    watch.cell_started(planned[0], 7)  # such as of an executor that is out of its mind
    assert watch.running["a.md"].at_cell == ", cell 3 of 3"
    assert watch.rest == "2 queued"
    watch.finished(Settled(planned[0], None))
    assert watch.running == {}


def test_the_estimate_comes_from_former_runs_and_shrinks_with_time(planned: list[Planned]) -> None:
    clock = Clock()
    watch = RunningNotebooks(clock)
    a, b, c = planned
    watch.queued(planned, former(a, 30, 29) | former(b, 10, 9), 2)
    # 60, 20, and 40 for the one that was never run, in two slots.
    assert watch.seconds_left == 60
    watch.started(a, 1, 3)
    clock.now += 10
    assert watch.seconds_left == pytest.approx((50 + 20 + 40) / 2)
    assert watch.rest == "2 queued, about 55 s left"
    clock.now += 1000
    assert watch.seconds_left == 40
    watch.spared(b)
    assert watch.seconds_left == 60  # all that is known now is `a`, and `c` is taken to be like it
    watch.finished(Settled(a, None))
    watch.started(c, 2, 3)
    assert watch.rest == ""


def test_nothing_is_promised_of_a_notebook_that_takes_longer_than_before(
    planned: list[Planned],
) -> None:
    clock = Clock()
    watch = RunningNotebooks(clock)
    watch.queued(planned[:1], former(planned[0], 2, 2), 1)
    watch.started(planned[0], 1, 1)
    assert watch.rest == "about 5 s left"
    clock.now += 6
    assert watch.rest == ""


def test_a_cell_that_runs_much_longer_than_before_is_named_while_it_runs(
    planned: list[Planned],
) -> None:
    clock = Clock()
    watch = RunningNotebooks(clock)
    watch.queued(planned, former(planned[0], 2.0, 4.0), 1)
    watch.started(planned[0], 1, 3)
    clock.now += 500
    assert list(watch.late()) == []  # its kernel is starting
    watch.cell_started(planned[0], 1)
    clock.now += 21.9
    assert list(watch.late()) == []
    clock.now += 0.2
    (line,) = watch.late()
    assert line == "a.md: code cell 3 has been running for 22 s; last time it took 4 s"
    clock.now += 15
    assert list(watch.late()) == []
    clock.now += 30
    assert "for 1 min 7 s" in next(watch.late())
    watch.cell_started(planned[0], 0)
    assert list(watch.late()) == []


def test_a_cell_of_which_nothing_is_known_is_late_after_a_minute(planned: list[Planned]) -> None:
    clock = Clock()
    watch = RunningNotebooks(clock)
    watch.started(planned[0], 1, 1)
    watch.cell_started(planned[0], 0)
    clock.now += 61
    assert list(watch.late()) == ["a.md: code cell 1 has been running for 1 min 1 s"]


def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(LOGGER, "info", lambda _format, *texts: lines.append(" ".join(texts)))
    return lines


def test_the_log_names_what_starts_what_is_late_and_how_long_it_takes(
    planned: list[Planned], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, progress = said(monkeypatch), LogProgress()
    progress.clock = clock = Clock()
    progress.queued(planned, former(planned[0], 30.0, 60.0), 1)
    progress.started(planned[0], 1, 3)
    progress.cell_started(planned[0], 0)
    clock.now += 120
    progress.still_running()
    progress.close()
    assert lines == [
        "notebooks to execute: 3, which takes about 4 min 33 s",
        "executing notebook 1 of 3: a.md (no earlier result)",
        "late: a.md: code cell 1 has been running for 2 min 0 s; last time it took 30 s",
    ]


def test_a_terminal_shows_one_line_that_is_gone_at_the_end(
    planned: list[Planned], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    lines, terminal = said(monkeypatch), io.StringIO()
    progress = TerminalProgress(terminal)
    progress.clock = clock = Clock()
    progress.queued(planned, {}, 2)
    progress.started(planned[0], 1, 3)
    progress.started(planned[1], 2, 3)
    progress.cell_started(planned[0], 1)
    clock.now += 12
    progress.still_running()
    last = terminal.getvalue().split("\r")[-1]
    assert last.rstrip() == ("executed 0 of 3 (1 queued) · a.md, cell 3 of 3, 12 s · b.md, 12 s")
    clock.now += 60
    progress.still_running()
    assert lines == [
        "executing notebook 1 of 3: a.md (no earlier result)",
        "executing notebook 2 of 3: b.md (no earlier result)",
        "late: a.md: code cell 3 has been running for 1 min 12 s",
    ]
    progress.close()
    assert terminal.getvalue().endswith(" \r")
    assert "\n" not in terminal.getvalue()


def test_a_narrow_terminal_is_not_overrun(
    planned: list[Planned], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    terminal = io.StringIO()
    progress = TerminalProgress(terminal)
    progress.queued(planned, {}, 2)
    for number in (0, 1, 2):
        progress.started(planned[number], number + 1, 3)
    progress.close()
    assert max(map(len, terminal.getvalue().split("\r"))) <= 29


HEADS = ("executed 2 of 9 (5 queued, about 41 s left)", "executed 2 of 9", "2 of 9")
RUNNING = (
    StatusItem("guide/a-notebook-with-a-long-name.md", ", cell 2 of 9, 12 s", ", 12 s"),
    StatusItem("fit.md", ", 3 s", ", 3 s"),
    StatusItem("guide/another-one-of-them.md", ", cell 1 of 2, 1 s", ", 1 s"),
)


WIDEST = (
    "executed 2 of 9 (5 queued, about 41 s left)"
    " · guide/a-notebook-with-a-long-name.md, cell 2 of 9, 12 s"
    " · fit.md, 3 s · guide/another-one-of-them.md, cell 1 of 2, 1 s"
)
WIDE = (
    "executed 2 of 9 (5 queued, about 41 s left) · …with-a-long-name.md, cell 2 of 9, 12 s"
    " · fit.md, 3 s · …-one-of-them.md, cell 1 of 2, 1 s"
)


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (180, WIDEST),
        (140, WIDE),
        (79, "executed 2 of 9 · …-with-a-long-name.md, cell 2 of 9, 12 s · fit.md, 3 s · +1"),
        (60, "executed 2 of 9 · …-a-long-name.md, cell 2 of 9, 12 s · +2"),
        (47, "2 of 9 · …-long-name.md, cell 2 of 9, 12 s · +2"),
        (39, "2 of 9 · …-a-long-name.md, 12 s · +2"),
        (20, "2 of 9"),
        (3, "2 o"),
    ],
)
def test_a_terminal_shows_what_matters_most_in_the_room_that_it_has(
    columns: int, line: str
) -> None:
    assert status_line(HEADS, RUNNING, columns) == line
    assert len(line) <= columns


def test_wide_letters_take_two_columns() -> None:
    assert width_of("日本語/é.md") == 11
    line = status_line(("1 of 2",), [StatusItem("日本語/ノートブック/" * 3, ", 1 s", "")], 40)
    assert line == "1 of 2 · …/日本語/ノートブック/, 1 s"
    assert width_of(line) <= 40


class Recording(Progress):
    """Notes everything."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.former: dict[str, FormerRun] = {}
        self.looks = 0

    def queued(self, notebooks: Any, former: Any, slots: int) -> None:
        self.events.append(("queued", [planned.name for planned in notebooks], slots))
        self.former = dict(former)

    def started(self, planned: Planned, number: int, total: int) -> None:  # noqa: ARG002
        self.events.append(("started", planned.name))

    def cell_started(self, planned: Planned, position: int) -> None:
        self.events.append(("cell", planned.name, position))

    def still_running(self) -> None:
        self.looks += 1

    def finished(self, settled: Settled) -> None:
        self.events.append(("finished", settled.planned.name))


@pytest.mark.kernel
def test_an_execution_tells_of_each_cell_and_of_the_last_run(tmp_path: Path) -> None:
    text = "---\nkernelspec: {name: python3}\n---\n\n"
    cells = ["import time; time.sleep(1.2)", "2"]
    body = "".join(f"```{{code-cell}}\n{cell}\n```\n\n" for cell in cells)
    (tmp_path / "n.md").write_text(text + body, encoding="utf-8")
    project = Project.find(tmp_path, place=tmp_path / "store", executor="local-serial")
    first = Recording()
    project.execute(project.plan(), first)
    assert first.events == [
        ("queued", ["n.md"], 1),
        ("started", "n.md"),
        ("cell", "n.md", 0),
        ("cell", "n.md", 1),
        ("finished", "n.md"),
    ]
    assert first.former == {}
    assert first.looks >= 2
    (tmp_path / "n.md").write_text(text + body + "```{code-cell}\n3\n```\n", encoding="utf-8")
    second = Recording()
    project.execute(project.plan(), second)
    (run,) = second.former.values()
    assert run.seconds > sum(run.cells.values()) > 1.2
    assert len(run.cells) == 2
    project.close()


def test_a_runner_that_is_sent_to_another_process_tells_nobody_there() -> None:
    told: list[Any] = []
    runner = pickle.loads(pickle.dumps(Runner(lambda *event: told.append(event))))
    assert isinstance(runner, Runner)


@pytest.mark.kernel
def test_a_quiet_build_says_nothing_and_a_build_ends_with_one_line(book: Book) -> None:
    book.index("one", "two")
    book.myst("one.md")
    book.myst("two.md", "%%\n1 / 0")
    log = book.build().log
    assert "executing notebook 1 of 2: one.md (no earlier result)" in log
    line = r"2 of 2 notebooks executed in [\d.]+ s; 1 failed: two.md, cell 2, line 1\n"
    assert re.search(line, log)
    assert "\r" not in log
    book.myst("one.md", "%%\n1")
    assert book.build("-q").log == ""


@pytest.mark.kernel
@pytest.mark.timeout(60)
def test_notebooks_that_are_said_to_wait_for_each_other_are_run_all_the_same(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounds of a build learn of more dependencies, which need not agree with the earlier ones."""
    for name, code in (("a.ipynb", "%%1"), ("b.ipynb", "%%2")):
        book.ipynb(name, code, counts=False)
    project = book.project()
    plan = project.plan()
    circle = {"a.ipynb": frozenset({"b.ipynb"}), "b.ipynb": frozenset({"a.ipynb"})}
    monkeypatch.setattr(project._planner, "producers", circle)  # noqa: SLF001
    run = project.execute(plan)
    project.close()
    assert [settled.ran_here for settled in run.notebooks] == [True, True]
