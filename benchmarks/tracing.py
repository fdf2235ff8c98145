"""What tracing costs a notebook, cell by cell, measured in one run.

    python benchmarks/tracing.py [--repeats 5]

The same notebooks are run without a tracer, with the one in the kernel, and with the system tracer
as well, in turn, each time in a new kernel. Times are
those of their cells, the best of the repeats; that of a whole run has the tracer's start and the
report in it. Where a cell does one thing many times, the difference for each time is told.

One notebook reads environment variables, so its kernel imports pandas itself. The kernel of the
other one is forked with pandas loaded.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from sphinx_nbcache import Project

FILES = 10_000
MANY = 20_000
# What a cell does, how often, and its code.
CELLS = (
    ("import pandas and pyplot", 1, "import pandas, matplotlib.pyplot"),
    ("open 10,000 files", FILES, f"for n in range({FILES}):\n    open(f'data/{{n}}').close()"),
    ("open one file as often", FILES, f"for n in range({FILES}):\n    open('data/0').close()"),
    (
        "look for 20,000 files that are not there",
        MANY,
        f"import os\nfor n in range({MANY}):\n    os.path.exists(f'no/{{n}}')",
    ),
    (
        "read a variable 20,000 times",
        MANY,
        f"for n in range({MANY}):\n    os.environ.get('HOME')",
    ),
    ("pure computation", 1, "sum(n * n % 7 for n in range(3_000_000))"),
    (
        "`copy.deepcopy` of 50,000 lists",
        1,
        "import copy\nx = [[n] for n in range(50_000)]\ny = copy.deepcopy(x)",
    ),
)
_ALL = "files, imports, versions, environment"
NOTEBOOKS = {"imports.md": CELLS, "preloaded.md": CELLS[:2]}
FRONT = "---\nkernelspec: {name: python3, display_name: Python 3}\n---\n\n"


def write(folder: Path) -> None:
    (folder / "data").mkdir()
    for number in range(FILES):
        (folder / "data" / str(number)).write_text("1")
    for name, cells in NOTEBOOKS.items():
        text = "\n".join(f"```{{code-cell}}\n{code}\n```\n" for *_, code in cells)
        (folder / name).write_text(FRONT + text)


def run(folder: Path, track: str, tracer: str = "python") -> list[float]:
    """Run the notebooks; return the seconds of each cell, and of the whole run of each."""
    project = Project.find(
        folder, execute="force", track=track, tracer=tracer, executor="local-serial"
    )
    notebooks = project.execute(project.plan()).notebooks
    project.close()
    found: list[float] = []
    for settled in notebooks:
        assert settled.result is not None
        assert not settled.failed, settled.result.result.failure
        result = settled.result.result
        found += [*(cell.seconds or 0.0 for cell in result.cells), result.seconds]
    return found


def overhead(repeats: int) -> str:
    """Return a table of what tracing costs."""
    # Below /tmp files would be temporary ones, which do not count.
    with tempfile.TemporaryDirectory(dir="/var/tmp" if Path("/var/tmp").is_dir() else None) as name:
        folder = Path(name).resolve()
        write(folder)
        without, traced, seen = [], [], []
        for _ in range(repeats):
            without.append(run(folder, ""))
            traced.append(run(folder, _ALL))
            seen.append(run(folder, _ALL, "system"))
    lines = [
        "| Cell | not traced | traced | each time | and by the system | each time |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    preloaded = [(f"{title}, preloaded", times) for title, times, _ in CELLS[:2]]
    rows = [(title, times) for title, times, _ in CELLS]
    rows += [("the whole run", 1), *preloaded, ("the whole run, preloaded", 1)]
    ways = (zip(*found, strict=True) for found in (without, traced, seen))
    for (title, times), before, *others in zip(rows, *ways, strict=True):
        plain = min(before)
        line = f"| {title} | {plain * 1000:.0f} ms |"
        for after in map(min, others):
            each = f"+{(after - plain) / times * 1e6:.1f} µs" if times > 1 else ""
            line += f" {after * 1000:.0f} ms = {after / plain:.2f}x | {each} |"
        lines.append(line)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    print(overhead(parser.parse_args().repeats))


if __name__ == "__main__":
    main()
