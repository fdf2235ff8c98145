"""The click command that a directive names, and its arguments."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

ROOT = "sphinx_nbcache.cli:jcache"
PROG = "sphinx-nbcache"
# Compared by name, because importing the command line would cost every build its start.
_OWN_MODULE = "sphinx_nbcache.cli"
_LINE_END = re.compile(r"\s*\\?\n\s*")


class CommandError(Exception):
    """A command cannot be run as it is written; the message says why."""


@dataclass(frozen=True, slots=True)
class PageCommand:
    """A call of a click command.

    Attributes:
        module: The module that has the click command.
        attribute: Its name in that module; dots lead to attributes of attributes.
        words: The arguments, split as a shell does; names of subcommands come first.
        shown: The arguments as the author wrote them, in one line.
        prog: The program name before the arguments; empty for the command's own name.
        typed: The input that is typed while the command runs.
    """

    module: str
    attribute: str
    words: tuple[str, ...] = ()
    shown: str = ""
    prog: str = ""
    typed: str = ""

    @property
    def is_own(self) -> bool:
        """Whether it belongs to the command line of this package."""
        return self.module == _OWN_MODULE

    def line(self, prog: str) -> str:
        """Return the command line, as it is typed at the prompt."""
        return f"{prog} {self.shown}".rstrip()


def read_command(
    target: str, subcommand: str = "", arguments: str = "", *, typed: str = "", prog: str = ""
) -> PageCommand:
    """Return the command that a directive describes.

    Args:
        target: `module:attribute`.
        subcommand: The name of a subcommand; several words for nested groups.
        arguments: Its arguments, quoted as for a shell. They may span several lines.
        typed: The input that is typed while the command runs.
        prog: The program name; empty for the default.

    Raises:
        CommandError: The target or the quoting is wrong.
    """
    module, colon, attribute = target.partition(":")
    if not (module and colon and attribute):
        raise CommandError(f"{target!r} is not of the form module:attribute")
    # One line, because the page shows the command at a prompt; a backslash at the end of a line
    # continues it, as in a shell.
    parts = (_LINE_END.sub(" ", text.strip()) for text in (subcommand, arguments))
    shown = " ".join(part for part in parts if part)
    try:
        # POSIX rules on every system, so that a page is the same everywhere
        # (https://docs.python.org/3/library/shlex.html#shlex.split).
        words = tuple(shlex.split(shown))
    except ValueError as error:
        raise CommandError(f"the arguments {shown!r} cannot be split: {error}") from None
    if typed and not typed.endswith("\n"):
        # The last answer needs its Enter key.
        typed += "\n"
    return PageCommand(module, attribute, words, shown, prog or _own_prog(module, attribute), typed)


def _own_prog(module: str, attribute: str) -> str:
    """Return the program name of our own groups: pages show what a reader can type."""
    if module != _OWN_MODULE:
        return ""
    return PROG if f"{module}:{attribute}" == ROOT else f"{PROG} {attribute}"
