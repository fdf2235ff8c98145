"""Commands and groups of this command line, exit codes, and messages for errors."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

import click

from sphinx_nbcache.cli.options import is_common, with_named_levels
from sphinx_nbcache.text import harmless


# 2 is click's code for wrong usage; 5 as pytest has it for no tests
# (https://docs.pytest.org/en/stable/reference/exit-codes.html); 128 and the number of the signal as
# in shells (https://www.gnu.org/software/bash/manual/html_node/Exit-Status.html).
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
        # Messages contain names of files, which may contain escape sequences.
        super().__init__(harmless(message))
        self.exit_code = code  # type: ignore[misc]  # click declares it on the class


def kept(interrupt: BaseException) -> str:
    """Return, in words, what is kept of an interrupted command."""
    # Only `progress` knows what is kept. It adds a note, because it does not raise the exception
    # (https://docs.python.org/3/library/exceptions.html#BaseException.add_note).
    notes: list[str] = getattr(interrupt, "__notes__", [])
    return notes[-1] if notes else "what had ended is kept"


@contextmanager
def errors_as_messages() -> Iterator[None]:
    """End a command with a message and an exit code if the error is not a defect of this program.

    Any other exception keeps its traceback.
    """
    try:
        yield
    # click itself would print "Aborted!", and exit with 1
    # (https://click.palletsprojects.com/en/stable/exceptions/).
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
    from sphinx_nbcache.notebooks.merging import MergeError
    from sphinx_nbcache.notebooks.notebook import NotebookError
    from sphinx_nbcache.project.differences import NoDiffError
    from sphinx_nbcache.project.requests import ProjectError, StoreTroubleError
    from sphinx_nbcache.project.run import NotebookFailedError
    from sphinx_nbcache.results.outputs import OutputsError
    from sphinx_nbcache.store.shelf import ShelfError

    if isinstance(error, NotebookFailedError):
        return Exit.FAILED
    # Before the others: StoreTroubleError is also a ProjectError.
    if isinstance(error, StoreTroubleError | ShelfError | OutputsError):
        return Exit.STORE
    known = ProjectError, MergeError, NotebookError, NoDiffError
    return Exit.USAGE if isinstance(error, known) else None


def _text_of(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


class Command(click.Command):
    """A command whose errors are messages."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Groups are also used on their own, so they cannot inherit this from the root.
        kwargs.setdefault("context_settings", {}).setdefault("help_option_names", ["-h", "--help"])
        super().__init__(*args, **kwargs)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; a level after `-v` is the value of `--verbosity`."""
        return super().parse_args(ctx, with_named_levels(args))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options, then the common options."""
        _write_options(self, ctx, formatter, common=False)
        _write_options(self, ctx, formatter, common=True)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        # After parsing: the context exists, and nothing has been written yet.
        _respect_colour_wishes(ctx)
        with errors_as_messages():
            return super().invoke(ctx)


class Group(click.Group):
    """A group whose commands may have second names, which are found but not listed twice."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", {}).setdefault("help_option_names", ["-h", "--help"])
        super().__init__(*args, **kwargs)
        self.second_names: dict[str, str] = {}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; a level after `-v` is the value of `--verbosity`."""
        # A group sees the arguments of its command as well; the second conversion changes nothing.
        return super().parse_args(ctx, with_named_levels(args))

    def add(self, command: click.Command, *second_names: str, name: str | None = None) -> None:
        """Add a command under its own name, or another, and under second names."""
        first = name or command.name or ""
        self.add_command(command, first)
        for second in second_names:
            self.add_command(command, second)
            self.second_names[second] = first

    def called(self, name: str, *, help: str) -> Group:  # noqa: A002 (click's own word)
        """Return a group with another name and the same commands."""
        group = Group(name, help=help, params=self.params, callback=self.callback)
        # A new context, because this is called at import, without a running command.
        for command in self.list_commands(click.Context(self)):
            first, *others = self.names_of(command)
            group.add(self.commands[command], *others, name=first)
        return group

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the first names, in the order in which they were added."""
        del ctx
        # click sorts by name; here the order of addition counts
        # (https://click.palletsprojects.com/en/stable/api/#click.Group.list_commands).
        return [name for name in self.commands if name not in self.second_names]

    def names_of(self, first: str) -> Sequence[str]:
        """Return a command's first name and its second names."""
        return [first, *(second for second, of in self.second_names.items() if of == first)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the group's own options, its commands, then the common options."""
        _write_options(self, ctx, formatter, common=False)
        self.format_commands(ctx, formatter)
        _write_options(self, ctx, formatter, common=True)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, with their second names."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._described(name)) for name in self.list_commands(ctx)])

    def _described(self, name: str) -> str:
        others = ", ".join(self.names_of(name)[1:])
        # click's default of 45 characters would cut most sentences
        # (https://click.palletsprojects.com/en/stable/api/#click.Command.get_short_help_str).
        text = self.commands[name].get_short_help_str(limit=100)
        return f"{text} (Also: {others}.)" if others else text


def _write_options(
    command: click.Command, ctx: click.Context, formatter: click.HelpFormatter, *, common: bool
) -> None:
    options = (param for param in command.get_params(ctx) if isinstance(param, click.Option))
    params = (param for param in options if is_common(param) is common)
    # A hidden option has no record.
    if records := [record for param in params if (record := param.get_help_record(ctx))]:
        with formatter.section("Common options" if common else "Options"):
            formatter.write_dl(records)


def _respect_colour_wishes(ctx: click.Context) -> None:
    """Switch colours off or on where the user's environment says so (https://no-color.org)."""
    # click 8.5 reads neither variable; the second one is described at https://force-color.org. If
    # both are set, no colours is the safe choice.
    if os.environ.get("NO_COLOR"):
        ctx.color = False
    elif os.environ.get("FORCE_COLOR"):
        ctx.color = True
