"""The folders in which the commands of pages run, and the stores that they work on."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from sphinx_nbcache.config import PREFIX, Settings
from sphinx_nbcache.notices import Notice, Topic
from sphinx_nbcache.project.place import STORE_FOLDER, store_place

# Next to the output directory: `make html latexpdf` shares it, and cleaning removes it.
_FOLDER = ".nbcache-cli"
# Only names that a store creates: the option may name a folder with other files of the user.
_OF_A_STORE = re.compile(r"nbcache-\d+(\..+)?")


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
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


@dataclass(frozen=True, slots=True)
class Places:
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
        return CliStore(self.own.joinpath(*docname.split("/"), STORE_FOLDER), is_common=False)


def places_of(base: Path, output: Path, settings: Settings) -> tuple[Places, list[Notice]]:
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
        common = None
        text = (
            f"{PREFIX}cli_store = {settings.cli_store!r} is the store of this build, which the"
            " commands in pages must not change; each page has a store of its own instead"
        )
        problems.append(Notice(Topic.CONFIG, text, is_error=True))
    return Places(root, common, output / _FOLDER), problems
