"""The world that facts are verified against: the current files, packages and variables."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sphinx_nbcache.traces.distributions import Environment
from sphinx_nbcache.traces.fingerprints import GONE, OTHER, Fingerprints, text_digest
from sphinx_nbcache.traces.names import PathNames

_MODULE_SUFFIXES = (".py", ".so", ".pyd", ".pyc")


@dataclass(frozen=True, slots=True)
class Modules:
    """The modules that can be imported from a directory.

    Attributes:
        files: Entries, by the name of the module that each one is.
        folders: Names of directories: each is a package, or a portion of a namespace package.
    """

    files: Mapping[str, str]
    folders: frozenset[str]

    @classmethod
    def among(cls, entries: Iterable[str]) -> Modules:
        """Return the modules among the entries of a directory."""
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
    """All entries of a directory, those that count, and the modules among them."""

    found: tuple[str, ...]
    kept: tuple[str, ...]
    modules: Modules


@dataclass
class World:
    """The state that facts are verified against, in this build, for one interpreter.

    Attributes:
        places: The root, the home directory and the paths that do not count.
        fingerprints: Files and directories; one object serves all interpreters.
        environment: The distributions of the interpreter; `None` if it cannot be queried.
        variables: The environment variables of a new kernel.
    """

    places: PathNames
    fingerprints: Fingerprints
    environment: Environment | None
    variables: Mapping[str, str]
    _paths: dict[str, str | None] = field(default_factory=dict, repr=False)
    _listings: dict[str, _Listed] = field(default_factory=dict, repr=False)
    _variables: dict[str, str] = field(default_factory=dict, repr=False)

    def path(self, name: str) -> str | None:
        """Return the absolute path of a name (see [](PathNames.path_of))."""
        if name not in self._paths:
            self._paths[name] = self.places.path_of(name)
        return self._paths[name]

    def state(self, name: str) -> str:
        """Return the state of the path with this name (see [](Fingerprints.state))."""
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
        """Return the entries that count in a directory; `None` if it does not exist."""
        listed = self._listed(name)
        return listed.kept if listed is not None else None

    def modules(self, name: str) -> Modules:
        """Return the modules that can be imported from the directory with this name."""
        listed = self._listed(name)
        return listed.modules if listed is not None else Modules({}, frozenset())

    def _listed(self, name: str) -> _Listed | None:
        """Return the entries of a directory, cached until the directory is listed again."""
        path = self.path(name)
        found = self.fingerprints.listing(path) if path is not None else None
        if found is None:
            return None
        known = self._listings.get(name)
        if known is None or known.found is not found:
            kept = tuple(entry for entry in found if self.places.keeps(name, entry))
            known = self._listings[name] = _Listed(found, kept, Modules.among(kept))
        return known


# The variables that change how Python works; its other variables are harmless.
_OF_PYTHON = (
    *("PYTHONHASHSEED", "PYTHONOPTIMIZE", "PYTHONWARNINGS", "PYTHONDEVMODE", "PYTHONUTF8"),
    *("PYTHONIOENCODING", "PYTHONINTMAXSTRDIGITS", "PYTHONHOME", "PYTHONNOUSERSITE"),
)
PYTHON_VARIABLES = "PYTHON*"


def variable_digest(name: str, variables: Mapping[str, str]) -> str:
    """Return the digest of a variable's value; empty if it is not set.

    [](PYTHON_VARIABLES) stands for all variables that change how Python works.
    """
    if name == PYTHON_VARIABLES:
        return text_digest(*(f"{name}={variables.get(name)}" for name in _OF_PYTHON))
    value = variables.get(name)
    return text_digest(value) if value is not None else ""


def modules_in(name: str, world: World) -> Iterator[tuple[str, str]]:
    """Yield the modules that can be imported from a directory, and their entries.

    A directory without `__init__.py` is a portion of a namespace package: it comes after all other
    modules of its name. Its name ends with a slash.
    """
    modules = world.modules(name)
    yield from modules.files.items()
    for folder in sorted(modules.folders):
        yield package_name(name, folder, world), folder + "/"


def package_name(name: str, folder: str, world: World) -> str:
    """Return the name of the package that a folder is, or is a portion of."""
    is_package = world.state(name_in_folder(name, folder) + "/__init__.py") not in (GONE, OTHER)
    return folder if is_package else folder + "/"


def name_in_folder(folder: str, entry: str) -> str:
    """Return the name of an entry of a directory."""
    return entry if folder == "." else f"{folder}/{entry}"
