"""The dependencies of a page with commands: it is read again when they change."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from sphinx_nbcache import __version__
from sphinx_nbcache.extension.domain import notebook_domain

Stats = dict[Path, tuple[int, int, int]]
"""Path → size, time of the last change in ns, inode."""


def stats_of(paths: Iterable[Path]) -> Stats:
    """Return the stats of those paths that are files."""
    stats: Stats = {}
    for path in paths:
        with suppress(OSError, ValueError):
            if path.is_file():
                own = path.stat()
                stats[path] = (own.st_size, own.st_mtime_ns, own.st_ino)
    return stats


def named_files(words: Sequence[str], folder: Path) -> Stats:
    """Return the stats of the existing files that arguments name, also as `--option=file`."""
    return stats_of(path for word in words for path in _possible_paths(word, folder))


def note_files(env: BuildEnvironment, paths: Iterable[Path]) -> None:
    """Note that the current page depends on files."""
    for path in paths:
        try:
            # Relative, because the environment may be moved to another machine.
            env.note_dependency(os.path.relpath(path, env.srcdir))
        except ValueError:
            env.note_dependency(str(path))  # on another drive of Windows


def note_commands(env: BuildEnvironment, *, well: bool) -> None:
    """Note whether the commands of the current page succeeded, with this version of the package."""
    versions = notebook_domain(env).cli_versions
    went_well = well and versions.get(env.docname, __version__) == __version__
    versions[env.docname] = __version__ if went_well else ""


def find_outdated_pages(
    _app: Sphinx, env: BuildEnvironment, _added: set[str], _changed: set[str], removed: set[str]
) -> list[str]:
    """`env-get-outdated`: pages read with another version of this package, or with a failure."""
    return [
        docname
        for docname, version in notebook_domain(env).cli_versions.items()
        if version != __version__ and docname in env.found_docs and docname not in removed
    ]


def _possible_paths(word: str, folder: Path) -> Iterator[Path]:
    yield folder / word
    if word.startswith("-") and "=" in word:
        yield folder / word.partition("=")[2]
