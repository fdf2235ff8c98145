"""The world that facts are verified against: the current files, packages and variables."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sphinx_nbcache.traces.distributions import Environment
from sphinx_nbcache.traces.fingerprints import GONE, OTHER, Fingerprints
from sphinx_nbcache.traces.installed import source_files
from sphinx_nbcache.traces.names import PathNames
from sphinx_nbcache.traces.variables import SecretKey, no_key, variable_digest

_SOURCE_SUFFIXES = ("py", "pyc")
_EXTENSION_SUFFIXES = (".so", ".pyd")


@dataclass(frozen=True, slots=True)
class Modules:
    """The importable modules of a directory.

    Attributes:
        files: Directory entries by module name.
        folders: Names of subdirectories: packages, or portions of namespace packages.
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
            # Extension modules have long suffixes, such as `.cpython-312-x86_64-linux-gnu.so`.
            elif suffix in _SOURCE_SUFFIXES or f".{suffix}".endswith(_EXTENSION_SUFFIXES):
                files.setdefault(module, entry)
        return cls(files, frozenset(folders))


@dataclass(frozen=True, slots=True)
class _Listed:
    """The entries of a directory: all of them, the tracked ones, and the modules among these."""

    found: tuple[str, ...]
    kept: tuple[str, ...]
    modules: Modules


@dataclass
class World:
    """The current state of files, packages and variables, for one interpreter in one build.

    Attributes:
        places: The root, the home directory and the ignored paths.
        fingerprints: Files and directories; one object serves all interpreters.
        environment: The distributions of the interpreter; `None` if it cannot be queried.
        variables: The environment variables of a new kernel.
        of_kernelspec: The names of those that its kernelspec sets to a fixed value.
        secret_key: Returns the account's key for digests of secrets.
    """

    places: PathNames
    fingerprints: Fingerprints
    environment: Environment | None
    variables: Mapping[str, str]
    of_kernelspec: tuple[str, ...] = ()
    secret_key: SecretKey = no_key
    _paths: dict[str, str | None] = field(default_factory=dict, repr=False)
    _listings: dict[str, _Listed] = field(default_factory=dict, repr=False)
    _variables: dict[str, str] = field(default_factory=dict, repr=False)
    _provides: dict[str, Modules] = field(default_factory=dict, repr=False)

    def path(self, name: str) -> str | None:
        """Return the absolute path for a name (see [](PathNames.path_of))."""
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
        """Return the tracked entries of a directory; `None` if it does not exist."""
        listed = self._listed(name)
        return listed.kept if listed is not None else None

    def modules(self, name: str) -> Modules:
        """Return the importable modules of the directory with this name."""
        listed = self._listed(name)
        return listed.modules if listed is not None else Modules({}, frozenset())

    def elsewhere(self, modules: Iterable[str]) -> dict[str, str]:
        """Return the directories in `PYTHONPATH` and `.pth` files that provide these modules.

        Modules that are found in a directory of packages are left out.
        """
        if self.environment is None:
            return {}
        wanted = set(modules)
        found: dict[str, str] = {}
        for folder in self.environment.folders:
            found.update(dict.fromkeys(self._provided(folder, wanted - found.keys()), folder))
        wanted = {name for name in wanted if not self.environment.has_module(name)}
        for folder in self.environment.added_folders:
            found.update(dict.fromkeys(self._provided(folder, wanted - found.keys()), folder))
        return {name: self.places.name_of(folder) or folder for name, folder in found.items()}

    def provides(self, module: str) -> bool:
        """Tell whether a module, perhaps a dotted one, can be imported from any installation."""
        if self.environment is None:
            return False
        top, _, rest = module.partition(".")
        if not rest:
            return (
                self.environment.has_module(top)
                or top in self.environment.edited
                or bool(self.elsewhere((top,)))
            )
        folders = (*self.environment.python.sites, *self.environment.folders)
        folders += self.environment.added_folders
        above, _, last = module.rpartition(".")
        inside = [os.path.join(folder, *above.split(".")) for folder in folders]
        distribution, base = self.environment.edited.get(top, ("", ""))
        if distribution:
            inside.append(os.path.join(base, *above.split(".")[1:]))
        return any(
            last in found.files or last in found.folders for found in map(self._modules_in, inside)
        )

    def _modules_in(self, folder: str) -> Modules:
        if folder not in self._provides:
            self._provides[folder] = Modules.among(self.fingerprints.listing(folder) or ())
        return self._provides[folder]

    def _provided(self, folder: str, wanted: set[str]) -> Iterator[str]:
        there = self._modules_in(folder)
        for name in wanted:
            package = os.path.join(folder, name, "__init__.py")
            if name in there.files or (
                name in there.folders and self.fingerprints.entry(package).is_file
            ):
                yield name

    def digests(self, distribution: str, paths: Iterable[str]) -> dict[str, str] | None:
        """Return the digests of files of a distribution; `None` if it is not installed.

        Args:
            distribution: The name.
            paths: Paths relative to `site-packages`, or what stands for them in an editable
                installation.
        """
        found = self.environment and self.environment.installed(distribution)
        if not found:
            return None
        files = source_files(found[1], paths)
        return {
            path: digest or self.fingerprints.state(file) for path, (file, digest) in files.items()
        }

    def _listed(self, name: str) -> _Listed | None:
        """Return the entries of a directory, cached until the directory is listed again."""
        path = self.path(name)
        found = self.fingerprints.listing(path) if path is not None else None
        if found is None:
            return None
        known = self._listings.get(name)
        # Compare identity, not equality: `Fingerprints` returns the same tuple until the directory
        # is forgotten, and comparing long listings for each fact would be slow.
        if known is None or known.found is not found:
            kept = tuple(entry for entry in found if self.places.keeps(name, entry))
            known = self._listings[name] = _Listed(found, kept, Modules.among(kept))
        return known


def modules_in(name: str, world: World) -> Iterator[tuple[str, str]]:
    """Yield the importable modules of a directory, each with its directory entry.

    The name of a directory without `__init__.py`, a portion of a namespace package, ends with a
    slash. Imports prefer every other module of that name.
    """
    modules = world.modules(name)
    yield from modules.files.items()
    for folder in sorted(modules.folders):
        yield package_name(name, folder, world), folder + "/"


def package_name(name: str, folder: str, world: World) -> str:
    """Return the package name of a directory, with a slash for a portion of a namespace package."""
    # The names differ, because a portion is shadowed by a regular package or module anywhere on the
    # search path (https://docs.python.org/3/reference/import.html#namespace-packages).
    is_package = world.state(name_in_folder(name, folder) + "/__init__.py") not in (GONE, OTHER)
    return folder if is_package else folder + "/"


def name_in_folder(folder: str, entry: str) -> str:
    """Return the name of an entry of a directory."""
    return entry if folder == "." else f"{folder}/{entry}"
