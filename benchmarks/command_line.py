"""Times of the command line over a large store, measured in one run.

    python benchmarks/command_line.py [--results 10000] [--notebooks 1000] [--repeats 5]

Each figure is that of whole processes, the median over the repeats: by the clock, and of the
processor, which other work on the machine changes less. No kernel is started: the notebooks have
been executed already, and their outputs are added to the store.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import compile_packages

from sphinx_nbcache import open_project

COMMANDS = (
    "--help",
    "cache list --json",
    "cache list",
    "project plan --json",
    "project plan",
    "project list --json",
    "cache check",
)
# Run last, and once: afterwards most of the results are gone.
PRUNE = "cache prune"
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


def seconds(folder: Path, command: str, repeats: int) -> tuple[float, float]:
    """Return the time of a command by the clock, and that of the processor."""
    taken, used = [], []
    for _ in range(repeats):
        before = processor_seconds()
        begin = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "sphinx_nbcache", *command.split()],
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        taken.append(time.perf_counter() - begin)
        used.append(processor_seconds() - before)
    return statistics.median(taken), statistics.median(used)


def processor_seconds() -> float:
    """Return the time that processes which were started here have used, and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def row(name: str, measured: tuple[float, float]) -> None:
    print(f"| `{name}` | {measured[0]:.2f} | {measured[1]:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--results", type=int, default=10_000)
    parser.add_argument("--notebooks", type=int, default=1_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    compile_packages()
    print(f"Python {platform.python_version()}: {options.results} results, ", end="")
    print(f"{options.notebooks} notebooks\n")
    print("| Command | Seconds | of the processor |\n| --- | --- | --- |")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder, options.notebooks, options.results)
        for command in COMMANDS:
            row(command, seconds(folder, command, options.repeats))
        row(PRUNE, seconds(folder, PRUNE, 1))


if __name__ == "__main__":
    main()
