"""A copy of every file that is kept apart from a build, to tell what the build did to it."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

from stepping import ASIDE

# Contents of files, and targets of links, after an arrow.
Entry = bytes | str
Disk = dict[str, Entry]
_Made = dict[tuple[str, str], dict[str, set[Entry]]]


class HarmError(AssertionError):
    """A build did to a file what it must not do."""


@dataclass
class Shadow:
    """What is known of all files below a folder, and who gave them their contents.

    A build may change a file only if a run gave it its present content under this name, in this
    checkout, with this secret, and the store still knows. The times of the file do not matter, so
    a user who saves that very content makes the file the run's again.

    Attributes:
        base: The folder. Checkouts are folders in it.
        root: The name of the checkout in which builds take place.
        secret: The secret of the account.
        known: The files as they are without a build.
        made: By secret and checkout, the contents that runs gave files there.
        written: All contents that cells ever gave a file, by its name.
        tracked: The files of the checkout that git tracks.
        events: How often builds did what.
        opened: The descriptor of a file that a user has opened for writing.
    """

    base: Path
    root: str = "checkout"
    secret: str = ""
    known: Disk = field(default_factory=dict)
    made: _Made = field(default_factory=dict)
    written: dict[str, set[Entry]] = field(default_factory=dict)
    tracked: frozenset[str] = frozenset()
    events: Counter[str] = field(default_factory=Counter)
    opened: int | None = None
    _was_linked: bool = False
    _of_run: dict[str, Entry] = field(default_factory=dict)
    _unseen: set[str] = field(default_factory=set)

    @property
    def folder(self) -> Path:
        return self.base / self.root

    def disk(self) -> Disk:
        """Return the files as they are now, without those that a build has renamed aside."""
        return {name: entry for name, entry in _below(self.base) if not _is_aside(name)}

    def aside(self) -> Disk:
        """Return the files that a build has renamed aside, or not finished."""
        return {name: entry for name, entry in _below(self.base) if _is_aside(name)}

    def user_changed(self, before: Disk) -> None:
        """Take note of what a user did since; a build that is under way was stopped meanwhile."""
        for path, _, new in _differences(before, self.disk()):
            self._keep(path, new)
            self._of_run.pop(path, None)
        self._was_linked = self._is_linked()

    def wrote(self) -> None:
        """Take note that a user wrote to the open file, which a build may have renamed aside."""
        assert self.opened is not None
        written = os.fstat(self.opened).st_ino
        for path, content in self.aside().items():
            if (self.base / path).lstat().st_ino == written:
                folder, _, name = path.rpartition("/")
                self.known[f"{folder}/{name.partition('-aside-')[2]}"] = content
        self.opened = None

    def folder_moved(self, old: str, new: str) -> None:
        """Take note that a user renamed a folder, with what a build has renamed aside in it.

        A build that has the folder open does not notice: its changes take place in there.
        """
        for path in [path for path in self.known if path.startswith(f"{old}/")]:
            self.known[new + path.removeprefix(old)] = self.known.pop(path)
        for contents in (self.written, self.made.get((self.secret, self.root), {})):
            for name in [n for n in contents if f"{self.root}/{n}".startswith(f"{old}/")]:
                moved = self._name(new) + name.removeprefix(self._name(old))
                contents[moved] = set(contents[name])

    def cell_changed(self, *, seen: bool, written: Path | None) -> None:
        """Take note of what a cell did; nothing else was done meanwhile.

        Args:
            seen: Whether the tracer sees writes of such cells.
            written: The file that the cell wrote, also if its content is what it was before.
        """
        disk = self.disk()
        changes = {path: new for path, _, new in _differences(self.known, disk)}
        if written is not None:
            path = os.path.relpath(os.path.realpath(written), self.base)
            changes |= {path: disk[path]} if path in disk else {}
        for path, new in changes.items():
            self._keep(path, new)
            if isinstance(new, bytes):
                for name in (path, *self._links_to(path, disk)):
                    self.written.setdefault(self._name(name), set()).add(new)
                self._of_run[path] = new
                (self._unseen.discard if seen else self._unseen.add)(path)
        self._was_linked = self._is_linked()

    def run_began(self) -> None:
        self._of_run.clear()
        self._unseen.clear()

    def run_ended(self) -> None:
        """Let the files that a run wrote be the run's, as it left them."""
        for path, content in self._of_run.items():
            if path.startswith(f"{self.root}/") and path not in self._unseen:
                self._own(self._name(path)).add(content)

    def build_changed(self) -> None:
        """Judge what a build did; nothing else was done meanwhile.

        Raises:
            HarmError: It did harm.
        """
        disk = self.disk()
        if self._was_linked and not self._is_linked():
            raise HarmError("a file that is open for writing was removed")
        aside = {_place(path): entry for path, entry in self.aside().items()}
        for path, old, new in _differences(self.known, disk):
            # A user put a folder in a product's place, and something else in the folder's place.
            is_kept = new is None and aside.get(path) == old and self._is_taken(path)
            if not is_kept:
                self._judge(path, old, new)
        self.known = disk

    def copied(self, root: str) -> None:
        """Take note that the checkout was copied: everything in the copy is the user's."""
        self.known = self.disk()
        self.made = {key: made for key, made in self.made.items() if key[1] != root}

    def moved(self, root: str) -> None:
        """Take note that the checkout has another name."""
        self.known = self.disk()
        self.made = {
            (secret, root if at == self.root else at): made
            for (secret, at), made in self.made.items()
            if at != root
        }
        self.root = root

    def snapshot(self) -> _Made:
        """Return what the store knows, for when it is restored."""
        return deepcopy(self.made)

    def _is_linked(self) -> bool:
        return self.opened is not None and os.fstat(self.opened).st_nlink > 0

    def _links_to(self, path: str, disk: Disk) -> Iterator[str]:
        """Yield the links of the checkout by which a cell may have written a file of it."""
        for name, entry in disk.items():
            if isinstance(entry, str) and name.startswith(f"{self.root}/"):
                real = os.path.relpath(os.path.realpath(self.base / name), self.base)
                if real == path and path.startswith(f"{self.root}/"):
                    yield name

    def _is_taken(self, path: str) -> bool:
        """Tell whether something is in the place of one of the folders above a path."""
        return any((self.base / p).is_symlink() or (self.base / p).is_file() for p in _above(path))

    def _keep(self, path: str, entry: Entry | None) -> None:
        if entry is None:
            self.known.pop(path, None)
        else:
            self.known[path] = entry

    def _own(self, name: str) -> set[Entry]:
        return self.made.setdefault((self.secret, self.root), {}).setdefault(name, set())

    def _name(self, path: str) -> str:
        return path.partition("/")[2]

    def _judge(self, path: str, old: Entry | None, new: Entry | None) -> None:
        name = self._name(path)
        shown = f"{path}: {old!r} -> {new!r}"
        if not path.startswith(f"{self.root}/"):
            raise HarmError(f"out of the checkout, {shown}")
        if old is not None and old not in self._own(name):
            raise HarmError(f"not given by a run, {shown}")
        if old is not None and new is None and name in self.tracked:
            raise HarmError(f"removed though git tracks it, {shown}")
        if new is not None and new not in self.written.get(name, ()):
            raise HarmError(f"not what a run wrote, {shown}")
        if new is not None:
            self._own(name).add(new)
        self.events["removed" if new is None else "restored" if old is None else "replaced"] += 1


def _differences(before: Disk, after: Disk) -> Iterator[tuple[str, Entry | None, Entry | None]]:
    for path in sorted({*before, *after}):
        old, new = before.get(path), after.get(path)
        if old != new:
            yield path, old, new


def _below(base: Path, prefix: str = "") -> Iterator[tuple[str, Entry]]:
    """Yield files and links."""
    with os.scandir(base) as entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.name == ".git" or name.startswith("store"):
                continue
            if entry.is_symlink():
                yield name, f"-> {os.readlink(entry.path)}"  # noqa: PTH115 (as it is written)
            elif entry.is_dir():
                yield from _below(Path(entry.path), f"{name}/")
            else:
                yield name, Path(entry.path).read_bytes()


def _place(path: str) -> str:
    """Return the path that something aside had before."""
    return re.sub(r"(^|/)\.nbcache-[0-9a-f]{16}-aside-", r"\1", path)


def _above(path: str) -> Iterator[str]:
    parts = path.split("/")
    return ("/".join(parts[:number]) for number in range(1, len(parts)))


def _is_aside(path: str) -> bool:
    """Tell whether a path is that of something that a build has renamed aside, or below it."""
    return any(ASIDE.fullmatch(part) for part in path.split("/"))
