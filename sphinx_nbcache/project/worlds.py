"""The world of one build: what the traces of results are held against."""

from __future__ import annotations

import os
import posixpath
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from glob import escape
from pathlib import Path

from sphinx_nbcache.config import Settings
from sphinx_nbcache.execution.environment import with_changes
from sphinx_nbcache.execution.interpreters import KernelFacts, kernel_facts, memory_key
from sphinx_nbcache.notebooks.key import KeyParts, portable_path
from sphinx_nbcache.notebooks.scan import Scan
from sphinx_nbcache.notebooks.sources import matching_glob
from sphinx_nbcache.store.access import encoded
from sphinx_nbcache.store.files import fingerprints, keep_fingerprints
from sphinx_nbcache.store.shelf import ShelfError
from sphinx_nbcache.store.store import Store
from sphinx_nbcache.traces.environments import Environment
from sphinx_nbcache.traces.facts import Declared, File, Kind, Trace
from sphinx_nbcache.traces.fingerprints import Fingerprint, Fingerprints
from sphinx_nbcache.traces.places import Places
from sphinx_nbcache.traces.tracking import Tracking
from sphinx_nbcache.traces.world import World

# As Sphinx's own templates call the folder in which each builder has one.
BUILD_FOLDER = "_build"
# Under it, and a digest, what is known of a kernel is remembered.
KERNEL_KEY = "kernel/"


class Worlds:
    """Files, kernels and packages as they are in one build, each looked at once.

    Attributes:
        fingerprints: Files and directories, for all kernels.

    Args:
        store: Where fingerprints and kernels are remembered.
        settings: The options.
        base: The folder to which globs in options are relative.
        root: The root.
        quiet: Folders whose files do not count.
    """

    def __init__(
        self, store: Store, settings: Settings, *, base: Path, root: Path, quiet: Iterable[Path]
    ) -> None:
        self._store = store
        self._settings = settings
        self._base = base
        self._root = root
        self._quiet = tuple(dict.fromkeys(map(str, _with_builds(quiet))))
        self._remembered: dict[str, Fingerprint] = {}
        self._asked: set[str] = set()
        self.fingerprints = Fingerprints(self._remembered)
        self._environment = with_changes(os.environ, settings.environment)
        self._kernels: dict[tuple[str, str], KernelFacts | None] = {}
        self._worlds: dict[tuple[str, str], World] = {}

    @property
    def quiet(self) -> tuple[str, ...]:
        """The folders whose files do not count, absolute."""
        bytecode = (sys.pycache_prefix, os.environ.get("PYTHONPYCACHEPREFIX"))
        return (*self._quiet, *(folder for folder in dict.fromkeys(bytecode) if folder))

    def of(self, key: KeyParts) -> World:
        """Return the world of a notebook's kernel."""
        kernel = key.kernel, key.language
        if kernel not in self._worlds:
            facts = self._kernel(*kernel)
            python = facts.python if facts is not None else None
            self._worlds[kernel] = World(
                Places(str(self._root), ignored=self.quiet),
                self.fingerprints,
                Environment(python) if python is not None else None,
                facts.environment(self._environment) if facts is not None else self._environment,
            )
        return self._worlds[kernel]

    def is_python(self, key: KeyParts) -> bool:
        """Tell whether a notebook's kernel runs Python, so that it can be traced."""
        facts = self._kernel(key.kernel, key.language)
        return facts is not None and facts.language == "python"

    def look_again(self) -> None:
        """Look at everything again, because time has passed."""
        self.keep()
        self.fingerprints.forget_all()
        self._kernels.clear()
        self._worlds.clear()

    def forget(self) -> None:
        """Let go of all that was seen, and of what is remembered of files."""
        self.look_again()
        self._remembered.clear()
        self._asked.clear()

    def tracking(self, scan: Scan, path: Path, key: KeyParts) -> Tracking:
        """Return what counts as a dependency of a notebook.

        Args:
            scan: Its reading.
            path: Its absolute path.
            key: The parts of its code key: copies of assets are not observed as reads.
        """
        settings, own = self._settings, scan.track
        is_special = scan.dependencies or scan.variables or key.assets or isinstance(own, tuple)
        if not (settings.dependencies or is_special):
            return self._common
        name = portable_path(path, self._base)
        globs = [
            self._from_root(self._base, glob)
            for pattern, listed in settings.dependencies.items()
            if matching_glob(name, (pattern,)) is not None
            for glob in listed
        ]
        globs += [self._from_root(path.parent, glob) for glob in scan.dependencies]
        for asset in map(escape, key.assets):
            globs += [self._from_root(path.parent, glob) for glob in (asset, asset + "/**")]
        kinds = _known_kinds(own) if isinstance(own, tuple) else self._common.kinds
        return Tracking(
            kinds=kinds,
            ignored=self._common.ignored,
            globs=tuple(dict.fromkeys(globs)),
            variables=tuple(dict.fromkeys((*scan.variables, *self._given_variables(kinds)))),
        )

    @cached_property
    def _common(self) -> Tracking:
        """The tracking options for notebooks that set none."""
        kinds = tuple(map(Kind, self._settings.track))
        return Tracking(
            kinds=kinds,
            variables=self._given_variables(kinds),
            ignored=tuple(self._from_root(self._base, glob) for glob in self._settings.ignore),
        )

    def _given_variables(self, kinds: Collection[Kind]) -> tuple[str, ...]:
        """Return the variables of `nbcache_environment` that count for every notebook.

        Libraries in C, and programs that a notebook starts, are not seen to read them.
        """
        if not self._settings.environment or Kind.ENVIRONMENT not in kinds:
            return ()
        from sphinx_nbcache.traces.in_kernel.variables import is_secret

        return tuple(name for name in self._settings.environment if not is_secret(name))

    def look_up(self, traces: Iterable[Trace]) -> None:
        """Look up what is remembered of all files of these traces: at once, which is quick."""
        names: set[str] = set()
        for trace in traces:
            names.update(written.path for written in trace.written)
            for fact in trace.facts:
                if isinstance(fact, File):
                    names.add(fact.path)
                elif isinstance(fact, Declared):
                    names.update(fact.files)
        places = Places(str(self._root))
        paths = {path for name in names if (path := places.path_of(name))} - self._asked
        self._asked |= paths
        self._remembered.update(fingerprints(self._store.access, sorted(paths)))

    def keep(self) -> None:
        """Remember the fingerprints that were taken in this build."""
        keep_fingerprints(self._store.access, self.fingerprints.fresh, self._remembered)
        self._remembered.update(self.fingerprints.fresh)
        self.fingerprints.fresh.clear()

    def _kernel(self, name: str, language: str) -> KernelFacts | None:
        """Return what is known of a kernel; it is asked only if that is not remembered."""
        if (name, language) not in self._kernels:
            key = KERNEL_KEY + memory_key(name, language, self._environment)
            facts = self._store.access.read(key, KernelFacts)
            if facts is None or not facts.is_current:
                facts = kernel_facts(name, language, self._environment)
                if facts is not None and name:
                    with suppress(ShelfError):
                        self._store.access.write({key: encoded(facts)})
            self._kernels[name, language] = facts
        return self._kernels[name, language]

    def _from_root(self, folder: Path, glob: str) -> str:
        """Return a glob relative to the root, or an absolute one, for one relative to a folder."""
        if Path(glob).is_absolute():
            return glob
        prefix = portable_path(folder, self._root)
        joined = posixpath.normpath(posixpath.join(prefix, glob.replace(os.sep, "/")))
        if not joined.startswith(".."):
            return joined
        return posixpath.normpath(posixpath.join(self._root.as_posix(), joined))


def _known_kinds(names: Iterable[str]) -> tuple[Kind, ...]:
    """Return kinds of dependencies by their names: a later version may know more of them."""
    return tuple(kind for kind in Kind if kind in names)


def _with_builds(folders: Iterable[Path]) -> Iterator[Path]:
    """Yield folders, and the `_build` around them: with what builders write for others in it."""
    for folder in folders:
        yield folder
        yield from (above for above in folder.parents if above.name.startswith(BUILD_FOLDER))
