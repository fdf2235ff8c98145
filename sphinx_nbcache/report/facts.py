"""What a notebook depends on, what it produced, and what changed: from records to plain words.

This is the only place of the report that knows where these facts are kept.
"""

from __future__ import annotations

from dataclasses import dataclass

from sphinx_nbcache.planning import Action, Planned, Why
from sphinx_nbcache.report.model import Produced
from sphinx_nbcache.store.records import Result

# Reasons to run a notebook that tell of no change.
_NO_CHANGE = frozenset(
    {Why.NO_RESULT, Why.FAILED_BEFORE, Why.ERROR_NOT_ALLOWED, Why.FORCED, Why.DAMAGED}
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the report tells of a notebook beside its run.

    Attributes:
        depends_on: What it depends on, beside its own code: one line for each thing.
        produced: The files that it wrote.
        changed: What changed since its last run; empty if nothing did.
        peak_memory: The most memory that its kernel used, in bytes, if it was measured.
    """

    depends_on: tuple[str, ...] = ()
    produced: tuple[Produced, ...] = ()
    changed: str = ""
    peak_memory: int | None = None


def facts_of(planned: Planned, result: Result | None) -> Facts:
    """Return the facts about a planned notebook and the result that its page shows."""
    reason = planned.decision.reason
    is_run = planned.decision.action in (Action.EXECUTE, Action.REFUSE)
    return Facts(
        depends_on=tuple(planned.key.assets),
        produced=tuple(Produced(a.path, a.size) for a in result.artifacts) if result else (),
        changed=reason.text if is_run and reason.why not in _NO_CHANGE else "",
        peak_memory=getattr(result, "peak_memory", None),
    )
