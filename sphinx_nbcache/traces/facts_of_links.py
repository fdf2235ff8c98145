"""Facts about what stands behind a path: links, names of one file, and logs of databases."""

from __future__ import annotations

import os

from sphinx_nbcache.bounded import Name, State
from sphinx_nbcache.traces.fact import BaseFact, Kind, PathFact
from sphinx_nbcache.traces.fingerprints import GONE
from sphinx_nbcache.traces.names import PathNames
from sphinx_nbcache.traces.world import World


class Link(PathFact, frozen=True, tag="link"):
    """A path led to this target, or was no link, when code asked for that."""

    _kind = Kind.FILES
    target: Name = ""
    """As the link has it: relative to its folder, or a name. Empty if it was no link."""

    @classmethod
    def now(cls, name: str, world: World) -> Link:
        """Return the fact about what is there now."""
        path = world.path(name)
        try:
            target = os.readlink(path) if path is not None else ""
        except (OSError, ValueError):
            target = ""
        return cls(name, target_name(target, world.places))

    def mismatch(self, world: World) -> str | None:
        """Read the link again."""
        now = Link.now(self.path, world)
        if now == self:
            return None
        if not now.target:
            return f"{self.path} is no link any more"
        return f"{self.path} leads to {now.target} now"

    def in_words(self) -> str:
        """Name the path and the target."""
        return f"{self.path} leads to {self.target}" if self.target else f"{self.path} is no link"


def target_name(target: str, places: PathNames) -> str:
    """Return the name of the target of a link, by which it is the same in another checkout."""
    name = places.name_of(target) if os.path.isabs(target) else None
    return name or os.path.normpath(target) if target else ""


class SameFile(PathFact, frozen=True, tag="same-file"):
    """Two paths led to one file, or to two."""

    _kind = Kind.FILES
    other: Name
    same: bool

    def mismatch(self, world: World) -> str | None:
        """Compare the files again."""
        paths = [world.path(name) for name in (self.path, self.other)]
        stats = [world.fingerprints.entry(p).stat if p is not None else None for p in paths]
        is_same = stats[0] is not None and stats[0] == stats[1]
        if is_same == self.same:
            return None
        return f"{self.path} and {self.other} are {'one file' if is_same else 'two files'} now"

    def in_words(self) -> str:
        """Name both paths."""
        what = "one file" if self.same else "two files"
        return f"{self.path} and {self.other} are {what}"

    @property
    def paths(self) -> tuple[str, ...]:
        """Both paths."""
        return (self.path, self.other)


class WriteAheadLog(BaseFact, frozen=True, tag="database-log"):
    """The write-ahead log of a SQLite database had this content: what the database has not yet.

    An empty log is the same as none (https://www.sqlite.org/wal.html).
    """

    _kind = Kind.FILES
    path: Name
    """The database."""
    digest: State = GONE
    after: State = GONE
    """After the run, which may have moved the log into the database."""

    def mismatch(self, world: World) -> str | None:
        """Compare the log with both states."""
        path = world.path(self.path)
        state = state_of_log(path, world) if path is not None else GONE
        if state in (self.digest, self.after):
            return None
        return f"{self.path} changed (its log {self.path}-wal did)"

    def in_words(self) -> str:
        """Name the database."""
        return f"what the log of {self.path} has" if self.digest else f"{self.path} has no log"

    @property
    def paths(self) -> tuple[str, ...]:
        """The log."""
        return (f"{self.path}-wal",)


def state_of_log(database: str, world: World) -> str:
    """Return the state of the log of a database with this path; an empty one counts as none."""
    path = f"{database}-wal"
    found = world.fingerprints.renew(path).stat
    return GONE if found is None or found.size == 0 else world.fingerprints.state(path)
