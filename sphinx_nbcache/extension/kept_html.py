"""The HTML of a page's outputs, kept from one reading of the page to the next.

Parsing it may take longer than all else on a page. Readers only read the store; what they made
goes to the main process with the environment, which writes it for all pages.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from sphinx.environment import BuildEnvironment

from sphinx_nbcache.extension.domain import notebook_domain
from sphinx_nbcache.project import Project
from sphinx_nbcache.rendering.html.containing import Kept, Step, at_once, rules
from sphinx_nbcache.store.access import Access
from sphinx_nbcache.store.file_records import PageHtml, keep_html, page_html
from sphinx_nbcache.text import is_encodable

# A tag takes about 30 µs to parse and to check, a look-up in the store 300 µs.
_FEWEST_TAGS = 30
# Scripts are parsed as quickly as they are read from the store.
_CHARACTERS_PER_TAG = 1000
# Characters of a page. More are parsed each time.
_MOST = 1 << 23
_KEY = "nbcache_kept_html"


class KeptHtml:
    """The HTML made for the outputs of one page, now and when the page was last read.

    Args:
        access: The records.
        page: The path of the page, relative to the root.
    """

    def __init__(self, access: Access, page: str) -> None:
        self._access = access
        self.page = page
        self._known: PageHtml | None = None
        self._used: PageHtml = {}
        self._left = _MOST
        self._has_new = False

    def __call__(self, step: Step, html: str) -> str | None:
        """Return what a step makes of HTML. Only what takes long is looked up, and kept."""
        tags = html.count("<")
        is_quick = tags < _FEWEST_TAGS or len(html) > tags * _CHARACTERS_PER_TAG
        if is_quick or not rules() or not is_encodable(self.page):
            return step(html)
        digest = _digest(step, html)
        if digest in self._used:
            return self._used[digest]
        if self._known is None:
            self._known = page_html(self._access, self.page)
        is_new = digest not in self._known
        made = step(html) if is_new else self._known[digest]
        size = len(made or "")
        if size <= self._left and is_encodable(made or ""):
            self._left -= size
            self._used[digest] = made
            self._has_new |= is_new
        return made

    @property
    def changed(self) -> PageHtml:
        """The HTML that the store is to remember of the page instead; empty if it has all."""
        return self._used if self._has_new else {}


def look_up_html(env: BuildEnvironment, project: Project) -> None:
    """Let the outputs of the page that is being read use what the store has of their HTML."""
    if _KEY not in env.temp_data:
        page = _path_of(env, project, env.docname)
        env.temp_data[_KEY] = KeptHtml(project.store.access, page)


def kept_html(env: BuildEnvironment) -> Kept:
    """Return what remembers the HTML of the page that is being read."""
    kept: Kept = env.temp_data.get(_KEY) or at_once
    return kept


def note_html(env: BuildEnvironment) -> None:
    """Note what the store is to remember of the page that was read."""
    kept = env.temp_data.get(_KEY)
    if kept is not None and (changed := kept.changed):
        notebook_domain(env).html[env.docname] = changed


def write_html(env: BuildEnvironment, project: Project) -> None:
    """Write what the store is to remember of the pages that were read, in the main process."""
    pages = notebook_domain(env).html
    if pages:
        keep_html(
            project.store.access,
            {_path_of(env, project, docname): html for docname, html in pages.items()},
        )
        pages.clear()  # the environment is stored, too
        project.close()  # more readers may be forked


def _path_of(env: BuildEnvironment, project: Project, docname: str) -> str:
    return project.name_of(Path(env.doc2path(docname)))


def _digest(step: Step, html: str) -> str:
    parts = (step.__name__, rules(), html)
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
