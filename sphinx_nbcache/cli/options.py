"""Options that several commands share; the values of options, and their completion in shells."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from sphinx_nbcache.config import declared_options
from sphinx_nbcache.options import Flag, FlagKind
from sphinx_nbcache.text import did_you_mean

# click checks here, so that a typing error is a message before the project is opened.
PATH = click.Path(exists=True, dir_okay=False, path_type=Path)

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
# An asset may be a folder.
ASSET = click.Path(exists=True, path_type=Path)

NONE = "none"
# Not None, which click passes for an option that was not given.
UNLIMITED = -1

_UNITS = {"": 1, "B": 1}
# The key of our values in `Context.meta`, by the convention of click: the module's name.
META = "sphinx_nbcache.cli"
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


_UNITS |= {f"{prefix}B": 1000**power for power, prefix in enumerate("KMGT", 1)}
_UNITS |= {f"{prefix}IB": 1024**power for power, prefix in enumerate("KMGT", 1)}
# ASCII, because `\d` also matches digits that `float` reads, such as Arabic ones, but no one means
# here (https://docs.python.org/3/library/re.html#re.ASCII).
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", re.ASCII)
# More digits are a typing error; and int() refuses thousands of them.
_DIGITS = 18


def as_reference(text: str) -> int | str | Path:
    """Parse a reference to a notebook or result: an id, a file, or another text.

    A text may be the path of a missing file, or the beginning of a digest.
    """
    if _is_number(text):
        return int(text)
    # Not `Path.exists`, which may raise an error for a text that cannot be a path.
    return Path(text).absolute() if os.path.exists(text) else text  # noqa: PTH110


def executor(text: str) -> str:
    """Return the name of an executor if it exists."""
    from sphinx_nbcache.execution.executors import OURS
    from sphinx_nbcache.plugins import EXECUTORS, announced

    # Looking for entry points reads the metadata of every installed package: only for unknown names
    # (https://docs.python.org/3/library/importlib.metadata.html#entry-points).
    known = OURS if text in OURS else tuple(dict.fromkeys([*OURS, *announced(EXECUTORS)]))
    if text not in known:
        meant = did_you_mean(text, known)
        listed = ", ".join(known)
        raise click.BadParameter(f"there is no executor {text!r} (known: {listed}){meant}")
    return text


def time_limit_or_none(text: str) -> float | str:
    """Return a time limit in the form of the option `nbcache_timeout`."""
    from sphinx_nbcache import values

    if text.lower() == NONE:
        return NONE
    try:
        limit = values.time_limit(text)
    except ValueError:
        limit = None
    if limit is None:
        raise click.BadParameter(f"{text!r} is not a number of seconds above 0, or 'none'.")
    return limit


def count(text: str) -> int:
    """Return the number of results to keep; [](UNLIMITED) for `none`."""
    if text.lower() == NONE:
        return UNLIMITED
    if not _is_number(text) or int(text) < 1:
        raise click.BadParameter(f"{text!r} is not a number from 1 on, or 'none'.")
    return int(text)


def size(text: str) -> int:
    """Return a size such as `500MB` or `2GiB` in bytes; [](UNLIMITED) for `none`."""
    if text.lower() == NONE:
        return UNLIMITED
    match = _SIZE.fullmatch(text.strip())
    unit = _UNITS.get(match[2].upper(), 0) if match else 0
    number = int(float(match[1]) * unit) if match and len(match[1]) <= _DIGITS else 0
    if number < 1:
        raise click.BadParameter(f"{text!r} is not a size such as 500MB or 2GiB, or 'none'.")
    return number


def _is_number(text: str) -> bool:
    # `isdigit` alone accepts `²`, which `int` does not
    # (https://docs.python.org/3/library/stdtypes.html#str.isdigit).
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS


def references_for(
    ctx: click.Context,
    param: click.Parameter,  # noqa: ARG001 (click's signature)
    incomplete: str,
) -> list[CompletionItem]:
    """Offer notebooks of the project, notebooks in the folder, and folders; else all files."""
    try:
        found = sorted({*_notebooks(ctx), *_files(incomplete)})
    # An error would be printed into the line that the user is typing
    # (https://click.palletsprojects.com/en/stable/shell-completion/).
    except Exception:  # noqa: BLE001 (see above)
        found = []
    offered = [CompletionItem(name) for name in found if name.startswith(incomplete)]
    # This type leaves the choice to the shell.
    return offered or [CompletionItem(incomplete, type="file")]


def executors_for(
    ctx: click.Context,  # noqa: ARG001 (click's signature)
    param: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[CompletionItem]:
    """Offer the names of executors, including those of other packages."""
    from sphinx_nbcache.execution.executors import OURS
    from sphinx_nbcache.plugins import EXECUTORS, announced

    names = dict.fromkeys([*OURS, *announced(EXECUTORS)])
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _notebooks(ctx: click.Context) -> Iterator[str]:
    """Yield the paths of the project's notebooks, relative to the working directory."""
    from sphinx_nbcache.project import open_project

    # The conf.py is not run, even with `--conf`: completion must not execute code.
    with closing(open_project(place=ctx.meta.get(META, {}).get("cache_path"))) as project:
        for item in project.notebooks:
            yield Path(os.path.relpath(project.root / item.name)).as_posix()


def _files(incomplete: str) -> Iterator[str]:
    """Yield the folders, and the files with a notebook suffix, in the folder typed so far."""
    from sphinx_nbcache.notebooks.formats import Formats

    formats = Formats({})
    before = incomplete.rpartition("/")[0]
    with os.scandir(f"{before}/" if "/" in incomplete else ".") as entries:
        for entry in entries:
            name = f"{before}/{entry.name}" if "/" in incomplete else entry.name
            # As shells do; `.ipynb_checkpoints` is among them.
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                # The slash tells the shell to go on completing.
                yield f"{name}/"
            elif formats.suffix_of(entry.name):
                yield name


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


# Three states of a switch: only a given flag overrides the project's option.
_KINDS: Mapping[FlagKind, Mapping[str, Any]] = {
    "switch": {"default": None},
    "count": {"type": click.IntRange(min=0)},
    "positive": {"type": click.IntRange(min=1)},
    "seconds": {"type": time_limit_or_none},
    "executor": {"type": executor, "shell_complete": executors_for},
}


def _flags() -> dict[str, Flag]:
    """Return the flags of options, by the name of the option."""
    return {name: item.flag for name, (item, _) in declared_options().items() if item.flag}


def of_project(command: _Decorated) -> _Decorated:
    """Decorate a command with the flags that override options of the project (see [](Flag))."""
    # The help lists the one that is added last first.
    for name, flag in reversed(_flags().items()):
        details = {**_KINDS[flag.kind], "help": flag.help, "metavar": flag.metavar or None}
        command = click.option(*flag.names, name, **details)(command)
    return command


def given_to_project(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the project that flags override: name → raw value."""
    chosen = {name: value for name, value in flags.items() if value is not None}
    for name, value in chosen.items():
        if isinstance(value, bool):
            chosen[name] = _flags()[name].switch[0 if value else 1]
    return chosen


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
