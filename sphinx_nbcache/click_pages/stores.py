"""The stores and folders of pages with commands; a page locks its store while it is read."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from sphinx_nbcache.click_pages.process import CommandError
from sphinx_nbcache.config import Settings
from sphinx_nbcache.extension.config_values import settings_of
from sphinx_nbcache.extension.log import LOGGER, notifier
from sphinx_nbcache.notices import Notice, Topic
from sphinx_nbcache.options import PREFIX
from sphinx_nbcache.project.locations import STORE_FOLDER, store_place

# Next to the output directory: `make html latexpdf` shares it, and cleaning removes it.
_FOLDER = ".nbcache-cli"
# Only names that a store creates: the option may name a folder with other files of the user.
_OF_A_STORE = re.compile(r"nbcache-\d+(\..+)?")
_KEY = "nbcache_cli_page"


@dataclass(frozen=True, slots=True)
class CliStore:
    """The store that the commands of a page work on.

    Attributes:
        place: The folder, as in the environment variable `JUPYTERCACHE`.
        is_common: Whether other pages work on it, too.
    """

    place: Path
    is_common: bool

    @property
    def lock_file(self) -> Path:
        """The lock file, next to the folder: commands may remove the folder itself."""
        return self.place.with_name(f"{self.place.name}.lock")

    def empty(self) -> None:
        """Remove the content of the store.

        Raises:
            OSError: It cannot be removed.
        """
        if not self.is_common:
            # The folder is ours: only the commands of this page have ever used it.
            if self.place.exists():
                shutil.rmtree(self.place)
            return
        for path in self.place.glob("nbcache-*"):
            if not _OF_A_STORE.fullmatch(path.name):
                continue
            # `rmtree` refuses links, and the target of one is the user's
            # (https://docs.python.org/3/library/shutil.html#shutil.rmtree).
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


@dataclass(frozen=True, slots=True)
class CommandFolders:
    """The places of one build.

    Attributes:
        root: The folder in which commands run.
        common: The store that `nbcache_cli_store` names; `None` if each page has its own.
        own: The folder of pages' own stores.
    """

    root: Path
    common: Path | None
    own: Path

    def store_of(self, docname: str) -> CliStore:
        """Return the store that the commands of a document work on."""
        if self.common is not None:
            return CliStore(self.common, is_common=True)
        # One folder for each document, so that pages can be read in parallel.
        return CliStore(self.own.joinpath(*docname.split("/"), STORE_FOLDER), is_common=False)


def places_of(base: Path, output: Path, settings: Settings) -> tuple[CommandFolders, list[Notice]]:
    """Return the places of a build, and the problems of those that the options name.

    Args:
        base: The source directory, to which the options are relative.
        output: The folder that holds the output directory.
        settings: The options.
    """
    problems: list[Notice] = []
    root = base.parent
    if settings.cli_root is not None:
        declared = (base / settings.cli_root).resolve()
        if declared.is_dir():
            root = declared
        else:
            text = f"{PREFIX}cli_root = {settings.cli_root!r} is no folder; {root} is used"
            problems.append(Notice(Topic.CONFIG, text))
    common = (base / settings.cli_store).resolve() if settings.cli_store is not None else None
    if common is not None and common == store_place(base, output, settings).resolve():
        # An error, but not the end of the build: no command runs on the build's own store, which
        # would remove the results of pages that are still to be written.
        common = None
        text = (
            f"{PREFIX}cli_store = {settings.cli_store!r} is the store of this build, which the"
            " commands in pages must not change; each page has a store of its own instead"
        )
        problems.append(Notice(Topic.CONFIG, text, is_error=True))
    return CommandFolders(root, common, output / _FOLDER), problems


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
        # Held by this process for the whole page, so that no other page's command comes between two
        # of its own. The system releases it if the process is killed.
        self._lock = filelock.FileLock(store.lock_file)
        try:
            store.lock_file.parent.mkdir(parents=True, exist_ok=True)
            try:
                # Tried first only to be able to say why the build stands still.
                self._lock.acquire(timeout=0)
            except filelock.Timeout:
                LOGGER.info("another page is using the store of %s: waiting", docname)
                self._lock.acquire()
            if not store.is_common:
                # The page must not depend on earlier builds.
                store.empty()
        # filelock raises NotImplementedError on file systems without `flock`, at least up to 3.20;
        # version 4 falls back to a soft lock.
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
    # Sphinx clears this data after each document (`BuildEnvironment.prepare_settings`), also after
    # one whose reading failed (https://www.sphinx-doc.org/en/master/extdev/envapi.html).
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


def _places(app: Sphinx) -> tuple[CommandFolders, list[Notice]]:
    settings, _ = settings_of(app.config)
    return places_of(Path(app.srcdir), Path(app.outdir).parent, settings)
