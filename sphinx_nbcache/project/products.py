"""Files that notebooks have written: which of them are put back, or taken away.

A file is *ours* if it has a content that a run gave it in this checkout, or that a build put
back here. Only such files are replaced or removed. Everything else is the user's and stays; the
notebook that writes it is run instead.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sphinx_nbcache.files import moving
from sphinx_nbcache.files.atomic import trouble_in_words
from sphinx_nbcache.files.confined import obstacle, open_folder, real_name
from sphinx_nbcache.files.moving import Move, move_of
from sphinx_nbcache.files.protected import Tracked, is_inert, is_page, why_never
from sphinx_nbcache.notices import Notice, Notify, Topic
from sphinx_nbcache.planning import Reason, Why
from sphinx_nbcache.project.journal import Journal
from sphinx_nbcache.results.artifacts import Artifact
from sphinx_nbcache.results.outputs import OutputsError
from sphinx_nbcache.results.records import Result, Stored
from sphinx_nbcache.store.file_records import checkout_id, made_contents, note_made
from sphinx_nbcache.store.shelf import ShelfError
from sphinx_nbcache.store.store import Store
from sphinx_nbcache.traces.fingerprints import GONE, Fingerprints
from sphinx_nbcache.traces.names import PathNames
from sphinx_nbcache.traces.trace import Trace

# Files of results without a mark are never executable.
_PLAIN_MODE = 0o644
_WRITABLE = 0o200


@dataclass(frozen=True, slots=True)
class Change:
    """Something to be done to a file under the root.

    Attributes:
        name: The file, by name.
        artifact: The new content; `None` if the file is removed.
        found: Its state before, which is proven to be ours: if it has another one by then, it is
            left alone.
        notebook: The notebook on whose account.
        mode: Its permissions afterwards.
        folders: Names of folders that runs made: they go as well when they are empty.
    """

    name: str
    artifact: Artifact | None
    found: str
    notebook: str
    mode: int = _PLAIN_MODE
    folders: frozenset[str] = frozenset()

    @property
    def state(self) -> str:
        """The state of the file after the change."""
        return GONE if self.artifact is None else self.artifact.digest


class Artifacts:
    """The files that notebooks of a project write, and the changes to them in one build.

    This is the only owner of that state: planner, ledger and validity ask here.

    Attributes:
        owners: The notebook whose content counts, the last one, for files that several write.
        writers: Which notebooks have written a file while a plan is carried out, by its name.
        checkout: The id of this checkout: files are ours only where a run or a build put them.

    Args:
        store: Where their contents are.
        root: The root.
        fingerprints: The files as they are.
        notify: Takes warnings.
        is_source: Tells of a name whether it is that of a notebook of the project.
        is_allowed: Tells of a name whether `nbcache_restore` allows to put it back.
    """

    def __init__(  # noqa: PLR0913, PLR0917 (what a project consists of)
        self,
        store: Store,
        root: Path,
        fingerprints: Fingerprints,
        notify: Notify,
        is_source: Callable[[str], bool],
        is_allowed: Callable[[str], bool],
    ) -> None:
        self._store = store
        self._root = root
        self._fingerprints = fingerprints
        self._notify = notify
        self._is_source = is_source
        self._is_allowed = is_allowed
        self._said: set[str] = set()
        self._tracked = Tracked(root)
        self._places = PathNames(str(root))
        self.checkout = checkout_id(root)
        self._journal = Journal(store, self.checkout)
        self.owners: Mapping[str, str] = {}
        self.writers: dict[str, set[str]] = {}
        self._planned: dict[str, Sequence[Change]] = {}

    def plan(self, notebook: str, changes: Sequence[Change]) -> None:
        """Let files appear as they will be after the changes that a notebook's result needs."""
        if changes:
            self._planned[notebook] = changes
            self.expect(changes)

    def withdraw(self, notebook: str) -> None:
        """Let files appear unchanged again, because a notebook uses another result or none."""
        self.unexpect(self._planned.pop(notebook, ()))

    def forget_planned(self) -> None:
        """Forget the planned changes: everything is planned again."""
        self._planned.clear()

    def settle(self, notebook: str, *, ran_here: bool) -> None:
        """Carry out the planned changes of a notebook, unless a run has taken their place."""
        changes = self._planned.pop(notebook, ())
        if changes and not ran_here:
            self.change(notebook, changes)

    def change(self, notebook: str, changes: Iterable[Change]) -> None:
        """Change files now, on account of a notebook."""
        self.note_written(notebook, self.carry_out(changes))

    def note_written(self, notebook: str, names: Iterable[str]) -> None:
        """Note that a notebook has written files."""
        for name in names:
            self.writers.setdefault(name, set()).add(notebook)

    def of_others(self, notebook: str) -> set[str]:
        """Return the names of the files that other notebooks have written."""
        return {name for name, by in self.writers.items() if by - {notebook}}

    def path(self, name: str) -> str:
        """Return the absolute path of an artifact.

        A name that no run gives to a file under the root stands for the root itself: that is a
        folder, and so never what a run has left.
        """
        inside = self._places.path_of(name) if self._places.is_inside(name) else None
        return inside or str(self._root)

    def state_now(self, name: str) -> str:
        """Return the state of an artifact, after a new look at it."""
        path = self.path(name)
        self._fingerprints.forget([path])
        return self._fingerprints.state(path)

    def to_restore(self, stored: Stored, trace: Trace, notebook: str) -> list[Change] | Reason:
        """Return what has to be put back for a result, or the reason why it cannot be used.

        Nothing is changed yet.

        Args:
            stored: The result.
            trace: Its trace.
            notebook: The notebook that is to use the result.
        """
        result = stored.result
        if result.temporary:
            return []
        changes: list[Change] = []
        away: list[str] = []
        for artifact in result.artifacts:
            name = artifact.path
            if self.owners.get(name, notebook) != notebook:
                continue
            found = self._fingerprints.state(self.path(name))
            if found == artifact.digest:
                continue
            if found == GONE and self._stays_away(name):
                away.append(name)
                continue
            refusal = self._refusal(stored, artifact, found)
            if refusal is not None:
                return refusal
            if (damage := self._damage(artifact, result)) is not None:
                return damage
            mode = artifact.mode | _WRITABLE if stored.is_marked else _PLAIN_MODE
            changes.append(Change(name, artifact, found, notebook, mode))
        self._say_away([name for name in away if not os.path.lexists(self.path(name))])
        return self._not_kept(result, trace, notebook) or changes

    def _refusal(self, stored: Stored, artifact: Artifact, found: str) -> Reason | None:
        """Say why a file is not put back, or not replaced; `None` if it may be."""
        name = artifact.path
        if (never := self._why_never(name)) is not None:
            return Reason(Why.NOT_RESTORED, f"{name} is not put back: {never}", name)
        if found != GONE:
            return self._why_not_replaced(stored, artifact, found)
        if stored.is_marked or is_inert(name) or self._is_allowed(name):
            return None
        text = (
            f"{name} is not put back: the result is not one of this account"
            " (nbcache_restore allows it)"
        )
        return Reason(Why.NOT_RESTORED, text, name)

    def _why_never(self, name: str) -> str | None:
        """Say why nothing is put at a path, whoever made the result; `None` if it may be."""
        if self.path(name) != str(self._root / name):
            return "its name is not UTF-8"
        try:
            real = real_name(self._root, name)
            return why_never(name) or why_never(real) or obstacle(self._root, real)
        except OSError as error:
            return error.strerror or str(error)

    def _why_not_replaced(self, stored: Stored, artifact: Artifact, found: str) -> Reason | None:
        name = artifact.path
        is_ours = found in self._made(name) and not artifact.inferred
        is_allowed = self._is_allowed(name)
        real = self._real(name)
        if self._is_source(real) or is_page(real):
            text = f"{name} is a page of the project, and not what it wrote"
        elif not is_ours and not (is_allowed and self._tracked.is_clean(real)):
            text = f"{name}, which it writes, was changed by something else"
        elif not stored.is_marked and not is_allowed:
            text = (
                f"{name}, which it writes, has another content, and the result is not one of"
                " this account (nbcache_restore allows to replace it)"
            )
        else:
            return None
        return Reason(Why.FOREIGN_FILE, text, name)

    def _damage(self, artifact: Artifact, result: Result) -> Reason | None:
        try:
            for _ in self._store.content(artifact):
                pass
        except OutputsError as error:
            self._store.access.damaged(f"{artifact.path} of {result.notebook}: {error}")
            return Reason(Why.DAMAGED, f"what it wrote to {artifact.path} is not kept any more")
        return None

    def _not_kept(self, result: Result, trace: Trace, notebook: str) -> Reason | None:
        """Return that a file is not as it was left, of which no copy was kept: it was too large."""
        kept = {artifact.path for artifact in result.artifacts}
        for written in trace.written:
            name = written.path
            is_own = self.owners.get(name, notebook) == notebook
            if name in kept or not is_own or self._is_source(name):
                continue
            if self._fingerprints.state(self.path(name)) != written.digest:
                return Reason(Why.FOREIGN_FILE, f"{name}, which it writes, is not as it left it")
        return None

    def to_remove(
        self,
        old: Iterable[Stored],
        new: Result | None,
        notebook: str,
        folders: Collection[str] = (),
    ) -> list[Change]:
        """Return the files of superseded results that are still ours, and not written any more.

        Args:
            old: The results that the notebook used before.
            new: The one that it uses now; `None` if it is about to be run.
            notebook: The notebook.
            folders: Names of folders that its runs made.
        """
        files = () if new is None or new.temporary else new.artifacts
        kept = {artifact.path for artifact in files}
        made_folders = frozenset(folders)
        changes: dict[str, Change] = {}
        for artifact in _written(old):
            name = artifact.path
            is_own = self.owners.get(name, notebook) == notebook
            if name in kept or not is_own or not self._is_removable(artifact):
                continue
            changes[name] = Change(name, None, artifact.digest, notebook, folders=made_folders)
        return list(changes.values())

    def _is_removable(self, artifact: Artifact) -> bool:
        """Tell whether a run made a file where nothing was, and it is still as the run left it."""
        name = artifact.path
        # A file that was there before a run, or may have been, is not the run's to take away.
        if not artifact.created or artifact.inferred:
            return False
        return (
            self._fingerprints.state(self.path(name)) == artifact.digest
            and artifact.digest in self._made(name)
            and self._why_never(name) is None
            and not self._stays_away(name)
        )

    def left_over(self, old: Iterable[Stored]) -> frozenset[str]:
        """Return the names of files that earlier runs seem to have written, and that are there."""
        return frozenset(
            artifact.path
            for stored in old
            if not stored.result.temporary
            for artifact in stored.result.artifacts
            if artifact.inferred and self._fingerprints.state(self.path(artifact.path)) != GONE
        )

    def expect(self, changes: Iterable[Change]) -> None:
        """Let files appear as they will be, without touching them."""
        for change in changes:
            self._fingerprints.expect(self.path(change.name), change.state)

    def unexpect(self, changes: Iterable[Change]) -> None:
        """Let files appear as they are."""
        for change in changes:
            self._forget_around(self.path(change.name))

    def carry_out(self, changes: Iterable[Change]) -> set[str]:
        """Change the files; return the names of those that were changed."""
        wanted = [
            (change, move_of(change.name, change.found))
            for change in changes
            if self.state_now(change.name) != change.state
        ]
        if not wanted:
            return set()
        failed: dict[str, str] = {}
        done: list[Change] = []
        with self._journal.of([move for _, move in wanted]):
            for change, move in wanted:
                if self._is_done(change):
                    continue  # by another build, while this one waited for the journal
                if (trouble := self._trouble(change, move)) is not None:
                    failed[change.name] = trouble
                else:
                    done.append(change)
            self._note_placed(done)
        self._say_failed([change for change, _ in wanted if change.name in failed], failed)
        return {change.name for change in done}

    def _say_failed(self, changes: Sequence[Change], failed: Mapping[str, str]) -> None:
        """Name a change that failed, and count the rest: a store can list a million."""
        if not changes:
            return
        first = changes[0]
        verb = "removed" if first.artifact is None else "put back"
        more = f" ({len(changes) - 1} more files likewise)" if len(changes) > 1 else ""
        text = f"{first.name}, which {first.notebook} wrote, is not {verb}: {failed[first.name]}"
        self._say(text + more)

    def recover(self) -> None:
        """Complete the changes of builds that were killed meanwhile."""
        with self._journal.interrupted() as moves:
            for move in moves:
                kept = None
                try:
                    with open_folder(self._root, move.path) as (folder, _):
                        kept = moving.recover(folder, move)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    kept = f"{move.aside} ({error})"
                if kept is not None:
                    text = f"{move.path}: a build was killed while it changed this file; what was"
                    self._say(f"{text} there before is kept beside it as {kept}")

    def _is_done(self, change: Change) -> bool:
        path = self.path(change.name)
        self._fingerprints.renew(path)
        return self._fingerprints.state(path) == change.state

    def _trouble(self, change: Change, move: Move) -> str | None:
        """Carry out a change; return what went wrong, if something did."""
        path = self.path(change.name)
        try:
            if self._fingerprints.state(path) != change.found:
                return "it was changed in the meantime"
            self._change(change, move)
        except (OSError, OutputsError) as error:
            return trouble_in_words(error) if isinstance(error, OSError) else str(error)
        finally:
            self._forget_around(path)
        return None

    def _change(self, change: Change, move: Move) -> None:
        is_placed = change.artifact is not None
        with open_folder(self._root, change.name, create=is_placed) as (folder, _):
            if change.artifact is None:
                moving.remove_file(
                    folder, move, change.found, lambda: self._stays_away(change.name)
                )
            else:
                content = self._store.content(change.artifact)
                moving.place(folder, move, change.found, content, change.mode)
        if not is_placed:
            self._remove_empty(move.folder, change.folders)

    def _note_placed(self, done: Iterable[Change]) -> None:
        placed = {c.name: c.artifact.digest for c in done if c.artifact is not None}
        if placed and self.checkout:
            try:
                note_made(self._store.access, placed, self.checkout)
            except ShelfError:
                return  # they are the user's from now on: that is safe

    def _remove_empty(self, name: str, names: Collection[str]) -> None:
        """Remove folders that a run made and in which nothing is left."""
        while name in names:
            try:
                with open_folder(self._root, name) as (folder, last):
                    folder.remove_folder(last)
            except OSError:
                return
            self._fingerprints.forget([self.path(name)])
            name = name.rpartition("/")[0]

    def _forget_around(self, path: str) -> None:
        """Look again at a path, and at the folders that may have come or gone with it."""
        for changed in (Path(path), *Path(path).parents):
            if changed == self._root:
                return
            self._fingerprints.forget([str(changed)])

    def _made(self, name: str) -> frozenset[str]:
        """Return the contents that runs and builds have given a file in this checkout."""
        if not self.checkout:
            return frozenset()
        return made_contents(self._store.access, name, self.checkout)

    def _real(self, name: str) -> str:
        """Return the name of a file after following links, as git and the project know it."""
        with suppress(OSError):
            return real_name(self._root, name)
        return name

    def _stays_away(self, name: str) -> bool:
        """Tell whether a file is the user's to delete: a notebook, or part of the repository."""
        real = self._real(name)
        return self._is_source(real) or real in self._tracked

    def _say_away(self, names: Sequence[str]) -> None:
        """Name once a file that the user deleted, and count the rest."""
        if not names or names[0] in self._said:
            return
        self._said.update(names)
        more = f" (likewise {len(names) - 1} more files)" if len(names) > 1 else ""
        self._say(
            f"{names[0]} is part of the git repository and was deleted; it is not put back{more}."
            " Run the notebook that writes it, or check it out"
        )

    def _say(self, text: str) -> None:
        self._notify(Notice(Topic.ARTIFACT, text))


def _written(results: Iterable[Stored]) -> Iterable[Artifact]:
    """Yield the files that runs of this account have written under the root."""
    for stored in results:
        if stored.is_marked and not stored.result.temporary:
            yield from stored.result.artifacts
