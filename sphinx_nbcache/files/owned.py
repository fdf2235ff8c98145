"""A folder of files that this package writes, in which files of others are never touched."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from sphinx_nbcache.bounded import Count, Digest, Many, Name, State
from sphinx_nbcache.files.atomic import replace_file
from sphinx_nbcache.files.confined import is_plain_file, open_folder
from sphinx_nbcache.files.moving import ForeignFileError, move_of, place, remove_file
from sphinx_nbcache.files.paths import is_inner_path
from sphinx_nbcache.files.stats import Stat, stat_or_none

# Also the mark of such a folder.
LIST = "nbcache-files.json"
_VERSION = 1
_MODE = 0o644  # as web servers need it


class _File(msgspec.Struct, frozen=True, array_like=True):
    state: State
    """From which state of its sources the file was made."""
    digest: Digest
    stat: Stat


class _Kept(msgspec.Struct, frozen=True):
    version: Count
    files: Annotated[dict[Name, _File], Many]


def why_not_owned(folder: Path, base: Path) -> str:
    """Say why a folder can be no folder of files of ours; return an empty text if it can.

    Args:
        folder: The folder, which need not exist.
        base: A folder of the user's, such as the source directory.
    """
    real = folder.resolve()
    if base.resolve().is_relative_to(real):
        return "it is the source directory, or contains it"
    try:
        is_free = (real / LIST).is_file() or not os.listdir(real)  # noqa: PTH208 (names are enough)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return error.strerror or str(error)
    foreign = "it has files that no build of this extension has written; move them away"
    return "" if is_free else foreign


class OwnedFolder:
    """A folder of files of ours: only a file whose content is still the written one is replaced.

    Digests tell that: a user may have edited or saved a file there.

    Attributes:
        folder: The folder, which need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._found = _load(folder / LIST)
        self._files = dict(self._found)

    @property
    def names(self) -> Mapping[str, object]:
        """The names of the files, relative to the folder, with slashes."""
        return self._files

    def is_current(self, name: str, state: str) -> bool:
        """Tell whether a file was written from this state, and is unchanged. Nothing is opened."""
        entry = self._files.get(name)
        return (
            entry is not None
            and entry.state == state
            and entry.stat == stat_or_none(self.folder / name)
        )

    def write(self, name: str, state: str, content: bytes) -> bool:
        """Write a file unless it has this content; return whether it was written.

        Raises:
            ForeignFileError: Something else is there. It is unchanged.
            OSError: The file cannot be written.
        """
        digest, path = hashlib.sha256(content).hexdigest(), self.folder / name
        found = _digest_at(path)
        entry = self._files.get(name)
        if found not in ("", digest) and (entry is None or entry.digest != found):
            raise ForeignFileError("no build has written what is there")
        if found != digest:
            self._mark()
            try:
                with open_folder(self.folder, name, create=True) as (folder, _):
                    place(folder, move_of(name, found), found, [content], _MODE)
            except ForeignFileError:
                # Another build may have written the same at the same time.
                if _digest_at(path) != digest:
                    raise
        self._files[name] = _File(state, digest, Stat.of(path))
        return found != digest

    def remove(self, name: str) -> None:
        """Remove a file if it is still as it was written; forget it in any case.

        Raises:
            OSError: It cannot be removed.
        """
        entry = self._files.pop(name)
        # The list is a file that others may have written.
        if not is_inner_path(name) or _digest_at(self.folder / name) != entry.digest:
            return
        with open_folder(self.folder, name) as (folder, _):
            remove_file(folder, move_of(name, entry.digest), entry.digest)

    def save(self) -> None:
        """Save what was written. Call this after all files, also if one of them failed.

        Raises:
            OSError: It cannot be saved.
        """
        if self._files == self._found:
            return
        files = {name: msgspec.to_builtins(file) for name, file in sorted(self._files.items())}
        replace_file(self.folder / LIST, json.dumps({"version": _VERSION, "files": files}))
        self._found = dict(self._files)

    def _mark(self) -> None:
        """Make the folder known as one of ours before it has a file: the build may be killed."""
        if not self._found and not (self.folder / LIST).is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            replace_file(self.folder / LIST, json.dumps({"version": _VERSION, "files": {}}))


def _load(path: Path) -> dict[str, _File]:
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
        return {}  # then every file is compared with what is to be written
    return kept.files if kept.version == _VERSION else {}


def _digest_at(path: Path) -> str:
    """Return the digest of a file; empty if nothing is there.

    Raises:
        ForeignFileError: Something is there that is no file, such as a link.
    """
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    if not is_plain_file(found):
        raise ForeignFileError("no regular file is there")
    return hashlib.sha256(path.read_bytes()).hexdigest()
