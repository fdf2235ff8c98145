"""All benchmarks, or some of them, in one run.

    python benchmarks/run.py [pages kernels executions renderers projects traces plans]
        [--pages 300 1000] [--projects ROOT:DOCS:PYTHON …]

What counts are the ratios; absolute times are for information. Pages: whole `sphinx-build`
processes of plain MyST pages, of this extension, and of MyST-NB with its cache; medians over the
repeats. Kernels: notebooks that are run, and one of them after an edit. Executions: many notebooks
from an empty store, by each tool. Renderers: nbsphinx and MyST-NB, alone and with this extension,
for books that are made here. Projects: the same for real ones, which `--projects` names.
Traces: what following a notebook's dependencies costs it. Plans: how long it takes to find out that
nothing has changed.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

from books import OURS, PEER, PLAIN, Tool, fill_store, page_path, page_text, write_book
from execution import executions as executions_table
from measure import Build, Row, build, compare, compile_packages, table
from projects import real_project, side_by_side
from renderers import hand_over
from tracing import overhead
from validity import Size
from validity import plans as plans_table

PACKAGES = (
    "sphinx docutils myst-parser sphinx-nbcache myst-nb nbsphinx jupyter-cache nbclient"
    " jupyter-client ipykernel ipython numpy pandas matplotlib"
).split()


def with_all_results(scratch: Path, pages: int, repeats: int) -> list[Row]:
    """Pages of which every result is in the store."""
    folders = {tool: scratch / f"{tool.name}-{pages}" for tool in (PLAIN, OURS, PEER)}
    for tool, folder in folders.items():
        write_book(folder, tool, pages)
        fill_store(folder, tool)

    def fresh(*arguments: str) -> Row:
        def one(_tool: Tool, folder: Path, _turn: int) -> Build:
            shutil.rmtree(folder / "_build" / "html", ignore_errors=True)
            return build(folder, *arguments)

        serial = "fresh environment, `-j 2`" if arguments else "fresh environment"
        return compare(f"{pages} pages, {serial}", folders, repeats, one)

    def nothing(_tool: Tool, folder: Path, _turn: int) -> Build:
        return build(folder)

    def text_edit(tool: Tool, folder: Path, turn: int) -> Build:
        page_path(folder, 0).write_text(page_text(tool, 0, prose=f"Edit {turn}.\n\n"))
        return build(folder)

    rows = [fresh(), fresh("-j", "2")]
    for folder in folders.values():
        build(folder)  # the report of the build before says "reused" from now on
    rows.append(compare(f"{pages} pages, nothing changed", folders, repeats, nothing))
    rows.append(compare(f"{pages} pages, text of one edited", folders, repeats, text_edit))
    return rows


def with_kernels(scratch: Path, notebooks: int) -> list[Row]:
    """Notebooks that are run: cold, and after an edit of code in one of them."""
    folders = {tool: scratch / f"{tool.name}-kernels" for tool in (OURS, PEER)}
    for tool, folder in folders.items():
        write_book(folder, tool, notebooks)

    def cold(_tool: Tool, folder: Path, _turn: int) -> Build:
        return build(folder)

    def code_edit(tool: Tool, folder: Path, turn: int) -> Build:
        page_path(folder, 0).write_text(page_text(tool, 0, salt=f" + {turn + 1}"))
        return build(folder)

    return [
        compare(f"{notebooks} notebooks, empty store", folders, 1, cold),
        compare(f"{notebooks} notebooks, code of one edited", folders, 3, code_edit),
    ]


def pages(options: argparse.Namespace, scratch: Path) -> str:
    rows = [
        row for count in options.pages for row in with_all_results(scratch, count, options.repeats)
    ]
    return table("Every result in the store", rows)


def kernels(options: argparse.Namespace, scratch: Path) -> str:
    return table("Kernels are run", with_kernels(scratch, options.notebooks))


def executions(options: argparse.Namespace, _scratch: Path) -> str:
    return executions_table(options.executions, 1)


def renderers(options: argparse.Namespace, scratch: Path) -> str:
    return hand_over(scratch, max(options.executions), options.repeats)


def projects(options: argparse.Namespace, scratch: Path) -> str:
    return side_by_side(scratch, options.projects, options.repeats)


def traces(options: argparse.Namespace, _scratch: Path) -> str:
    return overhead(options.repeats)


def plans(options: argparse.Namespace, _scratch: Path) -> str:
    return plans_table([Size(count) for count in options.plans], options.repeats)


BENCHMARKS = {
    function.__name__: function
    for function in (pages, kernels, executions, renderers, projects, traces, plans)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("which", nargs="*", help=f"some of {', '.join(BENCHMARKS)}")
    parser.add_argument("--pages", type=int, nargs="*", default=[300, 1000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--notebooks", type=int, default=20)
    parser.add_argument("--executions", type=int, nargs="*", default=[100, 1])
    parser.add_argument(
        "--projects",
        type=real_project,
        nargs="+",
        default=[],
        metavar="ROOT:DOCS:PYTHON",
        help="folders of real projects, whose conf.py loads nbsphinx or myst_nb",
    )
    parser.add_argument("--plans", type=int, nargs="*", default=[1_000, 3_000, 10_000])
    options = parser.parse_args()
    if unknown := set(options.which) - set(BENCHMARKS):
        parser.error(f"there is no benchmark named {', '.join(sorted(unknown))}")
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    print(f"Python {platform.python_version()}, {versions}; {os.cpu_count()} cores\n")
    compile_packages()
    for name in options.which or BENCHMARKS:
        with tempfile.TemporaryDirectory() as scratch:
            print(BENCHMARKS[name](options, Path(scratch)), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
