"""What the store remembers of files: their fingerprints, and which contents notebooks gave them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

import msgspec

from sphinx_nbcache.store.access import Access, encoded
from sphinx_nbcache.store.shelf import ShelfError
from sphinx_nbcache.traces.fingerprints import Fingerprint

_FINGERPRINTS, _MADE = "file/", "made/"
# How many contents are remembered that notebooks have given one file, the newest last.
_MOST_CONTENTS = 100

Digests = tuple[str, ...]


class Made(msgspec.Struct, frozen=True):
    """The contents that notebooks have given a file: these are ours, and may be replaced."""

    digests: Digests


def fingerprints(access: Access, paths: Iterable[str]) -> dict[str, Fingerprint]:
    """Return the fingerprints that are remembered of files, by absolute path."""
    keys = {_FINGERPRINTS + path: path for path in paths if _is_text(path)}
    found = access.read_many(keys, Fingerprint)
    return {keys[key]: fingerprint for key, fingerprint in found.items()}


def keep_fingerprints(access: Access, fresh: Mapping[str, Fingerprint]) -> None:
    """Remember fingerprints, by absolute path. If that fails, only time is lost."""
    records = {_FINGERPRINTS + p: encoded(print_) for p, print_ in fresh.items() if _is_text(p)}
    if records:
        with suppress(ShelfError):
            access.write(records)


def made_contents(access: Access, names: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return the digests of the contents that notebooks have given files, by name."""
    found = access.read_many((_MADE + name for name in names), Made)
    return {key.removeprefix(_MADE): frozenset(made.digests) for key, made in found.items()}


def note_made(access: Access, contents: Mapping[str, str]) -> None:
    """Remember that notebooks have given files these contents.

    Args:
        access: The records.
        contents: Digests by name.

    Raises:
        ShelfError: The store cannot be written.
    """
    known = access.read_many((_MADE + name for name in contents), Made)
    records: dict[str, bytes] = {}
    for name, digest in contents.items():
        before = known.get(_MADE + name, Made(())).digests
        if digest not in before:
            records[_MADE + name] = encoded(Made((*before[1 - _MOST_CONTENTS :], digest)))
    if records:
        access.write(records)


def forget_missing(access: Access, exists: Iterable[str]) -> None:
    """Forget the fingerprints of files that are not among those that exist.

    Raises:
        ShelfError: The store cannot be written.
    """
    there = {_FINGERPRINTS + path for path in exists}
    access.write({}, gone=[key for key in access.keys(_FINGERPRINTS) if key not in there])


def _is_text(path: str) -> bool:
    """Tell whether a path can be a key: bytes that are no UTF-8 cannot."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
