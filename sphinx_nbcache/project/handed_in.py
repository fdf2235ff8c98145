"""Notebooks that users pass to a project, as files or as nbformat nodes.

The outputs of executed notebooks are added to the store; stored outputs are merged into copies.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from sphinx_nbcache.bounded import DEEPEST, clipped, count_or_none, is_deep
from sphinx_nbcache.files.paths import asset_of
from sphinx_nbcache.files.stats import Stat
from sphinx_nbcache.notebooks.executed import Executed, taken_out, wrong_counts
from sphinx_nbcache.notebooks.formats import Formats, read_notebook
from sphinx_nbcache.notebooks.ipynb import plain_data, read_ipynb
from sphinx_nbcache.notebooks.key import DEFAULT_KERNEL
from sphinx_nbcache.notebooks.merging import MergeError, merged
from sphinx_nbcache.notebooks.notebook import Notebook, NotebookError, decode_source
from sphinx_nbcache.notebooks.readers import IPYNB
from sphinx_nbcache.notebooks.scan import Scan, scan_notebook
from sphinx_nbcache.planning import Plan, Planned
from sphinx_nbcache.project.requests import (
    ProjectError,
    StoreTroubleError,
    ValidityError,
    store_trouble,
)
from sphinx_nbcache.project.results import Node
from sphinx_nbcache.results.artifacts import MadeFile
from sphinx_nbcache.results.outputs import RunOutputs, render_id
from sphinx_nbcache.results.records import CellRun, Result, Status, Stored, lexer_of
from sphinx_nbcache.store.store import Store

# The executor in the record of a result that was added, not run here.
ADDED = "added"
FROM_JUPYTER_CACHE = "jupyter-cache"
_SHOWN_AT_MOST = 3


def read_file(path: Path, name: str, formats: Formats, reader: str = "") -> Notebook:
    """Read a notebook from a file.

    Args:
        path: The file.
        name: Its name in messages.
        formats: The formats by suffix.
        reader: The reader that the user chose for this file, if any.

    Raises:
        ProjectError: The file is not a notebook, or cannot be read.
    """
    try:
        text = decode_source(path.read_bytes())
        fmt = formats.format_of(path.name, text, reader)
        if fmt is None:
            raise ProjectError(f"{name} is no notebook")
        return read_notebook(text, fmt, path.parent)
    except OSError as error:
        raise ProjectError(f"{name} cannot be read: {error.strerror or error}") from None
    except NotebookError as error:
        raise ProjectError(f"{name} cannot be read: {error}") from None


def read_node(node: Node) -> Notebook:
    """Read a notebook from an nbformat node, as if the node had been written to a file.

    Raises:
        ProjectError: The node is not a notebook.
    """
    # The round trip through JSON also copies the node, so that later changes by the caller do
    # not matter.
    try:
        return read_ipynb(text_of_node(node))
    except NotebookError as error:
        raise ProjectError(f"the notebook cannot be used: {error}") from None


def text_of_node(node: Node) -> str:
    """Return the text of a file that contains an nbformat node.

    Raises:
        ProjectError: The node cannot be encoded as JSON.
    """
    # ValueError: a circular reference. https://docs.python.org/3/library/json.html#json.dump
    try:
        return json.dumps(node)
    except (TypeError, ValueError, RecursionError) as error:
        raise ProjectError(f"the notebook cannot be used: {error}") from None


def scan_of(notebook: Notebook) -> Scan:
    """Return a scan, as planning needs it, of a notebook without a file."""
    # The stat is all zeros: this scan is never stored, so it is never compared with a file.
    return scan_notebook(Scan(Stat(0, 0, 0, 0), 0, "", "", IPYNB), notebook)


def result_of(
    planned: Planned, notebook: Notebook, *, validate: bool
) -> tuple[Result, RunOutputs, list[str]]:
    """Extract the result, the outputs and the sources of a run from an executed notebook.

    Args:
        planned: The plan of this notebook.
        notebook: The notebook as read.
        validate: Whether its execution counts must be those of a run from top to bottom.

    Raises:
        ValidityError: The execution counts are wrong.
        ProjectError: An output cannot be stored.
    """
    if validate and (wrong := wrong_counts(notebook)):
        listed = "; ".join(str(item) for item in wrong[:_SHOWN_AT_MOST])
        more = " and more" if len(wrong) > _SHOWN_AT_MOST else ""
        raise ValidityError(f"{planned.name}: {listed}{more}")
    executed = taken_out(notebook)
    outputs = RunOutputs(
        [[plain_data(output) for output in cell] for cell in executed.outputs],
        plain_data(executed.widgets),
    )
    language = plain_data(executed.language_info)
    if is_deep([outputs.cells, outputs.widgets, language]):
        raise ProjectError(f"{planned.name}: outputs that are nested deeper than {DEEPEST} levels")
    lexer = lexer_of(language) or planned.key.language
    cells = tuple(
        CellRun(digest, count_or_none(count), None, _error_in(cell))
        for digest, count, cell in zip(
            executed.digests, executed.counts, outputs.cells, strict=True
        )
    )
    # The status is OK even if a cell shows an error: the user chose to add these outputs.
    result = Result(
        code_key=planned.code_key,
        status=Status.OK,
        rules=planned.rules,
        cells=cells,
        outputs="",
        render_id=render_id(outputs, Status.OK, lexer, None),
        kernel=planned.key.kernel,
        language_info=language or {"name": planned.key.language, "pygments_lexer": lexer},
        started=time.time(),
        seconds=0.0,
        executor=ADDED,
        notebook=planned.name,
    )
    return result, outputs, [item.cell.source for item in notebook.code_cells]


@dataclass(frozen=True, slots=True)
class ImportedResults:
    """The results that were taken from the folder of jupyter-cache.

    Attributes:
        added: The results that are in the store now.
        present: Names of notebooks whose code has a result already, which stays.
        unused: How many notebooks in the folder have the code of no notebook of the project.
        unreadable: The path of each notebook in the folder that cannot be used, and the reason.
    """

    added: tuple[Stored, ...] = ()
    present: tuple[str, ...] = ()
    unused: int = 0
    unreadable: tuple[tuple[str, str], ...] = ()


def has_jupyter_cache(folder: Path) -> bool:
    """Tell whether a folder has results of jupyter-cache (1.0 and before: `cache/main.py`)."""
    return (folder / "global.db").is_file() and (folder / "executed").is_dir()


def import_results(folder: Path, plan: Plan, store: Store) -> ImportedResults:
    """Add the results of jupyter-cache for the present code of planned notebooks.

    The database of jupyter-cache is not opened: it adds only the times of runs, and SQLite may
    write next to a database even to read it.

    Args:
        folder: The folder of jupyter-cache.
        plan: The plan of the project.
        store: The store.

    Raises:
        StoreTroubleError: The store cannot be written.
    """
    by_code: dict[tuple[str, ...], dict[str, Planned]] = {}
    for planned in plan:
        if digests := tuple(cell.digest for cell in planned.scan.cells):
            by_code.setdefault(digests, {}).setdefault(planned.code_key, planned)
    # Any result of the same code counts, also one that is stale: its trace knows of a change that
    # an imported result would hide.
    known = {key for key, found in store.results_of(p.code_key for p in plan).items() if found}
    added, present, unreadable, unused = [], set[str](), [], 0
    formats = Formats({})
    for path in sorted(folder.glob("executed/*/base.ipynb")):
        # A link could name any file of the user's.
        if not path.is_file() or path.is_symlink():
            continue
        try:
            notebook, finished = read_file(path, str(path), formats), path.stat().st_mtime
            found = _same_code(notebook, by_code)
            unused += not found
            for planned in found:
                if planned.code_key in known:
                    present.add(planned.name)
                    continue
                known.add(planned.code_key)
                # jupyter-cache itself has checked the execution counts.
                result, outputs, sources = result_of(planned, notebook, validate=False)
                result = msgspec.structs.replace(
                    result, started=finished, executor=FROM_JUPYTER_CACHE
                )
                with store_trouble():
                    added.append(store.commit(result, outputs, (), sources))
        except StoreTroubleError:
            raise
        except (ProjectError, OSError) as error:
            unreadable.append((str(path), str(error)))
    return ImportedResults(tuple(added), tuple(sorted(present)), unused, tuple(unreadable))


def _same_code(
    notebook: Notebook, by_code: Mapping[tuple[str, ...], Mapping[str, Planned]]
) -> list[Planned]:
    """Return the planned notebooks that have the code and the kernel of an executed one."""
    digests = tuple(cell.digest for cell in scan_of(notebook).cells)
    same = by_code.get(digests, {}).values()
    kernel = notebook.kernel_name
    return [p for p in same if kernel in ("", p.scan.kernel, p.key.kernel or DEFAULT_KERNEL)]


def artifact_files(notebook: Path, paths: Sequence[Path]) -> list[MadeFile]:
    """Return the files that a run elsewhere wrote, for the store.

    Raises:
        ProjectError: A file does not exist, or is not in or below the notebook's folder.
    """
    files = []
    for path in paths:
        if not path.is_file():
            raise ProjectError(f"there is no artifact {path}")
        try:
            inner = asset_of(path, notebook)
        except ValueError:
            raise ProjectError(
                f"the artifact {path} does not lie in or below the folder of {notebook}"
            ) from None
        files.append(MadeFile(inner, str(path), path.stat().st_mode & 0o777))
    return files


def executed_of(result: Result, outputs: RunOutputs) -> Executed:
    """Return the results of a run as they are put into notebooks."""
    return Executed(
        digests=[cell.digest for cell in result.cells],
        outputs=outputs.cells,
        counts=[cell.execution_count for cell in result.cells],
        widgets=outputs.widgets,
        language_info=result.language_info,
    )


def merged_notebook(planned: Planned, text: str | None, stored: Stored, outputs: RunOutputs) -> Any:
    """Return a copy of a notebook with the outputs of a result, as an nbformat node.

    Args:
        planned: The plan of this notebook.
        text: The notebook, in the format of the plan; `None` to read it from its file.
        stored: The result.
        outputs: The outputs of the result.

    Raises:
        ProjectError: The notebook cannot be read, or its code differs from the code that was run.
    """
    executed = executed_of(stored.result, outputs)
    try:
        if text is None:
            text = decode_source(planned.path.read_bytes())
        return merged(text, planned.scan.fmt or "", executed, planned.path.parent)
    except (MergeError, NotebookError, OSError) as error:
        raise ProjectError(f"{planned.name}: {error}") from None


def _error_in(outputs: Sequence[dict[str, Any]]) -> str | None:
    errors = [clipped(str(o.get("ename"))) for o in outputs if o.get("output_type") == "error"]
    return errors[-1] if errors else None
