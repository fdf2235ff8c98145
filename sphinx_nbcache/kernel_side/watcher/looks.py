"""How a file looks at a moment, in the form of the tracer's records."""

import hashlib
import os
import stat as modes
import time

_KINDS = {modes.S_IFREG: "file", modes.S_IFDIR: "directory"}
# The same as in `tracer/files.py`: larger files are not hashed while a call waits.
_LARGEST = 1 << 26
_RACY_NS, _COARSE_RACY_NS, _SECOND_NS = 100_000_000, 2_500_000_000, 1_000_000_000


def look(path, how, *, hashing=False):
    """Return how a file looks: its stat, its type, the time, perhaps a digest, and why it counts.

    Args:
        path: The path.
        how: Why it counts (see `traces.report.Look`).
        hashing: Whether the digest is needed: the file is about to change.
    """
    now = time.time_ns()
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return (None, "", now, None, how)
    kind = _KINDS.get(modes.S_IFMT(found.st_mode), "other")
    stat = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
    changed = max(stat[1], stat[2])
    racy = _RACY_NS if changed % _SECOND_NS else _COARSE_RACY_NS
    digest = None
    if kind == "file" and found.st_size <= _LARGEST and (hashing or now - changed < racy):
        digest = _digest(path)
    return (stat, kind, now, digest, how)


def _digest(path):
    digest = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as file:
            for chunk in iter(lambda: file.read(1 << 20), b""):
                digest.update(chunk)
    except OSError:
        return None
    return digest.hexdigest()


def source_of(path):
    """Return the source of a file with bytecode, and the path of any other file."""
    folder, name = os.path.split(path)
    if not name.endswith(".pyc") or os.path.basename(folder) != "__pycache__":
        return path
    return os.path.join(os.path.dirname(folder), name.partition(".")[0] + ".py")


def listing(path):
    """Return the sorted entries of a directory, folders with a slash; `None` if it has gone."""
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name + "/" * _is_folder(entry) for entry in entries)
    except OSError:
        return None


def _is_folder(entry):
    try:
        return entry.is_dir()
    except OSError:
        return False
