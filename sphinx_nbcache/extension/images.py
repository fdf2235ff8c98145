"""Where image files are kept, and how documents refer to them."""

from __future__ import annotations

import os
from pathlib import Path

from sphinx.environment import BuildEnvironment


def image_folder(env: BuildEnvironment) -> Path:
    """Return the folder of image files: beside the doctrees that refer to them."""
    return Path(env.doctreedir) / "nbcache-images"


def image_uri(env: BuildEnvironment, path: Path) -> str:
    """Return how a document refers to an image file: a path from the source directory."""
    return "/" + Path(os.path.relpath(path, env.srcdir)).as_posix()
