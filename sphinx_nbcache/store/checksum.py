"""Checksums: what stands before the content of a record, so that damage shows.

SQLite does not notice a flipped bit in a value. In a scan it could change the name of a kernel,
and so the code key: the notebook would be run wrongly, without a warning. Values that are named
by the digest of their content need no checksum.

Records that say what to run, or what this machine saw, carry a mark (see `marks`) as well: the
list of notebooks, the limits of the store, a scan, a fingerprint or the list of what runs have
written counts only if this account wrote it. Records without the mark read as absent, and are
made again.
"""

from __future__ import annotations

import hashlib

from sphinx_nbcache.store.marks import MARK_SIZE, Marks

_NAMED_BY_CONTENT = ("result/", "blob/")
_MARKED = ("scan/", "file/", "kernel/", "made/", "moving/", "missing", "notebooks", "limits")
_SIZE = 16


class BrokenChecksumError(Exception):
    """A value is not what was written."""


def wrapped(key: str, content: bytes, marks: Marks) -> bytes:
    """Return what is kept under a key for a content."""
    if key.startswith(_NAMED_BY_CONTENT):
        return content
    if key.startswith(_MARKED):
        content = marks.of(key, content) + content
    return _checksum(key, content) + content


def unwrapped(key: str, kept: bytes, marks: Marks) -> bytes | None:
    """Return the content for what is kept under a key; `None` if another account wrote it.

    Raises:
        BrokenChecksumError: It is not what was written.
    """
    if key.startswith(_NAMED_BY_CONTENT):
        return kept
    checksum, content = kept[:_SIZE], kept[_SIZE:]
    if checksum != _checksum(key, content):
        raise BrokenChecksumError("is not what was written")
    if not key.startswith(_MARKED):
        return content
    mark, content = content[:MARK_SIZE], content[MARK_SIZE:]
    return content if marks.is_ours(mark, key, content) else None


def _checksum(key: str, content: bytes) -> bytes:
    name = key.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(name + b"\0" + content, digest_size=_SIZE).digest()
