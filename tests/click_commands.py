"""Click commands of every kind, for pages that show them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click


@click.group()
@click.option("--loud", is_flag=True)
@click.pass_context
def tool(context: click.Context, loud: bool) -> None:  # noqa: FBT001 (click's flags)
    """A tool."""
    context.obj = loud


@tool.command()
@click.argument("words", nargs=-1)
@click.pass_obj
def hello(loud: bool, words: tuple[str, ...]) -> None:  # noqa: FBT001 (click's flags)
    """Greet."""
    click.echo("HELLO" if loud else "|".join(("hello", *words)))


@tool.command()
def ask() -> None:
    """Ask for everything."""
    name = click.prompt("Name")
    secret = click.prompt("Secret", hide_input=True)
    if click.confirm("Sure?"):
        click.echo(f"{name} has {len(secret)} letters; {input('Why? ')}")


@tool.command()
def colours() -> None:
    """Print in colours."""
    click.secho("good", fg="green")
    click.secho("bad", fg="red", bold=True, err=True)
    click.echo("plain")


@tool.command()
def both() -> None:
    """Write to both streams, also from another process."""
    for number in range(20):
        sys.stdout.write(f"out {number}\n")
        sys.stderr.write(f"err {number}\n")
        subprocess.run([sys.executable, "-c", f"print('process', {number})"], check=True)


@tool.command()
@click.argument("status", type=int)
def fail(status: int) -> None:
    """End with a status."""
    click.echo("before the end")
    sys.exit(status)


@tool.command()
def crash() -> None:
    """Raise."""
    click.echo("before the crash")
    raise RuntimeError("oh no")


@tool.command()
def killed() -> None:
    """Be killed."""
    click.echo("before the kill")
    os.kill(os.getpid(), 9)


@tool.command()
def where() -> None:
    """Tell where it runs, and on which store."""
    store = os.environ["JUPYTERCACHE"]
    click.echo(f"cwd: {Path.cwd()}")
    click.echo(f"file: {Path.cwd() / 'data' / 'x.txt'}")
    click.echo(f"store: {store}, {os.path.relpath(store)}; in it: {Path(store, 'x')}")
    click.echo(f"colours: {os.environ.get('NO_COLOR')}")


@tool.command()
def count() -> None:
    """Count the calls on the store, slowly enough for others to come between."""
    folder = Path(os.environ["JUPYTERCACHE"], "nbcache-2")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "count"
    number = int(file.read_text()) + 1 if file.exists() else 1
    file.write_text(str(number))
    click.echo(f"call {number}")


@tool.command()
@click.option("--to")
@click.argument("file", required=False)
def write(to: str | None, file: str | None) -> None:
    """Write a file, and read another one."""
    if to:
        Path(to).write_text("written")
    click.echo(Path(file).read_text() if file else "done")


@tool.command()
def wide() -> None:
    """Fill a line of the terminal."""
    columns = shutil.get_terminal_size().columns
    click.echo("=" * columns)
    click.echo("\r".join(f"{percent} %" for percent in range(0, 101, 10)))


@tool.command()
def leave() -> None:
    """Leave a process behind that keeps the output open."""
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
    click.echo("left")


@tool.group()
def deep() -> None:
    """A group in a group."""


@deep.group()
def deeper() -> None:
    """A group in that."""


@deeper.command()
@click.argument("word")
def say(word: str) -> None:
    """Say a word."""
    click.echo(f"said {word}")


@click.command("by-itself")
@click.option("--times", default=1)
def alone(times: int) -> None:
    """A command without a group."""
    click.echo("alone " * times)


nothing = 3
