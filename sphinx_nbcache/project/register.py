"""The list of a project's notebooks: those that users added, and those that builds found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from sphinx_nbcache.files.atomic import trouble_in_words
from sphinx_nbcache.files.paths import asset_of, portable_path
from sphinx_nbcache.notebooks.formats import NOT_A_NAME, Formats
from sphinx_nbcache.notebooks.notebook import NotebookError
from sphinx_nbcache.notebooks.readers import format_for_reader
from sphinx_nbcache.notebooks.scan import scan_file
from sphinx_nbcache.project.requests import (
    ProjectError,
    Reference,
    UnknownReferenceError,
    names_meant,
    store_trouble,
)
from sphinx_nbcache.results.records import Registered, Roll
from sphinx_nbcache.store.access import encoded
from sphinx_nbcache.store.shelf import ShelfError
from sphinx_nbcache.store.store import Store
from sphinx_nbcache.text import is_encodable, one_line

_KEY = "notebooks"


def read_roll(store: Store) -> Roll:
    """Return the list of notebooks; it is empty if the store has none."""
    return store.access.read(_KEY, Roll) or Roll()


def change_roll(store: Store, change: Callable[[Roll], Roll]) -> Roll:
    """Change the list atomically: concurrent changes do not overwrite each other.

    Args:
        store: The store.
        change: Returns the new list from the current one.

    Raises:
        ShelfError: The store cannot be written.
    """
    with store.access.transaction():
        # Read inside the transaction: two concurrent changes would otherwise start from the same
        # list, and give the same id to two notebooks.
        old = read_roll(store)
        new = change(old)
        if new != old:
            store.access.write({_KEY: encoded(new)})
    return new


def try_to_change_roll(store: Store, change: Callable[[Roll], Roll]) -> None:
    """Change the list if necessary and possible."""
    # Compare without a transaction first. A transaction locks the database for other builds
    # (https://www.sqlite.org/lang_transaction.html), and most builds change nothing.
    if change(old := read_roll(store)) != old:
        # A build works without the list, for example with a read-only store.
        with suppress(ShelfError):
            change_roll(store, change)


class Register:
    """The list of notebooks that the store of a project keeps.

    Iteration yields the notebooks in the order of their ids. Ids are never reused.

    Args:
        store: The store that keeps the list.
        root: The directory to which names are relative.
        formats: The formats by suffix.
    """

    def __init__(self, store: Store, root: Path, formats: Formats) -> None:
        self._store = store
        self._root = root
        self._formats = formats

    def __iter__(self) -> Iterator[Registered]:
        return iter(read_roll(self._store).notebooks)

    @property
    def executor(self) -> str:
        """The executor last chosen for the notebooks; empty if none was chosen."""
        return read_roll(self._store).executor

    def choose_executor(self, name: str) -> None:
        """Remember an executor, for projects without a `conf.py`.

        The working directory of a notebook, temporary or not, is part of its code key. If the
        executor was forgotten, later commands would miss the results of earlier ones.

        Raises:
            StoreTroubleError: The store cannot be written.
        """
        if name != self.executor:
            with store_trouble():
                change_roll(self._store, lambda roll: msgspec.structs.replace(roll, executor=name))

    def get(self, reference: Reference) -> Registered:
        """Return a notebook by its id, path or name.

        Raises:
            UnknownReferenceError: The project has no such notebook.
        """
        (found,) = self.find([reference])
        return found

    def find(self, references: Iterable[Reference]) -> list[Registered]:
        """Return notebooks by ids, paths or names, each once.

        Raises:
            UnknownReferenceError: One of them is unknown.
        """
        notebooks = list(self)
        found = [_meant(reference, notebooks, self._root) for reference in references]
        # An id and a path can refer to the same notebook.
        return list({item.id: item for item in found}.values())

    def add(
        self, paths: Iterable[Path | str], reader: str = "", assets: Sequence[Path | str] = ()
    ) -> list[Registered]:
        """Add notebooks. A notebook already in the list keeps its id and gets the new settings.

        Args:
            paths: The files of the notebooks. They are not copied.
            reader: The reader (see [](format_for_reader)); empty to choose it by suffix.
            assets: Files or folders that the notebooks need, in or below the notebook's folder.

        Raises:
            ProjectError: A file, reader or asset cannot be used. The list is unchanged.
            StoreTroubleError: The store cannot be written.
        """
        # `absolute` keeps links, `resolve` would not: a linked notebook is listed, and read by its
        # suffix, under the name that the user gave.
        files = [Path(path).absolute() for path in paths]
        asked = [
            self._checked(path, reader, [Path(a).absolute() for a in assets]) for path in files
        ]
        names = [item.name for item in asked]
        with store_trouble():
            roll = change_roll(self._store, lambda roll: _with(roll, asked))
        return [item for name in names for item in roll.notebooks if item.name == name]

    def remove(self, references: Iterable[Reference]) -> list[Registered]:
        """Remove notebooks from the list, but neither their files nor their results.

        Raises:
            UnknownReferenceError: One of them is unknown. The list is unchanged.
            StoreTroubleError: The store cannot be written.
        """
        removed = self.find(references)
        ids = {item.id for item in removed}
        with store_trouble():
            change_roll(self._store, lambda roll: _without(roll, ids))
        return removed

    def clear(self) -> list[Registered]:
        """Remove all notebooks from the list.

        Raises:
            StoreTroubleError: The store cannot be written.
        """
        return self.remove([item.id for item in self])

    def note_built(self, names: Iterable[str]) -> None:
        """Add the notebooks that a build is about to run, so that concurrent commands know them.

        Missing notebooks stay in the list: another notebook may still write them.

        Args:
            names: The notebooks.
        """
        found = dict.fromkeys(names)

        def change(roll: Roll) -> Roll:
            known = {item.name for item in roll.notebooks}
            # The id 0 is a placeholder: `_with` assigns ids, inside the transaction.
            return _with(roll, [Registered(0, n, by_build=True) for n in found if n not in known])

        try_to_change_roll(self._store, change)

    def set_built(self, names: Iterable[str], below: str) -> None:
        """Replace the notebooks that builds added by those that this build found.

        An unchanged list is not written. A store that cannot be written is not an error.

        Args:
            names: The notebooks among the documents.
            below: The source directory, relative to the root. Notebooks that other builds found
                elsewhere stay in the list.
        """
        found = dict.fromkeys(names)

        def change(roll: Roll) -> Roll:
            # Several Sphinx projects may share a store: each removes only notebooks below its own
            # source directory. Notebooks that users added are never removed.
            prefix = "" if below == "." else f"{below}/"
            gone = {
                item.id
                for item in roll.notebooks
                if item.by_build and item.name.startswith(prefix) and item.name not in found
            }
            known = {item.name for item in roll.notebooks}
            new = [Registered(0, name, by_build=True) for name in found if name not in known]
            return _with(_without(roll, gone), new)

        try_to_change_roll(self._store, change)

    def _checked(self, path: Path, reader: str, assets: Sequence[Path]) -> Registered:
        if not path.is_file():
            raise ProjectError(f"there is no file {path}")
        if not is_encodable(portable_path(path, self._root)):
            raise ProjectError(f"{one_line(str(path))} cannot be added: {NOT_A_NAME}")
        try:
            if reader:
                format_for_reader(reader, path.name)
            elif not self._formats.suffix_of(path.name):
                raise ProjectError(
                    f"the suffix of {path} tells no notebook format; name a reader, such as"
                    " jupytext, or declare the suffix in nbcache_formats"
                )
            inner = tuple(sorted(asset_of(asset, path) for asset in assets))
        except (NotebookError, ValueError) as error:
            raise ProjectError(str(error)) from None
        for asset in assets:
            if not asset.exists():
                raise ProjectError(f"there is no asset {asset}")
        if not is_notebook(path, self._formats, reader):
            name = portable_path(path, self._root)
            raise ProjectError(f"{name} is not a notebook: it names neither a kernel nor a format")
        return Registered(0, portable_path(path, self._root), reader, inner)


def is_notebook(path: Path, formats: Formats, reader: str = "") -> bool:
    """Tell whether a file is a notebook, even a malformed one.

    Args:
        path: The file.
        formats: The formats by suffix.
        reader: Its reader; empty to use its suffix.

    Raises:
        ProjectError: The file cannot be read at all.
    """
    try:
        return scan_file(path, formats, reader).fmt is not None
    except OSError as error:
        raise ProjectError(f"{path} cannot be read: {trouble_in_words(error)}") from None


def _meant(reference: Reference, notebooks: Sequence[Registered], root: Path) -> Registered:
    if isinstance(reference, int):
        found = [item for item in notebooks if item.id == reference]
    else:
        names = names_meant(reference, root)
        found = [item for name in names for item in notebooks if item.name == name]
    if not found:
        what = f"with the id {reference}" if isinstance(reference, int) else f"{str(reference)!r}"
        raise UnknownReferenceError(f"the project has no notebook {what}")
    return found[0]


def _with(roll: Roll, added: Sequence[Registered]) -> Roll:
    """Return the list with notebooks added, or updated if they are already in it."""
    notebooks = {item.name: item for item in roll.notebooks}
    next_id = roll.next_id
    for item in added:
        old = notebooks.get(item.name)
        # `next_id` never decreases: an id in a user's script must not come to mean another
        # notebook after the first one was removed.
        number, when = (old.id, old.added) if old is not None else (next_id, time.time())
        next_id += old is None
        notebooks[item.name] = msgspec.structs.replace(item, id=number, added=when)
    return msgspec.structs.replace(roll, next_id=next_id, notebooks=tuple(notebooks.values()))


def _without(roll: Roll, ids: set[int]) -> Roll:
    if not ids:
        return roll
    left = tuple(item for item in roll.notebooks if item.id not in ids)
    return msgspec.structs.replace(roll, notebooks=left)
