"""The folder in which a kernel works: its notebook's folder, or a temporary one.

Temporary folders that a killed build left behind are removed by the next one.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sphinx_nbcache.execution.job import Asset, Job
from sphinx_nbcache.files.paths import is_inner_path
from sphinx_nbcache.files.stats import Stat
from sphinx_nbcache.files.temporary import remove_folder
from sphinx_nbcache.results.artifacts import MadeFile

# Left behind by kernels and editors: never the work of a notebook.
_NOT_MADE = frozenset({".ipynb_checkpoints", "__pycache__"})


class PlaceError(Exception):
    """A place cannot be prepared. The message names the problem and its remedy."""


def _nothing() -> list[MadeFile]:
    return []


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that is ready for a run.

    Attributes:
        folder: The absolute path of the folder.
        take_files: Moves away, and so keeps, the files that the run created or changed there.
            Called once, after the kernel has ended.
    """

    folder: str
    take_files: Callable[[], list[MadeFile]] = field(default=_nothing)


def place_of(job: Job) -> AbstractContextManager[Place]:
    """Return the place of a job, as a context that prepares it and clears it away."""
    return in_own_folder(job) if job.temporary is None else in_temporary_folder(job)


@contextmanager
def in_own_folder(job: Job) -> Iterator[Place]:
    """Work in the notebook's folder. Files that a run leaves there stay there."""
    yield Place(job.directory)


@contextmanager
def in_temporary_folder(job: Job) -> Iterator[Place]:
    """Work in a temporary folder with copies of the assets.

    Raises:
        PlaceError: The folder cannot be created, or an asset cannot be copied.
    """
    assert job.temporary is not None
    try:
        below = Path(job.temporary.below)
        below.mkdir(mode=0o700, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="run-", dir=below))
    except OSError as error:
        raise PlaceError(f"no temporary folder can be made ({error})") from None
    try:
        for asset in job.temporary.assets:
            _copy(asset, folder)
        # After the copies are made: `copy2` restores modification times, but each later write
        # changes the time of change (ctime).
        before = {found.path: found.stat for found in _files_in(folder)}
        yield Place(str(folder), lambda: _take_files(folder, before))
    finally:
        remove_folder(folder)


def _copy(asset: Asset, folder: Path) -> None:
    if not is_inner_path(asset.path):
        raise PlaceError(f"the asset {asset.path!r} would not be in the temporary folder")
    source, target = Path(asset.source), folder / asset.path
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True, ignore=_not_copied)
        else:
            shutil.copy2(source, target)
        _make_writable(target)
    except FileNotFoundError:
        raise PlaceError(
            f"its asset {asset.path} does not exist ({source}); create it, or take it off the"
            " notebook's list of assets"
        ) from None
    except OSError as error:
        # `shutil.Error`, which `copytree` raises, is an OSError as well.
        raise PlaceError(f"its asset {asset.path} cannot be copied: {error}") from None


def _not_copied(folder: str, names: list[str]) -> set[str]:
    """Return the entries of a folder of assets that copies leave out.

    A link whose target does not exist cannot be copied: Emacs locks a file that is being edited by
    such a link (https://www.gnu.org/software/emacs/manual/html_node/emacs/Interlocking.html).
    """
    broken = {name for name in names if not os.path.exists(os.path.join(folder, name))}  # noqa: PTH110, PTH118 (hundreds of entries)
    return broken | shutil.ignore_patterns(*_NOT_MADE)(folder, names)


def _make_writable(path: Path) -> None:
    """Make copies writable, even if the originals are read-only."""
    # Both copy functions keep the mode. A cell that writes to its asset would fail with a copy
    # from a read-only checkout, and `rmtree` cannot empty a read-only folder.
    for item in (path, *path.rglob("*")) if path.is_dir() else (path,):
        item.chmod(item.stat().st_mode | stat.S_IWUSR)


def _take_files(folder: Path, before: dict[str, Stat]) -> list[MadeFile]:
    """Move the files that were created or changed out of a folder that will be removed.

    Raises:
        PlaceError: A file cannot be moved or examined.
    """
    try:
        changed = [found for found in _files_in(folder) if before.get(found.path) != found.stat]
        if not changed:
            return []
        kept = Path(tempfile.mkdtemp(prefix="kept-", dir=folder.parent))
        # Take links first, while their targets are still in place.
        changed.sort(key=lambda found: not found.entry.is_symlink())
        files = [_take(found, kept / str(number)) for number, found in enumerate(changed)]
    except OSError as error:
        raise PlaceError(f"what it wrote cannot be kept: {error}") from None
    return sorted(files, key=lambda file: file.path)


def _take(found: _Found, target: Path) -> MadeFile:
    # Drop setuid and the like: the mode is restored with the file, perhaps for another user.
    mode = stat.S_IMODE(found.entry.stat().st_mode) & 0o777
    if found.entry.is_symlink():
        # Its target may be kept as well, under its own name.
        shutil.copyfile(found.entry.path, target)
    else:
        Path(found.entry.path).replace(target)
    # Until the file is in the store, no other user may change it.
    target.chmod(0o600)
    return MadeFile(found.path, str(target), mode)


@dataclass(frozen=True, slots=True)
class _Found:
    """A file inside a folder, by its path relative to the folder."""

    path: str
    entry: os.DirEntry[str]
    stat: Stat


def _files_in(folder: Path) -> Iterator[_Found]:
    """Yield the files inside a folder that can be kept.

    A link counts as the file to which it leads, if that is in the folder too. Sockets, pipes,
    devices, and links to folders are skipped.
    """
    root = os.path.join(os.path.realpath(folder), "")  # noqa: PTH118 (with a separator at the end)
    pending = [root]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.name in _NOT_MADE:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                elif _is_file_inside(entry, root):
                    path = entry.path.removeprefix(root).replace(os.sep, "/")
                    yield _Found(path, entry, Stat.of(Path(entry.path)))


def _is_file_inside(entry: os.DirEntry[str], root: str) -> bool:
    # A link out of the folder could make the store keep any file that the user may read.
    leads_to = os.path.realpath(entry.path)
    return leads_to.startswith(root) and Path(leads_to).is_file()
