"""Expires the store's records of files and kernels that no longer exist.

A file may be missing because another branch is checked out, or because another project shares the
store. A record therefore expires only if its file was missing at every check for 30 days. A check
by a project in which the file exists restarts this period.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from sphinx_nbcache.kernels.interpreters import KernelFacts
from sphinx_nbcache.project.validity import KERNEL_KEY
from sphinx_nbcache.results.records import MISSING_KEY, Missing
from sphinx_nbcache.store.access import Access, encoded
from sphinx_nbcache.store.file_records import FINGERPRINTS, HTML, MADE, Made, checkout_id
from sphinx_nbcache.store.store import HISTORIES, SCANS

_DAY = 86_400
# Long enough for a feature branch, or for a checkout that is built once a month.
_PATIENCE = 30 * _DAY
_OF_FILES = (SCANS, HISTORIES, FINGERPRINTS, MADE, HTML)


def forget_missing(access: Access, root: Path, now: float, *, at_once: bool = False) -> int:
    """Remove the records of files and kernels missing for 30 days; check at most once a day.

    Args:
        access: The records.
        root: The root of the project.
        now: Seconds since the epoch.
        at_once: Whether to check now, and to remove records without a waiting period.

    Returns:
        The number of removed records.

    Raises:
        ShelfError: The store cannot be written.
    """
    checkout = checkout_id(root)
    known = access.read(MISSING_KEY, Missing) or Missing({}, {})
    since_look = now - known.looked.get(checkout, 0)
    # The time since the last check is negative if the clock was set back: then check again.
    if 0 <= since_look < _DAY and not at_once:
        return 0
    missing = {key: known.since.get(key, int(now)) for key in _missing_keys(access, root)}
    if at_once and not missing:
        return 0
    old = [key for key, since in missing.items() if at_once or now - since >= _PATIENCE]
    with access.transaction():
        # Check again: since the scan above, another build may have written one of these files.
        changed, gone = _forgotten(access, [key for key in old if _is_missing(key, root)], checkout)
        # Deleted checkouts never check again, so their entries expire as well.
        looked = {c: t for c, t in known.looked.items() if now - t < _PATIENCE}
        left = {key: since for key, since in missing.items() if key not in gone}
        record = Missing({**looked, checkout: int(now)}, left)
        access.write({**changed, MISSING_KEY: encoded(record)}, gone)
    return len(gone)


def _missing_keys(access: Access, root: Path) -> Iterator[str]:
    for prefix in _OF_FILES:
        yield from (key for key in access.keys(prefix) if _is_missing(key, root))
    kernels = access.read_many(access.keys(KERNEL_KEY), KernelFacts)
    yield from (key for key, facts in kernels.items() if not facts.is_installed)


def _is_missing(key: str, root: Path) -> bool:
    prefix, _, name = key.partition("/")
    # `join` keeps absolute names, of files outside the root, unchanged. `lexists`, because a
    # dangling link still exists: https://docs.python.org/3/library/os.path.html#os.path.lexists
    is_of_file = f"{prefix}/" in _OF_FILES
    return not (is_of_file and os.path.lexists(os.path.join(root, name)))  # noqa: PTH118


def _forgotten(
    access: Access, keys: list[str], checkout: str
) -> tuple[dict[str, bytes], frozenset[str]]:
    """Return the records that shrink, because other checkouts share them, and those to remove."""
    changed: dict[str, bytes] = {}
    kept: set[str] = set()
    for key, made in access.read_many((k for k in keys if k.startswith(MADE)), Made).items():
        others = tuple(pair for pair in made.contents if pair[1] != checkout)
        if others:
            kept.add(key)
        if others and others != made.contents:
            changed[key] = encoded(Made(others))
    return changed, frozenset(keys) - kept
