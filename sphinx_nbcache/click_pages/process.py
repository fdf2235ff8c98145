"""The click command that a directive names, and its run in a subprocess."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docutils import nodes

from sphinx_nbcache.project.locations import STORE_FOLDER, STORE_VARIABLE
from sphinx_nbcache.rendering.nodes import AnsiBlock, ansi_block
from sphinx_nbcache.store.marks import SECRET_VARIABLE

ROOT = "sphinx_nbcache.cli:jcache"
PROG = "sphinx-nbcache"
# Compared by name, because importing the command line would cost every build its start.
_OWN_MODULE = "sphinx_nbcache.cli"
_LINE_END = re.compile(r"\s*\\?\n\s*")
_CHILD = Path(__file__).with_name("child.py")
COLUMNS = 80
# Exit status of our own command line if a notebook failed: `FAILED` of `sphinx_nbcache.cli.groups`,
# which is a layer above.
NOTEBOOK_FAILED = 1
# Variables that describe the terminal of the build; pages must not depend on them.
_OF_THE_TERMINAL = frozenset(
    "NO_COLOR CLICOLOR CLICOLOR_FORCE COLORTERM PY_COLORS TTY_COMPATIBLE".split()
)
# The secret must not be within reach of a command whose output is published.
_LEFT_OUT = _OF_THE_TERMINAL | {SECRET_VARIABLE}
_TERMINAL = {
    "TERM": "xterm-256color",
    # Many libraries write colours to a file only if this is set (https://force-color.org).
    "FORCE_COLOR": "1",
    # rich's variable for a terminal with colours but without animation
    # (https://rich.readthedocs.io/en/stable/console.html#environment-variables).
    "TTY_INTERACTIVE": "0",
    "COLUMNS": str(COLUMNS),
    "LINES": "24",
}
_PROMPT = "$ "
_COLOUR = r"\x1b\[[\d;:]*m"
# A path may be coloured piece by piece. It is not searched for inside longer names.
_BEFORE = rf"(?P<before>\A|{_COLOUR}|[^\w.\-])"
_AFTER = r"(?![\w\-]|\.\w)"


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


@dataclass(frozen=True, slots=True)
class Ran:
    """The outcome of a command.

    Attributes:
        status: Its exit status; negative if a signal ended it.
        printed: Its standard output and standard error, in the order in which they were written.
        prog: The name that it was called by; empty if it was not found.
        files: The files of the modules that define it.
        trouble: Why it was not run; empty if it was.
        error: The exception that ended it; empty if none did.
    """

    status: int
    printed: str = ""
    prog: str = ""
    files: tuple[Path, ...] = ()
    trouble: str = ""
    error: str = ""

    @property
    def failure(self) -> str:
        """Why this is a failure; empty if it is not one."""
        if self.error:
            return f"raised {self.error}"
        if self.status < 0:
            return f"was ended by signal {-self.status}"
        return f"ended with exit status {self.status}" if self.status else ""


def failure_of(command: PageCommand, ran: Ran) -> str:
    """Return why a page should not have the outcome of a command; empty if it may.

    A failed notebook is a valid outcome of our own command line, and the page shows it. Any other
    unsuccessful end, such as an exception, is a failure as with any command.
    """
    if command.is_own and ran.status == NOTEBOOK_FAILED and not ran.error:
        return ""
    return ran.failure


def run_command(command: PageCommand, folder: Path, store: Path) -> Ran:
    """Run a command in a folder, on a store, and wait until it ends.

    The output goes into a file, not through a pipe: a process that the command leaves running would
    keep a pipe open, and block the reading of the page.
    """
    # A time limit would not help (https://github.com/python/cpython/issues/76116). On Windows, such
    # a process also keeps the file from being removed, which is ignored.
    with tempfile.TemporaryDirectory(prefix="nbcache-", ignore_cleanup_errors=True) as temporary:
        printed, report = Path(temporary, "printed"), Path(temporary, "report")
        with printed.open("wb") as sink:
            done = subprocess.run(  # noqa: S603 (the page's author wrote the command)
                [
                    # Unbuffered, because both streams share a file, and only the order of writes
                    # keeps their lines in order. `-P` keeps this folder out of `sys.path`, where
                    # `command` or `process` would hide other modules
                    # (https://docs.python.org/3/using/cmdline.html#cmdoption-P).
                    *(sys.executable, "-u", "-P", "-X", "utf8", str(_CHILD)),
                    _request(command, report),
                ],
                check=False,
                cwd=folder,
                env=variables(os.environ, folder, store),
                # Standard input always ends: an unexpected prompt is an error instead of a build
                # that hangs.
                input=command.typed.encode(),
                stdout=sink,
                stderr=subprocess.STDOUT,
            )
        text = printed.read_bytes().decode("utf-8", errors="replace")
        facts = _facts(report)
    if facts is None:
        trouble = f"its process ended with status {done.returncode} before it began"
        return Ran(done.returncode, text, trouble=trouble)
    return Ran(
        done.returncode,
        text,
        facts.get("prog", ""),
        tuple(map(Path, facts["files"])),
        facts.get("trouble", ""),
        facts.get("error", ""),
    )


def variables(environ: Mapping[str, str], folder: Path, store: Path) -> dict[str, str]:
    """Return the environment of a command: that of the build, with a terminal of a known kind."""
    kept = {name: value for name, value in environ.items() if name not in _LEFT_OUT}
    # `PWD` as shells set it: some programs prefer it to `getcwd`, which resolves links.
    return {**kept, **_TERMINAL, "PWD": str(folder), STORE_VARIABLE: str(store)}


def _request(command: PageCommand, report: Path) -> str:
    """Return the request for `child`; it can import what `conf.py` made importable."""
    return json.dumps(
        {
            "module": command.module,
            "attribute": command.attribute,
            "words": command.words,
            "prog": command.prog,
            "report": str(report),
            "path": _import_path(),
        }
    )


def _import_path() -> list[str]:
    """Return `sys.path` for another folder; entries that only import hooks know stay."""
    # The command runs in another folder, where relative entries would mean something else.
    found = ((entry, Path(entry)) for entry in sys.path)
    return [str(path.absolute()) if path.exists() else entry for entry, path in found]


def _facts(report: Path) -> dict[str, Any] | None:
    try:
        facts: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return facts


def shown_text(printed: str, folder: Path, store: Path) -> str:
    """Return what a terminal would show, without the paths of this machine.

    Args:
        printed: The output of the command.
        folder: Where it was run. Paths below it are shown relative to it, as readers type them.
        store: Its store, which is shown as the one that readers have by default.
    """
    text = _overwritten(printed)
    # The store first, because it may lie below the folder. Both forms, because a command may print
    # resolved paths: on macOS, `/tmp` is a link.
    for path in dict.fromkeys([store, store.resolve()]):
        text = _replaced(text, str(path), STORE_FOLDER)
        with suppress(ValueError):  # on another drive of Windows
            relative = os.path.relpath(path, folder)
            # A single name could also be an ordinary word.
            if len(Path(relative).parts) > 1:
                text = _replaced(text, relative, STORE_FOLDER)
    for path in dict.fromkeys([folder, folder.resolve()]):
        # The root of a file system is the beginning of every path.
        if path != path.parent:
            text = _without(text, path)
    return text


def console_block(line: str, output: str) -> nodes.literal_block:
    """Return the block with a command line and its output."""
    block = ansi_block(output, [])
    if isinstance(block, AnsiBlock):
        # The highlighter's own classes: the block looks like others, also to copy buttons.
        coloured, block.children = block.children, []
        block += nodes.inline(_PROMPT, _PROMPT, classes=["gp"])
        block += nodes.Text(f"{line}\n")
        block += nodes.inline("", "", *coloured, classes=["go"])
    else:
        text = f"{_PROMPT}{line}\n{block.astext()}".rstrip("\n")
        # A command may print anything: highlighting errors are not the page's fault.
        block = nodes.literal_block(text, text, force=True)
    block["language"] = "console"
    return block


def _overwritten(text: str) -> str:
    """Keep the last text written to each line: progress bars return to its beginning."""
    lines = text.replace("\r\n", "\n").split("\n")
    # Not as terminals do, which overwrite character by character; programs clear the rest of the
    # line, so the last text is what remains.
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)


def _without(text: str, folder: Path) -> str:
    """Make paths below a folder relative to it; the folder itself becomes `.`."""
    pattern = rf"{_BEFORE}{_pattern(str(folder))}(?:[\\/]+(?P<below>(?=[^\s\\/'\"]))|{_AFTER})"

    def replacement(match: re.Match[str]) -> str:
        return _before(match) + ("." if match["below"] is None else "")

    return re.sub(pattern, replacement, text)


def _replaced(text: str, path: str, name: str) -> str:
    """Replace a path, also at the beginning of longer ones."""
    return re.sub(rf"{_BEFORE}{_pattern(path)}{_AFTER}", lambda match: _before(match) + name, text)


def _pattern(path: str) -> str:
    names = [re.escape(name) for name in re.split(r"[\\/]+", path) if name]
    begin = r"[\\/]" if path[:1] in ("/", "\\") else ""
    separator = rf"(?:{_COLOUR})*[\\/]+(?:{_COLOUR})*"
    return f"(?P<path>{begin}{separator.join(names)})"


def _before(match: re.Match[str]) -> str:
    """Return the text before a path, and the colours within it."""
    return str(match["before"]) + "".join(re.findall(_COLOUR, match["path"]))
