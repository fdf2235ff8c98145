"""The data about notebooks in Sphinx's environment: a domain, for purging and merging."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any, ClassVar

from sphinx.domains import Domain
from sphinx.environment import BuildEnvironment

from sphinx_nbcache.report.document import REPORT_DOCNAME


class NotebookDomain(Domain):
    """The ids with which documents were last read, and the documents that show the report."""

    name = "nbcache"
    label = "notebooks"
    data_version = 3
    initial_data: ClassVar[dict[str, Any]] = {
        "render_ids": {},
        "reports": [],
        "statuses": {},
        "report_is_ours": False,
        "cli_versions": {},
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
    def cli_versions(self) -> dict[str, str]:
        """Docname → version of this package that its commands ran with; empty if one failed."""
        versions: dict[str, str] = self.data["cli_versions"]
        return versions

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
        self.cli_versions.pop(docname, None)
        self.statuses.pop(docname, None)
        if docname in self.reports:
            self.reports.remove(docname)

    def merge_domaindata(self, docnames: AbstractSet[str], otherdata: dict[str, Any]) -> None:
        """Merge the data of a `-j` worker."""
        if REPORT_DOCNAME in docnames:
            self.report_is_ours = otherdata["report_is_ours"]
        for docname in docnames:
            for key in ("render_ids", "cli_versions", "statuses"):
                if docname in otherdata[key]:
                    self.data[key][docname] = otherdata[key][docname]
            if docname in otherdata["reports"]:
                self.note_report(docname)

    def resolve_any_xref(self, *_args: Any, **_kwargs: Any) -> list[Any]:
        """Resolve nothing: the domain has no objects."""
        return []


def notebook_domain(env: BuildEnvironment) -> NotebookDomain:
    """Return the domain of an environment."""
    domain = env.domains[NotebookDomain.name]
    assert isinstance(domain, NotebookDomain)
    return domain
