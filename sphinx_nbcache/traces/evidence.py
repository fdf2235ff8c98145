"""The evidence from which facts are made: a run's actions, other writers, the current state."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from sphinx_nbcache.files.stats import Stat
from sphinx_nbcache.traces.names import PathNames
from sphinx_nbcache.traces.report import Look, Seen, TracerReport, gather
from sphinx_nbcache.traces.world import World

# The directories of an installation, relative to its prefix. The prefix itself is not ignored: it
# may be the home directory, or contain the project.
_INSTALLED = ("bin", "etc", "include", "lib", "lib64", "share", "ssl", "var", "Lib", "Scripts")


@dataclass(frozen=True, slots=True)
class Authors:
    """The files that the run did not write, or not provably.

    Attributes:
        foreign: Files that another process has changed. They do not belong to the run.
        unproven: Files that the run apparently wrote, although no write was observed.
        judged: The stats of the files at this decision. A later change is not the run's.
    """

    foreign: frozenset[str]
    unproven: frozenset[str]
    judged: Mapping[str, Stat | None] = field(default_factory=dict)


def authors(report: TracerReport, seen: Seen, now: Callable[[str], Stat | None]) -> Authors:
    """Return the files that the run did not write, or not provably.

    Args:
        report: The kernel's report.
        seen: The same report, merged with the records of child processes.
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
            is_changed |= judged.stat != left  # the file changed in a later cell
        is_proven_by_child = found is not None and seen.left_by_children.get(path) == found
        if is_proven_by_child:
            continue  # even if the kernel reported another state: the child wrote last
        if is_changed:
            # Without the open files, a library may have flushed the change after the report.
            (foreign if report.handles else unproven).add(path)
        elif path in seen.others:
            (unproven if seen.others[path] else foreign).add(path)
        elif is_by_child:
            unproven.add(path)
    return Authors(frozenset(foreign), frozenset(unproven - foreign), found_now)


@dataclass
class RunEvidence:
    """The observations of one run.

    Attributes:
        report: The kernel's report.
        world: The world right after the run.
        places: The tracked paths, for this kernel's interpreter.
        seen: The merged observations of the kernel and its child processes.
        inferred: Files that C code apparently wrote, with their previous state.
        authors: The files that the run did not write, or not provably.
        left_over: Names of existing files that an earlier run apparently wrote.
        source: The notebook itself. Code may mention its name without reading it.
        doubts: Why the facts cannot be trusted.
    """

    report: TracerReport
    world: World
    places: PathNames
    seen: Seen
    inferred: dict[str, Look]
    authors: Authors
    left_over: Collection[str] = ()
    source: str = ""
    doubts: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls, report: TracerReport, world: World, source: str = "", left_over: Collection[str] = ()
    ) -> RunEvidence:
        """Gather the observations, and separate reads from writes."""
        python = report.python
        if python is None:
            places = world.places
        else:
            prefixes = [os.path.join(p, name) for p in python.prefixes for name in _INSTALLED]
            places = world.places.ignoring([*python.library, *python.sites, *prefixes])
        seen = gather(report, places.normal)
        # Digests from before the run would hide its writes.
        world.fingerprints.forget((*seen.writes, *seen.made, *seen.inferred))
        for path, look in list(seen.writes.items()):
            # A file that was opened for writing but is unchanged was not written.
            if path not in seen.removed and world.fingerprints.renew(path).stat == look.stat:
                del seen.writes[path]
                seen.reads.setdefault(path, look)
        for path, look in seen.reads.items():
            # SQLite opens a database for reading and writing; only a change proves a write.
            if look.how == "database" and world.fingerprints.renew(path).stat != look.stat:
                seen.writes.setdefault(path, look)
        # A file that the run read through Python is a dependency. Only C code's files are inferred.
        inferred = {
            path: look
            for path, look in seen.inferred.items()
            if path not in seen.writes and getattr(seen.reads.get(path), "stat", None) is None
        }
        seen.named.pop(places.normal(source), None)
        seen.changed.discard(places.normal(source))
        found = authors(report, seen, lambda path: world.fingerprints.renew(path).stat)
        return cls(report, world, places, seen, inferred, found, left_over, source)

    def name(self, path: str) -> str | None:
        """Return the name of a path; `None` if the path is ignored."""
        return self.places.name_of(path)

    def inside(self, path: str) -> str | None:
        """Return the name of a path under the root; `None` if the path is elsewhere."""
        name = self.places.name_of(path)
        return name if name is not None and self.places.is_inside(name) else None

    def is_above(self, path: str) -> bool:
        """Tell whether the project or the home directory lies at a path, or below it."""
        folders = (self.places.root, self.places.home)
        return any(f == path or f.startswith(os.path.join(path, "")) for f in folders)

    def now(self, path: str) -> Stat | None:
        """Return the current stat of a path, after the end of the run."""
        return self.world.fingerprints.renew(path).stat

    def doubt(self, path: str) -> None:
        """Note that another process changed a tracked file while the notebook ran."""
        name = self.name(path)
        if name is not None and not self.places.is_temporary(path):
            self.doubts.append(f"{name} changed while the notebook ran")

    def state(self, path: str) -> str:
        """Return the final state of a path (see [](Fingerprints.state))."""
        return self.world.fingerprints.state(path)

    def is_written(self, path: str) -> bool:
        """Tell whether the run wrote, made or removed a path, observed or inferred."""
        return path in self.seen.writes or path in self.inferred or path in self.seen.made

    def own_entries(self, folder: str) -> set[str]:
        """Return the names of entries in a directory that the run itself wrote, made or removed."""
        return self._own.get(folder, set())

    def has_own_inside(self, folder: str) -> bool:
        """Tell whether the run itself wrote or made something in a directory or below it."""
        return folder in self._own

    @cached_property
    def _own(self) -> dict[str, set[str]]:
        """The entries that the run wrote or made, by directory.

        All parent directories are included, with an empty set if the run made no entry in them.
        """
        entries: dict[str, set[str]] = {}
        for path in (*self.seen.writes, *self.seen.made, *self.inferred):
            folder, name = os.path.split(path)
            entries.setdefault(folder, set()).add(name)
            while folder != (above := os.path.dirname(folder)):
                folder = above
                if folder in entries:
                    break  # its parents are included already: a run may write 100,000 files
                entries[folder] = set()
        return entries

    def looks(self) -> Iterator[tuple[str, Look]]:
        """Yield the first look at each path, unless the run wrote the path before."""
        for path, look in self.seen.reads.items():
            write = self.seen.writes.get(path)
            if look.how == "append":
                continue  # opening for appending reads nothing
            if write is None or look.seen_ns <= write.seen_ns:
                yield path, look
        for path, look in self.seen.named.items():
            if path not in self.seen.reads and path not in self.seen.writes:
                yield path, look
