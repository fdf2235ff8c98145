"""Errors in what a project is asked for. Each message is complete, for users."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sphinx_nbcache.store.outputs import OutputsError
from sphinx_nbcache.store.shelf import ShelfError


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
