"""Small books with real notebooks, real builds of them, and a count of what was run."""

from __future__ import annotations

import json
import re
import textwrap
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import processes

from sphinx_nbcache import Project
from sphinx_nbcache.execution.job import Outcome
from sphinx_nbcache.project.jobs import make_job, make_result
from sphinx_nbcache.results.outputs import RunOutputs
from sphinx_nbcache.results.records import CellRun, Status

CODE_PREFIX = "# run:"


@dataclass(frozen=True)
class Built:
    """What a build said and how it ended."""

    status: int
    log: str
    warnings: str
    ran: tuple[str, ...]
    """The names of the notebooks that were run, in the order in which they began."""

    @property
    def read(self) -> tuple[int, int, int]:
        """How many documents were added, changed, removed."""
        match = re.search(r"(\d+) added, (\d+) changed, (\d+) removed", self.log)
        assert match is not None, self.log
        return int(match[1]), int(match[2]), int(match[3])


@dataclass
class Book:
    """A book in a temporary folder. What runs is counted in a file outside of it."""

    folder: Path
    counter: Path
    options: dict[str, Any] = field(default_factory=dict)
    has_other_kernels: bool = False
    """Whether another extension starts kernels, which may print a traceback when they end."""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def conf(self, text: str = "", **options: Any) -> None:
        """Write `conf.py`: the extension, these options (`nbcache_` is put before), this text."""
        lines = [
            "extensions = ['sphinx_nbcache']",
            "exclude_patterns = ['_build']",
            "project = 'B'",
        ]
        lines += [f"nbcache_{name} = {value!r}" for name, value in options.items()]
        self.write("conf.py", "\n".join([*lines, textwrap.dedent(text)]))

    def write(self, name: str, text: str) -> Path:
        """Write a file of the book."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def index(self, *documents: str, text: str = "") -> None:
        """Write the root document, with a toctree."""
        entries = "".join(f"   {name}\n" for name in documents)
        self.write("index.rst", f"Book\n====\n\n{text}\n\n.. toctree::\n\n{entries}")

    def counting(self, name: str) -> str:
        """Return a line of code that counts a run of the notebook of this name."""
        return f"print({name!r}, file=open({str(self.counter)!r}, 'a'))"

    def myst(self, name: str, *cells: str, counts: bool = True, **metadata: Any) -> Path:
        """Write a MyST notebook from texts: those that start with `%%` are code."""
        front = {"kernelspec": {"name": "python3", "display_name": "Python 3"}, **metadata}
        parts = [f"---\n{json.dumps(front)}\n---\n"]
        if counts:
            parts.append(f"# {name}\n\n```{{code-cell}}\n{self.counting(name)}\n```\n")
        for cell in cells:
            body = textwrap.dedent(cell)
            if body.startswith("%%"):
                parts.append(f"```{{code-cell}}\n{body.removeprefix('%%').strip()}\n```\n")
            else:
                parts.append(body + "\n")
        return self.write(name, "\n".join(parts))

    def ipynb(
        self, name: str, *cells: str | Mapping[str, Any], counts: bool = True, **metadata: Any
    ) -> Path:
        """Write an `.ipynb` notebook from texts (`%%` starts code) or whole cells."""
        texts: list[str | Mapping[str, Any]] = list(cells)
        if counts:
            texts = [f"# {name}", "%%" + self.counting(name), *texts]
        return self.write(name, ipynb_text(texts, metadata))

    def build(
        self,
        *arguments: str,
        builder: str = "html",
        output: str | None = None,
        fresh: bool = False,
    ) -> Built:
        """Build the book in a process of its own; return what happened.

        If it must be a `fresh` one, nothing was imported into it before.
        """
        before = self.runs()
        command = self._command(builder, output or builder, "doctrees", arguments)
        done = processes.run("sphinx", *command, folder=self.folder.parent, fresh=fresh)
        ran = self.runs()[len(before) :]
        traceback = "Traceback (most recent call last):\n  File"
        assert self.has_other_kernels or traceback not in done.stderr, done.stderr
        return Built(done.returncode, done.stdout, done.stderr, ran)

    def start(
        self,
        *arguments: str,
        builder: str = "html",
        output: str | None = None,
        trees: str = "doctrees",
    ) -> processes.Process:
        """Start a build; its errors go into its standard output."""
        command = self._command(builder, output or builder, trees, arguments)
        return processes.start("sphinx", *command, folder=self.folder.parent, merged=True)

    def _command(
        self, builder: str, output: str, trees: str, arguments: Sequence[str]
    ) -> list[str]:
        target = self.folder / "_build"
        command = ["-b", builder, "-d", str(target / trees), *arguments]
        return [*command, str(self.folder), str(target / output)]

    @property
    def store(self) -> Path:
        """The folder that the store shares with other tools."""
        return self.folder / "_build" / ".jupyter_cache"

    def project(self, **options: Any) -> Project:
        """Return the project of the book, as a build has it."""
        return Project.find(self.folder, place=self.store, **options)

    def remember(self, printed: Mapping[str, Sequence[str]]) -> None:
        """Fill the store without a kernel: what each code cell of a notebook printed."""
        project = self.project(execute="frozen")
        for planned in project.plan():
            texts = printed[planned.path.name]
            outcome = Outcome(
                status=Status.OK,
                cells=tuple(CellRun(cell.digest, 1, 0.01) for cell in planned.scan.cells),
                outputs=RunOutputs([stream(text) for text in texts]),
                kernel="python3",
                language_info={"name": "python", "pygments_lexer": "ipython3"},
                started=time.time(),
                seconds=0.1,
            )
            result = make_result(make_job(planned), outcome, "local-serial")
            project.store.commit(result, outcome.outputs)
        project.execute(project.plan())
        project.close()

    def runs(self) -> tuple[str, ...]:
        """Return the names of all notebooks that were run so far."""
        if not self.counter.exists():
            return ()
        return tuple(self.counter.read_text(encoding="utf-8").split())

    def page(self, docname: str, builder: str = "html", output: str | None = None) -> str:
        """Return the text of a page that was written."""
        suffix = {"html": ".html", "text": ".txt", "xml": ".xml"}[builder]
        folder = self.folder / "_build" / (output or builder)
        return (folder / (docname + suffix)).read_text(encoding="utf-8")

    def sources(self) -> dict[str, bytes]:
        """Return the content of every source file, to see whether any was modified."""
        files: Iterable[Path] = self.folder.rglob("*")
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in files
            if path.is_file() and "_build" not in path.parts and "__pycache__" not in path.parts
        }


def ipynb_text(cells: Sequence[str | Mapping[str, Any]], metadata: Mapping[str, Any]) -> str:
    """Return the text of an `.ipynb` file with cells as those of [](cell_of)."""
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {
        "cells": [cell_of(cell, number) for number, cell in enumerate(cells)],
        "metadata": {"kernelspec": spec, **metadata},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, indent=1)


def cell_of(text: str | Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return an nbformat 4.5 cell: code if the text starts with `%%`, else Markdown."""
    if not isinstance(text, str):
        return {"id": f"cell-{number}", "metadata": {}, **text}
    body = textwrap.dedent(text)
    common = {"id": f"cell-{number}", "metadata": {}}
    if body.startswith("%%"):
        source = body.removeprefix("%%").strip("\n")
        return code_cell(source) | common
    return {"cell_type": "markdown", "source": body, **common}


def stream(text: str) -> list[dict[str, Any]]:
    """Return the outputs of a cell that printed a text, or nothing."""
    return [{"output_type": "stream", "name": "stdout", "text": text}] if text else []


def code_cell(
    source: str, *tags: str, outputs: Any = (), count: int | None = None
) -> dict[str, Any]:
    """Return a code cell of an `.ipynb` file."""
    return {
        "cell_type": "code",
        "source": source,
        "metadata": {"tags": list(tags)} if tags else {},
        "outputs": list(outputs),
        "execution_count": count,
    }


def stored_cell(*bundles: Mapping[str, Any], **metadata: Any) -> dict[str, Any]:
    """Return a code cell of a file, with outputs of these forms."""
    outputs = [
        {"output_type": "display_data", "data": dict(data), "metadata": {}} for data in bundles
    ]
    return {
        "cell_type": "code",
        "source": "1",
        "execution_count": 1,
        "metadata": metadata,
        "outputs": outputs,
    }
