"""The system tracer: what it sees of programs in any language, and how kernels live under it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from running import job, outcome_of, soon, text

from sphinx_nbcache.execution.job import Outcome
from sphinx_nbcache.kernel_side.watcher import calls
from sphinx_nbcache.kernels.choosing import KernelStarts
from sphinx_nbcache.kernels.forked.starts import kernel_starts
from sphinx_nbcache.kernels.tracing import Tracing
from sphinx_nbcache.kernels.watching import Watchers, why_no_system_tracer, why_not
from sphinx_nbcache.results.records import Status
from sphinx_nbcache.traces.watched import with_system, without_installations

needs_watchers = pytest.mark.skipif(
    why_no_system_tracer() is not None, reason=f"no system tracer: {why_no_system_tracer()}"
)


# The calls.


def _numbers(header: str) -> dict[str, int]:
    lines = re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)$", header, re.MULTILINE)
    return {name: int(number) for name, number in lines}


@pytest.mark.parametrize(
    ("machine", "place"),
    [
        ("x86_64", "x86_64-linux-gnu/asm/unistd_64.h"),
        # These are the numbers of all machines that have joined Linux late, aarch64 among them.
        ("aarch64", "asm-generic/unistd.h"),
    ],
)
def test_the_numbers_of_calls_are_those_of_the_headers_of_linux(machine: str, place: str) -> None:
    path = Path("/usr/include", place)
    if not path.exists():
        pytest.skip(f"{path} is not installed (linux-libc-dev)")
    numbers = _numbers(path.read_text(encoding="utf-8"))
    # The generic header has the name of one of two calls for machines of 64 bits.
    numbers |= {"newfstatat": numbers.get("newfstatat", numbers.get("fstatat", -1))}
    numbers |= {"openat2": numbers.get("openat2", 437)}
    ours = {name: number for number, name in calls.names_of(machine).items()}
    assert ours == {name: numbers.get(name) for name in ours}
    if machine == "aarch64":
        assert not ours.keys() & {"open", "stat", "rename", "unlink", "mkdir"}


def _verdict(machine: str, number: int, arguments: tuple[int, ...] = (), arch: int = 0) -> int:
    """Run the program of the filter, as the kernel does."""
    program: bytes = calls.filter_program(machine)
    code: list[tuple[int, int, int, int]] = list(struct.iter_unpack("HBBI", program))
    arch = arch or {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[machine]
    padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    data = struct.pack("iIQ6Q", number, arch, 0, *padded)
    at, loaded = 0, 0
    while True:
        word, yes, no, value = code[at]
        at += 1
        if word == 0x20:
            (loaded,) = struct.unpack_from("I", data, value)
        elif word == 0x06:
            return value
        else:
            holds = loaded == value if word == 0x15 else bool(loaded & value)
            at += yes if holds else no


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_lets_all_calls_pass_that_are_not_about_a_path(machine: str) -> None:
    observed = calls.calls_of(machine)
    for number in range(600):
        expected = 0x7FC00000 if number in observed else 0x7FFF0000
        assert _verdict(machine, number) == expected, number
        call = observed.get(number)
        if call is not None and call.empty is not None:
            flags = [0] * 6
            flags[call.empty] = 0x1000
            assert _verdict(machine, number, tuple(flags)) == 0x7FFF0000, number
    # Programs of 32 bits have other numbers.
    assert _verdict(machine, next(iter(observed)), arch=0x40000003) == 0x7FFF0000


def test_an_unknown_machine_has_no_calls() -> None:
    assert calls.calls_of("pdp11") == {}


# The records.


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a short path, for the sockets."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def seen_of(
    place: Path, folder: Path, *command: str, is_traced: bool = False
) -> list[tuple[Any, ...]]:
    """Return the records of a command, which says when it is done and then waits for a line."""
    words, watched = Watchers(place).around(command, "kernel", is_traced=is_traced)
    with subprocess.Popen(
        words, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        while (line := process.stdout.readline()) and line != "done\n":
            pass
        assert line == "done\n"
        answer = asyncio.run(watched.end())
        process.stdin.write("\n")
        process.stdin.close()
        assert process.wait(20) == 0
    assert answer is not None
    report = with_system({}, answer, str(folder))
    return [tuple(record) for record in report["children"]]


def names(records: list[tuple[Any, ...]], kind: str, folder: Path) -> set[str]:
    """Return the paths below a folder in the records of a kind."""
    paths = [record[1] for record in records if record[0] == kind]
    return {os.path.relpath(path, folder) for path in paths if path.startswith(str(folder))}


@needs_watchers
def test_a_shell_and_what_it_starts_are_seen(place: Path, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a b.txt", "sub/c.txt", "old.txt", "gone.txt"):
        (tmp_path / name).write_text(name)
    script = (
        'name="a b"; cat "$name.txt"; cd sub; cat c.txt; cd ..; [ -e nothing ]; ls sub;'
        " echo x > new.txt; mv old.txt renamed.txt; rm gone.txt; mkdir made; echo done; read line"
    )
    seen = seen_of(place, tmp_path, "sh", "-c", script)
    assert {"a b.txt", "sub/c.txt", "nothing"} <= names(seen, "read", tmp_path)
    assert {"new.txt", "old.txt", "renamed.txt", "gone.txt"} <= names(seen, "write", tmp_path)
    assert names(seen, "remove", tmp_path) == {"old.txt", "gone.txt"}
    assert names(seen, "move", tmp_path) == {"renamed.txt"}
    assert names(seen, "make", tmp_path) == {"made"}
    assert names(seen, "list", tmp_path) == {"sub"}


@needs_watchers
def test_paths_below_an_open_folder_are_found(place: Path, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text("a")
    code = """if True:
        import os, sys
        one, two = (os.open(name, os.O_RDONLY) for name in ("one", "two"))
        os.open("a.txt", os.O_RDONLY, dir_fd=one)
        os.rename("a.txt", "b.txt", src_dir_fd=one, dst_dir_fd=two)
        os.mkdir("made", dir_fd=two)
        os.path.exists("one/../two/never")
        print("done", flush=True)
        sys.stdin.readline()
    """
    seen = seen_of(place, tmp_path, shutil.which("env") or "", sys.executable, "-c", code)
    assert "one/a.txt" in names(seen, "read", tmp_path)
    assert {"one/a.txt", "two/b.txt"} <= names(seen, "write", tmp_path)
    assert names(seen, "make", tmp_path) == {"two/made"}


@needs_watchers
def test_threads_and_orphans_are_seen_and_ended(place: Path, tmp_path: Path) -> None:
    (tmp_path / "late.txt").write_text("late")
    script = (
        "(setsid sh -c 'cat late.txt; sleep 1000' > /dev/null &) ; sleep 0.5; echo done; read l"
    )
    seen = seen_of(place, tmp_path, "sh", "-c", script)
    assert "late.txt" in names(seen, "read", tmp_path)
    assert soon(lambda: not _working_in(tmp_path))


def _working_in(folder: Path) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found


@needs_watchers
@pytest.mark.parametrize(("end", "status"), [("exit 3", 3), ("kill -TERM $$", -15)])
def test_a_watcher_ends_as_its_command_does(
    place: Path, tmp_path: Path, end: str, status: int
) -> None:
    words, watched = Watchers(place).around(["sh", "-c", end], "kernel")
    done = subprocess.run(words, cwd=tmp_path, check=False)
    assert done.returncode == status
    assert not watched.was_killed


def test_files_of_installations_are_no_records_and_others_are(tmp_path: Path) -> None:
    root = tmp_path / "root"
    environment = tmp_path / "env"
    (root / "lib" / "pkg" / "Meta").mkdir(parents=True)
    (root / "lib" / "pkg" / "Meta" / "package.rds").touch()
    environment.mkdir()
    (environment / "pyvenv.cfg").touch()
    there, absent = ((1, 1, 1, 1), "file", 1, None, "read"), (None, "", 1, None, "read")
    dropped = [
        ("read", "/opt/x/lib/python3.9/os.py", there),
        ("read", str(environment / "bin" / "python"), there),
        ("read", "/home/u/venv/site-packages/a.py", there),
        ("read", str(root / ".git" / "index"), there),
        ("read", str(root / "libfoo.so"), absent),
        ("read", "/opt/bin/tool", absent),
        ("read", str(root / "lib" / "pkg" / "R" / "pkg.rdb"), there),
        ("list", str(root / "lib"), "", False, ["pkg/"]),
    ]
    kept = [
        ("described", str(root / "lib" / "pkg" / "DESCRIPTION")),
        ("read", str(root / "libfoo.so"), there),
        ("read", str(root / ".git" / "HEAD"), there),
        ("read", str(root / ".git" / "refs" / "heads" / "main"), there),
        ("read", "/opt/data/a.csv", there),
        ("read", str(root / "a.csv"), absent),
        ("host", "192.0.2.1"),
    ]
    assert without_installations([*dropped, *kept], str(root)) == kept


def test_sockets_have_short_paths() -> None:
    assert "too long" in str(why_not(Path("/" + "x" * 120)))


# Kernels under a watcher.


@pytest.fixture(params=["spawn", "fork", "light"])
def watched(request: pytest.FixtureRequest, place: Path) -> Iterator[KernelStarts]:
    """Kernels under watchers, however they start."""
    with kernel_starts(request.param, (), list, lambda _: None) as starts:
        starts.watchers = Watchers(place)
        yield starts


def run_watched(starts: KernelStarts, folder: Path, *sources: str, **more: Any) -> Outcome:
    """Run cells under a watcher, in a folder that is the root."""
    with tempfile.TemporaryDirectory(dir="/tmp") as support:
        tracing = Tracing(str(folder), (), support, is_system=True)
        return outcome_of(job(folder, *sources, tracing=tracing, **more), starts)


def reads(outcome: Outcome, folder: Path) -> set[str]:
    """Return the files that were read below a folder, by the kernel or its children."""
    assert outcome.report.get("system") is True
    children = [tuple(record) for record in outcome.report["children"]]
    own = {os.path.relpath(p, folder) for p in outcome.report["reads"] if p.startswith(str(folder))}
    return own | names(children, "read", folder)


WORK = """
import ctypes, multiprocessing, os, subprocess, sys
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
assert libc.fopen(b"by_" + b"c.txt", b"r")
def read(name): return open(name).read()
with multiprocessing.get_context("fork").Pool(2) as pool: pool.map(read, ["by_fork.txt"])
pid = os.fork()
if pid == 0:
    read("by_child.txt")
    os._exit(0)
os.waitpid(pid, 0)
subprocess.run([sys.executable, "-I", "-c", "open('by_isolated.txt')"], check=True)
subprocess.run("cat by_*ell.txt", shell=True, check=True)
print("all", "done")
"""


@needs_watchers
@pytest.mark.kernel
def test_every_process_of_a_python_kernel_is_seen(watched: KernelStarts, tmp_path: Path) -> None:
    wanted = {f"by_{how}.txt" for how in ("c", "fork", "child", "isolated", "shell")}
    for name in wanted:
        (tmp_path / name).write_text(name)
    outcome = run_watched(watched, tmp_path, WORK)
    assert outcome.status is Status.OK, outcome.failure
    assert "all done" in text(outcome, 1)
    assert wanted <= reads(outcome, tmp_path)
    # The watcher needs less.
    assert outcome.peak_memory is not None
    assert outcome.peak_memory > 30_000_000


@needs_watchers
@pytest.mark.kernel
def test_a_failure_names_a_program_that_could_not_change_its_user(
    watched: KernelStarts, tmp_path: Path
) -> None:
    program = shutil.which("su")
    if os.geteuid() == 0:
        # For root, only programs of other users change it.
        program = str(shutil.copy("/bin/false", tmp_path / "su"))
        os.chown(program, 65534, -1)
        Path(program).chmod(0o4755)
    elif program is None:
        pytest.skip("there is no su")
    code = f"import subprocess; subprocess.run([{program!r}, 'x'], check=True, stdin=-3)"
    outcome = run_watched(watched, tmp_path, "import subprocess; subprocess.run(['true'])", code)
    assert outcome.failure is not None
    assert "su could not change the user" in outcome.failure.headline
    assert "nbcache.tracer" in outcome.failure.headline


@needs_watchers
@pytest.mark.kernel
def test_a_run_whose_watcher_is_killed_is_repeated_without_one(
    watched: KernelStarts, tmp_path: Path
) -> None:
    killing = """
import os, signal
if not os.path.exists("killed"):
    open("killed", "w").close()
    pid = os.getppid()
    while b"watcher" not in open(f"/proc/{pid}/cmdline", "rb").read():
        pid = int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
    os.kill(pid, signal.SIGKILL)
    import time
    time.sleep(30)
print("second", "time")
"""
    outcome = run_watched(watched, tmp_path, "1 + 1", killing)
    assert (outcome.status, text(outcome, 2)) == (Status.OK, "second time\n")
    assert "system" not in outcome.report
    # The first run may have written what the second one has read.
    assert outcome.begun is not None


@needs_watchers
@pytest.mark.kernel
def test_time_limits_and_deaths_are_those_of_the_notebook(
    watched: KernelStarts, tmp_path: Path
) -> None:
    slow = run_watched(watched, tmp_path, "import time; time.sleep(60)", timeout=1.0)
    assert slow.status is Status.TIMEOUT
    looping = (
        "import os\nwhile True:\n    try:\n        os.listdir()\n    except KeyboardInterrupt: 1"
    )
    assert run_watched(watched, tmp_path, looping, timeout=1.0).status is Status.TIMEOUT
    dead = run_watched(watched, tmp_path, "import os; os.kill(os.getpid(), 9)")
    assert (dead.status, dead.begun) == (Status.DIED, None)
    assert dead.failure is not None
    assert "SIGKILL" in dead.failure.message
    failed = run_watched(watched, tmp_path, "open('a.txt')")
    assert failed.failure is not None
    assert failed.failure.name == "FileNotFoundError"
    assert "a.txt" in reads(failed, tmp_path)


@needs_watchers
@pytest.mark.kernel
def test_a_timer_that_interrupts_each_call_does_not_hang(
    watched: KernelStarts, tmp_path: Path
) -> None:
    code = """
import os, signal
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
for number in range(500): open("a.txt").close()
signal.setitimer(signal.ITIMER_REAL, 0)
print("done")
"""
    (tmp_path / "a.txt").write_text("a")
    outcome = run_watched(watched, tmp_path, code)
    assert (outcome.status, text(outcome, 1)) == (Status.OK, "done\n")


@needs_watchers
def test_a_watcher_ends_with_the_process_that_started_it(place: Path, tmp_path: Path) -> None:
    words, _ = Watchers(place).around(["sleep", "1000"], "kernel")
    # The order names this process as the parent, so one between them must take its place.
    words[4] = words[4].replace(f'"parent": {os.getpid()}', '"parent": PARENT')
    code = (
        "import os, subprocess, sys, time\n"
        "words = sys.argv[1:]\n"
        "words[4] = words[4].replace('PARENT', str(os.getpid()))\n"
        "subprocess.Popen(words)\nprint('started', flush=True)\ntime.sleep(1000)"
    )
    build = subprocess.Popen(
        [sys.executable, "-c", code, *words], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert build.stdout is not None
    assert build.stdout.readline() == "started\n"
    assert soon(lambda: len(_working_in(tmp_path)) == 3)
    os.kill(build.pid, signal.SIGKILL)
    build.wait()
    build.stdout.close()
    assert soon(lambda: not _working_in(tmp_path))


@needs_watchers
def test_a_process_that_is_watched_cannot_watch_others(place: Path, tmp_path: Path) -> None:
    code = (
        "from sphinx_nbcache.kernels.watching import why_no_system_tracer\n"
        "print(why_no_system_tracer())\nprint('done', flush=True)\ninput()"
    )
    words, _ = Watchers(place).around([sys.executable, "-c", code], "kernel")
    done = subprocess.run(words, input="\n", capture_output=True, text=True, check=True)
    assert "seccomp" in done.stdout
