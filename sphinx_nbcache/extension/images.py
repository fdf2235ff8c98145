"""The folder of image files, and their URIs in documents."""

from __future__ import annotations

import os
from pathlib import Path

from sphinx.environment import BuildEnvironment


def image_folder(env: BuildEnvironment) -> Path:
    """Return the folder of image files: next to the doctrees that refer to them."""
    return Path(env.doctreedir) / "nbcache-images"


def image_uri(env: BuildEnvironment, path: Path) -> str:
    """Return the URI of an image file in a document: a path from the source directory."""
    return "/" + Path(os.path.relpath(path, env.srcdir)).as_posix()
