"""The command that shows what changes in a `conf.py` that comes from MyST-NB or nbsphinx."""

from __future__ import annotations

import difflib
import os
import re
import shlex
from pathlib import Path

import click

from sphinx_nbcache.cli import options
from sphinx_nbcache.cli.groups import Command, Exit, Stopped
from sphinx_nbcache.cli.output import from_here, say_exactly, tell


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
    target = conf.resolve()
    here = from_here(target)
    # `patch` takes no path that leaves its folder.
    is_below = not Path(here).is_absolute()
    name = Path(here).as_posix() if is_below else target.name
    for notice in new.notices:
        tell(notice)
    if diff := unified_diff(old, new.text, name):
        say_exactly(diff)
        command = ["sphinx-nbcache", "migrate", *([] if path == Path() else [os.fspath(path)])]
        where = [] if is_below else ["-d", os.fspath(target.parent)]
        apply = f"{shlex.join(command)} | {shlex.join(['patch', '-p1', *where])}"
        tell(f"Nothing was written. To change the file: {apply}")
    elif not new.notices:
        tell(f"There is nothing to change in {name}.")


def unified_diff(old: str, new: str, name: str) -> str:
    """Return a diff that `patch -p1` applies."""
    # As `diff -u` does: without the tab, `patch` would end a name at its first blank.
    end = "\t" if " " in name else ""
    lines = difflib.unified_diff(
        _lines(old), _lines(new), f"a/{name}{end}", f"b/{name}{end}", lineterm="\n"
    )
    no_newline = "\n\\ No newline at end of file\n"
    return "".join(line if line.endswith("\n") else line + no_newline for line in lines)


def _lines(text: str) -> list[str]:
    """Return the lines of a text as `patch` counts them: only line feeds end them."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)
