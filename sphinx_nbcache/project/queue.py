"""Which notebooks are run together, in which order, and which must wait."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sphinx_nbcache.planning import Planned
from sphinx_nbcache.project.run import FormerRun
from sphinx_nbcache.store.records import Rules

Group = list[Planned]
"""Notebooks that one run serves."""


def same_runs(notebooks: Iterable[Planned]) -> list[Group]:
    """Group notebooks that one run serves: same code key, same rules."""
    groups: dict[tuple[str, Rules], Group] = {}
    for planned in notebooks:
        groups.setdefault((planned.code_key, planned.rules), []).append(planned)
    return list(groups.values())


def in_order(
    groups: Iterable[Group], former: Mapping[str, FormerRun], slots: int
) -> Iterable[Group]:
    """Return groups in the order in which to start them; equal ones keep their order.

    If several run at once, the longest start first: a long one that starts late keeps all others
    waiting. New ones, whose duration is unknown, precede them. Groups that must run alone come
    last, when they no longer hold up anything.

    Args:
        groups: Groups in the order of the plan.
        former: How long notebooks took when they were last run, by name.
        slots: How many run at once.
    """

    def rank(group: Group) -> tuple[bool, float]:
        known = former.get(group[0].name)
        return is_alone(group), -known.seconds if known is not None else float("-inf")

    return groups if slots == 1 else sorted(groups, key=rank)


def is_alone(group: Group) -> bool:
    """Tell whether nothing may run beside a group: one of its notebooks says so."""
    return any(planned.scan.alone for planned in group)
