"""Notebooks that are run from an empty store, with two at a time, by each tool; in one run.

    python benchmarks/execution.py [--notebooks 100] [--repeats 1]

`light` notebooks have five trivial cells; `science` ones import numpy, pandas and pyplot, and
draw a plot. Execution alone is by command line; whole builds are `sphinx-build -j 2`. Each figure
is that of all processes that it takes, by the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from books import Tool
from measure import Build, Row, build, compare, compile_packages, table, timed

LIGHT = [f"x{n} = {{number}} + {n}\nprint('value', x{n})" for n in range(5)]
SCIENCE = [
    "import numpy as np\nimport pandas as pd\nimport matplotlib.pyplot as plt",
    "frame = pd.DataFrame({{'x': np.arange(50), 'y': np.sin(np.arange(50) + {number})}})",
    "fig, axes = plt.subplots()\naxes.plot(frame.x, frame.y)\nplt.show()",
]
TRIES = 4
KINDS = {"light": LIGHT, "science": SCIENCE}
CONF = "exclude_patterns = ['_build']\nhtml_theme = 'basic'\n"
OURS = Tool("sphinx_nbcache", "extensions = ['sphinx_nbcache']\nnbcache_jobs = 2\n")
MYST_NB = Tool("MyST-NB", "extensions = ['myst_nb']\nnb_execution_mode = 'cache'\n")
NBSPHINX = Tool("nbsphinx", "extensions = ['nbsphinx']\nnbsphinx_execute = 'always'\n")
JUPYTER_CACHE = Tool("jupyter-cache", "")


def write(folder: Path, tool: Tool, kind: str, count: int) -> None:
    folder.mkdir(parents=True)
    (folder / "conf.py").write_text(tool.conf + CONF)
    (folder / "index.rst").write_text("Book\n====\n\n.. toctree::\n   :glob:\n\n   note*\n")
    for number in range(count):
        sources = [code.format(number=number) for code in KINDS[kind]]
        path = folder / f"note{number:04}.ipynb"
        path.write_text(json.dumps(notebook(f"# Note {number}", sources)))
    if tool is MYST_NB:
        # Its readers crash if two of them create the database at the same time.
        from jupyter_cache import get_cache

        get_cache(folder / "_build" / ".jupyter_cache").list_cache_records()


def notebook(title: str, sources: list[str]) -> dict[str, object]:
    code = [
        {
            "cell_type": "code",
            "id": f"c{number}",
            "metadata": {},
            "source": source,
            "outputs": [],
            "execution_count": None,
        }
        for number, source in enumerate(sources)
    ]
    text = {"cell_type": "markdown", "id": "title", "metadata": {}, "source": title}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel}
    return {"cells": [text, *code], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def execute_with_ours(folder: Path) -> Build:
    store = ["--cache-path", str(folder / ".store")]
    command = [sys.executable, "-m", "sphinx_nbcache", *store, "execute", "--jobs", "2"]
    return timed([*command, *(path.name for path in sorted(folder.glob("*.ipynb")))], folder)


def execute_with_jupyter_cache(folder: Path) -> Build:
    """Its executor runs as many notebooks at a time as there are cores, here two."""
    script = (
        "from jupyter_cache import get_cache\n"
        "from jupyter_cache.executors import load_executor\n"
        "from pathlib import Path\n"
        "cache = get_cache('.store')\n"
        "for path in sorted(Path().glob('*.ipynb')):\n"
        "    cache.add_nb_to_project(str(path))\n"
        "done = load_executor('local-parallel', cache).run_and_cache()\n"
        "assert not done.errored and not done.excepted, done\n"
    )
    return timed([sys.executable, "-c", script], folder)


def whole_build(folder: Path) -> Build:
    return build(folder, "-j", "2")


@dataclass(frozen=True)
class Way:
    """Something to measure: what it is called, and how each tool does it."""

    name: str
    tools: dict[Tool, Callable[[Path], Build]]


def ways() -> list[Way]:
    builders = [OURS, MYST_NB]
    if shutil.which("pandoc"):
        builders.append(NBSPHINX)
    return [
        Way(
            "execution alone",
            {OURS: execute_with_ours, JUPYTER_CACHE: execute_with_jupyter_cache},
        ),
        Way("whole build", dict.fromkeys(builders, whole_build)),
    ]


def measured(scratch: Path, way: Way, kind: str, count: int, repeats: int) -> Row:
    def one(tool: Tool, folder: Path, turn: int) -> Build:
        for attempt in range(TRIES):
            place = folder.with_name(f"{folder.name}-{turn}-{attempt}")
            write(place, tool, kind, count)
            try:
                return way.tools[tool](place)
            except SystemExit as error:
                # Of two kernels that start at the same time, both may be given the same port.
                if attempt == TRIES - 1:
                    raise
                last = str(error).strip().splitlines()[-1]
                print(f"{tool.name} failed, and is tried again: {last:.200}", file=sys.stderr)
            finally:
                shutil.rmtree(place)
        raise AssertionError

    folders = {tool: scratch / f"{tool.name}-{kind}" for tool in way.tools}
    what = f"{count} {kind} notebooks" if count > 1 else f"one {kind} notebook"
    return compare(f"{what}, {way.name}", folders, repeats, one)


def executions(counts: list[int], repeats: int) -> str:
    """Return a table for each way to run notebooks."""
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    tables = []
    for way in ways():
        with tempfile.TemporaryDirectory() as scratch:
            rows = [
                measured(Path(scratch), way, kind, count, repeats if count > 1 else 3)
                for count in counts
                for kind in KINDS
            ]
        tables.append(table(f"From an empty store: {way.name}", rows))
    return "\n\n".join(tables)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--notebooks", type=int, nargs="*", default=[100, 1])
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    compile_packages()
    print(executions(options.notebooks, options.repeats))


if __name__ == "__main__":
    main()
