"""What the user is told: warnings as data, so that every front end can show them its own way.

Layers below Sphinx never log. They hand a [](Notice) to the callable they were given; the
extension turns it into a Sphinx warning of type ``nbcache`` with the notice's topic as
subtype, so that each kind can be suppressed by ``suppress_warnings = ["nbcache.<topic>"]``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

WARNING_TYPE = "nbcache"


class Topic(StrEnum):
    """Subtype of a warning. The value is what stands behind ``nbcache.``."""

    EXECUTION = "execution"
    """A notebook failed, timed out, or its kernel died or is unknown."""
    FROZEN = "frozen"
    """``nbcache_execute = "frozen"`` and there is no valid result."""
    RAISES = "raises"
    """A cell did not raise the exception that its metadata promise."""
    SOURCE = "source"
    """A source file cannot be read as a notebook, or a cell's options are wrong."""
    CONFIG = "config"
    """An option, in ``conf.py`` or in a notebook, has a value that cannot be used."""
    OPTION = "option"
    """``conf.py`` or the command line sets an option ``nbcache_…`` that there is not."""
    METADATA = "metadata"
    """The metadata of a notebook or cell have a key that nothing reads."""
    TAG = "tag"
    """A tag of a cell is one slip of the keyboard away from one that has an effect."""
    STORE = "store"
    """The store, or something in it, is damaged or cannot be written."""
    ARTIFACT = "artifact"
    """A file that a notebook wrote cannot be put back, or two notebooks write it."""
    ORDER = "order"
    """Notebooks rewrite what the others read, for ever."""
    CELL = "cell"
    """A code cell's outputs cannot be placed in its page."""
    MIME = "mime"
    """An output has no form that can be shown."""
    LEXER = "lexer"
    """There is no highlighter for a cell's language."""
    REPORT = "report"
    """The report cannot be written into the output directory."""
    CLI = "cli"
    """A command that a page shows does not exist, failed, or has no store to work on."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One warning, or information: what is wrong, where, and what to do about it.

    Attributes:
        topic: The kind, which becomes the warning's subtype.
        text: A sentence or two for the reader of the log.
        path: The source file meant, if any.
        line: Its line, counted from 1, if known.
        is_error: Whether it makes the build end with a non-zero status.
        is_information: Whether nothing is wrong, so that it is no warning.
    """

    topic: Topic
    text: str
    path: Path | None = None
    line: int | None = None
    is_error: bool = False
    is_information: bool = False


Notify = Callable[[Notice], None]


def say_nothing(_notice: Notice) -> None:
    """Take a notice and keep it to oneself."""
