"""Files that are never put back or replaced: by their names, or because git tracks them."""

from __future__ import annotations

import os
import subprocess
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path, PurePosixPath

# Folders of version control: hooks and configuration in them are programs.
# `git~1` is the short name of `.git` on NTFS (CVE-2014-9390; `core.protectNTFS` in
# https://git-scm.com/docs/git-config).
_VERSION_CONTROL = frozenset(
    {".git", "git~1", ".hg", ".svn", ".bzr", ".jj", ".pijul", "_darcs", "cvs", ".fslckout"}
)
_CONFIGURATION = "conf.py"
PAGE_SUFFIXES = frozenset({".ipynb", ".md", ".rst", ".myst", ".qmd", ".rmd"})
# Data and bitmaps: nothing that a browser, Python or Sphinx would execute or parse as a page.
INERT_SUFFIXES = frozenset(
    {".png", ".jpg", ".gif", ".webp", ".pdf", ".csv", ".tsv", ".parquet", ".npy", ".npz"}
)
_GIT_SECONDS = 30
_MARK = ".git"
# A hook sets these for its own repository, and git would answer for that one:
# https://git-scm.com/docs/githooks
_OF_HOOKS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR")


_Stamp = tuple[int, int, int] | None


@lru_cache(maxsize=1 << 14)
def plain_component(part: str) -> str:
    """Return the form of one component of a path in which equal files have equal names."""
    # Windows drops dots and spaces at the end, and takes what follows a colon for a stream of the
    # file.
    return _folded(part).partition(":")[0].rstrip(". ")


def _folded(part: str) -> str:
    # HFS+ ignores characters such as U+200C in names, so `.g\u200cit` is `.git` there
    # (`core.protectHFS` in https://git-scm.com/docs/git-config). macOS also stores other normal
    # forms.
    visible = "".join(c for c in part if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFKC", visible).casefold()


def plain_path(name: str) -> str:
    """Return the form of a path in which equal files have equal names."""
    return "/".join(map(plain_component, name.split("/")))


def why_never(name: str) -> str | None:
    """Say why nothing is ever put back at a path; `None` if that depends on the result."""
    parts = [plain_component(part) for part in name.split("/")]
    if not _VERSION_CONTROL.isdisjoint(parts):
        return "it lies in a folder of version control"
    if parts[-1] == _CONFIGURATION:
        return "it is a configuration file of Sphinx"
    if not all(parts):
        return "its name is another one on some file systems"
    return None


def is_page(name: str, suffixes: Iterable[str] = ()) -> bool:
    """Tell whether a file has the suffix of a page or a notebook.

    Args:
        name: Its path.
        suffixes: Further suffixes that the project declares.
    """
    last = plain_component(name.rpartition("/")[2])
    return PurePosixPath(last).suffix in PAGE_SUFFIXES or last.endswith(tuple(suffixes))


def is_inert(name: str) -> bool:
    """Tell whether a file is of a kind that may come from a result without a mark."""
    last = name.rpartition("/")[2]
    return (
        plain_component(last) == last.casefold()
        and PurePosixPath(plain_component(last)).suffix in INERT_SUFFIXES
    )


def look_alike(part: str, entries: Iterable[str]) -> str | None:
    """Return the entry of a folder that differs from a name only in its spelling, if any."""
    wanted = plain_component(part)
    alike = (entry for entry in entries if entry != part and plain_component(entry) == wanted)
    return next((entry for entry in alike if not _is_beside(part, entry)), None)


def _is_beside(part: str, entry: str) -> bool:
    """Tell whether a colon is part of both names, as in times, and the parts after it differ.

    A file system with such an entry has no streams, which Windows separates by a colon.
    """
    forms = [_folded(name).rstrip(". ") for name in (part, entry)]
    return ":" in part and ":" in entry and forms[0] != forms[1]


class Tracked:
    """The files that git tracks in and around a folder; nested repositories count as well.

    Git is asked again when the index of a repository has changed: a user may commit a file while
    a build runs.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._indexes: dict[Path, Path] = {}
        self._names: dict[Path, tuple[_Stamp, frozenset[str] | None]] = {}

    def __contains__(self, name: str) -> bool:
        """Tell whether git tracks a file under the root, in any spelling of its name.

        Where git cannot be asked, a file that is there counts as tracked.
        """
        path = self._root / name
        top = self._top_of(path.parent)
        if top is None:
            return False
        names = self._names_in(top)
        if names is None:
            return os.path.lexists(path)
        return plain_path(path.relative_to(top).as_posix()) in names

    def is_clean(self, name: str) -> bool:
        """Tell whether git tracks a file and has its present content, so that nothing is lost."""
        path = self._root / name
        top = self._top_of(path.parent)
        if top is None or name not in self:
            return False
        relative = path.relative_to(top).as_posix()
        # `git diff` would refresh the index, which is the user's. A name is no pattern
        # (gitglossary(7), "pathspec").
        listed = _git(top, "ls-files", "--stage", "-z", "--", f":(top,literal){relative}")
        # With a path, git applies the filters and line ends of `.gitattributes`, as `git add` does.
        hashed = _git(top, "hash-object", "--", relative)
        if not listed or not hashed:
            return False
        _, blob, stage, *_ = listed.split(maxsplit=3)
        # Stages 1 to 3 belong to a merge with conflicts: no version is the committed one.
        return stage == b"0" and blob == hashed.strip()

    def _names_in(self, top: Path) -> frozenset[str] | None:
        if top not in self._indexes:
            # In a submodule or another working tree, `.git` is a file, and the index lies
            # elsewhere.
            printed = _git(top, "rev-parse", "--git-path", "index")
            self._indexes[top] = top / os.fsdecode((printed or b".git/index").rstrip(b"\n"))
        stamp = _stamp(self._indexes[top])
        if top not in self._names or self._names[top][0] != stamp:
            self._names[top] = stamp, _listed(top)
        return self._names[top][1]

    @staticmethod
    def _top_of(folder: Path) -> Path | None:
        """Return the innermost repository that a folder is part of.

        The search is repeated each time: a user may make a repository, or add a submodule,
        meanwhile.
        """
        above = (folder, *folder.parents)
        return next((path for path in above if os.path.lexists(path / _MARK)), None)


def _stamp(index: Path) -> _Stamp:
    """Return a value that changes with the index: git replaces the file."""
    try:
        found = index.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _listed(top: Path) -> frozenset[str] | None:
    """Return the files that git tracks in a repository; `None` if it cannot be asked."""
    printed = _git(top, "ls-files", "-z")
    if printed is None:
        return None
    names = printed.decode("utf-8", "surrogateescape").split("\0")
    return frozenset(plain_path(name) for name in names if name)


def _git(top: Path, *arguments: str) -> bytes | None:
    """Return what git prints; `None` if it fails."""
    environment = {k: v for k, v in os.environ.items() if k not in _OF_HOOKS}
    # A file system monitor is a program that the repository names. Asking about files must not
    # run it: see `core.fsmonitor` in https://git-scm.com/docs/git-config
    command = ["git", "-c", "core.fsmonitor=false", *arguments]
    try:
        done = subprocess.run(  # noqa: S603 (the user's own git)
            command,
            cwd=top,
            env=environment,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        # git is not installed, hangs (on a network file system), or refuses a repository that
        # another user owns (`safe.directory`). Callers then treat files as tracked.
        return None
    return done.stdout
