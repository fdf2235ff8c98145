"""Traces: the facts and products of one run, with decoding, verification and description."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from sphinx_nbcache.bounded import Many, Mode, Name, State, Text
from sphinx_nbcache.traces.fact import FIRST_KINDS, Kind
from sphinx_nbcache.traces.facts import (
    Absent,
    EnvironmentVariable,
    Fact,
    File,
    Unknown,
    decode_fact,
)
from sphinx_nbcache.traces.fingerprints import OTHER
from sphinx_nbcache.traces.variables import SecretKey
from sphinx_nbcache.traces.world import World


class Written(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file under the root that the run created or changed, in its final state."""

    path: Name
    digest: State
    mode: Mode
    """Its permission bits."""
    created: bool = False
    """Whether the file did not exist before."""
    before: State | None = None
    """The digest of the previous content, if known."""
    inferred: bool = False
    """Whether the write was not observed: the file changed while a cell that names it ran, or a
    child process wrote it and was killed before it reported the final state.

    If another writer, such as another notebook, was active then, the run cannot be trusted.
    """


class Trace(msgspec.Struct, frozen=True, omit_defaults=True):
    """The dependencies and products of one run, as observed."""

    facts: Annotated[tuple[Fact, ...], Many] = ()
    written: Annotated[tuple[Written, ...], Many] = ()
    """Candidates for artifacts."""
    removed: Annotated[tuple[Name, ...], Many] = ()
    """Files under the root that the run removed."""
    untracked: Annotated[tuple[Text, ...], Many] = ()
    """Descriptions of observed dependencies that cannot be verified."""
    imported_by: Annotated[dict[Name, Name], Many] = {}
    """The importing file of each imported file, except those that a cell imported."""
    unreliable: Text | None = None
    """Why the facts cannot be trusted. The result may be shown, but is never reused."""
    tracked: Annotated[tuple[Name, ...], Many] | None = None
    """The kinds of facts that were tracked; `None` if the run could not be traced: there is no
    tracer for the language, or the kernel ran on another host.
    """
    tracer: Name = ""
    """The means: `python` for the tracer in the kernel, `system` if all processes were observed;
    empty if the run was not traced.
    """
    ignored: Annotated[tuple[Name, ...], Many] = ()
    """Globs of paths that were ignored at that time."""
    known: Annotated[tuple[Name, ...], Many] = FIRST_KINDS
    """The kinds of facts that existed at that time. A later kind does not make the trace stale, so
    that a new version does not run every notebook again.
    """

    def tracking(self, kinds: Iterable[Kind]) -> Trace:
        """Return the trace with only the facts of these kinds and of [](Kind.ALWAYS).

        If neither files nor imports are tracked, no change of a file makes the trace unreliable.
        """
        wanted = {Kind.ALWAYS, *kinds}
        facts = tuple(fact for fact in self.facts if fact.kind in wanted)
        unreliable = self.unreliable if wanted & {Kind.FILES, Kind.IMPORTS} else None
        return msgspec.structs.replace(self, facts=facts, unreliable=unreliable)

    def made_folders(self) -> frozenset[str]:
        """Return the names of directories that did not exist before the run."""
        facts = (fact for fact in self.facts if isinstance(fact, Absent))
        return frozenset(fact.path for fact in facts if fact.after == OTHER)

    def changed(self) -> frozenset[str]:
        """Return the names of the files that the run wrote or removed."""
        return frozenset((*(written.path for written in self.written), *self.removed))

    def reads(self) -> frozenset[str]:
        """Return the names of the files that the run depends on, including absent ones."""
        return frozenset(fact.path for fact in self.facts if isinstance(fact, File | Absent))

    def listing_secrets(self, secret_key: SecretKey) -> Trace:
        """Return the trace with the secrets that this account cannot compare as untracked."""
        unchecked = tuple(
            f"variable {fact.name}: its value was kept under the secret of another account"
            for fact in self.facts
            if isinstance(fact, EnvironmentVariable)
            and fact.key
            and not fact.is_checked(secret_key)
        )
        if not unchecked:
            return self
        return msgspec.structs.replace(self, untracked=(*self.untracked, *unchecked))

    def by_importer(self, fact: Fact) -> str:
        """Return a phrase that names the importing file of a fact; empty if there is none."""
        importer = self.imported_by.get(fact.path) if isinstance(fact, File) else None
        return f"imported by {importer}" if importer else ""

    def in_words(self) -> Iterator[tuple[Fact, str]]:
        """Yield each fact and its description."""
        for fact in self.facts:
            by = self.by_importer(fact)
            yield fact, f"{fact.in_words()}, {by}" if by else fact.in_words()


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The reason why a trace is stale, and the stale fact; `None` stands for the whole trace."""

    fact: Fact | None
    text: str

    def __str__(self) -> str:
        return self.text


def verify(trace: Trace, world: World) -> Mismatch | None:
    """Return the first fact of a trace that no longer holds; `None` if all facts hold."""
    # An unreliable trace never holds, even if all of its facts do: a fact may be missing.
    if trace.unreliable is not None:
        return Mismatch(None, trace.unreliable)
    for fact in trace.facts:
        text = fact.mismatch(world)
        if text is not None:
            by = trace.by_importer(fact)
            is_known = not isinstance(fact, Unknown)
            return Mismatch(fact if is_known else None, f"{text} ({by})" if by else text)
    return None


class _RawTrace(msgspec.Struct, frozen=True):
    facts: Annotated[tuple[msgspec.Raw, ...], Many] = ()


def decode_trace(encoded: bytes) -> Trace:
    """Decode a trace from JSON; facts that this version does not know become [](Unknown).

    Raises:
        msgspec.MsgspecError: The text is not a trace.
        ValueError: The text is not valid UTF-8.
        RecursionError: The text is nested too deep.
    """
    try:
        return msgspec.json.decode(encoded, type=Trace)
    except msgspec.ValidationError:
        # Decode fact by fact only now: msgspec cannot skip an unknown tag in a tagged union
        # (https://jcristharif.com/msgspec/structs.html#tagged-unions), and this is much slower.
        raw = msgspec.json.decode(encoded, type=_RawTrace).facts
        facts = tuple(decode_fact(fact) for fact in raw)
        if not any(isinstance(fact, Unknown) for fact in facts):
            raise
        fields: dict[str, Any] = msgspec.json.decode(encoded)
        del fields["facts"]
        return msgspec.structs.replace(msgspec.convert(fields, Trace), facts=facts)
