"""The authors of changed files: the run, perhaps the run, or another process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sphinx_nbcache.notebooks.scan import Stat
from sphinx_nbcache.traces.report import Report, Seen


@dataclass(frozen=True, slots=True)
class Authors:
    """The files that the run is not known to have written.

    Attributes:
        foreign: Files that another process has changed. They do not belong to the run.
        unproven: Files that the run seems to have written, without being observed.
        judged: The stats of the files at this decision: a later save belongs to the user.
    """

    foreign: frozenset[str]
    unproven: frozenset[str]
    judged: Mapping[str, Stat | None] = field(default_factory=dict)


def authors(report: Report, seen: Seen, now: Callable[[str], Stat | None]) -> Authors:
    """Return the files that the run is not known to have written.

    Args:
        report: The report that the kernel sent.
        seen: The same report, merged with those of the child processes.
        now: Returns the current stat of a file.
    """
    foreign = {path for path in seen.changed if path not in seen.writes}
    # A user's file that the run renamed stays the user's under its new name.
    unproven = (seen.inferred.keys() - seen.proven - seen.writes.keys()) | seen.moved
    found_now = {path: now(path) for path in {*seen.writes, *seen.inferred, *seen.others} - foreign}
    for path, found in found_now.items():
        is_by_child = path in seen.by_children
        left, judged = seen.left.get(path), seen.named.get(path)
        is_changed = left is not None and found is not None and left != found
        if path in seen.inferred and left is not None and judged is not None:
            is_changed |= judged.stat != left  # it changed in a later cell
        is_proven_by_child = found is not None and seen.left_by_children.get(path) == found
        if is_proven_by_child:
            continue
        if is_changed:
            (foreign if report.handles else unproven).add(path)
        elif path in seen.others:
            (unproven if seen.others[path] else foreign).add(path)
        elif is_by_child:
            unproven.add(path)
    return Authors(frozenset(foreign), frozenset(unproven - foreign), found_now)
