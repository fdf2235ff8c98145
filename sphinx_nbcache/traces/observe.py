"""From the tracer's report to a trace: which observations count, and whether to trust them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from sphinx_nbcache.traces.environments import Environment, Python
from sphinx_nbcache.traces.evidence import Evidence
from sphinx_nbcache.traces.facts import Absent, Fact, Listing, Trace, Written, text_digest
from sphinx_nbcache.traces.file_facts import file_fact, file_facts, imported_by
from sphinx_nbcache.traces.fingerprints import matching
from sphinx_nbcache.traces.packages import package_facts
from sphinx_nbcache.traces.report import Report, read_report
from sphinx_nbcache.traces.untracked import untracked
from sphinx_nbcache.traces.world import MOST_NAMES, World

_NO_REPORT = "what the run depended on is not known: its kernel sent no report that can be read"


def observe(
    raw: Mapping[str, Any],
    world: World,
    texts: Iterable[str] = (),
    source: str = "",
    left_over: Collection[str] = (),
) -> Trace:
    """Make a trace from a kernel's report, right after its last cell.

    Every file that counts is looked at again. If it is not certain that a file still has the
    content that the run read, the trace is unreliable.

    Args:
        raw: The report (see [](parse_report)). A kernel can send anything.
        world: The current world. Files that the run wrote are looked at again.
        texts: The sources and outputs of the cells, searched for mentions of the location.
        source: The absolute path of the notebook. Code that names it does not read it.
        left_over: Names of existing files that earlier runs seem to have written.
    """
    report = read_report(raw)
    if report is None:
        return Trace(unreliable=_NO_REPORT)
    evidence = Evidence.of(report, world, source, left_over)
    facts: list[Fact] = [*file_facts(evidence), *_listings(evidence), *_startup(evidence)]
    facts += package_facts(evidence, _environment(report, world))
    facts += world.places.locations(texts)
    written = tuple(_written(evidence))
    doubt = next(iter(evidence.doubts), None)
    return Trace(
        facts=tuple(dict.fromkeys(facts)),
        written=written,
        removed=tuple(_removed(evidence)),
        untracked=tuple(untracked(report, evidence.seen)),
        imported_by=imported_by(evidence),
        unreliable=f"its tracer failed: {report.errors[0]}" if report.errors else doubt,
    )


def _python(report: Report) -> Python:
    found = report.python
    return Python(found.implementation, found.version, found.platform, found.machine, found.sites)


def _environment(report: Report, world: World) -> Environment:
    python = _python(report)
    if world.environment is not None and world.environment.python == python:
        return world.environment
    return Environment(python)


def _listings(evidence: Evidence) -> Iterator[Fact]:
    """Yield the listings of directories, without the entries that the run itself made."""
    found = sorted(evidence.seen.listings, key=lambda listed: listed[:3])
    for path, pattern, folders, names in found:
        name = evidence.name(path)
        if name is None or evidence.places.is_temporary(path) or path in evidence.seen.made:
            continue
        if names is None:
            # The directory did not exist, or could not be listed.
            if evidence.now(path) is None:
                yield Absent(name)
            continue
        own = tuple(sorted(evidence.own_entries(path)))
        kept = [entry for entry in names if evidence.world.places.keeps(name, entry)]
        yield listing(name, kept, pattern, folders=folders, without=own)


def listing(
    name: str,
    entries: Iterable[str],
    pattern: str = "",
    *,
    folders: bool = False,
    without: tuple[str, ...] = (),
) -> Listing:
    """Return the fact that a directory had these entries."""
    names = matching(entries, pattern, folders=folders, without=without)
    told = names if len(names) <= MOST_NAMES else ()
    return Listing(name, text_digest(*names), pattern, folders, without, told)


def _startup(evidence: Evidence) -> Iterator[Fact]:
    """Yield the facts about IPython's start-up files, which it read before the tracer started."""
    startup = evidence.report.startup
    if startup is None:
        return
    folder = evidence.name(startup.folder)
    if folder is not None:
        yield listing(folder, startup.names, "*.*py")
    for path, look in sorted(startup.files.items()):
        name = evidence.name(path)
        fact = file_fact(evidence, path, name, look) if name is not None else None
        if fact is not None:
            yield fact


def _written(evidence: Evidence) -> Iterator[Written]:
    """Yield the files under the root that the run wrote, and that still exist."""
    for path in sorted({*evidence.seen.writes, *evidence.inferred}):
        name = evidence.inside(path)
        if name is None or path in evidence.authors.foreign:
            continue
        entry = evidence.world.fingerprints.renew(path)
        digest = evidence.world.fingerprints.digest(path)
        # Hashing what the run has read may have taken long: a user may have saved meanwhile.
        if evidence.world.fingerprints.entry(path).stat != evidence.authors.judged.get(path):
            evidence.doubt(path)
        elif digest is not None:
            inferred = path in evidence.authors.unproven
            before = evidence.seen.writes.get(path) or evidence.inferred.get(path)
            created = before is not None and before.type == ""
            mode = entry.mode & 0o777
            found = before.digest if before is not None else None
            yield Written(name, digest, mode, created=created, before=found, inferred=inferred)


def _removed(evidence: Evidence) -> Iterator[str]:
    """Yield the files under the root that existed before the run removed them."""
    for path in sorted(evidence.seen.removed):
        name, before = evidence.inside(path), evidence.seen.writes.get(path)
        was_there = before is not None and before.stat is not None
        if name is not None and was_there and evidence.now(path) is None:
            yield name
