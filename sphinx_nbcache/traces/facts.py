"""The data model of traces: facts, what was written, and what cannot be verified.

A *name* is how a path is kept: POSIX; relative to the root where the path is inside it, with
`~/` in front where it is in the home directory, else absolute. So a trace that was made in one
checkout can be held against another one. [](Places) turns paths into names and back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import msgspec

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

    path: str
    digest: str
    after: str | None = None
    """The digest that the run itself left; [](GONE) if it removed the file."""
    module: bool = False
    """Whether the file was imported."""


class Absent(_Fact, frozen=True, tag="absent"):
    """Nothing was there, though the run looked for it."""

    path: str
    after: str | None = None
    """What the run itself left there: a digest, or [](OTHER)."""
    module: bool = False
    """Whether a module of that path would be imported instead of another one."""


class Directory(_Fact, frozen=True, tag="directory"):
    """A directory was there; what is in it was not asked."""

    path: str


class Listing(_Fact, frozen=True, tag="listing"):
    """A directory had these entries. Names of directories end with a slash."""

    path: str
    digest: str
    pattern: str = ""
    """If not empty, only names that match this `fnmatch` pattern were asked for."""
    folders: bool = False
    """Only the directories in it were asked for."""
    without: tuple[str, ...] = ()
    """Names that the run itself wrote or removed there: they do not count."""
    names: tuple[str, ...] = ()
    """The names, for the reason that is given; left out if there are many."""


class Unshadowed(_Fact, frozen=True, tag="unshadowed"):
    """A directory of the search path had none of these modules, which come from behind it."""

    path: str
    modules: str
    """Their names, with a space between them: there are hundreds, and this is quick to read.

    A name with a slash behind stands for a directory without `__init__.py`.
    """


class Uninstalled(_Fact, frozen=True, tag="uninstalled"):
    """These modules were imported, and no installed distribution had them."""

    modules: str
    """Their top-level names, with a space between them."""


class Distribution(_Fact, frozen=True, tag="distribution"):
    """A distribution had this version."""

    name: str
    version: str


class Interpreter(_Fact, frozen=True, tag="interpreter"):
    """The interpreter was of this kind. Its micro version does not count."""

    implementation: str
    version: str
    """Major and minor, such as `3.11`."""
    platform: str
    machine: str


class Baseline(_Fact, frozen=True, tag="baseline"):
    """What every notebook runs on: as much of its version as can change outputs."""

    ipykernel: str
    """The major version."""
    ipython: str
    """Major and minor version."""


class EnvironmentVariable(_Fact, frozen=True, tag="variable"):
    """An environment variable had this value."""

    name: str
    digest: str | None
    """Digest of the value; empty if it was not set; `None` if its name looks secret."""


class Declared(_Fact, frozen=True, tag="declared"):
    """The files that match a glob, which the user declared, had this content."""

    glob: str
    digest: str
    files: dict[str, str] = {}
    """Their digests by name, for the reason that is given; left out if there are many."""


class Location(_Fact, frozen=True, tag="location"):
    """The root (or the home directory) was this path: the run's code or outputs contain it."""

    path: str
    home: bool = False


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
}


def kind_of(fact: Fact) -> Kind:
    """Return the kind of a fact."""
    if isinstance(fact, File | Absent) and fact.module:
        return Kind.IMPORTS
    return _KINDS[type(fact)]


class Written(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file under the root that the run created or changed, as it was at the end."""

    path: str
    digest: str
    mode: int
    """Its permission bits."""
    created: bool = False
    """Nothing was there before."""
    before: str | None = None
    """The digest of what was there before, where that is known: the run would find it again."""
    inferred: bool = False
    """The run seems to have written it, but was not seen to: it changed while a cell ran that
    names it, or a child process wrote it and was killed before it could tell how it left the file.

    If something else wrote it at that time, such as another notebook, the run cannot be trusted.
    """


class Trace(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one run was seen to depend on and to produce."""

    facts: tuple[Fact, ...] = ()
    written: tuple[Written, ...] = ()
    """Candidates for artifacts."""
    removed: tuple[str, ...] = ()
    """Files under the root that the run removed."""
    untracked: tuple[str, ...] = ()
    """What was seen and cannot be verified, in words."""
    imported_by: dict[str, str] = {}
    """Of an imported file the one that imported it; not of those that a cell imported."""
    unreliable: str | None = None
    """Why the facts cannot be trusted, if so: the result may be shown, but never reused."""
    tracked: tuple[Kind, ...] | None = None
    """What kinds of facts counted when the run was traced; `None` if it could not be traced, as
    in a language that has no tracer, or elsewhere."""
    ignored: tuple[str, ...] = ()
    """Globs of paths that did not count then."""

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


def text_digest(*texts: str) -> str:
    """Return the digest of texts in their order. No other texts have the same."""
    digest = hashlib.sha256()
    for text in texts:
        encoded = text.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(encoded))
        digest.update(encoded)
    return digest.hexdigest()
