"""The bytes of results that travel. Every object is named by the SHA-256 of its content.

    p/<digest>  a pack: a line of JSON for each of many results, compressed
    o/<digest>  a bundle: the small contents of one result, MessagePack, compressed
    b/<digest>  a large content as it is
    index.json  the digests of packs, for readers who cannot list: the only object that changes

A pack is written after all that it refers to. Readers treat all of it as data of strangers: it is
limited before it is decoded, typed, and never trusted.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated

import msgspec

from sphinx_nbcache.bounded import Digest
from sphinx_nbcache.results.outputs import OutputsError, unpack
from sphinx_nbcache.results.records import Result, Status, content_digest, contradiction
from sphinx_nbcache.traces.trace import Trace, decode_trace

PACKS, BUNDLES, BLOBS = "p/", "o/", "b/"
INDEX = "index.json"
LARGEST_LINE = 1 << 23
"""Bytes of a record and its trace. A trace of 10,000 files has 1 MB."""
LARGEST_BLOB = 1 << 28
"""Bytes of one content."""
LARGEST_RESULT = 1 << 30
"""Bytes of all contents of a result."""
LARGEST_OBJECT = {PACKS: 1 << 25, BUNDLES: 1 << 25, BLOBS: LARGEST_BLOB, INDEX: 1 << 24}
"""Bytes of an object, by its kind."""

# Contents of at least this size are objects of their own: equal ones are kept once.
_LARGE = 1 << 18
# A bundle with more is split up: it is decoded in memory.
_FULL = 1 << 23
# Bytes of a pack or a bundle when it is decompressed.
_MOST = 1 << 26
# Writers begin another pack at this size, so that readers take every pack.
_PACK = 1 << 23
_MOST_CONTENTS = 1_000_000
_Contents = Annotated[dict[Digest, bytes], msgspec.Meta(max_length=_MOST_CONTENTS)]
_Sizes = Annotated[
    dict[Digest, Annotated[int, msgspec.Meta(ge=0, le=LARGEST_BLOB)]],
    msgspec.Meta(max_length=_MOST_CONTENTS),
]


class UnusableError(Exception):
    """An object, or a result in it, is not what a store of this package sent. It says why."""


class Parcel(msgspec.Struct, frozen=True):
    """A result with all that belongs to it.

    Attributes:
        record: Its record, as JSON.
        trace: Its trace, as JSON.
        contents: All other contents, by digest.
    """

    record: bytes
    trace: bytes
    contents: dict[str, bytes]


class Offer(msgspec.Struct, frozen=True):
    """A result whose contents are elsewhere. It was checked, except for these.

    Attributes:
        digest: The digest of the record.
        result: The record.
        trace: The trace.
        record: The record as JSON.
        traced: The trace as JSON.
        bundle: The digest of the bundle.
        large: The sizes of its large contents, by digest.
    """

    digest: str
    result: Result
    trace: Trace
    record: bytes
    traced: bytes
    bundle: str
    large: Mapping[str, int]

    @property
    def objects(self) -> tuple[str, ...]:
        """The names of the objects with its contents."""
        return (BUNDLES + self.bundle, *(BLOBS + digest for digest in self.large))


class Line(msgspec.Struct, frozen=True):
    """A line of a pack."""

    key: Digest
    """The code key."""
    bundle: Digest
    large: _Sizes
    """The contents that are objects of their own, with their sizes."""
    result: msgspec.Raw
    trace: msgspec.Raw

    @property
    def digest(self) -> str:
        """The digest of the record."""
        return content_digest(bytes(self.result))


def wrap(parcel: Parcel, key: str) -> tuple[Line, dict[str, bytes]]:
    """Return the line of a result, and the objects that have to be there before it is."""
    small: dict[str, bytes] = {}
    objects: dict[str, bytes] = {}
    large: dict[str, int] = {}
    room = _FULL
    for digest in sorted(parcel.contents, key=lambda d: (len(parcel.contents[d]), d)):
        content = parcel.contents[digest]
        room -= len(content)
        if len(content) >= _LARGE or room < 0:
            large[digest] = len(content)
            objects[BLOBS + digest] = content
        else:
            small[digest] = content
    ordered = {digest: small[digest] for digest in sorted(small)}
    bundle = zlib.compress(msgspec.msgpack.encode(ordered))
    objects[BUNDLES + content_digest(bundle)] = bundle
    ordered_sizes = {digest: large[digest] for digest in sorted(large)}
    raw = msgspec.Raw(parcel.record), msgspec.Raw(parcel.trace)
    return Line(key, content_digest(bundle), ordered_sizes, *raw), objects


def packs_of(lines: Iterable[Line]) -> Iterator[bytes]:
    """Yield packs with these lines."""
    waiting: list[bytes] = []
    size = 0
    for line in lines:
        encoded = msgspec.json.encode(line)
        if waiting and size + len(encoded) > _PACK:
            yield zlib.compress(b"\n".join(waiting))
            waiting, size = [], 0
        waiting.append(encoded)
        size += len(encoded)
    if waiting:
        yield zlib.compress(b"\n".join(waiting))


def index_of(packs: Iterable[str]) -> bytes:
    """Return the list of packs for readers who cannot list."""
    names = sorted(name.removeprefix(PACKS) for name in packs)
    return msgspec.json.encode({"packs": names})


def lines_of(pack: bytes) -> Iterator[Line | UnusableError]:
    """Yield the lines of a pack; for one that cannot be read, the reason."""
    try:
        texts = _decompressed(pack).split(b"\n")
    except UnusableError as error:
        yield error
        return
    for text in texts:
        try:
            yield msgspec.json.decode(text, type=Line)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            yield UnusableError(f"a line of a pack cannot be read: {error}")


def offer_of(line: Line) -> Offer:
    """Return the result of a line.

    Raises:
        UnusableError: No run that may travel has such a result.
    """
    record, traced = bytes(line.result), bytes(line.trace)
    if len(record) + len(traced) > LARGEST_LINE or sum(line.large.values()) > LARGEST_RESULT:
        raise UnusableError("a result is larger than any that leaves a store")
    try:
        result = msgspec.json.decode(record, type=Result)
        trace = decode_trace(traced)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UnusableError(f"a record cannot be read: {error}") from None
    fault = contradiction(result, record)
    if result.code_key != line.key:
        fault = "it is under the key of other code"
    elif content_digest(traced) != result.trace:
        fault = "its dependencies are not those of its run"
    elif result.status is not Status.OK or result.failure is not None:
        fault = "its run failed"
    elif not set(line.large).issubset(result.blobs):
        fault = "it comes with contents of others"
    if fault:
        raise UnusableError(f"the result of {result.notebook}: {fault}")
    digest = content_digest(record)
    return Offer(digest, result, trace, record, traced, line.bundle, line.large)


def parcel_of(offer: Offer, objects: Mapping[str, bytes]) -> Parcel:
    """Put a result together from its objects.

    Args:
        offer: The result.
        objects: The objects that it names, by name.

    Raises:
        UnusableError: An object is missing or spoilt, or the outputs are not those of a run.
    """
    missing = [name for name in offer.objects if name not in objects]
    if missing:
        raise UnusableError(f"{missing[0][:14]} is missing")
    for name in offer.objects:
        refuse_spoilt(name, objects[name])
    contents = contents_of(objects[BUNDLES + offer.bundle])
    contents |= {digest: objects[BLOBS + digest] for digest in offer.large}
    wanted = set(offer.result.blobs) - {offer.result.trace}
    # All are there, and no others: a store keeps only what results refer to.
    if contents.keys() != wanted:
        raise UnusableError(f"the result of {offer.result.notebook} has not all its contents")
    parcel = Parcel(offer.record, offer.traced, contents)
    try:
        packed = _content(contents, offer.result.outputs)
        outputs = unpack(packed, lambda digest: _content(contents, digest))
    except OutputsError as error:
        raise UnusableError(f"the result of {offer.result.notebook} has {error}") from None
    if len(outputs.cells) != len(offer.result.cells):
        raise UnusableError(f"the result of {offer.result.notebook} has outputs of other cells")
    return parcel


def contents_of(bundle: bytes) -> dict[str, bytes]:
    """Return the contents in a bundle, by digest.

    Raises:
        UnusableError: The bundle cannot be read, or a content is not the one of its digest.
    """
    try:
        contents = msgspec.msgpack.decode(_decompressed(bundle), type=_Contents)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UnusableError(f"a bundle cannot be read: {error}") from None
    for digest, content in contents.items():
        if content_digest(content) != digest:
            raise UnusableError(f"content {digest[:12]} is not what was written")
    return contents


def refuse_spoilt(name: str, content: bytes) -> None:
    """Refuse an object whose content is not the one of its name.

    Raises:
        UnusableError: It is another content.
    """
    if content_digest(content) != name.rpartition("/")[2]:
        raise UnusableError(f"{name[:14]} is not what was written")


def _content(contents: Mapping[str, bytes], digest: str) -> bytes:
    if digest not in contents:
        raise OutputsError(f"an output {digest[:12]} that is missing")
    return contents[digest]


def _decompressed(content: bytes) -> bytes:
    """Return decompressed bytes.

    Raises:
        UnusableError: They are damaged, or more than any store sends.
    """
    decompressor = zlib.decompressobj()
    try:
        found = decompressor.decompress(content, _MOST)
    except zlib.error as error:
        raise UnusableError(f"an object cannot be read: {error}") from None
    if not decompressor.eof:
        # Either there is more than the limit, or the end is missing.
        raise UnusableError("an object is cut off, or too large when it is decompressed")
    return found
