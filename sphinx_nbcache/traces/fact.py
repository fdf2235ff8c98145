"""The kinds of facts, and the class from which all facts are derived."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import PurePosixPath
from typing import ClassVar

import msgspec

from sphinx_nbcache.bounded import Name
from sphinx_nbcache.traces.world import World

REPORT_KINDS = ("file", "folder", "module", "package", "variable", "place")
"""The kinds of dependencies in the report, in display order."""

# IPython's default profile, in any configuration directory.
PROFILE = "/profile_default/"


class Kind(StrEnum):
    """The kinds of facts, by their names in `nbcache_track`."""

    FILES = "files"
    """Files and directories that were read, looked for or listed."""
    IMPORTS = "imports"
    """Modules that belong to no distribution, and files that could shadow a module."""
    VERSIONS = "versions"
    """Distributions, and the interpreter."""
    ENVIRONMENT = "environment"
    """Environment variables."""
    ALWAYS = "always"
    """Facts that are always tracked: declared files, and the location of the checkout."""


# The kinds that `nbcache_track` accepted in the first version that wrote this record format. They
# are spelled out, because a kind that is added to `Kind` must not become one of them.
FIRST_KINDS = (Kind.FILES, Kind.IMPORTS, Kind.VERSIONS, Kind.ENVIRONMENT)


class BaseFact(msgspec.Struct, frozen=True, omit_defaults=True):
    """A verifiable fact that a run relied on."""

    _kind: ClassVar[Kind]

    @property
    def kind(self) -> Kind:
        """The entry of `nbcache_track` that enables this fact."""
        return self._kind

    def mismatch(self, world: World) -> str | None:
        """Return a description of the change; `None` if the fact still holds."""
        raise NotImplementedError

    def in_words(self) -> str:
        """Return the description of the fact."""
        raise NotImplementedError

    def in_report(self) -> Iterator[tuple[str, str]]:
        """Yield the dependencies to report: the kind (see [](REPORT_KINDS)) and the text.

        Facts that most notebooks share yield none, such as the interpreter, or settings files that
        libraries looked for and did not find.
        """
        yield from ()

    @property
    def is_baseline(self) -> bool:
        """Whether every run in such a kernel has this fact, independent of the notebook.

        These facts are about the interpreter, its variables, IPython and its configuration.
        """
        return False

    @property
    def paths(self) -> Iterable[str]:
        """The names of paths where any change may invalidate the fact."""
        return ()

    @property
    def hashed(self) -> Iterable[str]:
        """The names of the files whose content the check compares."""
        return ()

    @property
    def question(self) -> BaseFact | None:
        """The fact without its answer, if files that it does not name can change the answer.

        Questions are hashable, because runs of one notebook repeat the same ones.
        """
        return None

    def concerns(self, name: str) -> bool:
        """Tell whether the answer to a [](question) depends on the file with this name."""
        raise NotImplementedError


class PathFact(BaseFact, frozen=True):
    """A fact about the file at one path, or that there is none."""

    path: Name

    @property
    def is_baseline(self) -> bool:
        """Whether the path belongs to IPython's configuration."""
        return PROFILE in self.path

    @property
    def paths(self) -> Iterable[str]:
        """The path."""
        return (self.path,)


class FolderFact(BaseFact, frozen=True):
    """A fact about one directory."""

    _kind = Kind.FILES
    path: Name

    def in_report(self) -> Iterator[tuple[str, str]]:
        """Yield the directory, except outside the project, where libraries look for settings."""
        if not is_outside(self.path):
            yield "folder", self.in_words()


def with_slash(folder: str) -> str:
    """Return the name of a folder with one slash at its end."""
    return folder.rstrip("/") + "/"


def is_outside(name: str) -> bool:
    """Tell whether a name stands for a path outside the project."""
    return name.startswith("~/") or PurePosixPath(name).is_absolute() or ":" in name[:3]
