"""Requests to a project: references, and errors whose messages are complete for users."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sphinx_nbcache.files.paths import portable_path
from sphinx_nbcache.results.outputs import OutputsError
from sphinx_nbcache.store.shelf import ShelfError

Reference = int | str | Path
"""An id, a path (absolute, or relative to the working directory), a name, or a digest's start."""

# A digest's beginning that is shorter could be a word.
SHORTEST_DIGEST = 4


class ProjectError(Exception):
    """Something that was asked for cannot be done. The message says why."""


class UnknownReferenceError(ProjectError):
    """There is no notebook, result or artifact of that id, path or digest."""


class ValidityError(ProjectError):
    """A notebook that was to be added does not look as if it had been executed."""


class StoreTroubleError(ProjectError):
    """The store cannot be read or written, or what is asked for is damaged."""


@contextmanager
def store_trouble() -> Iterator[None]:
    """Turn what the store raises into an error for users."""
    try:
        yield
    except ShelfError as error:
        raise StoreTroubleError(f"the store cannot be used: {error}") from error
    except OSError as error:
        raise StoreTroubleError(f"the store cannot be used: {error}") from error
    except OutputsError as error:
        raise StoreTroubleError(f"in the store: {error}") from error


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
