"""The outcomes of notebooks, in the words of all views: log, command line, report, JSON, JUnit."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from sphinx_nbcache.planning import Action
from sphinx_nbcache.project.run import GONE, Settled

_EDITED = "it was being edited"


class NotebookOutcome(StrEnum):
    """The outcome of a notebook: what a build or a command did with it, or will do.

    The value is the word in the report.

    Attributes:
        item: The word in JSON documents of commands, such as `execute --json`.
        counted: The words after the number of such notebooks; empty if they are counted elsewhere.
        sentence: The words after the name of a notebook that was not run yet, in `explain`.
        button: The text of the button that shows such notebooks in the report.
    """

    item: str
    counted: str
    sentence: str
    button: str

    def __new__(cls, word: str, item: str, counted: str, sentence: str, button: str) -> Self:
        """Make a member with its words."""
        # A str-based enum with attributes has to set `_value_` itself:
        # https://docs.python.org/3/howto/enum.html#when-to-use-new-vs-init
        member = str.__new__(cls, word)
        member._value_ = word
        member.item, member.counted = item, counted
        member.sentence, member.button = sentence, button
        return member

    EXECUTED = ("executed", "executed", "", "", "Executed")
    REUSED = ("reused", "reused", "up to date", "would not be executed", "Reused")
    WAITING = (
        *("to be executed", "to-be-executed", "to be executed"),
        *("would be executed", "To be executed"),
    )
    MAY_WAIT = (
        *("may be executed", "may-be-executed", "may be executed"),
        *("would be executed if what it reads is rewritten", "To be executed"),
    )
    AS_IS = ("as it is", "as-is", "not to be executed", "is not executed", "Not run")
    REFUSED = ("refused", "refused", "", "would have to be executed, but must not be", "Not run")
    UNREADABLE = ("unreadable", "unreadable", "", "cannot be executed", "Not run")
    REMOVED = ("removed", "removed", "removed", "", "Not run")
    EDITED = ("edited", "edited", "being edited", "", "Not run")

    @property
    def label(self) -> str:
        """The value of `:status:`, and of the filters in the report."""
        return self.value.replace(" ", "-")


_PLANNED = {
    Action.EXECUTE: NotebookOutcome.WAITING,
    Action.DEPENDS: NotebookOutcome.MAY_WAIT,
    Action.REUSE: NotebookOutcome.REUSED,
    Action.AS_IS: NotebookOutcome.AS_IS,
    Action.REFUSE: NotebookOutcome.REFUSED,
    Action.UNREADABLE: NotebookOutcome.UNREADABLE,
}


def planned_outcome(action: Action) -> NotebookOutcome:
    """Return the outcome of a notebook in a plan that was not executed."""
    return _PLANNED[action]


def settled_outcome(settled: Settled) -> tuple[NotebookOutcome, str]:
    """Return the outcome of a notebook after a plan was executed, and the reason."""
    # The order matters: a notebook that was run here is "executed", even if it was planned as
    # `DEPENDS`.
    decision = settled.planned.decision
    if settled.ran_here:
        return NotebookOutcome.EXECUTED, decision.reason.text
    if settled.is_gone:
        return NotebookOutcome.REMOVED, GONE
    if decision.action is not Action.EXECUTE:
        return _PLANNED[decision.action], decision.reason.text
    if settled.result is None:
        return NotebookOutcome.EDITED, _EDITED
    if settled.ran_elsewhere:
        return NotebookOutcome.REUSED, "another build has run it in the meantime"
    shared = settled.result.result.notebook
    return NotebookOutcome.REUSED, f"same code as {shared}, which this build has run"


@dataclass(frozen=True, slots=True)
class Sign:
    """The signs for the state of a result, or for a notebook without a result.

    Attributes:
        mark: The sign in the report.
        symbol: The sign in tables of the command line, as in jupyter-cache.
        colour: The colour of the symbol.
    """

    mark: str
    symbol: str
    colour: str


_FAILED = Sign("✗", "❌", "red")
SIGNS = {
    "ok": Sign("✓", "✅", "green"),
    "failed": _FAILED,
    "timeout": _FAILED,
    "died": _FAILED,
    "unreadable": Sign("✗", "❗ unreadable", "red"),
    "missing": Sign("✗", "❗ missing", "red"),
    "none": Sign("", "-", ""),
    "as-is": Sign("", NotebookOutcome.AS_IS.value, ""),
}
"""The signs by state. For any other state, its word is shown."""
