"""A project in which cells are run and traced, and the trace held against what is there later."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from sphinx_nbcache.traces.distributions import Environment, Python
from sphinx_nbcache.traces.facts import Fact
from sphinx_nbcache.traces.fingerprints import Fingerprints
from sphinx_nbcache.traces.names import PathNames
from sphinx_nbcache.traces.observe import observe
from sphinx_nbcache.traces.trace import Trace, verify
from sphinx_nbcache.traces.tracer_code import (
    TracerConfig,
    install_code,
    new_log,
    parse_report,
    report_expression,
    write_support,
)
from sphinx_nbcache.traces.world import World

# Bytecode in a tree of its own is not told from other files yet.
UNUSED = "PYTHONPYCACHEPREFIX"
OLD_NS = 1_600_000_000_123_456_789


def environment_here() -> dict[str, str]:
    """Return the environment in which kernels are traced here."""
    return {name: value for name, value in os.environ.items() if name != UNUSED}


def report(**more: Any) -> dict[str, Any]:
    """Return the report of a run in which nothing happened."""
    python = {
        "implementation": "CPython",
        "version": "3.11",
        "platform": "linux",
        "machine": "x86_64",
        "prefixes": [],
        "library": [],
        "sites": [],
    }
    empty_lists: tuple[str, ...] = (
        "removed",
        "moved",
        "made",
        "listings",
        "packages",
        "wanted",
        "asked_versions",
        "search",
    )
    empty_lists += ("processes", "hosts", "children", "errors", "proven", "changed")
    empty_lists += ("variables", "variable_parts")
    empty_maps: tuple[str, ...] = ("reads", "writes", "named", "inferred", "modules", "missing")
    empty_maps += ("others", "left")
    return {
        "schema": 4,
        "started": time.time_ns(),
        "python": python,
        "variables_shown": False,
        "handles": True,
        **{name: [] for name in empty_lists},
        **{name: {} for name in empty_maps},
        **more,
    }


class Shells:
    """A process that runs each list of cells in a fork of its own.

    `NBCACHE_TEST_PYTHON` names another interpreter that has IPython and PyYAML.
    """

    def __init__(self) -> None:
        server = Path(__file__).parent / "trace_server.py"
        python = os.environ.get("NBCACHE_TEST_PYTHON", sys.executable)
        self._process = subprocess.Popen(
            [python, str(server)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment_here(),
        )

    def ask(
        self, request: dict[str, Any], pause: Callable[[int], None] | None = None
    ) -> dict[str, Any]:
        """Return the answer to a request.

        Args:
            request: The cells, and how to run them.
            pause: Called before each cell and after the last one, with the number of cells that
                were run so far. The process that runs them waits meanwhile.
        """
        self._send(json.dumps({**request, "pauses": pause is not None}))
        while "paused" in (answer := self._receive()):
            assert pause is not None
            pause(answer["paused"])
            self._send("go on")
        return answer

    def resume(self, pause: Callable[[int], None]) -> None:
        """Let the process that runs cells go on to its end, for a caller that was killed."""
        self._send("go on")
        while "paused" in (answer := self._receive()):
            pause(answer["paused"])
            self._send("go on")

    def abandon(self) -> None:
        """End the process that runs cells and waits, for a caller of `ask` that was killed."""
        self._send("")
        assert self._receive() == {}

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return dict(json.loads(self._process.stdout.readline().strip() or "{}"))

    def close(self) -> None:
        self._process.communicate()


@dataclass
class Traced:
    """A trace, and the report that it was made of."""

    trace: Trace
    report: dict[str, Any]
    output: str

    def all(self, kind: type[Any]) -> list[Any]:
        return [fact for fact in self.trace.facts if isinstance(fact, kind)]

    def paths(self, kind: type[Any]) -> list[str]:
        return [fact.path for fact in self.all(kind)]

    def one(self, path: str) -> Fact:
        found = [fact for fact in self.trace.facts if getattr(fact, "path", None) == path]
        assert len(found) == 1, found
        return found[0]


@dataclass
class Project:
    """A project in a temporary folder, with files of old times."""

    root: Path
    shells: Shells | None = None
    variables: dict[str, str] = field(default_factory=dict)
    python: Python | None = None
    options: dict[str, Any] = field(default_factory=dict)
    source: str = ""

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)

    def write(self, name: str, text: str = "1", *, old: bool = True) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if old:
            os.utime(path, ns=(OLD_NS, OLD_NS))
        return path

    def world(self) -> World:
        """The world as it is now."""
        places = PathNames(
            str(self.root), home=str(self.root.parent / "home"), temporary=(), **self.options
        )
        variables = {**environment_here(), **self.variables}
        python = self.python
        environment = Environment.of(python, variables) if python is not None else None
        return World(places, Fingerprints(), environment, variables)

    def config(self, *, startup: bool = False) -> TracerConfig:
        support = self.root.parent / "support"
        support.mkdir(exist_ok=True)
        write_support(support)
        return TracerConfig(
            root=str(self.root), log=new_log(support), support=str(support), startup=startup
        )

    def run(
        self, *cells: str, directory: str = ".", preload: Sequence[str] = (), further: str = ""
    ) -> Traced:
        """Run cells in a shell that has loaded these modules; trace it.

        Code in `further` is executed once the tracer is there.
        """
        assert self.shells is not None
        answer = self.shells.ask(
            {
                "directory": str(self.root / directory),
                "variables": self.variables,
                "install": install_code(self.config()) + further,
                "cells": cells,
                "expression": report_expression(),
                "preload": list(preload),
            }
        )
        return self.traced(json.loads(answer["report"]), answer["output"], cells)

    def traced(self, report: dict[str, Any], output: str, cells: Sequence[str]) -> Traced:
        assert report.get("errors") == []
        found = report["python"]
        self.python = msgspec.convert(found, Python)
        trace = observe(report, self.world(), [*cells, output], self.source)
        encoded = msgspec.json.encode(trace)
        assert msgspec.json.decode(encoded, type=Trace) == trace
        return Traced(trace, report, output)

    def says(self, traced: Traced) -> str | None:
        """Return what is said of a trace now."""
        mismatch = verify(traced.trace, self.world())
        return str(mismatch) if mismatch is not None else None


class Kernel:
    """A real kernel with a tracer in it."""

    def __init__(self, project: Project, *, startup: bool = False) -> None:
        from jupyter_client.manager import KernelManager

        self._manager: Any = KernelManager(kernel_name="python3")
        self._manager.start_kernel(
            cwd=str(project.root),
            env=environment_here(),
            extra_arguments=["--HistoryManager.hist_file=:memory:"],
            stderr=subprocess.DEVNULL,
        )
        self._client: Any = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=60)
        self.silently(install_code(project.config(startup=startup)))

    def silently(self, code: str, **expressions: str) -> dict[str, Any]:
        """Execute what leaves no trace; return the values of expressions."""
        reply = self._client.execute_interactive(
            code, silent=True, store_history=False, user_expressions=expressions, timeout=60
        )
        assert reply["content"]["status"] == "ok", reply["content"]
        return dict(reply["content"]["user_expressions"])

    def run(self, code: str) -> str:
        """Run a cell; return what it printed."""
        printed: list[str] = []

        def keep(message: dict[str, Any]) -> None:
            content = message["content"]
            data = content.get("data", {}).get("text/plain", "")
            printed.append(content.get("text") or data or "\n".join(content.get("traceback", [])))

        self._client.execute_interactive(code, output_hook=keep, timeout=60)
        return "".join(printed)

    def report(self) -> dict[str, Any]:
        return parse_report(self.silently("", r=report_expression())["r"])

    def close(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()
