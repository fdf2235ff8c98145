"""Decisions and their reasons: each reason must be true."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sphinx_nbcache.config import Settings, read_settings
from sphinx_nbcache.files.stats import Stat
from sphinx_nbcache.notebooks.ipynb import read_ipynb
from sphinx_nbcache.notebooks.key import key_parts
from sphinx_nbcache.notebooks.own_settings import SettingProblem
from sphinx_nbcache.notebooks.scan import Scan, ScannedCell, scan_notebook
from sphinx_nbcache.planning import (
    Action,
    Candidate,
    Decision,
    Evidence,
    Why,
    acceptance_rules,
    decide,
    describe_cells,
    kept_silent,
    why_not,
)
from sphinx_nbcache.results.records import (
    CellRun,
    Failure,
    History,
    HistoryCell,
    Result,
    Rules,
    Status,
    Stored,
)

DAY = 86_400.0
BUILD_BEGAN = 20_000 * DAY
EARLIER = BUILD_BEGAN - DAY


def scan_of(*cells: str, kernel: str = "python3", outputs: bool = False, **metadata: Any) -> Scan:
    """Return the scan of a notebook; `source ! tag` is a cell with a tag."""
    made = []
    for text in cells:
        source, _, tag = text.partition(" ! ")
        made.append(
            {
                "cell_type": "code",
                "source": source,
                "metadata": {"tags": [tag]} if tag else {},
                "execution_count": 1 if outputs else None,
            }
        )
    metadata = {"kernelspec": {"name": kernel}, **metadata}
    text = json.dumps({"nbformat": 4, "metadata": metadata, "cells": made})
    return scan_notebook(Scan(Stat(0, 0, 0, 0), 0, "", "", "ipynb"), read_ipynb(text))


def result_of(
    scan: Scan, status: Status = Status.OK, errors: tuple[int, ...] = (), **more: Any
) -> Result:
    """Return the result of a run of a scanned notebook; `errors` are numbers of cells."""
    cells = tuple(
        CellRun(c.digest, 1, 0.1, "ValueError" if c.number in errors else None) for c in scan.cells
    )
    result = Result(
        code_key=key_parts(scan, "docs", {}).digest(),
        status=status,
        rules=Rules(),
        cells=cells,
        outputs="0" * 64,
        render_id="r",
        kernel="python3",
        language_info={},
        started=EARLIER,
        seconds=1.0,
        executor="local-serial",
        notebook="docs/a.ipynb",
    )
    return msgspec.structs.replace(result, **more)


def failed(scan: Scan, **more: Any) -> Result:
    """Return a result that failed in the first cell."""
    failure = Failure("KeyError", "'no'\nmore", "Traceback", position=0)
    return result_of(scan, Status.FAILED, failure=failure, **more)


def history_of(scan: Scan, directory: str = "docs", result: str = "0") -> History:
    """Return what is remembered of a scanned notebook."""
    cells = tuple(HistoryCell(c.number, c.digest, c.skipped) for c in scan.cells)
    return History(result, scan.kernel, scan.language, directory, cells)


def decision_on(
    scan: Scan,
    *results: Result,
    history: History | None = None,
    damaged: str | None = None,
    excluded_by: str | None = None,
    **options: Any,
) -> Decision:
    """Decide on a notebook, given results (the newest first) and options."""
    settings, problems = read_settings(options)
    assert not problems
    name, key = "docs/a.ipynb", key_parts(scan, "docs", settings.kernel_aliases)
    rules = acceptance_rules(scan, scan.settings(settings), name)
    evidence = Evidence(
        Candidate(name, Path(name), Path("docs"), scan, key, key.digest(), rules),
        excluded_by=excluded_by,
        results=[Stored(9 - n, f"{n}", result) for n, result in enumerate(results)],
        damaged=damaged,
        history=history,
    )
    return decide(evidence, settings, BUILD_BEGAN)


def outcome(decision: Decision) -> tuple[Action, Why]:
    """Return what a program reads of a decision."""
    return decision.action, decision.reason.why


ONE = scan_of("x = 1", "x")


def test_a_notebook_without_a_result_is_run() -> None:
    decision = decision_on(ONE)
    assert outcome(decision) == (Action.EXECUTE, Why.NO_RESULT)
    assert str(decision.reason) == "no earlier result"
    assert decision.result is None


def test_a_valid_result_is_reused_with_the_time_of_its_run() -> None:
    decision = decision_on(ONE, result_of(ONE), history=history_of(ONE))
    assert outcome(decision) == (Action.REUSE, Why.UNCHANGED)
    assert str(decision.reason) == "nothing changed since it was run at 2024-10-03 00:00 UTC"
    assert decision.result is not None


def test_a_result_of_another_notebook_with_the_same_code_is_named() -> None:
    decision = decision_on(ONE, result_of(ONE, notebook="docs/other.ipynb"))
    assert outcome(decision) == (Action.REUSE, Why.SAME_CODE)
    assert "docs/other.ipynb" in str(decision.reason)


def test_going_back_to_older_code_is_told_from_no_change() -> None:
    decision = decision_on(ONE, result_of(ONE), history=history_of(scan_of("y = 2")))
    assert outcome(decision) == (Action.REUSE, Why.SAME_CODE)
    assert "again" in str(decision.reason)


def test_going_back_to_older_files_is_told_from_no_change() -> None:
    decision = decision_on(ONE, result_of(ONE), history=history_of(ONE, result="of other files"))
    assert outcome(decision) == (Action.REUSE, Why.SAME_CODE)
    assert str(decision.reason) == "everything is again as it was run at 2024-10-03 00:00 UTC"


def test_the_newest_valid_result_is_taken() -> None:
    newest = failed(ONE)
    second = result_of(ONE, started=EARLIER - 5)
    decision = decision_on(ONE, newest, second, result_of(ONE, started=EARLIER - 9))
    assert decision.action is Action.REUSE
    assert decision.result is not None
    assert decision.result.result == second


@pytest.mark.parametrize("mode", ["changed", "missing"])
def test_a_failed_result_is_tried_again_and_the_failure_is_named(mode: str) -> None:
    decision = decision_on(ONE, failed(ONE), execute=mode)
    assert outcome(decision) == (Action.EXECUTE, Why.FAILED_BEFORE)
    assert str(decision.reason) == "its last run failed: KeyError: 'no' in code cell 1"


def test_a_notebook_with_outputs_is_kept_where_only_missing_ones_are_run() -> None:
    with_outputs = scan_of("1", outputs=True)
    decision = decision_on(with_outputs, execute="missing")
    assert outcome(decision) == (Action.AS_IS, Why.HAS_OUTPUTS)
    assert decision_on(with_outputs).action is Action.EXECUTE
    assert decision_on(ONE, execute="missing").action is Action.EXECUTE
    assert decision_on(ONE, result_of(ONE), execute="missing").action is Action.REUSE


def test_force_runs_what_was_run_before_this_build_but_not_twice_in_it() -> None:
    assert outcome(decision_on(ONE, result_of(ONE), execute="force")) == (
        Action.EXECUTE,
        Why.FORCED,
    )
    assert outcome(decision_on(ONE, execute="force")) == (Action.EXECUTE, Why.FORCED)
    now = result_of(ONE, started=BUILD_BEGAN)
    assert decision_on(ONE, now, execute="force").action is Action.REUSE


@pytest.mark.parametrize("results", [(), (result_of(ONE),), (failed(ONE),)])
def test_off_runs_and_reuses_nothing(results: tuple[Result, ...]) -> None:
    decision = decision_on(ONE, *results, execute="off")
    assert outcome(decision) == (Action.AS_IS, Why.OFF)
    assert decision.result is None


def test_frozen_reuses_and_refuses_but_never_runs() -> None:
    assert decision_on(ONE, result_of(ONE), execute="frozen").action is Action.REUSE
    refused = decision_on(ONE, execute="frozen")
    assert outcome(refused) == (Action.REFUSE, Why.NO_RESULT)
    assert refused.result is None
    changed = decision_on(ONE, history=history_of(scan_of("x = 1", "y")), execute="frozen")
    assert outcome(changed) == (Action.REFUSE, Why.CODE_CHANGED)
    failure = failed(ONE)
    decision = decision_on(ONE, failure, execute="frozen")
    assert outcome(decision) == (Action.REFUSE, Why.FAILED_BEFORE)
    assert decision.result is not None
    assert decision.result.result == failure


@pytest.mark.parametrize("mode", ["changed", "missing", "force", "off", "frozen"])
def test_some_notebooks_are_not_for_the_store_to_decide(mode: str) -> None:
    assert outcome(decision_on(scan_of(" "), execute=mode)) == (Action.AS_IS, Why.NO_CODE)
    broken = msgspec.structs.replace(ONE, unreadable=SettingProblem("not UTF-8", 3), cells=())
    decision = decision_on(broken, execute=mode)
    assert outcome(decision) == (Action.UNREADABLE, Why.UNREADABLE)
    assert "line 3" in str(decision.reason)
    assert "not UTF-8" in str(decision.reason)
    if mode != "off":
        excluded = decision_on(ONE, result_of(ONE), excluded_by="a*", execute=mode)
        assert outcome(excluded) == (Action.AS_IS, Why.EXCLUDED)
        assert "'a*'" in str(excluded.reason)


def test_a_damaged_result_is_the_reason_only_where_no_other_is_left() -> None:
    decision = decision_on(ONE, damaged="output 12 is missing", history=history_of(ONE))
    assert outcome(decision) == (Action.EXECUTE, Why.DAMAGED)
    assert "output 12 is missing" in str(decision.reason)
    assert decision_on(ONE, result_of(ONE), damaged="x").action is Action.REUSE
    assert outcome(decision_on(ONE, failed(ONE), damaged="x"))[1] is Why.FAILED_BEFORE


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (scan_of("1", kernel="ir"), scan_of("1"), "kernel changed: ir → python3"),
        (
            scan_of("1", kernel=""),
            scan_of("1", kernel="ir"),
            "kernel changed: default kernel → ir",
        ),
        (
            scan_of("1", kernelspec={"name": "k", "language": "R"}),
            scan_of("1", kernelspec={"name": "k", "language": "julia"}),
            "kernel changed: r → julia",
        ),
        (
            scan_of("1", kernelspec={"name": "k"}),
            scan_of("1", kernelspec={"name": "k", "language": "R"}),
            "kernel changed: no language → r",
        ),
    ],
)
def test_a_changed_kernel_is_named(old: Scan, new: Scan, text: str) -> None:
    decision = decision_on(new, history=history_of(old))
    assert outcome(decision) == (Action.EXECUTE, Why.KERNEL_CHANGED)
    assert str(decision.reason) == text


def test_an_alias_that_changes_the_kernel_is_named() -> None:
    decision = decision_on(ONE, history=history_of(ONE), kernel_aliases={"python3": "mine"})
    assert str(decision.reason) == "kernel changed: python3 → mine"


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (["a", "b"], ["a", "c"], "code cell 2 changed"),
        (["a", "b", "c"], ["x", "y", "c"], "code cells 1 and 2 changed"),
        (["a", "b", "c", "d"], ["x", "y", "z", "d"], "code cells 1, 2 and 3 changed"),
        (["a"], ["a", "b"], "code cell 2 added"),
        (["a", "b"], ["x", "a", "b", "y"], "code cells 1 and 4 added"),
        (["a", "b"], ["a"], "code cell 2 removed"),
        (["a", "b", "c"], ["b"], "code cells 1 and 3 removed"),
        (["a", "b"], ["b", "a"], "the code cells were reordered"),
        (["a"], ["x", "y"], "code cell 1 changed, code cell 2 added"),
        (["a", "b"], ["x"], "code cell 1 changed, code cell 2 removed"),
        (["a", "b"], ["a", "b ! skip-execution"], "the tag skip-execution of code cell 2 changed"),
        (
            ["a ! skip-execution", "b"],
            ["a", "b ! skip-execution"],
            "the tag skip-execution of code cells 1 and 2 changed",
        ),
        # Blank cells are numbered: the numbers are those that the author counts.
        (["a", " ", "b"], ["a", " ", "c"], "code cell 3 changed"),
        (["a", " ", "b"], ["a"], "code cell 3 removed"),
        (["a", "b"], ["a", " ", "b"], ""),
    ],
)
def test_a_change_of_cells_is_put_in_words(old: list[str], new: list[str], text: str) -> None:
    before, after = scan_of(*old), scan_of(*new)
    assert describe_cells(history_of(before).cells, after.cells) == text
    if text:
        decision = decision_on(after, history=history_of(before))
        assert outcome(decision) == (Action.EXECUTE, Why.CODE_CHANGED)
        assert str(decision.reason) == text


def test_one_tag_moved_between_equal_cells_is_a_change_of_the_tag() -> None:
    before, after = scan_of("a ! skip-execution", "a"), scan_of("a", "a ! skip-execution")
    assert describe_cells(history_of(before).cells, after.cells)


CELLS = st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=6)


@given(CELLS, CELLS)
def test_cells_that_differ_are_described_and_others_are_not(
    old: list[tuple[str, bool]], new: list[tuple[str, bool]]
) -> None:
    before = [HistoryCell(n, digest, skipped) for n, (digest, skipped) in enumerate(old, 1)]
    after = [ScannedCell(n, 0, d, skipped, raises=False) for n, (d, skipped) in enumerate(new, 1)]
    assert (describe_cells(before, after) == "") == (old == new)


def test_a_result_that_ended_well_has_nothing_against_it() -> None:
    assert why_not(result_of(ONE), Rules(), ONE) is None


@pytest.mark.parametrize("status", [Status.FAILED, Status.TIMEOUT, Status.DIED])
def test_a_result_that_did_not_end_well_is_objected_to(status: Status) -> None:
    reason = why_not(result_of(ONE, status), Rules(allow_errors=True), ONE)
    assert reason is not None
    assert reason.why is Why.FAILED_BEFORE
    assert status.value in reason.text
    # A kernel that did not start is no cell's fault.
    failure = Failure("NoSuchKernel", "", "")
    reason = why_not(result_of(ONE, status, failure=failure), Rules(), ONE)
    assert str(reason) == "its last run failed: NoSuchKernel"


def test_an_exception_counts_where_it_is_no_longer_allowed() -> None:
    result = result_of(ONE, errors=(2,))
    assert why_not(result, Rules(allow_errors=True), ONE) is None
    assert why_not(result, Rules(raising=(1,)), ONE) is None
    for rules in (Rules(), Rules(raising=(0,))):
        reason = why_not(result, rules, ONE)
        assert reason is not None
        assert reason.why is Why.ERROR_NOT_ALLOWED
        assert str(reason) == "code cell 2 raised ValueError, which is no longer allowed"


def test_taking_away_the_permission_to_raise_runs_the_notebook_again() -> None:
    allowed = scan_of("1 / 0 ! raises-exception")
    result = result_of(allowed, errors=(1,))
    assert decision_on(allowed, result).action is Action.REUSE
    assert outcome(decision_on(scan_of("1 / 0"), result)) == (
        Action.EXECUTE,
        Why.ERROR_NOT_ALLOWED,
    )
    assert decision_on(scan_of("1 / 0"), result, allow_errors=True).action is Action.REUSE


def test_a_blank_code_cell_more_or_less_moves_no_permission_to_raise() -> None:
    """Blank cells are in no key but are counted: a result's numbers may be older than the file."""
    before = scan_of("1 / 0 ! raises-exception", "x")
    after = scan_of(" ", "1 / 0 ! raises-exception", "x")
    result = result_of(before, errors=(1,))
    assert result.code_key == result_of(after).code_key
    assert outcome(decision_on(after, result, history=history_of(before))) == (
        Action.REUSE,
        Why.UNCHANGED,
    )


def test_a_blank_code_cell_less_makes_no_wrong_hit() -> None:
    """The second cell may raise now; the first, which did when it was the second, may not."""
    moved = scan_of("1 / 0", "x ! raises-exception")
    elder = scan_of(" ", "1 / 0 ! raises-exception", "x")
    assert decision_on(moved, result_of(elder, errors=(2,))).action is Action.EXECUTE


def promising(*exceptions: str) -> Scan:
    """Return the scan of a notebook whose only cell promises these exceptions."""
    cell = {"cell_type": "code", "source": "x", "metadata": {"raises": [*exceptions]}}
    text = json.dumps({"nbformat": 4, "metadata": {}, "cells": [cell]})
    return scan_notebook(Scan(Stat(0, 0, 0, 0), 0, "", "", "ipynb"), read_ipynb(text))


def test_a_promise_is_held_against_the_classes_of_what_was_raised() -> None:
    scan = promising("KeyError")
    raised = CellRun(scan.cells[0].digest, 1, 0.1, "KeyError", ("LookupError", "Exception"))
    result = result_of(scan, cells=(raised,))
    assert decision_on(scan, result).action is Action.REUSE
    # A change of the metadata is none of the code.
    assert decision_on(promising("OSError", "a.LookupError"), result).action is Action.REUSE
    assert outcome(decision_on(promising("OSError"), result)) == (
        Action.EXECUTE,
        Why.ERROR_NOT_ALLOWED,
    )
    assert decision_on(promising("OSError"), result, allow_errors=True).action is Action.EXECUTE


def test_cells_that_were_run_and_raised_nothing_break_their_promise() -> None:
    scan = promising("KeyError")
    rules = acceptance_rules(scan, scan.settings(Settings()), "a.ipynb")
    digest = scan.cells[0].digest
    assert kept_silent(result_of(scan), rules, scan) == scan.cells
    for run in (CellRun(digest), CellRun(digest, 1, 0.1, "KeyError")):
        assert kept_silent(result_of(scan, cells=(run,)), rules, scan) == ()
    assert kept_silent(result_of(scan), Rules(), scan) == ()


def test_globs_say_in_which_notebooks_errors_are_allowed() -> None:
    settings, _ = read_settings({"allow_errors": ["errors/*", "b.md"]})
    allowed = [
        acceptance_rules(ONE, settings, name).allow_errors
        for name in ("errors/a.ipynb", "b.md", "a/b.md", "c.md")
    ]
    assert allowed == [True, True, False, False]
    own = scan_of("1", execution={"allow_errors": False})
    assert not acceptance_rules(own, own.settings(settings), "b.md").allow_errors


def test_a_notebooks_own_settings_go_before_the_options() -> None:
    limits = {"output_limit": None, "notebook_output_limit": 9}
    settings, _ = read_settings({"timeout": 7, "allow_errors": True, **limits})
    expected = Rules(7.0, allow_errors=True, notebook_output_limit=9.0)
    assert acceptance_rules(ONE, settings, "a.ipynb") == expected
    own = scan_of(
        "1",
        "2 ! raises-exception",
        execution={"timeout": None, "allow_errors": False},
        nbcache={"notebook_timeout": 60, "retries": 2},
    )
    expected = Rules(
        None, raising=(1,), notebook_timeout=60.0, notebook_output_limit=9.0, retries=2
    )
    assert acceptance_rules(own, own.settings(settings), "a.ipynb") == expected
