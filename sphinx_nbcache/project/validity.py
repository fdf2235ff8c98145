"""Whether results are still valid: what they depended on is as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from sphinx_nbcache.notebooks.key import KeyParts
from sphinx_nbcache.notebooks.scan import Scan
from sphinx_nbcache.notebooks.sources import matching_glob
from sphinx_nbcache.planning import Planned, Reason, Why
from sphinx_nbcache.project.artifacts import Artifacts, Change
from sphinx_nbcache.project.order import Footprint
from sphinx_nbcache.project.worlds import Worlds
from sphinx_nbcache.store.records import Result, Stored
from sphinx_nbcache.store.store import Store
from sphinx_nbcache.traces.facts import Absent, Trace
from sphinx_nbcache.traces.tracking import why_not_valid
from sphinx_nbcache.traces.world import World

_UNKNOWN = "what its last run depended on is not known"


class Validity:
    """Holds the traces of results against the world.

    Attributes:
        owners: The notebook whose content counts, the last one, for files that several write.

    Args:
        store: Where traces are.
        worlds: The world of each kernel.
        artifacts: The files that notebooks have written.
    """

    def __init__(self, store: Store, worlds: Worlds, artifacts: Artifacts) -> None:
        self._store = store
        self._worlds = worlds
        self._artifacts = artifacts
        self._traces: dict[str, Trace] = {}
        self._footprints: dict[str, Footprint] = {}
        self.owners: dict[str, str] = {}

    def look_again(self) -> None:
        """Look at the world again."""
        self._worlds.look_again()

    def forget(self) -> None:
        """Let go of traces, and of what the world is like."""
        self._traces.clear()
        self._footprints.clear()
        self._worlds.forget()

    def look_up(self, results: Iterable[Result]) -> None:
        """Load the traces of results, and what is remembered of the files in them."""
        new = [result for result in results if result.trace not in self._traces]
        found = self._store.traces(new)
        self._traces.update(found)
        self._worlds.look_up(found.values())

    def trace(self, result: Result) -> Trace | None:
        """Return the trace of a result; `None` if it has none that can be read."""
        if result.trace not in self._traces:
            self.look_up([result])
        return self._traces.get(result.trace)

    def writes_anything(self, results: Iterable[Result]) -> bool:
        """Tell whether one of these results wrote or removed files, as most do not."""
        traces = (self._traces.get(result.trace) for result in results)
        return any(trace is not None and (trace.written or trace.removed) for trace in traces)

    def footprint(self, results: Iterable[Result]) -> Footprint:
        """Return what results have read and written."""
        footprint = Footprint()
        for result in results:
            trace = self.trace(result)
            if trace is not None:
                footprint.add(trace)
        return footprint

    def objection(self, planned: Planned, stored: Stored) -> Reason | None:
        """Return what speaks against the use of a result by a notebook; `None`: nothing."""
        found = self.judge(planned.name, planned.path, planned.scan, planned.key, stored)
        return found if isinstance(found, Reason) else None

    def judge(  # noqa: PLR0913, PLR0917 (what a notebook without a decision consists of)
        self,
        name: str,
        path: Path,
        scan: Scan,
        key: KeyParts,
        stored: Stored,
        earlier: Callable[[], Iterable[Stored]] = tuple,
    ) -> list[Change] | Reason:
        """Return the files that have to be put back for a result, or what speaks against it.

        Args:
            name: The notebook that is to use it.
            path: Its absolute path.
            scan: Its reading.
            key: The parts of its code key.
            stored: A result under that key.
            earlier: Returns all results that the notebook has used before.
        """
        result = stored.result
        trace = self.trace(result)
        if trace is None:
            return Reason(Why.UNKNOWN_DEPENDENCIES, _UNKNOWN)
        world, tracking = self._worlds.of(key), self._worlds.tracking(scan, path, key)
        held = trace
        while (mismatch := why_not_valid(held, tracking, world)) and isinstance(
            mismatch.fact, Absent
        ):
            if not self._is_left_behind(mismatch.fact.path, world, result, earlier):
                break
            rest = tuple(fact for fact in held.facts if fact != mismatch.fact)
            held = msgspec.structs.replace(held, facts=rest)
        if mismatch is not None:
            why = Why.DEPENDENCY_CHANGED if mismatch.fact is not None else Why.UNKNOWN_DEPENDENCIES
            return Reason(why, mismatch.text, getattr(mismatch.fact, "path", ""))
        return self._artifacts.to_restore(stored, trace, self.owners, name)

    def _is_left_behind(
        self, path: str, world: World, result: Result, earlier: Callable[[], Iterable[Stored]]
    ) -> bool:
        """Tell whether a file is an older one of the notebook, which this result replaces.

        It is as good as absent: a run would not find it either.
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
        """Return what a result depended on and is not as it was; `None`: all is, or is unknown."""
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
        """Return the files that a notebook has written before, and does not write any more."""
        old = list(old)
        return self._artifacts.to_remove(old, new, self.owners, name, self._made_folders(old))

    def left_over(self, old: Iterable[Stored]) -> frozenset[str]:
        """Return the files that runs seem to have written, and that are not removed for that."""
        return self._artifacts.left_over(old)

    def to_clear(self, planned: Planned, old: Iterable[Stored]) -> list[Change]:
        """Return what a notebook that is about to be run has left behind.

        A run must find what the first one found. Its own files, such as a cache, may be made from
        inputs that have changed since. Ignored files are left.
        """
        ignored = self._worlds.tracking(planned.scan, planned.path, planned.key).ignored
        old = list(old)
        folders = self._made_folders(old)
        return [
            change
            for change in self._artifacts.to_remove(old, None, self.owners, planned.name, folders)
            if not (ignored and matching_glob(change.name, ignored))
        ]

    def _made_folders(self, results: Iterable[Stored]) -> frozenset[str]:
        # A stranger could name a folder of the user's.
        traces = (self.trace(stored.result) for stored in results if stored.is_marked)
        return frozenset().union(*(trace.made_folders() for trace in traces if trace is not None))

    def expect(self, changes: Iterable[Change]) -> None:
        """Let files appear as they will be."""
        self._artifacts.expect(changes)

    def unexpect(self, changes: Iterable[Change]) -> None:
        """Let files appear as they are."""
        self._artifacts.unexpect(changes)

    def keep(self) -> None:
        """Remember the fingerprints that were taken."""
        self._worlds.keep()
