"""Texts to execute in a kernel: to start its tracer, and to ask for the report."""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from sphinx_nbcache.traces import in_kernel

# Hidden from `%who`: nothing of it is a name of the user's.
_PACKAGE = "_nbcache_trace"
_BOOTSTRAP = """
import sys, types
sys.modules[PACKAGE] = types.ModuleType(PACKAGE)
sys.modules[PACKAGE].__path__ = []
for name, source in SOURCES:
    module = types.ModuleType(PACKAGE + "." + name)
    module.__package__ = PACKAGE
    sys.modules[module.__name__] = module
    exec(compile(source, "<nbcache " + name + ">", "exec", dont_inherit=True), module.__dict__)
module.install(CONFIG)
"""
_SITECUSTOMIZE = '''
"""Traces this process for sphinx_nbcache, and then loads what it stands in front of."""
import importlib.machinery
import importlib.util
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = os.environ.get("NBCACHE_TRACE")
if CONFIG:
    try:
        exec(compile(BOOTSTRAP, "<nbcache>", "exec"), {**VALUES, "CONFIG": json.loads(CONFIG)})
    except Exception:
        pass  # without a trace, but not without running

sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != HERE]
found = importlib.machinery.PathFinder.find_spec("sitecustomize", sys.path)
if found is not None and found.loader is not None:
    found.loader.exec_module(importlib.util.module_from_spec(found))
'''


class TracerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What the tracer is told.

    Attributes:
        root: The root, absolute.
        log: A file to which child processes write; without it they are not traced.
        support: A folder that [](write_support) has filled, for the same purpose.
        quiet: Further directories whose files do not count, such as the store.
        own_variables: Environment variables that were set for the kernel by us.
        startup: Whether files of the IPython profile count: not if the profile is ours.
    """

    root: str
    log: str | None = None
    support: str | None = None
    quiet: tuple[str, ...] = ()
    own_variables: tuple[str, ...] = ()
    startup: bool = True


def install_code(config: TracerConfig) -> str:
    """Return the source that starts the tracer: to be executed silently, before the first cell.

    It leaves no name behind. Executing it again does nothing.
    """
    values = {**_values(), "CONFIG": msgspec.to_builtins(config)}
    code = f"exec(compile({_BOOTSTRAP!r}, '<nbcache>', 'exec'), {values!r})"
    return f"if {_PACKAGE!r} not in __import__('sys').modules: {code}"


def report_expression() -> str:
    """Return the expression whose value is the report, for `user_expressions`."""
    return f"__import__('sys').modules['{_PACKAGE}.tracer'].report()"


def parse_report(reply: Any) -> dict[str, Any]:
    """Return the report in what a kernel answered for the expression; empty if there is none.

    Args:
        reply: The value of the expression in `user_expressions` of an `execute_reply`.
    """
    try:
        text = ast.literal_eval(reply["data"]["text/plain"])
        report = json.loads(text)
    except (KeyError, TypeError, ValueError, SyntaxError, MemoryError, RecursionError):
        return {}
    return report if isinstance(report, dict) else {}


def write_support(folder: Path) -> None:
    """Write what Python processes, which a kernel starts, load to be traced as well."""
    values = _values()
    text = f"BOOTSTRAP = {_BOOTSTRAP!r}\nVALUES = {values!r}\n{_SITECUSTOMIZE}"
    (folder / "sitecustomize.py").write_text(text, encoding="utf-8")


@cache
def _sources() -> tuple[tuple[str, str], ...]:
    folder = files(in_kernel)
    return tuple(
        (name, folder.joinpath(f"{name}.py").read_text(encoding="utf-8"))
        for name in in_kernel.MODULES
    )


def _values() -> dict[str, Sequence[Any]]:
    return {"PACKAGE": _PACKAGE, "SOURCES": _sources()}


def new_log(folder: Path) -> str:
    """Return the path of an empty log for children, readable by the user alone."""
    path = folder / "children.jsonl"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    return str(path)
