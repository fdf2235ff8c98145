"""A notebook as data, independent of its source format, and its loading from a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from sphinx_nbcache.bounded import clipped

CellKind = Literal["code", "markdown", "raw"]

SKIP_TAG = "skip-execution"
RAISES_TAG = "raises-exception"
LOAD = "load"


class NotebookError(Exception):
    """A source file that cannot be read as a notebook.

    Attributes:
        line: The faulty line, counted from 1, if known.
    """

    def __init__(self, text: str, line: int | None = None) -> None:
        super().__init__(text)
        self.line = line


@dataclass(frozen=True, slots=True)
class Problem:
    """A fault in a source that can still be read: a warning, with its line."""

    text: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Attributes:
        kind: `code`, `markdown` or `raw`.
        source: Its text; line endings are LF.
        metadata: The cell's metadata, as in an `.ipynb` file.
        line: Line of the file at which the source starts, counted from 1; 0 if unknown.
        outputs: The outputs stored in the file (nbformat 4), code cells only.
        execution_count: The count stored in the file.
        attachments: Name → MIME bundle, of a Markdown cell.
        nested: Whether the cell is inside another block, such as an admonition. The Markdown cell
            before it then determines its place in the page.
        has_lines: Whether each line of its source is a line of the file.
        opening: Line of a text notebook at which the block of a code cell opens; 0 if unknown.
    """

    kind: CellKind
    source: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    line: int = 0
    outputs: tuple[Mapping[str, Any], ...] = ()
    execution_count: int | None = None
    attachments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    nested: bool = False
    has_lines: bool = True
    opening: int = 0

    @property
    def tags(self) -> frozenset[str]:
        """The cell's tags; any value other than a list of strings counts as none."""
        tags = self.metadata.get("tags", ())
        # `tags: a, b` in YAML is one string.
        if isinstance(tags, str):
            tags = tags.split(",")
        if not isinstance(tags, list | tuple):
            return frozenset()
        return frozenset(tag.strip() for tag in tags if isinstance(tag, str))


@dataclass(frozen=True, slots=True)
class NumberedCell:
    """A code cell that has code, and its number among all code cells, counted from 1."""

    number: int
    cell: Cell


@dataclass(frozen=True, slots=True)
class Notebook:
    """A notebook: its metadata and its cells, in the order of the file."""

    metadata: Mapping[str, Any]
    cells: tuple[Cell, ...]
    problems: tuple[Problem, ...] = ()
    loaded: tuple[str, ...] = ()
    """Files from which code cells were loaded, relative to the notebook's folder."""

    @property
    def code_cells(self) -> tuple[NumberedCell, ...]:
        """The code cells that have code. Blank cells are numbered, but neither run nor shown."""
        code = (cell for cell in self.cells if cell.kind == "code")
        return tuple(
            NumberedCell(number, cell) for number, cell in enumerate(code, 1) if cell.source.strip()
        )

    @property
    def kernel_name(self) -> str:
        """The kernel name that the notebook requests; empty if it names none."""
        return _text(self.metadata, "kernelspec", "name")

    @property
    def language(self) -> str:
        """The kernel's language, in lower case; empty if it is unknown.

        The name of a Python kernel implies its language, so a tool that adds or removes the
        redundant metadata changes nothing.
        """
        named = _text(self.metadata, "kernelspec", "language")
        named = named or _text(self.metadata, "language_info", "name")
        # `python3` is what ipykernel installs; other names say nothing of a language
        # (https://ipython.readthedocs.io/en/stable/install/kernel_install.html).
        if not named and self.kernel_name.startswith("python"):
            return "python"
        # IRkernel writes `R`, for example; lexers and options are compared in lower case.
        return named.lower()

    @property
    def has_outputs(self) -> bool:
        """Whether any code cell has an output or an execution count stored in the file."""
        return any(
            cell.outputs or cell.execution_count is not None
            for cell in self.cells
            if cell.kind == "code"
        )

    @property
    def has_all_outputs(self) -> bool:
        """Whether every code cell has an output stored in the file."""
        return all(cell.outputs for cell in self.cells if cell.kind == "code")


def _text(metadata: Mapping[str, Any], section: str, name: str) -> str:
    values = metadata.get(section)
    value = values.get(name) if isinstance(values, Mapping) else None
    if not isinstance(value, str):
        return ""
    # The name becomes part of a record and of messages, which cannot contain lone surrogates.
    return clipped(value.encode("utf-8", "backslashreplace").decode())


def refuse_pipe(path: Path) -> None:
    """Refuse a named pipe: opening it would wait until another process writes to it.

    Raises:
        OSError: It is a named pipe.
    """
    if path.is_fifo():
        raise OSError("it is a named pipe")


def decode_source(content: bytes) -> str:
    """Return the text of a source file.

    Raises:
        NotebookError: The content is not UTF-8.
    """
    try:
        # Editors on Windows begin a file with a byte order mark. Sphinx reads sources with the same
        # encoding (https://docs.python.org/3/library/codecs.html#module-encodings.utf_8_sig).
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise NotebookError(f"not UTF-8 (byte {error.start}); save it in UTF-8", line) from None


def with_loaded_code(notebook: Notebook, folder: Path) -> Notebook:
    """Return a notebook whose code cells contain the code that they load from files.

    An unreadable file is a problem of the notebook; the cell keeps its body.

    Args:
        notebook: A text notebook.
        folder: Its folder.
    """
    if not any(loaded_name(cell) for cell in notebook.cells):
        return notebook
    cells, problems = [], list(notebook.problems)
    loaded: dict[str, None] = {}
    for cell in notebook.cells:
        name = loaded_name(cell)
        if name:
            loaded[name] = None
            source, problem = loaded_source(name, folder)
            if problem:
                problems.append(Problem(problem, cell.opening or cell.line or None))
            else:
                cell = replace(cell, source=source, has_lines=False)  # noqa: PLW2901 (the same cell, filled)
        cells.append(cell)
    return replace(notebook, cells=tuple(cells), problems=tuple(problems), loaded=tuple(loaded))


def loaded_name(cell: Cell) -> str:
    """Return the file from which a cell loads its code, as written; empty if none."""
    return name_in(cell.metadata) if cell.kind == "code" else ""


def name_in(options: Mapping[str, Any]) -> str:
    """Return the file named in the options of a code cell; empty if there is none."""
    name = options.get(LOAD)
    # NUL in a path raises ValueError in every function of `os`.
    return name.strip() if isinstance(name, str) and "\0" not in name else ""


def loaded_source(name: str, folder: Path) -> tuple[str, str]:
    """Return the code in a file, and a description of its fault; one of them is empty."""
    try:
        refuse_pipe(folder / name)
        text = (folder / name).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return "", f"the code cell loads {name}, which is not UTF-8"
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or str(error)
        return "", f"the code cell loads {name}, which cannot be read ({what})"
    return text.rstrip(), ""
