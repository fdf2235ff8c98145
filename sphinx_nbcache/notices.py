"""Warnings as data, so that every front end can present them in its own way.

Layers below Sphinx never log. They pass a [](Notice) to the callback they were given; the
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
    """The subtype of a warning. The value is the part after ``nbcache.``."""

    EXECUTION = "execution"
    """A notebook failed, timed out, or its kernel died or is unknown."""
    FROZEN = "frozen"
    """A notebook has no valid result under ``nbcache_execute = "frozen"``."""
    RAISES = "raises"
    """A cell did not raise the exception that its metadata declares."""
    SOURCE = "source"
    """A source file cannot be read as a notebook, or a cell's options are wrong."""
    CONFIG = "config"
    """An option, in ``conf.py`` or in a notebook, has a value that cannot be used."""
    OPTION = "option"
    """``conf.py`` or the command line sets an ``nbcache_…`` option that does not exist."""
    METADATA = "metadata"
    """The metadata of a notebook or cell has a key that nothing reads."""
    TAG = "tag"
    """A cell's tag is one typing error away from a tag that has an effect."""
    STORE = "store"
    """The store or one of its entries is damaged, or the store cannot be written."""
    ARTIFACT = "artifact"
    """A file that a notebook wrote cannot be restored, or two notebooks write it."""
    ORDER = "order"
    """Notebooks keep rewriting files that other notebooks read."""
    CELL = "cell"
    """A code cell's outputs cannot be placed in its page."""
    MIME = "mime"
    """An output has no representation that can be shown."""
    LEXER = "lexer"
    """No highlighter exists for a cell's language."""
    REPORT = "report"
    """The report cannot be written into the output directory."""
    CLI = "cli"
    """A command on a page does not exist, failed, or has no store to work on."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A warning or an informational message: the problem, its place and its remedy.

    Attributes:
        topic: The kind, used as the warning's subtype.
        text: A sentence or two for the reader of the log.
        path: The source file concerned, if any.
        line: The line in the source file, counted from 1, if known.
        is_error: Whether the build ends with a non-zero status.
        is_information: Whether nothing is wrong, so that no warning is emitted.
        option: The option concerned, as `conf.py` names it, if no file is known.
    """

    topic: Topic
    text: str
    path: Path | None = None
    line: int | None = None
    is_error: bool = False
    is_information: bool = False
    option: str = ""


Notify = Callable[[Notice], None]


def say_nothing(_notice: Notice) -> None:
    """Discard a notice."""
