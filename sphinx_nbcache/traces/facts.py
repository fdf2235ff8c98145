"""Facts that a run relied on. Each kind is one class, with its check, wording and report form.

To add a kind, add a class here, or in a module beside, and list it in [](Fact); `traces.observe`
makes the facts from the tracer's report.

A *name* is the stored form of a path, in POSIX notation: relative to the root for a path inside it,
with the prefix `~/` for one in the home directory, else absolute. A trace from one checkout can
therefore be verified in another one. [](PathNames) converts between paths and names.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Annotated, Any

import msgspec

from sphinx_nbcache.bounded import Many, Name, State, Text
from sphinx_nbcache.files.paths import matching_glob
from sphinx_nbcache.traces.distributions import Environment, Python
from sphinx_nbcache.traces.fact import (
    PROFILE,
    BaseFact,
    FolderFact,
    Kind,
    PathFact,
    with_slash,
)
from sphinx_nbcache.traces.facts_of_links import Link, SameFile, WriteAheadLog
from sphinx_nbcache.traces.fingerprints import GONE, matching, text_digest
from sphinx_nbcache.traces.installed import EDITABLE, FROM_INDEX
from sphinx_nbcache.traces.names import PathNames
from sphinx_nbcache.traces.r_packages import place_of, version_of
from sphinx_nbcache.traces.variables import (
    PYTHON_VARIABLES,
    SecretKey,
    digest_of_part,
    is_secret,
    key_name,
    keyed_digest,
    of_python,
    variable_digest,
)
from sphinx_nbcache.traces.world import World, name_in_folder, package_name

# A fact about more files than this does not store their names: a listing of 10,000 files would make
# each trace large, and no reason shows so many.
_MOST_NAMES = 200
# How many names a reason or a description shows.
_SHOWN = 3
# How many characters of a long name a description shows.
_LONGEST = 60
_NO_ENVIRONMENT = "its interpreter cannot be asked for the versions of packages"


class File(PathFact, frozen=True, tag="file"):
    """A file had this content.

    If a run reads and then writes a file, two states lead to the same outputs: the one before the
    run and the one after it.
    """

    digest: State
    after: State | None = None
    """The digest after the run, if the run changed it; [](GONE) if the run removed the file."""
    module: bool = False
    """Whether the file was imported."""

    @property
    def kind(self) -> Kind:
        """The kind: an imported module is not a file that was read."""
        return Kind.IMPORTS if self.module else Kind.FILES

    def mismatch(self, world: World) -> str | None:
        """Compare the content with both states."""
        state = world.state(self.path)
        if state in (self.digest, self.after):
            return None
        return f"{self.path} changed" if state != GONE else f"{self.path} is not there any more"

    def in_words(self) -> str:
        """Name the file, and the run's change to it."""
        changed = "" if self.after is None else ", which it rewrote"
        if self.after == GONE:
            changed = ", which it removed"
        return f"module {self.path}" if self.module else f"{self.path}{changed}"

    def in_report(self) -> Iterator[tuple[str, str]]:
        """Yield the module or the file."""
        yield ("module", self.path) if self.module else ("file", self.in_words())

    @property
    def hashed(self) -> Iterable[str]:
        """The file."""
        return (self.path,)


class Absent(PathFact, frozen=True, tag="absent"):
    """A path that the run looked up did not exist."""

    after: State | None = None
    """The state after the run, if the run created the path: a digest, or [](OTHER)."""
    module: bool = False
    """Whether a module at this path would be imported instead of another one."""

    @property
    def kind(self) -> Kind:
        """The kind, as for files."""
        return Kind.IMPORTS if self.module else Kind.FILES

    def mismatch(self, world: World) -> str | None:
        """Check that the path does not exist, or has the state that the run left."""
        state = world.state(self.path)
        if state in (GONE, self.after):
            return None
        return f"{self.path} appeared" if self.after is None else f"{self.path} changed"

    def in_words(self) -> str:
        """Name the path, which may be a text: `Markdown("…")` checks whether its text is a file."""
        # IPython's `DisplayObject`: https://github.com/ipython/ipython/issues/14820
        line = " ".join(self.path.split())
        if line != self.path or len(line) > _LONGEST:
            line = f"{line[:_LONGEST].rstrip()}…"
        return f"{line} was not there" + ("" if self.after is None else ", and was written")


class Directory(FolderFact, frozen=True, tag="directory"):
    """A directory existed; the run did not list it."""

    def mismatch(self, world: World) -> str | None:
        """Check that the directory exists."""
        path = world.path(self.path)
        if path is not None and world.fingerprints.entry(path).is_directory:
            return None
        return f"directory {with_slash(self.path)} is not there any more"

    def in_words(self) -> str:
        """Name the directory."""
        return f"{with_slash(self.path)} is a directory"

    @property
    def paths(self) -> Iterable[str]:
        """The directory."""
        return (self.path,)


class Listing(FolderFact, frozen=True, tag="listing"):
    """A directory had these entries. The names of directories end with a slash."""

    digest: State
    pattern: Name = ""
    """If not empty, the run requested only names that match this `fnmatch` pattern."""
    folders: bool = False
    """Whether the run requested only directories."""
    without: Annotated[tuple[Name, ...], Many] = ()
    """Names that the run itself wrote or removed there, which are ignored."""
    names: Annotated[tuple[Name, ...], Many] = ()
    """The names, for reasons; left out if there are many."""

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
        """Return the fact that the directory with this name had these entries."""
        names = matching(entries, pattern, folders=folders, without=without)
        shown = names if len(names) <= _MOST_NAMES else ()
        return cls(name, text_digest(*names), pattern, folders, without, shown)

    def mismatch(self, world: World) -> str | None:
        """List the directory again."""
        found = world.listing(self.path)
        if found is None:
            if not self.pattern:
                return f"directory {with_slash(self.path)} is not there any more"
            found = ()  # for a glob, a missing directory is the same as one without matches
        names = matching(found, self.pattern, folders=self.folders, without=self.without)
        if text_digest(*names) == self.digest:
            return None
        if not self.names and self.digest != text_digest():
            # There were so many entries that their names were not stored.
            return f"directory {with_slash(self.path)} has other files"
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
        return f"directory {with_slash(self.path)} has other files: {shown}"

    def in_words(self) -> str:
        """Name the directory and the pattern."""
        return f"{self.pattern or 'all names'} in {with_slash(self.path)}"

    @property
    def is_baseline(self) -> bool:
        """Whether the directory belongs to IPython's configuration."""
        return PROFILE in self.path

    @property
    def question(self) -> Fact | None:
        """The directory and the pattern."""
        # Without `folders`: a new file may create the directory that a run lists.
        return Listing(self.path, "", self.pattern, without=self.without)

    def concerns(self, name: str) -> bool:
        """Tell whether the listing includes a file, or a subdirectory that contains the file."""
        above, _, entry = name.rpartition("/")
        if self.path not in (above or ".", *_folders_above(above)):
            return False
        if self.path != (above or "."):
            rest = name if self.path == "." else name.removeprefix(self.path + "/")
            entry = rest.partition("/")[0]
        return bool(matching([entry], self.pattern, folders=False, without=self.without))


class Unshadowed(BaseFact, frozen=True, tag="unshadowed"):
    """A directory of the search path lacked these modules, which later entries provide."""

    _kind = Kind.IMPORTS
    path: Name
    modules: Text
    """The names of the modules, separated by spaces: one text decodes faster than hundreds.

    A name that ends with a slash stands for a directory without `__init__.py`.
    """
    package: Name = ""
    """The dotted name of the package whose modules are looked for there."""

    def mismatch(self, world: World) -> str | None:
        """Check that the directory still lacks the modules."""
        wanted = _words(self.modules)
        there = world.modules(self.path)
        entries = [there.files[name] for name in there.files.keys() & wanted]
        for folder in there.folders:
            # Look up `__init__.py` only if the result depends on it.
            is_named = folder in wanted or folder + "/" in wanted
            if is_named and package_name(self.path, folder, world) in wanted:
                entries.append(folder + "/")
        if not entries:
            return None
        entry = min(entries)
        module = entry.partition(".")[0].rstrip("/")
        dotted = f"{self.package}.{module}" if self.package else module
        return f"{name_in_folder(self.path, entry)} is now what import {dotted} finds"

    def in_words(self) -> str:
        """Name the directory, and some of the modules."""
        names = self.modules.split()
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        shown = ", ".join(names[:_SHOWN]) + more
        return f"nothing in {with_slash(self.path)} stands in front of {shown}"


class Uninstalled(BaseFact, frozen=True, tag="uninstalled"):
    """These modules were imported, and no installed distribution provided them."""

    _kind = Kind.VERSIONS
    modules: Text
    """Their names, separated by spaces."""
    everywhere: bool = False
    """Whether editable installations and added directories count, too, as in new facts."""

    def mismatch(self, world: World) -> str | None:
        """Check that no distribution provides one of them."""
        if world.environment is None:
            return _NO_ENVIRONMENT
        for name in self.modules.split():
            is_there = (
                world.provides(name) if self.everywhere else world.environment.has_module(name)
            )
            if is_there:
                return f"the package {name} is installed now"
        return None

    def in_words(self) -> str:
        """Name the modules."""
        return f"not installed: {self.modules.replace(' ', ', ')}"


class Distribution(BaseFact, frozen=True, tag="distribution"):
    """A distribution had this version and, if it was imported, this code."""

    _kind = Kind.VERSIONS
    name: Name
    version: Name
    content: State = ""
    """The result of `Environment.content`; empty in facts of versions that did not compare it."""

    @classmethod
    def now(cls, name: str, environment: Environment) -> Distribution | None:
        """Return the fact about an installed distribution; `None` if it is not installed."""
        found = environment.installed(name)
        if found is None:
            return None
        version, _ = found
        content = environment.content(name)
        if content == FROM_INDEX:
            # The version tells the commit of a repository.
            version = environment.version(name) or version
        return cls(name, version, content)

    def mismatch(self, world: World) -> str | None:
        """Compare the installed version and the code."""
        if world.environment is None:
            return _NO_ENVIRONMENT
        if self.content:
            return self._difference(Distribution.now(self.name, world.environment))
        version = world.environment.version(self.name) or ""
        if version == self.version:
            return None
        if not self.version:
            return f"{self.name} {version} is installed now"
        return f"{self.name} {self.version} → {version or 'not installed'}"

    def _difference(self, now: Distribution | None) -> str | None:
        if now == self:
            return None
        if now is None or now.version != self.version:
            version = now.version if now is not None else "not installed"
            return f"{self.name} {self.version} → {version}"
        if EDITABLE in (now.content, self.content):
            was, is_ = ("editable" if d.content == EDITABLE else "regular" for d in (self, now))
            return f"{self.name} {self.version}: its installation was {was}, and is {is_} now"
        return f"{self.name} {self.version} was installed again with other code"

    def in_words(self) -> str:
        """Name the distribution and the version; it is empty if a run asked for it in vain."""
        return f"{self.name} {self.version or 'is not installed'}"

    def in_report(self) -> Iterator[tuple[str, str]]:
        """Yield the package, if it is installed."""
        if self.version:
            yield "package", self.in_words()


class EntryPoints(BaseFact, frozen=True, tag="entrypoints"):
    """The installed packages announced these entry points."""

    _kind = Kind.VERSIONS
    group: Name
    """Their group; empty for all groups, `*` for the names and versions of all packages."""
    digest: State

    def mismatch(self, world: World) -> str | None:
        """Read the entry points again."""
        if world.environment is None:
            return _NO_ENVIRONMENT
        if world.environment.entry_points(self.group) == self.digest:
            return None
        return f"{self._what} changed"

    def in_words(self) -> str:
        """Name the group."""
        return self._what

    @property
    def _what(self) -> str:
        if self.group == "*":
            return "the list of installed packages"
        group = f" of the group {self.group}" if self.group else ""
        return f"the entry points{group} of installed packages"


class Source(BaseFact, frozen=True, tag="source"):
    """Imported modules of a distribution had this content, wherever they were installed from.

    The version is not compared: the fact is about editable installations, and about a package whose
    source lies under the root.
    """

    _kind = Kind.VERSIONS
    name: Name
    files: Annotated[tuple[tuple[Name, State], ...], Many]
    """The paths of modules, relative to `site-packages`, with their digests."""

    def mismatch(self, world: World) -> str | None:
        """Compare the content with that of the current installation, editable or not."""
        if world.environment is None:
            return _NO_ENVIRONMENT
        now = world.digests(self.name, (path for path, _ in self.files))
        if now is None:
            return f"{self.name} is not installed any more"
        for path, digest in self.files:
            if path not in now or now[path] == GONE:
                return f"{path} of {self.name} is not there any more"
            if now[path] != digest:
                return f"{path} of {self.name} changed"
        return None

    def in_words(self) -> str:
        """Name the distribution and the number of modules."""
        count = len(self.files)
        return f"{self.name}, by the content of {count} module{'s' if count != 1 else ''}"

    def in_report(self) -> Iterator[tuple[str, str]]:
        """Yield the package."""
        yield "package", self.name


class SearchPath(BaseFact, frozen=True, tag="searchpath"):
    """Modules were found in these directories of `PYTHONPATH` and `.pth` files, or in none."""

    _kind = Kind.IMPORTS
    modules: Text
    """The top-level names of the imported modules, separated by spaces."""
    found: Annotated[tuple[tuple[Name, Name], ...], Many] = ()
    """The modules that such a directory provides, with its name."""

    @classmethod
    def now(cls, modules: Iterable[str], world: World) -> SearchPath:
        """Return the fact about the current search path."""
        names = sorted(set(modules))
        return cls(" ".join(names), tuple(sorted(world.elsewhere(names).items())))

    def mismatch(self, world: World) -> str | None:
        """Look for the modules again."""
        before, now = dict(self.found), world.elsewhere(_words(self.modules))
        for name in sorted({*before, *now}):
            if name in now and now[name] != before.get(name):
                return f"import {name} finds it in {with_slash(now[name])} now"
            if name not in now:
                return f"import {name} does not find it in {with_slash(before[name])} any more"
        return None

    def in_words(self) -> str:
        """Name the modules and directories."""
        shown = ", ".join(f"{name} in {with_slash(folder)}" for name, folder in self.found)
        return f"search path: {shown or 'PYTHONPATH and .pth files provide no imported module'}"


class RPackage(BaseFact, frozen=True, tag="r-package"):
    """A package of R had this version in the first of these libraries that has it."""

    _kind = Kind.VERSIONS
    name: Name
    version: Name
    """Empty if no library had it."""
    libraries: Annotated[tuple[Name, ...], Many]

    @classmethod
    def looked_for(cls, described: Iterable[str], places: PathNames) -> Iterator[RPackage]:
        """Yield the packages that a run has looked for, sorted by name.

        Args:
            described: The files that describe them, in the order of the first look.
            places: The root and the home directory.
        """
        found: dict[str, dict[str, None]] = {}
        for path in described:
            library, name = place_of(path)
            found.setdefault(name, {})[library] = None
        for name, libraries in sorted(found.items()):
            version = version_of(libraries, name)
            # Files of the system have no names for traces, but their paths are the same elsewhere.
            names = tuple(places.name_of(library) or library for library in libraries)
            yield cls(name, version, names)

    def mismatch(self, world: World) -> str | None:
        """Compare the installed version."""
        paths = (world.places.path_of(library) for library in self.libraries)
        version = version_of([path for path in paths if path is not None], self.name)
        if version == self.version:
            return None
        before = self.version or "not installed"
        return f"the R package {self.name} {before} → {version or 'not installed'}"

    def in_words(self) -> str:
        """Name the package and the version."""
        if not self.version:
            return f"not installed: the R package {self.name}"
        return f"{self.name} {self.version} (R)"

    def in_report(self) -> Iterator[tuple[str, str]]:
        """Yield the package, if it was there."""
        if self.version:
            yield "package", self.in_words()


class Interpreter(BaseFact, frozen=True, tag="interpreter"):
    """The interpreter was of this kind. Its micro version is ignored."""

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
        """Compare the kernel's interpreter."""
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


class Baseline(BaseFact, frozen=True, tag="baseline"):
    """ipykernel and IPython had these versions, as far as the version can change outputs."""

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


class EnvironmentVariable(BaseFact, frozen=True, tag="variable"):
    """An environment variable had this value."""

    _kind = Kind.ENVIRONMENT
    name: Name
    digest: State | None
    """Digest of the value; empty if the variable was unset; `None` if its name looks secret."""
    keyed: State = ""
    """For a secret, a digest under the key of the account that ran the notebook.

    An account without the key cannot guess the value. Traces of earlier versions have none.
    """
    key: State = ""
    """Tells under which key the digest was made."""
    parts: Annotated[tuple[tuple[Name, State], ...], Many] = ()
    """For Python's own variables, those that were set, with their digests."""

    @classmethod
    def now(cls, name: str, world: World) -> EnvironmentVariable:
        """Return the fact about a variable with its current value."""
        if name == PYTHON_VARIABLES:
            parts = tuple(of_python(world.variables))
            return cls(name, variable_digest(name, world.variables), parts=parts)
        if not is_secret(name):
            return cls(name, variable_digest(name, world.variables))
        key = world.secret_key(make=True)
        if key is None:
            return cls(name, None)
        return cls(name, None, keyed_digest(name, world.variables, key), key_name(key))

    def is_checked(self, secret_key: SecretKey) -> bool:
        """Tell whether the value can be compared: that of a secret only with the same key."""
        return self.digest is not None or self._key(secret_key) is not None

    def _key(self, secret_key: SecretKey) -> bytes | None:
        """Return the key of the digest; `None` if this account does not have it."""
        key = secret_key(make=False)
        return key if key is not None and key_name(key) == self.key else None

    def mismatch(self, world: World) -> str | None:
        """Compare the value, if it can be compared."""
        if self.digest is not None:
            is_same = world.variable(self.name) == self.digest
        else:
            key = self._key(world.secret_key)
            is_same = key is None or keyed_digest(self.name, world.variables, key) == self.keyed
        if is_same:
            return None
        if self.name == PYTHON_VARIABLES:
            return self._difference(world)
        return f"environment variable {self.name} changed"

    def _difference(self, world: World) -> str:
        """Name a variable of Python that changed; traces of earlier versions do not tell it."""
        if self.parts or self.digest == variable_digest(self.name, {}):
            changed = {*of_python(world.variables)} ^ {*self.parts}
            if changed:
                return f"environment variable {min(changed)[0]} changed"
        return "an environment variable that changes how Python works changed (PYTHON…)"

    def in_words(self) -> str:
        """Name the variable."""
        if self.digest is not None:
            return f"variable {self.name}"
        how = "a digest with the account's secret" if self.keyed else "nothing"
        return f"variable {self.name} (of its value, {how} is kept)"

    def in_report(self) -> Iterator[tuple[str, str]]:
        """Yield the variable, unless the fact stands for Python's own variables."""
        if not self.is_baseline:
            yield "variable", self.name

    @property
    def is_baseline(self) -> bool:
        """Whether the fact stands for Python's own variables."""
        return self.name == PYTHON_VARIABLES


class EnvironmentPart(BaseFact, frozen=True, tag="variables"):
    """The environment variables whose names contain this text had these names and values."""

    _kind = Kind.ENVIRONMENT
    part: Name
    digest: State
    """Digest of names and values; of secrets, only the names."""
    names: Annotated[tuple[Name, ...], Many] = ()

    @classmethod
    def now(cls, part: str, world: World) -> EnvironmentPart:
        """Return the fact about the current variables."""
        return cls(part, *digest_of_part(part, world.variables))

    def mismatch(self, world: World) -> str | None:
        """Compare the names and values."""
        now = EnvironmentPart.now(self.part, world)
        if now.digest == self.digest:
            return None
        if differing := {*self.names} ^ {*now.names}:
            name = min(differing)
            return f"environment variable {name} {'appeared' if name in now.names else 'is gone'}"
        return f"an environment variable with {self.part} in its name changed"

    def in_words(self) -> str:
        """Name the text."""
        return f"variables with {self.part} in their names"

    def in_report(self) -> Iterator[tuple[str, str]]:
        """Yield the text."""
        yield "variable", f"*{self.part}*"


class Declared(BaseFact, frozen=True, tag="declared"):
    """The files that match a declared glob had this content."""

    _kind = Kind.ALWAYS
    glob: Name
    digest: State
    files: Annotated[dict[Name, State], Many] = msgspec.field(default_factory=dict)
    """Their digests by name, for reasons; left out if there are many."""

    @classmethod
    def now(cls, glob: str, world: World) -> Declared:
        """Return the fact about the current files of a declared glob.

        Args:
            glob: A glob, relative to the root or absolute. `**` matches any number of directories.
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
        """Hash without the files: a dictionary is not hashable, and the digest covers them."""
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
        """Yield the files, or the glob if it matches none or many."""
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


class Location(BaseFact, frozen=True, tag="location"):
    """The root or the home directory was this path, which the code or the outputs contain."""

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
        return f"{self._what} moved from {self.path}, which the notebook mentions"

    def in_words(self) -> str:
        """Name the location."""
        return f"{self._what} is {self.path}"

    @property
    def _what(self) -> str:
        return "the home directory" if self.home else "the project"

    def in_report(self) -> Iterator[tuple[str, str]]:
        """Yield the location."""
        yield "place", self.in_words()


class Unknown(BaseFact, frozen=True, tag="unknown"):
    """A fact of an unknown kind, recorded by a later version. It cannot be verified."""

    # Always tracked, so that no option skips the fact and the result counts as valid.
    _kind = Kind.ALWAYS
    type_: Name = msgspec.field(name="kind")

    def mismatch(self, _world: World) -> str | None:
        """Return why the fact cannot be verified; it never holds."""
        return f"a later version recorded a dependency of a kind unknown to this one ({self.type_})"

    def in_words(self) -> str:
        """Name the kind."""
        return f"recorded by a later version: {self.type_}"


Fact = (
    File
    | Absent
    | Directory
    | Listing
    | Link
    | SameFile
    | WriteAheadLog
    | Unshadowed
    | Uninstalled
    | Distribution
    | RPackage
    | EntryPoints
    | Source
    | SearchPath
    | Interpreter
    | Baseline
    | EnvironmentVariable
    | EnvironmentPart
    | Declared
    | Location
    | Unknown
)


class _AnyFact(msgspec.Struct, frozen=True):
    """The field that all facts have, including those of later versions."""

    type: Name


_TAGS = frozenset(str(kind.__struct_config__.tag) for kind in Fact.__args__)


def decode_fact(encoded: msgspec.Raw | bytes) -> Any:
    """Decode a fact from JSON; a kind that this version does not know becomes [](Unknown).

    Raises:
        msgspec.MsgspecError: The text is not a fact.
    """
    tag = msgspec.json.decode(encoded, type=_AnyFact).type
    return msgspec.json.decode(encoded, type=Fact) if tag in _TAGS else Unknown(tag)


def _folders_above(folder: str) -> Iterator[str]:
    # `dirname` of `/` is `/`. No file under the root has such a name, but a forged store may have
    # one, which must not cause an endless loop.
    while folder and folder != (folder := posixpath.dirname(folder)):
        yield folder or "."


@cache
def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())
