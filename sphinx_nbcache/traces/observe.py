"""Makes a trace from the tracer's report: selects the observations, and decides about trust."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from sphinx_nbcache.text import shortened
from sphinx_nbcache.traces.distributions import Environment, Python
from sphinx_nbcache.traces.evidence import RunEvidence
from sphinx_nbcache.traces.facts import Absent, Fact, Listing, Location, RPackage
from sphinx_nbcache.traces.observed import file_fact, file_facts, imported_by, package_facts
from sphinx_nbcache.traces.observed_links import link_facts
from sphinx_nbcache.traces.report import PythonReport, Seen, TracerReport, read_report
from sphinx_nbcache.traces.trace import Trace, Written
from sphinx_nbcache.traces.world import World

_NO_REPORT = "what the run depended on is not known: its kernel sent no report that can be read"
# Libraries query the machine with these commands: `ctypes.util.find_library` runs gcc and ldconfig
# (https://docs.python.org/3/library/ctypes.html#finding-shared-libraries), `platform` runs uname,
# Matplotlib fc-list. Their answers are not input of the notebook.
_HARMLESS = frozenset(
    {"ldconfig", "gcc", "cc", "ld", "objdump", "uname", "lsb_release", "lscpu", "fc-list"}
    | {"nvidia-smi", "stty", "tput", "dumb_init", "resource_tracker"}
)
_SHELLS = frozenset({"sh", "bash", "zsh", "dash", "cmd.exe"})
# Libraries that open files in C, without an audit event
# (https://docs.python.org/3/library/audit_events.html). Only the files that the code names are
# observed.
_READ_IN_C = ("h5py", "netCDF4", "polars", "duckdb", "osgeo", "rasterio", "fiona", "cv2", "pyarrow")
_LONGEST = 80


def observe(
    raw: Mapping[str, Any],
    world: World,
    texts: Iterable[str] = (),
    source: str = "",
    left_over: Collection[str] = (),
) -> Trace:
    """Make a trace from a kernel's report, right after its last cell.

    Every tracked file is looked up again. If a file may no longer have the content that the run
    read, the trace is unreliable.

    Args:
        raw: The report (see [](parse_report)). A kernel can send anything.
        world: The current world. Files that the run wrote are looked up again.
        texts: The sources and outputs of the cells, searched for mentions of the location.
        source: The absolute path of the notebook. Code may mention it without reading it.
        left_over: Names of existing files that earlier runs apparently wrote.
    """
    report = read_report(raw)
    if report is None:
        return Trace(unreliable=_NO_REPORT)
    environment = world.environment if report.python is None else _environment(report.python, world)
    if environment is not world.environment:
        world = replace(world, environment=environment)
    evidence = RunEvidence.of(report, world, source, left_over)
    # The doubts are read last: computing the facts and the written files adds to them.
    facts: list[Fact] = [
        *file_facts(evidence, environment),
        *_listings(evidence),
        *link_facts(evidence),
        *_startup(evidence),
    ]
    if report.python is not None:
        assert environment is not None
        facts += package_facts(evidence, environment)
    facts += RPackage.looked_for(evidence.seen.described, evidence.places)
    facts += Location.mentioned(texts, world.places)
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


def _environment(found: PythonReport, world: World) -> Environment:
    # A kernel spec may name a wrapper script, which starts another interpreter than we queried.
    python = Python(found.implementation, found.version, found.platform, found.machine, found.sites)
    if world.environment is not None and world.environment.python == python:
        return world.environment
    return Environment.of(python, world.variables)


def _listings(evidence: RunEvidence) -> Iterator[Fact]:
    """Yield the listings of directories, without the entries that the run made."""
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
        yield Listing.of(name, kept, pattern, folders=folders, without=own)


def _startup(evidence: RunEvidence) -> Iterator[Fact]:
    """Yield the facts about IPython's start-up files, which run before the tracer starts."""
    startup = evidence.report.startup
    if startup is None:
        return
    folder = evidence.name(startup.folder)
    if folder is not None:
        # IPython runs `*.py` and `*.ipy`; one pattern matches both
        # (https://ipython.readthedocs.io/en/stable/interactive/tutorial.html#startup-files).
        yield Listing.of(folder, startup.names, "*.*py")
    for path, look in sorted(startup.files.items()):
        name = evidence.name(path)
        fact = file_fact(evidence, path, name, look) if name is not None else None
        if fact is not None:
            yield fact


def _written(evidence: RunEvidence) -> Iterator[Written]:
    """Yield the existing files under the root that the run wrote."""
    for path in sorted({*evidence.seen.writes, *evidence.inferred}):
        name = evidence.inside(path)
        if name is None or path in evidence.authors.foreign:
            continue
        entry = evidence.world.fingerprints.renew(path)
        digest = evidence.world.fingerprints.digest(path)
        # Hashing the files that the run read may take long; the user may have saved meanwhile.
        if evidence.world.fingerprints.entry(path).stat != evidence.authors.judged.get(path):
            evidence.doubt(path)
        elif digest is not None:
            inferred = path in evidence.authors.unproven
            before = evidence.seen.writes.get(path) or evidence.inferred.get(path)
            created = before is not None and before.type == ""
            mode = entry.mode & 0o777
            found = before.digest if before is not None else None
            yield Written(name, digest, mode, created=created, before=found, inferred=inferred)


def _removed(evidence: RunEvidence) -> Iterator[str]:
    """Yield the files under the root that existed before the run removed them."""
    for path in sorted(evidence.seen.removed):
        name, before = evidence.inside(path), evidence.seen.writes.get(path)
        was_there = before is not None and before.stat is not None
        if name is not None and was_there and evidence.now(path) is None:
            yield name


def untracked(report: TracerReport, seen: Seen) -> Iterator[str]:
    """Describe the dependencies that cannot be verified: subprocesses, network, reads in C."""
    commands = [_command(words) for words in seen.processes if words]
    python = [command for command in commands if _is_python(command)]
    # Python subprocesses trace themselves through `sitecustomize`, except with `-S`, `-I` or `-E`.
    # Only counts can be compared: a command does not tell which process traced itself.
    if len(python) <= seen.children:
        commands = [command for command in commands if command not in python]
    for command in dict.fromkeys(commands):
        if _program(command) not in _HARMLESS:
            yield f"sub-process: {shortened(' '.join(command), _LONGEST)}"
    if report.variables_shown:
        yield "all environment variables, which were shown"
    for host in sorted(seen.hosts):
        yield f"network: {host}"
    for what in report.unseen:
        yield f"not seen: {what}"
    if not report.system:
        yield from _read_in_c(report, seen)


def _read_in_c(report: TracerReport, seen: Seen) -> Iterator[str]:
    if not seen.named and not any(look.how == "probe" for look in seen.reads.values()):
        for name in _READ_IN_C:
            if name in report.wanted:
                yield f"files that {name} reads"


def _command(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words of a command, without the shell around it."""
    if _program(words) in _SHELLS and len(words) > 2 and words[1] == "-c":  # noqa: PLR2004
        return tuple(words[2].split()) or words
    return words if len(words) > 1 else tuple(words[0].split())


def _program(command: tuple[str, ...]) -> str:
    return os.path.basename(command[0]) if command else ""


def _is_python(command: tuple[str, ...]) -> bool:
    return re.fullmatch(r"(python|pypy)[\d.]*(\.exe)?", _program(command)) is not None
