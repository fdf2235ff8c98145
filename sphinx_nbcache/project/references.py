"""The references that users write: small ids, paths, and the beginnings of digests."""

from __future__ import annotations

import os
from pathlib import Path

from sphinx_nbcache.notebooks.key import portable_path

Reference = int | str | Path
"""An id, a path (absolute, or relative to the working directory), a name, or a digest's start."""

# A digest's beginning that is shorter could be a word.
SHORTEST_DIGEST = 4


def names_meant(reference: str | Path, root: Path) -> tuple[str, ...]:
    """Return the names that a reference to a notebook can mean: paths relative to the root.

    Args:
        reference: A path relative to the working directory, or to the root, or absolute.
        root: The root.
    """
    here = Path(os.path.abspath(reference))  # noqa: PTH100 (links are left as they are)
    names = [portable_path(here, root), portable_path(here.parent.resolve() / here.name, root)]
    if not Path(reference).is_absolute():
        names.append(Path(os.path.normpath(reference)).as_posix())
    return tuple(dict.fromkeys(names))
