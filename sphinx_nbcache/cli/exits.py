"""The exit codes of the command line, and messages in place of tracebacks."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import click

from sphinx_nbcache.printable import harmless


class Exit(IntEnum):
    """The exit codes."""

    OK = 0
    """Success."""
    FAILED = 1
    """A notebook has no valid result: it failed, may not be executed, or cannot be read; or
    `--check-reproducible` found different outputs."""
    USAGE = 2
    """The request is invalid: an unknown id, a missing file, a wrong option."""
    STORE = 3
    """The store is damaged, or cannot be read or written."""
    NOTHING = 5
    """There is no notebook to execute: the project has none."""
    HUNG_UP = 129
    """It was ended by SIGHUP: the terminal was closed. Results are kept as after Ctrl-C."""
    INTERRUPTED = 130
    """It was ended by Ctrl-C. Results of notebooks that had finished are kept."""
    TERMINATED = 143
    """It was ended by SIGTERM. Results are kept as after Ctrl-C."""


class Stopped(click.ClickException):
    """The end of a command, with a message for the user and an exit code."""

    def __init__(self, message: str, code: Exit) -> None:
        super().__init__(harmless(message))
        self.exit_code = code  # type: ignore[misc]  # click declares it on the class


def kept(interrupt: BaseException) -> str:
    """Return, in words, what is kept of an interrupted command."""
    notes: list[str] = getattr(interrupt, "__notes__", [])
    return notes[-1] if notes else "what had ended is kept"


@contextmanager
def errors_as_messages() -> Iterator[None]:
    """End a command with a message and an exit code if the error is not a defect of this program.

    Any other exception keeps its traceback.
    """
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise Stopped(f"interrupted: {kept(interrupt)}", Exit.INTERRUPTED) from None
    except Exception as error:
        code = _code_of(error)
        if code is None:
            raise
        raise Stopped(_text_of(error), code) from None


def _code_of(error: Exception) -> Exit | None:
    if isinstance(error, OSError):
        # click itself handles a closed pipe (`| head`).
        return None if error.errno == errno.EPIPE else Exit.USAGE
    if isinstance(error, click.ClickException | click.exceptions.Exit | click.Abort):
        return None
    # Imported late: a successful command does not need these.
    from sphinx_nbcache.notebooks.diffing import NoDiffError
    from sphinx_nbcache.notebooks.merging import MergeError
    from sphinx_nbcache.notebooks.model import NotebookError
    from sphinx_nbcache.project.errors import ProjectError, StoreTroubleError
    from sphinx_nbcache.project.run import NotebookFailedError
    from sphinx_nbcache.store.outputs import OutputsError
    from sphinx_nbcache.store.shelf import ShelfError

    if isinstance(error, NotebookFailedError):
        return Exit.FAILED
    if isinstance(error, StoreTroubleError | ShelfError | OutputsError):
        return Exit.STORE
    known = ProjectError, MergeError, NotebookError, NoDiffError
    return Exit.USAGE if isinstance(error, known) else None


def _text_of(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
