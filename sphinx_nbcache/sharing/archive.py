"""Archives: results that travel, as one file. It is a ZIP file with the objects of packing.py.

Nothing is extracted to the disk. A file that could be unsafe for any program is refused
nevertheless: with paths, links or devices, or with more than its size says.
"""

from __future__ import annotations

import re
import stat
import struct
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from sphinx_nbcache.files.atomic import replacing
from sphinx_nbcache.results.records import SCHEMA, content_digest
from sphinx_nbcache.sharing.packing import (
    INDEX,
    LARGEST_OBJECT,
    PACKS,
    Line,
    Offer,
    Parcel,
    UnusableError,
    index_of,
    lines_of,
    offer_of,
    packs_of,
    parcel_of,
    refuse_spoilt,
    wrap,
)
from sphinx_nbcache.store.opening import folder_name

_NAME = re.compile(
    rf"nbcache-([0-9]{{1,6}})/(?:([pob]/)[0-9a-f]{{64}}|{re.escape(INDEX)})", re.ASCII
)
_FOLDER = folder_name(SCHEMA) + "/"
# The first time that ZIP can say.
_NO_TIME = (1980, 1, 1, 0, 0, 0)
_UNIX, _PLAIN_FILE = 3, (stat.S_IFREG | 0o644) << 16
_ENCRYPTED = 0x1
# 300,000 objects. zipfile reads the whole list into memory.
_LARGEST_LIST = 1 << 25
# The ends of a ZIP file: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, 4.3.14 to
# 4.3.16.
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
# zipfile raises these for a wrong checksum, a header that differs, a position out of the file.
_BROKEN = (
    *(zipfile.BadZipFile, struct.error, EOFError, NotImplementedError),
    *(OSError, OverflowError, RuntimeError, ValueError),
)


class ArchiveError(Exception):
    """A file is no archive of results, or is not safe. The message says why."""


def write_archive(path: Path, parcels: Iterable[tuple[str, Parcel]]) -> int:
    """Write results into an archive, atomically; return how many. Equal results, equal bytes.

    Args:
        path: The file. One that exists is replaced.
        parcels: The results in a fixed order, each after its code key.

    Raises:
        OSError: The file cannot be written.
    """
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        lines: list[Line] = []
        written: set[str] = set()
        for key, parcel in parcels:
            line, objects = wrap(parcel, key)
            lines.append(line)
            for name in sorted(objects.keys() - written):
                _write(archive, name, objects[name])
            written |= objects.keys()
        packs = {PACKS + content_digest(pack): pack for pack in packs_of(lines)}
        for name, pack in packs.items():
            _write(archive, name, pack)
        # Unpacked on a web server, an archive is a shared store.
        _write(archive, INDEX, index_of(packs))
    return len(lines)


def _write(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    # No time, no user, no rights, and the same system everywhere. The objects are compressed.
    info = zipfile.ZipInfo(_FOLDER + name, _NO_TIME)
    info.create_system, info.external_attr = _UNIX, _PLAIN_FILE
    archive.writestr(info, content, zipfile.ZIP_STORED)


class Archive:
    """An archive that was examined as a whole: every object is what its name says.

    Args:
        path: The file.

    Raises:
        ArchiveError: It is no archive of results, or it is not safe.
        OSError: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with ExitStack() as closing:
            file = closing.enter_context(path.open("rb"))
            try:
                count = _count(file)
                self._zip = closing.enter_context(zipfile.ZipFile(file))
            except _BROKEN as error:
                raise ArchiveError(f"{path} is no archive of results: {error}") from None
            self._members = _safe_members(self._zip, path, count)
            self._offers = tuple(self._examined())
            self._open = closing.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._open.close()

    @property
    def offers(self) -> tuple[Offer, ...]:
        """The results."""
        return self._offers

    def parcel(self, offer: Offer) -> Parcel:
        """Return a result with its contents.

        Raises:
            ArchiveError: They are not there, or not what a store sends.
        """
        try:
            found = {name: self._read(name) for name in offer.objects if name in self._members}
            return parcel_of(offer, found)
        except UnusableError as error:
            raise self._refused(error) from None

    def _examined(self) -> Iterator[Offer]:
        """Read every object, and yield the results."""
        try:
            for name in self._members.keys() - {INDEX}:
                content = self._read(name)
                refuse_spoilt(name, content)
                if name.startswith(PACKS):
                    yield from map(_offer_of, lines_of(content))
        except UnusableError as error:
            raise self._refused(error) from None

    def _read(self, name: str) -> bytes:
        try:
            return self._zip.read(self._members[name])
        except _BROKEN as error:
            raise ArchiveError(f"{self._path} is damaged: {error}") from None

    def _refused(self, error: UnusableError) -> ArchiveError:
        return ArchiveError(f"{self._path} is damaged: {error}")


def _offer_of(line: Line | UnusableError) -> Offer:
    if isinstance(line, UnusableError):
        raise line
    return offer_of(line)


def _safe_members(archive: zipfile.ZipFile, path: Path, count: int) -> dict[str, zipfile.ZipInfo]:
    """Return the objects of an archive, by name.

    Args:
        archive: The archive.
        path: Its file.
        count: How many entries it says that it has.

    Raises:
        ArchiveError: An entry is none that this package writes.
    """
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        # The name as it is in the file: `filename` ends at a NUL.
        match = _NAME.fullmatch(info.orig_filename)
        if match is None:
            raise ArchiveError(
                f"{path} is no archive of results: it has {info.orig_filename!r:.200}"
            )
        if int(match[1]) != SCHEMA:
            raise ArchiveError(
                f"{path} has results in the format {match[1]}, and this version has {SCHEMA}"
            )
        if fault := _fault(info, LARGEST_OBJECT[match[2] or INDEX]):
            raise ArchiveError(f"{path} is not safe: {info.orig_filename[-68:]} {fault}")
        name = info.orig_filename.removeprefix(_FOLDER)
        if name in members:
            raise ArchiveError(f"{path} is not safe: {name} is in it twice")
        members[name] = info
    if len(members) != count:
        raise ArchiveError(f"{path} is damaged: its list is not complete")
    # Entries can overlap, so that a small file has as much as a large one.
    if sum(info.file_size for info in members.values()) > path.stat().st_size:
        raise ArchiveError(f"{path} is not safe: its entries overlap")
    return members


def _fault(info: zipfile.ZipInfo, largest: int) -> str:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG) or info.external_attr & 0x10:
        return "is a link, a device or a folder"
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        return "is compressed, which no export does"
    return "is too large" if info.file_size > largest else ""


def _count(file: BinaryIO) -> int:
    """Return how many entries a file says that it has.

    Raises:
        ValueError: The list of entries would take too much memory, or is not where exports have it.
    """
    size = file.seek(0, 2)
    length = _END_64.size + _LOCATOR.size + _END.size
    file.seek(max(0, size - length))
    end = file.read(length)
    if len(end) < _END.size or end[-_END.size :][:4] != b"PK\5\6":
        raise ValueError("its end is missing, or it is another kind of file")
    _, _, _, _, count, listed, _, _ = _END.unpack(end[-_END.size :])
    # zipfile believes the second end, if there is one, whatever the first one says.
    if end[-_END.size - _LOCATOR.size :][:4] == b"PK\6\7" and len(end) == length:
        count, listed = _END_64.unpack(end[: _END_64.size])[7:9]
    if listed > _LARGEST_LIST:
        raise ValueError("its list is too long")
    return int(count)
