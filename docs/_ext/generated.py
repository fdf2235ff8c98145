"""Parts of the documentation that are made from the package, so that they cannot go stale."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from dataclasses import fields
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

import sphinx_nbcache
from sphinx_nbcache import config, looks, notices, planning
from sphinx_nbcache.config import declared_options
from sphinx_nbcache.options import PREFIX
from sphinx_nbcache.looks import Looks
from sphinx_nbcache.notices import WARNING_TYPE, Topic

LOGGER = logging.getLogger(__name__)
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"

_REBUILDS = {
    "": "pages are read again only if what they show changes",
    "env": "all pages are read again",
    "html": "all HTML pages are written again",
}


class Generated(SphinxDirective):
    """A directive that writes Markdown."""

    def from_markdown(self, lines: list[str], *sources: Path | str) -> list[nodes.Node]:
        """Return the nodes of Markdown made from source files, of which the page depends."""
        self._depend_on(*sources)
        return self.parse_text_to_nodes("\n".join(lines))

    def sections_from_markdown(self, lines: list[str], *sources: Path | str) -> list[nodes.Node]:
        """Return the nodes of Markdown that has headings."""
        self._depend_on(*sources)
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)

    def _depend_on(self, *sources: Path | str) -> None:
        for source in (inspect.getfile(type(self)), __file__, *sources):
            self.env.note_dependency(str(source))


class Options(Generated):
    """Every declared option, as a `confval`."""

    def run(self) -> list[nodes.Node]:
        lines: list[str] = []
        for name, (declared, default) in declared_options().items():
            lines += [
                f"````{{confval}} {PREFIX}{name}",
                f":type: {declared.expects}",
                f":default: `{default!r}`",
                "",
                declared.help,
                "",
                f"*When it is changed*, {_REBUILDS[declared.rebuild]}.",
                f"Code keys of notebooks {'can' if declared.in_key else 'do not'} change.",
                "",
            ]
            if declared.is_strict:
                lines += ["A value that cannot be used *ends the build*.", ""]
            if not declared.is_lasting:
                lines += ["The command line ignores it: it is for one build.", ""]
            if declared.per_notebook:
                verb = "adds to it" if declared.is_added else "overrides it"
                lines += [f"*A notebook {verb}* by `{declared.per_notebook}` in its metadata.", ""]
            if declared.flag is not None:
                names = ", ".join(f"`{flag}`" for flag in declared.flag.names)
                lines += [f"*`sphinx-nbcache execute` overrides it* by {names}.", ""]
            lines += ["````", ""]
        return self.from_markdown(lines, inspect.getfile(config), inspect.getfile(looks))


class OptionTable(Generated):
    """All options at a glance."""

    def run(self) -> list[nodes.Node]:
        lines = ["| Option | Default | Values |", "| --- | --- | --- |"]
        for name, (declared, default) in declared_options().items():
            values = declared.expects.replace("|", "\\|")
            lines.append(f"| {{confval}}`{PREFIX}{name}` | `{default!r}` | {values} |")
        return self.from_markdown(lines, inspect.getfile(config), inspect.getfile(looks))


class OwnSettings(Generated):
    """The metadata of notebooks that have a meaning: the overrides of options, and the content.

    The content are the rows of a table in Markdown, for keys that override no option.
    """

    has_content = True

    def run(self) -> list[nodes.Node]:
        lines = ["| Key | Meaning |", "| --- | --- |"]
        for name, declared in config.overrides().items():
            verb = "adds to" if declared.is_added else "overrides"
            lines.append(f"| `{declared.per_notebook}` | {verb} {{confval}}`{PREFIX}{name}` |")
        return self.from_markdown([*lines, *self.content], inspect.getfile(config))


class CellLooks(Generated):
    """How cells look: the keys in metadata, in our words and in those of MyST-NB."""

    def run(self) -> list[nodes.Node]:
        lines = ["| Below `nbcache` | Below `mystnb` | Values | Effect |", "| --- " * 4 + "|"]
        for item in fields(Looks):
            declared = item.metadata["option"]
            theirs = f"`{declared.per_cell_in_myst_nb}`" if declared.per_cell_in_myst_nb else ""
            cells = (f"`{declared.per_cell}`", theirs, declared.expects, declared.help)
            lines.append("| " + " | ".join(cells) + " |")
        return self.from_markdown(lines, inspect.getfile(looks))


class Warnings(Generated):
    """Every kind of warning, with its docstring."""

    def run(self) -> list[nodes.Node]:
        docs = ModuleAnalyzer.for_module(notices.__name__).find_attr_docs()
        lines = ["| Warning | Means |", "| --- | --- |"]
        for topic in Topic:
            text = " ".join(docs["Topic", topic.name]).strip()
            lines.append(f"| `{WARNING_TYPE}.{topic.value}` | {text} |")
        return self.from_markdown(lines, inspect.getfile(notices))


class Actions(Generated):
    """What can be done with a notebook, with the docstring of each."""

    def run(self) -> list[nodes.Node]:
        docs = ModuleAnalyzer.for_module(planning.__name__).find_attr_docs()
        lines = ["| Action | Means |", "| --- | --- |"]
        for action in planning.Action:
            text = " ".join(docs["Action", action.name]).strip()
            lines.append(f"| `{action.value}` | {text} |")
        return self.from_markdown(lines, inspect.getfile(planning))


class Dependencies(Generated):
    """The dependencies in `pyproject.toml`, each with the line of the content that justifies it.

    A dependency without a line, and a line without a dependency, is a warning.
    """

    has_content = True

    def run(self) -> list[nodes.Node]:
        reasons = dict(line.split(": ", 1) for line in self.content if line.strip())
        project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
        lines = ["| Library | At least | What for, and why this one |", "| --- | --- | --- |"]
        for requirement in project["dependencies"]:
            name, _, bound = re.fullmatch(r"([\w-]+)(>=)([\w.]+)", requirement).groups()
            if name not in reasons:
                LOGGER.warning("%s is not justified", name, location=self.get_location())
            lines.append(f"| {name} | {bound} | {reasons.pop(name, '')} |")
        for name in reasons:
            LOGGER.warning("%s is no dependency", name, location=self.get_location())
        return self.from_markdown(lines, PYPROJECT)


class Modules(Generated):
    """Every module of the package, with the first line of its docstring."""

    def run(self) -> list[nodes.Node]:
        top = Path(sphinx_nbcache.__file__).parent
        modules = sorted(top.rglob("*.py"), key=lambda path: (path.parent, path.name))
        lines = ["| Module | Subject |", "| --- | --- |"]
        for path in modules:
            docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            # The links of docstrings, `[](name)`, lead nowhere from here.
            subject = re.sub(r"\[\]\(([^)]*)\)", r"`\1`", docstring.partition("\n")[0])
            lines.append(f"| `{path.relative_to(top).as_posix()}` | {subject} |")
        return self.from_markdown(lines, *modules)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("nbcache-options", Options)
    app.add_directive("nbcache-option-table", OptionTable)
    app.add_directive("nbcache-own-settings", OwnSettings)
    app.add_directive("nbcache-looks", CellLooks)
    app.add_directive("nbcache-warnings", Warnings)
    app.add_directive("nbcache-actions", Actions)
    app.add_directive("nbcache-dependencies", Dependencies)
    app.add_directive("nbcache-modules", Modules)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
