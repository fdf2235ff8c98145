"""Books that nbsphinx and MyST-NB build alone, and with this extension; in one run."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from books import Tool
from execution import MYST_NB, NBSPHINX, write
from measure import Build, Row, build, compare, table

ATTEMPTS_OF_MYST_NB = 5
US = "extensions.append('sphinx_nbcache')\nnbcache_jobs = 2\n"


def renderers() -> list[tuple[Tool, Tool]]:
    """Return each renderer with this extension, and alone."""
    found = [MYST_NB, NBSPHINX] if shutil.which("pandoc") else [MYST_NB]
    return [(Tool(f"{tool.name} with us", tool.conf + US), tool) for tool in found]


def builds(scratch: Path, pair: tuple[Tool, Tool], count: int, repeats: int) -> list[Row]:
    """Measure a cold build, one with all results, and one in which nothing changed."""
    name = pair[1].name
    folders = {tool: scratch / tool.name.replace(" ", "-") for tool in pair}
    for tool, folder in folders.items():
        write(folder, tool, "light", count)

    def cold(tool: Tool, folder: Path, _turn: int) -> Build:
        # With `-j`, MyST-NB alone sometimes ends in a race of its readers for jupyter-cache's
        # database ("Notebook file does not exist for cache record"; jupyter-cache 1.0.1).
        for _ in range(ATTEMPTS_OF_MYST_NB - 1 if tool is MYST_NB else 0):
            try:
                return build(folder, "-j", "2")
            except SystemExit:
                print("MyST-NB alone failed and begins again", file=sys.stderr)
                shutil.rmtree(folder)
                write(folder, tool, "light", count)
        return build(folder, "-j", "2")

    def warm(_tool: Tool, folder: Path, _turn: int) -> Build:
        return build(folder, "-E", "-j", "2")

    def unchanged(_tool: Tool, folder: Path, _turn: int) -> Build:
        return build(folder)

    rows = [
        compare(f"{name}, {count} light notebooks, empty store", folders, 1, cold),
        compare(f"{name}, all pages read again", folders, 1, warm),
    ]
    for folder in folders.values():
        build(folder)  # the report of the build before says "reused" from now on
    return [*rows, compare(f"{name}, nothing changed", folders, repeats, unchanged)]


def hand_over(scratch: Path, count: int, repeats: int) -> str:
    """Return a table for each renderer."""
    return "\n\n".join(
        table(pair[1].name, builds(scratch, pair, count, repeats)) for pair in renderers()
    )
