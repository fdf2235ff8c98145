"""The project that a command works on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sphinx_nbcache.cli.groups import Exit, Stopped
from sphinx_nbcache.cli.options import as_reference, given
from sphinx_nbcache.cli.output import warn

if TYPE_CHECKING:
    from sphinx_nbcache.config import Settings
    from sphinx_nbcache.notices import Notice, Notify
    from sphinx_nbcache.project import Project


# Modes for builds only: a command executes because the user asks for it.
_FOR_BUILDS = frozenset({"off", "frozen"})


@contextmanager
def opened(**options: Any) -> Iterator[Project]:
    """Open the project of the working directory, and close it at the end.

    Args:
        options: Options that override the project's own, named as in `conf.py`
            without `nbcache_`.
    """
    told: set[Notice] = set()
    context = click.get_current_context()

    def once(notice: Notice) -> None:
        # The project may be opened twice, and plans made again: each warning is shown once.
        if notice not in told:
            told.add(notice)
            # Kernels are started in another thread, which has no click context.
            # The context is still in use, so it must not be closed
            # (https://click.palletsprojects.com/en/stable/api/#click.Context.scope).
            with context.scope(cleanup=False):
                warn(notice)

    try:
        project = _open(once, options)
        if project.settings.execute in _FOR_BUILDS:
            # Opened twice, because the mode is known only when the options have been read. Nothing
            # has been done with the first one.
            project = _open(once, options | {"execute": "changed"})
    # From an option on the command line that the project refuses.
    except ValueError as error:
        raise Stopped(str(error), Exit.USAGE) from None
    try:
        yield project
        # Only after success: an error of the command itself says more.
        if not project.is_readable:
            # A warning has said so; the output does not show what the store holds.
            click.get_current_context().exit(Exit.STORE)
    finally:
        project.close()


@contextmanager
def opened_to_change() -> Iterator[Project]:
    """Open the project as [](opened) does; stop if changes would not last."""
    with opened() as project:
        # Changes to a store in memory would be reported as done, and be gone with the process.
        if not project.is_lasting:
            text = f"the store {project.store.folder} cannot be used, so that nothing was changed"
            raise Stopped(text, Exit.STORE)
        yield project


def found_store_or_why_not() -> tuple[Path | str, Settings]:
    """Return the folder of the store that [](opened) uses, or why there is none, and the options.

    Nothing is opened.
    """
    from sphinx_nbcache.config import Settings
    from sphinx_nbcache.project import ProjectError

    try:
        return _found_store()
    except ProjectError as error:
        return f"not found: {error}", Settings()


def _found_store() -> tuple[Path, Settings]:
    from sphinx_nbcache.project.discovery import find_settings, find_store

    asked = given()
    if asked.conf is not None:
        # Late: only `--conf` needs Sphinx, which takes long to import.
        from sphinx_nbcache.extension.conf import find_conf_store

        place, settings = find_conf_store(asked.conf)
        return asked.cache_path or place, settings
    place = find_store(Path.cwd(), asked.cache_path)
    return place, find_settings(place)


def _open(notify: Notify, options: dict[str, Any]) -> Project:
    asked = given()
    if asked.conf is not None:
        from sphinx_nbcache.extension.conf import open_conf_project

        return open_conf_project(asked.conf, place=asked.cache_path, notify=notify, **options)
    from sphinx_nbcache.project import open_project

    return open_project(place=asked.cache_path, notify=notify, **options)


def as_references(texts: Sequence[str]) -> list[int | str | Path] | None:
    """Return references to notebooks or results; `None` if there are none, which means all."""
    return [as_reference(text) for text in texts] or None


def some_or_all(references: Sequence[str], *, everything: bool) -> list[int | str | Path] | None:
    """Return the references; `None` for everything, which needs `--all`."""
    # Neither is an error as well: an empty variable in a script must not remove everything.
    if everything == bool(references):
        raise click.UsageError("give ids or paths, or --all; not both")
    return as_references(references)
