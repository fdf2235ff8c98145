"""Time of a plan in which every result has a trace, measured in one run.

    python benchmarks/validity.py [--notebooks 1000 …] [--dependencies 20] [--files 5] [--repeats 5]

Each notebook depends on files, of which there are some for each notebook, and each is read by
several. One notebook is really run; the traces of all are that of this run, and their files.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from sphinx_nbcache import Action, Project
from sphinx_nbcache.results.outputs import RunOutputs
from sphinx_nbcache.traces.facts import File
from sphinx_nbcache.traces.fingerprints import Fingerprints

IMPORTS = "import json, random, subprocess\nimport jupyter_client, nbformat, yaml\n"
OLD_NS = 1_600_000_000_123_456_789


def notebook(number: int) -> str:
    front = "---\nkernelspec: {name: python3, display_name: Python 3}\n---\n"
    return f"{front}\n```{{code-cell}}\n{IMPORTS}print({number})\n```\n"


@dataclass(frozen=True)
class Size:
    """How many notebooks, the files that each depends on, and how many files for each there are."""

    notebooks: int
    dependencies: int = 20
    files: int = 5


def fill(folder: Path, options: Size) -> None:
    """Write notebooks and files, and give each notebook a result with a trace."""
    (folder / "data").mkdir()
    files = [folder / "data" / f"{n}.csv" for n in range(options.notebooks * options.files)]
    for number, path in enumerate(files):
        path.write_text(f"{number}\n")
        os.utime(path, ns=(OLD_NS, OLD_NS))
    for number in range(options.notebooks):
        (folder / f"n{number}.md").write_text(notebook(number))
    project = Project.find(folder)
    (first,) = project.execute(project.plan([folder / "n0.md"])).notebooks
    assert first.result is not None
    model, trace = first.result.result, project.results.trace(first.result)
    assert trace is not None
    prints = Fingerprints()
    names = [path.relative_to(folder).as_posix() for path in files]
    facts = [File(n, prints.digest(str(p)) or "") for n, p in zip(names, files, strict=True)]
    with project.store.access.transaction():
        for number, planned in enumerate(project.plan()):
            start = number * options.files
            own = [facts[(start + k) % len(facts)] for k in range(options.dependencies)]
            result = msgspec.structs.replace(model, code_key=planned.code_key)
            traced = msgspec.structs.replace(trace, facts=(*own, *trace.facts))
            project.store.commit(result, RunOutputs([[]]), trace=traced)
    project.execute(project.plan())
    project.close()


def planned(folder: Path) -> tuple[float, float]:
    """Return the time of a plan, by the clock and of the processor, in a project just opened."""
    project = Project.find(folder)
    before, begin = time.process_time(), time.perf_counter()
    plan = project.plan(needs_outputs=lambda *_: False)
    taken: Any = time.perf_counter() - begin, time.process_time() - before
    assert {item.decision.action for item in plan} == {Action.REUSE}, plan.notebooks[0].decision
    project.close()
    return taken


def plans(sizes: Sequence[Size], repeats: int) -> str:
    """Return a table of how long plans take when nothing has changed."""
    lines = ["| Notebooks | files | a plan | each notebook |", "| --- | --- | --- | --- |"]
    for size in sizes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name).resolve()
            fill(folder, size)
            measured = [planned(folder) for _ in range(repeats)]
        clock, used = (statistics.median(values) for values in zip(*measured, strict=True))
        each = f"{clock / size.notebooks * 1000:.2f} ms"
        lines.append(
            f"| {size.notebooks:,} with {size.dependencies} dependencies each"
            f" | {size.notebooks * size.files:,}"
            f" | {clock:.2f} s, {used:.2f} s of the processor | {each} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--notebooks", type=int, nargs="+", default=[1_000])
    parser.add_argument("--dependencies", type=int, default=20)
    parser.add_argument("--files", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    sizes = [Size(n, options.dependencies, options.files) for n in options.notebooks]
    print(plans(sizes, options.repeats))


if __name__ == "__main__":
    main()
