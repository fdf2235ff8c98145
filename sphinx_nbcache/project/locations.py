"""The root of a project, its store, and the file in the store that refers to the root."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import msgspec

from sphinx_nbcache.bounded import Count, Json, Many, Name
from sphinx_nbcache.config import Settings, declared_options
from sphinx_nbcache.files.atomic import replace_if_changed
from sphinx_nbcache.notices import say_nothing
from sphinx_nbcache.results.records import SCHEMA
from sphinx_nbcache.store.disk import foreign_entry
from sphinx_nbcache.store.file_records import checkout_id
from sphinx_nbcache.store.marks import Marks
from sphinx_nbcache.store.opening import folder_name

STORE_FOLDER = ".jupyter_cache"
STORE_VARIABLE = "JUPYTERCACHE"
ROOT_MARKS = (".git", "pyproject.toml")
_NAME = "project.json"
_FORMAT = 2
# Read no more than this: the file may come from elsewhere, as in a restored CI cache.
_LARGEST = 1 << 24


def find_root(base: Path, declared: str | None) -> Path:
    """Return the root of a project.

    Args:
        base: The source directory.
        declared: The option `nbcache_root`. It is ignored unless it names a folder.
    """
    if declared is not None and (base / declared).is_dir():
        return (base / declared).resolve()
    # `.git` is a file in worktrees and submodules, so `exists`, not `is_dir`:
    # https://git-scm.com/docs/gitrepository-layout
    for folder in (base, *base.parents):
        if any((folder / mark).exists() for mark in ROOT_MARKS):
            return folder
    return base


def store_place(base: Path, output: Path, settings: Settings) -> Path:
    """Return the folder of the store.

    Args:
        base: The source directory, to which the option `nbcache_store` is relative.
        output: The folder that contains the store if neither the option nor the environment
            variable `JUPYTERCACHE` is set.
        settings: The options.
    """
    if settings.store is not None:
        return (base / settings.store).resolve()
    if variable := os.environ.get(STORE_VARIABLE):
        return Path(variable).resolve()
    return output / STORE_FOLDER


class ProjectFile(msgspec.Struct, frozen=True):
    """The built project. Paths are relative to the file's folder, so that all can be moved."""

    format: Count
    base: Name
    """The source directory."""
    root: Name
    settings: Json
    """Raw values of the options that differ from their defaults, except for one-build options."""
    quiet: Annotated[tuple[Name, ...], Many] = ()
    """Folders to which the build writes: files in them are not dependencies."""
    mark: Name = ""
    """The account's mark over all other fields, in hexadecimal."""


def write_project_file(
    place: Path, base: Path, root: Path, raw: Mapping[str, Any], quiet: Iterable[Path] = ()
) -> None:
    """Write the file if its content is new. Errors are ignored: the next build writes it again.

    Args:
        place: The folder of the store.
        base: The source directory.
        root: The root.
        raw: Raw values of options, by their names without `nbcache_`.
        quiet: Folders to which the build writes.
    """
    path = project_file(place)
    folder = path.parent
    content = ProjectFile(
        _FORMAT,
        _relative(base, folder),
        _relative(root, folder),
        _plain(raw),
        tuple(sorted(_relative(path, folder) for path in quiet)),
    )
    # The mark protects `open_project`: `kernel_start`, `environment` and other options in a
    # forged file would decide how kernels are started.
    mark = Marks(SCHEMA, say_nothing).of(_key(content, folder), _unmarked(content)).hex()
    marked = msgspec.structs.replace(content, mark=mark)
    encoded = msgspec.json.format(msgspec.json.encode(marked, order="sorted"), indent=2)
    with suppress(OSError):
        # A link here could redirect the write. Opening the store reports foreign entries.
        if foreign_entry(folder) is None:
            replace_if_changed(path, encoded)


def read_project_file(place: Path) -> ProjectFile | None:
    """Return the project that this account built with the store in a folder, if known."""
    path = project_file(place)
    # Opening a named pipe would block: https://man7.org/linux/man-pages/man7/fifo.7.html
    if path.is_symlink() or not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            found = msgspec.json.decode(file.read(_LARGEST), type=ProjectFile)
    # msgspec raises RecursionError for deeply nested JSON.
    except (OSError, msgspec.DecodeError, ValueError, RecursionError):
        return None
    try:
        mark = bytes.fromhex(found.mark)
    except ValueError:
        return None
    key = _key(found, path.parent)
    is_ours = Marks(SCHEMA, say_nothing).is_ours(mark, key, _unmarked(found))
    return found if found.format == _FORMAT and is_ours else None


def _key(content: ProjectFile, folder: Path) -> str:
    """Return the key of the mark, which binds the file to the checkout that it refers to."""
    root = Path(os.path.normpath(folder / content.root))
    return f"{_NAME}/{checkout_id(root)}"


def _unmarked(content: ProjectFile) -> bytes:
    return msgspec.json.encode(msgspec.structs.replace(content, mark=""), order="sorted")


def project_file(place: Path) -> Path:
    """Return the path of the file that belongs to the store in a folder."""
    return place / folder_name(SCHEMA) / _NAME


def _plain(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that differ from their defaults, converted to JSON types."""
    plain: dict[str, Any] = {}
    for name, (declared, default) in declared_options().items():
        if not declared.is_lasting or name not in raw:
            continue
        # A value that JSON does not have is none that an option can have: a build warns about it.
        with suppress(TypeError, ValueError):
            value = msgspec.to_builtins(raw[name], enc_hook=os.fspath)
            if value != msgspec.to_builtins(default, enc_hook=os.fspath):
                plain[name] = value
    return plain


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # on Windows, a path on another drive has no relative form
        return path.as_posix()
