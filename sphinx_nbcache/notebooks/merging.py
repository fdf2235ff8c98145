"""Merging the results of a run into a copy of its notebook. Sources are never written.

Formats without code cells inside blocks of text get ordinary code blocks there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from sphinx_nbcache.files.atomic import replace_file
from sphinx_nbcache.notebooks.executed import WIDGET_STATE, Executed
from sphinx_nbcache.notebooks.formats import MARKDOWN_SUFFIX, Formats, read_notebook
from sphinx_nbcache.notebooks.front_matter import MYST
from sphinx_nbcache.notebooks.ipynb import load_ipynb
from sphinx_nbcache.notebooks.notebook import SKIP_TAG, Cell, Notebook
from sphinx_nbcache.notebooks.readers import (
    IPYNB,
    IPYNB_SUFFIX,
    SCRIPTS,
    declared_format,
    is_foreign,
)
from sphinx_nbcache.notebooks.renderers import myst_extensions, taken_apart
from sphinx_nbcache.notebooks.scan import cell_digest
from sphinx_nbcache.text import first_line

_OPENING = re.compile(r"(?P<before>.*?)(?P<fence>`{3,}|~{3,}|:{3,})\s*\{code-cell\}.*", re.DOTALL)
_BLANK_LINES = re.compile(r"\A(?:[^\S\n]*\n)+")
# The first minor version with cell ids (https://nbformat.readthedocs.io/en/latest/changelog.html).
_MINOR = 5
_ID = re.compile(r"[a-zA-Z0-9-_]{1,64}")
_MYST_IN_JUPYTEXT = "md:myst"


def with_shown_code(notebook: Notebook) -> list[Cell]:
    """Return the cells of a notebook, with nested code cells as ordinary code blocks.

    The cells themselves follow their text, as in any [](Notebook). Otherwise a reader of the new
    format that knows directives would find them twice.
    """
    cells: list[Cell] = []
    for cell in notebook.cells:
        if cell.kind == "markdown":
            nested = _nested_in(cell, notebook.cells)
            cells.append(replace(cell, source=_shown(cell, nested, notebook.language)))
        else:
            cells.append(cell)
    return cells


def _nested_in(text: Cell, cells: Sequence[Cell]) -> list[Cell]:
    last = text.line + text.source.count("\n")
    return [cell for cell in cells if cell.nested and text.line < cell.line <= last + 1]


def _shown(text: Cell, nested: Sequence[Cell], language: str) -> str:
    lines = text.source.split("\n")
    # From the last to the first: replacing lines moves all that follow.
    for cell in sorted(nested, key=lambda cell: -cell.line):
        body = cell.line - text.line
        opening = body - 1
        # The options of the cell, which may take many lines, are between its opening and its body.
        while opening >= 0 and _OPENING.fullmatch(lines[opening]) is None:
            opening -= 1
        if opening >= 0 and (match := _OPENING.fullmatch(lines[opening])) is not None:
            lines[opening:body] = [_block(match, language)]
    return "\n".join(lines)


def _block(match: re.Match[str], language: str) -> str:
    """Return the first line of a code block that replaces a code cell."""
    fence = match["fence"]
    # Colon fences are valid only for directives.
    directive = "{code-block} " if fence.startswith(":") else ""
    return f"{match['before']}{fence}{directive}{language}".rstrip()


class MergeError(Exception):
    """A merge that is not possible. The message says why, and what to do."""


def merged(text: str, fmt: str, executed: Executed, folder: Path | None = None) -> Any:
    """Return a notebook with the results of a run, as an nbformat node.

    An `.ipynb` source keeps everything else: metadata of cells and notebook, valid ids,
    attachments, minor version. Cells tagged `skip-execution` keep their outputs too, as in Jupyter.
    Fields that nbformat demands, and that handwritten files lack, are added. A notebook in another
    format is converted to nbformat 4.5. A code cell cannot stay inside a block of text there: the
    block shows its code as an ordinary code block, and the cell follows that text.

    Args:
        text: The source.
        fmt: Its format, as returned by [](Formats.format_of).
        executed: The results of running the same code.
        folder: The folder of the source, from which its code may be loaded.

    Raises:
        NotebookError: The source cannot be read.
        MergeError: The run executed other code, or the source cannot be written as nbformat 4.
    """
    from nbformat import from_dict

    notebook = read_notebook(text, fmt, folder)
    # Outputs of other code must never get into a file, where no one could tell any more.
    if [cell_digest(item.cell.source) for item in notebook.code_cells] != [*executed.digests]:
        raise MergeError("the notebook's code is no longer what was run; execute it first")
    data = _raw(text) if fmt == IPYNB else _data(notebook)
    # By identity: cells with equal sources are equal.
    numbers = {id(item.cell): place for place, item in enumerate(notebook.code_cells)}
    cells = [
        _merged_cell(raw, cell, executed, numbers.get(id(cell)))
        for raw, cell in zip(data["cells"], notebook.cells, strict=True)
    ]
    metadata = _merged_metadata(data.get("metadata"), executed)
    cells = _with_ids(cells) if data["nbformat_minor"] >= _MINOR else _without_ids(cells)
    return from_dict({**data, "cells": cells, "metadata": metadata})


def fill(node: Any, executed: Executed | None) -> None:
    """Put the results of a run into a notebook that another reader has made.

    Args:
        node: The notebook, an nbformat node, which is changed.
        executed: The results; `None` to take all outputs out.

    Raises:
        MergeError: The run executed other code. The notebook is unchanged.
    """
    from nbformat import from_dict

    code = [cell for cell in node.cells if cell.cell_type == "code"]
    with_code = [cell for cell in code if cell.source.strip()]
    if executed is not None and not _is_code_of(with_code, executed.digests):
        raise MergeError("its code cells are not those that were run")
    for cell in code:
        # As in `merged`: a cell that is skipped keeps what is stored in the file.
        if executed is None or not _is_skipped(cell):
            cell.outputs, cell.execution_count = [], None
    if executed is None:
        return
    for cell, outputs, count in zip(with_code, executed.outputs, executed.counts, strict=True):
        if count is not None or not _is_skipped(cell):
            cell.outputs, cell.execution_count = from_dict([*map(dict, outputs)]), count
    node.metadata = from_dict(_merged_metadata(node.metadata, executed))


def _is_skipped(cell: Any) -> bool:
    return SKIP_TAG in Cell("code", "", cell.metadata).tags


def _is_code_of(cells: Sequence[Any], digests: Sequence[str]) -> bool:
    """Tell whether cells of nbformat have the code with these digests."""
    if len(cells) != len(digests):
        return False
    # Readers differ in the blank lines before the code of a cell, which no code can observe.
    return all(
        digest in (cell_digest(cell.source), cell_digest(_BLANK_LINES.sub("", cell.source)))
        for cell, digest in zip(cells, digests, strict=True)
    )


def target_format(target: Path, formats: Formats) -> str:
    """Return the format in which a notebook is written to a file, according to its suffix.

    Returns:
        `ipynb`, or the name of a jupytext format.

    Raises:
        MergeError: The suffix implies no format.
    """
    name = target.name
    declared = taken_apart(formats.extra.get(formats.suffix_of(name), "")).reader
    fmt = declared_format(declared, name) if declared else ""
    if name.endswith(IPYNB_SUFFIX) or fmt == IPYNB:
        return IPYNB
    if (
        fmt == MYST
        or myst_extensions(fmt) is not None
        or (target.suffix == MARKDOWN_SUFFIX and not fmt)
    ):
        return _MYST_IN_JUPYTEXT
    if fmt and not is_foreign(fmt):
        return fmt
    if target.suffix in SCRIPTS:
        return f"{target.suffix[1:]}:percent"
    from jupytext.formats import NOTEBOOK_EXTENSIONS

    if target.suffix in NOTEBOOK_EXTENSIONS:
        return target.suffix[1:]
    raise MergeError(
        f"{target.name!r} does not tell a format: a notebook can be written to a file that ends"
        f" in {IPYNB_SUFFIX}, or in a suffix of a jupytext format, such as .md or .py"
    )


def write_notebook(node: Any, target: Path, formats: Formats, *, keep: Iterable[Path]) -> None:
    """Write a notebook to a file, which is replaced atomically.

    Args:
        node: The notebook, an nbformat node.
        target: The file; its suffix selects the format. Text formats hold no outputs.
        formats: The formats by suffix.
        keep: Files that must not be written: sources of notebooks.

    Raises:
        MergeError: The format is unknown, the file is a source, or it cannot be written.
    """
    fmt = target_format(target, formats)
    if any(_is_same_file(target, path) for path in keep):
        raise MergeError(f"{target} is the source of a notebook; write to another file")
    text = notebook_text(node, fmt)
    try:
        replace_file(target, text)
    except OSError as error:
        raise MergeError(f"{target} cannot be written: {error.strerror or error}") from None


def notebook_text(node: Any, fmt: str) -> str:
    """Return the text of a notebook in a format.

    Args:
        node: The notebook, an nbformat node.
        fmt: `ipynb`, or the name of a jupytext format.

    Raises:
        MergeError: It cannot be written in this format.
    """
    if fmt == IPYNB:
        from nbformat import v4

        try:
            # Not `nbformat.writes`, which validates, and logs an error for the user's own metadata.
            text = str(v4.writes(node))
        except (AttributeError, TypeError, KeyError) as error:
            # From an executed notebook of others, such as an output without its type.
            raise MergeError(f"an output is not as nbformat 4 has it: {error}") from None
        return text.rstrip("\n") + "\n"
    import jupytext

    try:
        return str(jupytext.writes(node, fmt=fmt))
    except Exception as error:  # noqa: BLE001 (a writer of foreign text fails in any way)
        text = f"jupytext cannot write it as {fmt!r}: {first_line(str(error))}"
        raise MergeError(text) from None


def _is_same_file(target: Path, other: Path) -> bool:
    try:
        # Names may differ: links, and file systems that ignore case
        # (https://docs.python.org/3/library/os.path.html#os.path.samefile).
        return target.samefile(other)
    except OSError:  # one of them does not exist
        return target.resolve() == other.resolve()


def _raw(text: str) -> Mapping[str, Any]:
    """Return the JSON of an `.ipynb` file with joined lines, as nbformat's writer expects."""
    from nbformat import from_dict
    from nbformat.v4.rwbase import rejoin_lines

    try:
        # nbformat does this only in its reader, which also removes keys.
        node: Mapping[str, Any] = rejoin_lines(from_dict(_completed(load_ipynb(text))))
    except (AttributeError, TypeError, KeyError) as error:
        raise MergeError(f"something in it is not as nbformat 4 has it: {error}") from None
    return node


def _completed(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON of a notebook with the fields that nbformat's functions take for granted."""
    minor = data.get("nbformat_minor")
    return {
        **data,
        "nbformat_minor": minor if isinstance(minor, int) else _MINOR,
        "cells": [_completed_cell(cell) for cell in data["cells"]],
    }


def _completed_cell(cell: Mapping[str, Any]) -> dict[str, Any]:
    metadata = cell.get("metadata")
    whole: dict[str, Any] = {
        **cell,
        "metadata": metadata if isinstance(metadata, Mapping) else {},
        "source": cell.get("source") or "",
    }
    if whole.get("attachments", {}) is None:
        del whole["attachments"]
    for name in ("outputs", "execution_count"):
        whole.pop(name, None)  # nbformat refuses them in other cells; code cells get theirs later
    return whole


def _data(notebook: Notebook) -> Mapping[str, Any]:
    """Return the JSON of a notebook that was read from text."""
    cells = with_shown_code(notebook)
    metadata = _json_values(notebook.metadata)
    spec = metadata.get("kernelspec")
    if isinstance(spec, dict) and "name" in spec:
        spec.setdefault("display_name", spec["name"])  # nbformat demands one (jupyter/nbformat#448)
    return {
        "cells": [_cell_data(cell) for cell in cells],
        "metadata": metadata,
        "nbformat": 4,
        "nbformat_minor": _MINOR,
    }


def _cell_data(cell: Cell) -> dict[str, Any]:
    data = {
        "cell_type": cell.kind,
        "metadata": _json_values(cell.metadata),
        "source": cell.source,
    }
    if cell.attachments:
        data["attachments"] = _json_values(cell.attachments)
    return data


def _with_ids(cells: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return cells with unique ids; the first cell with a valid id keeps it.

    nbformat would choose random ids, so that every merge would change the file
    (https://jupyter.org/enhancement-proposals/62-cell-id/cell-id.html).
    """
    given = {*map(_id_of, cells)}
    used = {""}
    found: list[Mapping[str, Any]] = []
    for number, cell in enumerate(cells, 1):
        id_ = _id_of(cell)
        if id_ in used:
            id_ = f"cell-{number}"
            while id_ in given:
                id_ += "-"
        used.add(id_)
        found.append({**cell, "id": id_})
    return found


def _id_of(cell: Mapping[str, Any]) -> str:
    """Return the id of a cell; empty if it has no valid one."""
    id_ = cell.get("id")
    return id_ if isinstance(id_, str) and _ID.fullmatch(id_) else ""


def _without_ids(cells: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return cells without ids, which nbformat refuses before version 4.5."""
    return [{name: value for name, value in cell.items() if name != "id"} for cell in cells]


def _json_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert metadata to JSON: YAML also has dates and keys that are not strings."""
    try:
        builtins: dict[str, Any] = msgspec.to_builtins(dict(values), str_keys=True, enc_hook=str)
    except TypeError as error:
        raise MergeError(f"its metadata cannot be written as JSON: {error}") from None
    return builtins


def _merged_cell(
    raw: Mapping[str, Any], cell: Cell, executed: Executed, position: int | None
) -> Mapping[str, Any]:
    """Return a cell with the run's results; `position` is `None` if it has no code."""
    if cell.kind != "code":
        return raw
    if position is None:
        return {**raw, "outputs": [], "execution_count": None}
    outputs, count = executed.outputs[position], executed.counts[position]
    if count is None and SKIP_TAG in cell.tags:
        # The stored outputs win: the run has none for a skipped cell.
        outputs, count = cell.outputs, cell.execution_count
    written = [_completed_output(output, count) for output in outputs]
    return {**raw, "outputs": written, "execution_count": count}


def _completed_output(output: Mapping[str, Any], count: int | None) -> dict[str, Any]:
    kind = output.get("output_type")
    added: dict[str, Any] = {"metadata": {}} if kind in ("display_data", "execute_result") else {}
    if kind == "execute_result":
        added["execution_count"] = count
    return {**added, **output}


def _merged_metadata(raw: Any, executed: Executed) -> dict[str, Any]:
    metadata = dict(raw) if isinstance(raw, Mapping) else {}
    if executed.language_info:
        metadata["language_info"] = dict(executed.language_info)
    # Widget states of an earlier run belong to outputs that no longer exist.
    old = metadata.pop("widgets", None)
    widgets = dict(old) if isinstance(old, Mapping) else {}
    widgets.pop(WIDGET_STATE, None)
    if executed.widgets:
        widgets[WIDGET_STATE] = dict(executed.widgets)
    return {**metadata, "widgets": widgets} if widgets else metadata
