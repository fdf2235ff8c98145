"""Outcomes: the words of JSON documents, `:status:` and filters stay; what happened goes first."""

from __future__ import annotations

from pathlib import Path

import pytest

from sphinx_nbcache.files.stats import Stat
from sphinx_nbcache.notebooks.key import key_parts
from sphinx_nbcache.notebooks.scan import Scan
from sphinx_nbcache.planning import Action, Decision, Planned, Reason, Why
from sphinx_nbcache.project.outcomes import NotebookOutcome, planned_outcome, settled_outcome
from sphinx_nbcache.project.run import Settled
from sphinx_nbcache.results.records import Rules


def planned(action: Action) -> Planned:
    """Return a notebook with this decision."""
    scan = Scan(Stat(0, 0, 0, 0), 0, "", "", "ipynb")
    key = key_parts(scan, "", {})
    decision = Decision(action, Reason(Why.NO_RESULT, "because"), None)
    return Planned("a.md", Path("a.md"), Path(), scan, key, key.digest(), Rules(), decision)


@pytest.mark.parametrize("action", [Action.EXECUTE, Action.DEPENDS])
def test_a_notebook_whose_file_is_removed_before_its_turn_is_removed(action: Action) -> None:
    outcome, reason = settled_outcome(Settled(planned(action), None, is_gone=True))
    assert (outcome.item, reason) == ("removed", "removed while the build ran")


def test_a_notebook_that_was_run_is_executed_whatever_was_planned() -> None:
    outcome, reason = settled_outcome(Settled(planned(Action.DEPENDS), None, ran_here=True))
    assert (outcome.item, reason) == ("executed", "because")


def test_every_action_has_an_outcome_and_the_words_for_it() -> None:
    outcomes = {planned_outcome(action) for action in Action}
    assert all(outcome.sentence for outcome in outcomes)


def test_words_that_programs_read_stay() -> None:
    assert {(o.value, o.item, o.label) for o in NotebookOutcome} == {
        ("executed", "executed", "executed"),
        ("reused", "reused", "reused"),
        ("as it is", "as-is", "as-it-is"),
        ("refused", "refused", "refused"),
        ("unreadable", "unreadable", "unreadable"),
        ("to be executed", "to-be-executed", "to-be-executed"),
        ("may be executed", "may-be-executed", "may-be-executed"),
        ("removed", "removed", "removed"),
        ("edited", "edited", "edited"),
    }
