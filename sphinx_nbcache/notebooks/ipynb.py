"""Reading `.ipynb` files: nbformat 3 and 4.0 to 4.5, upgraded in memory."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from sphinx_nbcache.notebooks.front_matter import CONFLICT, line_of_conflict
from sphinx_nbcache.notebooks.notebook import Cell, CellKind, Notebook, NotebookError
from sphinx_nbcache.text import is_encodable

CURRENT_MAJOR = 4
OLDEST_MAJOR = 3

# A cheap test for the rare case: walking every notebook would cost more than parsing it.
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
# The start of a Git LFS pointer, which replaces a large file until it is fetched
# (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md).
_LFS_POINTER = "version https://git-lfs.github.com/spec/"
# The layout that nbformat and every editor write (`indent=1`): one line of the file for each line
# of the cell, at a fixed depth. Other layouts are valid JSON, but their lines are unknown.
_SOURCE_LINE = re.compile(r'^ {3}"source": (\[|")', re.MULTILINE)


def read_ipynb(text: str) -> Notebook:
    """Read the text of an `.ipynb` file.

    Raises:
        NotebookError: The text is not a notebook. The message says what is wrong and where.
    """
    try:
        data = load_ipynb(text)
        cells = data["cells"]
        return _notebook(data, cells, source_lines(text, len(cells)))
    except RecursionError:
        raise NotebookError("not a notebook: JSON nested too deeply") from None


def load_ipynb(text: str) -> Mapping[str, Any]:
    """Return the JSON of an `.ipynb` file unchanged, including unknown fields.

    Only a file of nbformat 3 is upgraded.

    Raises:
        NotebookError: The text is not JSON, or has no list of cells.
        RecursionError: The JSON is nested too deeply.
    """
    data = _upgraded(_json(text))
    if not isinstance(data.get("cells"), list):
        raise NotebookError("not a notebook: it has no list of cells")
    return data


def from_node(data: Mapping[str, Any]) -> Notebook:
    """Return the notebook in an nbformat 4 node (from jupytext or a reader function)."""
    cells = data.get("cells")
    if not isinstance(cells, list):
        raise NotebookError("the reader returned something that is not a notebook")
    try:
        return _notebook(data, [plain_data(cell) for cell in cells], [(0, False)] * len(cells))
    except RecursionError:
        raise NotebookError("the reader returned data nested too deeply") from None


def plain_data(value: Any) -> Any:
    """Convert nbformat's nodes to plain dictionaries, lists and clean strings, recursively.

    Unpickling a stored notebook must not need nbformat.
    """
    if isinstance(value, Mapping):
        return {clean_text(str(key)): plain_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_data(item) for item in value]
    return clean_text(value) if isinstance(value, str) else value


def clean_text(text: str) -> str:
    """Return a text that can be encoded: lone surrogates become replacement characters."""
    if is_encodable(text):
        return text
    # Through UTF-16, so that two surrogates that form a pair become their character
    # (https://docs.python.org/3/library/codecs.html#error-handlers).
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def source_lines(text: str, count: int) -> list[tuple[int, bool]]:
    """Return the line at which the source of each of `count` cells starts; 0 if unknown.

    The second value tells whether each line of the source is a line of the file; otherwise the
    whole source is on one line.
    """
    found = []
    line, position = 1, 0
    for match in _SOURCE_LINE.finditer(text):
        line += text.count("\n", position, match.start())
        position = match.start()
        # The first item of a list is on the next line, a plain string on the same one.
        is_list = match[1] == "["
        found.append((line + is_list, is_list))
    # Metadata of the notebook may have a key `source` at the same depth: then no line is certain.
    return found if len(found) == count else [(0, False)] * count


def _notebook(data: Mapping[str, Any], cells: list[Any], lines: list[tuple[int, bool]]) -> Notebook:
    return Notebook(
        metadata=_mapping(data.get("metadata")),
        cells=tuple(
            _cell(cell, number, place)
            for number, (cell, place) in enumerate(zip(cells, lines, strict=True), 1)
        ),
    )


def _json(text: str) -> Mapping[str, Any]:
    if not text.strip():
        raise NotebookError("the file is empty", 1)
    if text.startswith(_LFS_POINTER):
        raise NotebookError("a pointer of Git LFS; `git lfs pull` fetches the notebook", 1)
    if line := line_of_conflict(text):
        raise NotebookError(CONFLICT, line)
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        problem = error.msg.removesuffix(" starting at")
        raise NotebookError(f"not valid JSON: {problem}", error.lineno) from None
    # Python refuses numbers with thousands of digits
    # (https://docs.python.org/3/library/stdtypes.html#int-max-str-digits).
    except ValueError as error:
        raise NotebookError(f"not a notebook: {error}") from None
    if not isinstance(data, dict):
        raise NotebookError("not a notebook: the JSON is not an object")
    # JSON may contain lone surrogates, which no text file or message can hold.
    return plain_data(data) if _SURROGATE.search(text) else data


def _upgraded(data: Mapping[str, Any]) -> Mapping[str, Any]:
    major = data.get("nbformat")
    if major == CURRENT_MAJOR:
        return data
    if major != OLDEST_MAJOR:
        raise NotebookError(f"nbformat {major!r} is not supported: it must be 3 or 4")
    # Late, because it takes longer to import than to read a notebook, and files of this age are
    # rare.
    import nbformat

    try:
        node = nbformat.reader.reads(json.dumps(data))
        upgraded: Mapping[str, Any] = nbformat.convert(node, CURRENT_MAJOR)
        for cell in upgraded["cells"]:
            cell.pop("id", None)  # a random one
    except Exception as error:  # noqa: BLE001 (a malformed old file fails in any way there)
        raise NotebookError(f"cannot be upgraded from nbformat 3: {error!r}") from None
    return upgraded


def _cell(data: object, number: int, place: tuple[int, bool]) -> Cell:
    kind = data.get("cell_type") if isinstance(data, Mapping) else None
    if not isinstance(data, Mapping) or kind not in ("code", "markdown", "raw"):
        raise NotebookError(f"cell {number} is not a code, Markdown or raw cell")
    # JSON may contain any line break; digests, line numbers and Markdown expect LF.
    source = _joined(data.get("source"), number).replace("\r\n", "\n").replace("\r", "\n")
    outputs = data.get("outputs") if kind == "code" else None
    count = data.get("execution_count")
    return Cell(
        kind=_kind(kind),
        source=source,
        metadata=_mapping(data.get("metadata")),
        line=place[0],
        has_lines=place[1],
        outputs=_outputs(outputs, number),
        execution_count=count if isinstance(count, int) else None,
        attachments=_mapping(data.get("attachments")),
    )


def _kind(kind: Any) -> CellKind:
    return "code" if kind == "code" else "markdown" if kind == "markdown" else "raw"


def _outputs(outputs: object, number: int) -> tuple[Mapping[str, Any], ...]:
    if outputs is None:
        return ()
    if not isinstance(outputs, list) or not all(isinstance(item, Mapping) for item in outputs):
        raise NotebookError(f"cell {number} has outputs that are no list of objects")
    return tuple(_joined_output(output, number) for output in outputs)


def _joined_output(output: Mapping[str, Any], number: int) -> Mapping[str, Any]:
    """Join texts that the file format stores as lists of lines; JSON data is unchanged."""
    joined = dict(output)
    if "text" in joined:
        joined["text"] = _joined(joined["text"], number)
    if "data" in joined:
        joined["data"] = {
            # A list under a JSON type is data. All others are text, possibly split into lines
            # (https://nbformat.readthedocs.io/en/latest/format_description.html).
            mime: value if mime.endswith("json") else _joined(value, number)
            for mime, value in _mapping(joined["data"]).items()
        }
    return joined


def _joined(source: object, number: int) -> str:
    if source is None:
        return ""
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        raise NotebookError(f"cell {number} has a source or output that is not text")
    return source


def _mapping(value: object) -> dict[str, Any]:
    return plain_data(value) if isinstance(value, Mapping) else {}
