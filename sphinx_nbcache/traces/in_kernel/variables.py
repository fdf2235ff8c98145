"""Environment variables that are read."""

import hashlib
import os
import re
import sys

from .common import outer

_SECRET = re.compile(r"TOKEN|SECRET|KEY|PASSW|CREDENTIAL|AUTH", re.IGNORECASE)
_ABC_FILE = getattr(sys.modules["_collections_abc"], "__file__", None) or "<none>"
_INNER = ("<frozen os>", "<frozen _collections_abc>", os.__file__, _ABC_FILE)


def is_secret(name: str) -> bool:
    """Tell whether a variable of this name may hold a secret, which must not be stored."""
    return _SECRET.search(name) is not None


def digest_of(name, value):
    """Return the digest of an encoded value; `None` for a secret, which is not stored."""
    if is_secret(name):
        return None
    if value is None:
        return ""
    encoded = os.environ.decodevalue(value).encode("utf-8", "surrogatepass")
    return hashlib.sha256(b"%d:" % len(encoded) + encoded).hexdigest()


class Variables:
    """The environment variables that user code read. Copying all of them does not count."""

    def __init__(self, quiet, own):
        self.quiet = quiet
        self.read = {}
        self.ignored = set()
        # Treated as unset: they are absent from the environment that is compared later.
        self.own = set(own)
        self.iterated = None
        self.copying = None

    def on_put(self, name, *more):
        self.ignored.add(os.fsdecode(name))

    def iterate(self, name, frame):
        """Record that this code iterates over all variables, and has reached this one."""
        while frame is not None and frame.f_code.co_filename in _INNER:
            frame = frame.f_back
        self.iterated = name
        self.copying = frame and (frame.f_code, frame.f_lasti)

    def _is_of_all(self, name, frame):
        """Tell whether a variable is read while all of them are read.

        `items`, like loops, asks for each value in turn. `dict` asks for all names first, and then
        for the values, from the same place in the code.
        """
        if name == self.iterated:
            self.iterated = None
            return True
        while frame is not None and frame.f_code.co_filename in _INNER:
            frame = frame.f_back
        return frame is not None and (frame.f_code, frame.f_lasti) == self.copying

    def note(self, name, frame):
        """Note that a variable is read."""
        if self._is_of_all(name, frame):
            return
        if not isinstance(name, str) or name in self.read or name in self.ignored:
            return
        if self.quiet.is_user(outer(frame, _INNER)):
            is_own = name in self.own
            value = None if is_own else os.environ._data.get(os.environ.encodekey(name))
            self.read[name] = digest_of(name, value)

    def watch(self):
        """Replace the class of `os.environ` by one that records reads."""
        plain = type(os.environ)

        class Environ(plain):
            def __getitem__(self, key):
                variables.note(key, sys._getframe(1))
                return plain.__getitem__(self, key)

            def __iter__(self):
                for key in plain.__iter__(self):
                    variables.iterate(key, sys._getframe(1))
                    yield key
                variables.iterated = None

        variables = self
        Environ.__name__, Environ.__qualname__ = plain.__name__, plain.__qualname__
        Environ.__module__ = plain.__module__
        os.environ.__class__ = Environ
