"""Output: results go to standard output, everything else to standard error."""

from __future__ import annotations

import os
import re
import shutil
import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import click

from sphinx_nbcache.cli.groups import Exit, Stopped
from sphinx_nbcache.cli.options import ERRORS, NO_PROGRESS, USUAL, given
from sphinx_nbcache.text import harmless, json_for_terminals

if TYPE_CHECKING:
    from sphinx_nbcache.notices import Notice

_PLAIN_WIDTH = 80


def say(text: str) -> None:
    """Write to the standard output."""
    # Texts contain names and messages from notebooks: colours stay, other escape sequences do not.
    click.echo(harmless(text))


def say_exactly(text: str) -> None:
    """Write to the standard output what another program may read: every byte counts there."""
    if sys.stdout.isatty():
        click.echo(harmless(text), nl=False)
    else:
        # Bytes, so that no line ends are converted.
        click.echo(text.encode(), nl=False)


def say_done(text: str) -> None:
    """Report a change on standard output, unless the user asked for less output."""
    if given().verbosity >= USUAL:
        say(text)


def tell(text: str, *, level: int = USUAL) -> None:
    """Report progress on standard error, unless the user asked for less output."""
    if given().verbosity >= level:
        _to_standard_error(harmless(text))


def warn(notice: Notice) -> None:
    """Write a warning, with its place, to the standard error."""
    if notice.is_information:
        tell(notice.text)
        return
    # `-qq` hides warnings, `-qqq` errors as well; the exit code still tells.
    if given().verbosity < (ERRORS if notice.is_error else NO_PROGRESS):
        return
    where = ""
    if notice.path is not None:
        line = f":{notice.line}" if notice.line else ""
        where = f"{from_here(notice.path)}{line}: "
    kind, colour = ("error", "red") if notice.is_error else ("warning", "yellow")
    label = click.style(f"{kind}:", fg=colour)
    _to_standard_error(harmless(f"{where}{label} {notice.text}"))


def say_json(document: Any) -> None:
    """Write a document of [](sphinx_nbcache.cli.documents) to the standard output."""
    from sphinx_nbcache.cli.documents import json_of

    # Escaped in JSON's own way, so that the document stays the same for programs.
    click.echo(json_for_terminals(json_of(document)))


def confirm(question: str, *, force: bool) -> None:
    """Ask for confirmation, unless forced; stop if it is not given."""
    if not (force or asked(question)):
        raise Stopped("nothing was changed; --force does it without asking", Exit.USAGE)


def asked(question: str) -> bool:
    """Ask on standard error; the answer is no if standard input ends or is closed."""
    if sys.stdin is None:  # closed by the parent process
        return False
    try:
        # Some versions of click write a blank to the standard output, which may hold JSON
        # (https://github.com/pallets/click/pull/2969).
        with redirect_stdout(sys.stderr):
            return click.confirm(harmless(question), err=True)
    # OSError: standard input is closed, or not open for reading.
    except (click.Abort, OSError):
        # Ends the line of the question, which has no answer.
        click.echo(err=True)
        return False


def width() -> int:
    """Return the width for text: COLUMNS, else that of the terminal, else 80."""
    # Not left to `shutil`, which asks the terminal if the value is not a number: output in a file
    # must not depend on it
    # (https://docs.python.org/3/library/shutil.html#shutil.get_terminal_size).
    columns = re.fullmatch("[1-9][0-9]{0,4}", os.environ.get("COLUMNS", ""))
    if columns is not None:
        return int(columns[0])
    if sys.stdout.isatty():
        return shutil.get_terminal_size((_PLAIN_WIDTH, 24)).columns
    return _PLAIN_WIDTH


def _to_standard_error(text: str) -> None:
    """Write to standard error, above the live lines if there are any.

    Rich replaces `sys.stderr` with a proxy for that. click would write past it, into the live
    lines.
    """
    # https://rich.readthedocs.io/en/stable/live.html#redirecting-stdout-stderr
    if hasattr(sys.stderr, "rich_proxied_file"):
        sys.stderr.write(f"{text}\n")
    else:
        click.echo(text, err=True)


def from_here(path: os.PathLike[str]) -> str:
    """Return a path relative to the working directory, if it is below it."""
    relative = os.path.relpath(path)
    # A path with many `..` is harder to read than an absolute one.
    return os.fspath(path) if relative.startswith("..") else relative
