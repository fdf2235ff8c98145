"""Where a project's root is, and where its store lives."""

from __future__ import annotations

import os
from pathlib import Path

from sphinx_nbcache.config import Settings

STORE_FOLDER = ".jupyter_cache"
STORE_VARIABLE = "JUPYTERCACHE"
ROOT_MARKS = (".git", "pyproject.toml")


def find_root(base: Path, declared: str | None) -> Path:
    """Return the root of a project.

    Args:
        base: The source directory.
        declared: The option `nbcache_root`. It is ignored unless it names a folder.
    """
    if declared is not None and (base / declared).is_dir():
        return (base / declared).resolve()
    for folder in (base, *base.parents):
        if any((folder / mark).exists() for mark in ROOT_MARKS):
            return folder
    return base


def store_place(base: Path, output: Path, settings: Settings) -> Path:
    """Return the folder in which the store lives.

    Args:
        base: The source directory, to which the option `nbcache_store` is relative.
        output: The folder that holds the store where neither the option nor the environment
            variable `JUPYTERCACHE` says otherwise.
        settings: The options.
    """
    if settings.store is not None:
        return (base / settings.store).resolve()
    if variable := os.environ.get(STORE_VARIABLE):
        return Path(variable).resolve()
    return output / STORE_FOLDER
