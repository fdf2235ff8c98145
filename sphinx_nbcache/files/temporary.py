"""The folder for temporary folders, and its clean-up after a build was killed."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import filelock

_PREFIX, _LOCK_SUFFIX = "nbcache-work-", ".lock"
_SHORT = Path("/tmp")  # noqa: S108 (what is made in it has a name that cannot be guessed)
_LOCK_NAME = re.compile(rf"{_PREFIX}[0-9a-f]{{16}}{re.escape(_LOCK_SUFFIX)}")


@contextmanager
def work_folder(longest: int | None = None) -> Iterator[Path]:
    """Yield a unique path below the system's temporary folder, and remove it in the end.

    The folder is not created yet: its user does that. A lock next to it is held as long as the
    folder may exist. The system releases the locks of a killed process. The next caller of this
    function recognises leftover folders by their free locks, and removes them.

    Args:
        longest: How many bytes the path may have. If the system's temporary folder has a longer
            path, the folder is in another one that all users may write to.
    """
    base = _base(longest)
    _remove_left_behind(base)
    with ExitStack() as stack:
        folder = base / f"{_PREFIX}{secrets.token_hex(8)}"
        # Lock before the folder is created: otherwise another process could take it for one left
        # behind. Without locks, it is merely not removed after a kill.
        if lock := _try_lock(_lock_of(folder)):
            stack.callback(_release, lock)
        # Callbacks run in reverse order: the lock is held until the folder is gone.
        stack.callback(remove_folder, folder)
        yield folder


def _base(longest: int | None) -> Path:
    try:
        usual = Path(tempfile.gettempdir()).resolve()
    except OSError:
        return _SHORT  # not writable either; the user of the folder will report it
    # macOS has a folder with a long path for each user, too long for the path of a socket:
    # https://man7.org/linux/man-pages/man7/unix.7.html
    length = len(os.fsencode(_lock_of(usual / f"{_PREFIX}{'0' * 16}")))
    if longest is None or length <= longest or not os.access(_SHORT, os.W_OK):
        return usual
    return _SHORT


def remove_folder(folder: Path) -> None:
    """Remove a folder with its contents, as far as possible.

    Files that a run has made read-only are removed as well. Links are not followed.
    """
    for parent, names, _ in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if not path.is_symlink():
                with suppress(OSError):
                    # `os.walk` yields a folder before it lists what is below, so unreadable folders
                    # are opened here before it enters them.
                    path.chmod(stat.S_IRWXU)
    shutil.rmtree(folder, ignore_errors=True)


def _remove_left_behind(base: Path) -> None:
    try:
        with os.scandir(base) as entries:
            names = [entry.name for entry in entries if _LOCK_NAME.fullmatch(entry.name)]
    except OSError:
        return
    for name in names:
        path = base / name
        if _is_ours(path) and (lock := _try_lock(path)):
            remove_folder(base / name.removesuffix(_LOCK_SUFFIX))
            _release(lock)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(folder.name + _LOCK_SUFFIX)


def _is_ours(path: Path) -> bool:
    """Tell whether a file is the user's own: others may write to the same temporary folder."""
    try:
        found = path.lstat()
    except OSError:
        return False
    is_own = not hasattr(os, "getuid") or found.st_uid == os.getuid()
    return stat.S_ISREG(found.st_mode) and is_own


def _try_lock(path: Path) -> filelock.BaseFileLock | None:
    import filelock

    # The lock is released by the thread that leaves the context, which may be another one than
    # this. By default, filelock keeps a lock for each thread.
    lock = filelock.FileLock(path, thread_local=False)
    try:
        lock.acquire(blocking=False)
    # Some network file systems have no locks; then there is nothing to recognise leftovers by.
    except (OSError, NotImplementedError, filelock.Timeout):
        return None
    return lock


def _release(lock: filelock.BaseFileLock) -> None:
    with suppress(OSError):
        lock.release(force=True)
    with suppress(OSError):
        # Removing a lock file after its release is a race in general: another process may have
        # locked the file that is removed. Here it is harmless, because names are random and never
        # used again.
        Path(lock.lock_file).unlink(missing_ok=True)
