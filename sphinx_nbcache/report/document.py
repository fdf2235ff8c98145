"""The page `nbcache-report`: a document of this package that joins the user's own.

It stands in the project like any other document, so that toctrees, `{doc}`, `{ref}` and search
know it, in every builder. A document of the user's with that name takes its place.
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

    To be called in `env-get-outdated`, after the last `env.find_files`, which forgets it.

    Args:
        env: The environment.
        added: The documents that are new.
        changed: The documents that changed.
        removed: The documents that have gone.
        was_ours: Whether the page was last read from this package, not from a file of the user's.
    """
    project = env.project
    known = REPORT_DOCNAME in env.all_docs
    if REPORT_DOCNAME in project.docnames:
        if known and was_ours:
            changed.add(REPORT_DOCNAME)
        return
    project.docnames.add(REPORT_DOCNAME)
    project._docname_to_path[REPORT_DOCNAME] = _SOURCE  # noqa: SLF001 (there is no public way)
    project._path_to_docname[_SOURCE] = REPORT_DOCNAME  # noqa: SLF001 (there is no public way)
    removed.discard(REPORT_DOCNAME)
    if not known:
        added.add(REPORT_DOCNAME)
    elif not was_ours:
        changed.add(REPORT_DOCNAME)


class PlainLinks(SphinxPostTransform):
    """Let links lead to the page that do not say whether they mean the document or its label.

    Both have one name, because either should be found by it; MyST and `any` would warn.
    """

    # Before links of MyST (9) and of Sphinx (10) are resolved.
    default_priority = 8

    def run(self, **_kwargs: Any) -> None:
        """Make such links of a document those to the document of that name."""
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
