"""The command that shows what changes in a `conf.py` that comes from MyST-NB or nbsphinx."""

from __future__ import annotations

import difflib
from pathlib import Path

import click

from sphinx_nbcache.cli import options
from sphinx_nbcache.cli.groups import Command, Exit, Stopped
from sphinx_nbcache.cli.output import from_here, say, tell


@click.command(cls=Command)
@click.argument("path", metavar="[CONF]", default=".", type=click.Path(path_type=Path))
@options.common
def migrate(*, path: Path) -> None:
    """Show how a `conf.py` changes that comes from MyST-NB or nbsphinx, as a unified diff.

    CONF is the file or its folder; by default the working directory. Nothing is written. The
    file is executed, as by a build.
    """
    from sphinx_nbcache.extension.conf import migrated_conf

    conf = path if path.name == "conf.py" else path / "conf.py"
    try:
        old, new = migrated_conf(conf.parent)
    except (OSError, UnicodeDecodeError) as error:
        raise Stopped(f"{conf} cannot be read: {error}", Exit.USAGE) from None
    name = Path(from_here(conf.resolve())).as_posix()
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), f"a/{name}", f"b/{name}"
    )
    if diff := "".join(lines):
        say(diff.removesuffix("\n"))
        tell("Nothing was written. To change the file: sphinx-nbcache migrate | patch -p1")
    else:
        tell(f"There is nothing to change in {name}.")
