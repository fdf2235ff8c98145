"""The parser of notebooks: source → doctree with a placeholder for each code cell.

Every format takes one path. Other Markdown files are passed to myst-parser unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

from docutils import nodes
from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode
from myst_parser.config.main import MdParserConfig, merge_file_level
from myst_parser.mdit_to_docutils import base
from myst_parser.mdit_to_docutils.sphinx_ import SphinxRenderer
from myst_parser.parsers.mdit import create_md_parser
from myst_parser.parsers.sphinx_ import MystParser
from myst_parser.warnings_ import create_warning
from sphinx.environment import BuildEnvironment

from sphinx_nbcache.config import Settings
from sphinx_nbcache.extension.config_values import settings_of
from sphinx_nbcache.extension.directives import CodeCellNode
from sphinx_nbcache.extension.domain import note_files
from sphinx_nbcache.extension.handover import unreadable_section
from sphinx_nbcache.extension.log import LOGGER
from sphinx_nbcache.extension.tokens import notebook_tokens
from sphinx_nbcache.looks import Looks, looks_in
from sphinx_nbcache.notebooks.formats import Formats, read_notebook
from sphinx_nbcache.notebooks.notebook import Cell, Notebook, NotebookError, NumberedCell
from sphinx_nbcache.notebooks.own_settings import SettingProblem
from sphinx_nbcache.notebooks.scan import cell_digest
from sphinx_nbcache.notices import WARNING_TYPE, Topic
from sphinx_nbcache.options import PREFIX
from sphinx_nbcache.rendering.cells import removing_tags
from sphinx_nbcache.rendering.figures import new_figure
from sphinx_nbcache.rendering.images import (
    SUFFIXES,
    image_content,
    image_folder,
    image_uri,
    write_image,
)
from sphinx_nbcache.text import for_markup

# Syntax of Jupyter's Markdown cells beyond CommonMark and MyST, and blocks of MyST pages.
_EXTENSIONS = frozenset({"dollarmath", "amsmath", "colon_fence"})
_RAW_FORMATS = {
    "text/html": "html",
    "html": "html",
    "text/latex": "latex",
    "latex": "latex",
}
# Keys of data that Sphinx forgets when a page has been read: whether its file was parsed, and
# MyST's settings for it.
_PARSED, _CONFIG = "nbcache_parsed", "nbcache_myst_config"
_RAW_MARKDOWN = frozenset({"text/markdown", "markdown"})


class NotebookParser(MystParser):
    """Parses notebooks of every format, and ordinary MyST Markdown."""

    supported = ("md", "markdown", "myst", "nbcache")  # type: ignore[misc]  # as in myst-parser

    def parse(self, inputstring: str, document: nodes.document) -> None:
        """Fill a document from the text of its source file, or from some other Markdown text.

        Sphinx passes each translated message to the parser of the page's file type (see
        `sphinx.transforms.i18n`), and other extensions do so with texts of their own.
        """
        env: BuildEnvironment = document.settings.env
        path = Path(env.doc2path(env.docname))
        # For example, messages of a catalog, which Sphinx passes to the parser of the page's file
        # type (https://github.com/sphinx-doc/sphinx/pull/12238 proposes another way): as files,
        # they would be no notebooks.
        if not _is_own_text(env, document, path):
            self._parse_other_text(inputstring, document)
            return
        try:
            fmt = Formats(env.config[PREFIX + "formats"]).format_of(path.name, inputstring)
            if fmt is None:
                super().parse(inputstring, document)
                return
            notebook = read_notebook(inputstring, fmt, path.parent)
        except NotebookError as error:
            self._render(Notebook({}, ()), document)
            # A page all the same: a toctree that names it stays valid, and the error is where its
            # author looks.
            problem = SettingProblem(str(error), error.line)
            document += unreadable_section(path.name, problem)
            return
        # Sphinx reads the page again when a loaded file changes; it knows only the source itself
        # (https://www.sphinx-doc.org/en/master/extdev/envapi.html).
        note_files(env, (path.parent / name for name in notebook.loaded))
        _remember_metadata(env, notebook)
        self._render(notebook, document)

    def _parse_other_text(self, text: str, document: nodes.document) -> None:
        """Parse text from elsewhere than the page's file as Markdown, with the page's settings."""
        # `temp_data` is emptied after each document, so this is never another page's
        # (https://www.sphinx-doc.org/en/master/extdev/envapi.html).
        config = document.settings.env.temp_data.get(_CONFIG)
        if config is None:
            super().parse(text, document)
            return
        parser = create_md_parser(config, SphinxRenderer)
        parser.options["document"] = document
        parser.render(text)

    def _render(self, notebook: Notebook, document: nodes.document) -> None:
        env: BuildEnvironment = document.settings.env
        config = env.temp_data[_CONFIG] = _config(env, notebook, document)
        parser = create_md_parser(config, NotebookRenderer)
        # myst-parser's renderer expects the document here, as its own parser puts it.
        parser.options["document"] = document
        md_env: dict[str, Any] = {}
        tokens = notebook_tokens(parser, notebook, md_env, _AttachmentFiles(env))
        renderer = parser.renderer
        assert isinstance(renderer, NotebookRenderer)
        renderer.notebook = notebook
        renderer.render(tokens, parser.options, md_env)


class NotebookRenderer(SphinxRenderer):
    """myst-parser's renderer, with placeholders for code cells and with raw cells."""

    notebook: Notebook

    def __init__(self, parser: MarkdownIt) -> None:
        super().__init__(parser)
        self._nested: list[tuple[int, NumberedCell]] | None = None

    def setup_render(self, options: Any, env: Any) -> None:
        """Set up the renderer for the document in the options."""
        # myst-parser makes a document of its own first, with all settings of docutils, also where
        # one is given (`setup_render` in `myst_parser/mdit_to_docutils/base.py`, 5.2). It takes a
        # thirtieth of the time of a build.
        with _no_spare_document():
            super().setup_render(options, env)

    @cached_property
    def cells(self) -> tuple[NumberedCell, ...]:
        """The code cells that have code."""
        return self.notebook.code_cells

    @cached_property
    def code(self) -> tuple[str, ...]:
        """The digests of these cells."""
        return tuple(cell_digest(item.cell.source) for item in self.cells)

    @cached_property
    def lexer(self) -> str:
        """The language for highlighting that the notebook itself names."""
        return _lexer(self.notebook)

    def render_nbcache_code_cell(self, token: SyntaxTreeNode) -> None:
        """Render a code cell at the top level of the notebook."""
        position = token.meta["position"]
        node = self.placeholder(position, self.cells[position])
        self.add_line_and_source_path(node, token)
        self.current_node.append(node)

    def render_nbcache_raw_cell(self, token: SyntaxTreeNode) -> None:
        """Render a raw cell for the builders that its format names; others do not show it."""
        metadata = token.meta["cell"].metadata
        mime = str(metadata.get("format") or metadata.get("raw_mimetype") or "")
        if mime in _RAW_MARKDOWN:
            self.nested_render_text(token.content, token.map[0] if token.map else 0)
        elif mime in _RAW_FORMATS:
            raw = nodes.raw(token.content, token.content, format=_RAW_FORMATS[mime])
            self.add_line_and_source_path(raw, token)
            self.current_node.append(raw)

    def nested_placeholder(self, source: str, line: int) -> CodeCellNode | None:
        """Return the placeholder of the code cell with this source inside another block.

        If several cells have the same source, the nearest to the line is chosen.
        """
        if self._nested is None:
            cells = enumerate(self.cells)
            self._nested = [(position, item) for position, item in cells if item.cell.nested]
        digest = cell_digest(source)
        same = [found for found in self._nested if self.code[found[0]] == digest]
        if not same:
            return None
        nearest = min(same, key=lambda found: abs(found[1].cell.line - line))
        # Each cell is placed once: a second block with equal source gets the next one.
        self._nested.remove(nearest)
        return self.placeholder(*nearest)

    def placeholder(self, position: int, item: NumberedCell) -> CodeCellNode:
        """Return the placeholder of a code cell."""
        cell = item.cell
        key = self._settings.metadata_key
        looks, problems = looks_in(self.looks, cell.metadata, key, is_cell=True)
        node = CodeCellNode(
            "",
            classes=["cell", *(f"tag_{_class(tag)}" for tag in sorted(item.cell.tags))],
            nb_element="cell_code",
            cell=cell,
            number=item.number,
            position=position,
            code=self.code,
            lexer=self.lexer,
            looks=looks,
            widgets=self.notebook.metadata.get("widgets"),
        )
        for problem in problems:
            self._warn(f"code cell {item.number}: in its metadata, {problem}", cell.line)
        is_shown = not (removing_tags(cell.tags) or looks.remove_code_outputs)
        if (looks.figure or looks.table) and is_shown:
            node += self._figure(looks, item)
        return node

    @cached_property
    def _settings(self) -> Settings:
        return settings_of(self.sphinx_env.config)[0]

    @cached_property
    def looks(self) -> Looks:
        """How cells look in this notebook."""
        settings = self._settings
        key = settings.metadata_key
        looks, problems = looks_in(settings, self.notebook.metadata, key, is_cell=False)
        for problem in problems:
            self._warn(f"in the metadata of the notebook, {problem}", 1)
        return looks

    def _figure(self, looks: Looks, item: NumberedCell) -> nodes.figure:
        """Return the figure for the outputs of a cell, which has the caption but no output.

        Sphinx collects names and numbers from pages that have no outputs yet.
        """
        options, cell = looks.table or looks.figure, item.cell
        content = nodes.Element()
        if caption := str(options.get("caption", "")):
            with self.current_node_context(content):
                self.nested_render_text(caption, max(cell.line - 1, 0))
        parts = content.children
        if parts and not isinstance(parts[0], nodes.paragraph):
            # Writers expect words in a caption.
            words = caption.strip().partition("\n")[0]
            parts = [nodes.paragraph(words, words), *parts]
            text = "the caption of its figure must begin with a paragraph"
            self._warn(f"code cell {item.number}: {text}", cell.line)
        figure = new_figure(options, parts, is_table=bool(looks.table))
        if name := nodes.fully_normalize_name(options.get("name", "")):
            if name in self.document.nameids:
                text = f"the name {name!r} of its figure is there already; write another"
                self._warn(f"code cell {item.number}: {text}", cell.line)
            else:
                figure["names"].append(name)
                self.document.note_explicit_target(figure, figure)
        return figure

    def _warn(self, text: str, line: int) -> None:
        LOGGER.warning(
            "%s",
            text,
            type=WARNING_TYPE,
            subtype=Topic.CONFIG.value,
            location=(self.sphinx_env.docname, line or None),
        )


def _class(tag: str) -> str:
    return "_".join(for_markup(tag).split())


def _is_own_text(env: BuildEnvironment, document: nodes.document, path: Path) -> bool:
    """Tell whether the parser received the text of the page's file.

    The text itself does not show it: extensions may change it after Sphinx has read it. Later texts
    of the same page are not the file's, even if they claim to be.
    """
    is_first = not env.temp_data.get(_PARSED, False)
    if is_first and Path(str(document.get("source", ""))) == path:
        env.temp_data[_PARSED] = True
        return True
    return False


class _AttachmentFiles:
    """Writes the files of attachments, and returns their URIs."""

    _types: ClassVar[Sequence[str]] = tuple(SUFFIXES)

    def __init__(self, env: BuildEnvironment) -> None:
        self._env = env

    def __call__(self, cell: Cell, name: str) -> str | None:
        """Return the URI of an attachment of a cell; `None` if there is none."""
        # markdown-it percent-encodes URLs; the key in the notebook is the name as it was typed.
        bundle = cell.attachments.get(unquote(name), cell.attachments.get(name, {}))
        for mime in self._types:
            if mime in bundle:
                try:
                    content = image_content(bundle[mime], mime)
                except (ValueError, TypeError):
                    continue
                path = write_image(content, SUFFIXES[mime], image_folder(self._env))
                return image_uri(self._env, path)
        return None


def _lexer(notebook: Notebook) -> str:
    """Return the language for highlighting that the notebook itself names."""
    info = notebook.metadata.get("language_info")
    named = info.get("pygments_lexer") if isinstance(info, dict) else None
    if isinstance(named, str) and named:
        return named
    # Not `python`: magics such as `%time` would be highlighting errors
    # (https://ipython.readthedocs.io/en/stable/interactive/magics.html).
    return "ipython3" if notebook.language in ("python", "") else notebook.language


@contextmanager
def _no_spare_document() -> Iterator[None]:
    """Let myst-parser make no document that it does not use: `_render` always gives one."""
    make = getattr(base, "make_document", None)
    if make is None:
        yield  # a later version, which may not make one
        return
    base.make_document = lambda *_: None  # type: ignore[assignment]
    try:
        yield
    finally:
        base.make_document = make


def _config(env: BuildEnvironment, notebook: Notebook, document: nodes.document) -> MdParserConfig:
    """Return myst-parser's configuration for a notebook."""
    config: MdParserConfig = env.myst_config  # type: ignore[attr-defined]  # set by myst-parser
    config = config.copy(
        enable_extensions={*config.enable_extensions, *_EXTENSIONS}, dmath_double_inline=True
    )
    if "myst" not in notebook.metadata:
        return config

    def warn(subtype: Any, text: str) -> None:
        create_warning(document, text, subtype, line=1, append_to=document)

    # The key `myst` alone: for deprecated keys at the top level, this function changes the mapping
    # that it gets (myst-parser 5.2).
    merged: MdParserConfig = merge_file_level(config, {"myst": notebook.metadata["myst"]}, warn)
    return merged


def _remember_metadata(env: BuildEnvironment, notebook: Notebook) -> None:
    """Put the kernel where themes and sphinx-thebe look for it."""
    kernelspec = notebook.metadata.get("kernelspec")
    if isinstance(kernelspec, dict):
        env.metadata[env.docname]["kernelspec"] = kernelspec
