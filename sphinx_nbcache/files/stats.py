"""The stat of a file, from which a change of its content is recognised."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from sphinx_nbcache.bounded import Count, Inode, Nanoseconds

# A file written within this time before its scan may be rewritten without a change of its stat, so
# the scan is not trusted. git calls such an entry "racily clean": https://git-scm.com/docs/racy-git
_RACY_NS = 100_000_000
# Some file systems store whole seconds (HFS+), or units of two seconds (FAT).
_COARSE_RACY_NS = 2_500_000_000
_SECOND_NS = 1_000_000_000


class Stat(msgspec.Struct, frozen=True, array_like=True):
    """The stat of a file: the fields that a change of content changes."""

    size: Count
    mtime_ns: Nanoseconds
    ctime_ns: Nanoseconds
    """Changes with every write, even if a tool restores the modification time."""
    inode: Inode

    @classmethod
    def of(cls, path: Path) -> Stat:
        """Return the stat of a file.

        Raises:
            OSError: The file cannot be accessed.
        """
        try:
            found = os.stat(path)  # noqa: PTH116 (half the time of Path.stat)
        except ValueError as error:  # the file system's encoding has no such character
            raise OSError(str(error)) from None
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)

    def is_racy(self, seen_ns: int) -> bool:
        """Tell whether the file may have changed unseen after `seen_ns` (ns since the epoch)."""
        changed = max(self.mtime_ns, self.ctime_ns)
        # On other file systems, a file may count as coarse by chance. It is only read again then.
        coarse = changed % _SECOND_NS == 0
        return seen_ns - changed < (_COARSE_RACY_NS if coarse else _RACY_NS)


def stat_or_none(path: Path) -> Stat | None:
    """Return the stat of a file; `None` if it cannot be accessed."""
    try:
        return Stat.of(path)
    except (OSError, ValueError):
        return None
