"""The command line: the group of all commands, and the output of `--version`."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path

import click

from sphinx_nbcache import __version__
from sphinx_nbcache.cli import options
from sphinx_nbcache.cli.cache_commands import cache_group as cache
from sphinx_nbcache.cli.groups import Group, kept
from sphinx_nbcache.cli.options import USUAL
from sphinx_nbcache.cli.project_commands import list_notebooks, show_notebook
from sphinx_nbcache.cli.project_commands import project_group as project
from sphinx_nbcache.cli.run_commands import execute, explain, plan, quickstart, report_command
from sphinx_nbcache.config import KernelStart, Settings
from sphinx_nbcache.kernels.fitting import may_fork
from sphinx_nbcache.signals import Interrupted, SignalHandlers, write_line
from sphinx_nbcache.traces.tracer_code import tracing_means

# For bug reports: packages on whose versions behaviour depends.
PACKAGES = (
    *("Sphinx", "docutils", "myst-parser", "nbclient", "jupyter_client", "ipykernel"),
    *("jupytext", "diskcache"),
)
__all__ = ["cache", "jcache", "main", "notebook", "project"]

PROGRAM = "sphinx-nbcache"


def about(place: Path | str, settings: Settings, here: Path) -> str:
    """Return the versions and the environment of this program, one fact per line.

    Args:
        place: The folder of the store, or why it is not known.
        settings: The options of the project.
        here: A folder of the project.
    """
    return "\n".join(f"{name:<16}{value}" for name, value in _facts(place, settings, here))


def _facts(place: Path | str, settings: Settings, here: Path) -> Iterator[tuple[str, str]]:
    yield "sphinx_nbcache", f"{__version__} ({Path(__file__).parent.parent})"
    implementation = platform.python_implementation()
    yield "Python", f"{platform.python_version()} {implementation} ({sys.executable})"
    yield from versions(PACKAGES).items()
    yield "platform", platform.platform()
    yield "tracer", means_in_words(tracing_means(here))
    yield "kernel start", kernel_start(settings.kernel_start)
    yield "store", place if isinstance(place, str) else f"{place} ({state_of_store(place)})"


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the version of each package that is installed."""
    return {name: _version(name) for name in packages}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def means_in_words(means: Mapping[str, bool]) -> str:
    """Return the available means and the missing ones as text."""
    there = [name for name, is_available in means.items() if is_available]
    missing = [name for name in means if name not in there]
    return ", ".join(there) + (f" (not available: {', '.join(missing)})" if missing else "")


def kernel_start(mode: KernelStart) -> str:
    """Return how kernels that can be forked are started."""
    return f"{'fork' if may_fork(mode) else 'spawn'} (nbcache_kernel_start = {mode!r})"


def state_of_store(place: Path) -> str:
    """Say whether a folder exists and is writable, without writing to it."""
    if place.is_dir():
        # Asked, not tried: `--version` must not leave files. A folder also needs the right to enter
        # it.
        return "writable" if os.access(place, os.W_OK | os.X_OK) else "not writable"
    if place.exists():
        return "not a folder"
    # The root of the file system always exists.
    above = next(folder for folder in place.absolute().parents if folder.exists())
    may_create = above.is_dir() and os.access(above, os.W_OK | os.X_OK)
    return "not there yet" if may_create else "not there, cannot be created"


@click.group(cls=Group, invoke_without_command=True)
@click.option(
    "--version", is_flag=True, help="Show the version; with --verbose also what it works with."
)
@click.option("--print-path", is_flag=True, help="Show the folder of the store.")
@options.common
@click.pass_context
def jcache(ctx: click.Context, /, *, version: bool, print_path: bool) -> None:
    """Execute notebooks whose code, or anything it depended on, has changed; keep the results.

    Inside a Sphinx project that was built, this is the store of the build: what one has
    executed, the other does not execute again.
    """
    if version:
        _print_version()
        ctx.exit()
    if print_path:
        from sphinx_nbcache.cli.session import opened

        with opened() as found:
            click.echo(f"Cache path: {found.store.folder.parent}")
    elif ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def _print_version() -> None:
    click.echo(f"{PROGRAM}, version {__version__}")
    if options.given().verbosity > USUAL:
        # Only with `-v`, so that `--version` works in any folder, and at once.
        from sphinx_nbcache.cli.session import found_store_or_why_not

        click.echo(about(*found_store_or_why_not(), Path.cwd()))


# jupyter-cache 1.0 splits these commands between `jcache project` and `jcache notebook`; here each
# group has all of them.
notebook = project.called("notebook", help="The same as `project`.")

# The help lists commands in this order, the most common first.
jcache.add(execute)
jcache.add(list_notebooks)
jcache.add(plan)
jcache.add(show_notebook)
jcache.add(explain)
jcache.add(report_command)
jcache.add(project)
jcache.add(notebook)
jcache.add(cache)
jcache.add(quickstart)


def main() -> None:
    """Run the command line of this process."""
    for stream in (sys.stdout, sys.stderr):
        # A stream is None if its descriptor is closed, and may be another class if a program has
        # replaced it (https://docs.python.org/3/library/sys.html#sys.stdout).
        if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
            # Characters that an old code page cannot encode must not end the command.
            reconfigure(errors="replace")
    # Silent handlers: the code that catches `Interrupted` says what is kept.
    # Installed here and not in a command: programs that call a command as a function, such as
    # tests, keep their own handlers.
    handlers = SignalHandlers(lambda _words: None)
    handlers.install()
    try:
        jcache(prog_name=PROGRAM)
    except Interrupted as interrupt:
        write_line(f"{interrupt}: {kept(interrupt)}")
        raise
