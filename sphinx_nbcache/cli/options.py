"""Options that several commands share, with their values; verbosity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from sphinx_nbcache.cli.parameters import META, PATH, references_for

# Zero is the usual level, so that `-v` and `-q` can be counted.
DEBUG, USUAL, NO_PROGRESS, ERRORS, NOTHING = 1, 0, -1, -2, -3

# Names and `-v LEVEL` as in jupyter-cache 1.0, where `-v` is short for `--verbosity`.
LEVELS = {
    "DEBUG": DEBUG,
    "INFO": USUAL,
    "WARNING": NO_PROGRESS,
    "ERROR": ERRORS,
    "CRITICAL": NOTHING,
}
_SHORT, _LONG = "-v", "--verbosity"
_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


def with_named_levels(arguments: Sequence[str]) -> list[str]:
    """Return arguments in which a level after `-v` is the value of `--verbosity`.

    click has no option that counts and may also take a value. Only names in capitals are taken for
    levels: any other word after `-v` is a notebook.
    """
    found: list[str] = []
    for place, argument in enumerate(arguments):
        # Everything after it is a name, even `-v`.
        if argument == "--":
            return [*found, *arguments[place:]]
        if argument in LEVELS and found and found[-1] == _SHORT:
            found[-1] = f"{_LONG}={argument}"
        elif argument.startswith(_SHORT) and argument[len(_SHORT) :] in LEVELS:
            found.append(f"{_LONG}={argument[len(_SHORT) :]}")
        else:
            found.append(argument)
    return found


@dataclass(frozen=True, slots=True)
class Given:
    """The values of the common options, given before or after the name of the command.

    Attributes:
        cache_path: The folder of the store.
        conf: The folder that holds `conf.py`.
        verbosity: How much is printed, from `NOTHING` up; see [](LEVELS).
    """

    cache_path: Path | None = None
    conf: Path | None = None
    verbosity: int = 0


def given() -> Given:
    """Return the values given to the running command."""
    # `meta` is shared by nested contexts, other attributes are not
    # (https://click.palletsprojects.com/en/stable/api/#click.Context.meta).
    meta: dict[str, Any] = click.get_current_context().meta.get(META, {})
    level = LEVELS[meta.get("verbosity", "INFO")] + meta.get("verbose", 0) - meta.get("quiet", 0)
    return Given(meta.get("cache_path"), meta.get("conf"), max(level, NOTHING))


def common(command: _Decorated) -> _Decorated:
    """Give a command or group the common options."""
    # Decorators apply from the bottom up; the help lists options from the top down
    # (https://click.palletsprojects.com/en/stable/api/#click.option).
    for option in reversed(_COMMON):
        command = option(command)
    return command


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Keep a value in `ctx.meta`, which a group and its command share; the command's wins."""
    # The command is parsed after its group: its missing option must not erase the group's.
    if value is not None:
        ctx.meta.setdefault(META, {})[param.name] = value


def _add(ctx: click.Context, param: click.Parameter, value: int) -> None:
    # Added up, so that `sphinx-nbcache -v plan -v` is `-vv`.
    kept = ctx.meta.setdefault(META, {})
    kept[param.name] = kept.get(param.name, 0) + value


_COMMON = (
    click.option(
        "-p",
        "--cache-path",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        expose_value=False,
        callback=_keep,
        help="The folder of the store.",
    ),
    click.option(
        "--conf",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        metavar="DIR",
        expose_value=False,
        callback=_keep,
        help="Take the settings from the conf.py in this folder.",
    ),
    click.option(
        "-q",
        "--quiet",
        count=True,
        expose_value=False,
        callback=_add,
        help="Print only results, warnings and errors; -qq: no warnings.",
    ),
    click.option(
        "-v", "--verbose", count=True, expose_value=False, callback=_add, help="Print more."
    ),
    click.option(
        "--verbosity",
        type=click.Choice(list(LEVELS), case_sensitive=False),
        expose_value=False,
        callback=_keep,
        metavar="LEVEL",
        help="The same by name: DEBUG, INFO, WARNING, ERROR or CRITICAL.",
    ),
)

_COMMON_NAMES = frozenset({"cache_path", "conf", "quiet", "verbose", "verbosity"})


def is_common(param: click.Parameter) -> bool:
    """Tell whether a parameter is an option that every command has."""
    return param.name in _COMMON_NAMES or "--help" in param.opts


as_json = click.option(
    "--json", "as_json", is_flag=True, help="Write JSON to the standard output, and only that."
)
path_length = click.option(
    "-l",
    "--path-length",
    type=click.IntRange(min=1),
    metavar="N",
    help="Show only the last N parts of paths.",
)
force = click.option("-f", "--force", is_flag=True, help="Do not ask.")
references = click.argument(
    "references", nargs=-1, metavar="[ID|PATH]...", shell_complete=references_for
)
some_references = click.argument(
    "references", nargs=-1, required=True, metavar="ID|PATH...", shell_complete=references_for
)
reference = click.argument("reference", metavar="ID|PATH", shell_complete=references_for)
paths = click.argument("paths", nargs=-1, required=True, type=PATH, metavar="PATH...")
