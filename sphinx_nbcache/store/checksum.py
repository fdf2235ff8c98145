"""Checksums: prefixes of stored records that reveal damage.

SQLite does not notice a flipped bit in a value. In a scan it could change the name of a kernel,
and so the code key: the notebook would run in the wrong kernel, without a warning. Values that are
named by the digest of their content need no checksum.

Records that decide what to run, or that describe this machine, carry a mark (see `marks`) as well:
the list of notebooks, the limits of the store, scans, fingerprints and the list of files written
by runs count only if this account wrote them. Records without the mark read as absent, and are
created again.
"""

from __future__ import annotations

import hashlib

from sphinx_nbcache.store.marks import MARK_SIZE, Marks

_NAMED_BY_CONTENT = ("result/", "blob/")
_MARKED = ("scan/", "file/", "kernel/", "made/", "moving/", "missing", "notebooks", "limits")
_SIZE = 16


class BrokenChecksumError(Exception):
    """A value differs from what was written."""


def wrapped(key: str, content: bytes, marks: Marks) -> bytes:
    """Return the stored form of a content."""
    if key.startswith(_NAMED_BY_CONTENT):
        return content
    if key.startswith(_MARKED):
        content = marks.of(key, content) + content
    return _checksum(key, content) + content


def unwrapped(key: str, kept: bytes, marks: Marks) -> bytes | None:
    """Return the content of a stored value; `None` if another account wrote it.

    Raises:
        BrokenChecksumError: The value differs from what was written.
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
