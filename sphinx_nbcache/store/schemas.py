"""Folders of stores in older record formats, next to the current one."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from diskcache.core import DBNAME

_FOLDER = re.compile(r"nbcache-([0-9]{1,6})")


def folder_name(schema: int) -> str:
    """Return the name of the folder that holds records of this format."""
    return f"nbcache-{schema}"


def older_folders(folder: Path) -> list[Path]:
    """Return the folders of older formats next to a store's folder, the oldest first."""
    own = _schema_of(folder)
    try:
        beside = list(folder.parent.iterdir())
    except OSError:
        return []
    found = [path for path in beside if 0 < _schema_of(path) < own and _is_store(path)]
    return sorted(found, key=_schema_of)


def remove_older_folders(folder: Path) -> list[Path]:
    """Remove the folders of older formats next to a store's folder.

    Returns:
        The folders that were removed.

    Raises:
        OSError: One of them cannot be removed.
    """
    found = older_folders(folder)
    for path in found:
        shutil.rmtree(path)
        path.with_name(f"{path.name}.moving.lock").unlink(missing_ok=True)
    return found


def _schema_of(path: Path) -> int:
    matched = _FOLDER.fullmatch(path.name)
    return int(matched[1]) if matched else 0


def _is_store(path: Path) -> bool:
    return not path.is_symlink() and (path / DBNAME).is_file()
