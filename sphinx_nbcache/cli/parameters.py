"""Values on the command line, and their completion in shells."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from sphinx_nbcache.text import did_you_mean

# click checks here, so that a typing error is a message before the project is opened.
PATH = click.Path(exists=True, dir_okay=False, path_type=Path)

# An asset may be a folder.
ASSET = click.Path(exists=True, path_type=Path)

NONE = "none"
# Not None, which click passes for an option that was not given.
UNLIMITED = -1

_UNITS = {"": 1, "B": 1}
# The key of our values in `Context.meta`, by the convention of click: the module's name.
META = "sphinx_nbcache.cli"


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
