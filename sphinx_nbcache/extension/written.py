"""The pages that each builder has written, so that no page stays stale after a new reading.

Sphinx rewrites a page when its source was read again. That is not enough: of two builders on
shared doctrees only the first one reads, and a build that is interrupted while it writes has
read everything. So a file next to the doctrees records from which reading a page was written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from sphinx.application import Sphinx

from sphinx_nbcache.atomic import replace_file
from sphinx_nbcache.bounded import Count, Many, Name, Text

_FILE = "nbcache-written.json"
_VERSION = 3

# Document → its written id; and the same for the files next to the pages.
_Written = tuple[dict[Name, Text], Text]


class _Kept(msgspec.Struct, frozen=True):
    version: Count
    builders: Annotated[dict[Name, _Written], Many]


class WrittenPages:
    """The written ids of one builder and output directory.

    Attributes:
        files: With which report, and in which state, the files next to the pages were written.
    """

    def __init__(self, app: Sphinx) -> None:
        self._path = Path(app.doctreedir) / _FILE
        self._builder = f"{app.builder.name}:{os.path.relpath(app.outdir, app.doctreedir)}"
        self._written, self.files = self._load().get(self._builder, ({}, ""))
        self._now: dict[str, str] = {}

    def outdated(self, ids: Mapping[str, str]) -> list[str]:
        """Return the documents that were not last written with these ids."""
        self._now = dict(ids)
        return [docname for docname, own in ids.items() if self._written.get(docname) != own]

    def note(self, docname: str) -> None:
        """Note that a document is being written."""
        if docname in self._now:
            self._written[docname] = self._now[docname]

    def commit(self) -> None:
        """Save which pages were written. Call this after all pages have been written."""
        builders = self._load()
        pages = {name: own for name, own in self._written.items() if name in self._now}
        written = pages, self.files
        if builders.get(self._builder) == written:
            return
        builders[self._builder] = written
        text = json.dumps({"version": _VERSION, "builders": builders}, sort_keys=True)
        replace_file(self._path, text)

    def _load(self) -> dict[str, _Written]:
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=_Kept)
        except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
            return {}  # as if nothing was written: pages are written again
        return kept.builders if kept.version == _VERSION else {}
