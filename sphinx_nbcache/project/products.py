"""Restores and removes files that notebooks have written.

A file is *ours* if a run in this checkout wrote its content, or a build restored it here. Only such
files are replaced or removed. Every other file belongs to the user and stays; the notebook that
writes it is run instead.
"""

from __future__ import annotations

import errno
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

# Files of results without a mark, which may be forged, are never executable.
_PLAIN_MODE = 0o644
# Problems that may have passed by the next build, which then tries a recovery again.
_PASSING = frozenset({errno.EACCES, errno.EBUSY, errno.EIO, errno.EPERM, errno.EROFS})
_WRITABLE = 0o200


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a file under the root.

    Attributes:
        name: The name of the file.
        artifact: The new content; `None` to remove the file.
        found: The state before, which is proven to be ours. A file in any other state is not
            changed.
        notebook: The notebook that needs the change.
        mode: The permissions afterwards.
        folders: Names of folders that runs made. They are removed as well once they are empty.
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

    This class is the only owner of that state; planner, ledger and validity query it.

    Attributes:
        owners: For each file that several notebooks write, the last one, whose content counts.
        writers: The notebooks that wrote a file in the current build, by the name of the file.
        checkout: The id of this checkout. A file is ours only in the checkout where it was written.

    Args:
        store: The store of the contents.
        root: The root.
        fingerprints: The present files.
        notify: Takes warnings.
        is_source: Returns whether a name is that of a notebook of the project.
        is_allowed: Returns whether `nbcache_restore` allows restoring the file of that name.
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
        """Plan changes that a notebook's result needs; the files appear as if changed already."""
        # Readers are planned after their producers. They must see the restored files, or they
        # would be planned to run.
        if changes:
            self._planned[notebook] = changes
            self.expect(changes)

    def withdraw(self, notebook: str) -> None:
        """Cancel the planned changes of a notebook, which uses another result or none."""
        self.unexpect(self._planned.pop(notebook, ()))

    def forget_planned(self) -> None:
        """Forget all planned changes, because everything is planned again."""
        self._planned.clear()

    def settle(self, notebook: str, *, ran_here: bool) -> None:
        """Carry out the planned changes of a notebook, unless it was run instead."""
        changes = self._planned.pop(notebook, ())
        if changes and not ran_here:
            self.change(notebook, changes)

    def change(self, notebook: str, changes: Iterable[Change]) -> None:
        """Change files now, for a notebook."""
        self.note_written(notebook, self.carry_out(changes))

    def note_written(self, notebook: str, names: Iterable[str]) -> None:
        """Note that a notebook has written files."""
        for name in names:
            self.writers.setdefault(name, set()).add(notebook)

    def note_run(self, notebook: str, trace: Trace) -> None:
        """Record the files that a run of a notebook wrote, removed or created as directories."""
        # Removed files and new directories also change what readers and directory listings see.
        self.note_written(notebook, trace.changed() | trace.made_folders())

    def of_others(self, notebook: str) -> set[str]:
        """Return the names of the files that other notebooks have written."""
        return {name for name, by in self.writers.items() if by - {notebook}}

    def path(self, name: str) -> str:
        """Return the absolute path of an artifact.

        For a name that no file under the root can have, return the root itself: it is a folder,
        and therefore never matches the digest of an artifact.
        """
        inside = self._places.path_of(name) if self._places.is_inside(name) else None
        return inside or str(self._root)

    def state_now(self, name: str) -> str:
        """Return the present state of an artifact, bypassing the cache."""
        path = self.path(name)
        self._fingerprints.forget([path])
        return self._fingerprints.state(path)

    def to_restore(self, stored: Stored, trace: Trace, notebook: str) -> list[Change] | Reason:
        """Return the changes that restore the files of a result, or why it cannot be used.

        This method changes no files.

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
            # Several notebooks write this file. Only the last one restores it; otherwise each
            # build would replace the file several times.
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
            # Read all content now: a file that turns out to be damaged later would be missing,
            # while the notebook counts as up to date.
            if (damage := self._damage(artifact, result)) is not None:
                return damage
            mode = artifact.mode | _WRITABLE if stored.is_marked else _PLAIN_MODE
            changes.append(Change(name, artifact, found, notebook, mode))
        # The fingerprints may say "gone" because of a planned change; warn only about real gaps.
        self._say_away([name for name in away if not os.path.lexists(self.path(name))])
        return self._not_kept(result, trace, notebook) or changes

    def _refusal(self, stored: Stored, artifact: Artifact, found: str) -> Reason | None:
        """Return why a file must not be restored or replaced; `None` if it may be."""
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
        """Return why no file may be placed at a path, whoever made the result, or `None`."""
        if self.path(name) != str(self._root / name):
            return "its name is not UTF-8"
        try:
            real = real_name(self._root, name)
            return why_never(name) or why_never(real) or obstacle(self._root, real)
        except OSError as error:
            return error.strerror or str(error)

    def _why_not_replaced(self, stored: Stored, artifact: Artifact, found: str) -> Reason | None:
        name = artifact.path
        # An inferred write proves nothing: the content may be the user's edit during the run.
        is_ours = found in self._made(name) and not artifact.inferred
        is_allowed = self._is_allowed(name)
        real = self._real(name)
        # Pages are the user's work, even if a run once wrote them. With `nbcache_restore`, a
        # clean file of git may be replaced, because git has a copy.
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
        """Return the reason if a file has changed and was too large to keep a copy."""
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
        """Return the removal of files that superseded results left, and that are still ours.

        Args:
            old: The results that the notebook used before.
            new: The result that it uses now; `None` if it is about to be run.
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
        """Tell whether a run created a file, and the file is unchanged since."""
        name = artifact.path
        # A file that existed before the run, or may have existed, belongs to the user.
        if not artifact.created or artifact.inferred:
            return False
        return (
            self._fingerprints.state(self.path(name)) == artifact.digest
            and artifact.digest in self._made(name)
            and self._why_never(name) is None
            and not self._stays_away(name)
        )

    def left_over(self, old: Iterable[Stored]) -> frozenset[str]:
        """Return the names of existing files that earlier runs seem to have written."""
        return frozenset(
            artifact.path
            for stored in old
            if not stored.result.temporary
            for artifact in stored.result.artifacts
            if artifact.inferred and self._fingerprints.state(self.path(artifact.path)) != GONE
        )

    def expect(self, changes: Iterable[Change]) -> None:
        """Make the fingerprints pretend that changes were carried out."""
        for change in changes:
            self._fingerprints.expect(self.path(change.name), change.state)

    def unexpect(self, changes: Iterable[Change]) -> None:
        """Make the fingerprints report the real files again."""
        for change in changes:
            self._forget_around(self.path(change.name))

    def carry_out(self, changes: Iterable[Change]) -> set[str]:
        """Carry out changes; return the names of the changed files."""
        wanted = [
            (change, move_of(change.name, change.found))
            for change in changes
            if self.state_now(change.name) != change.state
        ]
        if not wanted:
            return set()
        # One journal entry for all changes: each entry costs a write to the database.
        failed: dict[str, str] = {}
        done: list[Change] = []
        with self._journal.of([move for _, move in wanted]):
            for change, move in wanted:
                if self._is_done(change):
                    continue  # another build did the same while this one waited for the journal
                if (trouble := self._trouble(change, move)) is not None:
                    failed[change.name] = trouble
                else:
                    done.append(change)
            self._note_placed(done)
        self._say_failed([change for change, _ in wanted if change.name in failed], failed)
        return {change.name for change in done}

    def _say_failed(self, changes: Sequence[Change], failed: Mapping[str, str]) -> None:
        """Warn about the first failed change, and count the rest: there may be a million."""
        if not changes:
            return
        first = changes[0]
        verb = "removed" if first.artifact is None else "put back"
        more = f" ({len(changes) - 1} more files likewise)" if len(changes) > 1 else ""
        text = f"{first.name}, which {first.notebook} wrote, is not {verb}: {failed[first.name]}"
        self._say(text + more)

    def recover(self) -> None:
        """Complete the changes of builds that were killed while they changed files."""
        with self._journal.interrupted() as moves:
            for move in list(moves):
                kept = None
                try:
                    with open_folder(self._root, move.path) as (folder, _):
                        kept = moving.recover(folder, move)
                    moves.remove(move)
                except (FileNotFoundError, NotADirectoryError):
                    # The whole folder was removed, or replaced, by the user or by git.
                    moves.remove(move)
                    continue
                except OSError as error:
                    kept = f"{move.aside} ({error})"
                    if error.errno not in _PASSING:
                        moves.remove(move)
                if kept is not None:
                    text = f"{move.path}: a build was killed while it changed this file; what was"
                    self._say(f"{text} there before is kept next to it as {kept}")

    def _is_done(self, change: Change) -> bool:
        path = self.path(change.name)
        self._fingerprints.renew(path)
        return self._fingerprints.state(path) == change.state

    def _trouble(self, change: Change, move: Move) -> str | None:
        """Carry out a change; return an error message if it failed."""
        path = self.path(change.name)
        try:
            if self._fingerprints.state(path) != change.found:
                return "it was changed in the meantime"
            self._change(change, move)
        except (OSError, OutputsError) as error:
            return trouble_in_words(error) if isinstance(error, OSError) else str(error)
        finally:
            # Also after a failure: the file may have been moved aside already.
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
                return  # safe: the files count as the user's from now on

    def _remove_empty(self, name: str, names: Collection[str]) -> None:
        """Remove a folder that a run made, and its parents that the run made, once empty."""
        while name in names:
            try:
                with open_folder(self._root, name) as (folder, last):
                    folder.remove_folder(last)
            # ENOTEMPTY: a folder with other files stays, and so do its parents.
            except OSError:
                return
            self._fingerprints.forget([self.path(name)])
            name = name.rpartition("/")[0]

    def _forget_around(self, path: str) -> None:
        """Invalidate the fingerprints of a path, and of the folders that may have changed."""
        for changed in (Path(path), *Path(path).parents):
            if changed == self._root:
                return
            self._fingerprints.forget([str(changed)])

    def _made(self, name: str) -> frozenset[str]:
        """Return the digests of the contents that runs and builds wrote to a file here."""
        if not self.checkout:
            return frozenset()
        return made_contents(self._store.access, name, self.checkout)

    def _real(self, name: str) -> str:
        """Return the name of a file after following links, as git and the project know it."""
        # git refuses to track paths "beyond a symbolic link", so it knows a file only under its
        # real name: https://github.com/libgit2/pygit2/issues/1375
        with suppress(OSError):
            return real_name(self._root, name)
        return name

    def _stays_away(self, name: str) -> bool:
        """Tell whether a deleted file stays deleted: a notebook, or a file that git tracks."""
        real = self._real(name)
        return self._is_source(real) or real in self._tracked

    def _say_away(self, names: Sequence[str]) -> None:
        """Warn once about files that the user deleted: name the first, and count the rest."""
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
        # A forged result could name files of the user, to have them removed.
        if stored.is_marked and not stored.result.temporary:
            yield from stored.result.artifacts
