"""Checking the whole store for damage, and removing damaged entries."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from sphinx_nbcache.bounded import LARGEST_RECORD, Id
from sphinx_nbcache.notebooks.scan import Scan
from sphinx_nbcache.results.outputs import OutputsError, unpack
from sphinx_nbcache.results.records import (
    MISSING_KEY,
    History,
    Missing,
    Result,
    Roll,
    Stored,
    StoreLimits,
    content_digest,
    contradiction,
)
from sphinx_nbcache.store.disk import is_file_name
from sphinx_nbcache.store.file_records import Made, PageHtml
from sphinx_nbcache.store.marks import MARK_SIZE
from sphinx_nbcache.store.shelf import DamagedEntryError
from sphinx_nbcache.store.store import Entries, Store
from sphinx_nbcache.store.upkeep import PUBLISHED, Digests, Times, collect_blobs, remove_results
from sphinx_nbcache.traces.fingerprints import Fingerprint

# Younger files may belong to a transaction that is still open.
_WASTE_SECONDS = 3600
# The types of entries other than contents and results, by key.
_RECORDS: dict[str, Any] = {
    "scan/": Scan,
    "history/": History,
    "file/": Fingerprint,
    "made/": Made,
    "html/": PageHtml,
    "kernel/": dict[str, Any],
    "moving/": dict[str, Any],
    "results/": Entries,
    "notebooks": Roll,
    "limits": StoreLimits,
    "used": Times,
    PUBLISHED: Digests,
    MISSING_KEY: Missing,
    "next-id": Id,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A damaged or unused entry of the store.

    Attributes:
        key: The entry's key, or the name of its file.
        what: The problem, in words.
        fixed: Whether the entry was removed.
    """

    key: str
    what: str
    fixed: bool = False


def check_store(store: Store, *, fix: bool = False) -> list[Finding]:
    """Check every entry of a store.

    Args:
        store: The store.
        fix: Whether to remove damaged entries.

    Raises:
        ShelfError: The store cannot be read or, with `fix`, written.
    """
    damaged = list(_damaged_entries(store))
    bad_keys = {finding.key for finding in damaged}
    # Reading a list that names a missing result repairs it, so the list is not removed.
    damaged += _broken_lists(store)
    results = store.all_results()
    incomplete = list(_incomplete_results(store, results, bad_keys))
    found = [*damaged, *(finding for _, finding in incomplete)]
    waste = list(_waste_files(store))
    if not fix:
        return [*found, *_orphans(store, results), *waste]
    # Each step leaves waste for the next one: damaged contents make results incomplete, removed
    # results leave lists and contents behind.
    store.access.write({}, gone=bad_keys)
    remove_results(store, [stored for stored, _ in incomplete])
    store.all_results()  # removes missing results from the lists
    found += [Finding(f"blob/{d}", "no result refers to it") for d in collect_blobs(store)]
    for finding in waste:
        (store.folder / finding.key).unlink(missing_ok=True)
    return [replace(finding, fixed=True) for finding in [*found, *waste]]


def _damaged_entries(store: Store) -> Iterator[Finding]:
    """Yield the entries that cannot be read, or differ from what was written."""
    for key, value in store.access.each(store.access.keys("")):
        what = str(value) if isinstance(value, DamagedEntryError) else _fault(key, value)
        if what:
            yield Finding(key, what)


def _broken_lists(store: Store) -> Iterator[Finding]:
    """Yield the lists that name missing results."""
    present = {key.removeprefix("result/") for key in store.access.keys("result/")}
    lists = store.access.read_many(store.access.keys("results/"), Entries)
    for key, entries in lists.items():
        if missing := [entry.digest for entry in entries if entry.digest not in present]:
            yield Finding(key, f"result {missing[0][:12]} is missing")


def _fault(key: str, value: bytes) -> str:
    """Return what is wrong with an entry; empty if nothing is."""
    kind, slash, name = key.partition("/")
    if kind in ("blob", "result", "pack") and slash:
        value = value[MARK_SIZE:] if kind == "result" else value
        if content_digest(value) != name:
            return "is not what was written"
        expected: Any = Result if kind == "result" else None
    else:
        expected = _RECORDS.get(kind + slash)
        if expected is None:
            return "nothing of this name is ever written"
    try:
        if expected is None:
            return ""
        if len(value) > LARGEST_RECORD:
            return f"cannot be read (it has {len(value)} bytes)"
        record = msgspec.json.decode(value, type=expected)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        return f"cannot be read ({error})"
    fault = contradiction(record, value) if isinstance(record, Result) else ""
    return f"cannot be used ({fault})" if fault else ""


def _incomplete_results(
    store: Store, results: list[Stored], bad_keys: set[str]
) -> Iterator[tuple[Stored, Finding]]:
    """Yield the results whose contents are missing or damaged."""
    present = {key.removeprefix("blob/") for key in store.access.keys("blob/")}
    present -= {key.removeprefix("blob/") for key in bad_keys}
    for stored in results:
        # Contents were hashed above; reading them again would double the time for a large store.
        missing = [digest for digest in stored.result.blobs if digest not in present]
        what = f"output {missing[0][:12]} is missing" if missing else _unreadable(store, stored)
        if what:
            yield stored, Finding(f"result/{stored.digest}", what)


def _unreadable(store: Store, stored: Stored) -> str:
    """Return why the outputs of a result cannot be read; empty if they can."""
    named = set(stored.result.blobs)

    def blob(digest: str) -> bytes:
        if digest not in named:
            raise OutputsError(f"output {digest[:12]} is not listed")
        # `unpack` needs the structure of the outputs only: the parts have been checked.
        return b""

    try:
        unpack(store.blob(stored.result.outputs), blob)
    except OutputsError as error:
        return str(error)
    return ""


def _orphans(store: Store, results: list[Stored]) -> Iterator[Finding]:
    needed = {digest for stored in results for digest in stored.result.blobs}
    for key in store.access.keys("blob/"):
        if key.removeprefix("blob/") not in needed:
            yield Finding(key, "no result refers to it")


def _waste_files(store: Store) -> Iterator[Finding]:
    """Yield files without an entry: the process that wrote them was killed."""
    known = store.access.file_names()
    now = time.time()
    # The pattern keeps the walk out of other folders of the store, such as `locks`.
    for path in sorted(store.folder.glob("??/??/*.val")):
        name = path.relative_to(store.folder).as_posix()
        if is_file_name(name) and name not in known and _age(path, now) > _WASTE_SECONDS:
            yield Finding(name, "no entry refers to this file")


def _age(path: Path, now: float) -> float:
    try:
        return now - path.stat().st_mtime
    except OSError:
        # A file that vanished or is hidden counts as young, so it is left alone.
        return 0.0
