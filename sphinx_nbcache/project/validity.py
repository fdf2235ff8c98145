"""The world of one build, and the validity of results in it."""

from __future__ import annotations

import os
import posixpath
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from glob import escape
from pathlib import Path

import msgspec

from sphinx_nbcache.config import Settings
from sphinx_nbcache.files.paths import matching_glob, portable_path
from sphinx_nbcache.kernels.environment import with_changes
from sphinx_nbcache.kernels.interpreters import KernelFacts, kernel_facts, memory_key
from sphinx_nbcache.notebooks.key import KeyParts
from sphinx_nbcache.notebooks.scan import Scan
from sphinx_nbcache.options import AUTO
from sphinx_nbcache.planning import Planned, Reason, Why
from sphinx_nbcache.project.order import Footprint
from sphinx_nbcache.project.products import Artifacts, Change
from sphinx_nbcache.results.records import Result, Stored
from sphinx_nbcache.store.access import encoded
from sphinx_nbcache.store.file_records import fingerprints, keep_fingerprints
from sphinx_nbcache.store.shelf import ShelfError
from sphinx_nbcache.store.store import Store
from sphinx_nbcache.traces.distributions import Environment
from sphinx_nbcache.traces.fact import Kind
from sphinx_nbcache.traces.facts import (
    Absent,
)
from sphinx_nbcache.traces.fingerprints import Fingerprint, Fingerprints
from sphinx_nbcache.traces.names import PathNames
from sphinx_nbcache.traces.trace import Trace
from sphinx_nbcache.traces.tracking import Tracking, why_not_valid
from sphinx_nbcache.traces.world import World

# The output folder of the Makefile from sphinx-quickstart; each builder has a subfolder:
# https://www.sphinx-doc.org/en/master/man/sphinx-quickstart.html
BUILD_FOLDER = "_build"
# The prefix of the keys of kernel facts; the rest is a digest.
KERNEL_KEY = "kernel/"
_UNKNOWN = "what its last run depended on is not known"
_UNTRACED = "what its last run depended on was not tracked (nbcache_untraced)"
_TRACED_SINCE = "what an earlier run depended on was not tracked, as a later one was"


class Worlds:
    """The files, kernels and packages of one build, each examined once.

    Attributes:
        fingerprints: Files and directories, for all kernels.

    Args:
        store: The store, which caches fingerprints and facts about kernels.
        settings: The options.
        base: The folder to which globs in options are relative.
        root: The root.
        quiet: Folders whose files are not dependencies.
    """

    def __init__(
        self, store: Store, settings: Settings, *, base: Path, root: Path, quiet: Iterable[Path]
    ) -> None:
        self._store = store
        self._settings = settings
        self._base = base
        self._root = root
        self._quiet = tuple(dict.fromkeys(map(str, _with_builds(quiet))))
        self._remembered: dict[str, Fingerprint] = {}
        self._asked: set[str] = set()
        self.fingerprints = Fingerprints(self._remembered)
        self._environment = with_changes(os.environ, settings.environment)
        self._kernels: dict[tuple[str, str], KernelFacts | None] = {}
        self._worlds: dict[tuple[str, str], World] = {}

    @property
    def quiet(self) -> tuple[str, ...]:
        """The folders whose files are not dependencies, as absolute paths."""
        # With a prefix, `__pycache__` folders lie elsewhere:
        # https://docs.python.org/3/library/sys.html#sys.pycache_prefix
        bytecode = (sys.pycache_prefix, os.environ.get("PYTHONPYCACHEPREFIX"))
        return (*self._quiet, *(folder for folder in dict.fromkeys(bytecode) if folder))

    def of(self, key: KeyParts) -> World:
        """Return the world of a notebook's kernel."""
        kernel = key.kernel, key.language
        if kernel not in self._worlds:
            facts = self._kernel(*kernel)
            python = facts.python if facts is not None else None
            given = self._environment
            variables = facts.environment(given) if facts is not None else given
            self._worlds[kernel] = World(
                PathNames(str(self._root), ignored=self.quiet),
                self.fingerprints,
                Environment.of(python, variables) if python is not None else None,
                variables,
                facts.fixed_variables if facts is not None else (),
                self._store.access.marks.variable_key,
            )
        return self._worlds[kernel]

    def must_be_traced(self, scan: Scan, key: KeyParts, tracking: Tracking) -> bool:
        """Tell whether a result without a trace does not count: a new run would have one."""
        if self._settings.untraced != "run" or not tracking.needs_tracer:
            return False
        if self.is_python(key):
            return True
        from sphinx_nbcache.kernels.watching import why_no_system_tracer

        return self.wants_system(scan, key) and why_no_system_tracer() is None

    def wants_system(self, scan: Scan, key: KeyParts) -> bool:
        """Tell whether the runs of a notebook are to be seen by the system tracer."""
        tracer = scan.settings(self._settings).tracer
        # In Python, the tracer in the kernel is enough for most notebooks, and costs less.
        return tracer == "system" or (tracer == AUTO and not self.is_python(key))

    def is_python(self, key: KeyParts) -> bool:
        """Tell whether a notebook's kernel runs Python, so that it can be traced."""
        facts = self._kernel(key.kernel, key.language)
        return facts is not None and facts.language == "python"

    def look_again(self) -> None:
        """Invalidate all cached observations, because time has passed."""
        # The digests of this build become remembered ones: an unchanged file is not hashed again.
        self.keep()
        self.fingerprints.forget_all()
        self._kernels.clear()
        self._worlds.clear()

    def forget(self) -> None:
        """Release all cached observations, and the fingerprints from the store."""
        self.look_again()
        self._remembered.clear()
        self._asked.clear()

    def tracking(self, scan: Scan, path: Path, key: KeyParts) -> Tracking:
        """Return what counts as a dependency of a notebook.

        Args:
            scan: The scan of the notebook.
            path: The absolute path of the notebook.
            key: The parts of its code key: copies of assets are not observed as reads.
        """
        settings = scan.settings(self._settings)
        # Most notebooks declare nothing and share one object, so that its globs are not built a
        # thousand times.
        is_special = scan.dependencies or scan.variables or key.assets
        if not (settings.dependencies or is_special or settings.track != self._settings.track):
            return self._common
        name = portable_path(path, self._base)
        globs = [
            self._from_root(self._base, glob)
            for pattern, listed in settings.dependencies.items()
            if matching_glob(name, (pattern,)) is not None
            for glob in listed
        ]
        globs += [self._from_root(path.parent, glob) for glob in scan.dependencies]
        for asset in map(escape, key.assets):
            globs += [self._from_root(path.parent, glob) for glob in (asset, asset + "/**")]
        kinds = _known_kinds(settings.track)
        return Tracking(
            kinds=kinds,
            ignored=self._common.ignored,
            globs=tuple(dict.fromkeys(globs)),
            variables=tuple(dict.fromkeys((*scan.variables, *self._given_variables(kinds)))),
        )

    @cached_property
    def _common(self) -> Tracking:
        """The tracking options for notebooks that set none."""
        kinds = tuple(map(Kind, self._settings.track))
        return Tracking(
            kinds=kinds,
            variables=self._given_variables(kinds),
            ignored=tuple(self._from_root(self._base, glob) for glob in self._settings.ignore),
        )

    def _given_variables(self, kinds: Collection[Kind]) -> tuple[str, ...]:
        """Return the variables of `nbcache_environment` that count for every notebook.

        The tracer does not see reads by C libraries and by subprocesses.
        """
        if not self._settings.environment or Kind.ENVIRONMENT not in kinds:
            return ()
        return tuple(self._settings.environment)

    def look_up(self, traces: Iterable[Trace]) -> None:
        """Load the stored fingerprints of all files of traces, in one query."""
        names: set[str] = set()
        for trace in traces:
            names.update(written.path for written in trace.written)
            for fact in trace.facts:
                names.update(fact.hashed)
        places = PathNames(str(self._root))
        paths = {path for name in names if (path := places.path_of(name))} - self._asked
        self._asked |= paths
        self._remembered.update(fingerprints(self._store.access, sorted(paths)))

    def keep(self) -> None:
        """Store the fingerprints that were taken in this build."""
        keep_fingerprints(self._store.access, self.fingerprints.fresh, self._remembered)
        self._remembered.update(self.fingerprints.fresh)
        self.fingerprints.fresh.clear()

    def _kernel(self, name: str, language: str) -> KernelFacts | None:
        """Return the facts about a kernel, from the store if they are current."""
        # Otherwise, its interpreter has to be started, which takes tenths of a second.
        if (name, language) not in self._kernels:
            key = KERNEL_KEY + memory_key(name, language, self._environment)
            facts = self._store.access.read(key, KernelFacts)
            if facts is None or not facts.is_current:
                facts = kernel_facts(name, language, self._environment)
                if facts is not None and name:
                    with suppress(ShelfError):
                        self._store.access.write({key: encoded(facts)})
            self._kernels[name, language] = facts
        return self._kernels[name, language]

    def _from_root(self, folder: Path, glob: str) -> str:
        """Convert a glob relative to a folder into one relative to the root, or absolute."""
        if Path(glob).is_absolute():
            return glob
        prefix = portable_path(folder, self._root)
        joined = posixpath.normpath(posixpath.join(prefix, glob.replace(os.sep, "/")))
        if not joined.startswith(".."):
            return joined
        return posixpath.normpath(posixpath.join(self._root.as_posix(), joined))


def _known_kinds(names: Iterable[str]) -> tuple[Kind, ...]:
    """Return kinds of dependencies by their names; ignore kinds of later versions."""
    return tuple(kind for kind in Kind if kind in names)


def _with_builds(folders: Iterable[Path]) -> Iterator[Path]:
    """Yield folders, and the `_build` around each, to which other builders write."""
    for folder in folders:
        yield folder
        yield from (above for above in folder.parents if above.name.startswith(BUILD_FOLDER))


class Validity:
    """Verifies the traces of results against the world.

    Args:
        store: The store of the traces.
        worlds: The world of each kernel.
        artifacts: The files that notebooks have written.
    """

    def __init__(self, store: Store, worlds: Worlds, artifacts: Artifacts) -> None:
        self._store = store
        self._worlds = worlds
        self._artifacts = artifacts
        self._traces: dict[str, Trace] = {}

    def look_again(self) -> None:
        """Invalidate the cached observations of the world."""
        self._worlds.look_again()

    def forget(self) -> None:
        """Release the traces, and the cached observations of the world."""
        self._traces.clear()
        self._worlds.forget()

    def look_up(self, results: Iterable[Result]) -> None:
        """Load the traces of results, and the stored fingerprints of the files in them."""
        new = [result for result in results if result.trace not in self._traces]
        found = self._store.traces(new)
        self._traces.update(found)
        self._worlds.look_up(found.values())

    def expect(self, traces: Iterable[Trace]) -> None:
        """Load the stored fingerprints of the files in traces that are not in the store."""
        self._worlds.look_up(traces)

    def trace(self, result: Result) -> Trace | None:
        """Return the trace of a result; `None` if it is missing or damaged."""
        if result.trace not in self._traces:
            self.look_up([result])
        return self._traces.get(result.trace)

    def writes_anything(self, results: Iterable[Result]) -> bool:
        """Tell whether one of these results wrote or removed files."""
        # Most projects have no such result: then the planner skips the search for producers.
        traces = (self._traces.get(result.trace) for result in results)
        return any(trace is not None and (trace.written or trace.removed) for trace in traces)

    def footprint(self, results: Iterable[Result]) -> Footprint:
        """Return the names of files that results have read and written."""
        footprint = Footprint()
        for result in results:
            trace = self.trace(result)
            if trace is not None:
                footprint.add(trace)
        return footprint

    def objection(
        self, planned: Planned, stored: Stored, others: Iterable[Stored]
    ) -> Reason | None:
        """Return why a notebook cannot use one of some results; `None` if it can."""
        if (outdated := self.why_outdated(stored.result, others)) is not None:
            return outdated
        found = self.judge(planned.name, planned.path, planned.scan, planned.key, stored)
        return found if isinstance(found, Reason) else None

    def why_outdated(self, result: Result, others: Iterable[Stored]) -> Reason | None:
        """Return why a result does not count if a later one was traced, and this one was not.

        Both may have depended on the same things, and nothing tells whether these have changed in
        between.
        """
        own = self.trace(result)
        if own is None or own.tracked is not None:
            return None
        later = (s.result for s in others if s.result.finished > result.finished)
        traces = map(self.trace, later)
        is_traced = any(trace is not None and trace.tracked is not None for trace in traces)
        return Reason(Why.UNKNOWN_DEPENDENCIES, _TRACED_SINCE) if is_traced else None

    def judge(  # noqa: PLR0913, PLR0917 (what a notebook without a decision consists of)
        self,
        name: str,
        path: Path,
        scan: Scan,
        key: KeyParts,
        stored: Stored,
        earlier: Callable[[], Iterable[Stored]] = tuple,
    ) -> list[Change] | Reason:
        """Return the changes that restore the files of a result, or why it cannot be used.

        Args:
            name: The notebook that is to use the result.
            path: The absolute path of the notebook.
            scan: The scan of the notebook.
            key: The parts of its code key.
            stored: A result under that key.
            earlier: Returns all results that the notebook has used before.
        """
        trace = self.trace(stored.result)
        if trace is None:
            return Reason(Why.UNKNOWN_DEPENDENCIES, _UNKNOWN)
        reason = self._why_stale(path, scan, key, stored.result, trace, earlier)
        return reason or self._artifacts.to_restore(stored, trace, name)

    def depends_on_this_world(
        self,
        planned: Planned,
        result: Result,
        trace: Trace,
        earlier: Callable[[], Iterable[Stored]],
    ) -> bool:
        """Tell whether all that a result depends on is as it was, whatever becomes of its files.

        Args:
            planned: The notebook that is to use the result.
            result: The result, which need not be in the store.
            trace: Its trace.
            earlier: Returns all results that the notebook has used before.
        """
        reason = self._why_stale(planned.path, planned.scan, planned.key, result, trace, earlier)
        return reason is None

    def _why_stale(  # noqa: PLR0913, PLR0917 (as above)
        self,
        path: Path,
        scan: Scan,
        key: KeyParts,
        result: Result,
        trace: Trace,
        earlier: Callable[[], Iterable[Stored]],
    ) -> Reason | None:
        world, tracking = self._worlds.of(key), self._worlds.tracking(scan, path, key)
        if trace.tracked is None and self._worlds.must_be_traced(scan, key, tracking):
            return Reason(Why.UNKNOWN_DEPENDENCIES, _UNTRACED)
        held = trace
        # Verification stops at the first mismatch. If a file of an earlier result explains it,
        # drop that fact and verify the rest.
        while (mismatch := why_not_valid(held, tracking, world)) and isinstance(
            mismatch.fact, Absent
        ):
            if not self._is_left_behind(mismatch.fact.path, world, result, earlier):
                break
            rest = tuple(fact for fact in held.facts if fact != mismatch.fact)
            held = msgspec.structs.replace(held, facts=rest)
        if mismatch is None:
            return None
        why = Why.DEPENDENCY_CHANGED if mismatch.fact is not None else Why.UNKNOWN_DEPENDENCIES
        return Reason(why, mismatch.text, getattr(mismatch.fact, "path", ""))

    def _is_left_behind(
        self, path: str, world: World, result: Result, earlier: Callable[[], Iterable[Stored]]
    ) -> bool:
        """Tell whether a file was written by an earlier result, and will be replaced by this one.

        Such a file counts as absent: a run would not find it either.
        """
        if result.temporary or path not in {artifact.path for artifact in result.artifacts}:
            return False
        state = world.state(path)
        return any(
            (artifact.path, artifact.digest) == (path, state)
            for other in earlier()
            if not other.result.temporary
            for artifact in other.result.artifacts
        )

    def changed_since(self, planned: Planned, stored: Stored) -> Reason | None:
        """Return the first changed dependency of a result; `None` if none is known to differ."""
        trace = self.trace(stored.result)
        if trace is None or trace.unreliable is not None:
            return None
        tracking = self._worlds.tracking(planned.scan, planned.path, planned.key)
        mismatch = why_not_valid(trace, tracking, self._worlds.of(planned.key))
        if mismatch is None or mismatch.fact is None:
            return None
        path = getattr(mismatch.fact, "path", "")
        return Reason(Why.DEPENDENCY_CHANGED, mismatch.text, path)

    def to_remove(self, name: str, old: Iterable[Stored], new: Result) -> list[Change]:
        """Return the removal of files that a notebook wrote before, but no longer writes."""
        old = list(old)
        return self._artifacts.to_remove(old, new, name, self._made_folders(old))

    def to_clear(self, planned: Planned, old: Iterable[Stored]) -> list[Change]:
        """Return the removal of files that earlier runs left, before a notebook is run again.

        A run must find the same files as the first run. Files of its own, such as a cache, may be
        derived from inputs that have changed since. Ignored files stay.
        """
        ignored = self._worlds.tracking(planned.scan, planned.path, planned.key).ignored
        old = list(old)
        folders = self._made_folders(old)
        return [
            change
            for change in self._artifacts.to_remove(old, None, planned.name, folders)
            if not (ignored and matching_glob(change.name, ignored))
        ]

    def _made_folders(self, results: Iterable[Stored]) -> frozenset[str]:
        # A forged result could name a folder of the user, to have it removed.
        traces = (self.trace(stored.result) for stored in results if stored.is_marked)
        return frozenset().union(*(trace.made_folders() for trace in traces if trace is not None))

    def keep(self) -> None:
        """Store the fingerprints that were taken."""
        self._worlds.keep()
