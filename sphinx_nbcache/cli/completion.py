"""Shell completion.

This code must neither raise nor write anything: an exception would end up in the user's prompt. So
it runs no `conf.py` either, and finds a built project by the files that the build left.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
from click.shell_completion import CompletionItem

META = "sphinx_nbcache.cli"


def references_for(
    ctx: click.Context,
    param: click.Parameter,  # noqa: ARG001 (click's signature)
    incomplete: str,
) -> list[CompletionItem]:
    """Offer notebooks of the project, notebooks in the folder, and folders; else all files."""
    try:
        found = sorted({*_notebooks(ctx), *_files(incomplete)})
    except Exception:  # noqa: BLE001 (see above)
        found = []
    offered = [CompletionItem(name) for name in found if name.startswith(incomplete)]
    return offered or [CompletionItem(incomplete, type="file")]


def executors_for(
    ctx: click.Context,  # noqa: ARG001 (click's signature)
    param: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[CompletionItem]:
    """Offer the names of executors, including those of other packages."""
    from sphinx_nbcache.execution.registry import OURS
    from sphinx_nbcache.plugins import EXECUTORS, announced

    names = dict.fromkeys([*OURS, *announced(EXECUTORS)])
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _notebooks(ctx: click.Context) -> Iterator[str]:
    """Yield the paths of the project's notebooks, relative to the working directory."""
    from sphinx_nbcache.project import open_project

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
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield f"{name}/"
            elif formats.suffix_of(entry.name):
                yield name
