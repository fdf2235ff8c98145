"""The dependencies of a page with commands: it is read again when they change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from sphinx.application import Sphinx
from sphinx.domains import Domain
from sphinx.environment import BuildEnvironment

from sphinx_nbcache import __version__

Stats = dict[Path, tuple[int, int, int]]
"""Path → size, time of the last change in ns, inode."""


def stats_of(paths: Iterable[Path]) -> Stats:
    """Return the stats of those paths that are files."""
    stats: Stats = {}
    for path in paths:
        # Any word is tried as a path: it may be too long, or contain a NUL.
        with suppress(OSError, ValueError):
            if path.is_file():
                own = path.stat()
                # The inode, too: a file that is replaced by a rename may keep its size and, within
                # the resolution of the file system, its time.
                stats[path] = (own.st_size, own.st_mtime_ns, own.st_ino)
    return stats


def named_files(words: Sequence[str], folder: Path) -> Stats:
    """Return the stats of the existing files that arguments name, also as `--option=file`."""
    return stats_of(path for word in words for path in _possible_paths(word, folder))


class CommandDomain(Domain):
    """The versions of this package with which the commands of pages were run."""

    name = "nbcache-cli"
    label = "commands"
    # To be raised with the form of the data: Sphinx then reads all pages again
    # (https://www.sphinx-doc.org/en/master/extdev/domainapi.html).
    data_version = 1
    initial_data: ClassVar[dict[str, Any]] = {"versions": {}}

    @property
    def versions(self) -> dict[str, str]:
        """Docname → version of this package that its commands ran with; empty if one failed."""
        versions: dict[str, str] = self.data["versions"]
        return versions

    def clear_doc(self, docname: str) -> None:
        """Forget a document that is read again, or was removed."""
        self.versions.pop(docname, None)

    def merge_domaindata(self, docnames: AbstractSet[str], otherdata: dict[str, Any]) -> None:
        """Merge the data of a `-j` worker."""
        read = otherdata["versions"]
        self.versions.update({docname: read[docname] for docname in docnames if docname in read})

    def resolve_any_xref(self, *_args: Any, **_kwargs: Any) -> list[Any]:
        """Resolve nothing: the domain has no objects."""
        return []


def _versions(env: BuildEnvironment) -> dict[str, str]:
    domain = env.domains[CommandDomain.name]
    assert isinstance(domain, CommandDomain)
    return domain.versions


def note_commands(env: BuildEnvironment, *, well: bool) -> None:
    """Note whether the commands of the current page succeeded, with this version of the package."""
    versions = _versions(env)
    # One failure of a page stays until it is read again, even if later commands succeed.
    went_well = well and versions.get(env.docname, __version__) == __version__
    versions[env.docname] = __version__ if went_well else ""


def find_outdated_pages(
    _app: Sphinx, env: BuildEnvironment, _added: set[str], _changed: set[str], removed: set[str]
) -> list[str]:
    """`env-get-outdated`: pages read with another version of this package, or with a failure."""
    return [
        docname
        for docname, version in _versions(env).items()
        if version != __version__ and docname in env.found_docs and docname not in removed
    ]


def _possible_paths(word: str, folder: Path) -> Iterator[Path]:
    yield folder / word
    if word.startswith("-") and "=" in word:
        yield folder / word.partition("=")[2]
