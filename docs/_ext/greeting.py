"""The command that the how-to guide on command lines shows."""

import click


@click.group()
def greet() -> None:
    """Greet people, politely or not."""


@greet.command()
@click.argument("names", nargs=-1, required=True)
def politely(names: tuple[str, ...]) -> None:
    """Greet each person by name."""
    for name in names:
        click.echo(f"Good day, {click.style(name, fg='green')}.")


@greet.command()
def briefly() -> None:
    """Ask for a name, and greet."""
    click.echo(f"Hi {click.prompt('Who is there')}!")
