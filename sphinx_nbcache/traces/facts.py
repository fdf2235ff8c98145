"""The data model of traces: facts, what was written, and what cannot be verified.

A *name* is how a path is kept: POSIX; relative to the root where the path is inside it, with
`~/` in front where it is in the home directory, else absolute. So a trace that was made in one
checkout can be held against another one. [](Places) turns paths into names and back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any

import msgspec

from sphinx_nbcache.bounded import Many, Mode, Name, State, Text

# A path that a run removed has this "digest" after the run.
GONE = ""
# A path has this one where something is that is no readable file, such as a directory.
OTHER = "other"


class Kind(StrEnum):
    """The kinds of facts, as `nbcache_track` names them."""

    FILES = "files"
    """Files and directories that were read, looked for or listed."""
    IMPORTS = "imports"
    """Modules that belong to no distribution, and what could shadow a module."""
    VERSIONS = "versions"
    """Distributions, and the interpreter."""
    ENVIRONMENT = "environment"
    """Environment variables."""
    ALWAYS = "always"
    """What counts whatever is tracked: declared files, and where the checkout is."""


class _Fact(msgspec.Struct, frozen=True, omit_defaults=True):
    """One checkable thing that a run relied on."""


class File(_Fact, frozen=True, tag="file"):
    """A file had this content.

    A run that reads a file and writes it as well has two states that lead to the same outputs:
    the one it found and the one it left.
    """

    path: Name
    digest: State
    after: State | None = None
    """The digest that the run itself left; [](GONE) if it removed the file."""
    module: bool = False
    """Whether the file was imported."""


class Absent(_Fact, frozen=True, tag="absent"):
    """Nothing was there, though the run looked for it."""

    path: Name
    after: State | None = None
    """What the run itself left there: a digest, or [](OTHER)."""
    module: bool = False
    """Whether a module of that path would be imported instead of another one."""


class Directory(_Fact, frozen=True, tag="directory"):
    """A directory was there; what is in it was not asked."""

    path: Name


class Listing(_Fact, frozen=True, tag="listing"):
    """A directory had these entries. Names of directories end with a slash."""

    path: Name
    digest: State
    pattern: Name = ""
    """If not empty, only names that match this `fnmatch` pattern were asked for."""
    folders: bool = False
    """Only the directories in it were asked for."""
    without: Annotated[tuple[Name, ...], Many] = ()
    """Names that the run itself wrote or removed there: they do not count."""
    names: Annotated[tuple[Name, ...], Many] = ()
    """The names, for the reason that is given; left out if there are many."""


class Unshadowed(_Fact, frozen=True, tag="unshadowed"):
    """A directory of the search path had none of these modules, which come from behind it."""

    path: Name
    modules: Text
    """Their names, with a space between them: there are hundreds, and this is quick to read.

    A name with a slash behind stands for a directory without `__init__.py`.
    """


class Uninstalled(_Fact, frozen=True, tag="uninstalled"):
    """These modules were imported, and no installed distribution had them."""

    modules: Text
    """Their top-level names, with a space between them."""


class Distribution(_Fact, frozen=True, tag="distribution"):
    """A distribution had this version."""

    name: Name
    version: Name


class Interpreter(_Fact, frozen=True, tag="interpreter"):
    """The interpreter was of this kind. Its micro version does not count."""

    implementation: Name
    version: Name
    """Major and minor, such as `3.11`."""
    platform: Name
    machine: Name


class Baseline(_Fact, frozen=True, tag="baseline"):
    """What every notebook runs on: as much of its version as can change outputs."""

    ipykernel: Name
    """The major version."""
    ipython: Name
    """Major and minor version."""


class EnvironmentVariable(_Fact, frozen=True, tag="variable"):
    """An environment variable had this value."""

    name: Name
    digest: State | None
    """Digest of the value; empty if it was not set; `None` if its name looks secret."""


class Declared(_Fact, frozen=True, tag="declared"):
    """The files that match a glob, which the user declared, had this content."""

    glob: Name
    digest: State
    files: Annotated[dict[Name, State], Many] = {}
    """Their digests by name, for the reason that is given; left out if there are many."""


class Location(_Fact, frozen=True, tag="location"):
    """The root (or the home directory) was this path: the run's code or outputs contain it."""

    path: Name
    home: bool = False


class Unknown(_Fact, frozen=True, tag="unknown"):
    """A later version recorded a fact of a kind that this one does not know, so cannot verify."""

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
# The kinds that `nbcache_track` could name in the first version that wrote this record format.
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
    """Nothing was there before."""
    before: State | None = None
    """The digest of what was there before, where that is known: the run would find it again."""
    inferred: bool = False
    """The run seems to have written it, but was not seen to: it changed while a cell ran that
    names it, or a child process wrote it and was killed before it could tell how it left the file.

    If something else wrote it at that time, such as another notebook, the run cannot be trusted.
    """


class Trace(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one run was seen to depend on and to produce."""

    facts: Annotated[tuple[Fact, ...], Many] = ()
    written: Annotated[tuple[Written, ...], Many] = ()
    """Candidates for artifacts."""
    removed: Annotated[tuple[Name, ...], Many] = ()
    """Files under the root that the run removed."""
    untracked: Annotated[tuple[Text, ...], Many] = ()
    """What was seen and cannot be verified, in words."""
    imported_by: Annotated[dict[Name, Name], Many] = {}
    """Of an imported file the one that imported it; not of those that a cell imported."""
    unreliable: Text | None = None
    """Why the facts cannot be trusted, if so: the result may be shown, but never reused."""
    tracked: Annotated[tuple[Name, ...], Many] | None = None
    """What kinds of facts counted when the run was traced; `None` if it could not be traced, as
    in a language that has no tracer, or elsewhere."""
    ignored: Annotated[tuple[Name, ...], Many] = ()
    """Globs of paths that did not count then."""
    known: Annotated[tuple[Name, ...], Many] = FIRST_KINDS
    """The kinds of facts that there were then. A kind that came later is not missed: a new version
    does not run every notebook again."""

    def tracking(self, kinds: Iterable[Kind]) -> Trace:
        """Return the trace with those facts only that are of these kinds, or always count.

        Where neither files nor imports count, no change of a file makes it unreliable.
        """
        wanted = {Kind.ALWAYS, *kinds}
        facts = tuple(fact for fact in self.facts if kind_of(fact) in wanted)
        unreliable = self.unreliable if wanted & {Kind.FILES, Kind.IMPORTS} else None
        return msgspec.structs.replace(self, facts=facts, unreliable=unreliable)

    def made_folders(self) -> frozenset[str]:
        """Return the names of what was not there, and was a folder after the run."""
        facts = (fact for fact in self.facts if isinstance(fact, Absent))
        return frozenset(fact.path for fact in facts if fact.after == OTHER)

    def changed(self) -> frozenset[str]:
        """Return the names of the files that it wrote or removed."""
        return frozenset((*(written.path for written in self.written), *self.removed))

    def reads(self) -> frozenset[str]:
        """Return the names of the files that it depends on, there or not."""
        return frozenset(fact.path for fact in self.facts if isinstance(fact, File | Absent))


class _AnyFact(msgspec.Struct, frozen=True):
    """What every fact has, also one of a later version."""

    type: Name


class _RawTrace(msgspec.Struct, frozen=True):
    facts: Annotated[tuple[msgspec.Raw, ...], Many] = ()


_TAGS = frozenset(str(kind.__struct_config__.tag) for kind in _KINDS)


def decode_trace(encoded: bytes) -> Trace:
    """Return the trace for its JSON; facts that this version does not know are [](Unknown).

    Raises:
        msgspec.MsgspecError: It is no trace.
        ValueError: It has text that is no UTF-8.
        RecursionError: It is nested too deep.
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
    """Return what stands for a fact of a kind that this version does not know."""
    tag = msgspec.json.decode(fact, type=_AnyFact).type
    return None if tag in _TAGS else Unknown(tag)


def text_digest(*texts: str) -> str:
    """Return the digest of texts in their order. No other texts have the same."""
    digest = hashlib.sha256()
    for text in texts:
        encoded = text.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(encoded))
        digest.update(encoded)
    return digest.hexdigest()
