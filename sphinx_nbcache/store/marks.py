"""Checksums, which reveal damage, and marks, which prove that this account wrote a record.

A store can forge a checksum, but no mark.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from sphinx_nbcache.notices import Notice, Notify, Topic

# The key of these is the digest of their content, which readers compare; a checksum would be a
# second one.
_NAMED_BY_CONTENT = ("result/", "blob/")
# Records that are acted on: a forged fingerprint would make a stale result valid, and a forged list
# of written files would allow the replacement of a user's file (docs/explanation/security.md), and
# forged HTML would not be contained. The other records cost at most a run.
_MARKED = (
    *("scan/", "file/", "html/", "kernel/", "made/", "moving/"),
    *("missing", "notebooks", "limits"),
)
_SIZE = 16
SECRET_VARIABLE = "NBCACHE_SECRET"  # noqa: S105 (the name of a variable, not a secret)
MARK_SIZE = hashlib.sha256().digest_size
NO_MARK = bytes(MARK_SIZE)

_SECRET_FILE = "secret"  # noqa: S105 (the name of a file)
_SECRET_SIZE = 32
# A shorter text could be guessed: every mark in a store tells whether a guess is right.
_SHORTEST_TEXT = 16
_OF_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class BrokenChecksumError(Exception):
    """A value differs from what was written."""


def wrapped(key: str, content: bytes, marks: Marks) -> bytes:
    """Return the stored form of a content."""
    if key.startswith(_NAMED_BY_CONTENT):
        return content
    if key.startswith(_MARKED):
        content = marks.of(key, content) + content
    return _checksum(key, content) + content


def unwrapped(key: str, kept: bytes, marks: Marks) -> bytes | None:
    """Return the content of a stored value; `None` if another account wrote it.

    Raises:
        BrokenChecksumError: The value differs from what was written.
    """
    if key.startswith(_NAMED_BY_CONTENT):
        return kept
    checksum, content = kept[:_SIZE], kept[_SIZE:]
    if checksum != _checksum(key, content):
        raise BrokenChecksumError("is not what was written")
    if not key.startswith(_MARKED):
        return content
    mark, content = content[:MARK_SIZE], content[MARK_SIZE:]
    return content if marks.is_ours(mark, key, content) else None


def _checksum(key: str, content: bytes) -> bytes:
    name = key.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(name + b"\0" + content, digest_size=_SIZE).digest()


class Marks:
    """Marks records with the account's secret, and recognises marked ones.

    Args:
        schema: The number of the record format.
        notify: Takes a warning if the secret in the environment cannot be used.
    """

    def __init__(self, schema: int, notify: Notify) -> None:
        self._schema = str(schema).encode()
        self._notify = notify
        self._secret: bytes | None = None
        self._was_read = False

    def of(self, key: str, content: bytes) -> bytes:
        """Return the mark of a record that this account writes."""
        secret = self._secret = self._existing() or _make_secret()
        return self._computed(secret, key, content)

    def is_ours(self, mark: bytes, key: str, content: bytes) -> bool:
        """Tell whether this account marked a record."""
        if len(mark) != MARK_SIZE or mark == NO_MARK:
            return False
        secret = self._existing()
        # A plain `==` takes longer the more bytes agree
        # (https://docs.python.org/3/library/hmac.html#hmac.compare_digest).
        return secret is not None and hmac.compare_digest(
            mark, self._computed(secret, key, content)
        )

    def variable_key(self, *, make: bool) -> bytes | None:
        """Return the key for digests of secret environment variables, derived from the secret.

        Args:
            make: Whether to make a secret if the account has none; else the key is `None`.
        """
        secret = self._existing()
        if secret is None and make:
            secret = self._secret = _make_secret()
        # Without a NUL, this is the message of no mark.
        return None if secret is None else hmac.digest(secret, b"variables", "sha256")

    def _existing(self) -> bytes | None:
        if not self._was_read:
            self._secret, self._was_read = _read_secret(self._notify), True
        return self._secret

    def _computed(self, secret: bytes, key: str, content: bytes) -> bytes:
        name = key.encode("utf-8", "surrogatepass")
        # NUL separates the parts, so that no two triples give one message: keys contain no NUL.
        return hmac.digest(secret, b"%b\0%b\0%b" % (self._schema, name, content), "sha256")


def secret_path() -> Path:
    """Return the path of the account's secret. The file may not exist."""
    from platformdirs import user_data_path

    return user_data_path("sphinx-nbcache", appauthor=False) / _SECRET_FILE


def _read_secret(notify: Notify) -> bytes | None:
    """Return the secret from the environment or of the account; `None` if there is none yet."""
    # A secret read from a file may have a line end. CI sets an empty one where it is not available.
    if text := os.environ.get(SECRET_VARIABLE, "").strip():
        if len(text) >= _SHORTEST_TEXT:
            return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
        problem = f"{SECRET_VARIABLE} has fewer than {_SHORTEST_TEXT} characters; it is not used"
        notify(Notice(Topic.STORE, f"{problem}. Set it to a long random text"))
    return _read_file(secret_path())


def _read_file(path: Path) -> bytes | None:
    """Return the secret in a file that only this account can read; `None` if there is none."""
    try:
        # Do not block: the path may be a pipe.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        descriptor = os.open(path, flags)
    except OSError:
        return None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or not _is_private(found):
            return None
        # One byte more reveals a longer file, which is not ours.
        content = os.read(descriptor, _SECRET_SIZE + 1)
    finally:
        os.close(descriptor)
    return content if len(content) == _SECRET_SIZE else None


def _is_private(found: os.stat_result) -> bool:
    # Windows has no such bits; there the user's profile is private.
    if not hasattr(os, "getuid"):
        return True
    return found.st_uid == os.getuid() and not found.st_mode & _OF_OTHERS


def _make_secret() -> bytes:
    """Return a new secret, stored in the user's data directory.

    If it cannot be stored, the secret lasts as long as this process: only this build recognises
    its marks. If two processes create a secret at once, one wins.
    """
    secret = secrets.token_bytes(_SECRET_SIZE)
    with suppress(OSError):
        path = secret_path()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _publish(path, secret)
    # Read again: another process may have published its secret first, and both must use that one.
    kept = _read_file(secret_path())
    return kept if kept is not None else secret


def _publish(path: Path, secret: bytes) -> None:
    partial = path.with_name(f"{_SECRET_FILE}-{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        # The mode is set at creation: a later `chmod` would leave a moment in which others can
        # read.
        with open(os.open(partial, flags, 0o600), "wb") as file:  # noqa: PTH123 (a descriptor)
            file.write(secret)
        if _read_file(path) is None and os.path.lexists(path):
            partial.replace(path)  # it is damaged, or readable by others
        else:
            # Unlike a rename, `link` fails if the name exists
            # (https://man7.org/linux/man-pages/man2/link.2.html), so the first of two processes
            # wins.
            os.link(partial, path)
    finally:
        partial.unlink(missing_ok=True)
