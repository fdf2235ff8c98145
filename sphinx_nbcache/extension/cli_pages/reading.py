"""The reading of a page with commands, which locks its store until it ends."""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from sphinx_nbcache.extension.cli_pages.command import CommandError
from sphinx_nbcache.extension.cli_pages.places import CliStore, Places, places_of
from sphinx_nbcache.extension.log import LOGGER, notifier
from sphinx_nbcache.extension.options import settings_of
from sphinx_nbcache.notices import Notice

_KEY = "nbcache_cli_page"


class PageReading:
    """The reading of one page, from its first command to its end.

    Attributes:
        root: The folder in which its commands run.
        store: The store that they work on.
        written: The files that its commands have changed so far.
    """

    def __init__(self, root: Path, store: CliStore, docname: str) -> None:
        """Wait for the store, and empty it if it is the page's own.

        Raises:
            CommandError: The store cannot be locked, or cannot be emptied.
        """
        import filelock

        self.root = root
        self.store = store
        self.written: set[Path] = set()
        self._lock = filelock.FileLock(store.lock_file)
        try:
            store.lock_file.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire(timeout=0)
            except filelock.Timeout:
                LOGGER.info("another page is using the store of %s: waiting", docname)
                self._lock.acquire()
            if not store.is_common:
                # The page must not depend on earlier builds.
                store.empty()
        except (OSError, NotImplementedError) as error:
            self.end()
            raise CommandError(f"the store {store.place} cannot be used: {error}") from None

    def clear(self) -> None:
        """Empty the store.

        Raises:
            CommandError: It cannot be emptied.
        """
        try:
            self.store.empty()
        except OSError as error:
            text = f"the store {self.store.place} cannot be emptied: {error}"
            raise CommandError(text) from None

    def end(self) -> None:
        """Release the store for other pages."""
        self._lock.release()


def page_reading(env: BuildEnvironment) -> PageReading:
    """Return the reading of the current page; it begins with the first call.

    Raises:
        CommandError: Its store cannot be used.
    """
    reading = env.temp_data.get(_KEY)
    if reading is None:
        places, _ = _places(env.app)
        store = places.store_of(env.docname)
        reading = env.temp_data[_KEY] = PageReading(places.root, store, env.docname)
    assert isinstance(reading, PageReading)
    return reading


def leave_page(app: Sphinx, _doctree: nodes.document) -> None:
    """`doctree-read`: the page has been read."""
    reading = app.env.temp_data.pop(_KEY, None)
    if reading is not None:
        reading.end()


def check_places(app: Sphinx) -> None:
    """`builder-inited`: warn about problems with the places that options name."""
    for problem in _places(app)[1]:
        notifier(app)(problem)


def _places(app: Sphinx) -> tuple[Places, list[Notice]]:
    settings, _ = settings_of(app.config)
    return places_of(Path(app.srcdir), Path(app.outdir).parent, settings)
