"""File systems of other machines, on which locks and databases cannot be relied upon."""

from __future__ import annotations

import re
from pathlib import Path

# As in https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
_MOUNTS = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")
_OF_OTHERS = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "gpfs", "beegfs"),
        *("fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone", "fuse.glusterfs"),
    }
)


def network_file_system(folder: Path) -> str:
    """Return the kind of the network file system that a folder is on; empty if it is on none.

    On other systems than Linux it is not known.
    """
    try:
        text = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
    kind = kind_of(folder.resolve(), text)
    return kind if kind in _OF_OTHERS else ""


def kind_of(path: Path, mounts: str) -> str:
    """Return the kind of the file system that a path is on; empty if it is not known.

    Args:
        path: The path, without links.
        mounts: The table of mounts.
    """
    found: dict[Path, str] = {}
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.partition(" ")[0]
        if len(fields) > 4 and kind:  # noqa: PLR2004 (the fifth is the mount point)
            # A later line hides an earlier one.
            found[Path(_OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4]))] = kind
    return next((found[place] for place in (path, *path.parents) if place in found), "")
