"""Digests of files and listings of directories, computed once per build for all traces."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import stat as modes
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from glob import iglob

import msgspec

from sphinx_nbcache.bounded import Nanoseconds, State
from sphinx_nbcache.files.paths import matching_glob
from sphinx_nbcache.files.stats import Stat

# The "digest" of a path that does not exist.
GONE = ""
# The "digest" of a path that is not a readable file, such as a directory.
OTHER = "other"

_CHUNK = 1 << 20
_NO_STAT = Stat(0, 0, 0, 0)
# How often to hash a file that changes meanwhile. A log file may never stop growing.
_TRIES = 3


class Fingerprint(msgspec.Struct, frozen=True, array_like=True):
    """The digest of a file, and its stat at the time of hashing."""

    stat: Stat
    digest: State
    seen_ns: Nanoseconds
    """The time of hashing, in nanoseconds since the epoch."""

    def holds_for(self, stat: Stat) -> bool:
        """Tell whether a file with this stat still has this digest."""
        return self.stat == stat and not stat.is_racy(self.seen_ns)


@dataclass(frozen=True, slots=True)
class PathEntry:
    """The entry at a path: a regular file, a directory, something else, or nothing.

    Attributes:
        stat: Its stat; `None` if the path does not exist.
        mode: Its type and permissions.
    """

    stat: Stat | None
    mode: int = 0

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file. Other files are never opened."""
        return modes.S_ISREG(self.mode)

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return modes.S_ISDIR(self.mode)


@dataclass
class Fingerprints:
    """Digests of files and listings of directories, cached for one build.

    A path is looked up on the first request, and again only after [](forget) or [](renew). A digest
    from an earlier build is valid if the stat is the same and was clearly older than the hashing.
    Otherwise the file may have changed within one tick of the clock.

    Attributes:
        remembered: Fingerprints of earlier builds, by absolute path.
        fresh: Fingerprints of this build, to be remembered.
    """

    remembered: Mapping[str, Fingerprint] = field(default_factory=dict)
    now_ns: Callable[[], int] = field(default=time.time_ns)
    fresh: dict[str, Fingerprint] = field(default_factory=dict)
    _entries: dict[str, PathEntry] = field(default_factory=dict)
    _digests: dict[str, Fingerprint] = field(default_factory=dict)
    _listings: dict[str, tuple[str, ...] | None] = field(default_factory=dict)
    _matches: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _expected: dict[str, str] = field(default_factory=dict)

    def expect(self, path: str, state: str) -> None:
        """Pretend that a path has this digest already, or is gone, until [](forget) is called."""
        # A plan verifies the readers of artifacts before it restores the artifacts.
        self.forget([path])
        self._expected[path] = state
        if state == GONE:
            self._entries[path] = PathEntry(None)
            return
        self._entries[path] = PathEntry(_NO_STAT, modes.S_IFREG)
        self._digests[path] = Fingerprint(_NO_STAT, state, 0)
        folder = os.path.dirname(path)
        while folder != os.path.dirname(folder) and self.entry(folder).stat is None:
            self._entries[folder] = PathEntry(_NO_STAT, modes.S_IFDIR)
            folder = os.path.dirname(folder)
            self._listings.pop(folder, None)

    def entry(self, path: str) -> PathEntry:
        """Return the entry at a path. A path that cannot be looked up counts as absent."""
        found = self._entries.get(path)
        if found is None:
            found = self._entries[path] = _look(path)
        return found

    def digest(self, path: str) -> str | None:
        """Return the digest of a regular file; `None` if there is no readable file."""
        known = self._digests.get(path)
        if known is not None:
            return known.digest
        entry = self.entry(path)
        if not entry.is_file or entry.stat is None:
            return None
        known = self.remembered.get(path)
        if known is None or not known.holds_for(entry.stat):
            known = self._hash(path)
        if known is not None:
            self._digests[path] = known
        return known.digest if known is not None else None

    def state(self, path: str) -> str:
        """Return the digest of a file, [](OTHER) if something else is there, or [](GONE)."""
        digest = self.digest(path)
        if digest is not None:
            return digest
        return GONE if self.entry(path).stat is None else OTHER

    def listing(self, path: str) -> tuple[str, ...] | None:
        """Return the sorted names in a directory; names of directories end with a slash.

        Return `None` if there is no readable directory.
        """
        if path not in self._listings:
            found = _list(path)
            self._listings[path] = self._with_expected(path, found) if self._expected else found
        return self._listings[path]

    def matches(self, pattern: str) -> tuple[str, ...]:
        """Return the sorted paths that match an absolute glob. `**` matches any directories."""
        if pattern not in self._matches:
            found = set(map(os.path.normpath, iglob(pattern, recursive=True, include_hidden=True)))
            for path, state in self._expected.items():
                if state == GONE:
                    found.discard(path)
                elif matching_glob(path, (pattern,)) is not None:
                    found.add(path)
            self._matches[pattern] = tuple(sorted(found))
        return self._matches[pattern]

    def renew(self, path: str) -> PathEntry:
        """Look up a path again; hash the file again only if it may have changed."""
        known = self._digests.get(path)
        self.forget([path])
        entry = self.entry(path)
        if known is not None and entry.stat is not None and known.holds_for(entry.stat):
            self._digests[path] = known
        return entry

    def forget(self, paths: Iterable[str]) -> None:
        """Drop all cached data about these paths, because something wrote to them."""
        # Any glob may match the paths, and globs are few.
        self._matches.clear()
        for path in paths:
            self._expected.pop(path, None)
            self._entries.pop(path, None)
            self._digests.pop(path, None)
            self._listings.pop(path, None)
            # The path may have been created or removed, which changes its directory.
            self._listings.pop(os.path.dirname(path), None)

    def forget_all(self) -> None:
        """Drop all cached data, except the remembered fingerprints."""
        for seen in (self._entries, self._digests, self._listings, self._matches, self._expected):
            seen.clear()

    def _with_expected(self, folder: str, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """Return the entries of a directory, with those that are expected."""
        inside = os.path.join(folder, "")
        found = set(names or ())
        for path, state in self._expected.items():
            if path.startswith(inside):
                entry, slash, _ = path.removeprefix(inside).partition(os.sep)
                if state != GONE:
                    found.add(entry + "/" if slash else entry)
                elif not slash:
                    found.discard(entry)
        return tuple(sorted(found)) if found or names is not None else None

    def _hash(self, path: str) -> Fingerprint | None:
        for _ in range(_TRIES):
            # Taken before the file is opened, so that a change meanwhile makes the stat racy.
            seen_ns = self.now_ns()
            try:
                digest, before, after = _hash_file(path)
            except OSError:
                return None
            if before == after:
                break
        self._entries[path] = PathEntry(after, self.entry(path).mode)
        taken = Fingerprint(after, digest, seen_ns)
        if before == after:
            self.fresh[path] = taken
        return taken


def matching(
    names: Iterable[str], pattern: str, *, folders: bool, without: Iterable[str] = ()
) -> tuple[str, ...]:
    """Return the requested names of a listing.

    Args:
        names: The names; those of directories end with a slash.
        pattern: An `fnmatch` pattern; empty for all names.
        folders: Whether to keep directories only.
        without: Names to leave out.
    """
    left_out = frozenset(without)
    bare = [(name.rstrip("/"), name) for name in names if not folders or name.endswith("/")]
    return tuple(
        name
        for plain, name in bare
        if plain not in left_out and (not pattern or fnmatch.fnmatch(plain, pattern))
    )


def text_digest(*texts: str) -> str:
    """Return the digest of a sequence of texts. No other sequence has the same digest."""
    digest = hashlib.sha256()
    for text in texts:
        encoded = text.encode("utf-8", "surrogatepass")
        # The length separates the texts: ("a", "bc") and ("ab", "c") must differ.
        digest.update(b"%d:" % len(encoded))
        digest.update(encoded)
    return digest.hexdigest()


def _look(path: str) -> PathEntry:
    try:
        found = os.stat(path)
    except (OSError, ValueError):  # `ValueError`: a null character in a path from a forged store
        return PathEntry(None)
    return PathEntry(_stat_of(found), found.st_mode)


def _list(path: str) -> tuple[str, ...] | None:
    try:
        with os.scandir(path) as entries:
            return tuple(sorted(e.name + "/" if _is_folder(e) else e.name for e in entries))
    except OSError:
        return None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry is a directory; a circular or unreadable link is not."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _hash_file(path: str) -> tuple[str, Stat, Stat]:
    digest = hashlib.sha256()
    # Without blocking: a pipe may have replaced the file meanwhile, and opening one waits for a
    # writer (https://man7.org/linux/man-pages/man7/fifo.7.html).
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb", buffering=0) as file:
        found = os.fstat(descriptor)
        if not modes.S_ISREG(found.st_mode):
            raise OSError(f"{path} is no regular file")
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
        return digest.hexdigest(), _stat_of(found), _stat_of(os.fstat(descriptor))


def _stat_of(found: os.stat_result) -> Stat:
    return Stat(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
