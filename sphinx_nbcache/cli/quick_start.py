"""`quickstart`: a small project for trying the other commands and a first build."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from sphinx_nbcache.cli import options
from sphinx_nbcache.cli.exits import Exit, Stopped
from sphinx_nbcache.cli.groups import Command
from sphinx_nbcache.cli.output import say, tell

_SUFFIXES = (".py", ".md", ".ipynb")
_FILES = Path(__file__).with_name("sample_book")


@click.command(cls=Command)
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@options.common
def quickstart(*, folder: Path) -> None:
    """Write a small book with two notebooks into a new folder, to try everything on.

    One of the notebooks fails. An existing folder must be empty.
    """
    try:
        if folder.is_dir() and any(folder.iterdir()):
            raise Stopped(f"{folder} is not empty; name a new folder", Exit.USAGE)
        written = _copied(folder)
    except OSError as error:
        raise Stopped(f"{folder} cannot be written: {error.strerror}", Exit.USAGE) from None
    for path in written:
        say(f"Written: {path}")
    change = shlex.join(["cd", os.fspath(folder)])
    tell(f"Go there with `{change}`, and build the book: sphinx-build -b html . _build/html")


def _copied(folder: Path) -> list[Path]:
    written = []
    for source in sorted(_FILES.rglob("*.*"), key=os.fspath):
        if source.suffix not in _SUFFIXES:
            continue  # bytecode, perhaps
        path = folder / source.relative_to(_FILES)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(source.read_bytes())
        written.append(path)
    return written
