"""Folders under the root that are held open, so that nothing can lead out of them meanwhile.

A path is checked and then used: in between, another process may put a link in the place of a
folder. So each folder is opened from the one above it without following links, and files are
named relative to the open folder (`openat(2)`). Where the system has no such calls, as on
Windows, a full path is used, and the race remains.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sphinx_nbcache.files.protected import look_alike, why_never

_HAS_FOLDERS = os.open in os.supports_dir_fd and os.rename in os.supports_dir_fd
# O_NOFOLLOW concerns only the last component of a path, so folders are opened one by one.
# https://man7.org/linux/man-pages/man2/openat.2.html
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
# Without O_NONBLOCK, opening a named pipe would wait until another process writes to it.
_OLD = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
# Limits of file systems, in bytes. Otherwise folders would be made before a long name fails.
_LONGEST_NAME = 255
# On Windows, `os.open` translates line ends unless this is set.
_BINARY = getattr(os, "O_BINARY", 0)


class OpenFolder:
    """A folder in which files are named without a path."""

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self.path = path
        self._fd = descriptor

    def names(self) -> list[str]:
        """Return the names of all entries."""
        return os.listdir(self.path if self._fd is None else self._fd)  # noqa: PTH208 (a descriptor)

    def look(self, name: str) -> os.stat_result | None:
        """Return the stat of an entry, without following a link; `None` if there is none."""
        try:
            return os.stat(self._path(name), dir_fd=self._fd, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def create(self, name: str) -> int:
        """Return the descriptor of a new file that only its owner can read or write.

        Raises:
            FileExistsError: Something has that name.
        """
        return os.open(self._path(name), _NEW | _BINARY, 0o600, dir_fd=self._fd)

    def open(self, name: str) -> int:
        """Return a descriptor to read from. It does not follow a link, or wait for a pipe."""
        return os.open(self._path(name), _OLD | _BINARY, dir_fd=self._fd)

    def rename(self, name: str, new: str) -> None:
        """Rename an entry; `new` must be free."""
        os.rename(self._path(name), self._path(new), src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def link(self, name: str, new: str) -> None:
        """Give a file another name.

        Raises:
            FileExistsError: Something has that name: it is never overwritten.
        """
        os.link(
            self._path(name),
            self._path(new),
            src_dir_fd=self._fd,
            dst_dir_fd=self._fd,
            follow_symlinks=False,
        )

    def remove(self, name: str) -> None:
        """Remove a file."""
        os.unlink(self._path(name), dir_fd=self._fd)

    def remove_folder(self, name: str) -> None:
        """Remove a folder that is empty.

        Raises:
            OSError: The folder is not empty, or is a link.
        """
        os.rmdir(self._path(name), dir_fd=self._fd)

    def _path(self, name: str) -> str:
        return name if self._fd is not None else str(self.path / name)


@contextmanager
def open_folder(root: Path, name: str, *, create: bool = False) -> Iterator[tuple[OpenFolder, str]]:
    """Open the folder of a file under the root.

    Args:
        root: The root.
        name: The file, relative to the root.
        create: Whether to make folders that are missing.

    Yields:
        The folder, and the name of the file in it.

    Raises:
        OSError: Nothing may be written there, or a folder is missing or not a folder.
    """
    base, real = root.resolve(), real_name(root, name)
    # Check the path after links are followed: `docs` may be a link to `.git`.
    if (never := why_never(real)) is not None:
        raise OSError(never)
    inner, last = Path(real).parent, name.rpartition("/")[2]
    if not _HAS_FOLDERS:
        _walk(base, inner.parts, create=create)
        yield OpenFolder(base / inner, None), last
        return
    descriptor = os.open(base, _FOLDER)
    try:
        for part in inner.parts:
            # Assign before closing: if closing fails, `finally` must not close the folder above
            # again.
            above, descriptor = descriptor, _entered(descriptor, part, create=create)
            os.close(above)
        yield OpenFolder(base / inner, descriptor), last
    finally:
        os.close(descriptor)


def _walk(folder: Path, parts: Iterable[str], *, create: bool) -> None:
    """Check or make folders where none can be held open, as on Windows."""
    for part in parts:
        above, folder = folder, folder / part
        if create and not os.path.lexists(folder):
            _refuse_look_alike(part, (path.name for path in above.iterdir()))
            folder.mkdir()
        if not stat.S_ISDIR(folder.lstat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def _refuse_look_alike(part: str, names: Iterable[str]) -> None:
    if (other := look_alike(part, names)) is not None:
        raise OSError(f"the folder {part!r} would differ from {other!r} only in its spelling")


def _entered(folder: int, part: str, *, create: bool) -> int:
    try:
        return os.open(part, _FOLDER, dir_fd=folder)
    except FileNotFoundError:
        if not create:
            raise
    # On a file system that ignores case, `os.open` would have found the other folder. On others, a
    # second folder would be one with it for everyone who clones the project onto macOS.
    _refuse_look_alike(part, os.listdir(folder))
    os.mkdir(part, dir_fd=folder)
    return os.open(part, _FOLDER, dir_fd=folder)


def real_name(root: Path, name: str) -> str:
    """Return the name of a file under the root after following links to its folder.

    Raises:
        OSError: A link leads out of the root, or links form a circle.
    """
    folder, _, last = name.rpartition("/")
    try:
        inner = (root / folder).resolve().relative_to(root.resolve())
    except ValueError:
        raise OSError("a link leads out of the project there") from None
    except RuntimeError:
        # Before Python 3.13; later versions leave it to the caller, for whom opening fails.
        # https://docs.python.org/3/library/pathlib.html#pathlib.Path.resolve
        raise OSError("links to its folder form a circle") from None
    return (inner / last).as_posix()


def obstacle(root: Path, name: str) -> str | None:
    """Say why no file can be put at a path; `None` if a file is there, or could be.

    Args:
        root: The root.
        name: The return value of [](real_name).

    Raises:
        OSError: The path cannot be examined.
    """
    *folders, last = name.split("/")
    if any(len(os.fsencode(part)) > _LONGEST_NAME for part in (*folders, last)):
        return "its name is too long"
    _lstat(root / name)  # whether all of it is too long
    path = root
    for part in folders:
        found = _lstat(path / part)
        if found is None:
            return _spelled_otherwise(path, part)
        path /= part
        if not stat.S_ISDIR(found.st_mode):
            return f"{path.name} is no folder"
        if _is_repository(path):
            return f"{path.name} is a git repository"
    found = _lstat(path / last)
    if found is None:
        return _spelled_otherwise(path, last)
    return "a link is there" if stat.S_ISLNK(found.st_mode) else None


def _lstat(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _spelled_otherwise(folder: Path, part: str) -> str | None:
    other = look_alike(part, os.listdir(folder))  # noqa: PTH208 (names are enough)
    return f"{part} would differ from {other} only in its spelling" if other is not None else None


def _is_repository(folder: Path) -> bool:
    """Tell whether a folder has the contents of a `.git` folder, as a bare repository has."""
    # git takes such a folder for a bare repository, and runs programs that its `config` names.
    # Users can forbid this (`safe.bareRepository`), but do not by default.
    # https://git-scm.com/docs/git-config
    head, objects = folder / "HEAD", folder / "objects"
    return os.path.lexists(head) and os.path.isdir(objects)  # noqa: PTH112 (never raises)


def is_plain_file(found: os.stat_result | None) -> bool:
    """Tell whether something is a regular file, not a link to one."""
    return found is not None and stat.S_ISREG(found.st_mode)
