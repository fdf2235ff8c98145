"""A folder of files that this package writes, in which files of others are never touched."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from sphinx_nbcache.bounded import LARGEST_RECORD, Digest, Many, Name, State
from sphinx_nbcache.files.atomic import replace_file
from sphinx_nbcache.files.confined import is_plain_file, open_folder
from sphinx_nbcache.files.moving import ForeignFileError, move_of, place, remove_file
from sphinx_nbcache.files.paths import is_inner_path
from sphinx_nbcache.files.stats import Stat, stat_or_none
from sphinx_nbcache.text import is_encodable, one_line

# Also the mark of such a folder.
LIST = "nbcache-files.json"
_VERSION: Final = 2
_WRITER: Final = "sphinx_nbcache"
# A build that was killed while it wrote the list has left such a file.
_PARTIAL = re.compile(r"\.nbcache-[0-9a-f]{16}\.partial")
_MODE = 0o644  # as web servers need it
_FOREIGN = "no build has written what is there"


class _File(msgspec.Struct, frozen=True, array_like=True):
    state: State
    """From which state of its sources the file was made; empty if that is not known."""
    digests: Annotated[tuple[Digest, ...], msgspec.Meta(min_length=1, max_length=2)]
    """The contents that the file may have: two before a build replaces it, one after that."""
    stat: Stat | None


class _Mark(msgspec.Struct, frozen=True):
    writer: Literal["sphinx_nbcache"]
    version: Literal[2]
    source: Name
    """The source directory of the project, relative to the folder."""


class _Kept(_Mark, frozen=True):
    files: Annotated[dict[Name, _File], Many]


def why_not_owned(folder: Path, base: Path) -> str:
    """Say why a folder can be no folder of files of ours; return an empty text if it can.

    Args:
        folder: The folder, which need not exist.
        base: A folder of the user's, such as the source directory.
    """
    try:
        real = folder.resolve()
        if base.resolve().is_relative_to(real):
            return "it is the source directory, or contains it"
        names = os.listdir(real)  # noqa: PTH208 (names are enough)
        if LIST not in names and not all(map(_PARTIAL.fullmatch, names)):
            return "it has files that no build of this extension has written; move them away"
        _load(folder, base)
    except FileNotFoundError:
        return ""
    # Python before 3.13 raises a RuntimeError for a link that leads to itself.
    except (OSError, RuntimeError) as error:
        return getattr(error, "strerror", None) or str(error)
    return ""


def is_listed(folder: Path) -> bool:
    """Tell whether a build, of this project or another one, writes its files into a folder."""
    try:
        msgspec.json.decode(_read_list(folder), type=_Mark)
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True


class OwnedFolder:
    """A folder of files of ours: only a file whose content is still the written one is replaced.

    Digests tell that: a user may have edited or saved a file there. They are listed before a file
    is written, so that files of a build that is killed are known.

    Attributes:
        folder: The folder, which need not exist.

    Args:
        folder: The folder.
        base: The source directory of the project.

    Raises:
        ForeignFileError: Its list is not one of this project.
        OSError: Its list cannot be read.
    """

    def __init__(self, folder: Path, base: Path) -> None:
        self.folder = folder
        self._base = base
        self._saved = _load(folder, base)
        self._files = dict(self._saved)
        self._changed: set[str] = set()

    @property
    def names(self) -> Mapping[str, object]:
        """The names of the files, relative to the folder, with slashes."""
        return self._files

    def is_current(self, name: str, state: str) -> bool:
        """Tell whether a file was written from this state, and is unchanged. Nothing is opened."""
        entry = self._files.get(name)
        return (
            entry is not None
            and entry.stat is not None
            and entry.state == state
            and entry.stat == stat_or_none(self.folder / name)
        )

    def write(self, wanted: Mapping[str, tuple[str, bytes]]) -> dict[str, bool | OSError]:
        """Write files unless they have their content.

        Args:
            wanted: The state and the content of each file, by name.

        Returns:
            For each file whether it was written, or why it cannot be: a ForeignFileError if
            something else is there, which is unchanged.

        Raises:
            OSError: The list of the files cannot be written. Nothing else is, then.
        """
        if not wanted:
            return {}
        self._merge()
        outcomes: dict[str, bool | OSError] = {}
        found: dict[str, str] = {}
        digests = {
            name: hashlib.sha256(content).hexdigest() for name, (_, content) in wanted.items()
        }
        before = {name: self._files.get(name) for name in wanted}
        for name, digest in digests.items():
            try:
                there = _digest_at(self.folder / name)
            except OSError as error:
                outcomes[name] = error
                continue
            entry = before[name]
            if there and (entry is None or there not in entry.digests):
                # A file with the same content is as good, but it stays the user's.
                outcomes[name] = ForeignFileError(_FOREIGN) if there != digest else False
            else:
                found[name] = there
                known = dict.fromkeys([there, digest]) if there else [digest]
                self._keep(name, _File("", tuple(known), None))
        if any(there != digests[name] for name, there in found.items()):
            self.folder.mkdir(parents=True, exist_ok=True)
            self.save()
        for name, there in found.items():
            state, content = wanted[name]
            try:
                if there != digests[name]:
                    self._place(name, there, digests[name], content)
                stat = Stat.of(self.folder / name)
                self._keep(name, _File(state, (digests[name],), stat))
                outcomes[name] = there != digests[name]
            except OSError as error:
                self._keep(name, before[name])
                outcomes[name] = error
        return outcomes

    def remove(self, name: str) -> None:
        """Remove a file if it is still as it was written; forget it in any case.

        Raises:
            OSError: It cannot be removed.
        """
        entry = self._files[name]
        self._keep(name, None)
        # The list is a file that others may have written.
        if (
            not is_inner_path(name)
            or (there := _digest_at(self.folder / name)) not in entry.digests
        ):
            return
        with open_folder(self.folder, name) as (folder, _):
            remove_file(folder, move_of(name, there), there)

    def save(self) -> None:
        """Save what was written. Call this after all files, also if one of them failed.

        Raises:
            OSError: It cannot be saved.
        """
        if self._files == self._saved:
            return
        self._merge()
        source = _source_of(self.folder, self._base)
        kept = _Kept(_WRITER, _VERSION, source, dict(sorted(self._files.items())))
        replace_file(self.folder / LIST, json.dumps(msgspec.to_builtins(kept)))
        self._saved = dict(self._files)

    def _keep(self, name: str, file: _File | None) -> None:
        self._changed.add(name)
        if file is None:
            self._files.pop(name, None)
        else:
            self._files[name] = file

    def _merge(self) -> None:
        """Take over what another build of the project has listed in the meantime."""
        others = _load(self.folder, self._base)
        self._saved = others
        ours = {name: file for name, file in self._files.items() if name in self._changed}
        kept = {name: file for name, file in others.items() if name not in self._changed}
        self._files = kept | ours

    def _place(self, name: str, found: str, digest: str, content: bytes) -> None:
        try:
            with open_folder(self.folder, name, create=True) as (folder, _):
                place(folder, move_of(name, found), found, [content], _MODE)
        except ForeignFileError:
            # Another build may have written the same at the same time.
            if _digest_at(self.folder / name) != digest:
                raise


def _source_of(folder: Path, base: Path) -> str:
    """Return what tells a project from others, without a name of the machine."""
    try:
        source = Path(os.path.relpath(base.resolve(), folder.resolve())).as_posix()
    except ValueError:  # on another drive of Windows
        source = ""
    if source and is_encodable(source):
        return source
    return hashlib.sha256(os.fsencode(base.resolve())).hexdigest()


def _read_list(folder: Path) -> bytes:
    """Return the list of a folder.

    Raises:
        ForeignFileError: It is none of ours.
        OSError: There is none, or it cannot be read.
    """
    found = (folder / LIST).lstat()
    if not is_plain_file(found) or found.st_size > LARGEST_RECORD:
        raise ForeignFileError(f"its {LIST} is not a list that a build has written")
    return (folder / LIST).read_bytes()


def _load(folder: Path, base: Path) -> dict[str, _File]:
    """Return the files that builds of a project have listed.

    Raises:
        ForeignFileError: The list is none of ours, or of another project.
        OSError: The list cannot be read.
    """
    try:
        kept = msgspec.json.decode(_read_list(folder), type=_Kept)
    except FileNotFoundError:
        return {}
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise ForeignFileError(
            f"its {LIST} is not a list that a build has written; move the folder away"
        ) from None
    if kept.source != _source_of(folder, base):
        raise ForeignFileError(
            f"it has the executed notebooks of another project, in {one_line(kept.source)!r};"
            " remove the folder if that has been moved"
        )
    return kept.files


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
