"""Verify a trace against the current world: return the first fact that does not hold."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sphinx_nbcache.traces.facts import (
    GONE,
    Absent,
    Baseline,
    Declared,
    Directory,
    Distribution,
    EnvironmentVariable,
    Fact,
    File,
    Interpreter,
    Listing,
    Location,
    Trace,
    Uninstalled,
    Unknown,
    Unshadowed,
    text_digest,
)
from sphinx_nbcache.traces.fingerprints import matching
from sphinx_nbcache.traces.world import (
    PYTHON_VARIABLES,
    World,
    declare,
    name_in_folder,
    package_name,
)

# How many names a reason lists.
_TOLD = 3
_NO_ENVIRONMENT = "its interpreter cannot be asked for the versions of packages"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A fact that no longer holds, and its description."""

    fact: Fact | None
    text: str

    def __str__(self) -> str:
        return self.text


def verify(trace: Trace, world: World) -> Mismatch | None:
    """Return the first fact of a trace that does not hold; `None` if all facts hold."""
    if trace.unreliable is not None:
        return Mismatch(None, trace.unreliable)
    for fact in trace.facts:
        if isinstance(fact, Unknown):
            return Mismatch(None, unverifiable(fact))
        text = _CHECKS[type(fact)](fact, world)
        if text is not None:
            return Mismatch(fact, text + _importer(fact, trace))
    return None


def unverifiable(fact: Unknown) -> str:
    """Say why a fact of a later version cannot be verified."""
    return f"a later version recorded a dependency of a kind unknown to this one ({fact.kind})"


def _importer(fact: Fact, trace: Trace) -> str:
    importer = trace.imported_by.get(fact.path) if isinstance(fact, File) else None
    return f" (imported by {importer})" if importer else ""


def _file(fact: File, world: World) -> str | None:
    state = world.state(fact.path)
    if state in (fact.digest, fact.after):
        return None
    return f"{fact.path} changed" if state != GONE else f"{fact.path} is not there any more"


def _absent(fact: Absent, world: World) -> str | None:
    state = world.state(fact.path)
    if state in (GONE, fact.after):
        return None
    return f"{fact.path} appeared" if fact.after is None else f"{fact.path} changed"


def _directory(fact: Directory, world: World) -> str | None:
    path = world.path(fact.path)
    if path is not None and world.fingerprints.entry(path).is_directory:
        return None
    return f"directory {_slash(fact.path)} is not there any more"


def _listing(fact: Listing, world: World) -> str | None:
    found = world.listing(fact.path)
    if found is None:
        if not fact.pattern:
            return f"directory {_slash(fact.path)} is not there any more"
        found = ()  # a glob finds the same in a missing directory as in one without matches
    names = matching(found, fact.pattern, folders=fact.folders, without=fact.without)
    if text_digest(*names) == fact.digest:
        return None
    if not fact.names and fact.digest != text_digest():
        # There were so many entries that their names were not stored.
        return f"directory {_slash(fact.path)} has other files"
    return _difference(fact, set(fact.names), set(names))


def _difference(fact: Listing, before: set[str], after: set[str]) -> str:
    new, gone = sorted(after - before), sorted(before - after)
    if len(new) == 1 and not gone:
        return f"{name_in_folder(fact.path, new[0])} appeared"
    if len(gone) == 1 and not new:
        return f"{name_in_folder(fact.path, gone[0])} is not there any more"
    changes = [f"+ {name}" for name in new] + [f"- {name}" for name in gone]
    more = f", and {len(changes) - _TOLD} more" if len(changes) > _TOLD else ""
    told = ", ".join(changes[:_TOLD]) + more
    return f"directory {_slash(fact.path)} has other files: {told}"


def _unshadowed(fact: Unshadowed, world: World) -> str | None:
    wanted = _words(fact.modules)
    there = world.modules(fact.path)
    entries = [there.files[name] for name in there.files.keys() & wanted]
    for folder in there.folders:
        # Look for `__init__.py` only if that makes a difference.
        is_named = folder in wanted or folder + "/" in wanted
        if is_named and package_name(fact.path, folder, world) in wanted:
            entries.append(folder + "/")
    if not entries:
        return None
    entry = min(entries)
    module = entry.partition(".")[0].rstrip("/")
    return f"{name_in_folder(fact.path, entry)} is now what import {module} finds"


@cache
def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _uninstalled(fact: Uninstalled, world: World) -> str | None:
    if world.environment is None:
        return _NO_ENVIRONMENT
    for name in fact.modules.split():
        if world.environment.has_module(name):
            return f"the package {name} is installed now"
    return None


def _distribution(fact: Distribution, world: World) -> str | None:
    if world.environment is None:
        return _NO_ENVIRONMENT
    version = world.environment.version(fact.name)
    if version == fact.version:
        return None
    return f"{fact.name} {fact.version} → {version or 'not installed'}"


def _interpreter(fact: Interpreter, world: World) -> str | None:
    if world.environment is None:
        return _NO_ENVIRONMENT
    now = world.environment.python.fact
    if now == fact:
        return None
    for before, after in (
        (f"{fact.implementation} {fact.version}", f"{now.implementation} {now.version}"),
        (fact.platform, now.platform),
    ):
        if before != after:
            return f"{before} → {after}"
    return f"{fact.machine} → {now.machine}"


def _baseline(fact: Baseline, world: World) -> str | None:
    if world.environment is None:
        return _NO_ENVIRONMENT
    now = world.environment.baseline
    if now.ipykernel != fact.ipykernel:
        return f"ipykernel {fact.ipykernel} → {now.ipykernel or 'not installed'}"
    if now.ipython != fact.ipython:
        return f"IPython {fact.ipython} → {now.ipython or 'not installed'}"
    return None


def _variable(fact: EnvironmentVariable, world: World) -> str | None:
    if fact.digest is None or world.variable(fact.name) == fact.digest:
        return None
    if fact.name == PYTHON_VARIABLES:
        return "an environment variable that changes how Python works changed (PYTHON…)"
    return f"environment variable {fact.name} changed"


def _declared(fact: Declared, world: World) -> str | None:
    now = declare(fact.glob, world)
    if now.digest == fact.digest:
        return None
    if fact.files or fact.digest == text_digest():
        for name in sorted({*fact.files, *now.files}):
            before, after = fact.files.get(name), now.files.get(name)
            if before != after:
                verb = "appeared" if before is None else "changed"
                return f"{name} is not there any more" if after is None else f"{name} {verb}"
    return f"files that match {fact.glob} changed"


def _location(fact: Location, world: World) -> str | None:
    now = world.places.home if fact.home else world.places.root
    if os.path.normpath(now) == os.path.normpath(fact.path):
        return None
    what = "the home directory" if fact.home else "the project"
    return f"{what} moved from {fact.path}, which the notebook mentions"


def _slash(folder: str) -> str:
    return folder.rstrip("/") + "/"


_CHECKS: Mapping[type[Any], Callable[[Any, World], str | None]] = {
    File: _file,
    Absent: _absent,
    Directory: _directory,
    Listing: _listing,
    Unshadowed: _unshadowed,
    Uninstalled: _uninstalled,
    Distribution: _distribution,
    Interpreter: _interpreter,
    Baseline: _baseline,
    EnvironmentVariable: _variable,
    Declared: _declared,
    Location: _location,
}
