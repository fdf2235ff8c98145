"""Makes facts about links and databases from the evidence of a run."""

from __future__ import annotations

from collections.abc import Iterator

from sphinx_nbcache.traces.evidence import RunEvidence
from sphinx_nbcache.traces.facts_of_links import (
    Link,
    SameFile,
    WriteAheadLog,
    state_of_log,
    target_name,
)
from sphinx_nbcache.traces.fingerprints import GONE


def link_facts(evidence: RunEvidence) -> Iterator[Link | SameFile | WriteAheadLog]:
    """Yield the facts about links that code asked for, and about logs of databases."""
    for path, target in sorted(evidence.seen.links.items()):
        name = evidence.name(path)
        if name is not None and _is_meant(evidence, path, name, target):
            yield Link(name, target_name(target, evidence.places))
    for (first, second), same in sorted(evidence.seen.same.items()):
        names = evidence.name(first), evidence.name(second)
        is_own = evidence.is_written(first) or evidence.is_written(second)
        if names[0] is not None and names[1] is not None and not is_own:
            yield SameFile(names[0], names[1], same)
    for path, look in sorted(evidence.seen.reads.items()):
        log = evidence.seen.reads.get(path + "-wal")
        name = evidence.name(path)
        if look.how == "database" and log is not None and name is not None:
            is_empty = log.stat is None or log.stat.size == 0
            before = GONE if is_empty else (log.digest or GONE)
            yield WriteAheadLog(name, before, state_of_log(path, evidence.world))


def _is_meant(evidence: RunEvidence, path: str, name: str, target: str) -> bool:
    """Tell whether a link is the notebook's business, and not that of the machine."""
    if evidence.is_written(path) or evidence.places.is_temporary(path):
        return False
    if evidence.places.is_inside(name):
        return name != "."
    # Outside of the project, `realpath` asks for all the folders above it.
    return bool(target) and not evidence.is_above(path)
