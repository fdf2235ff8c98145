"""Looks at files, kept so that they are no work for the collector of garbage."""

import struct

_HOWS = ("read", "probe", "touch", "late")
_KINDS = ("", "file", "directory", "other")
_HOW = {how: number for number, how in enumerate(_HOWS)}
_KIND = {kind: number for number, kind in enumerate(_KINDS)}
# How, kind, when; and size, times and inode if something was there.
_ABSENT = struct.Struct("=BBq")
_PRESENT = struct.Struct("=BBqqqqQ")


class Looks(dict):
    """The first look at each path that was read.

    A look is `(stat, kind, when, digest, how)`: stat is size, time of modification, time of change
    and inode, or nothing if nothing was there. Most of them are kept as bytes. Of tuples there
    would soon be so many that the collector goes through everything in memory; a notebook that
    opens ten thousand files waits for that longer than for all else that is done here.
    """

    def keep(self, path, look):
        """Keep a look at a path, in place of the one before."""
        self[path] = _packed(look)

    def at(self, path):
        """Return the look at a path, or None."""
        kept = self.get(path)
        return _unpacked(kept) if type(kept) is bytes else kept

    def unpacked(self):
        """Return all looks by path; other threads may go on to keep some."""
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
