"""Light kernels: they are as other kernels are, and outputs stand where they were written."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import running
from running import job, kernels, soon, text

from sphinx_nbcache.execution import attempt
from sphinx_nbcache.execution.job import Job, Outcome
from sphinx_nbcache.kernel_side.zygote import private_names
from sphinx_nbcache.kernels.choosing import KernelStarts
from sphinx_nbcache.kernels.fitting import may_be_light, may_fork
from sphinx_nbcache.kernels.forked.starts import ForkStarts, kernel_starts
from sphinx_nbcache.kernels.streams import join_streams
from sphinx_nbcache.notices import Notice, say_nothing
from sphinx_nbcache.results.records import Status

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(not may_fork("light"), reason="works on Linux only"),
]
IS_LIGHT = "get_ipython().kernel.iopub_" + "thread is None"


def light(notify: Any = say_nothing) -> ForkStarts:
    starts = kernel_starts("light", (), list, notify)
    assert isinstance(starts, ForkStarts)
    return starts


@pytest.fixture(scope="module")
def starts() -> Iterator[ForkStarts]:
    """Light kernels; the test fails if one is an ordinary one."""
    told: list[Notice] = []
    with light(told.append) as made:
        yield made
    assert told == []


@pytest.fixture(scope="module")
def forks() -> Iterator[ForkStarts]:
    """Ordinary forked kernels."""
    with kernel_starts("fork", (), list, say_nothing) as made:
        assert isinstance(made, ForkStarts)
        yield made


def outcome_of(order: Job, starts: KernelStarts | None) -> Outcome:
    """Run a job in a kernel that does not know that this is a test: ipykernel asks for that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTEST_CURRENT_TEST")
        return running.outcome_of(order, starts)


def outputs(outcome: Outcome, number: int = 1) -> list[Any]:
    """Return the outputs of a cell: texts of streams, and the plain text of others."""
    assert outcome.failure is None, outcome.failure.traceback
    return [
        output["text"] if "text" in output else output["data"]["text/plain"]
        for output in outcome.outputs.cells[number - 1]
    ]


def test_a_light_kernel_has_one_thread_besides_those_of_ipython(
    tmp_path: Path, starts: ForkStarts, forks: ForkStarts
) -> None:
    code = "import os, threading\nprint([t.name for t in threading.enumerate()])"
    code += "\nprint(len(os.listdir('/proc/self/task')))"
    names, count = text(outcome_of(job(tmp_path, code), starts), 1).splitlines()
    # IPython's history has a thread in some versions.
    assert set(json.loads(names.replace("'", '"'))) <= {"MainThread", "IPythonHistorySavingThread"}
    assert int(count) <= 2
    assert int(text(outcome_of(job(tmp_path, code), forks), 1).splitlines()[1]) > 5


def test_what_c_and_commands_write_stands_where_it_was_written(
    tmp_path: Path, starts: ForkStarts, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
import ctypes, os, subprocess
c = ctypes.CDLL(None)
for number in range(20):
    print("python", number)
    c.printf(b"c %d\\n", number)
    display(number)
    os.write(1, b"descriptor\\n")
    subprocess.run("echo command; echo device > /dev/stdout; echo error >&2", shell=True)
    display(-number)
"""
    seen: list[list[Any]] = []

    def note(found: Any) -> Any:
        # A text may arrive in parts.
        grouped = groupby(found, lambda o: o.get("name") or id(o))
        joined = [list(group) for _, group in grouped]
        seen.append(
            ["".join(o.get("text") or o["data"]["text/plain"] for o in group) for group in joined]
        )
        return join_streams(found)

    monkeypatch.setattr(attempt, "join_streams", note)
    outcome = outcome_of(job(tmp_path, code), starts)
    assert outcome.failure is None
    assert seen[0] == [
        part
        for number in range(20)
        for part in (
            f"python {number}\nc {number}\n",
            str(number),
            "descriptor\ncommand\ndevice\n",
            "error\n",
            str(-number),
        )
    ]


def test_large_texts_arrive_whole_from_whoever_writes_them(
    tmp_path: Path, starts: ForkStarts
) -> None:
    code = (
        "import os, subprocess, sys\n"
        "print('é' * 1_000_000)\n"
        f"subprocess.run([{sys.executable!r}, '-c', 'print(\"x\" * 3_000_000)'])\n"
        "os.write(2, b'y' * 60_000)\n"
        "for n in range(30_000): print(n)\n"
        "b'z' * 200_000"
    )
    out, err, result = outputs(outcome_of(job(tmp_path, code), starts))
    numbers = "".join(f"{n}\n" for n in range(30_000))
    assert out == "é" * 1_000_000 + "\n" + "x" * 3_000_000 + "\n" + numbers
    assert err == "y" * 60_000
    assert len(result) == 200_003


@pytest.mark.parametrize(
    "code",
    [
        "while True: print('x' * 100)",
        "import subprocess\nsubprocess.run(['yes'])",
        "import ctypes\nwhile True: ctypes.CDLL(None).puts(b'x' * 100)",
        "!yes",
        "while True: display('x' * 100)",
    ],
)
def test_endless_output_ends_the_kernel_whoever_writes_it(
    tmp_path: Path, starts: ForkStarts, code: str
) -> None:
    begin = time.monotonic()
    outcome = outcome_of(job(tmp_path, code, output_limit=0.5), starts)
    assert outcome.failure is not None
    assert outcome.failure.name == "OutputLimitError"
    assert len(text(outcome, 1)) < 700_000
    assert time.monotonic() - begin < 30
    assert soon(lambda: not kernels())


def test_the_last_words_of_a_kernel_that_dies_are_in_its_cell(
    tmp_path: Path, starts: ForkStarts
) -> None:
    code = (
        "import os, signal\nprint('one')\nos.write(1, b'two')\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    outcome = outcome_of(job(tmp_path, "print('zero')", code), starts)
    assert outcome.status is Status.DIED
    assert outcome.failure is not None
    assert "SIGKILL" in outcome.failure.message
    assert (text(outcome, 1), text(outcome, 2)) == ("zero\n", "one\ntwo")


@pytest.mark.parametrize("code", ["exit", "quit()", "import sys\nsys.exit(3)", "raise SystemExit"])
def test_code_that_exits_does_the_same_in_all_kernels(
    tmp_path: Path, starts: ForkStarts, forks: ForkStarts, code: str
) -> None:
    order = job(tmp_path, "1", code)
    one, two = outcome_of(order, starts), outcome_of(order, forks)
    assert (one.status, one.outputs) == (two.status, two.outputs)


WIDGETS = [
    # Outputs of a widget are sent back to the kernel by the client, while the cell runs.
    "import ipywidgets as w\nout = w.Output()\nwith out:\n    print(0); display(1)\nprint('out')",
    "len(out.outputs)",
    "@w.interact(x=(0, 4))\ndef f(x=2):\n    print('x is', x)",
    "slider = w.IntSlider(3)\nslider",
    "import asyncio\nwith out:\n    for n in range(5):\n        print(n); await asyncio.sleep(0)",
    "len(out.outputs)",
]


def test_widgets_have_the_same_state_and_outputs(
    tmp_path: Path, starts: ForkStarts, forks: ForkStarts
) -> None:
    pytest.importorskip("ipywidgets")

    def seen(outcome: Outcome) -> Any:
        assert outcome.failure is None, outcome.failure.traceback
        cells = [
            [o.get("text") or sorted(o["data"]) for o in cell] for cell in outcome.outputs.cells
        ]
        states = outcome.outputs.widgets["state"].values()
        values = [
            (s["model_name"], s["state"].get("outputs"), s["state"].get("value")) for s in states
        ]
        return cells, sorted(map(str, values)), text(outcome, 2), text(outcome, 6)

    order = job(tmp_path, *WIDGETS)
    assert seen(outcome_of(order, starts)) == seen(outcome_of(order, forks))


def test_time_limits_interrupt_cells_and_the_kernel_ends(
    tmp_path: Path, starts: ForkStarts
) -> None:
    for code in (
        "print('begin')\nimport time\ntime.sleep(60)",
        "print('begin')\nimport asyncio\nawait asyncio.sleep(60)",
        "print('begin')\n!sleep 60",
        "print('begin')\nimport signal, time\nsignal.signal(2, signal.SIG_IGN)\ntime.sleep(60)",
    ):
        begin = time.monotonic()
        outcome = outcome_of(job(tmp_path, code, timeout=0.5), starts)
        assert outcome.status is Status.TIMEOUT
        assert text(outcome, 1).startswith("begin\n")
        assert time.monotonic() - begin < 20
    assert soon(lambda: not kernels())


def test_an_interrupt_in_the_middle_of_outputs_spoils_none_of_them(
    tmp_path: Path, starts: ForkStarts
) -> None:
    code = f"""
import os, signal, threading, time
def interrupt():
    for _ in range(20):
        time.sleep(0.01)
        os.kill(os.getpid(), {int(signal.SIGINT)})
threading.Thread(target=interrupt).start()
count = 0
end = time.monotonic() + 1
while time.monotonic() < end:
    try:
        while time.monotonic() < end:
            display("x" * 20_000)
    except KeyboardInterrupt:
        count += 1
"""
    outcome = outcome_of(job(tmp_path, code, "count > 5"), starts)
    assert outputs(outcome, 2) == ["True"]
    assert {len(found) for found in outputs(outcome, 1)} == {20_002}


def test_threads_tasks_and_forked_children_write_to_the_same_cells(
    tmp_path: Path, starts: ForkStarts
) -> None:
    cells = [
        "import threading\nt = threading.Thread(target=print, args='t')\nt.start(); t.join()",
        "import multiprocessing as mp\nkind = mp.get_context('fork')",
        "child = kind.Process(target=print, args='c'); child.start(); child.join()",
        "import asyncio\nasync def late(): await asyncio.sleep(0.05); print('late')",
        "task = asyncio.create_task(late())",
        "await asyncio.sleep(0.2)\nprint('end')",
        "import logging, sys\nlogging.warning('logged')",
        "print('a', end=''); print('b', end='', flush=True); _ = sys.stderr.write('é\\udc80')",
    ]
    outcome = outcome_of(job(tmp_path, *cells), starts)
    assert outcome.failure is None
    # What a task of an earlier cell writes belongs to that cell, which has ended.
    assert [text(outcome, number) for number in range(1, 9)] == [
        *("t\n", "", "c\n", "", "", "end\n", "WARNING:root:logged\n", "abé\ufffd"),
    ]


def test_exit_handlers_run_and_files_are_flushed(tmp_path: Path, starts: ForkStarts) -> None:
    code = (
        "import atexit\nfile = open('left.txt', 'w')\nfile.write('text')\n"
        "atexit.register(lambda: open('exit.txt', 'w').write('exit'))"
    )
    assert outcome_of(job(tmp_path, code), starts).failure is None
    assert (tmp_path / "left.txt").read_text() == "text"
    assert (tmp_path / "exit.txt").read_text() == "exit"


@pytest.mark.parametrize(
    "code",
    [
        "%debug",
        "breakpoint()",
        "%gui asyncio",
        "get_ipython().kernel.iopub_socket",
        "%connect_info",
    ],
)
def test_code_that_needs_what_a_light_kernel_lacks_gets_another_one(
    tmp_path: Path, starts: ForkStarts, code: str
) -> None:
    assert not may_be_light([code])
    order = job(tmp_path, IS_LIGHT.replace(" is None", ""), f"# {code}")
    assert "Thread" in text(outcome_of(order, starts), 1)


@pytest.mark.parametrize(
    "code", ["%matplotlib inline", "debug = 1", "import pdbx", "plot(thread)", "a.gui()"]
)
def test_other_code_is_run_by_a_light_kernel(code: str) -> None:
    assert may_be_light([code])


def test_a_missing_private_name_leads_to_ordinary_forks_and_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {**private_names.CLIENT, "nbclient.client NotebookClient": "no_such_name"}
    monkeypatch.setattr(private_names, "CLIENT", names)
    told: list[Notice] = []
    with light(told.append) as made:
        for _ in range(2):
            assert outcome_of(job(tmp_path, "1"), made).failure is None
    (notice,) = told
    assert "nbclient.client.NotebookClient.no_such_name" in notice.text


def test_a_configuration_that_replaces_streams_leads_to_an_ordinary_fork(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    profile = tmp_path / "ipython" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_kernel_config.py").write_text("c.IPKernelApp.capture_fd_output = False\n")
    told: list[Notice] = []
    with light(told.append) as made:
        outcome = outcome_of(job(tmp_path, "print(1)"), made)
    assert text(outcome, 1) == "1\n"
    assert "IPKernelApp.capture_fd_output is False" in told[0].text
    assert len(told) == 1


STATE = """
import builtins, json, os, signal, sys, warnings
ip = get_ipython()
out, parent, history = sys.stdout, ip.parent_header, ip.history_manager
objects = ip, ip.kernel, out, sys.displayhook, ip.parent, ip.config, parent["header"]["date"]
shown = "ast_node_interactivity autocall colors loop_runner exit_now execution_count xmode".split()
formatters = ip.display_formatter.formatters
print(json.dumps({
    "class": [str(type(found)) for found in objects],
    "mro": str(type(ip).__mro__),
    "traits": sorted(ip.trait_names()),
    "values": {name: str(getattr(ip, name, None)) for name in shown},
    "hooks": sorted(ip.hooks),
    "magics": {kind: sorted(found) for kind, found in ip.magics_manager.magics.items()},
    "formatters": {kind: sorted(map(str, f.type_printers)) for kind, f in formatters.items()},
    "history": [history.hist_file, history.session_number, len(history.input_hist_raw)],
    "names": sorted(ip.user_ns),
    "hidden": sorted(ip.user_ns_hidden),
    "builtins": sorted(vars(builtins)),
    "transformers": [len(ip.input_transformers_cleanup), len(ip.input_transformers_post)],
    "modules": sorted(name for name in sys.modules if not name.startswith("_nbcache")),
    "handlers": [sorted(ip.kernel.shell_handlers), sorted(ip.kernel.control_handlers)],
    "stream": [out.isatty(), out.encoding, out.name, out.writable(), out.readable(), out.errors],
    "events": {name: len(f) for name, f in ip.events.callbacks.items() if name != "post_run_cell"},
    "parent": [sorted(parent), sorted(parent["header"])],
    "environment": sorted(os.environ),
    "path": sys.path,
    "signals": {name.name: str(signal.getsignal(name)) for name in signal.Signals
                if name not in (signal.SIGKILL, signal.SIGSTOP)},
    "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "filters": [str(found) for found in warnings.filters],
}))
"""


def test_the_shell_is_in_the_same_state_as_in_an_ordinary_kernel(
    tmp_path: Path, starts: ForkStarts
) -> None:
    states = [json.loads(text(outcome_of(job(tmp_path, STATE), way), 1)) for way in (starts, None)]
    for state in states:
        # Only the end of a kernel needs this one.
        state["modules"] = [name for name in state["modules"] if name != "gc"]
        state["environment"] = [n for n in state["environment"] if n != "PYDEVD_USE_FRAME_EVAL"]
    one, two = states
    assert {name for name in two if one[name] != two[name]} == set(), [
        (name, one[name], two[name]) for name in two if one[name] != two[name]
    ]


def test_descriptors_of_the_build_do_not_pile_up(tmp_path: Path, starts: ForkStarts) -> None:
    outcome_of(job(tmp_path, "1"), starts)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (names only)
    for _ in range(5):
        outcome_of(job(tmp_path, "print(1)"), starts)
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # noqa: PTH208
