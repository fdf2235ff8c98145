"""How a file looks at a moment. The system tracer uses this module, too: one form for both."""

import hashlib
import os
import stat as modes
import time

# Larger files are not hashed here, because a cell would wait for that. If one changes while it is
# read, the trace is unreliable.
_LARGEST = 1 << 26
# Like `Stat.is_racy`: a file this young may change without a change of its times.
_RACY_NS = 100_000_000
_COARSE_RACY_NS = 2_500_000_000
SECOND_NS = 1_000_000_000
_KINDS = {modes.S_IFREG: "file", modes.S_IFDIR: "directory"}
# The unwrapped function: the wrapped one would record the tracer's own looks.
_stat = os.stat


def stat_of(path):
    """Return the stat of a path; None if it has none. The look is not recorded."""
    try:
        return _stat(path)
    except (OSError, ValueError):
        return None


def short(found):
    """Return the part of a stat that tells whether a file has changed."""
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def look(path, how, *, hashing=False):
    """Look at a path. Hash a file if its times alone would not show a change."""
    return look_of(path, stat_of(path), how, hashing=hashing)


def look_of(path, found, how, *, hashing=False):
    """Return the look at a path with a known stat: see `traces.report.Look`.

    Args:
        path: The path.
        found: Its stat, or None.
        how: Why it counts.
        hashing: Whether to hash a file also if its times alone would show a change.
    """
    now = time.time_ns()
    if found is None:
        return (None, "", now, None, how)
    kind = _KINDS.get(modes.S_IFMT(found.st_mode), "other")
    stat = short(found)
    changed = max(stat[1], stat[2])
    racy = _RACY_NS if changed % SECOND_NS else _COARSE_RACY_NS
    digest = None
    if kind == "file" and found.st_size <= _LARGEST and (hashing or now - changed < racy):
        digest = digest_of(path)
    return (stat, kind, now, digest, how)


def digest_of(path):
    """Return the digest of a file; None if it cannot be read."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as file:
            for chunk in iter(lambda: file.read(1 << 20), b""):
                digest.update(chunk)
    except OSError:
        return None
    return digest.hexdigest()


def source_of(path):
    """Return the source file of a bytecode file; the same path if it has none."""
    if not path.endswith(".pyc"):
        return path
    folder, name = os.path.split(path)
    if os.path.basename(folder) != "__pycache__":
        return path
    return os.path.join(os.path.dirname(folder), name.partition(".")[0] + ".py")


def listing(path):
    """Return the sorted names in a directory, of folders with a slash; None if it has gone."""
    try:
        with os.scandir(path) as entries:
            return sorted(e.name + "/" if is_folder(e) else e.name for e in entries)
    except OSError:
        return None


def is_folder(entry):
    """Tell whether an entry of a directory is a directory, or a link to one.

    `os.DirEntry.is_dir` raises for circular links, and for links to forbidden targets.
    """
    try:
        return entry.is_dir()
    except OSError:
        return False
