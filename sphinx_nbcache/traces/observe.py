"""From what the tracer saw to a trace: what of it counts, and whether it can be trusted."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sphinx_nbcache.traces.environments import Environment, Python
from sphinx_nbcache.traces.facts import (
    DIRECTORY,
    GONE,
    Absent,
    Directory,
    Fact,
    File,
    Listing,
    Trace,
    Written,
    text_digest,
)
from sphinx_nbcache.traces.fingerprints import matching
from sphinx_nbcache.traces.packages import package_facts
from sphinx_nbcache.traces.places import Places
from sphinx_nbcache.traces.report import Look, Report, Seen, gather, read_report
from sphinx_nbcache.traces.untracked import untracked
from sphinx_nbcache.traces.world import MOST_NAMES, World

# What an installation has beside its libraries and packages, below its prefix.
_INSTALLED = ("bin", "etc", "include", "lib", "lib64", "share", "ssl", "var", "Lib", "Scripts")
# Times of files are by a clock that ticks less often.
_TICK_NS = 10_000_000
_NO_REPORT = "what the run depended on is not known: its kernel sent no report that can be read"


def observe(raw: Mapping[str, Any], world: World, texts: Iterable[str] = ()) -> Trace:
    """Make a trace of what a kernel reported, right after its last cell.

    Every file that counts is looked at again: a file of which it is not certain that its
    content is that which the run has read makes the trace unreliable.

    Args:
        raw: The report (see [](parse_report)). A kernel can send anything.
        world: The world as it is now. Files that the run wrote are looked at anew.
        texts: The sources and the outputs of the cells, to see whether they mention the place.
    """
    report = read_report(raw)
    if report is None:
        return Trace(unreliable=_NO_REPORT)
    environment = _environment(report, world)
    files = _Files.of(report, world)
    facts: list[Fact] = [*files.facts(), *files.listings()]
    facts += _startup(report, files)
    facts += package_facts(report, files.seen, files.places, world, environment)
    facts += world.places.locations(texts)
    unreliable = next(iter(files.doubts), None)
    if report.errors:
        unreliable = f"the tracer failed: {report.errors[0]}"
    return Trace(
        facts=tuple(dict.fromkeys(facts)),
        written=tuple(files.written()),
        removed=tuple(files.removed()),
        untracked=tuple(untracked(report, files.seen)),
        imported_by=files.imported_by(),
        unreliable=unreliable,
    )


def _environment(report: Report, world: World) -> Environment:
    found = report.python
    python = Python(found.implementation, found.version, found.platform, found.machine, found.sites)
    if world.environment is not None and world.environment.python == python:
        return world.environment
    return Environment(python)


def _kernel_places(report: Report, world: World) -> Places:
    """Return the places, with the interpreter's own directories among those that do not count."""
    python = report.python
    prefixes = [os.path.join(prefix, name) for prefix in python.prefixes for name in _INSTALLED]
    return world.places.ignoring([*python.library, *python.sites, *prefixes])


@dataclass
class _Files:
    """The files and directories of one run.

    Attributes:
        seen: What was seen.
        places: What counts.
        doubts: Why the facts cannot be trusted.
        inferred: How files were that seem to have been written.
    """

    report: Report
    world: World
    seen: Seen
    places: Places
    inferred: dict[str, Look]
    doubts: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, report: Report, world: World) -> _Files:
        """Gather what was seen, and sort out what read its own writing."""
        places = _kernel_places(report, world)
        seen = gather(report, places.normal)
        files = cls(report, world, seen, places, {})
        for path, look in list(seen.reads.items()):
            # A database is opened for both; whether it was written is seen by its change.
            if look.how == "database" and files._now(path) != look.stat:
                seen.writes.setdefault(path, look)
        files.inferred = {
            path: look
            for path, look in seen.inferred.items()
            if path not in seen.writes and getattr(seen.reads.get(path), "stat", None) is None
        }
        return files

    def _now(self, path: str) -> object:
        return self.world.fingerprints.renew(path).stat

    def _name(self, path: str) -> str | None:
        """Return the name of a path that counts."""
        return self.places.name_of(path)

    def _state(self, path: str) -> str:
        digest = self.world.fingerprints.digest(path)
        if digest is not None:
            return digest
        return GONE if self.world.fingerprints.entry(path).stat is None else DIRECTORY

    def facts(self) -> Iterator[Fact]:
        """Yield what files and directories were like, in the order of their names."""
        found: dict[str, Fact] = {}
        modules = self._modules()
        for path, look in self._looks():
            name = self._name(path)
            if name is None or name in found:
                continue
            self._now(path)
            fact = self._fact(path, name, look, module=name in modules)
            if fact is not None and self._counts(path, fact):
                found[name] = fact
        for name in modules:
            if name.endswith(".py") and not name.endswith("__init__.py"):
                # A package comes before a module of the same name in the same directory.
                package = name.removesuffix(".py") + "/__init__.py"
                if self.places.is_inside(name):
                    found.setdefault(package, Absent(package, module=True))
        yield from (found[name] for name in sorted(found))

    def _looks(self) -> Iterator[tuple[str, Look]]:
        """Yield what was read or looked for, before the run itself wrote it."""
        for path, look in self.seen.reads.items():
            write = self.seen.writes.get(path)
            if write is None or look.seen_ns <= write.seen_ns:
                yield path, look
        for path, look in self.seen.named.items():
            if path not in self.seen.reads and path not in self.seen.writes:
                yield path, look

    def _counts(self, path: str, fact: Fact) -> bool:
        """Tell whether a fact counts: of temporary files only those that were there and stay."""
        if not self.places.is_temporary(path):
            return True
        return isinstance(fact, File) and fact.after is None

    def _fact(self, path: str, name: str, look: Look, *, module: bool) -> Fact | None:
        written = path in self.seen.writes
        if look.type == "":
            is_own = written or path in self.inferred or path in self.seen.made
            return Absent(name, (self._state(path) if is_own else GONE) or None)
        if path in self.inferred:
            return self._inferred_fact(path, name)
        if look.type == "directory":
            made_here = path in self.seen.made or bool(self._own_entries(path))
            return Directory(name) if look.how == "probe" and not made_here else None
        if look.type != "file" or look.stat is None:
            return None
        if written:
            return self._rewritten_fact(path, name, look)
        return self._read_fact(path, name, look, module=module)

    def _read_fact(self, path: str, name: str, look: Look, *, module: bool) -> Fact | None:
        digest = self.world.fingerprints.digest(path)
        if not self._is_same(path, look, digest):
            if not self.places.is_temporary(path):
                self.doubts.append(f"{name} changed while the notebook ran")
            return None
        return File(name, digest or "", module=module)

    def _is_same(self, path: str, look: Look, digest: str | None) -> bool:
        """Tell whether a file has the content now that it had when it was first read.

        Two equal stats prove that only if they are clearly older than the first look: a file
        may change twice within one tick of its clock. Of younger ones the digests are compared.
        """
        if digest is None or look.stat is None:
            return False
        if self.world.fingerprints.entry(path).stat != look.stat:
            return False
        if look.how == "late":
            # It was not looked at before now, so it must not have changed since the start.
            changed = max(look.stat.mtime_ns, look.stat.ctime_ns)
            return changed < self.report.started - _TICK_NS
        return look.digest == digest if look.stat.is_racy(look.seen_ns) else True

    def _rewritten_fact(self, path: str, name: str, look: Look) -> Fact | None:
        """Return the fact of a file that the run read, and then wrote or removed."""
        if look.how == "touch":
            return None  # a library looked whether it was there, to write it
        before = self._digest_before(path, look)
        if before is None:
            self.doubts.append(
                f"{name} was changed by the notebook itself; how it was is not known"
            )
            return None
        after = self._state(path)
        return File(name, before, None if after == before else after)

    def _digest_before(self, path: str, look: Look) -> str | None:
        write = self.seen.writes[path]
        if write.stat == look.stat and write.digest is not None:
            return write.digest
        if look.digest is not None:
            return look.digest
        known = self.world.fingerprints.remembered.get(path)
        if known is not None and look.stat is not None and known.holds_for(look.stat):
            return known.digest
        return None

    def _inferred_fact(self, path: str, name: str) -> Fact | None:
        """Return the fact of a file that was there, and seems to have been written in C.

        How it was is not known. The state it was left in leads to the same outputs.
        """
        digest = self.world.fingerprints.digest(path)
        left = self.seen.named.get(path)
        if left is not None and left.stat != self.world.fingerprints.entry(path).stat:
            self.doubts.append(f"{name} changed while the notebook ran")
        was_absent = self.inferred[path].type == ""
        return None if was_absent or digest is None else File(name, digest)

    def _modules(self) -> set[str]:
        names = (self._name(file) for file, _ in self.report.modules.values())
        return {name for name in names if name is not None}

    def imported_by(self) -> dict[str, str]:
        """Return of each local module the local module that imported it."""
        modules, importers = self._modules(), {}
        for file, importer in self.report.modules.values():
            name, by = self._name(file), self._name(importer) if importer else None
            if name is not None and by in modules and by != name:
                importers[name] = str(by)
        return importers

    def _own_entries(self, folder: str) -> set[str]:
        """Return the names in a directory that the run wrote, made or removed itself."""
        own = (*self.seen.writes, *self.seen.made, *self.inferred)
        return {os.path.basename(path) for path in own if os.path.dirname(path) == folder}

    def listings(self) -> Iterator[Fact]:
        """Yield what was asked for in directories, without what the run itself put there."""
        for path, pattern, folders, names in sorted(self.seen.listings, key=lambda item: item[:3]):
            name = self._name(path)
            if name is None or self.places.is_temporary(path):
                continue
            if path in self.seen.made:
                continue
            if names is None:
                yield Absent(name)
                continue
            own = tuple(sorted(self._own_entries(path)))
            kept = [entry for entry in names if self.world.places.keeps(name, entry)]
            yield listing(name, kept, pattern, folders=folders, without=own)

    def written(self) -> Iterator[Written]:
        """Yield the files under the root that the run wrote, and that are there."""
        for path in sorted({*self.seen.writes, *self.inferred}):
            name = self._name(path)
            if name is None or not self.places.is_inside(name):
                continue
            entry = self.world.fingerprints.renew(path)
            digest = self.world.fingerprints.digest(path)
            before = self.seen.writes.get(path)
            # Opened for writing is not written: a database or `r+` may have changed nothing.
            if digest is None or (before is not None and before.stat == entry.stat):
                continue
            yield Written(name, digest, entry.mode & 0o777, inferred=path in self.inferred)

    def removed(self) -> Iterator[str]:
        """Yield the files under the root that were there before the run removed them."""
        for path in sorted(self.seen.removed):
            name, before = self._name(path), self.seen.writes.get(path)
            if name is None or not self.places.is_inside(name):
                continue
            if before is not None and before.stat is not None and self._now(path) is None:
                yield name


def listing(
    name: str, entries: Iterable[str], pattern: str, *, folders: bool, without: tuple[str, ...]
) -> Listing:
    """Return the fact that a directory had these entries."""
    names = matching(entries, pattern, folders=folders, without=without)
    told = names if len(names) <= MOST_NAMES else ()
    return Listing(name, text_digest(*names), pattern, folders, without, told)


def _startup(report: Report, files: _Files) -> Iterator[Fact]:
    """Yield what IPython's own files were like, which it read before the tracer was there."""
    if report.startup is None:
        return
    name = files.world.places.name_of(report.startup.folder)
    if name is not None:
        yield listing(name, report.startup.names, "*.*py", folders=False, without=())
    for path, look in sorted(report.startup.files.items()):
        name = files.world.places.name_of(path)
        if name is not None:
            fact = files._fact(path, name, look, module=False)  # noqa: SLF001
            if fact is not None:
                yield fact
