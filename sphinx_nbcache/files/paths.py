"""Paths and globs as text: inside a folder, relative to the root, the same on every system."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath

from sphinx_nbcache.bounded import LONGEST_NAME
from sphinx_nbcache.text import is_encodable

_GLOB_MEANING = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def inner_path(text: str) -> str:
    """Return the normal form of a path to something in or below a folder.

    The path is relative to the folder, uses slashes, and means the same on every system.

    Raises:
        ValueError: The path leads out of the folder, may do so on some system, or is not a path.
    """
    path = PurePosixPath(text)
    if "\0" in text or not is_encodable(text) or str(path) == ".":
        raise ValueError(f"{text!r} is not the path of a file")
    # A result may be restored on another system: `C:x` and `\\server\x` are relative here, but
    # lead elsewhere on Windows.
    windows = PureWindowsPath(text)
    if len(text) > LONGEST_NAME:
        raise ValueError(f"{text[:80]!r}… is longer than any path can be")
    if path.is_absolute() or windows.drive or windows.root:
        raise ValueError(f"{text!r} is not relative to the folder")
    # Windows takes a backslash for a separator, so `..\x` would lead out of the folder there.
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


def portable_path(path: Path, root: Path) -> str:
    """Return a path in its stored form: POSIX, and relative to the root if it is inside it."""
    # `Path.relative_to` would take a tenth of the time of a build in which nothing changed.
    text, inside = str(path), os.path.join(root, "")  # noqa: PTH118 (with a separator at the end)
    # `root/../other` starts with the root, but is not inside it.
    if text.startswith(inside) and os.pardir not in text:
        return text.removeprefix(inside).replace(os.sep, "/")
    normal = os.path.normpath(path)
    return "." if normal == str(root) else Path(normal.removeprefix(inside)).as_posix()


@lru_cache
def _glob_expression(pattern: str) -> re.Pattern[str]:
    """Translate a glob in which `*` and `?` stop at a slash, and `**` does not."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", pattern.removeprefix("./"))
    translated = [_GLOB_MEANING.get(part) or _class_or_text(part) for part in parts]
    try:
        return re.compile("".join(translated))
    except re.error:
        return re.compile(re.escape(pattern))  # such as `[z-a]`: not a glob, but perhaps a name


def _class_or_text(part: str) -> str:
    is_class = part.startswith("[") and part.endswith("]")
    if not is_class:
        return re.escape(part)
    # Escape nested brackets: Python warns that their meaning may change.
    inner = part[1:-1].replace("[", r"\[")
    return f"[^{inner[1:]}]" if inner.startswith("!") else f"[{inner}]"


def matching_glob(path: str, patterns: Iterable[str]) -> str | None:
    """Return the first glob that matches a POSIX path or one of its parent folders."""
    folders = [path]
    while "/" in folders[-1]:
        folders.append(folders[-1].rpartition("/")[0])
    for pattern in patterns:
        expression = _glob_expression(pattern.rstrip("/"))
        if any(expression.fullmatch(folder) for folder in folders):
            return pattern
    return None
