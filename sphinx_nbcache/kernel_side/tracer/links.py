"""Links: those that the run made, and what code asked about others.

`os.readlink` and `os.path.samefile` raise no audit event, so they are wrapped.
"""

import functools
import os
import pathlib
import sys

from .common import PATHS, absolute, is_too_long, located, outer, without_dots

# The unwrapped function: the wrapped one would record the tracer's own looks.
_readlink = os.readlink
# Functions of `posixpath` and `pathlib` that ask by `lstat` whether a path is a link, by version of
# Python; `os.walk` asks it of each directory, only in order not to leave the tree.
_ASKING = frozenset(
    "realpath _realpath _joinrealpath islink lexists _resolve is_symlink readlink".split()
)
_WALKING = frozenset("walk _walk fwalk _fwalk rmtree".split())
_MOST_LINKS = 40


class Links:
    """Symbolic links.

    Attributes:
        made: The targets of the links that the run made, by link.
        found: The targets of the links that code asked for, by path; empty for what is no link.
        same: Pairs of paths, and whether both led to the same file when code asked.
    """

    def __init__(self, quiet, log):
        self.quiet = quiet
        self.log = log
        self.made = {}
        self.found = {}
        self.same = {}

    def make(self, link, target):
        """Record that the run makes a link, unless something is there already."""
        if not _is_there(link):
            self.made[link] = os.fsdecode(target)

    def move(self, link, target):
        """Record that the run moves a link that it has made."""
        if link in self.made:
            self.made[target] = self.made.pop(link)

    def remove(self, folder):
        """Forget the links at a path and below it."""
        for link in [p for p in self.made if p == folder or p.startswith(folder + os.sep)]:
            del self.made[link]

    def through(self, path):
        """Return a path without the links that the run made: what it reads is behind them."""
        for _ in range(_MOST_LINKS if self.made else 0):
            link = next((p for p in self.made if path == p or path.startswith(p + os.sep)), None)
            if link is None:
                break
            behind = os.path.join(os.path.dirname(link), self.made[link])
            path = without_dots(behind + path[len(link) :])
        return path

    def ask(self, path, frame):
        """Record where a link leads that user code asks for."""
        if type(path) is int or not path or is_too_long(path):
            return
        full = absolute(path)
        if full in self.found or full in self.made or full.startswith(self.quiet.prefixes):
            return
        if not self._is_asking(frame) or not self.quiet.is_user(outer(frame, PATHS)):
            return
        try:
            target = os.fsdecode(_readlink(full))
        except (OSError, ValueError):
            if not _is_there(full):
                return  # that nothing is there is recorded by the call for the file's stat
            target = ""
        self.found[full] = target
        self.log.note("link", full, target)

    @staticmethod
    def _is_asking(frame):
        asking = False
        while frame is not None and frame.f_code.co_filename.startswith(PATHS):
            if frame.f_code.co_name in _WALKING:
                return False
            asking = asking or frame.f_code.co_name in _ASKING
            frame = frame.f_back
        return asking

    def wrap(self, own):
        """Replace the functions that raise no audit event."""
        original = os.readlink

        @functools.wraps(original)
        def readlink(path, *, dir_fd=None):
            target = original(path, dir_fd=dir_fd)
            if not own.is_working():
                with own:
                    full = located(path, dir_fd)
                    if full is not None:
                        self.ask(full, sys._getframe(0))
            return target

        os.readlink = readlink
        for owner in (os.path, sys.modules["genericpath"], pathlib.Path):
            owner.samefile = self._comparing(owner.samefile, own)

    def _comparing(self, original, own):
        @functools.wraps(original)
        def samefile(first, second):
            same = original(first, second)
            if not own.is_working():
                with own:
                    self._compare(first, second, same, sys._getframe(1))
            return same

        return samefile

    def _compare(self, first, second, same, frame):
        if type(first) is int or type(second) is int or not self.quiet.is_user(outer(frame, PATHS)):
            return
        pair = absolute(first), absolute(second)
        if pair not in self.same:
            self.same[pair] = same
            self.log.note("same", *pair, same)


def _is_there(path):
    """Tell whether something is at a path, perhaps a link to nothing."""
    try:
        os.lstat(path)
    except (OSError, ValueError):
        return False
    return True
