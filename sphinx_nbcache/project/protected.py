"""Files that are never put back, whatever a result says. Pure functions of names.

Names are compared in a form in which all spellings are equal that some file system takes for the
same file: case, Unicode composition, invisible characters, trailing dots and spaces, and the
short and stream names of Windows (the list that git guards against, see `verify_path` in
git's `read-cache.c`, version 2.39).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from pathlib import PurePosixPath

# Folders of version control: hooks and configuration in them are programs.
_VERSION_CONTROL = frozenset(
    {".git", "git~1", ".hg", ".svn", ".bzr", ".jj", ".pijul", "_darcs", "cvs", ".fslckout"}
)
_CONFIGURATION = "conf.py"
PAGE_SUFFIXES = frozenset({".ipynb", ".md", ".rst", ".myst", ".qmd", ".rmd"})
# Data and bitmaps: nothing that a browser, Python or Sphinx would execute or parse as a page.
INERT_SUFFIXES = frozenset(
    {".png", ".jpg", ".gif", ".webp", ".pdf", ".csv", ".tsv", ".parquet", ".npy", ".npz"}
)


@lru_cache(maxsize=1 << 14)
def plain(part: str) -> str:
    """Return the form of one component of a path in which equal files have equal names."""
    return _folded(part).partition(":")[0].rstrip(". ")


def _folded(part: str) -> str:
    visible = "".join(c for c in part if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFKC", visible).casefold()


def plain_path(name: str) -> str:
    """Return the form of a path in which equal files have equal names."""
    return "/".join(map(plain, name.split("/")))


def why_never(name: str) -> str | None:
    """Say why nothing is ever put back at a path; `None` if that depends on the result."""
    parts = [plain(part) for part in name.split("/")]
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
    last = plain(name.rpartition("/")[2])
    return PurePosixPath(last).suffix in PAGE_SUFFIXES or last.endswith(tuple(suffixes))


def is_inert(name: str) -> bool:
    """Tell whether a file is of a kind that may come from a result without a mark."""
    last = name.rpartition("/")[2]
    return plain(last) == last.casefold() and PurePosixPath(plain(last)).suffix in INERT_SUFFIXES


def look_alike(part: str, entries: Iterable[str]) -> str | None:
    """Return the entry of a folder that differs from a name only in its spelling, if any."""
    wanted = plain(part)
    alike = (entry for entry in entries if entry != part and plain(entry) == wanted)
    return next((entry for entry in alike if not _is_beside(part, entry)), None)


def _is_beside(part: str, entry: str) -> bool:
    """Tell whether a colon is part of both names, as in times, and what follows it differs.

    A file system with such an entry has no streams, which Windows separates by a colon.
    """
    forms = [_folded(name).rstrip(". ") for name in (part, entry)]
    return ":" in part and ":" in entry and forms[0] != forms[1]
