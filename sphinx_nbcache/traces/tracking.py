"""The tracking options of a notebook, and whether a trace satisfies them and still holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from sphinx_nbcache import values
from sphinx_nbcache.files.paths import matching_glob
from sphinx_nbcache.traces.fact import Kind
from sphinx_nbcache.traces.facts import (
    Declared,
    EnvironmentVariable,
    Fact,
)
from sphinx_nbcache.traces.trace import Mismatch, Trace, verify
from sphinx_nbcache.traces.variables import was_secret
from sphinx_nbcache.traces.world import World

TRACKED = tuple(map(Kind, values.TRACKED))
# `Trace.known` names this besides the kinds: digests of secrets count.
_SECRETS = "secrets"


class Tracking(msgspec.Struct, frozen=True):
    """The tracking options of a notebook."""

    kinds: tuple[Kind, ...] = TRACKED
    """The kinds of facts to track."""
    ignored: tuple[str, ...] = ()
    """Globs of ignored paths, relative to the root."""
    globs: tuple[str, ...] = ()
    """Globs of declared files, relative to the root or absolute."""
    variables: tuple[str, ...] = ()
    """Names of declared environment variables."""

    @property
    def needs_tracer(self) -> bool:
        """Whether only a tracer can observe some of the dependencies."""
        return bool(self.kinds)


def declared_facts(tracking: Tracking, world: World) -> Iterator[Fact]:
    """Yield the facts that the user declared, in their current state."""
    for glob in tracking.globs:
        yield Declared.now(glob, world)
    for name in tracking.variables:
        yield EnvironmentVariable.now(name, world)


def with_declared(
    trace: Trace, tracking: Tracking, before: Iterable[Fact], world: World, *, traceable: bool
) -> Trace:
    """Return a trace with the declared facts and the tracking options of the run.

    Args:
        trace: The observed trace.
        tracking: The tracking options of the run.
        before: The declared facts before the run.
        world: The world right after the run.
        traceable: Whether there is a tracer for the notebook's language.
    """
    own = {written.path for written in trace.written} | set(trace.removed)
    unreliable = trace.unreliable
    facts = list(trace.facts)
    for old in before:
        now = Declared.now(old.glob, world) if isinstance(old, Declared) else old
        facts.append(now)
        if isinstance(old, Declared) and isinstance(now, Declared) and now.digest != old.digest:
            # A run may write files that a declared glob matches. No names are stored for a glob of
            # many files, so any change of these makes the trace unreliable.
            changed = {n for n in old.files | now.files if old.files.get(n) != now.files.get(n)}
            if not changed or changed - own:
                name = min(changed - own, default=old.glob)
                unreliable = unreliable or f"{name} changed while the notebook ran"
    return msgspec.structs.replace(
        trace,
        facts=tuple(facts),
        unreliable=unreliable,
        tracked=tracking.kinds if traceable else None,
        known=(*TRACKED, _SECRETS),
        ignored=tracking.ignored,
    )


def why_not_valid(trace: Trace, tracking: Tracking, world: World) -> Mismatch | None:
    """Return the first reason why a trace is stale: a missing kind of fact, or a changed fact.

    Args:
        trace: The trace of a result.
        tracking: The current tracking options. Facts that are no longer tracked are skipped.
        world: The current world.
    """
    return _missing(trace, tracking) or verify(_counting(trace, tracking), world)


def _missing(trace: Trace, tracking: Tracking) -> Mismatch | None:
    # Fast path for the usual options.
    if trace.tracked == tracking.kinds and not (
        trace.ignored or tracking.globs or tracking.variables
    ):
        return None
    # A run that could not be traced will not be traceable next time either: running it again would
    # not help.
    tracked = tracking.kinds if trace.tracked is None else trace.tracked
    missed = [kind for kind in tracking.kinds if kind not in tracked and kind in trace.known]
    globs = {fact.glob for fact in trace.facts if isinstance(fact, Declared)}
    names = {fact.name for fact in trace.facts if isinstance(fact, EnvironmentVariable)}
    # Before secrets counted, those of `nbcache_environment` were left out.
    if _SECRETS not in trace.known:
        names.update(filter(was_secret, tracking.variables))
    faults = [
        *(f"{kind} count now, and were not tracked" for kind in missed),
        *(f"{g} is no longer ignored" for g in trace.ignored if g not in tracking.ignored),
        *(f"{g} is declared as a dependency now" for g in tracking.globs if g not in globs),
        *(f"variable {n} is a dependency now" for n in tracking.variables if n not in names),
    ]
    return Mismatch(None, faults[0]) if faults else None


def _counting(trace: Trace, tracking: Tracking) -> Trace:
    """Return a trace without the facts that are no longer tracked."""
    if tracking.kinds != TRACKED:
        kept = trace.tracking(tracking.kinds)
        # A declared variable counts even if other variables are not tracked.
        named = [f for f in trace.facts if _is_declared(f, tracking) and f not in kept.facts]
        trace = msgspec.structs.replace(kept, facts=(*kept.facts, *named))
    if not tracking.ignored and not any(isinstance(fact, Declared) for fact in trace.facts):
        return trace
    globs = set(tracking.globs)
    facts = [f for f in trace.facts if not isinstance(f, Declared) or f.glob in globs]
    if tracking.ignored:
        facts = [fact for fact in facts if not _is_ignored(fact, tracking.ignored)]
    if len(facts) == len(trace.facts):
        return trace
    return msgspec.structs.replace(trace, facts=tuple(facts))


def _is_declared(fact: Fact, tracking: Tracking) -> bool:
    return isinstance(fact, EnvironmentVariable) and fact.name in tracking.variables


def _is_ignored(fact: Fact, globs: tuple[str, ...]) -> bool:
    path = getattr(fact, "path", None)
    if path is None or fact.kind not in (Kind.FILES, Kind.IMPORTS):
        return False
    is_inside = not path.startswith(("/", "~/"))
    return is_inside and matching_glob(path.removeprefix("./"), globs) is not None
