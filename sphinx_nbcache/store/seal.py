"""Seals: a digest before each record, by which one that was changed is known.

SQLite does not notice a flipped bit in a value. In a scan it could change the name of a kernel,
and so the code key: the notebook would be run wrongly, without a word. Values that are named by
the digest of their content need no seal.
"""

from __future__ import annotations

import hashlib

_NAMED_BY_CONTENT = ("result/", "blob/")
_SIZE = 16


def sealed(key: str, content: bytes) -> bytes:
    """Return what is kept under a key for a content."""
    return content if key.startswith(_NAMED_BY_CONTENT) else _seal(key, content) + content


def unsealed(key: str, kept: bytes) -> bytes | None:
    """Return the content for what is kept under a key; `None` if the seal is broken."""
    if key.startswith(_NAMED_BY_CONTENT):
        return kept
    seal, content = kept[:_SIZE], kept[_SIZE:]
    return content if seal == _seal(key, content) else None


def _seal(key: str, content: bytes) -> bytes:
    name = key.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(name + b"\0" + content, digest_size=_SIZE).digest()
