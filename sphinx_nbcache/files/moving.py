"""Puts files in place and removes them, without harm to files that a user saves meanwhile.

A journal names the files that are under way, so that a build that is killed leaves nothing aside.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import signal
import stat
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress

import msgspec

from sphinx_nbcache.bounded import Name
from sphinx_nbcache.files.confined import OpenFolder, is_plain_file
from sphinx_nbcache.files.protected import look_alike

# File systems allow 255 bytes. Most of the original name is kept, so that a user who finds a file
# left aside recognises it.
_ASIDE = re.compile(r"\.nbcache-[0-9a-f]{16}-(aside|partial)(-.*)?", re.DOTALL)
_LONGEST_NAME = 200
_CHUNK = 1 << 20


class ForeignFileError(OSError):
    """A file differs from the one that the run left there. It stays, or is restored, unchanged."""


class Move(msgspec.Struct, frozen=True):
    """A change of one file, as the journal keeps it until the change is complete.

    A process that is killed may leave the file under the name `aside`: the next one gives it its
    name back.
    """

    folder: Name
    """The folder, relative to the root; empty for the root itself."""
    name: Name
    """The file in it."""
    token: Name
    """Random, in hexadecimal."""
    found: Name = ""
    """The digest of the content that the run gave it; empty if nothing was there."""

    @property
    def aside(self) -> str:
        """The name that the old file has meanwhile."""
        return f".nbcache-{self.token}-aside-{self._short_name}"

    @property
    def partial(self) -> str:
        """The name that the new file has meanwhile."""
        return f".nbcache-{self.token}-partial"

    @property
    def path(self) -> str:
        """The file, relative to the root."""
        return f"{self.folder}/{self.name}" if self.folder else self.name

    @property
    def is_plausible(self) -> bool:
        """Whether this can be a move of ours: only this module gives such names."""
        return (
            # The journal is a file that other programs may have written: it must not name files
            # elsewhere.
            self.name.partition("/")[0].partition("\0")[0] == self.name
            and _ASIDE.fullmatch(self.aside) is not None
            and re.fullmatch("[0-9a-f]{16}", self.token) is not None
        )

    @property
    def _short_name(self) -> str:
        return self.name.encode()[:_LONGEST_NAME].decode(errors="ignore")


def move_of(path: str, found: str = "") -> Move:
    """Return a new move of a file, which is named relative to the root."""
    folder, _, name = path.rpartition("/")
    return Move(folder, name, secrets.token_hex(8), found)


def remove_file(
    folder: OpenFolder, move: Move, digest: str, is_kept: Callable[[], bool] = lambda: False
) -> None:
    """Remove a file if it has the content that a run left there.

    Args:
        folder: Its folder.
        move: The move.
        digest: The digest of that content.
        is_kept: Returns whether the file stays nevertheless. It is called when the file is aside:
            from then on git cannot add it under its name.

    Raises:
        ForeignFileError: It has another content, or stays.
        OSError: It cannot be removed.
    """
    _take(folder, move, digest)
    try:
        stays = is_kept()
    except BaseException:
        _give_back(folder, move)
        raise
    if stays:
        _give_back(folder, move)
        raise ForeignFileError("git tracks it now")
    folder.remove(move.aside)


def place(folder: OpenFolder, move: Move, found: str, content: Iterable[bytes], mode: int) -> None:
    """Put a file in place, or replace one that has the content that a run left there.

    Args:
        folder: Its folder.
        move: The move.
        found: The digest of the content to replace; empty if nothing is there.
        content: The new content. It is complete before anything is replaced.
        mode: The permissions of the new file.

    Raises:
        ForeignFileError: Something else is there.
        OSError: The file cannot be written.
    """
    if (other := look_alike(move.name, folder.names())) is not None:
        raise ForeignFileError(f"its name would differ from {other!r} only in its spelling")
    try:
        # Write all of it before the old file moves: reading the content may fail, and the disk may
        # be full.
        _write(folder, move.partial, content, mode)
        if found:
            _take(folder, move, found)
        is_named = False
        try:
            _name(folder, move.partial, move.name)
            is_named = True
        except FileExistsError:
            raise ForeignFileError("something else was saved there in the meantime") from None
        except OSError:
            if found:
                _give_back(folder, move)
            raise
        finally:
            # The old file is proven to be the run's, and is not needed if the name was taken: by
            # the new one, even if a user has deleted that since, or by what a user saved.
            if found and (is_named or folder.look(move.name) is not None):
                with suppress(FileNotFoundError):  # it has its name again
                    folder.remove(move.aside)
    finally:
        with suppress(FileNotFoundError):
            folder.remove(move.partial)


def recover(folder: OpenFolder, move: Move) -> str | None:
    """Complete or undo a move whose process was killed.

    Returns:
        The name under which a file was left because its own name is taken, if any.
    """
    with suppress(FileNotFoundError):
        folder.remove(move.partial)
    aside, there = folder.look(move.aside), folder.look(move.name)
    if aside is None:
        return None
    # `_name` was interrupted after it had linked the file, and before it removed the other name.
    if there is not None and os.path.samestat(aside, there):
        folder.remove(move.aside)  # it had got its name back
        return None
    kept = _give_back(folder, move)
    is_file = is_plain_file(aside)
    if kept is not None and is_file and move.found and _content(folder, kept) == move.found:
        folder.remove(kept)  # it was replaced, and is proven to be the run's
        return None
    return kept


def _take(folder: OpenFolder, move: Move, digest: str) -> None:
    """Rename a file aside, if it has this content.

    Raises:
        ForeignFileError: It has another content, or is in use by another process. It has its name
            again.
    """
    if not is_plain_file(folder.look(move.name)):
        raise ForeignFileError("no regular file is there")
    # Rename first, and compare then: whatever a user saves from now on is a new file under the old
    # name. If the content were compared first, a file saved in between would be lost.
    folder.rename(move.name, move.aside)
    is_ours, why = False, "it was changed in the meantime"
    try:
        is_ours = is_plain_file(folder.look(move.aside)) and _content(folder, move.aside) == digest
    except OSError as error:
        why = error.strerror or str(error)
    finally:
        kept = None if is_ours else _give_back(folder, move)
    if not is_ours:
        where = f"; it is kept as {folder.path / kept}" if kept else ""
        raise ForeignFileError(f"{why}{where}")


def _give_back(folder: OpenFolder, move: Move) -> str | None:
    """Give a file its name back; return the name that it keeps if its own is taken.

    It may be anything that a user has put there in the last instant.
    """
    found = folder.look(move.aside)
    try:
        if found is not None and stat.S_ISDIR(found.st_mode):
            # A folder has no second name. One of that name is replaced only if it is empty.
            folder.rename(move.aside, move.name)
        else:
            _name(folder, move.aside, move.name)
    except OSError:
        return move.aside
    return None


def _name(folder: OpenFolder, temporary: str, name: str) -> None:
    """Give a file its name without overwriting anything.

    Raises:
        FileExistsError: Something has that name.
    """
    try:
        # A rename would overwrite what a user has just saved. Python has no RENAME_NOREPLACE, and a
        # link fails if the name is taken: https://man7.org/linux/man-pages/man2/rename.2.html
        folder.link(temporary, name)
    except FileExistsError:
        raise
    except (OSError, NotImplementedError):
        # FAT and some network file systems have no links. Creating the copy fails as well if the
        # name is taken, but readers may see the file before it is complete.
        _copy(folder, temporary, name)
    folder.remove(temporary)


def _copy(folder: OpenFolder, source: str, name: str) -> None:
    target = folder.create(name)
    try:
        with (
            open(folder.open(source), "rb") as old,  # noqa: PTH123 (a descriptor)
            open(target, "wb") as new,  # noqa: PTH123
        ):
            while chunk := old.read(_CHUNK):
                new.write(chunk)
            if hasattr(os, "fchmod"):
                os.fchmod(new.fileno(), os.fstat(old.fileno()).st_mode & 0o777)
    except BaseException:
        folder.remove(name)
        raise


def _write(folder: OpenFolder, name: str, content: Iterable[bytes], mode: int) -> None:
    with open(folder.create(name), "wb") as file:  # noqa: PTH123 (a descriptor)
        # Until it is complete, the file is readable by its owner only, whatever mode it will have.
        file.writelines(content)
        if hasattr(os, "fchmod"):
            os.fchmod(file.fileno(), mode)


def _content(folder: OpenFolder, name: str) -> str | None:
    """Return the digest of a file; `None` if it is in use or changes meanwhile."""
    digest = hashlib.sha256()
    with open(folder.open(name), "rb", buffering=0) as file:  # noqa: PTH123 (a descriptor)
        if _is_being_written(file.fileno()):
            return None
        # The lease was given up before the content is read, so a process may begin to write
        # meanwhile.
        before = os.fstat(file.fileno())
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
        after = os.fstat(file.fileno())
    is_same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    return digest.hexdigest() if is_same else None


def _is_being_written(descriptor: int) -> bool:
    """Tell whether a process has a file open for writing, where the system tells.

    Linux grants a lease for reading only if the file is open for writing nowhere (`fcntl(2)`). It
    is given up at once. If another process opened the file in that instant, by another link, the
    kernel would send SIGIO, which ends a process by default; SIGURG is ignored by default.
    """
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        # Set the signal before the lease, which may be broken at once: see "Leases" in
        # https://man7.org/linux/man-pages/man2/fcntl.2.html
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False  # not the owner, or a file system without leases
    with suppress(OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
