"""The tracer's report, with validated types, because a kernel can send anything.

All paths are absolute, as the kernel saw them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from sphinx_nbcache.files.stats import Stat

# Must equal `SCHEMA` in `kernel_side.tracer.tracer`.
SCHEMA = 4
# The directory, the pattern, whether only directories were requested, and the entries.
Listed = tuple[str, str, bool, tuple[str, ...] | None]


class Look(msgspec.Struct, frozen=True, array_like=True):
    """The state of a path when the run first read it, wrote it, or looked for it."""

    stat: Stat | None
    type: str
    """`file`, `directory`, `other` or `unknown`; empty if the path did not exist."""
    seen_ns: int
    digest: str | None = None
    """Digest of the content at that time, if it was about to be overwritten or removed."""
    how: str = "read"
    """`read`, `write`, `append`, `database`, `probe` by user code, `touch` by other code, `named`,
    `late`."""


class PythonReport(msgspec.Struct, frozen=True):
    """The interpreter, with the directories of its libraries and packages."""

    implementation: str
    version: str
    platform: str
    machine: str
    prefixes: tuple[str, ...]
    library: tuple[str, ...]
    sites: tuple[str, ...]


class Startup(msgspec.Struct, frozen=True):
    """The start-up files that IPython read and ran before the tracer started."""

    folder: str
    names: tuple[str, ...]
    files: dict[str, Look]


class TracerReport(msgspec.Struct, frozen=True):
    """The report of a kernel. It contains only the first look at each path."""

    started: int
    """The start of the tracer, in nanoseconds since the epoch."""
    python: PythonReport | None
    """The interpreter; `None` for a kernel of another language."""
    reads: dict[str, Look]
    writes: dict[str, Look]
    """The state of files before the run wrote or removed them."""
    removed: tuple[str, ...]
    moved: tuple[str, ...]
    """New names of files that the run did not create."""
    made: tuple[str, ...]
    """Directories that the run made."""
    listings: tuple[Listed, ...]
    named: dict[str, Look]
    """Files that the code names and that C code may have opened."""
    inferred: dict[str, Look]
    """Named files that were apparently written, with their previous state."""
    proven: tuple[str, ...]
    """Inferred files that the kernel was observed to write, though without an audit event."""
    changed: tuple[str, ...]
    """Files that the code names or looks for and that another process changed."""
    others: dict[str, bool]
    """Files that another process wrote after the kernel, and whether that process may belong to the
    run.
    """
    left: dict[str, Stat]
    """The final state of written files under the root, except those still open for writing."""
    handles: bool
    """Whether the kernel's open files are known."""
    modules: dict[str, tuple[str, str]]
    """Modules without a distribution: the file, and the local file that imported the module."""
    packages: tuple[str, ...]
    """Top-level names of installed modules that user code imports, directly or indirectly."""
    wanted: tuple[str, ...]
    """Top-level names that cells import."""
    asked_versions: tuple[str, ...]
    """Names of metadata directories that user code read."""
    missing: dict[str, tuple[str, ...]]
    """Modules that user code failed to import, and the directories that were searched."""
    search: tuple[tuple[str, tuple[str, ...]], ...]
    """Directories of the search path, with the modules that later entries provide."""
    variables: tuple[str, ...]
    """Names of environment variables that user code read."""
    variable_parts: tuple[str, ...]
    """Parts of names, by which user code selected from all variables."""
    variables_shown: bool
    """Whether user code showed all variables."""
    processes: tuple[tuple[str, ...], ...]
    hosts: tuple[str, ...]
    children: tuple[tuple[Any, ...], ...]
    errors: tuple[str, ...]
    schema: int = 0
    links: dict[str, str] = {}
    """Where paths led when user code asked for it; empty for what was no link."""
    same: tuple[tuple[str, str, bool], ...] = ()
    """Pairs of paths, and whether they led to the same file when user code asked for it."""
    startup: Startup | None = None
    system: bool = False
    """Whether the system tracer has seen all processes."""
    unseen: tuple[str, ...] = ()
    """Kinds of access that the system tracer could not see, such as `io_uring`."""
    unavailable: tuple[str, ...] = ()
    """Modules, perhaps dotted, that user code or a package that it reaches failed to import."""
    asked: tuple[tuple[str, str], ...] = ()
    """Questions to `importlib.metadata`: `version` and a distribution, or `entries` and a group."""
    sources: dict[str, str] = {}
    """Files of modules of regular installations whose source lies under the root, relative to the
    directory of packages, by the name of the module.
    """


class ChildImport(msgspec.Struct, frozen=True, array_like=True):
    """An import in a child process, which may have failed."""

    name: str
    """The top-level name of the module."""
    package: str = ""
    """The top-level name of the installed package that imported it; empty for other code."""
    standard: bool = False
    """Whether the module belongs to Python's standard library."""
    folders: tuple[str, ...] = ()
    """The directories that are searched before the standard library."""


@dataclass(slots=True)
class Seen:
    """The merged observations of a kernel and its child processes."""

    reads: dict[str, Look] = field(default_factory=dict)
    writes: dict[str, Look] = field(default_factory=dict)
    named: dict[str, Look] = field(default_factory=dict)
    inferred: dict[str, Look] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    others: dict[str, bool] = field(default_factory=dict)
    left: dict[str, Stat] = field(default_factory=dict)
    by_children: set[str] = field(default_factory=set)
    described: dict[str, None] = field(default_factory=dict)
    """Files that describe packages of other languages, in the order of the first look."""
    proven: set[str] = field(default_factory=set)
    left_by_children: dict[str, Stat] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    moved: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)
    listings: list[Listed] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    same: dict[tuple[str, str], bool] = field(default_factory=dict)
    processes: list[tuple[str, ...]] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    imports: set[ChildImport] = field(default_factory=set)
    variables: set[str] = field(default_factory=set)
    asked: set[tuple[str, str]] = field(default_factory=set)
    children: int = 0


def read_report(raw: Mapping[str, Any]) -> TracerReport | None:
    """Return the report that a kernel sent; `None` if it is not valid."""
    try:
        report = msgspec.convert(raw, TracerReport, strict=False)
    except msgspec.ValidationError:
        return None
    # Without an interpreter, only the system can have seen anything.
    is_whole = report.python is not None or report.system
    return report if is_whole and report.schema == SCHEMA else None


def gather(report: TracerReport, normal: Callable[[str], str]) -> Seen:
    """Merge the observations of the kernel and its child processes.

    Args:
        report: The report of the kernel.
        normal: Normalises a path, so that equivalent spellings compare equal.
    """
    seen = Seen(
        processes=list(report.processes),
        hosts=set(report.hosts),
        variables=set(report.variables),
    )
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
    seen.asked.update(report.asked)
    seen.links.update({normal(path): target for path, target in report.links.items()})
    seen.same.update({(normal(a), normal(b)): is_same for a, b, is_same in report.same})
    seen.listings += [(normal(listed[0]), *listed[1:]) for listed in report.listings]
    for record in report.children:
        try:
            _add(seen, normal, *record)
        except (msgspec.ValidationError, TypeError, ValueError):
            continue  # a child process can write anything into the log, or be killed while writing
    return seen


def _keep(looks: dict[str, Look], path: str, look: Look) -> None:
    # The earliest look wins: only that one shows the state before the run changed the file.
    known = looks.setdefault(path, look)
    first, second = sorted((known, look), key=lambda one: (one.seen_ns, one.digest is None))
    # A file that one process appended to, and another one read then.
    is_read = first.how == "append" and second.how in ("read", "probe")
    looks[path] = msgspec.structs.replace(first, how=second.how) if is_read else first


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
    elif kind in _NO_FILES:
        _add_other(seen, kind, values)
    elif kind == "list":
        listed = msgspec.convert(values, Listed)
        seen.listings.append((normal(listed[0]), *listed[1:]))
    elif kind == "process":
        seen.processes.append(msgspec.convert(values, tuple[tuple[str, ...]])[0])
    elif kind == "described":
        seen.described[normal(msgspec.convert(values, tuple[str])[0])] = None
    elif kind == "child":
        seen.children += 1
    else:
        _add_link(seen, normal, kind, values)


def _add_link(seen: Seen, normal: Callable[[str], str], kind: str, values: tuple[Any, ...]) -> None:
    if kind == "link":
        path, target = msgspec.convert(values, tuple[str, str])
        seen.links.setdefault(normal(path), target)
    elif kind == "same":
        first, second, is_same = msgspec.convert(values, tuple[str, str, bool])
        seen.same.setdefault((normal(first), normal(second)), is_same)


# The records of children that are not about files.
_NO_FILES = ("import", "asked", "variable", "host")


def _add_other(seen: Seen, kind: str, values: tuple[Any, ...]) -> None:
    if kind == "import":
        seen.imports.add(msgspec.convert(values, ChildImport))
    elif kind == "asked":
        seen.asked.add(msgspec.convert(values, tuple[str, str]))
    else:
        names = seen.variables if kind == "variable" else seen.hosts
        names.add(msgspec.convert(values, tuple[str])[0])
