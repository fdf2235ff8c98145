"""Runs cells in forks of one process that has IPython loaded: quick, and otherwise real.

Reads requests as lines of JSON, answers each with a line: the report of the tracer.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
from typing import Any


def serve() -> None:
    from IPython.core.interactiveshell import InteractiveShell

    # Sub-processes of cells write to the standard output, too.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    shell: Any = InteractiveShell.instance()
    shell.history_manager.enabled = False
    gc.collect()
    gc.freeze()  # collections in forks would copy every page of what was loaded
    for line in sys.stdin:
        request = json.loads(line)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            answer = run(shell, request, answers.fileno())
            with os.fdopen(writer, "w") as stream:
                stream.write(json.dumps(answer))
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as stream:
            answers.write(stream.read() + "\n")
        os.waitpid(child, 0)
        answers.flush()


def run(shell: Any, request: dict[str, Any], answers: int) -> dict[str, Any]:
    """Run the cells of a request in this process; answer between them if pauses are wanted."""
    import contextlib
    import io

    for name in request.get("preload", ()):
        importlib.import_module(name)
    os.chdir(request["directory"])
    os.environ.update(request["variables"])
    sys.path[:0] = [""]
    output = io.StringIO()
    errors = []
    with contextlib.redirect_stdout(output):
        shell.run_cell(request["install"], silent=True, store_history=False)
        for number, cell in enumerate(request["cells"]):
            pause(request, answers, number)
            result = shell.run_cell(cell, store_history=True)
            if result.error_in_exec is not None:
                errors.append(type(result.error_in_exec).__name__)
        pause(request, answers, len(request["cells"]))
        report = eval(request["expression"])
    error = errors[0] if errors else None
    return {"report": report, "output": output.getvalue(), "error": error}


def pause(request: dict[str, Any], answers: int, number: int) -> None:
    """Say how many cells were run, and wait for a line; an empty one ends this process.

    It uses descriptors, which the tracer does not see.
    """
    if not request.get("pauses"):
        return
    os.write(answers, b'{"paused": %d}\n' % number)
    line = b""
    while not line.endswith(b"\n"):
        read = os.read(0, 1)
        line += read or b"\n"  # who asked has gone
    if line == b"\n":
        os._exit(0)


if __name__ == "__main__":
    serve()
