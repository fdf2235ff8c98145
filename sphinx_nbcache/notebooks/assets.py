"""Files next to a notebook, given by paths that never lead out of a folder."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath, PureWindowsPath

from sphinx_nbcache.bounded import LONGEST_NAME
from sphinx_nbcache.printable import is_encodable


def inner_path(text: str) -> str:
    """Return the normal form of a path to something in or below a folder.

    The path is relative to the folder, uses slashes, and means the same on every system.

    Raises:
        ValueError: The path leads out of the folder, may do so on some system, or is not a path.
    """
    path = PurePosixPath(text)
    if "\0" in text or not is_encodable(text) or str(path) == ".":
        raise ValueError(f"{text!r} is not the path of a file")
    windows = PureWindowsPath(text)
    if len(text) > LONGEST_NAME:
        raise ValueError(f"{text[:80]!r}… is longer than any path can be")
    if path.is_absolute() or windows.drive or windows.root:
        raise ValueError(f"{text!r} is not relative to the folder")
    if "\\" in text:
        raise ValueError(f"{text!r} has a backslash; write '/' between folders")
    if ".." in path.parts:
        raise ValueError(f"{text!r} leads out of the folder")
    return str(path)


def is_inner_path(text: str) -> bool:
    """Tell whether a string is the normal form of a path in or below a folder."""
    try:
        return inner_path(text) == text
    except ValueError:
        return False


def asset_of(path: Path, notebook: Path) -> str:
    """Return the path of an asset in the form used in a notebook's list of assets.

    Args:
        path: A file or a folder.
        notebook: The notebook, in or below whose folder it must lie.

    Raises:
        ValueError: The path is elsewhere.
    """
    folder = os.path.abspath(notebook.parent)  # noqa: PTH100 (links are left as they are)
    try:
        relative = Path(os.path.abspath(path)).relative_to(folder)  # noqa: PTH100
        return inner_path(relative.as_posix())
    except ValueError:
        raise ValueError(
            f"the asset {path} does not lie in or below the folder of the notebook {notebook}"
        ) from None
