"""Atomic file writes: the only way in which this package writes files of its own."""

from __future__ import annotations

import errno
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

# Windows has no EDQUOT (a disk quota that is used up).
_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})


def replace_file(target: Path, content: str | bytes) -> None:
    """Write a file atomically; text is encoded as UTF-8.

    Several processes may write the same file at once: each writes to a temporary file of its own.

    Raises:
        OSError: The file cannot be written. The temporary file is removed, the old file unchanged.
    """
    with replacing(target) as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)


@contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """Yield a file that takes the place of the target at the end, atomically.

    Raises:
        OSError: As [](replace_file) does.
    """
    # Not tempfile: it creates files that only their owner can read.
    partial = target.with_name(f".nbcache-{secrets.token_hex(8)}.partial")
    try:
        # "x" neither follows a link nor truncates a file that another user has put under this name.
        with partial.open("xb") as file:
            yield file
        # A rename within one folder is atomic, on Windows as well: readers find the old or the new
        # file. https://docs.python.org/3/library/os.html#os.replace
        partial.replace(target)
    # Also for KeyboardInterrupt and `Interrupted`: no later build removes such files.
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def replace_if_changed(target: Path, content: str | bytes) -> None:
    """Write a file as [](replace_file) does, unless it has this content; create its folders.

    Raises:
        OSError: The file cannot be written, see [](replace_file).
    """
    encoded = content.encode("utf-8") if isinstance(content, str) else content
    try:
        # Compare sizes before reading: another program may have made the file huge.
        if target.stat().st_size == len(encoded) and target.read_bytes() == encoded:
            return
    except OSError:
        target.parent.mkdir(parents=True, exist_ok=True)
    replace_file(target, encoded)


def trouble_in_words(error: OSError) -> str:
    """Return why a file cannot be written, with a remedy if one is known."""
    if error.errno in _FULL:
        return f"no space left on the disk ({error}); free some and build again"
    # CPython ignores SIGXFSZ, so the write fails with EFBIG instead of ending the process.
    if error.errno == errno.EFBIG:
        return f"it exceeds the largest size that this process may write ({error}); see `ulimit -f`"
    return str(error)
