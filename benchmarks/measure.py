"""Whole `sphinx-build` processes: their wall clock time and their largest resident memory."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from books import Tool


def compile_packages(python: str = sys.executable) -> None:
    """Compile all that is installed, as pip does; not every installer does.

    Without bytecode each process compiles what it imports. That would be unfair to tools that
    start a process for each notebook.
    """
    script = (
        "import compileall, sysconfig, sphinx_nbcache\n"
        "folders = {sysconfig.get_path(name) for name in ('purelib', 'platlib')}\n"
        "for folder in {*folders, *sphinx_nbcache.__path__}:\n"
        "    compileall.compile_dir(folder, quiet=2)\n"
    )
    subprocess.run([python, "-c", script], check=True)


@dataclass(frozen=True)
class Build:
    seconds: float
    mebibytes: float


def build(folder: Path, *arguments: str, python: str = sys.executable) -> Build:
    """Build a book, in the environment of an interpreter."""
    command = [python, "-m", "sphinx", "-q", "-b", "html", *arguments, str(folder)]
    return timed([*command, str(folder / "_build" / "html")], folder)


def timed(command: Sequence[str], folder: Path) -> Build:
    """Run a command in a folder.

    The memory is that of the largest single process; it is measured on Linux and macOS.
    """
    path = os.pathsep.join([str(Path(command[0]).parent), os.environ["PATH"]])
    activated = {**os.environ, "PATH": path}
    with tempfile.TemporaryFile() as log:
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=activated)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        if process.returncode != 0:
            raise SystemExit(f"{command} failed in {folder}:\n{log.read().decode()}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Build(seconds, usage.ru_maxrss * unit / 2**20)


@dataclass(frozen=True)
class Row:
    """The medians of one measurement for each tool, and the ratios to the first of them."""

    name: str
    seconds: dict[Tool, float]
    mebibytes: dict[Tool, float]
    ratios: dict[Tool, float]


def compare(
    name: str,
    folders: dict[Tool, Path],
    repeats: int,
    one: Callable[[Tool, Path, int], Build],
) -> Row:
    """Measure the tools in turn. A ratio is the median of the ratios within one round.

    So a machine whose speed drifts is unfair to none of them.
    """
    rounds = [
        {tool: one(tool, folder, turn) for tool, folder in folders.items()}
        for turn in range(repeats)
    ]
    first = next(iter(folders))

    def median(value: Callable[[dict[Tool, Build]], float]) -> float:
        return statistics.median(value(done) for done in rounds)

    return Row(
        name,
        seconds={tool: median(lambda r, t=tool: r[t].seconds) for tool in folders},
        mebibytes={tool: median(lambda r, t=tool: r[t].mebibytes) for tool in folders},
        ratios={
            tool: median(lambda r, t=tool: r[t].seconds / r[first].seconds) for tool in folders
        },
    )


def table(title: str, rows: Sequence[Row]) -> str:
    """Return rows as a Markdown table: seconds, ratio to the first tool, and peak memory."""
    tools = list(rows[0].seconds)
    heads = [title, *(f"{tool.name}" for tool in tools)]
    lines = ["| " + " | ".join(heads) + " |", "| " + " | ".join(["---"] * len(heads)) + " |"]
    for row in rows:
        cells = [row.name]
        for tool in tools:
            ratio = "" if tool is tools[0] else f" = {row.ratios[tool]:.2f}x"
            cells.append(f"{row.seconds[tool]:.2f} s{ratio}, {row.mebibytes[tool]:.0f} MiB")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
