"""The page `nbcache-report`: a document of this package that joins the user's own.

It stands in the project like any other document, so that toctrees, `{doc}`, `{ref}` and search
know it, in every builder. A document of the user's with that name takes its place.
"""

from __future__ import annotations

from pathlib import Path

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

REPORT_DOCNAME = "nbcache-report"
_SOURCE = Path(__file__).with_name("nbcache-report.md")


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


def hide_source_path(app: Sphinx) -> list[tuple[str, dict[str, object], str]]:
    """`html-collect-pages`: keep the path of this package out of the search index."""
    names = getattr(getattr(app.builder, "indexer", None), "_filenames", None)
    if isinstance(names, dict) and names.get(REPORT_DOCNAME) == str(_SOURCE):
        names[REPORT_DOCNAME] = _SOURCE.name
    return []
