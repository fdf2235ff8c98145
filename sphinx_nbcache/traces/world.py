"""The world that facts are held against: files, packages and variables as they are now."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sphinx_nbcache.traces.environments import Environment
from sphinx_nbcache.traces.facts import GONE, OTHER, Declared, text_digest
from sphinx_nbcache.traces.fingerprints import Fingerprints
from sphinx_nbcache.traces.places import Places

# A fact about many files tells their names only up to this number.
MOST_NAMES = 200
_MODULE_SUFFIXES = (".py", ".so", ".pyd", ".pyc")


@dataclass(frozen=True, slots=True)
class Modules:
    """What can be imported from a directory.

    Attributes:
        files: Entries by the names of the modules that they are.
        folders: Names of directories: each is a package, or a part of a namespace package.
    """

    files: Mapping[str, str]
    folders: frozenset[str]

    @classmethod
    def among(cls, entries: Iterable[str]) -> Modules:
        """Return those among the entries of a directory."""
        files: dict[str, str] = {}
        folders = set()
        for entry in entries:
            module, _, suffix = entry.partition(".")
            if entry.endswith("/"):
                folders.add(entry[:-1])
            elif f".{suffix}".endswith(_MODULE_SUFFIXES):
                files.setdefault(module, entry)
        return cls(files, frozenset(folders))


@dataclass(frozen=True, slots=True)
class _Listed:
    """What was found in a directory, what of it counts, and what can be imported from it."""

    found: tuple[str, ...]
    kept: tuple[str, ...]
    modules: Modules


@dataclass
class World:
    """What facts are held against, as it is in this build, for the kernel of one interpreter.

    Attributes:
        places: Root, home and what does not count.
        fingerprints: Files and directories; one object serves all interpreters.
        environment: The distributions of the interpreter; `None` if it cannot be asked.
        variables: The environment variables that a kernel would be started with.
    """

    places: Places
    fingerprints: Fingerprints
    environment: Environment | None
    variables: Mapping[str, str]
    _paths: dict[str, str | None] = field(default_factory=dict, repr=False)
    _listings: dict[str, _Listed] = field(default_factory=dict, repr=False)
    _variables: dict[str, str] = field(default_factory=dict, repr=False)

    def path(self, name: str) -> str | None:
        """Return the absolute path of a name (see [](Places.path_of))."""
        if name not in self._paths:
            self._paths[name] = self.places.path_of(name)
        return self._paths[name]

    def state(self, name: str) -> str:
        """Return the state of the path of that name (see [](Fingerprints.state))."""
        path = self.path(name)
        return GONE if path is None else self.fingerprints.state(path)

    def variable(self, name: str) -> str:
        """Return the digest of an environment variable (see [](variable_digest))."""
        if name not in self._variables:
            self._variables[name] = variable_digest(name, self.variables)
        return self._variables[name]

    def matches(self, glob: str) -> tuple[str, ...]:
        """Return the absolute paths that match a glob, relative to the root or absolute."""
        return self.fingerprints.matches(os.path.join(self.places.root, glob))

    def listing(self, name: str) -> tuple[str, ...] | None:
        """Return what counts in the directory of that name; `None` if there is none."""
        listed = self._listed(name)
        return listed.kept if listed is not None else None

    def modules(self, name: str) -> Modules:
        """Return what can be imported from the directory of that name."""
        listed = self._listed(name)
        return listed.modules if listed is not None else Modules({}, frozenset())

    def _listed(self, name: str) -> _Listed | None:
        """Return what is in a directory: worked out once, until it is looked at anew."""
        path = self.path(name)
        found = self.fingerprints.listing(path) if path is not None else None
        if found is None:
            return None
        known = self._listings.get(name)
        if known is None or known.found is not found:
            kept = tuple(entry for entry in found if self.places.keeps(name, entry))
            known = self._listings[name] = _Listed(found, kept, Modules.among(kept))
        return known


def declare(glob: str, world: World) -> Declared:
    """Return the fact that stands for a declared glob, as of now.

    Args:
        glob: A glob relative to the root, or an absolute one. `**` stands for any folders.
        world: Where to look.
    """
    files: dict[str, str] = {}
    for path in world.matches(glob):
        name = world.places.name_of(path)
        digest = world.fingerprints.digest(path) if name is not None else None
        if name is not None and digest is not None:
            files[name] = digest
    pairs = [text for item in sorted(files.items()) for text in item]
    return Declared(glob, text_digest(*pairs), files if len(files) <= MOST_NAMES else {})


# Variables by which Python itself is told to work differently; what else it has is harmless.
_OF_PYTHON = (
    *("PYTHONHASHSEED", "PYTHONOPTIMIZE", "PYTHONWARNINGS", "PYTHONDEVMODE", "PYTHONUTF8"),
    *("PYTHONIOENCODING", "PYTHONINTMAXSTRDIGITS", "PYTHONHOME", "PYTHONNOUSERSITE"),
)
PYTHON_VARIABLES = "PYTHON*"


def variable_digest(name: str, variables: Mapping[str, str]) -> str:
    """Return the digest of a variable's value; empty if it is not set.

    [](PYTHON_VARIABLES) stands for all of those that change how Python works.
    """
    if name == PYTHON_VARIABLES:
        return text_digest(*(f"{name}={variables.get(name)}" for name in _OF_PYTHON))
    value = variables.get(name)
    return text_digest(value) if value is not None else ""


def modules_in(name: str, world: World) -> Iterator[tuple[str, str]]:
    """Yield the modules that can be imported from a directory, and the entries they come from.

    A directory without `__init__.py` is part of a namespace package: it comes after all other
    modules of its name. Its name has a slash behind.
    """
    modules = world.modules(name)
    yield from modules.files.items()
    for folder in sorted(modules.folders):
        yield package_name(name, folder, world), folder + "/"


def package_name(name: str, folder: str, world: World) -> str:
    """Return the name of the package that a folder in a directory is, or would be a part of."""
    is_package = world.state(joined(name, folder) + "/__init__.py") not in (GONE, OTHER)
    return folder if is_package else folder + "/"


def joined(folder: str, entry: str) -> str:
    """Return the name of an entry of a directory."""
    return entry if folder == "." else f"{folder}/{entry}"
