"""Facts that a run relied on. Each kind is one class, with its check, its words, its report form.

A new kind of fact is a new class here, which [](Fact) lists; `traces.observe` makes it from the
tracer's report.

A *name* is the stored form of a path, in POSIX notation: relative to the root if the path is inside
it, with `~/` in front if it is in the home directory, else absolute. So a trace from one checkout
can be verified in another one. [](PathNames) turns paths into names and back.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from functools import cache
from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar

import msgspec

from sphinx_nbcache.bounded import Many, Name, State, Text
from sphinx_nbcache.files.paths import matching_glob
from sphinx_nbcache.traces.distributions import Python
from sphinx_nbcache.traces.fingerprints import GONE, matching, text_digest
from sphinx_nbcache.traces.names import PathNames
from sphinx_nbcache.traces.world import (
    PYTHON_VARIABLES,
    World,
    name_in_folder,
    package_name,
    variable_digest,
)

REPORT_KINDS = ("file", "folder", "module", "package", "variable", "place")
"""The kinds of dependencies in the report, in the order in which it lists them."""

# A fact about many files stores their names only up to this number: a listing of 10,000 files would
# make each trace large, and no reason shows so many.
_MOST_NAMES = 200
# How many names a reason or a description shows.
_SHOWN = 3
# How many characters of a long name a description shows.
_LONGEST = 60
# The location of IPython's configuration, in any folder.
_PROFILE = "/profile_default/"
_NO_ENVIRONMENT = "its interpreter cannot be asked for the versions of packages"


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


# The kinds that `nbcache_track` accepted in the first version that wrote this record format.
# A list, not made from the members: a later kind must not get into it.
FIRST_KINDS = (Kind.FILES, Kind.IMPORTS, Kind.VERSIONS, Kind.ENVIRONMENT)


class _Fact(msgspec.Struct, frozen=True, omit_defaults=True):
    """A verifiable fact that a run relied on."""

    _kind: ClassVar[Kind]

    @property
    def kind(self) -> Kind:
        """The option of `nbcache_track` that decides whether this fact counts."""
        return self._kind

    def mismatch(self, world: World) -> str | None:
        """Return what changed, in words; `None` if the fact still holds."""
        raise NotImplementedError

    def in_words(self) -> str:
        """Return the description of the fact."""
        raise NotImplementedError

    def in_report(self) -> Iterator[tuple[str, str]]:
        """Yield the dependencies that the report shows: the kind (see [](REPORT_KINDS)), the text.

        Facts that are the same for most notebooks yield none, such as the kind of Python, or files
        with settings that libraries looked for and did not find.
        """
        yield from ()

    @property
    def is_baseline(self) -> bool:
        """Whether every run in such a kernel has this fact, whatever its notebook does.

        These facts are the interpreter with its variables, and IPython with its configuration.
        """
        return False

    @property
    def paths(self) -> Iterable[str]:
        """The names of paths at which any change can make a difference."""
        return ()

    @property
    def hashed(self) -> Iterable[str]:
        """The names of the files whose content the check compares."""
        return ()

    @property
    def question(self) -> Fact | None:
        """The fact without its answer, if files that it does not name can change the answer.

        Such questions are hashable: runs of one notebook ask the same ones again and again.
        """
        return None

    def concerns(self, name: str) -> bool:
        """Tell whether a [](question) has another answer if the file of this name changes."""
        raise NotImplementedError


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

    @property
    def kind(self) -> Kind:
        """The kind: a module that was imported does not count as a file that was read."""
        return Kind.IMPORTS if self.module else Kind.FILES

    def mismatch(self, world: World) -> str | None:
        """Compare the content with both states."""
        state = world.state(self.path)
        if state in (self.digest, self.after):
            return None
        return f"{self.path} changed" if state != GONE else f"{self.path} is not there any more"

    def in_words(self) -> str:
        """Name the file, and the run's own change to it."""
        changed = "" if self.after is None else ", which it rewrote"
        if self.after == GONE:
            changed = ", which it removed"
        return f"module {self.path}" if self.module else f"{self.path}{changed}"

    def in_report(self) -> Iterator[tuple[str, str]]:
        """Yield the module, or the file."""
        yield ("module", self.path) if self.module else ("file", self.in_words())

    @property
    def is_baseline(self) -> bool:
        """Whether the file belongs to IPython's configuration."""
        return _PROFILE in self.path

    @property
    def paths(self) -> Iterable[str]:
        """The file."""
        return (self.path,)

    @property
    def hashed(self) -> Iterable[str]:
        """The file."""
        return (self.path,)


class Absent(_Fact, frozen=True, tag="absent"):
    """Nothing was at a path where the run looked."""

    path: Name
    after: State | None = None
    """The state that the run itself left there: a digest, or [](OTHER)."""
    module: bool = False
    """Whether a module at this path would be imported instead of another one."""

    @property
    def kind(self) -> Kind:
        """The kind, as for files."""
        return Kind.IMPORTS if self.module else Kind.FILES

    def mismatch(self, world: World) -> str | None:
        """Look whether something else than the run's own file is there."""
        state = world.state(self.path)
        if state in (GONE, self.after):
            return None
        return f"{self.path} appeared" if self.after is None else f"{self.path} changed"

    def in_words(self) -> str:
        """Name the path, which may be a text: `Markdown("…")` checks whether its text is a file."""
        line = " ".join(self.path.split())
        if line != self.path or len(line) > _LONGEST:
            line = f"{line[:_LONGEST].rstrip()}…"
        return f"{line} was not there" + ("" if self.after is None else ", and was written")

    @property
    def is_baseline(self) -> bool:
        """Whether the path belongs to IPython's configuration."""
        return _PROFILE in self.path

    @property
    def paths(self) -> Iterable[str]:
        """The path."""
        return (self.path,)


class Directory(_Fact, frozen=True, tag="directory"):
    """A directory existed; the run did not list it."""

    _kind = Kind.FILES
    path: Name

    def mismatch(self, world: World) -> str | None:
        """Look whether a directory is there."""
        path = world.path(self.path)
        if path is not None and world.fingerprints.entry(path).is_directory:
            return None
        return f"directory {_slash(self.path)} is not there any more"

    def in_words(self) -> str:
        """Name the directory."""
        return f"{_slash(self.path)} is a directory"

    def in_report(self) -> Iterator[tuple[str, str]]:
        """Yield the directory, unless a program looked for its settings there."""
        if not _is_outside(self.path):
            yield "folder", self.in_words()

    @property
    def paths(self) -> Iterable[str]:
        """The directory."""
        return (self.path,)


class Listing(_Fact, frozen=True, tag="listing"):
    """A directory had these entries. The names of directories end with a slash."""

    _kind = Kind.FILES
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

    @classmethod
    def of(
        cls,
        name: str,
        entries: Iterable[str],
        pattern: str = "",
        *,
        folders: bool = False,
        without: tuple[str, ...] = (),
    ) -> Listing:
        """Return the fact that the directory of this name had these entries."""
        names = matching(entries, pattern, folders=folders, without=without)
        shown = names if len(names) <= _MOST_NAMES else ()
        return cls(name, text_digest(*names), pattern, folders, without, shown)

    def mismatch(self, world: World) -> str | None:
        """List the directory again."""
        found = world.listing(self.path)
        if found is None:
            if not self.pattern:
                return f"directory {_slash(self.path)} is not there any more"
            found = ()  # a glob finds the same in a missing directory as in one without matches
        names = matching(found, self.pattern, folders=self.folders, without=self.without)
        if text_digest(*names) == self.digest:
            return None
        if not self.names and self.digest != text_digest():
            # There were so many entries that their names were not stored.
            return f"directory {_slash(self.path)} has other files"
        return self._difference(set(self.names), set(names))

    def _difference(self, before: set[str], after: set[str]) -> str:
        new, gone = sorted(after - before), sorted(before - after)
        if len(new) == 1 and not gone:
            return f"{name_in_folder(self.path, new[0])} appeared"
        if len(gone) == 1 and not new:
            return f"{name_in_folder(self.path, gone[0])} is not there any more"
        changes = [f"+ {name}" for name in new] + [f"- {name}" for name in gone]
        more = f", and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
        shown = ", ".join(changes[:_SHOWN]) + more
        return f"directory {_slash(self.path)} has other files: {shown}"

    def in_words(self) -> str:
        """Name the directory, and the names that were asked for."""
        return f"{self.pattern or 'all names'} in {_slash(self.path)}"

    def in_report(self) -> Iterator[tuple[str, str]]:
        """Yield the directory, unless a program looked for its settings there."""
        if not _is_outside(self.path):
            yield "folder", self.in_words()

    @property
    def is_baseline(self) -> bool:
        """Whether the directory belongs to IPython's configuration."""
        return _PROFILE in self.path

    @property
    def question(self) -> Fact | None:
        """The directory and the pattern."""
        return Listing(self.path, "", self.pattern, without=self.without)

    def concerns(self, name: str) -> bool:
        """Tell whether the directory lists a file, or a directory that contains the file."""
        above, _, entry = name.rpartition("/")
        if self.path not in (above or ".", *_folders_above(above)):
            return False
        if self.path != (above or "."):
            rest = name if self.path == "." else name.removeprefix(self.path + "/")
            entry = rest.partition("/")[0]
        return bool(matching([entry], self.pattern, folders=False, without=self.without))


class Unshadowed(_Fact, frozen=True, tag="unshadowed"):
    """A directory of the search path had none of these modules, which come from later entries."""

    _kind = Kind.IMPORTS
    path: Name
    modules: Text
    """The names of the modules, separated by spaces: there are hundreds, and this is quick to read.

    A name that ends with a slash stands for a directory without `__init__.py`.
    """

    def mismatch(self, world: World) -> str | None:
        """Look whether the directory has one of the modules now."""
        wanted = _words(self.modules)
        there = world.modules(self.path)
        entries = [there.files[name] for name in there.files.keys() & wanted]
        for folder in there.folders:
            # Look for `__init__.py` only if that makes a difference.
            is_named = folder in wanted or folder + "/" in wanted
            if is_named and package_name(self.path, folder, world) in wanted:
                entries.append(folder + "/")
        if not entries:
            return None
        entry = min(entries)
        module = entry.partition(".")[0].rstrip("/")
        return f"{name_in_folder(self.path, entry)} is now what import {module} finds"

    def in_words(self) -> str:
        """Name the directory, and some of the modules."""
        names = self.modules.split()
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        shown = ", ".join(names[:_SHOWN]) + more
        return f"nothing in {_slash(self.path)} stands in front of {shown}"


class Uninstalled(_Fact, frozen=True, tag="uninstalled"):
    """These modules were imported, and no installed distribution provided them."""

    _kind = Kind.VERSIONS
    modules: Text
    """Their top-level names, separated by spaces."""

    def mismatch(self, world: World) -> str | None:
        """Look whether a distribution provides one of them now."""
        if world.environment is None:
            return _NO_ENVIRONMENT
        for name in self.modules.split():
            if world.environment.has_module(name):
                return f"the package {name} is installed now"
        return None

    def in_words(self) -> str:
        """Name the modules."""
        return f"not installed: {self.modules.replace(' ', ', ')}"


class Distribution(_Fact, frozen=True, tag="distribution"):
    """A distribution had this version."""

    _kind = Kind.VERSIONS
    name: Name
    version: Name

    def mismatch(self, world: World) -> str | None:
        """Compare the installed version."""
        if world.environment is None:
            return _NO_ENVIRONMENT
        version = world.environment.version(self.name)
        if version == self.version:
            return None
        return f"{self.name} {self.version} → {version or 'not installed'}"

    def in_words(self) -> str:
        """Name the distribution and the version."""
        return f"{self.name} {self.version}"

    def in_report(self) -> Iterator[tuple[str, str]]:
        """Yield the package."""
        yield "package", self.in_words()


class Interpreter(_Fact, frozen=True, tag="interpreter"):
    """The interpreter was of this kind. Its micro version does not count."""

    _kind = Kind.VERSIONS
    implementation: Name
    version: Name
    """Major and minor version, such as `3.11`."""
    platform: Name
    machine: Name

    @classmethod
    def of(cls, python: Python) -> Interpreter:
        """Return the fact about an interpreter."""
        return cls(python.implementation, python.version, python.platform, python.machine)

    def mismatch(self, world: World) -> str | None:
        """Compare the interpreter of the kernel."""
        if world.environment is None:
            return _NO_ENVIRONMENT
        now = Interpreter.of(world.environment.python)
        for before, after in (
            (f"{self.implementation} {self.version}", f"{now.implementation} {now.version}"),
            (self.platform, now.platform),
            (self.machine, now.machine),
        ):
            if before != after:
                return f"{before} → {after}"
        return None

    def in_words(self) -> str:
        """Name the interpreter, the system and the machine."""
        return f"{self.implementation} {self.version} on {self.platform}, {self.machine}"

    @property
    def is_baseline(self) -> bool:
        """Whether every run has this fact: it has."""
        return True


class Baseline(_Fact, frozen=True, tag="baseline"):
    """The packages that every notebook runs on, with the version parts that can change outputs."""

    _kind = Kind.VERSIONS
    ipykernel: Name
    """The major version."""
    ipython: Name
    """Major and minor version."""

    def mismatch(self, world: World) -> str | None:
        """Compare the installed versions."""
        if world.environment is None:
            return _NO_ENVIRONMENT
        ipykernel, ipython = world.environment.baseline
        if ipykernel != self.ipykernel:
            return f"ipykernel {self.ipykernel} → {ipykernel or 'not installed'}"
        if ipython != self.ipython:
            return f"IPython {self.ipython} → {ipython or 'not installed'}"
        return None

    def in_words(self) -> str:
        """Name both packages with their versions."""
        return f"ipykernel {self.ipykernel}, IPython {self.ipython}"

    @property
    def is_baseline(self) -> bool:
        """Whether every run has this fact: it has."""
        return True


class EnvironmentVariable(_Fact, frozen=True, tag="variable"):
    """An environment variable had this value."""

    _kind = Kind.ENVIRONMENT
    name: Name
    digest: State | None
    """Digest of the value; empty if the variable was not set; `None` if its name looks secret."""

    @classmethod
    def now(cls, name: str, variables: Mapping[str, str]) -> EnvironmentVariable:
        """Return the fact about a variable among these."""
        return cls(name, variable_digest(name, variables))

    def mismatch(self, world: World) -> str | None:
        """Compare the value, if it may be known."""
        if self.digest is None or world.variable(self.name) == self.digest:
            return None
        if self.name == PYTHON_VARIABLES:
            return "an environment variable that changes how Python works changed (PYTHON…)"
        return f"environment variable {self.name} changed"

    def in_words(self) -> str:
        """Name the variable."""
        secret = " (its value is not kept)" if self.digest is None else ""
        return f"variable {self.name}{secret}"

    def in_report(self) -> Iterator[tuple[str, str]]:
        """Yield the variable, unless it is one that Python itself reads."""
        if not self.is_baseline:
            yield "variable", self.name

    @property
    def is_baseline(self) -> bool:
        """Whether it stands for the interpreter's own variables."""
        return self.name == PYTHON_VARIABLES


class Declared(_Fact, frozen=True, tag="declared"):
    """The files that match a declared glob had this content."""

    _kind = Kind.ALWAYS
    glob: Name
    digest: State
    files: Annotated[dict[Name, State], Many] = {}
    """Their digests by name, to be shown in a reason; left out if there are many."""

    @classmethod
    def now(cls, glob: str, world: World) -> Declared:
        """Return the fact about a declared glob, in the current state.

        Args:
            glob: A glob, relative to the root or absolute. `**` matches any number of folders.
            world: The world to search.
        """
        files: dict[str, str] = {}
        for path in world.matches(glob):
            name = world.places.name_of(path)
            digest = world.fingerprints.digest(path) if name is not None else None
            if name is not None and digest is not None:
                files[name] = digest
        pairs = [text for item in sorted(files.items()) for text in item]
        return cls(glob, text_digest(*pairs), files if len(files) <= _MOST_NAMES else {})

    def __hash__(self) -> int:
        """Hash without the files, which the digest stands for."""
        return hash((self.glob, self.digest))

    def mismatch(self, world: World) -> str | None:
        """Search for the files again."""
        now = Declared.now(self.glob, world)
        if now.digest == self.digest:
            return None
        if self.files or self.digest == text_digest():
            for name in sorted({*self.files, *now.files}):
                before, after = self.files.get(name), now.files.get(name)
                if before != after:
                    verb = "appeared" if before is None else "changed"
                    return f"{name} is not there any more" if after is None else f"{name} {verb}"
        return f"files that match {self.glob} changed"

    def in_words(self) -> str:
        """Name the glob."""
        return f"declared: {self.glob}"

    def in_report(self) -> Iterator[tuple[str, str]]:
        """Yield the files, or the glob if it has none or many."""
        if not self.files:
            yield "file", self.in_words()
        for name in self.files:
            yield "file", name

    @property
    def hashed(self) -> Iterable[str]:
        """The files."""
        return self.files

    @property
    def question(self) -> Fact | None:
        """The glob."""
        return Declared(self.glob, "")

    def concerns(self, name: str) -> bool:
        """Tell whether the glob matches a file."""
        return matching_glob(name, (self.glob,)) is not None


class Location(_Fact, frozen=True, tag="location"):
    """The root (or the home directory) was this path: the run's code or outputs contain it."""

    _kind = Kind.ALWAYS
    path: Name
    home: bool = False

    @classmethod
    def mentioned(cls, texts: Iterable[str], places: PathNames) -> Iterator[Location]:
        """Yield the locations of the root and the home directory that the texts mention."""
        root, home = places.mentioned(texts)
        if root is not None:
            yield cls(root)
        if home is not None:
            yield cls(home, home=True)

    def mismatch(self, world: World) -> str | None:
        """Compare the location of the checkout, or of the home directory."""
        now = world.places.home if self.home else world.places.root
        if os.path.normpath(now) == os.path.normpath(self.path):
            return None
        what = "the home directory" if self.home else "the project"
        return f"{what} moved from {self.path}, which the notebook mentions"

    def in_words(self) -> str:
        """Name the location."""
        what = "the home directory" if self.home else "the project"
        return f"{what} is {self.path}"

    def in_report(self) -> Iterator[tuple[str, str]]:
        """Yield the location."""
        yield "place", self.in_words()


class Unknown(_Fact, frozen=True, tag="unknown"):
    """A later version recorded a fact of another kind, which this one cannot verify."""

    _kind = Kind.ALWAYS
    type_: Name = msgspec.field(name="kind")

    def mismatch(self, _world: World) -> str | None:
        """Return why the fact cannot be verified: it never holds."""
        return f"a later version recorded a dependency of a kind unknown to this one ({self.type_})"

    def in_words(self) -> str:
        """Name the kind."""
        return f"recorded by a later version: {self.type_}"


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


class _AnyFact(msgspec.Struct, frozen=True):
    """The field that every fact has, including those of later versions."""

    type: Name


_TAGS = frozenset(str(kind.__struct_config__.tag) for kind in Fact.__args__)


def decode_fact(encoded: msgspec.Raw | bytes) -> Any:
    """Decode a fact from JSON; a kind that this version does not know becomes [](Unknown).

    Raises:
        msgspec.MsgspecError: The text is not a fact.
    """
    tag = msgspec.json.decode(encoded, type=_AnyFact).type
    return msgspec.json.decode(encoded, type=Fact) if tag in _TAGS else Unknown(tag)


def _slash(folder: str) -> str:
    return folder.rstrip("/") + "/"


def _is_outside(name: str) -> bool:
    """Tell whether a name names something outside the project."""
    return name.startswith("~/") or PurePosixPath(name).is_absolute() or ":" in name[:3]


def _folders_above(folder: str) -> Iterator[str]:
    # `dirname` of `/` is `/`. No name of a file under the root begins so, but a forged store may
    # contain one, and must not cause an endless loop.
    while folder and folder != (folder := posixpath.dirname(folder)):
        yield folder or "."


@cache
def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())
