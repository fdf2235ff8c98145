"""YAML in notebooks: the front matter, and the file format that it declares."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import takewhile
from typing import Any

from sphinx_nbcache.notebooks.notebook import NotebookError

# The conflict markers that git leaves in a file
# (https://git-scm.com/docs/git-merge#_how_conflicts_are_presented).
_CONFLICT = re.compile(r"^(<{7}|>{7}) ", re.MULTILINE)
CONFLICT = "an unresolved merge conflict"
MYST = "myst"
_MYST_NAMES = frozenset({MYST, "mystnb"})
ENCODING_LINE = re.compile(r"[ \t\f]*(?:#|//|--|;|%).*?coding[:=][ \t]*(?P<encoding>[-\w.]+)")
"""A line that tells Python, and jupytext, the encoding of a script."""
# The key for the notebook metadata of an `.ipynb` file in the front matter of a Markdown file.
_JUPYTER = "jupyter"
# Signs of a notebook in a Markdown file whose front matter cannot be parsed: keys of the front
# matter, or a code cell, in case one of these keys is broken.
_NOTEBOOK_KEYS = re.compile(
    r"""
    ^[ ]*["']?(?:kernelspec|jupytext)["']?[ ]*:             # in the usual block style
    | ["'](?:kernelspec|jupytext)["'][ ]*:                   # as JSON
    | ^["']?file_format["']?[ ]*:[ ]*["']?mystnb
    """,
    re.MULTILINE | re.VERBOSE,
)
_CODE_CELL = re.compile(r"^(?:`{3,}|~{3,}|:{3,})\{code-cell\}", re.MULTILINE)


class YamlError(Exception):
    """A text that is not YAML. `line` is the faulty line, counted from 1, if known."""

    def __init__(self, problem: str, line: int | None) -> None:
        super().__init__(problem)
        self.line = line


def load_yaml(text: str) -> Any:
    """Return the content of a YAML text: plain data, never objects.

    Raises:
        YamlError: The text is not YAML.
    """
    import yaml

    # PyYAML is not always built with libyaml, whose loader is ten times faster
    # (https://pyyaml.org/wiki/PyYAMLDocumentation).
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(text, loader)  # noqa: S506 (a safe loader, in either form)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        # PyYAML counts lines from 0.
        line = mark.line + 1 if mark is not None else None
        words = (getattr(error, "problem", None), getattr(error, "context", None))
        problem = " ".join(filter(None, words)) or "unreadable"
        usual, usual_line = _usual_mistake(text, line)
        raise YamlError(usual or problem, usual_line) from None
    # `0000-00-00` matches the pattern of a date, and raises ValueError
    # (https://github.com/yaml/pyyaml/issues/382).
    except Exception as error:  # noqa: BLE001 (PyYAML lets through impossible dates and more)
        raise YamlError(str(error), None) from None


def line_of_conflict(text: str) -> int | None:
    """Return the line at which an unresolved merge conflict begins, counted from 1, if any."""
    found = _CONFLICT.search(text)
    return None if found is None else text.count("\n", 0, found.start()) + 1


def _usual_mistake(text: str, line: int | None) -> tuple[str, int | None]:
    """Describe a common mistake with its remedy, where YAML's own message does not.

    Args:
        text: The text, which is not YAML.
        line: The line at which the parser stopped.

    Returns:
        The description, empty if the mistake is not common; and its line.
    """
    if conflict := line_of_conflict(text):
        return CONFLICT, conflict
    lines = text.splitlines()
    stopped = lines[line - 1] if line is not None and line <= len(lines) else ""
    if "\t" in stopped[: len(stopped) - len(stopped.lstrip())]:
        return "YAML cannot be indented with tabs; use spaces", line
    return "", line


def split_front_matter(text: str) -> tuple[str, int]:
    """Return the YAML text between the leading `---` lines, and its number of lines.

    Return `("", 0)` if the text has no front matter.
    """
    if not text.startswith("---"):
        return "", 0
    lines = text.splitlines()
    if lines[0].rstrip() != "---":
        return "", 0
    return yaml_block(lines)


def yaml_block(lines: Sequence[str]) -> tuple[str, int]:
    """Return the text between a first line `---` and its end, and its number of lines.

    Return `("", 0)` if the block does not end.
    """
    for number, line in enumerate(lines[1:], 1):
        if line.rstrip() in ("---", "..."):
            return "\n".join(lines[1:number]), number + 1
    return "", 0


def read_front_matter(text: str) -> dict[str, Any]:
    """Return the front matter as a mapping; empty if there is none.

    Raises:
        NotebookError: It is not valid YAML.
    """
    source, _ = split_front_matter(text)
    # A copy, because the cache hands out one mapping to all callers.
    return dict(_mapping(source)) if source else {}


# The front matter of a file is requested twice: for its format, and for its metadata.
@lru_cache(maxsize=32)
def _mapping(source: str) -> Mapping[str, Any]:
    try:
        data = load_yaml(source)
    except YamlError as error:
        # The first line of the file is the `---` above the YAML.
        line = error.line + 1 if error.line is not None else 1
        raise NotebookError(f"the front matter is not valid YAML: {error}", line) from None
    return data if isinstance(data, Mapping) else {}


def notebook_metadata(front_matter: Mapping[str, Any]) -> dict[str, Any]:
    """Return the notebook metadata in the front matter of a text notebook.

    MyST notebooks have it at the top level, jupytext's other formats under the key `jupyter`.
    """
    nested = front_matter.get(_JUPYTER)
    # The nested metadata win: they are those of the notebook, the others of the page.
    return {**front_matter, **nested} if isinstance(nested, Mapping) else dict(front_matter)


def markdown_format(text: str) -> str | None:
    """Return the format of a Markdown file: `myst`, another jupytext format, or `None`.

    A Markdown file is a notebook if its front matter names a kernel, has `file_format: mystnb`, or
    contains jupytext's `text_representation`, whose `format_name` then gives the format.

    Raises:
        NotebookError: The front matter of an apparent notebook cannot be read. myst-parser warns
            about other pages.
    """
    # First: without an end, there is no front matter, and the file would silently be an ordinary
    # page.
    if _is_open(text):
        raise NotebookError("the front matter does not end; put a line `---` after it", 1)
    try:
        metadata = notebook_metadata(read_front_matter(text))
    except NotebookError:
        source, _ = split_front_matter(text)
        if _NOTEBOOK_KEYS.search(source) or _CODE_CELL.search(text):
            raise
        return None
    if metadata.get("file_format") in _MYST_NAMES:
        return MYST
    if named := jupytext_format(metadata):
        return MYST if named in _MYST_NAMES else named
    return MYST if _names_kernel(metadata, text) else None


def lines_before_header(lines: Sequence[str]) -> int:
    """Return how many lines of a script precede its header: a shebang and an encoding line.

    jupytext (1.19) accepts the same (`header_to_metadata_and_cell`).
    """
    before = int(bool(lines) and lines[0].startswith("#!"))
    return before + (len(lines) > before and ENCODING_LINE.match(lines[before]) is not None)


def is_script_notebook(header: str) -> bool:
    """Tell whether the header of a script makes it a notebook.

    jupytext writes the metadata of the notebook below `jupyter`, and reads them only there.

    Args:
        header: The header without comment signs, as front matter.

    Raises:
        NotebookError: The header of an apparent notebook cannot be used.
    """
    if _is_open(header):
        text = "the header does not end; put a commented `---` after it, and no blank line into it"
        raise NotebookError(text, 1)
    try:
        metadata = read_front_matter(header)
    except NotebookError:
        # Comments of an ordinary script may well look like a broken header.
        if _NOTEBOOK_KEYS.search(header):
            raise
        return False
    nested = metadata.get(_JUPYTER)
    if isinstance(nested, Mapping):
        _names_kernel(nested, header)  # raises if it cannot be read
        return True
    if jupytext_format(metadata):
        return True
    for key in ("kernelspec", "jupytext"):
        if isinstance(metadata.get(key), Mapping):
            line = line_of_key(split_front_matter(header)[0], key) + 1
            text = f"`{key}` in the header is not read there; indent it below a line `jupyter:`"
            raise NotebookError(text, line)
    return False


def _is_open(text: str) -> bool:
    """Tell whether a text starts with a notebook's front matter that is never closed."""
    if not text.startswith("---") or split_front_matter(text)[1]:
        return False
    # By lines, because the line ends may be those of Windows.
    first, *rest = text.splitlines()
    # Only up to a blank line: an ordinary page may begin with a thematic break, and show YAML
    # further down (https://spec.commonmark.org/0.31.2/#thematic-breaks).
    block = "\n".join(takewhile(str.strip, rest))
    return first.rstrip() == "---" and _NOTEBOOK_KEYS.search(block) is not None


def _names_kernel(metadata: Mapping[str, Any], text: str) -> bool:
    spec = metadata.get("kernelspec")
    if isinstance(spec, str):
        source, _ = split_front_matter(text)
        raise NotebookError(
            f"`kernelspec` in the front matter is the text {spec!r}; write the kernel's name below"
            f" it, as `name: {spec}`",
            line_of_key(source, "kernelspec") + 1,
        )
    return isinstance(spec, Mapping)


def line_of_key(source: str, *path: str) -> int:
    """Return the line of a key in YAML or JSON, counted from 1; 0 if it is not found.

    Args:
        source: The text, possibly with comment markers.
        path: The keys above the key, and the key itself.
    """
    # In JSON, the text of a cell has a backslash before each quotation mark.
    is_json = source.lstrip().startswith("{")
    pattern = r'(?<!\\)"%s"\s*:' if is_json else r"(?<![\w.-])%s[\"']?\s*:"
    position = 0
    for key in path:
        found = re.compile(pattern % re.escape(key)).search(source, position)
        if found is None:
            return source.count("\n", 0, position) + 1 if position else 0
        position = found.start()
    return source.count("\n", 0, position) + 1


def jupytext_format(metadata: Mapping[str, Any]) -> str:
    """Return the `format_name` of jupytext's `text_representation`; empty if there is none."""
    value: Any = metadata
    for key in ("jupytext", "text_representation", "format_name"):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else ""
