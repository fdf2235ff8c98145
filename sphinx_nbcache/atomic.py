"""Writing files atomically: the one way in which this package writes files of its own."""

from __future__ import annotations

import errno
import secrets
from pathlib import Path

_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})


def replace_file(target: Path, content: str | bytes) -> None:
    """Write a file; text is UTF-8. It replaces the old file once it is complete.

    Several processes may write the same file at once: until then each has a file of its own.

    Raises:
        OSError: It cannot be written. Nothing is left behind, and the old file is unchanged.
    """
    # Files that tempfile makes are readable by their owner only.
    partial = target.with_name(f".nbcache-{secrets.token_hex(8)}.partial")
    try:
        with partial.open("xb") as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def replace_if_changed(target: Path, content: str | bytes) -> None:
    """Write a file as [](replace_file) does, unless it has this content; folders are made.

    Raises:
        OSError: As there.
    """
    encoded = content.encode("utf-8") if isinstance(content, str) else content
    try:
        # One of another size need not be read: others may have made it huge.
        if target.stat().st_size == len(encoded) and target.read_bytes() == encoded:
            return
    except OSError:
        target.parent.mkdir(parents=True, exist_ok=True)
    replace_file(target, encoded)


def trouble_in_words(error: OSError) -> str:
    """Return why a file cannot be written, with a remedy where one is known."""
    if error.errno in _FULL:
        return f"no space left on the disk ({error}); free some and build again"
    if error.errno == errno.EFBIG:
        return f"it exceeds the largest size that this process may write ({error}); see `ulimit -f`"
    return str(error)
