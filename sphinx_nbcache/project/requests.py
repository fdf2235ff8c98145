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
"""An id, a path (absolute or relative to the working directory), a name, or a digest prefix."""

# Shorter prefixes of digests are easily mistaken for names: `a`, `add` and `fed` are hexadecimal.
SHORTEST_DIGEST = 4


class ProjectError(Exception):
    """A request cannot be fulfilled. The message says why."""


class UnknownReferenceError(ProjectError):
    """No notebook, result or artifact has this id, path or digest."""


class ValidityError(ProjectError):
    """A notebook cannot be added, because it does not look as if it had been executed."""


class StoreTroubleError(ProjectError):
    """The store cannot be read or written, or the requested record is damaged."""


@contextmanager
def store_trouble() -> Iterator[None]:
    """Turn exceptions of the store into errors for users."""
    try:
        yield
    # `ShelfError` covers the database. Lock files and folders are used without it, and raise
    # `OSError`. `OutputsError` names the damaged record, so its text stands alone.
    except ShelfError as error:
        raise StoreTroubleError(f"the store cannot be used: {error}") from error
    except OSError as error:
        raise StoreTroubleError(f"the store cannot be used: {error}") from error
    except OutputsError as error:
        raise StoreTroubleError(f"in the store: {error}") from error


def names_meant(reference: str | Path, root: Path) -> tuple[str, ...]:
    """Return the names that a reference to a notebook may denote: paths relative to the root.

    Args:
        reference: A path relative to the working directory, or to the root, or absolute.
        root: The root.
    """
    here = Path(os.path.abspath(reference))  # noqa: PTH100 (links are left as they are)
    # The root is resolved, but the working directory may be reached through a link: macOS has
    # one at `/tmp`. Resolve only the folder, because a notebook may itself be a link.
    names = [portable_path(here, root), portable_path(here.parent.resolve() / here.name, root)]
    # Commands list names relative to the root; users copy these names in any directory.
    if not Path(reference).is_absolute():
        names.append(Path(os.path.normpath(reference)).as_posix())
    return tuple(dict.fromkeys(names))
