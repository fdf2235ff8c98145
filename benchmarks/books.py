"""The same book for each tool: plain MyST pages, notebooks of this extension, notebooks of MyST-NB.

Stores are filled without running anything: what a run would have made is put into them through
the tools' own interfaces.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

CELLS = 6
FRONT = """---
jupytext:
  text_representation:
    format_name: myst
kernelspec:
  name: python3
  display_name: Python 3
---
"""
CONF = """
exclude_patterns = ['_build']
html_theme = 'basic'
html_sidebars = {'**': []}
html_use_index = False
"""
PROSE = """Some *text* with a [link](https://example.org) and `code`, number {number}.
Another line of words, which makes a paragraph of two.
"""


@dataclass(frozen=True)
class Tool:
    name: str
    conf: str


PLAIN = Tool("plain MyST", "extensions = ['myst_parser']\n")
OURS = Tool("sphinx_nbcache", "extensions = ['sphinx_nbcache']\nnbcache_root = '.'\n")
PEER = Tool("MyST-NB", "extensions = ['myst_nb']\nnb_execution_mode = 'cache'\n")


def code_of(page: int, cell: int, salt: str = "") -> str:
    return f"x = {page} + {cell}{salt}\nprint('value', x)"


def output_of(page: int, cell: int) -> str:
    return f"value {page + cell}\n"


def page_text(tool: Tool, page: int, *, prose: str = "", salt: str = "") -> str:
    parts = [FRONT] if tool is not PLAIN else []
    parts.append(f"# Note {page}\n\n{prose}")
    for cell in range(CELLS):
        parts.append(f"## Part {cell}\n\n{PROSE.format(number=cell)}")
        code = code_of(page, cell, salt)
        if tool is PLAIN:
            output = output_of(page, cell)
            parts.append(f"```ipython3\n{code}\n```\n\n```none\n{output}```\n")
        else:
            parts.append(f"```{{code-cell}} ipython3\n{code}\n```\n")
    return "\n".join(parts)


def page_path(folder: Path, page: int) -> Path:
    return folder / f"note{page:05}.md"


def write_book(folder: Path, tool: Tool, pages: int) -> None:
    folder.mkdir(parents=True)
    (folder / "conf.py").write_text(tool.conf + CONF)
    (folder / "index.rst").write_text("Book\n====\n\n.. toctree::\n   :glob:\n\n   note*\n")
    for page in range(pages):
        page_path(folder, page).write_text(page_text(tool, page))


def fill_store(folder: Path, tool: Tool) -> None:
    if tool is OURS:
        _fill_ours(folder)
    elif tool is PEER:
        _fill_peers(folder)


def _fill_ours(folder: Path) -> None:
    from sphinx_nbcache import Project
    from sphinx_nbcache.execution.job import Outcome
    from sphinx_nbcache.project.jobs import make_job, make_result
    from sphinx_nbcache.results.outputs import RunOutputs
    from sphinx_nbcache.results.records import CellRun, Status

    project = Project.find(folder, place=folder / "_build" / ".jupyter_cache", root=".")
    # What a notebook depends on is seen in a real run of one of them.
    (first,) = project.execute(project.plan([page_path(folder, 0)])).notebooks
    assert first.result is not None
    trace = project.results.trace(first.result)
    assert trace is not None
    for page, planned in enumerate(project.plan()):
        outputs = [[_stream(page, cell)] for cell in range(CELLS)]
        outcome = Outcome(
            status=Status.OK,
            cells=tuple(CellRun(cell.digest, 1, 0.01) for cell in planned.scan.cells),
            outputs=RunOutputs(outputs),
            kernel="python3",
            language_info={"name": "python", "pygments_lexer": "ipython3"},
            started=time.time(),
            seconds=0.5,
        )
        result = make_result(make_job(planned), outcome, "local-serial")
        project.store.commit(result, outcome.outputs, trace=trace)
    project.close()


def _fill_peers(folder: Path) -> None:
    from jupyter_cache import get_cache
    from jupyter_cache.base import CacheBundleIn
    from myst_nb.core.read import myst_nb_reader_plugin
    from nbformat import NotebookNode

    cache = get_cache(folder / "_build" / ".jupyter_cache")
    cache.change_cache_limit(100_000)
    for page, path in enumerate(sorted(folder.glob("note*.md"))):
        notebook = myst_nb_reader_plugin(str(path))
        # As a run leaves it: without it MyST-NB warns of each cell, and highlights none.
        notebook.metadata["language_info"] = NotebookNode(name="python", pygments_lexer="ipython3")
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        for number, cell in enumerate(code):
            cell.execution_count = number + 1
            cell.outputs = [NotebookNode(_stream(page, number))]
        bundle = CacheBundleIn(notebook, str(path), data={"execution_seconds": 0.5})
        cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def _stream(page: int, cell: int) -> dict[str, str]:
    return {"output_type": "stream", "name": "stdout", "text": output_of(page, cell)}
