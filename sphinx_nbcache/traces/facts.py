"""The data model of traces: facts, what was written, and what cannot be verified.

A *name* is the stored form of a path, in POSIX notation: relative to the root if the path is inside
it, with `~/` in front if it is in the home directory, else absolute. So a trace from one checkout
can be verified in another one. [](Places) turns paths into names and back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any

import msgspec

from sphinx_nbcache.bounded import Many, Mode, Name, State, Text

# The "digest" of a path that the run removed.
GONE = ""
# The "digest" of a path that is not a readable file, such as a directory.
OTHER = "other"


class Kind(StrEnum):
    """The kinds of facts, as `nbcache_track` names them."""

    FILES = "files"
    """Files and directories that were read, looked for or listed."""
    IMPORTS = "imports"
    """Modules that belong to no distribution, and files that could shadow a module."""
    VERSIONS = "versions"
    """Distributions, and the interpreter."""
    ENVIRONMENT = "environment"
    """Environment variables."""
    ALWAYS = "always"
    """Facts that count whatever is tracked: declared files, and the location of the checkout."""


class _Fact(msgspec.Struct, frozen=True, omit_defaults=True):
    """A verifiable fact that a run relied on."""


class File(_Fact, frozen=True, tag="file"):
    """A file had this content.

    A run that reads and then writes a file has two states that lead to the same outputs: the one it
    found and the one it left.
    """

    path: Name
    digest: State
    after: State | None = None
    """The digest that the run itself left; [](GONE) if the run removed the file."""
    module: bool = False
    """Whether the file was imported."""


class Absent(_Fact, frozen=True, tag="absent"):
    """Nothing was at a path where the run looked."""

    path: Name
    after: State | None = None
    """The state that the run itself left there: a digest, or [](OTHER)."""
    module: bool = False
    """Whether a module at this path would be imported instead of another one."""


class Directory(_Fact, frozen=True, tag="directory"):
    """A directory existed; the run did not list it."""

    path: Name


class Listing(_Fact, frozen=True, tag="listing"):
    """A directory had these entries. The names of directories end with a slash."""

    path: Name
    digest: State
    pattern: Name = ""
    """If not empty, the run asked only for names that match this `fnmatch` pattern."""
    folders: bool = False
    """Whether the run asked only for directories."""
    without: Annotated[tuple[Name, ...], Many] = ()
    """Names that the run itself wrote or removed there. They do not count."""
    names: Annotated[tuple[Name, ...], Many] = ()
    """The names, to be shown in a reason; left out if there are many."""


class Unshadowed(_Fact, frozen=True, tag="unshadowed"):
    """A directory of the search path had none of these modules, which come from later entries."""

    path: Name
    modules: Text
    """The names of the modules, separated by spaces: there are hundreds, and this is quick to read.

    A name that ends with a slash stands for a directory without `__init__.py`.
    """


class Uninstalled(_Fact, frozen=True, tag="uninstalled"):
    """These modules were imported, and no installed distribution provided them."""

    modules: Text
    """Their top-level names, separated by spaces."""


class Distribution(_Fact, frozen=True, tag="distribution"):
    """A distribution had this version."""

    name: Name
    version: Name


class Interpreter(_Fact, frozen=True, tag="interpreter"):
    """The interpreter was of this kind. Its micro version does not count."""

    implementation: Name
    version: Name
    """Major and minor version, such as `3.11`."""
    platform: Name
    machine: Name


class Baseline(_Fact, frozen=True, tag="baseline"):
    """The packages that every notebook runs on, with the version parts that can change outputs."""

    ipykernel: Name
    """The major version."""
    ipython: Name
    """Major and minor version."""


class EnvironmentVariable(_Fact, frozen=True, tag="variable"):
    """An environment variable had this value."""

    name: Name
    digest: State | None
    """Digest of the value; empty if the variable was not set; `None` if its name looks secret."""


class Declared(_Fact, frozen=True, tag="declared"):
    """The files that match a declared glob had this content."""

    glob: Name
    digest: State
    files: Annotated[dict[Name, State], Many] = {}
    """Their digests by name, to be shown in a reason; left out if there are many."""


class Location(_Fact, frozen=True, tag="location"):
    """The root (or the home directory) was this path: the run's code or outputs contain it."""

    path: Name
    home: bool = False


class Unknown(_Fact, frozen=True, tag="unknown"):
    """A later version recorded a fact of an unknown kind, which this one cannot verify."""

    kind: Name


Fact = (
    File
    | Absent
    | Directory
    | Listing
    | Unshadowed
    | Uninstalled
    | Distribution
    | Interpreter
    | Baseline
    | EnvironmentVariable
    | Declared
    | Location
    | Unknown
)

_KINDS: dict[type[Any], Kind] = {
    File: Kind.FILES,
    Absent: Kind.FILES,
    Directory: Kind.FILES,
    Listing: Kind.FILES,
    Unshadowed: Kind.IMPORTS,
    Uninstalled: Kind.VERSIONS,
    Distribution: Kind.VERSIONS,
    Interpreter: Kind.VERSIONS,
    Baseline: Kind.VERSIONS,
    EnvironmentVariable: Kind.ENVIRONMENT,
    Declared: Kind.ALWAYS,
    Location: Kind.ALWAYS,
    Unknown: Kind.ALWAYS,
}
# The kinds that `nbcache_track` accepted in the first version that wrote this record format.
FIRST_KINDS = tuple(kind for kind in Kind if kind is not Kind.ALWAYS)


def kind_of(fact: Fact) -> Kind:
    """Return the kind of a fact."""
    if isinstance(fact, File | Absent) and fact.module:
        return Kind.IMPORTS
    return _KINDS[type(fact)]


class Written(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file under the root that the run created or changed, as it was at the end."""

    path: Name
    digest: State
    mode: Mode
    """Its permission bits."""
    created: bool = False
    """Whether nothing was there before."""
    before: State | None = None
    """The digest of the previous file, if known: the run would find that file again."""
    inferred: bool = False
    """Whether the run seems to have written the file without being observed: the file changed while
    a cell that names it ran, or a child process wrote it and was killed before it reported the
    final state.

    If something else, such as another notebook, wrote it at that time, the run cannot be trusted.
    """


class Trace(msgspec.Struct, frozen=True, omit_defaults=True):
    """The dependencies and products of one run, as observed."""

    facts: Annotated[tuple[Fact, ...], Many] = ()
    written: Annotated[tuple[Written, ...], Many] = ()
    """Candidates for artifacts."""
    removed: Annotated[tuple[Name, ...], Many] = ()
    """Files under the root that the run removed."""
    untracked: Annotated[tuple[Text, ...], Many] = ()
    """Descriptions of what was observed and cannot be verified."""
    imported_by: Annotated[dict[Name, Name], Many] = {}
    """The importing file of each imported file, except those that a cell imported."""
    unreliable: Text | None = None
    """Why the facts cannot be trusted. Such a result may be shown, but never reused."""
    tracked: Annotated[tuple[Name, ...], Many] | None = None
    """The kinds of facts that counted when the run was traced; `None` if it could not be traced, as
    for a language without a tracer, or on another host.
    """
    ignored: Annotated[tuple[Name, ...], Many] = ()
    """Globs of paths that did not count at that time."""
    known: Annotated[tuple[Name, ...], Many] = FIRST_KINDS
    """The kinds of facts that existed at that time. A later kind is not missed, so that a new
    version does not run every notebook again.
    """

    def tracking(self, kinds: Iterable[Kind]) -> Trace:
        """Return the trace with only the facts of these kinds, and those that always count.

        If neither files nor imports count, no change of a file makes the trace unreliable.
        """
        wanted = {Kind.ALWAYS, *kinds}
        facts = tuple(fact for fact in self.facts if kind_of(fact) in wanted)
        unreliable = self.unreliable if wanted & {Kind.FILES, Kind.IMPORTS} else None
        return msgspec.structs.replace(self, facts=facts, unreliable=unreliable)

    def made_folders(self) -> frozenset[str]:
        """Return the names of paths that did not exist, and were folders after the run."""
        facts = (fact for fact in self.facts if isinstance(fact, Absent))
        return frozenset(fact.path for fact in facts if fact.after == OTHER)

    def changed(self) -> frozenset[str]:
        """Return the names of the files that the run wrote or removed."""
        return frozenset((*(written.path for written in self.written), *self.removed))

    def reads(self) -> frozenset[str]:
        """Return the names of the files that the run depends on, present or absent."""
        return frozenset(fact.path for fact in self.facts if isinstance(fact, File | Absent))


class _AnyFact(msgspec.Struct, frozen=True):
    """The field that every fact has, including those of later versions."""

    type: Name


class _RawTrace(msgspec.Struct, frozen=True):
    facts: Annotated[tuple[msgspec.Raw, ...], Many] = ()


_TAGS = frozenset(str(kind.__struct_config__.tag) for kind in _KINDS)


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
        facts = msgspec.json.decode(encoded, type=_RawTrace).facts
        unknown = [_unknown(fact) for fact in facts]
        if not any(unknown):
            raise
        pairs = zip(facts, unknown, strict=True)
        known = [msgspec.json.decode(f, type=Fact) if u is None else u for f, u in pairs]
        fields: dict[str, Any] = msgspec.json.decode(encoded)
        del fields["facts"]
        rest = msgspec.convert(fields, Trace)
        return msgspec.structs.replace(rest, facts=tuple(known))


def _unknown(fact: msgspec.Raw) -> Unknown | None:
    """Return the placeholder for a fact of an unknown kind; `None` for a known one."""
    tag = msgspec.json.decode(fact, type=_AnyFact).type
    return None if tag in _TAGS else Unknown(tag)


def text_digest(*texts: str) -> str:
    """Return the digest of a sequence of texts. No other sequence has the same digest."""
    digest = hashlib.sha256()
    for text in texts:
        encoded = text.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(encoded))
        digest.update(encoded)
    return digest.hexdigest()
