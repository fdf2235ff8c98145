"""Looks at files, stored in a form that the garbage collector does not track."""

import struct

_HOWS = ("read", "probe", "touch", "late")
_KINDS = ("", "file", "directory", "other")
_HOW = {how: number for number, how in enumerate(_HOWS)}
_KIND = {kind: number for number, kind in enumerate(_KINDS)}
# How, kind and time; also size, times and inode of an existing path.
_ABSENT = struct.Struct("=BBq")
_PRESENT = struct.Struct("=BBqqqqQ")


class Looks(dict):
    """The first look at each path that was read.

    A look is `(stat, kind, when, digest, how)`: stat is size, time of modification, time of change
    and inode, or None if nothing was there. Most looks are stored as bytes. So many tuples would
    soon make the collector scan everything in memory: a notebook that opens ten thousand files
    would wait for that longer than for the rest of the tracer.
    """

    def keep(self, path, look):
        """Store a look at a path, replacing the previous one."""
        self[path] = _packed(look)

    def at(self, path):
        """Return the look at a path, or None."""
        kept = self.get(path)
        return _unpacked(kept) if type(kept) is bytes else kept

    def unpacked(self):
        """Return all looks by path; other threads may add looks meanwhile."""
        return {path: self.at(path) for path in list(self)}


def _packed(look):
    stat, kind, when, digest, how = look
    if digest is not None or how not in _HOW:
        return look
    try:
        if stat is None:
            return _ABSENT.pack(_HOW[how], _KIND[kind], when)
        return _PRESENT.pack(_HOW[how], _KIND[kind], when, *stat)
    except struct.error:
        return look  # such as a file from before 1970


def _unpacked(kept):
    form = _ABSENT if len(kept) == _ABSENT.size else _PRESENT
    how, kind, when, *stat = form.unpack(kept)
    return (tuple(stat) or None, _KINDS[kind], when, None, _HOWS[how])
