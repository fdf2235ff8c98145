"""The page `nbcache-report`: a document of this package among the user's own.

It is part of the project like any other document, so that toctrees, `{doc}`, `{ref}` and search
find it in every builder. A user's document with that name replaces it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform

REPORT_DOCNAME = "nbcache-report"
_SOURCE = Path(__file__).with_name("nbcache-report.md")
_ANY = frozenset({"any", "myst"})
_NAMES = frozenset(
    f"{root}{REPORT_DOCNAME}{suffix}" for root in ("", "/") for suffix in ("", ".md")
)


def is_report_source(path: str) -> bool:
    """Tell whether a document was read from this package's source of the report page."""
    return Path(path) == _SOURCE


def add_report_document(
    env: BuildEnvironment,
    added: set[str],
    changed: set[str],
    removed: set[str],
    *,
    was_ours: bool,
) -> None:
    """Make the report page one of the documents of this build.

    Call this in `env-get-outdated`, after the last `env.find_files`, which forgets the page.

    Args:
        env: The environment.
        added: The documents that are new.
        changed: The documents that changed.
        removed: The documents that no longer exist.
        was_ours: Whether the page was last read from this package, not from a user's file.
    """
    project = env.project
    known = REPORT_DOCNAME in env.all_docs
    if REPORT_DOCNAME in project.docnames:
        if known and was_ours:
            changed.add(REPORT_DOCNAME)
        return
    project.docnames.add(REPORT_DOCNAME)
    project._docname_to_path[REPORT_DOCNAME] = _SOURCE  # noqa: SLF001 (no public API)
    project._path_to_docname[_SOURCE] = REPORT_DOCNAME  # noqa: SLF001 (no public API)
    removed.discard(REPORT_DOCNAME)
    if not known:
        added.add(REPORT_DOCNAME)
    elif not was_ours:
        changed.add(REPORT_DOCNAME)


class PlainLinks(SphinxPostTransform):
    """Resolves links to the page that do not say whether they mean the document or its label.

    Both have the same name, so that either can be linked to; MyST and `any` would warn about that.
    """

    # Before MyST (priority 9) and Sphinx (10) resolve links.
    default_priority = 8

    def run(self, **_kwargs: Any) -> None:
        """Turn these links into links to the document."""
        if not is_report_source(str(self.env.doc2path(REPORT_DOCNAME))):
            return
        for link in self.document.findall(addnodes.pending_xref):
            if link["reftype"] in _ANY and link["reftarget"] in _NAMES:
                link.attributes |= {
                    "refdomain": "std",
                    "reftype": "doc",
                    "reftarget": f"/{REPORT_DOCNAME}",
                    "refexplicit": bool(link.get("refexplicit")),
                }


def hide_source_path(app: Sphinx) -> list[tuple[str, dict[str, object], str]]:
    """`html-collect-pages`: keep the path of this package out of the search index."""
    names = getattr(getattr(app.builder, "indexer", None), "_filenames", None)
    if isinstance(names, dict) and names.get(REPORT_DOCNAME) == str(_SOURCE):
        names[REPORT_DOCNAME] = _SOURCE.name
    return []
