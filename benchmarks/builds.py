"""Build times of this extension and of a peer on the same book, measured in the same run.

    python benchmarks/builds.py [--notebooks N] [--repeats N]

The peer is MyST-NB with its cache (`nb_execution_mode = "cache"`). Each figure is the wall clock
time of a whole `sphinx-build` process. The two take turns, so that a machine whose speed drifts
is unfair to neither; what counts are the ratios, the times are for information.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FRONT = """---
jupytext:
  text_representation:
    format_name: myst
kernelspec:
  name: python3
  display_name: Python 3
---
"""


@dataclass(frozen=True)
class Tool:
    name: str
    conf: str


OURS = Tool("sphinx_nbcache", "extensions = ['sphinx_nbcache']\n")
PEER = Tool("MyST-NB", "extensions = ['myst_nb']\nnb_execution_mode = 'cache'\n")
PHASES = ("cold", "nothing changed", "text of one edited", "code of one edited")


def write_book(folder: Path, tool: Tool, count: int) -> None:
    folder.mkdir(parents=True)
    (folder / "conf.py").write_text(f"{tool.conf}exclude_patterns = ['_build']\n")
    names = "\n".join(f"   note{number:03}" for number in range(count))
    (folder / "index.rst").write_text(f"Book\n====\n\n.. toctree::\n\n{names}\n")
    for number in range(count):
        write_notebook(folder, number, text="Some text.", code="print('sum', sum(range(100)))")


def write_notebook(folder: Path, number: int, *, text: str, code: str) -> None:
    cells = [f"n = {number}", "import json, math", code, "'x' * n", "{'a': n}"]
    body = "\n".join(f"{text}\n\n```{{code-cell}} ipython3\n{cell}\n```\n" for cell in cells)
    (folder / f"note{number:03}.md").write_text(f"{FRONT}# Note {number}\n\n{body}")


def seconds_of_build(folder: Path) -> float:
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", str(folder)]
    begin = time.perf_counter()
    done = subprocess.run(
        [*command, str(folder / "_build" / "html")], check=False, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise SystemExit(f"the build of {folder} failed:\n{done.stderr}")
    return time.perf_counter() - begin


def prepare(phase: str, folder: Path, turn: int) -> None:
    if phase == "cold":
        shutil.rmtree(folder / "_build", ignore_errors=True)
    elif phase == "text of one edited":
        write_notebook(folder, 0, text=f"Text {turn}.", code="print('sum', sum(range(100)))")
    elif phase == "code of one edited":
        write_notebook(folder, 0, text="Some text.", code=f"print('sum', {turn})")


def measure(count: int, repeats: int, say: Callable[[str], None]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folders = {}
        for tool in (OURS, PEER):
            folders[tool] = Path(scratch) / tool.name
            write_book(folders[tool], tool, count)
        say(f"{count} notebooks of 5 cells; median of {repeats}; seconds\n")
        say(f"{'phase':22}{OURS.name:>16}{PEER.name:>12}{'ratio':>9}")
        for phase in PHASES:
            times: dict[Tool, list[float]] = {tool: [] for tool in folders}
            for turn in range(1 if phase == "cold" else repeats):
                for tool, folder in folders.items():
                    prepare(phase, folder, turn)
                    times[tool].append(seconds_of_build(folder))
            ours, peer = (statistics.median(times[tool]) for tool in (OURS, PEER))
            ratios = [p / o for o, p in zip(times[OURS], times[PEER], strict=True)]
            say(f"{phase:22}{ours:16.2f}{peer:12.2f}{statistics.median(ratios):8.1f}x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--notebooks", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    measure(options.notebooks, options.repeats, print)


if __name__ == "__main__":
    main()
