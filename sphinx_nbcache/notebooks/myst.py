"""Reading MyST Markdown notebooks: a markdown-it scan of the original text, with its lines.

Code cells are found at the top level and inside other blocks (lists, quotes, admonitions, tabs),
which jupytext treats as text. Syntax: https://mystmd.org/spec and MyST-NB's documentation of text
notebooks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from textwrap import dedent
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.amsmath import amsmath_plugin
from mdit_py_plugins.attrs import attrs_block_plugin
from mdit_py_plugins.colon_fence import colon_fence_plugin
from mdit_py_plugins.deflist import deflist_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.field_list import fieldlist_plugin
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.front_matter import front_matter_plugin
from mdit_py_plugins.myst_blocks import myst_block_plugin
from mdit_py_plugins.substitution import substitution_plugin

from sphinx_nbcache.notebooks.front_matter import (
    YamlError,
    load_yaml,
    notebook_metadata,
    read_front_matter,
)
from sphinx_nbcache.notebooks.notebook import Cell, Notebook, Problem

CODE_CELL = "code-cell"
RAW_CELL = "raw-cell"

_DIRECTIVE = re.compile(r"\{([^\s{}]+)\}(.*)", re.DOTALL)
# Directives whose body is used verbatim: a code cell inside is an example.
_VERBATIM = frozenset(
    "code code-block sourcecode literalinclude parsed-literal highlight raw math eval-rst"
    " doctest testcode testoutput testsetup testcleanup prompt productionlist csv-table"
    " list-table toctree include mermaid graphviz digraph graph plantuml bibliography"
    " code-cell raw-cell jupyter-execute jupyter-input jupyter-output".split()
)

# The extensions of MyST that add blocks.
_BLOCK_EXTENSIONS = {
    "colon_fence": colon_fence_plugin,
    "amsmath": amsmath_plugin,
    "dollarmath": dollarmath_plugin,
    "fieldlist": fieldlist_plugin,
    "deflist": deflist_plugin,
    "attrs_block": attrs_block_plugin,
    "substitution": substitution_plugin,
}


@dataclass(frozen=True, slots=True)
class Block:
    """The parsed body of a fenced directive.

    Attributes:
        options: Its options: a YAML block between `---` lines, or `:key: value` lines.
        body: The text after the options, without empty lines around it.
        offset: The number of lines of the content before the body.
        problem: The reason why the options cannot be read; empty if they can.
    """

    options: Mapping[str, Any]
    body: str
    offset: int
    problem: str = ""


def read_myst(text: str) -> Notebook:
    """Read the text of a MyST Markdown notebook.

    Raises:
        NotebookError: The front matter is not valid YAML.
    """
    # markdown-it normalises line breaks, too: its line numbers must be those of `lines`.
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    scan = _Scan(text.split("\n"))
    # Nested cells are executed as well, which jupytext and MyST-NB do not offer
    # (https://github.com/executablebooks/meta/issues/143).
    for token in _top_level(_block_parser().parse(text)):
        scan.take(token)
    scan.end_markdown(len(scan.lines))
    metadata = notebook_metadata(read_front_matter(text))
    return Notebook(metadata, tuple(scan.cells), tuple(scan.problems))


def read_myst_nb(text: str, extensions: Sequence[str]) -> Notebook:
    """Read the text of a Markdown notebook as MyST-NB does.

    A code cell is a fence of backticks or tildes at the top level. Other fences with the name of a
    code cell are text (`read_myst_markdown_notebook` in `myst_nb/core/read.py`, MyST-NB 1.4).

    Args:
        text: The text.
        extensions: The extensions of MyST, which decide what a block is.

    Raises:
        NotebookError: The front matter is not valid YAML.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    scan = _Scan(text.split("\n"), is_nested=False)
    for token in _top_level(_parser_of_myst_nb(tuple(extensions)).parse(text)):
        scan.take(token)
    scan.end_markdown(len(scan.lines))
    return Notebook(read_front_matter(text), tuple(scan.cells), tuple(scan.problems))


@cache
def _parser_of_myst_nb(extensions: tuple[str, ...]) -> MarkdownIt:
    # Without myst-parser, which would load docutils: only the rules for blocks, in its order
    # (`create_md_parser` in `myst_parser/parsers/mdit.py`, myst-parser 5.2).
    parser = MarkdownIt("commonmark").enable("table")
    parser.use(front_matter_plugin).use(myst_block_plugin)
    parser.use(footnote_plugin, inline=False, move_to_end=False)
    for name, plugin in _BLOCK_EXTENSIONS.items():
        if name in extensions:
            parser.use(plugin)
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser


def split_options(content: str) -> Block:
    """Split the content of a fenced directive into options and body."""
    lines = content.split("\n")
    # The two forms of options in MyST, as `_parse_directive_options` takes them apart
    # (`myst_parser/parsers/directives.py`, myst-parser 5.2).
    source, used = _option_block(lines) if lines[0].startswith("---") else _option_lines(lines)
    options, problem = _yaml_options(source)
    while used < len(lines) and not lines[used].strip():
        used += 1
    return Block(options, "\n".join(lines[used:]).rstrip("\n"), used, problem)


def directive_of(token: Token) -> tuple[str, str]:
    """Return name and argument of a fence's directive; empty if it is not a directive."""
    if token.type not in ("fence", "colon_fence"):
        return "", ""
    match = _DIRECTIVE.fullmatch(token.info.strip())
    return (match[1], match[2].strip()) if match else ("", "")


@cache
def _block_parser() -> MarkdownIt:
    """Return a parser for the block structure; text within blocks is not parsed."""
    # The block syntax of myst-parser, as far as it can contain fences or be taken for one. A plugin
    # that is missing here would make a cell part of a paragraph.
    parser = MarkdownIt("commonmark").enable("table")
    for plugin in (front_matter_plugin, myst_block_plugin, colon_fence_plugin, deflist_plugin):
        parser.use(plugin)
    parser.use(footnote_plugin, inline=False, move_to_end=False)
    # Inline parsing takes most of the time, and no cell is inside a line.
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser


def _top_level(tokens: list[Token]) -> Iterator[list[Token]]:
    """Group a token stream by top-level block."""
    group: list[Token] = []
    for token in tokens:
        group.append(token)
        # An opening token at level 0 begins a group, which its closing token, or a token of its
        # own, ends.
        if token.level == 0 and token.nesting != 1:
            yield group
            group = []


@dataclass
class _Scan:
    """The cells found so far, and the start of the Markdown text being collected."""

    lines: list[str]
    cells: list[Cell] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    start: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict)
    nested: list[Cell] = field(default_factory=list)
    is_nested: bool = True
    """Whether code cells inside other blocks, and in colon fences, count."""

    def take(self, group: list[Token]) -> None:
        """Process the next top-level block."""
        token = group[0]
        begin, end = token.map or (self.start, self.start)
        name, _ = directive_of(token)
        if token.type == "front_matter":
            self.start = end
        elif token.type == "myst_block_break":
            self.end_markdown(begin)
            self.start, self.metadata = end, self._break_metadata(token, begin)
        elif name in (CODE_CELL, RAW_CELL) and (self.is_nested or token.type == "fence"):
            self.end_markdown(begin)
            self.cells.append(self._fenced_cell(token, begin, nested=False))
            self.start = end
        elif self.is_nested:
            # Kept until the text ends: a nested cell follows the Markdown cell that contains it.
            self.nested.extend(self._nested_cells(group, 0))

    def end_markdown(self, end: int) -> None:
        """Make a cell from the pending Markdown text up to a line, unless it is blank."""
        first, last = self.start, end
        while first < last and not self.lines[first].strip():
            first += 1
        while last > first and not self.lines[last - 1].strip():
            last -= 1
        if first < last:
            source = "\n".join(self.lines[first:last])
            self.cells.append(Cell("markdown", source, self.metadata, first + 1))
        self.cells.extend(self.nested)
        self.metadata, self.nested = {}, []

    def _fenced_cell(self, token: Token, line: int, *, nested: bool) -> Cell:
        name, _ = directive_of(token)
        block = split_options(token.content)
        if block.problem:
            self.problems.append(Problem(f"the options of a {name}: {block.problem}", line + 1))
        kind = "code" if name == CODE_CELL else "raw"
        # Lines count from 1, and the fence takes one.
        start = line + 2 + block.offset
        # Trailing blanks are no code, but MyST-NB passes them to the kernel.
        source = block.body.rstrip() if self.is_nested else block.body
        return Cell(kind, source, block.options, start, nested=nested, opening=line + 1)  # type: ignore[arg-type]

    def _nested_cells(self, tokens: list[Token], line: int) -> Iterator[Cell]:
        """Find the code cells inside a block. `line` is added to the tokens' own lines."""
        for token in tokens:
            name, _ = directive_of(token)
            begin = line + (token.map[0] if token.map else 0)
            if name == CODE_CELL:
                yield self._fenced_cell(token, begin, nested=True)
            # The content of a directive is parsed when it is rendered; until then it is one token.
            elif name and name not in _VERBATIM:
                block = split_options(token.content)
                inner = _block_parser().parse(block.body)
                yield from self._nested_cells(inner, begin + 1 + block.offset)

    def _break_metadata(self, token: Token, line: int) -> Mapping[str, Any]:
        """Return the metadata in a `+++ {...}` line, for the Markdown cell that it starts."""
        if not token.content.strip():
            return {}
        try:
            metadata = json.loads(token.content)
        except (ValueError, RecursionError) as error:
            problem = f"the text after +++ is not valid JSON: {error}"
            self.problems.append(Problem(problem, line + 1))
            return {}
        return metadata if isinstance(metadata, dict) else {}


def _option_block(lines: list[str]) -> tuple[str, int]:
    """Return the YAML after a line `---`, and the number of lines up to its end.

    Return `("", 0)` if it does not end: the lines are code.
    """
    for number, line in enumerate(lines[1:], 1):
        if line.startswith("---"):
            return dedent("\n".join(lines[1:number])), number + 1
    return "", 0


def _option_lines(lines: list[str]) -> tuple[str, int]:
    """Return the YAML in leading lines with a colon, and their number."""
    used = 0
    # Three colons begin a fence.
    while used < len(lines) and re.match(r"\s*:(?!::)", lines[used]):
        used += 1
    # Without the first colon, `:key: value` is YAML. So are further lines of a value, which begin
    # with a colon, too.
    return "\n".join(line.lstrip()[1:] for line in lines[:used]), used


def _yaml_options(source: str) -> tuple[dict[str, Any], str]:
    if not source.strip():
        return {}, ""
    try:
        options = load_yaml(source)
    except YamlError as error:
        return {}, f"not valid YAML ({error})"
    if not isinstance(options, Mapping):
        return {}, "not a list of names and values"
    return dict(options), ""
