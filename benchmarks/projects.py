"""Real projects that nbsphinx or MyST-NB renders: alone, and with this extension; in one run."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from books import Tool
from measure import Build, Row, build, compare, compile_packages, table

HOW = """No project is named, so none is measured. `--projects` takes folders whose conf.py loads
nbsphinx or myst_nb. If conf.py needs what is around its folder, name that too (ROOT:DOCS). If the
project needs other packages, name the Python of an environment that has them and this extension
(ROOT:DOCS:PYTHON):

    --projects ../book ../library:docs ../other:doc:../other/.venv/bin/python
"""
# A build must not wait for other hosts.
ALONE = "\nintersphinx_mapping = {}\n"
US = "extensions = [*extensions, 'sphinx_nbcache']\n"
WITH_US, WITHOUT = Tool("with us", ALONE + US), Tool("alone", ALONE)
NOT_COPIED = shutil.ignore_patterns("_build", ".nox", ".tox", ".venv", "node_modules")


@dataclass(frozen=True)
class RealProject:
    """A folder to copy, the folder of conf.py in it, and the interpreter that builds it."""

    root: Path
    docs: Path
    python: str

    def copy(self, tool: Tool, place: Path) -> None:
        shutil.copytree(self.root, place, symlinks=True, ignore=NOT_COPIED)
        with (place / self.docs / "conf.py").open("a", encoding="utf-8") as conf:
            conf.write(tool.conf)


def real_project(text: str) -> RealProject:
    """Read ROOT[:DOCS[:PYTHON]]."""
    root, docs, python, *rest = [*text.split(":"), *("", "")[text.count(":") :]]
    # The name of an interpreter is not resolved: that of an environment is a link to another one.
    found = RealProject(Path(root).resolve(), Path(docs), python and str(Path(python).absolute()))
    if rest or not (found.root / found.docs / "conf.py").is_file():
        raise argparse.ArgumentTypeError(f"{text} is not a ROOT:DOCS:PYTHON with a conf.py in it")
    return found if python else RealProject(found.root, found.docs, sys.executable)


def builds(scratch: Path, project: RealProject, repeats: int) -> list[Row]:
    """Measure a cold build, one with all results, and one in which nothing changed."""
    name = project.root.name
    folders = {tool: scratch / tool.name.replace(" ", "-") / name for tool in (WITH_US, WITHOUT)}
    for tool, folder in folders.items():
        project.copy(tool, folder)

    def one(_tool: Tool, folder: Path, _turn: int) -> Build:
        return build(folder / project.docs, python=project.python)

    def warm(_tool: Tool, folder: Path, _turn: int) -> Build:
        return build(folder / project.docs, "-E", python=project.python)

    rows = [
        compare(f"{name}, empty store", folders, 1, one),
        compare(f"{name}, all pages read again", folders, 1, warm),
    ]
    for tool, folder in folders.items():
        one(tool, folder, 0)  # the report of the build before says "reused" from now on
    return [*rows, compare(f"{name}, nothing changed", folders, repeats, one)]


def side_by_side(scratch: Path, projects: Sequence[RealProject], repeats: int) -> str:
    """Return one table of all projects, with the versions of the packages that they use."""
    if not projects:
        return HOW
    rows, versions = [], []
    for number, project in enumerate(projects):
        compile_packages(project.python)
        versions.append(f"{project.root.name}: {versions_of(project.python)}")
        rows += builds(scratch / str(number), project, repeats)
    return "\n".join([*versions, "", table("Real projects", rows)])


def versions_of(python: str) -> str:
    script = (
        "from importlib.metadata import distributions as all\n"
        "wanted = ('sphinx', 'nbsphinx', 'myst-nb')\n"
        "found = {d.name.lower().replace('_', '-'): d.version for d in all()}\n"
        "print(', '.join(f'{name} {found[name]}' for name in wanted if name in found))\n"
    )
    command = [python, "-c", script]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
