"""Times of the command line over a large store, measured in one run.

    python benchmarks/command_line.py [--results 10000] [--notebooks 1000] [--repeats 5]

Each figure is that of whole processes, the median over the repeats. No kernel is started: the
notebooks have been executed already, and their outputs are added to the store.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sphinx_nbcache import open_project

COMMANDS = (
    "--help",
    "cache list --json",
    "cache list",
    "project plan --json",
    "project plan",
    "project list --json",
    "cache check",
    "cache prune",
)
SPEC = {"name": "python3", "display_name": "Python 3", "language": "python"}


def executed_notebook(number: int, version: int) -> str:
    output = {"output_type": "stream", "name": "stdout", "text": f"{number}\n"}
    cell = {"cell_type": "code", "id": "a", "source": f"print({number})  # {version}"}
    cell |= {"metadata": {}, "outputs": [output], "execution_count": 1}
    content = {"cells": [cell], "metadata": {"kernelspec": SPEC}}
    return json.dumps(content | {"nbformat": 4, "nbformat_minor": 5})


def fill(folder: Path, notebooks: int, results: int) -> None:
    """Write notebooks, and give each of them results of several versions of its code."""
    project = open_project(folder)
    paths = [folder / f"notebook-{number}.ipynb" for number in range(notebooks)]
    for version in range(results // notebooks):
        for number, path in enumerate(paths):
            path.write_text(executed_notebook(number, version))
            project.results.add(path)
    project.notebooks.add(paths)
    project.close()


def seconds(folder: Path, command: str, repeats: int) -> float:
    taken = []
    for _ in range(repeats):
        begin = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "sphinx_nbcache", *command.split()],
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--results", type=int, default=10_000)
    parser.add_argument("--notebooks", type=int, default=1_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print(f"Python {platform.python_version()}: {options.results} results, ", end="")
    print(f"{options.notebooks} notebooks\n\n| Command | Seconds |\n| --- | --- |")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder, options.notebooks, options.results)
        for command in COMMANDS:
            print(f"| `{command}` | {seconds(folder, command, options.repeats):.2f} |", flush=True)


if __name__ == "__main__":
    main()
