"""What cells write past Python is shown, and as theirs, however the kernel was started."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from running import job, outcome_of, text

from sphinx_nbcache.execution.job import Job, Outcome
from sphinx_nbcache.kernel_side.cells import preparing_code
from sphinx_nbcache.kernels.choosing import KernelStarts
from sphinx_nbcache.results.records import Status

pytestmark = pytest.mark.kernel

BEGIN = "import os, ctypes, subprocess, sys, time\nlibc = ctypes.CDLL(None)"
WAYS = [
    "os.write(1, b'{n} '); None",
    "libc.printf(b'{n} '); None",
    "libc.puts(b'{n} '); None",
    "subprocess.run(['echo', '{n} ']); None",
    "os.system('echo {n} '); None",
    "os.write(2, b'{n} '); None",
    "!echo '{n} '",
    "libc.printf(b'{n} '); 1 / 0",
    "x = [os.write(1, b'y' * 999) for _ in range(99)]; os.write(1, b'\\n{n} '); None",
]
ROUNDS = 4


def outcome_in_kernel(order: Job, starts: KernelStarts) -> Outcome:
    """Run a job outside of what ipykernel takes for a test: there it watches no descriptors."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTEST_CURRENT_TEST")
        return outcome_of(order, starts)


def streams(outcome: Outcome) -> list[str]:
    return [
        "".join(output["text"] for output in cell if output["output_type"] == "stream")
        for cell in outcome.outputs.cells
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="ipykernel watches descriptors of POSIX only")
def test_output_in_c_is_shown_in_the_cell_that_wrote_it(
    tmp_path: Path, starts: KernelStarts
) -> None:
    cells = [way.format(n=n) for n, way in enumerate(WAYS * ROUNDS, 1)]
    # The threads that read what is written get their turn late.
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        outcome = outcome_in_kernel(job(tmp_path, BEGIN, *cells, allow_errors=True), starts)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert outcome.status is Status.OK
    found = [written.split()[-1:] for written in streams(outcome)[1:]]
    assert found == [[str(n)] for n in range(1, len(cells) + 1)]


def test_a_child_that_writes_for_ever_holds_up_no_cell(
    tmp_path: Path, starts: KernelStarts
) -> None:
    first = (
        f"{BEGIN}\nloop = 'while :; do echo y; sleep 0.001; done'\n"
        "child = subprocess.Popen(['sh', '-c', loop])\ntime.sleep(0.1)"
    )
    begin = time.monotonic()
    outcome = outcome_in_kernel(job(tmp_path, first, "1", "child.kill(); child.wait(); 2"), starts)
    assert outcome.failure is None, outcome.failure
    assert text(outcome, 3).replace("y\n", "") == "2"
    assert time.monotonic() - begin < 30


def test_a_thread_that_waits_for_input_in_c_holds_up_no_cell(
    tmp_path: Path, starts: KernelStarts
) -> None:
    code = f"""{BEGIN}
import threading
read, write = os.pipe()
libc.fdopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fdopen(read, b"r"))
thread = threading.Thread(target=libc.fgetc, args=(file,))
thread.start()
time.sleep(0.1)
"""
    end = "libc.printf(b'here'); os.write(write, b'x'); thread.join()"
    outcome = outcome_in_kernel(job(tmp_path, code, end, timeout=20.0), starts)
    assert outcome.failure is None, outcome.failure
    assert text(outcome, 2) == "here"


def test_nothing_of_it_is_seen_by_cells(tmp_path: Path, starts: KernelStarts) -> None:
    outcome = outcome_in_kernel(job(tmp_path, "dir()", "2"), starts)
    assert "nbcache" not in text(outcome, 1)
    assert [cell.execution_count for cell in outcome.cells] == [1, 2]


def test_what_replaces_the_streams_is_left_alone(tmp_path: Path, starts: KernelStarts) -> None:
    code = (
        f"{BEGIN}\nimport io\nkept, sys.stdout = sys.stdout, io.StringIO()\n"
        "print('hidden'); libc.printf(b'shown'); None"
    )
    outcome = outcome_in_kernel(job(tmp_path, code, "sys.stdout = kept"), starts)
    assert outcome.failure is None, outcome.failure
    assert text(outcome, 1) in ("", "shown")  # ipykernel sends it when Python's own is flushed
    assert "hidden" not in "".join(streams(outcome))


def test_it_runs_on_old_pythons() -> None:
    compile(preparing_code(), "code", "exec", flags=0, dont_inherit=True)
    from ast import parse
    from importlib.resources import files

    names = ("preparing.py", "ipython_folders.py", "start_ipykernel.py")
    for name in names:
        source = files("sphinx_nbcache.kernel_side.cells").joinpath(name).read_text("utf-8")
        parse(source, feature_version=(3, 8))
