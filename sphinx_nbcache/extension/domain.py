"""The domain of notebooks in the environment, and the record of pages that builders have written.

A domain, because Sphinx purges and merges the data of domains.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Annotated, Any, ClassVar

import msgspec
from sphinx.application import Sphinx
from sphinx.domains import Domain
from sphinx.environment import BuildEnvironment

from sphinx_nbcache.bounded import Count, Many, Name, Text
from sphinx_nbcache.files.atomic import replace_file
from sphinx_nbcache.report.pages import REPORT_DOCNAME
from sphinx_nbcache.store.file_records import PageHtml

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
        # Relative, so that a moved or cached `_build` folder still matches, as in CI.
        self._builder = f"{app.builder.name}:{os.path.relpath(app.outdir, app.doctreedir)}"
        self._written, self.files = self._load().get(self._builder, ({}, ""))
        self._now: dict[str, str] = {}

    def outdated(self, ids: Mapping[str, str]) -> list[str]:
        """Return the documents that were not last written with these ids."""
        # Documents that are gone since the last build have no id, and so leave the file.
        self._now = dict(ids)
        return [docname for docname, own in ids.items() if self._written.get(docname) != own]

    def note(self, docname: str) -> None:
        """Note that a document is being written."""
        # Empty if the builder writes every page each time: then nothing is to be remembered.
        if docname in self._now:
            self._written[docname] = self._now[docname]

    def commit(self) -> None:
        """Save which pages were written. Call this after all pages have been written."""
        # Read again: another builder may have finished meanwhile, and its entry stays.
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


class NotebookDomain(Domain):
    """The ids with which documents were last read, and the documents that show the report."""

    name = "nbcache"
    label = "notebooks"
    # Sphinx drops an environment with another version, and reads every page again
    # (https://www.sphinx-doc.org/en/master/extdev/domainapi.html).
    data_version = 7
    initial_data: ClassVar[dict[str, Any]] = {
        "render_ids": {},
        "reports": [],
        "statuses": {},
        "pasted": {},
        "html": {},
        "report_is_ours": False,
    }

    @property
    def render_ids(self) -> dict[str, str]:
        """Docname → render id of what its page shows."""
        ids: dict[str, str] = self.data["render_ids"]
        return ids

    @property
    def reports(self) -> list[str]:
        """The documents that show the report."""
        names: list[str] = self.data["reports"]
        return names

    @property
    def statuses(self) -> dict[str, list[str]]:
        """Docname → the documents whose state it shows."""
        targets: dict[str, list[str]] = self.data["statuses"]
        return targets

    @property
    def pasted(self) -> dict[str, dict[str, str]]:
        """Docname → the documents of whose notebooks it shows values, with their render ids."""
        sources: dict[str, dict[str, str]] = self.data["pasted"]
        return sources

    @property
    def html(self) -> dict[str, PageHtml]:
        """Docname → what the store is to remember of its HTML; empty once that is written."""
        pages: dict[str, PageHtml] = self.data["html"]
        return pages

    @property
    def report_is_ours(self) -> bool:
        """Whether the report page was last read from this package, not from a user's file."""
        return bool(self.data["report_is_ours"])

    @report_is_ours.setter
    def report_is_ours(self, value: bool) -> None:
        self.data["report_is_ours"] = value

    def note_report(self, docname: str) -> None:
        """Note that a document shows the report."""
        if docname not in self.reports:
            self.reports.append(docname)

    def note_status(self, docname: str, target: str) -> None:
        """Note that a document shows the state of another, or of itself."""
        self.statuses.setdefault(docname, []).append(target)

    def clear_doc(self, docname: str) -> None:
        """Forget a document that is read again, or was removed."""
        self.render_ids.pop(docname, None)
        self.statuses.pop(docname, None)
        self.pasted.pop(docname, None)
        self.html.pop(docname, None)
        if docname in self.reports:
            self.reports.remove(docname)

    def merge_domaindata(self, docnames: AbstractSet[str], otherdata: dict[str, Any]) -> None:
        """Merge the data of a `-j` worker."""
        # Only the worker that read the page knows; the others have the value of the last build
        # (https://www.sphinx-doc.org/en/master/extdev/domainapi.html).
        if REPORT_DOCNAME in docnames:
            self.report_is_ours = otherdata["report_is_ours"]
        for docname in docnames:
            for key in ("render_ids", "statuses", "pasted", "html"):
                if docname in otherdata[key]:
                    self.data[key][docname] = otherdata[key][docname]
            if docname in otherdata["reports"]:
                self.note_report(docname)

    def resolve_any_xref(self, *_args: Any, **_kwargs: Any) -> list[Any]:
        """Resolve nothing: the domain has no objects."""
        # The base class raises NotImplementedError, which ends a build with a role `any`.
        return []


def notebook_domain(env: BuildEnvironment) -> NotebookDomain:
    """Return the domain of an environment."""
    domain = env.domains[NotebookDomain.name]
    # Sphinx has no typed access to domains of extensions.
    assert isinstance(domain, NotebookDomain)
    return domain


def note_files(env: BuildEnvironment, paths: Iterable[Path]) -> None:
    """Note that the current page depends on files."""
    for path in paths:
        try:
            # Relative, because the environment may be moved to another machine.
            env.note_dependency(os.path.relpath(path, env.srcdir))
        except ValueError:
            env.note_dependency(str(path))  # on another drive of Windows
