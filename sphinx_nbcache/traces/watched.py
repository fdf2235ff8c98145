"""Adds to a kernel's report what the system tracer saw, except for the files of installations."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache
from typing import Any

from sphinx_nbcache.traces.r_packages import is_installed, place_of
from sphinx_nbcache.traces.report import SCHEMA

Record = list[Any] | tuple[Any, ...]

# Paths of any installation of Python, of the search of a loader, of terminals and of fonts.
_INSTALLED = re.compile(
    r"/lib(?:64)?/python\d+(?:\.\d+)?(?:/|\.zip|$)|/(?:site|dist)-packages(?:/|$)|/\.pyenv/"
    r"|/(?:tls|glibc-hwcaps)/|/\.terminfo(?:/|$)|/python[\d.]*\._pth$"
    r"|/\.?fontconfig(?:/|$)|/\.fonts(?:\.conf(?:\.d)?)?(?:/|$)"
)
_LIBRARY = re.compile(r"\.so(?:\.\d+)*$")
_PROGRAMS = ("/bin", "/sbin")
# These mark the top directory of an environment of Python, of conda, and of virtualenv.
_ENVIRONMENT = ("pyvenv.cfg", "conda-meta")
# Python looks for the source of code that has a name like this, to show it in a traceback.
_NO_FILE = re.compile(r"<[^/]+>$")
# In a repository of git, these say which commit is checked out. All else is git's own.
_GIT = re.compile(r"(?:^|.*/)\.git/(?P<inside>.+)")
_GIT_REFS = re.compile(r"HEAD|packed-refs|refs(?:/.*)?")


def with_system(
    report: Mapping[str, Any], answer: Mapping[str, Any], root: str, quiet: Collection[str] = ()
) -> dict[str, Any]:
    """Return a report with what a watcher has seen: the whole report, if there is none yet.

    If both have seen a file, the tracer in the kernel knows better why. A look of the watcher from
    before that tracer started is not the notebook's doing.

    Args:
        report: The kernel's report; empty for a kernel without a tracer.
        answer: The answer of the watcher.
        root: The root.
        quiet: Directories whose files do not count.
    """
    merged = {**_empty(), **report}
    started = merged["started"] if isinstance(merged["started"], int) else 0
    known = {
        path
        for field in ("reads", "writes", "modules")
        if isinstance(merged[field], dict)
        for path in merged[field]
    }
    records = [
        record
        for record in answer.get("records", ())
        if not (record[0] in ("read", "write") and (record[1] in known or record[2][2] < started))
    ]
    # Commands are no dependencies that cannot be seen any more.
    told = [record for record in merged["children"] if record[:1] != ["process"]]
    merged["children"] = [*told, *without_installations(records, root, quiet)]
    # Names of files in the code stood for what could not be seen.
    merged |= {"named": {}, "inferred": {}, "changed": [], "processes": []}
    return {**merged, "system": True, "unseen": list(answer.get("unseen", ()))}


def _empty() -> dict[str, Any]:
    """Return the report of a run that did nothing, in a kernel without a tracer."""
    mappings = ("reads", "writes", "named", "inferred", "others", "left", "modules", "missing")
    lists = ("removed", "moved", "made", "listings", "proven", "changed", "packages", "wanted")
    more = ("asked_versions", "search", "processes", "hosts", "children", "errors")
    variables = ("variables", "variable_parts")
    return {
        **{name: {} for name in mappings},
        **{name: [] for name in (*lists, *more, *variables)},
        "schema": SCHEMA,
        "started": 0,
        "python": None,
        "handles": False,
        "variables_shown": False,
    }


def without_installations(
    records: Iterable[Record], root: str, quiet: Collection[str] = ()
) -> list[Record]:
    """Return the records that are about the notebook's files.

    Args:
        records: The records of the watcher.
        root: The root.
        quiet: Directories whose files do not count.
    """
    records = list(records)
    described = [record[1] for record in records if record[0] == "described"]
    packages = {place_of(path) for path in described}
    folders = {os.path.join(*place) for place in packages if is_installed(*place)}
    folders.update(quiet)
    libraries = {library for library, _ in packages}
    in_environment = cache(_is_in_environment)
    return [
        record
        for record in records
        if record[0] in ("described", "host")
        or not (
            record[1] in libraries
            or any(above in folders for above in _with_folders_above(record[1]))
            or _is_installation(record, root, in_environment)
        )
    ]


def _with_folders_above(path: str) -> Iterable[str]:
    while True:
        yield path
        above = os.path.dirname(path)
        if above == path:
            return
        path = above


def _is_installation(record: Record, root: str, in_environment: Callable[[str], bool]) -> bool:
    kind, path = record[0], record[1]
    is_inside = path == root or path.startswith(root.rstrip("/") + "/")
    is_absent = kind == "read" and record[2][1] == ""
    git = _GIT.fullmatch(path)
    if git is not None and not _GIT_REFS.fullmatch(git["inside"]):
        return True
    if any(of.search(path) for of in (_INSTALLED, _NO_FILE)) or in_environment(
        os.path.dirname(path)
    ):
        return True
    # A loader looks for libraries in many places, a shell for programs: what it found counts.
    if _LIBRARY.search(path) is not None and (is_absent or not is_inside):
        return True
    return is_absent and not is_inside and os.path.dirname(path).endswith(_PROGRAMS)


def _is_in_environment(folder: str) -> bool:
    return any(
        os.path.lexists(os.path.join(above, mark))
        for above in _with_folders_above(folder)
        for mark in _ENVIRONMENT
    )
