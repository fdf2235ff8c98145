"""What the tracer sends, with checked types: a kernel can send anything.

All paths are absolute, as the kernel saw them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from sphinx_nbcache.notebooks.scan import Stat

SCHEMA = 3
# Directory, pattern, whether only directories were asked for, and what was there.
Listed = tuple[str, str, bool, tuple[str, ...] | None]


class Look(msgspec.Struct, frozen=True, array_like=True):
    """What was at a path when the run first read it, wrote it, or looked for it."""

    stat: Stat | None
    type: str
    """`file`, `directory`, `other`, `unknown`; empty if nothing was there."""
    seen_ns: int
    digest: str | None = None
    """Digest of its content then, where that was in danger of getting lost."""
    how: str = "read"
    """`read`, `write`, `append`, `database`, `probe` by user code, `touch` by other code, `named`,
    `late`."""


class PythonReport(msgspec.Struct, frozen=True):
    """The interpreter, and where it and its packages are installed."""

    implementation: str
    version: str
    platform: str
    machine: str
    prefixes: tuple[str, ...]
    library: tuple[str, ...]
    sites: tuple[str, ...]


class Startup(msgspec.Struct, frozen=True):
    """What IPython has read and run before the tracer was there."""

    folder: str
    names: tuple[str, ...]
    files: dict[str, Look]


class Report(msgspec.Struct, frozen=True):
    """The report of a kernel. Of each path only the first look counts."""

    started: int
    """When the tracer began: nanoseconds since the epoch."""
    python: PythonReport
    reads: dict[str, Look]
    writes: dict[str, Look]
    """How files were before the run wrote or removed them."""
    removed: tuple[str, ...]
    moved: tuple[str, ...]
    """New names of files that the run has not made."""
    made: tuple[str, ...]
    """Directories that the run made."""
    listings: tuple[Listed, ...]
    named: dict[str, Look]
    """Files that the code names, which C may have opened."""
    inferred: dict[str, Look]
    """Those of them that seem to have been written; how they were before."""
    proven: tuple[str, ...]
    """Those of these that the kernel was seen to write, though no audit event tells of it."""
    changed: tuple[str, ...]
    """Files that the code names or looks for, and that something else has changed."""
    others: dict[str, bool]
    """Files that the kernel has written, and that another process has written since; whether that
    may have been one of the run's own."""
    left: dict[str, Stat]
    """How written files under the root were at the end, unless they were still open for writing."""
    handles: bool
    """Whether it is known which files are open."""
    modules: dict[str, tuple[str, str]]
    """Modules that no version stands for: file, and the local file that imported it."""
    packages: tuple[str, ...]
    """Top-level names of installed modules that user code reaches."""
    wanted: tuple[str, ...]
    """Top-level names that cells import."""
    asked_versions: tuple[str, ...]
    """Names of metadata folders that user code asked for."""
    missing: dict[str, tuple[str, ...]]
    """Modules that user code could not import, and the directories that were searched."""
    search: tuple[tuple[str, tuple[str, ...]], ...]
    """Directories of the search path, and modules that come from behind them."""
    variables: dict[str, str | None]
    start_variables: dict[str, str]
    processes: tuple[tuple[str, ...], ...]
    hosts: tuple[str, ...]
    children: tuple[tuple[Any, ...], ...]
    errors: tuple[str, ...]
    schema: int = 0
    startup: Startup | None = None


@dataclass(slots=True)
class Seen:
    """What the kernel and its children have seen, together."""

    reads: dict[str, Look] = field(default_factory=dict)
    writes: dict[str, Look] = field(default_factory=dict)
    named: dict[str, Look] = field(default_factory=dict)
    inferred: dict[str, Look] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    others: dict[str, bool] = field(default_factory=dict)
    left: dict[str, Stat] = field(default_factory=dict)
    by_children: set[str] = field(default_factory=set)
    proven: set[str] = field(default_factory=set)
    left_by_children: dict[str, Stat] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    moved: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)
    listings: list[Listed] = field(default_factory=list)
    processes: list[tuple[str, ...]] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    imports: set[str] = field(default_factory=set)
    children: int = 0


def read_report(raw: Mapping[str, Any]) -> Report | None:
    """Return the report in what a kernel sent; `None` if it is none."""
    try:
        report = msgspec.convert(raw, Report, strict=False)
    except msgspec.ValidationError:
        return None
    return report if report.schema == SCHEMA else None


def gather(report: Report, normal: Callable[[str], str]) -> Seen:
    """Put together what the kernel and its children have seen.

    Args:
        report: The report of the kernel.
        normal: Makes one path of all that are written differently.
    """
    seen = Seen(processes=list(report.processes), hosts=set(report.hosts))
    for looks, found in (
        (report.reads, seen.reads),
        (report.writes, seen.writes),
        (report.named, seen.named),
        (report.inferred, seen.inferred),
    ):
        for path, look in looks.items():
            _keep(found, normal(path), look)
    seen.removed.update(map(normal, report.removed))
    seen.moved.update(map(normal, report.moved))
    seen.made.update(map(normal, report.made))
    seen.proven.update(map(normal, report.proven))
    seen.changed.update(map(normal, report.changed))
    seen.others.update({normal(path): is_ours for path, is_ours in report.others.items()})
    seen.left.update({normal(path): stat for path, stat in report.left.items()})
    seen.listings += [(normal(listed[0]), *listed[1:]) for listed in report.listings]
    for record in report.children:
        try:
            _add(seen, normal, *record)
        except (msgspec.ValidationError, TypeError, ValueError):
            continue  # a child can write what it likes into the log
    return seen


def _keep(looks: dict[str, Look], path: str, look: Look) -> None:
    if path not in looks or look.seen_ns < looks[path].seen_ns:
        looks[path] = look


def _add(seen: Seen, normal: Callable[[str], str], kind: str, *values: Any) -> None:
    if kind in ("read", "write", "named"):
        looks = {"read": seen.reads, "write": seen.writes, "named": seen.named}[kind]
        path, look = msgspec.convert(values, tuple[str, Look])
        _keep(looks, normal(path), look)
        if kind == "write":
            seen.by_children.add(normal(path))
    elif kind == "left":
        path, stat = msgspec.convert(values, tuple[str, Stat])
        seen.left_by_children[normal(path)] = stat
    elif kind in ("remove", "make", "move"):
        paths = {"remove": seen.removed, "make": seen.made, "move": seen.moved}[kind]
        paths.add(normal(msgspec.convert(values, tuple[str])[0]))
    elif kind in ("host", "import"):
        names = {"host": seen.hosts, "import": seen.imports}[kind]
        names.add(msgspec.convert(values, tuple[str])[0])
    elif kind == "list":
        listed = msgspec.convert(values, Listed)
        seen.listings.append((normal(listed[0]), *listed[1:]))
    elif kind == "process":
        seen.processes.append(msgspec.convert(values, tuple[tuple[str, ...]])[0])
    elif kind == "child":
        seen.children += 1
