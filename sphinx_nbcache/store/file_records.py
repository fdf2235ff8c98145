"""Records about files: their fingerprints, and the contents that notebooks gave them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import msgspec

from sphinx_nbcache.bounded import Digest, Many, Name, State, Text
from sphinx_nbcache.store.access import Access, encoded
from sphinx_nbcache.store.shelf import ShelfError
from sphinx_nbcache.text import is_encodable
from sphinx_nbcache.traces.fingerprints import Fingerprint

# Prefixes of keys: an absolute path follows the first, a path relative to the root the others.
FINGERPRINTS, MADE, HTML = "file/", "made/", "html/"
# How many contents given by notebooks are remembered for one file.
_MOST_CONTENTS = 100


PageHtml = Annotated[dict[Digest, Text | None], Many]
"""The HTML made for the outputs of a page, by the digest of what they have, and of the rules."""


class Made(msgspec.Struct, frozen=True):
    """The contents that runs, and builds that restore files, have given a file."""

    contents: Annotated[tuple[tuple[State, Name], ...], Many]
    """Pairs of a digest and a checkout (see [](checkout_id)), the newest last."""


def checkout_id(root: Path) -> str:
    """Return an id that distinguishes this checkout from others on the same store, even if moved.

    A run may replace or remove a file only in the checkout where a run wrote it: a copy in
    another checkout is the user's.
    """
    try:
        found = root.stat().st_ino
    except OSError:
        # An empty id proves nothing: such a file counts as the user's.
        return ""
    # File systems reuse inodes: the inode of `.git` distinguishes a new clone from a removed one.
    with suppress(OSError):
        return f"{found:x}-{(root / '.git').stat().st_ino:x}"
    return f"{found:x}"


def fingerprints(access: Access, paths: Iterable[str]) -> dict[str, Fingerprint]:
    """Return the remembered fingerprints of files, by absolute path."""
    # A path that cannot be encoded cannot be a key.
    keys = {FINGERPRINTS + path: path for path in paths if is_encodable(path)}
    found = access.read_many(keys, Fingerprint)
    return {keys[key]: fingerprint for key, fingerprint in found.items()}


def keep_fingerprints(
    access: Access, fresh: Mapping[str, Fingerprint], known: Mapping[str, Fingerprint]
) -> None:
    """Remember fingerprints, by absolute path. A failure costs only time.

    Args:
        access: The records.
        fresh: The new fingerprints.
        known: The remembered fingerprints. A fresh one that only confirms a known one is written
            later.
    """
    records: dict[str, bytes] = {}
    confirmed: dict[str, bytes] = {}
    for path, taken in fresh.items():
        if is_encodable(path):
            before = known.get(path)
            is_known = before is not None and (before.stat, before.digest) == (
                taken.stat,
                taken.digest,
            )
            (confirmed if is_known else records)[FINGERPRINTS + path] = encoded(taken)
    access.write_later(confirmed)
    if records:
        with suppress(ShelfError):
            access.write(records)


def made_contents(access: Access, name: str, checkout: str) -> frozenset[str]:
    """Return the digests of the contents that runs have given a file in a checkout."""
    made = access.read(MADE + name, Made) or Made(())
    return frozenset(digest for digest, where in made.contents if where == checkout)


def note_made(access: Access, contents: Mapping[str, str], checkout: str) -> None:
    """Remember that a run gave files these contents, or that a build restored them.

    Args:
        access: The records.
        contents: Digests by name.
        checkout: The checkout in which the files are.

    Raises:
        ShelfError: The store cannot be written.
    """
    if not _with_made(access, contents, checkout):
        return
    with access.transaction():
        # Read again, or what another build has noted meanwhile would be lost. A build in another
        # checkout may use the same store.
        access.write(_with_made(access, contents, checkout))


def _with_made(access: Access, contents: Mapping[str, str], checkout: str) -> dict[str, bytes]:
    """Return the records that change if runs gave files these contents."""
    known = access.read_many((MADE + name for name in contents), Made)
    records: dict[str, bytes] = {}
    for name, digest in contents.items():
        before = known.get(MADE + name, Made(())).contents
        if (digest, checkout) not in before:
            # The newest stay: a file that is rewritten by each run would grow its record for ever.
            kept = (*before[1 - _MOST_CONTENTS :], (digest, checkout))
            records[MADE + name] = encoded(Made(kept))
    return records


def page_html(access: Access, page: str) -> PageHtml:
    """Return the remembered HTML of a page, by its path."""
    return access.read(HTML + page, PageHtml) or {}


def keep_html(access: Access, pages: Mapping[str, PageHtml]) -> None:
    """Remember the HTML of pages, by path, and nothing else of them. A failure costs only time."""
    if pages:
        with suppress(ShelfError):
            access.write({HTML + page: encoded(html) for page, html in pages.items()})
