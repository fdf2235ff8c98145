"""What tracing costs a notebook, cell by cell, measured in one run.

    python benchmarks/tracing.py [--repeats 5]

The same notebook is run with and without a tracer, in turn, each time in a new kernel. Times are
those of its cells, medians over the repeats; that of a whole run has the tracer's start and the
report in it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from sphinx_nbcache import Project

FILES = 10_000
CELLS = {
    "import pandas and pyplot": "import pandas, matplotlib.pyplot",
    f"open {FILES} files": f"for n in range({FILES}):\n    open(f'data/{{n}}').close()",
    f"open one file {FILES} times": f"for n in range({FILES}):\n    open('data/0').close()",
    "look for 20,000 files": "import os\nfor n in range(20_000):\n    os.path.exists(f'no/{n}')",
    "read a variable 100,000 times": "for n in range(100_000):\n    os.environ.get('HOME')",
    "pure computation": "sum(n * n % 7 for n in range(3_000_000))",
    "deepcopy": "import copy\nx = [[n] for n in range(50_000)]\ny = copy.deepcopy(x)",
}
FRONT = "---\nkernelspec: {name: python3, display_name: Python 3}\n---\n\n"


def write(folder: Path) -> None:
    (folder / "data").mkdir()
    for number in range(FILES):
        (folder / "data" / str(number)).write_text("1")
    cells = "\n".join(f"```{{code-cell}}\n{code}\n```\n" for code in CELLS.values())
    (folder / "notebook.md").write_text(FRONT + cells)


def run(folder: Path, track: str) -> list[float]:
    """Run the notebook; return the seconds of each cell, and of the whole run."""
    project = Project.find(folder, execute="force", track=track)
    (settled,) = project.execute(project.plan()).notebooks
    project.close()
    assert settled.result is not None
    assert not settled.failed, settled.result.result.failure
    result = settled.result.result
    return [*(cell.seconds or 0.0 for cell in result.cells), result.seconds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        write(folder)
        without, traced = [], []
        for _ in range(options.repeats):
            without.append(run(folder, ""))
            traced.append(run(folder, "files, imports, versions, environment"))
    print("| Cell | not traced | traced |\n| --- | --- | --- |")
    for title, before, after in zip(
        (*CELLS, "the whole run"),
        zip(*without, strict=True),
        zip(*traced, strict=True),
        strict=True,
    ):
        plain, seen = statistics.median(before), statistics.median(after)
        print(f"| {title} | {plain * 1000:.0f} ms | {seen * 1000:.0f} ms = {seen / plain:.2f}x |")


if __name__ == "__main__":
    main()
