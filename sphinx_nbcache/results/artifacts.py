"""Artifacts: the files that runs created or changed."""

from __future__ import annotations

from typing import Annotated

import msgspec

from sphinx_nbcache.bounded import Count, Digest, Many, Mode, Name
from sphinx_nbcache.files.paths import is_inner_path

# Without set-user-id and set-group-id: a forged store must not install programs with other rights.
_MODES = 0o777


class Artifact(msgspec.Struct, frozen=True):
    """A file that a run created or changed. The store keeps its content in one blob or several.

    Raises:
        ValueError: A run cannot have produced this path or mode.
    """

    path: Name
    """POSIX path relative to the root, or to the temporary directory of the run."""
    digest: Digest
    """SHA-256 of the content, in hexadecimal."""
    size: Count
    """Bytes."""
    mode: Mode
    """The permissions, as in `os.stat(…).st_mode & 0o777`."""
    created: bool = False
    """Whether the file did not exist before. Otherwise it may be the user's."""
    pieces: Annotated[tuple[Digest, ...], Many] = ()
    """The digests of a large file's pieces, in order; each piece is a separate blob."""
    inferred: bool = False
    """Whether no write was observed: the file changed while the notebook ran, so it may be the
    user's. It is restored only where no file exists, and never replaced or removed."""

    @property
    def blobs(self) -> tuple[str, ...]:
        """The digests of the blobs that make up the content."""
        return self.pieces or (self.digest,)

    def __post_init__(self) -> None:
        if not is_inner_path(self.path):
            raise ValueError(f"an artifact with the path {self.path!r}")
        if self.mode & ~_MODES or self.size < 0:
            raise ValueError(f"the artifact {self.path!r} has the mode {self.mode:#o}")
        if self.pieces and not 1 < len(self.pieces) <= self.size:
            raise ValueError(f"the artifact {self.path!r} has {len(self.pieces)} pieces")


class MadeFile(msgspec.Struct, frozen=True):
    """A file that a run created or changed, not yet in the store."""

    path: str
    """As in [](Artifact)."""
    kept_in: str
    """Absolute path of the file with the content, until the store has it."""
    mode: int
    created: bool = False
    """As in [](Artifact)."""
    inferred: bool = False
    """As in [](Artifact)."""
    digest: str | None = None
    """The expected digest, if known. Another digest means that the file changed meanwhile."""
