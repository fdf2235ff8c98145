"""Source code to execute in a kernel: starts its tracer and requests the report."""

from __future__ import annotations

import importlib.util
import json
import marshal
import os
import tempfile
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from sphinx_nbcache.kernel_side import tracer
from sphinx_nbcache.kernel_side.tracer.watch import Watch, written_bytes
from sphinx_nbcache.python_code import parse_literal

# Every Python 3 reads this version of marshal, except for code objects, which differ between
# versions (https://docs.python.org/3/library/marshal.html).
_PORTABLE = 2
PACKAGE = "_nbcache_trace"
"""The package that holds the tracer's modules in a kernel."""
# Loads the tracer as modules without files: the kernel's environment need not have this package.
_LOAD = """
import importlib.util, marshal, sys, types
if FILE:
    with open(FILE, "rb") as file:
        MAGIC, CODES, SOURCES = marshal.load(file)
    if MAGIC == importlib.util.MAGIC_NUMBER:
        SOURCES = marshal.loads(CODES)
sys.modules[PACKAGE] = types.ModuleType(PACKAGE)
sys.modules[PACKAGE].__path__ = []
for name, code in SOURCES:
    module = types.ModuleType(PACKAGE + "." + name)
    module.__package__ = PACKAGE
    sys.modules[module.__name__] = module
    if isinstance(code, str):
        code = compile(code, "<nbcache " + name + ">", "exec", dont_inherit=True)
    exec(code, module.__dict__)
"""
_BOOTSTRAP = """
import sys
if PACKAGE not in sys.modules:
    exec(compile(LOAD, "<nbcache>", "exec"), {**globals()})
sys.modules[PACKAGE + ".tracer"].install(CONFIG)
"""
# The tracer's modules in the support directory: the compiler's magic number, code, and source.
# Unmarshalling is safe: the directory is a temporary one of ours, writable by the user only.
_FILE = "tracer.bin"
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
        values = {"PACKAGE": PACKAGE, "LOAD": LOAD, "FILE": os.path.join(HERE, FILE)}
        values["CONFIG"] = json.loads(CONFIG)
        exec(compile(BOOTSTRAP, "<nbcache>", "exec"), values)
    except Exception:
        pass  # without a trace, but not without running

sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != HERE]
found = importlib.machinery.PathFinder.find_spec("sitecustomize", sys.path)
if found is not None and found.loader is not None:
    found.loader.exec_module(importlib.util.module_from_spec(found))
'''


def tracing_means(folder: Path) -> dict[str, bool]:
    """Return the means by which a cell's actions are observed, and whether each is available.

    Nothing is written. The result depends on the file system: fanotify does not support all.

    Args:
        folder: A directory of the project.
    """
    return {
        "audit hooks": True,
        "fanotify": _can_watch(str(folder)),
        "/proc": written_bytes() is not None,
    }


def _can_watch(folder: str) -> bool:
    watch = Watch([folder])
    try:
        watch.add(folder)
        return bool(watch.is_known(os.path.join(folder, "any")))
    finally:
        watch.close()


class TracerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration of the tracer.

    Attributes:
        root: The root, absolute.
        log: A file to which child processes write; `None` if they are not traced.
        support: A directory filled by [](write_support), also for child processes.
        quiet: Further directories whose files are ignored, such as the store.
        startup: Whether files of the IPython profile are tracked; false if the profile is ours.
    """

    root: str
    log: str | None = None
    support: str | None = None
    quiet: tuple[str, ...] = ()
    startup: bool = True


def install_code(config: TracerConfig) -> str:
    """Return the source that starts the tracer, for silent execution before the first cell.

    The source defines no names in the user's namespace. Executing it again does nothing.
    """
    values = {"LOAD": _LOAD, **_values(config.support), "CONFIG": msgspec.to_builtins(config)}
    return _executing(_BOOTSTRAP, values)


def loading_code(support: str) -> str:
    """Return the source that loads the tracer's modules without starting it.

    Args:
        support: A directory filled by [](write_support).
    """
    return _executing(_LOAD, _values(support))


def _values(support: str | None) -> dict[str, Any]:
    if support is None:
        return {"PACKAGE": PACKAGE, "FILE": "", "SOURCES": _sources()}
    return {"PACKAGE": PACKAGE, "FILE": os.path.join(support, _FILE)}


def _executing(source: str, values: Mapping[str, Any]) -> str:
    # The dictionary is the namespace: names of the source do not reach the user's.
    return f"exec(compile({source!r}, '<nbcache>', 'exec'), {values!r})"


def report_expression() -> str:
    """Return the expression that evaluates to the report, for `user_expressions`."""
    return f"__import__('sys').modules['{PACKAGE}.tracer'].report()"


def parse_report(reply: Any) -> dict[str, Any]:
    """Return the report from a kernel's reply to the expression; empty if there is none.

    Args:
        reply: The value of the expression in `user_expressions` of an `execute_reply`.
    """
    # https://jupyter-client.readthedocs.io/en/stable/messaging.html#execution-results: the text is
    # the `repr` of the JSON.
    try:
        text = parse_literal(reply["data"]["text/plain"])
        report = json.loads(text)
    except (KeyError, TypeError, ValueError, SyntaxError, MemoryError, RecursionError):
        return {}
    return report if isinstance(report, dict) else {}


def write_support(folder: Path) -> None:
    """Write the files that a kernel and its Python subprocesses load to be traced.

    The directory is created if it is missing. Several kernels may fill it at the same time.
    """
    # Lazy import, because the first zygote waits for the import of this module.
    from sphinx_nbcache.files.atomic import replace_file

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, content in (("sitecustomize.py", _sitecustomize), (_FILE, _compiled)):
        if not (folder / name).exists():
            replace_file(folder / name, content())


def _sitecustomize() -> bytes:
    names = {"BOOTSTRAP": _BOOTSTRAP, "LOAD": _LOAD, "PACKAGE": PACKAGE, "FILE": _FILE}
    head = "".join(f"{name} = {value!r}\n" for name, value in names.items())
    return (head + _SITECUSTOMIZE).encode()


@cache
def _compiled() -> bytes:
    """Return the modules as code objects for this version of Python, and as source for others."""
    codes = [
        (name, compile(source, f"<nbcache {name}>", "exec", dont_inherit=True))
        for name, source in _sources()
    ]
    parts = importlib.util.MAGIC_NUMBER, marshal.dumps(codes), _sources()
    return marshal.dumps(parts, _PORTABLE)


@cache
def _sources() -> tuple[tuple[str, str], ...]:
    folder = files(tracer)
    return tuple(
        (name, folder.joinpath(f"{name}.py").read_text(encoding="utf-8")) for name in tracer.MODULES
    )


def with_log(config: TracerConfig) -> TracerConfig:
    """Return a copy for one kernel, with its own log in the support directory."""
    assert config.support is not None
    return msgspec.structs.replace(config, log=new_log(Path(config.support)))


def remove_log(config: TracerConfig) -> None:
    """Remove the log, if there is one."""
    if config.log is not None:
        Path(config.log).unlink(missing_ok=True)


def new_log(folder: Path) -> str:
    """Create an empty log for child processes, readable only by the user; return its path."""
    descriptor, path = tempfile.mkstemp(prefix="children-", suffix=".jsonl", dir=folder)
    os.close(descriptor)
    return path
