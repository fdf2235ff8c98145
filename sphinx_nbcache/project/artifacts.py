"""Files that notebooks have written: which of them are to be put back, or taken away.

A file is *ours* if it has a content that a notebook has given it. Only such files are replaced
or removed; what is not ours is left, and the notebook that writes it is run.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sphinx_nbcache.notices import Notice, Notify, Topic
from sphinx_nbcache.planning import Reason, Why
from sphinx_nbcache.store.artifacts import Artifact
from sphinx_nbcache.store.files import made_contents
from sphinx_nbcache.store.outputs import OutputsError
from sphinx_nbcache.store.records import Result
from sphinx_nbcache.store.store import Store
from sphinx_nbcache.traces.facts import GONE, Absent, File, Trace
from sphinx_nbcache.traces.fingerprints import Fingerprints
from sphinx_nbcache.traces.places import Places

_GIT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Change:
    """Something to be done to a file under the root.

    Attributes:
        name: The file, by name.
        artifact: What it becomes; `None` if it is removed.
        found: Its state before: if it has another one by then, it is left alone.
        notebook: The notebook on whose account.
    """

    name: str
    artifact: Artifact | None
    found: str
    notebook: str

    @property
    def state(self) -> str:
        """The state of the file after the change."""
        return GONE if self.artifact is None else self.artifact.digest


class Artifacts:
    """The files that notebooks of a project have written.

    Args:
        store: Where their contents are.
        root: The root.
        fingerprints: The files as they are.
        notify: Takes warnings.
        is_source: Tells of a name whether it is that of a notebook of the project.
    """

    def __init__(
        self,
        store: Store,
        root: Path,
        fingerprints: Fingerprints,
        notify: Notify,
        is_source: Callable[[str], bool],
    ) -> None:
        self._store = store
        self._root = root
        self._fingerprints = fingerprints
        self._notify = notify
        self._is_source = is_source
        self._told: set[str] = set()

    def path(self, name: str) -> str:
        """Return the absolute path of an artifact."""
        return Places(str(self._root)).path_of(name) or str(self._root / name)

    def state_now(self, name: str) -> str:
        """Return the state of an artifact, looked at anew."""
        path = self.path(name)
        self._fingerprints.forget([path])
        return self._fingerprints.state(path)

    def to_restore(
        self, result: Result, trace: Trace, owners: Mapping[str, str], notebook: str
    ) -> list[Change] | Reason:
        """Return what has to be put back for a result, or the reason why it cannot be used.

        Nothing is changed yet.

        Args:
            result: The result.
            trace: Its trace.
            owners: Of files that several notebooks write the one whose content counts.
            notebook: The notebook that is to use the result.
        """
        if result.temporary:
            return []
        changes = []
        for artifact in result.artifacts:
            if owners.get(artifact.path, notebook) != notebook:
                continue
            found = self._fingerprints.state(self.path(artifact.path))
            if found == artifact.digest:
                continue
            if found == GONE and self._stays_away(artifact.path):
                continue
            if found != GONE and not self._is_ours(artifact.path, found, trace):
                text = f"{artifact.path}, which it writes, was changed by something else"
                return Reason(Why.FOREIGN_FILE, text)
            try:
                for _ in self._store.content(artifact):
                    pass
            except OutputsError as error:
                self._store.access.damaged(f"{artifact.path} of {result.notebook}: {error}")
                return Reason(Why.DAMAGED, f"what it wrote to {artifact.path} is not kept any more")
            changes.append(Change(artifact.path, artifact, found, notebook))
        return self._not_kept(result, trace, owners, notebook) or changes

    def _not_kept(
        self, result: Result, trace: Trace, owners: Mapping[str, str], notebook: str
    ) -> Reason | None:
        """Return that a file is not as it was left, of which no copy was kept: it was too large."""
        kept = {artifact.path for artifact in result.artifacts}
        for written in trace.written:
            name = written.path
            if name in kept or owners.get(name, notebook) != notebook or self._is_source(name):
                continue
            if self._fingerprints.state(self.path(name)) != written.digest:
                return Reason(Why.FOREIGN_FILE, f"{name}, which it writes, is not as it left it")
        return None

    def to_remove(
        self, old: Iterable[Result], new: Result | None, others: Mapping[str, str], notebook: str
    ) -> list[Change]:
        """Return the files of superseded results that are still ours, and not written any more.

        Args:
            old: The results that the notebook used before.
            new: The one that it uses now; `None` if it is about to be run.
            others: Which notebook writes a file, by its name.
            notebook: The notebook.
        """
        files = () if new is None or new.temporary else new.artifacts
        kept = {artifact.path for artifact in files}
        changes: dict[str, Change] = {}
        for result in old:
            for artifact in () if result.temporary else result.artifacts:
                name = artifact.path
                # What was there before a run is not the run's to take away.
                is_own = artifact.created and others.get(name, notebook) == notebook
                if name in kept or not is_own or self._stays_away(name):
                    continue
                if self._fingerprints.state(self.path(name)) == artifact.digest:
                    changes[name] = Change(name, None, artifact.digest, notebook)
        return list(changes.values())

    def expect(self, changes: Iterable[Change]) -> None:
        """Let files appear as they will be, without touching them."""
        for change in changes:
            self._fingerprints.expect(self.path(change.name), change.state)

    def unexpect(self, changes: Iterable[Change]) -> None:
        """Let files appear as they are."""
        for change in changes:
            self._forget_around(self.path(change.name))

    def carry_out(
        self, changes: Iterable[Change], folders: Collection[str] | None = None
    ) -> set[str]:
        """Change the files; return the names of those that were changed.

        Args:
            changes: What is to be done.
            folders: Names of folders that may go as well when they are empty; by default any.
        """
        done = set()
        for change in changes:
            path = self.path(change.name)
            state = self.state_now(change.name)
            if state == change.state:
                continue
            try:
                if state != change.found:
                    raise OSError("it was changed meanwhile")  # noqa: TRY301 (told as any trouble)
                self._change(path, change, folders)
                done.add(change.name)
            except (OSError, OutputsError) as error:
                verb = "removed" if change.artifact is None else "put back"
                text = f"{change.name}, which {change.notebook} wrote, is not {verb}: {error}"
                self._notify(Notice(Topic.ARTIFACT, text))
            self._forget_around(path)
        return done

    def _change(self, path: str, change: Change, folders: Collection[str] | None) -> None:
        target = Path(path)
        if not _is_confined(target, self._root):
            raise OSError("a link leads out of the project there")
        if change.artifact is None:
            target.unlink()
            self._remove_empty(target.parent, folders)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".nbcache-", dir=target.parent)
        partial = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.writelines(self._store.content(change.artifact))
            partial.chmod(change.artifact.mode | 0o200)
            partial.replace(target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise

    def _remove_empty(self, folder: Path, names: Collection[str] | None) -> None:
        """Remove folders in which nothing is left: a checkout does not have them either."""
        while folder != self._root and self._root in folder.parents:
            if names is not None and folder.relative_to(self._root).as_posix() not in names:
                return
            try:
                folder.rmdir()
            except OSError:
                return
            self._fingerprints.forget([str(folder)])
            folder = folder.parent

    def _forget_around(self, path: str) -> None:
        """Look again at a path, and at the folders that may have come or gone with it."""
        for changed in (Path(path), *Path(path).parents):
            if changed == self._root:
                return
            self._fingerprints.forget([str(changed)])

    def _is_ours(self, name: str, state: str, trace: Trace) -> bool:
        """Tell whether a file has a content that a run replaces, or that notebooks gave it."""
        for fact in trace.facts:
            if isinstance(fact, File | Absent) and fact.path == name:
                return True  # the run has read it: that it had this content was verified
        if any(written.path == name and written.before == state for written in trace.written):
            return True
        return state in made_contents(self._store.access, [name]).get(name, frozenset())

    def _stays_away(self, name: str) -> bool:
        """Tell whether a file is the user's to delete: a notebook, or part of the repository."""
        if self._is_source(name):
            return True
        if name not in self._tracked:
            return False
        if name not in self._told:
            self._told.add(name)
            text = (
                f"{name} is part of the git repository and was deleted; it is not put back. Run"
                " the notebook that writes it, or check it out"
            )
            if not os.path.lexists(self.path(name)):
                self._notify(Notice(Topic.ARTIFACT, text))
        return True

    @cached_property
    def _tracked(self) -> frozenset[str]:
        """The files that git tracks. Asked only if something would be put back or removed."""
        try:
            done = subprocess.run(
                ["git", "ls-files", "-z"],  # noqa: S607 (the user's own git)
                cwd=self._root,
                capture_output=True,
                timeout=_GIT_SECONDS,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return frozenset()
        names = done.stdout.decode("utf-8", "surrogateescape").split("\0")
        return frozenset(filter(None, names))


def _is_confined(path: Path, root: Path) -> bool:
    """Tell whether a path is under the root, whatever links there are."""
    return path.parent.resolve().is_relative_to(root.resolve())
