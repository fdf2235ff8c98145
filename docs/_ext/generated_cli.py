"""The reference of the command line, made from its commands and from the documents of `--json`."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Iterator
from datetime import datetime

import click
import msgspec
from docutils import nodes
from generated import Generated
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

from sphinx_nbcache.cli import (PROGRAM, documents, cache, groups, jcache, options, project)
from sphinx_nbcache.report import as_json as report_as_json

_OPTION = re.compile(r"(?<![\w-])--?[A-Za-z][\w-]*")
_JSON_TYPES = {str: "string", int: "number", float: "number", bool: "boolean", datetime: "time"}


class Commands(Generated):
    """Every command: what it does, its arguments, its options, its names."""

    def run(self) -> list[nodes.Node]:
        lines = [
            "Every command and every group has these options:",
            "",
            *_options(jcache, common=True),
            "The program itself also has:",
            "",
            *_options(jcache, common=False),
        ]
        root = click.Context(jcache, info_name=PROGRAM)
        for name in ("execute", "explain", "report", "migrate"):
            lines += _command(jcache.commands[name], [name], root, level=2)
        for group in (project, cache):
            context = click.Context(group, info_name=group.name, parent=root)
            lines += [f"## `{group.name}`", "", inspect.cleandoc(group.help or ""), ""]
            for name in group.list_commands(context):
                lines += _command(group.commands[name], group.names_of(name), context, level=3)
        modules = {inspect.getmodule(command.callback) for command in _callbacks(jcache)}
        sources = [inspect.getfile(module) for module in modules if module is not None]
        return self.sections_from_markdown(lines, *sources, inspect.getfile(options))


class ExitCodes(Generated):
    """The exit codes, each with its docstring."""

    def run(self) -> list[nodes.Node]:
        docs = ModuleAnalyzer.for_module(groups.__name__).find_attr_docs()
        lines = ["| Code | Means |", "| --- | --- |"]
        for code in groups.Exit:
            lines.append(f"| {code.value} | {' '.join(docs['Exit', code.name]).strip()} |")
        return self.from_markdown(lines, inspect.getfile(groups))


class Documents(Generated):
    """Every document of `--json`, and what it is made of, field by field."""

    def run(self) -> list[nodes.Node]:
        docs = {
            name: text
            for module in (documents, report_as_json)
            for name, text in ModuleAnalyzer.for_module(module.__name__).find_attr_docs().items()
        }
        lines: list[str] = []
        for kind in documents.DOCUMENTS:
            lines += [f"## {inspect.cleandoc(kind.__doc__ or '').rstrip('.')}", ""]
            lines += _fields(kind, docs)
        for kind in _parts():
            lines += [f"({_label(kind)})=", f"## {_title(kind)}", ""]
            lines += [inspect.cleandoc(kind.__doc__ or ""), "", *_fields(kind, docs)]
        return self.sections_from_markdown(
            lines, inspect.getfile(documents), inspect.getfile(report_as_json)
        )


def _callbacks(group: click.Group) -> Iterator[click.Command]:
    for command in group.commands.values():
        yield command
        if isinstance(command, click.Group):
            yield from _callbacks(command)


def _command(
    command: click.Command, names: list[str], parent: click.Context, level: int
) -> list[str]:
    context = click.Context(command, info_name=names[0], parent=parent)
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    lines = [f"{'#' * level} `{names[0]}`", "", "```console", f"$ {usage}", "```", ""]
    lines += [_with_literals(inspect.cleandoc(command.help or "")), ""]
    if names[1:]:
        lines += [f"Other names: {', '.join(f'`{name}`' for name in names[1:])}.", ""]
    return lines + _options(command, common=False)


def _options(command: click.Command, *, common: bool) -> list[str]:
    """Return a list of those options that every command has, or of the others."""
    context = click.Context(command)
    lines: list[str] = []
    for param in command.params:
        record = param.get_help_record(context)
        if isinstance(param, click.Option) and record and options.is_common(param) is common:
            lines += [f"`{record[0]}`", f": {_with_literals(record[1])}", ""]
    return lines


def _with_literals(text: str) -> str:
    """Mark options as literal text: Sphinx would make one dash of the two of `--json`."""
    parts = text.split("`")
    parts[::2] = [_OPTION.sub(r"`\g<0>`", part) for part in parts[::2]]
    return "`".join(parts)


def _parts() -> list[type[msgspec.Struct]]:
    """Return the kinds of objects that documents hold, each after what it is part of."""
    found: list[type[msgspec.Struct]] = []
    waiting = list(documents.DOCUMENTS)
    while waiting:
        for hint in typing.get_type_hints(waiting.pop(0)).values():
            for kind in _structs_in(hint):
                if kind not in found:
                    found.append(kind)
                    waiting.append(kind)
    return found


def _structs_in(hint: object) -> Iterator[type[msgspec.Struct]]:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        yield hint
    for inner in typing.get_args(hint):
        yield from _structs_in(inner)


def _fields(kind: type[msgspec.Struct], docs: dict[tuple[str, str], list[str]]) -> list[str]:
    lines = ["| Field | Type | Means |", "| --- | --- | --- |"]
    hints = typing.get_type_hints(kind)
    for name in kind.__struct_fields__:
        owner = next(base for base in kind.__mro__ if (base.__name__, name) in docs)
        text = " ".join(docs[owner.__name__, name]).strip()
        lines.append(f"| `{name}` | {_type(hints[name])} | {text} |")
    return [*lines, ""]


def _type(hint: object) -> str:
    """Return a type in the words of JSON."""
    arguments = typing.get_args(hint)
    if isinstance(hint, types.UnionType):
        return " or ".join("null" if item is type(None) else _type(item) for item in arguments)
    if typing.get_origin(hint) is tuple:
        return f"list of {_type(arguments[0])}"
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return f"[{_title(hint)}](#{_label(hint)})"
    return _JSON_TYPES[hint]  # type: ignore[index]  # a new type has to be named here


def _title(kind: type[msgspec.Struct]) -> str:
    return kind.__name__.removesuffix("Item")


def _label(kind: type[msgspec.Struct]) -> str:
    return f"json-{_title(kind).lower()}"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("nbcache-commands", Commands)
    app.add_directive("nbcache-exit-codes", ExitCodes)
    app.add_directive("nbcache-json", Documents)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
