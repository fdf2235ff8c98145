"""The folder in which temporary folders are made, and what becomes of it when a build is killed."""

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
    """Name a folder below that of the system's temporary files, and remove it in the end.

    It is not made yet: who needs it makes it. A lock beside it is held as long as it may be
    there. The system lets go of the locks of a process that was killed, so what such a process
    has left is found by its free lock, and removed by the next one that comes here.

    Args:
        longest: How many bytes its path may have. If those of the system's folder are too many,
            it is in another one that everybody may write to.
    """
    base = _base(longest)
    _remove_left_behind(base)
    with ExitStack() as stack:
        folder = base / f"{_PREFIX}{secrets.token_hex(8)}"
        # Before the folder is made: else another process could take it for one left behind. Where
        # there are no locks, it is only not found after a kill.
        if lock := _try_lock(_lock_of(folder)):
            stack.callback(_release, lock)
        stack.callback(remove_folder, folder)
        yield folder


def _base(longest: int | None) -> Path:
    try:
        usual = Path(tempfile.gettempdir()).resolve()
    except OSError:
        return _SHORT  # nothing can be written there either, as whoever tries will say
    length = len(os.fsencode(_lock_of(usual / f"{_PREFIX}{'0' * 16}")))
    if longest is None or length <= longest or not os.access(_SHORT, os.W_OK):
        return usual
    return _SHORT


def remove_folder(folder: Path) -> None:
    """Remove a folder with all that is in it, as far as that is possible.

    What a run has made read-only is removed as well. Links are not followed.
    """
    for parent, names, _ in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if not path.is_symlink():
                with suppress(OSError):
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

    lock = filelock.FileLock(path, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except (OSError, NotImplementedError, filelock.Timeout):
        return None
    return lock


def _release(lock: filelock.BaseFileLock) -> None:
    with suppress(OSError):
        lock.release(force=True)
    with suppress(OSError):
        Path(lock.lock_file).unlink(missing_ok=True)
