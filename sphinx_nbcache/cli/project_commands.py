"""Commands on the list of notebooks: the group `project`, which is also called `notebook`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sphinx_nbcache.cli import options
from sphinx_nbcache.cli.cache_commands import limit
from sphinx_nbcache.cli.groups import Command, Group
from sphinx_nbcache.cli.options import ASSET, PATH, as_reference
from sphinx_nbcache.cli.output import confirm, say, say_done, say_json, width
from sphinx_nbcache.cli.run_commands import execute, plan
from sphinx_nbcache.cli.session import as_references, opened, opened_to_change, some_or_all
from sphinx_nbcache.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sphinx_nbcache.results.records import Registered

reader = click.option(
    "-r", "--reader", default="", metavar="NAME", help="What reads it; by default its suffix tells."
)


@click.command("add", cls=Command)
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="PATH...",
)
@reader
@options.as_json
@options.common
def add_notebooks(*, paths: tuple[Path, ...], reader: str, as_json: bool) -> None:
    """Add notebooks to the project, also all below a folder. Nothing is copied or run."""
    with opened_to_change() as project:
        from sphinx_nbcache.cli.adding import files_in

        # All paths are looked at before the first notebook is added.
        found = [file for path in paths for file in files_in(project, path.absolute())]
        added = project.notebooks.add(found, reader=reader)
        _say_change("Added", added, as_json=as_json)
    if not as_json:
        say_done("Success!")


@click.command("add-with-assets", cls=Command)
@click.argument("assets", nargs=-1, required=True, type=ASSET, metavar="ASSET...")
@click.option("-nb", "--nbpath", required=True, type=PATH, help="The notebook.")
@reader
@options.as_json
@options.common
def add_with_assets(*, assets: tuple[Path, ...], nbpath: Path, reader: str, as_json: bool) -> None:
    """Add a notebook, with the files that it needs."""
    with opened_to_change() as project:
        added = project.notebooks.add(
            [nbpath.absolute()], reader=reader, assets=[path.absolute() for path in assets]
        )
        _say_change("Added", added, as_json=as_json)
    if not as_json:
        say_done("Success!")


@click.command("list", cls=Command)
@options.path_length
@click.option("--assets", "with_assets", is_flag=True, help="Show how many assets each one has.")
@options.as_json
@options.common
def list_notebooks(*, path_length: int | None, with_assets: bool, as_json: bool) -> None:
    """List the notebooks of the project."""
    with opened() as project:
        from sphinx_nbcache.cli.details import list_text, notebook_list

        listed = notebook_list(project)
        if as_json:
            say_json(listed)
        else:
            say(list_text(listed, width(), path_length=path_length, with_assets=with_assets))


@click.command("show", cls=Command)
@options.reference
@click.option("--tb/--no-tb", "traceback", default=True, help="Show the traceback of a failure.")
@options.as_json
@options.common
def show_notebook(*, reference: str, traceback: bool, as_json: bool) -> None:
    """Show a notebook, with the traceback if it failed."""
    with opened() as project:
        from sphinx_nbcache.cli.details import details_of_notebook, notebook_text

        details = details_of_notebook(project, reference)
        if as_json:
            say_json(details)
        else:
            say(notebook_text(details, traceback=traceback))


@click.command("merge", cls=Command)
@options.reference
@click.argument("output", type=click.Path(path_type=Path), metavar="OUTPUT")
@options.common
def merge(*, reference: str, output: Path) -> None:
    """Write a copy of a notebook that has its outputs.

    The suffix of the new file tells the format: .ipynb, or a format of jupytext, such as .md
    or .py. A source is never written.
    """
    with opened() as project:
        from sphinx_nbcache.notebooks.merging import write_notebook

        node = project.merge(as_reference(reference))
        # All sources, not only that of this notebook: a typing error must not cost another one.
        sources = [project.root / item.name for item in project.notebooks]
        write_notebook(node, output, project.formats, keep=sources)
    say_done(f"Merged into {output}")
    say_done("Success!")


@click.command("invalidate", cls=Command)
@options.references
@click.option("-a", "--all", "everything", is_flag=True, help="All notebooks of the project.")
@options.force
@options.as_json
@options.common
def invalidate(
    *, references: tuple[str, ...], everything: bool, force: bool, as_json: bool
) -> None:
    """Remove results, so that notebooks are executed again.

    Results of the notebooks' present code are removed; older results stay.
    """
    wanted = some_or_all(references, everything=everything)
    with opened_to_change() as project:
        # Named notebooks need no confirmation: a result costs one run, and the user has written its
        # name.
        if everything:
            confirm("Remove the results of all notebooks of the project?", force=force)
        removed = project.invalidate(wanted)
        from sphinx_nbcache.cli.adding import say_removed

        say_removed(removed, as_json=as_json)


@click.command("remove", cls=Command)
@options.some_references
@options.as_json
@options.common
def remove_notebooks(*, references: tuple[str, ...], as_json: bool) -> None:
    """Take notebooks out of the project. Their results and their files stay."""
    with opened_to_change() as project:
        # click demands at least one reference here, so the list is never empty.
        removed = project.notebooks.remove(as_references(references) or [])
        _say_change("Removed", removed, as_json=as_json)


@click.command("clear", cls=Command)
@options.force
@options.as_json
@options.common
def clear_notebooks(*, force: bool, as_json: bool) -> None:
    """Take all notebooks out of the project. Their results and their files stay."""
    with opened_to_change() as project:
        count = counted(len(list(project.notebooks)), "notebook")
        confirm(f"Take {count} out of the project?", force=force)
        removed = project.notebooks.clear()
        if as_json:
            # In words, the number is enough; a program gets each notebook.
            _say_change("", removed, as_json=True)
        else:
            say_done(f"Project cleared: {counted(len(removed), 'notebook')} taken out")


@click.command("version", cls=Command)
@options.common
def version() -> None:
    """Show the versions of this program and of the store."""
    with opened() as project:
        say(project.version)


def _say_change(verb: str, notebooks: Iterable[Registered], *, as_json: bool) -> None:
    if not as_json:
        for item in notebooks:
            say_done(f"{verb}: {item.name} (notebook {item.id})")
        return
    from sphinx_nbcache.cli.documents import RegisterChange
    from sphinx_nbcache.cli.items import listed_item

    say_json(RegisterChange(notebooks=tuple(map(listed_item, notebooks))))


@click.group("project", cls=Group)
@options.common
def project_group() -> None:
    """Commands on the notebooks of the project.

    In a Sphinx project that was built they are those of the build.
    """


project_group.add(add_notebooks)
project_group.add(add_with_assets)
project_group.add(list_notebooks)
project_group.add(show_notebook, "info")
project_group.add(plan)
project_group.add(execute)
project_group.add(merge)
project_group.add(invalidate)
project_group.add(remove_notebooks)
project_group.add(clear_notebooks)
project_group.add(version)
# The command's name in jupyter-cache; `cache limit` is where one looks for it.
project_group.add(limit, name="cache-limit")
