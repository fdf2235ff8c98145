"""Runs one click command: a script for a subprocess.

The script is not imported, and imports none of our modules: the command must find the interpreter
as if it had been called from a shell. Its output goes to standard output; all other facts about the
command go into a report file.
"""

from __future__ import annotations

import builtins
import getpass
import importlib
import importlib.util
import json
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import Any


class NotFoundError(Exception):
    """There is no such click command; the message says what is there instead."""


def main() -> None:
    """Run the command that the request in the first argument names."""
    request = json.loads(sys.argv[1])
    report = Path(request["report"])
    # The path of the build, not that of this script: the command must not find its neighbours here.
    sys.path[:] = request["path"]
    # Before click is imported: `click.termui` takes its own reference to `input` then, while it
    # looks up `getpass` at each prompt (click 8.5).
    builtins.input = typed
    getpass.getpass = typed_hidden
    facts: dict[str, Any] = {}
    try:
        command = find(request["module"], request["attribute"])
    except NotFoundError as error:
        # The page depends on the module even if it fails to import: a correction must be seen.
        files = file_of(request["module"])
        report.write_text(json.dumps({"trouble": str(error), "files": files}), encoding="utf-8")
        return
    facts["prog"] = prog = request["prog"] or command.name or request["attribute"]
    facts["files"] = files_of(request["module"], command, request["words"])
    # Written before the run: click ends the process with SystemExit, and a signal may end it
    # without a word (https://click.palletsprojects.com/en/stable/api/#click.Command.main).
    report.write_text(json.dumps(facts), encoding="utf-8")
    sys.argv = [prog, *request["words"]]
    # The output is not a terminal, but the page shows colours; a command may forbid them.
    colours = {} if "color" in command.context_settings else {"color": True}
    try:
        # On Windows, click would expand globs and variables, as the shell there does not
        # (https://click.palletsprojects.com/en/stable/api/#click.Command.main). The words are those
        # of a POSIX shell, and quoted ones must stay.
        command.main(request["words"], prog_name=prog, windows_expand_args=False, **colours)
    except Exception as error:  # noqa: BLE001 (any exception of any command)
        facts["error"] = print_exception(error)
        report.write_text(json.dumps(facts), encoding="utf-8")
        sys.exit(1)


def find(module: str, attribute: str) -> Any:
    """Import a module, and return its click command."""
    import click

    try:
        found = importlib.import_module(module)
    # A module may call `sys.exit` when it is imported, such as a script without a main guard.
    except (Exception, SystemExit) as error:  # noqa: BLE001 (any module)
        what = "".join(traceback.format_exception_only(error)).strip()
        raise NotFoundError(f"the module {module!r} cannot be imported: {what}") from None
    try:
        command = attrgetter(attribute)(found)
    except AttributeError:
        raise NotFoundError(f"the module {module!r} has no attribute {attribute!r}") from None
    if not isinstance(command, click.Command):
        kind = type(command).__qualname__
        raise NotFoundError(f"{module}:{attribute} is no click command, but of type {kind}")
    return command


def files_of(module: str, command: Any, words: Sequence[str]) -> list[str]:
    """Return the files of the modules that define a command and the subcommands in the words."""
    import click

    # A command may be imported from elsewhere, and a subcommand from yet another module.
    modules = [module, _module_of(command)]
    context = click.Context(command)
    for word in words:
        if not isinstance(context.command, click.Group):
            break
        with suppress(Exception):  # a group of lazily loaded commands may do anything
            subcommand = context.command.get_command(context, word)
            if subcommand is not None:
                modules.append(_module_of(subcommand))
                context = click.Context(subcommand, parent=context)
    return sorted({file for name in modules if name for file in file_of(name)})


def file_of(module: str) -> list[str]:
    """Return the file of a module, even if it cannot be imported; empty if there is none."""
    with suppress(Exception):
        file = getattr(sys.modules.get(module), "__file__", None)
        if file is None:
            # It imports the parent packages, which may raise any exception
            # (https://docs.python.org/3/library/importlib.html#importlib.util.find_spec).
            spec = importlib.util.find_spec(module)
            file = spec.origin if spec is not None and spec.has_location else None
        if file is not None:
            return [str(file)]
    return []


def print_exception(error: Exception) -> str:
    """Print an exception as Python does, without the frames; return its text and place.

    The frames would show paths, which differ between machines.
    """
    what = "".join(traceback.format_exception_only(error)).strip()
    print(f"Traceback (most recent call last):\n  ...\n{what}", file=sys.stderr)  # noqa: T201
    frames = traceback.extract_tb(error.__traceback__)
    # The name alone, for the same reason.
    return f"{what} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"


def typed(prompt: object = "", /) -> str:
    """Read a line of input and echo it, as a terminal does."""
    sys.stdout.write(str(prompt))
    line = sys.stdin.readline()
    # A terminal shows what is typed; here no one types, so the page would miss the answer.
    sys.stdout.write(line.rstrip("\n") + "\n")
    if not line:
        raise EOFError
    return line.rstrip("\n")


def typed_hidden(prompt: str = "Password: ", stream: Any = None) -> str:
    """Read a line of input without echoing it."""
    stream = stream or sys.stdout
    line = sys.stdin.readline()
    stream.write(f"{prompt}\n")
    if not line:
        raise EOFError
    return line.rstrip("\n")


def _module_of(command: Any) -> str:
    # Groups may have no callback.
    return getattr(command.callback, "__module__", None) or ""


if __name__ == "__main__":
    main()
