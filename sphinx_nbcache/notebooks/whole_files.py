"""Writing files that are there as a whole, or not at all."""

from __future__ import annotations

import secrets
from pathlib import Path


def replace_file(target: Path, content: str | bytes) -> None:
    """Write a file; text is UTF-8. What was there is replaced once the new file is complete.

    Several processes may write the same file at once: until then each has a file of its own.

    Raises:
        OSError: It cannot be written. Nothing is left behind, and what was there is as it was.
    """
    # Not by tempfile, whose files nobody else may read.
    partial = target.with_name(f".nbcache-{secrets.token_hex(8)}.partial")
    try:
        with partial.open("xb") as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
