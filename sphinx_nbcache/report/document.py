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


def add_report_document(env: BuildEnvironment, added: set[str], removed: set[str]) -> None:
    """Make the report page one of the documents of this build.

    To be called in `env-get-outdated`, and again after every `env.find_files`, which forgets it.

    Args:
        env: The environment.
        added: The documents that are new; the page is added when it is.
        removed: Those that have gone; the page is taken out.
    """
    project = env.project
    if REPORT_DOCNAME in project.docnames:
        return
    project.docnames.add(REPORT_DOCNAME)
    project._docname_to_path[REPORT_DOCNAME] = _SOURCE  # noqa: SLF001 (there is no public way)
    project._path_to_docname[_SOURCE] = REPORT_DOCNAME  # noqa: SLF001 (there is no public way)
    removed.discard(REPORT_DOCNAME)
    if REPORT_DOCNAME not in env.all_docs:
        added.add(REPORT_DOCNAME)


def hide_source_path(app: Sphinx) -> list[tuple[str, dict[str, object], str]]:
    """`html-collect-pages`: keep the path of this package out of the search index."""
    names = getattr(getattr(app.builder, "indexer", None), "_filenames", None)
    if isinstance(names, dict) and names.get(REPORT_DOCNAME) == str(_SOURCE):
        names[REPORT_DOCNAME] = _SOURCE.name
    return []
