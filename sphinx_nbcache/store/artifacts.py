"""Files that runs have made, on their way into the store."""

from __future__ import annotations

from typing import Annotated

import msgspec

from sphinx_nbcache.bounded import Count, Digest, Many, Mode, Name
from sphinx_nbcache.notebooks.assets import is_inner_path

_MODES = 0o777


class Artifact(msgspec.Struct, frozen=True):
    """A file that a run created or changed. Its content is a blob of the store, or several.

    Raises:
        ValueError: The path or the mode is not what a run can have left.
    """

    path: Name
    """POSIX, relative to the root; of a run in a temporary folder, relative to that folder."""
    digest: Digest
    """SHA-256 of the content, in hexadecimal."""
    size: Count
    """Bytes."""
    mode: Mode
    """The permissions, as in `os.stat(…).st_mode & 0o777`."""
    created: bool = False
    """Whether nothing was there before. Else the file is somebody's who would miss it."""
    pieces: Annotated[tuple[Digest, ...], Many] = ()
    """Of a large file the digests of its pieces, in their order: each is a blob of its own."""
    inferred: bool = False
    """Whether no write was seen: the file only changed while the notebook ran, so it may be the
    user's. It comes back where nothing is, and is never replaced or removed."""

    @property
    def blobs(self) -> tuple[str, ...]:
        """The digests of the blobs that its content consists of."""
        return self.pieces or (self.digest,)

    def __post_init__(self) -> None:
        if not is_inner_path(self.path):
            raise ValueError(f"an artifact with the path {self.path!r}")
        if self.mode & ~_MODES or self.size < 0:
            raise ValueError(f"the artifact {self.path!r} has the mode {self.mode:#o}")
        if self.pieces and not 1 < len(self.pieces) <= self.size:
            raise ValueError(f"the artifact {self.path!r} has {len(self.pieces)} pieces")


class MadeFile(msgspec.Struct, frozen=True):
    """A file that a run has made, before it is in the store."""

    path: str
    """As in [](Artifact)."""
    kept_in: str
    """Absolute path of the file that holds the content until it is in the store."""
    mode: int
    created: bool = False
    """As in [](Artifact)."""
    inferred: bool = False
    """As in [](Artifact)."""
    digest: str | None = None
    """What the content must be, if that is known: else the file has changed since."""
