"""Warnings as data, which each front end presents in its own way.

Layers below Sphinx never log. They pass a [](Notice) to a callback. The extension turns it into a
Sphinx warning of type ``nbcache`` with the topic as subtype, which can be suppressed by
``suppress_warnings = ["nbcache.<topic>"]``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Public, as are the values of `Topic`: users list them in `suppress_warnings`
# (https://www.sphinx-doc.org/en/master/usage/configuration.html#confval-suppress_warnings).
WARNING_TYPE = "nbcache"


class Topic(StrEnum):
    """The subtype of a warning, which follows ``nbcache.`` in ``suppress_warnings``."""

    EXECUTION = "execution"
    """A notebook failed, timed out, or its kernel died or is unknown."""
    FROZEN = "frozen"
    """A notebook has no valid result under ``nbcache_execute = "frozen"``."""
    RAISES = "raises"
    """A cell did not raise the exception declared in its metadata."""
    SOURCE = "source"
    """A source file cannot be read as a notebook, or a cell's options are invalid."""
    CONFIG = "config"
    """An option in ``conf.py`` or in a notebook has an invalid value."""
    OPTION = "option"
    """An option that is set does not exist, or is of another tool and has no counterpart here."""
    METADATA = "metadata"
    """The metadata of a notebook or cell has an unknown key."""
    TAG = "tag"
    """A cell's tag looks like a misspelling of a tag that has an effect."""
    STORE = "store"
    """The store or one of its entries is damaged, or the store cannot be written."""
    REMOTE = "remote"
    """The store that `nbcache_remote` names cannot be used as the options say."""
    ARTIFACT = "artifact"
    """A file that a notebook wrote cannot be restored, or two notebooks write it."""
    ORDER = "order"
    """Notebooks keep rewriting files that other notebooks read."""
    CELL = "cell"
    """A code cell's outputs cannot be placed in its page."""
    MIME = "mime"
    """An output has no representation that the builder supports."""
    SCRIPTS = "scripts"
    """An output needs a script library that is not there, or loads from another host."""
    RENDERER = "renderer"
    """The renderer of another package failed, or cannot be used."""
    MARKDOWN = "markdown"
    """A Markdown output has a part that cannot be shown as it is meant."""
    LEXER = "lexer"
    """Pygments has no lexer for a cell's language."""
    STDERR = "stderr"
    """A cell wrote to its standard error stream, and `nbcache_output_stderr` asks for a word."""
    EXECUTED = "executed"
    """An executed notebook is not written as a file, or `nb-download` finds none."""
    VALUE = "value"
    """A value that a page shows from a notebook is missing, or cannot be shown as it is meant."""
    REPORT = "report"
    """The report cannot be written into the output directory."""
    CLI = "cli"
    """A command on a page does not exist, failed, or has no store to work on."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A warning or an informational message: the problem, its location and the remedy.

    Attributes:
        topic: The kind, used as the warning's subtype.
        text: The message, one or two sentences.
        path: The affected source file, if any.
        line: The line in the source file, counted from 1, if known.
        is_error: Whether the build exits with a non-zero status.
        is_information: Whether to log the message without a warning.
        option: The affected option, by its name in `conf.py`, if no file is known.
    """

    topic: Topic
    text: str
    path: Path | None = None
    line: int | None = None
    is_error: bool = False
    is_information: bool = False
    option: str = ""


# A plain callback, so that the layers below need no logger and tests can collect notices in a list.
Notify = Callable[[Notice], None]


def say_nothing(_notice: Notice) -> None:
    """Discard a notice."""
