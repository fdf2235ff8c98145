"""How cells look in their pages: options, and what notebooks and cells say instead.

They change no result, and run nothing. In a notebook and in a cell they stand below `nbcache`, or
as in MyST-NB below `mystnb`. The nearest counts: that of the cell, then that of its notebook.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeVar

from sphinx_nbcache import look_values, values
from sphinx_nbcache.options import Option, option
from sphinx_nbcache.text import did_you_mean

Dialect = Literal["gfm", "commonmark", "myst"]
Stderr = Literal["show", "remove", "remove-warn", "warn", "error", "severe"]
OURS, MYST_NB = "nbcache", "mystnb"
_Looks = TypeVar("_Looks", bound="Looks")


def _look(
    default: Any, check: Callable[[Any], Any], name: str, theirs: str | None = None, **declared: Any
) -> Any:
    """Declare an option that notebooks and cells may override.

    Args:
        default: Its raw value.
        check: Its check.
        name: Its name.
        theirs: Its name in the metadata of cells for MyST-NB, if it is not the same; empty if
            MyST-NB has none.
        declared: The rest of the declaration.
    """
    theirs = name if theirs is None else theirs
    return option(
        default,
        check,
        rebuild="env",
        per_notebook=f"{OURS}.{name}",
        per_cell=name,
        in_myst_nb=declared.pop("in_myst_nb", theirs),
        per_cell_in_myst_nb=theirs,
        **declared,
    )


def _switch(name: str, **declared: Any) -> Any:
    """Declare an option that is off by default."""
    return _look(False, values.switch, name, expects="`True` or `False`", **declared)  # noqa: FBT003


@dataclass(frozen=True, kw_only=True, slots=True)
class Looks:
    """The options on how cells look."""

    prompts: bool = _switch(
        "prompts",
        theirs="",
        help="Show the execution count of each cell, as Jupyter does: `[3]:`.",
    )
    number_source_lines: bool = _switch(
        "number_source_lines",
        help="Number the lines of code cells.",
    )
    emphasize_lines: str = _look(
        "",
        look_values.line_numbers,
        "emphasize_lines",
        is_project_wide=False,
        expects="line numbers and ranges, such as `1,3-5`",
        help="The lines of a code cell that are emphasised.",
    )
    remove_code_source: bool = _switch(
        "remove_code_source",
        help="Leave out the code of cells.",
    )
    remove_code_outputs: bool = _switch(
        "remove_code_outputs",
        help="Leave out the outputs of cells.",
    )
    scroll_outputs: bool = _switch(
        "scroll_outputs",
        help="Show long outputs in a box that scrolls.",
    )
    code_prompt_show: str = _look(
        "Show code cell {type}",
        look_values.words,
        "code_prompt_show",
        expects="a text",
        help="The words that unfold what a tag `hide-…` folds. `{type}` is `content`, `source`,"
        " `output` or `outputs`.",
    )
    code_prompt_hide: str = _look(
        "Hide code cell {type}",
        look_values.words,
        "code_prompt_hide",
        expects="a text",
        help="The words that fold it again.",
    )
    output_stderr: Stderr = _look(
        "show",
        values.one_of("show", "remove", "remove-warn", "warn", "error", "severe"),
        "output_stderr",
        expects='`"show"`, `"remove"`, `"remove-warn"`, `"warn"`, `"error"`, `"severe"`',
        help='What happens to standard error output. `"show"`: the page shows it. `"remove"`: it'
        ' does not. `"remove-warn"`: it does not, and a warning says so. `"warn"`, `"error"`,'
        ' `"severe"`: the page shows it, and a warning or an error names its cell.',
    )
    merge_streams: bool = _switch(
        "merge_streams",
        help="Join the texts of one stream among the outputs that are stored in a file. Those of a"
        " run are always joined.",
    )
    text_lexer: str = _look(
        "",
        look_values.lexer,
        "text_lexer",
        in_myst_nb="render_text_lexer",
        expects="the name of a lexer of Pygments",
        help="The lexer for streams and plain text. By default they have the colours that were"
        " printed.",
    )
    error_lexer: str = _look(
        "",
        look_values.lexer,
        "error_lexer",
        in_myst_nb="render_error_lexer",
        expects="the name of a lexer of Pygments",
        help="The lexer for tracebacks. By default they have the colours of the kernel.",
    )
    image: Mapping[str, Any] = _look(
        {},
        look_values.image_options,
        "image",
        in_myst_nb="render_image_options",
        expects="a dictionary with any of `width`, `height`, `scale`, `align`, `alt`, `classes`",
        help="How images are shown, as in the directive `image`. A size that the output itself"
        " names takes precedence.",
    )
    figure: Mapping[str, Any] = _look(
        {},
        look_values.figure_options,
        "figure",
        in_myst_nb="render_figure_options",
        expects="a dictionary with any of `caption`, `caption_before`, `name`, `align`, `width`,"
        " `classes`",
        help="Makes a figure of outputs, with a caption in Markdown. The figure is numbered as"
        " others are, and can be referred to by its name.",
    )
    table: Mapping[str, Any] = _look(
        {},
        look_values.figure_options,
        "table",
        "",
        expects="a dictionary as for `nbcache_figure`",
        help="The same for tables: the output is numbered among tables.",
    )
    markdown: Dialect = _look(
        "gfm",
        look_values.dialect,
        "markdown",
        "markdown_format",
        in_myst_nb="render_markdown_format",
        expects='`"gfm"`, `"commonmark"`, `"myst"`',
        help='How Markdown outputs are read. `"gfm"`: as Jupyter does, with tables, struck-out text'
        ' and footnotes. `"commonmark"`: without these. `"myst"`: as pages of the project, with'
        " directives and roles. All have formulas.",
    )
    mime_priority: tuple[str, ...] | Mapping[str, tuple[str, ...]] = _look(
        [],
        look_values.mime_priority,
        "mime_priority",
        "render_priority",
        in_myst_nb="render_priority",
        expects="a list of MIME types, or a dictionary from the name of a builder to such a list",
        help="The forms of outputs that are taken before those that suit the builder best, such as"
        ' `["image/png", "text/latex"]`. Forms that the builder cannot show are passed over; those'
        ' with a hyphen before them, as in `"-text/html"`, are never taken. In a dictionary, `"*"`'
        " stands for the builders that it does not name.",
    )

    def lines_to_emphasize(self, count: int) -> list[int]:
        """Return the numbers of the lines that are emphasised, of a cell with this many."""
        lines: set[int] = set()
        for part in self.emphasize_lines.replace(" ", "").split(","):
            first, dash, last = part.partition("-")
            if first:
                end = int(last) if last else (count if dash else int(first))
                lines.update(range(int(first), min(end, count) + 1))
        return sorted(lines & set(range(1, count + 1)))


def looks_in(
    looks: _Looks, metadata: Mapping[str, Any], theirs: str = MYST_NB, *, is_cell: bool
) -> tuple[_Looks, list[str]]:
    """Return looks with what the metadata of a notebook or a cell say instead, and their problems.

    Args:
        looks: The looks of the project, or of the notebook.
        metadata: The metadata of the notebook, or of the cell.
        theirs: The section in the words of MyST-NB: the option `nbcache_metadata_key`.
        is_cell: Whether it is that of a cell.
    """
    changes: dict[str, Any] = {}
    problems: list[str] = []
    for section in dict.fromkeys((theirs, OURS)):
        given = metadata.get(section, {})
        # The settings of a notebook below our own key are checked with its other ones.
        is_checked = section == OURS and not is_cell
        if not isinstance(given, Mapping):
            if not is_checked:
                problems.append(f"{section} = {given!r:.200} is not a mapping")
            continue
        names = dict(_names(section, is_cell=is_cell)) if given else {}
        for key, value in given.items():
            if key in names:
                name, check = names[key]
                try:
                    changes[name] = check(value)
                except ValueError as expected:
                    if not is_checked:
                        problems.append(f"{section}.{key} = {value!r:.200} is not {expected}")
            elif is_cell:
                problems.append(f"nothing reads `{section}.{key}`{did_you_mean(key, names)}")
    return (replace(looks, **changes) if changes else looks), problems


def _names(section: str, *, is_cell: bool) -> Iterator[tuple[str, tuple[str, Any]]]:
    """Yield each key of a section, with the name and the check of its option."""
    for item in fields(Looks):
        declared: Option = item.metadata["option"]
        if section == OURS:
            key = declared.per_cell
        else:
            key = declared.per_cell_in_myst_nb if is_cell else declared.in_myst_nb
        if key:
            yield key, (item.name, declared.check)
