"""Finds the project of a folder without Sphinx.

For this purpose, a build writes the file `project.json` next to its store.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sphinx_nbcache.config import Settings, checked_settings, read_settings
from sphinx_nbcache.notices import Notice, Notify, Topic, say_nothing
from sphinx_nbcache.project.locations import (
    ROOT_MARKS,
    STORE_FOLDER,
    STORE_VARIABLE,
    project_file,
    read_project_file,
)
from sphinx_nbcache.project.project import Project
from sphinx_nbcache.project.requests import ProjectError


def open_project(
    folder: str | os.PathLike[str] = ".",
    *,
    place: str | os.PathLike[str] | None = None,
    notify: Notify = say_nothing,
    **options: Any,
) -> Project:
    """Open the project that a folder belongs to; its notebooks are those in its list.

    A Sphinx build records its root and settings next to its store. This function looks for such a
    store in the folder and its parents, up to one with `conf.py`, `.git` or `pyproject.toml`, and
    two levels below each of them. If it finds none, the store is `.jupyter_cache` in the folder,
    whose list of notebooks may be empty, and the executor is the one last chosen for that list.

    Args:
        folder: The folder.
        place: The folder of the store; by default the environment variable `JUPYTERCACHE`, else
            the store that is found.
        notify: Takes warnings.
        options: Options that override the project's own, named as in `conf.py` without
            `nbcache_`.

    Raises:
        ValueError: An option is unknown or has a value that cannot be used.
        ProjectError: Several built Sphinx projects are equally near.
    """
    here = Path(folder).resolve()
    where = find_store(here, place)
    built = read_project_file(where)
    if built is None:
        project = _unbuilt(here, where, notify, options)
        # The chosen executor is in the store, which only an open project can read.
        if "executor" not in options and (chosen := project.notebooks.executor):
            project = _unbuilt(here, where, notify, options | {"executor": chosen})
        return project
    # Only the caller's options raise `ValueError`. Another version of this package may have
    # written the file, so its unknown options are only warned about.
    checked_settings(options)
    settings, problems = read_settings(built.settings | options)
    for problem in problems:
        notify(Notice(Topic.CONFIG, problem.text))
    # `normpath`, not `resolve`: names are relative to the root as the build spelled it, links
    # included.
    store = project_file(where).parent
    base, root = (Path(os.path.normpath(store / path)) for path in (built.base, built.root))
    quiet = [Path(os.path.normpath(store / path)) for path in built.quiet]
    return Project(
        None, base=base, place=where, settings=settings, notify=notify, root=root, quiet=quiet
    )


def find_store(here: Path, place: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of the store that [](open_project) opens; it may not exist yet.

    Args:
        here: The folder of the user, absolute.
        place: The folder of the store, if the user names it.

    Raises:
        ProjectError: Several built Sphinx projects are equally near.
    """
    # jupyter-cache reads the same variable. Here, an empty value counts as unset:
    # https://github.com/executablebooks/jupyter-cache/blob/v1.0.1/jupyter_cache/cli/options.py
    given = place if place is not None else os.environ.get(STORE_VARIABLE)
    return Path(given).resolve() if given else built_store(here) or here / STORE_FOLDER


def find_settings(place: Path) -> Settings:
    """Return the options that the last build recorded next to a store, which is not opened."""
    built = read_project_file(place)
    return read_settings(built.settings if built is not None else {})[0]


def _unbuilt(here: Path, place: Path, notify: Notify, options: dict[str, Any]) -> Project:
    settings = checked_settings(options)
    return Project(None, base=here, place=place, settings=settings, notify=notify)


def built_store(here: Path) -> Path | None:
    """Return the store folder of the nearest built Sphinx project; `None` if there is none.

    Raises:
        ProjectError: Several are equally near.
    """
    for folder in _up_to_root(here):
        found = [place for place in _stores_near(folder) if project_file(place).is_file()]
        # Do not guess: commands such as `prune` would work on the wrong store.
        if len(found) > 1:
            listed = ", ".join(str(place) for place in found)
            raise ProjectError(
                f"several projects were built here; name the store of one by --cache-path: {listed}"
            )
        if found:
            return found[0]
    return None


def _up_to_root(here: Path) -> list[Path]:
    """Return a folder and its parents up to a project's root; without a root, the folder alone.

    Otherwise, the search would cover neighbouring projects or a whole home directory.
    """
    folders = [here]
    for folder in (here, *here.parents):
        if folder != here:
            folders.append(folder)
        if any((folder / mark).exists() for mark in ("conf.py", *ROOT_MARKS)):
            return folders
    return [here]


def _stores_near(folder: Path) -> Iterator[Path]:
    """Yield the places where a store may be: in a folder, and one and two levels below it."""
    yield folder / STORE_FOLDER
    for child in _folders_in(folder):
        yield child / STORE_FOLDER
        for grandchild in _folders_in(child):
            yield grandchild / STORE_FOLDER


def _folders_in(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            # Skip hidden folders: `.git`, `.venv` and `.nox` contain thousands of folders.
            names = [e.name for e in entries if not e.name.startswith(".") and e.is_dir()]
    except OSError:
        return []
    return [folder / name for name in sorted(names)]
