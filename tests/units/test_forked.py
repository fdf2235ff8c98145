"""Kernels that are forked: they are as other kernels are, and nothing is left of them."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import psutil
import pytest
from running import FORKED, job, kernels, outcome_of, soon, text

from sphinx_nbcache.config import KernelStart
from sphinx_nbcache.execution.job import Outcome
from sphinx_nbcache.execution.runner import run
from sphinx_nbcache.kernels.choosing import KernelManager, KernelStarts
from sphinx_nbcache.kernels.fitting import may_fork
from sphinx_nbcache.kernels.forked.manager import ForkManager
from sphinx_nbcache.kernels.forked.starts import ForkStarts, kernel_starts
from sphinx_nbcache.kernels.specs import KernelSpecs
from sphinx_nbcache.notices import Notice, say_nothing
from sphinx_nbcache.results.records import Status

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(not may_fork("fork"), reason="works on Linux only"),
]


MODE: ContextVar[KernelStart] = ContextVar("mode")
"""How kernels start in the running test."""


@pytest.fixture(scope="module", autouse=True, params=["fork", "light"])
def _mode(request: pytest.FixtureRequest) -> None:
    MODE.set(request.param)


Zygotes = Callable[[], list[psutil.Process]]


def forking(
    *notebooks: Sequence[str],
    preload: Any = (),
    notify: Any = say_nothing,
    mode: KernelStart | None = None,
) -> ForkStarts:
    """Return starts by fork for notebooks with these cells."""
    starts = kernel_starts(mode or MODE.get(), preload, lambda: notebooks, notify)
    assert isinstance(starts, ForkStarts)
    return starts


@pytest.fixture
def zygotes() -> Zygotes:
    """Return what returns the processes that a test has started to fork kernels from them."""

    def find() -> list[psutil.Process]:
        return [child for child in psutil.Process().children() if FORKED in command(child)]

    before = find()
    return lambda: [found for found in find() if found not in before]


def command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def running(words: str) -> list[int]:
    """Return the processes of the machine whose command contains these words."""
    return [found.pid for found in psutil.process_iter() if words in command(found)]


def lines(outcome: Outcome, number: int = 1) -> list[str]:
    assert outcome.failure is None, outcome.failure.traceback
    return text(outcome, number).splitlines()


# As other kernels are.

SURROUNDINGS = """
import gc, json, os, signal, sys, threading, warnings
spec = sys.modules["__main__"]
print(json.dumps({
    "main": [spec.__name__, hasattr(spec, "__file__"), spec.__doc__],
    "arguments": [os.path.basename(sys.argv[0]), sys.argv[1], len(sys.argv)],
    "launched": [word for word in sys.orig_argv if not word.endswith(".json")],
    "path": sys.path,
    "folder": os.getcwd(),
    "variables": sorted(set(os.environ) - {"PYDEVD_USE_FRAME_EVAL"}),
    "signals": {name.name: str(signal.getsignal(name)) for name in signal.Signals
                if name not in (signal.SIGKILL, signal.SIGSTOP)},
    "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "threads": sorted(thread.name.split("-")[0] for thread in threading.enumerate()),
    "session": [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()],
    "parent": os.environ["JPY_PARENT_PID"] == str(os.getppid()),
    "input": sys.stdin.read() + str(os.read(0, 10)),
    "flags": str(sys.flags),
    "filters": [str(found) for found in warnings.filters],
    "excepthook": sys.excepthook.__qualname__,
    "names": sorted(name for name in dir() if not name.startswith("_")),
    "stdout": [type(sys.stdout).__module__, sys.stdout.encoding, sys.__stdout__.fileno()],
    "executable": sys.executable,
    "umask": [os.umask(0o22), os.umask(0o22)],
    "descriptors": [fd for fd in range(3) if os.fstat(fd)],
    "children": os.listdir("/proc/self/task")[0] == str(os.getpid()),
    "collector": [gc.isenabled(), gc.get_threshold()],
}))
"""


def test_a_cell_sees_the_same_surroundings_in_both_ways(tmp_path: Path) -> None:
    with forking() as starts:
        forked = json.loads(lines(outcome_of(job(tmp_path, SURROUNDINGS), starts))[0])
    ordinary = json.loads(lines(outcome_of(job(tmp_path, SURROUNDINGS)))[0])
    if MODE.get() == "light":
        assert forked["threads"] == ["MainThread"]
        ordinary["threads"] = forked["threads"]
    assert forked == ordinary


def test_without_preloading_the_same_modules_are_loaded(tmp_path: Path) -> None:
    code = "import sys\nprint(*sorted(sys.modules), sep='\\n')"
    with forking() as starts:
        forked = set(lines(outcome_of(job(tmp_path, code), starts)))
    ordinary = set(lines(outcome_of(job(tmp_path, code))))
    assert forked - ordinary <= {"gc"}
    assert ordinary - forked == set()


def test_the_debugger_is_given_the_files_of_the_same_modules(tmp_path: Path) -> None:
    code = (
        "import os, sys, ipykernel.ipkernel\n"
        "assert ipykernel.ipkernel.sys is sys\n"
        # Old versions have no such list.
        "found = getattr(get_ipython().kernel, '_kernel_modules', [os.__file__])\n"
        "print(*sorted(set(found)), sep='\\n')"
    )
    with forking() as starts:
        forked = set(lines(outcome_of(job(tmp_path, code), starts)))
    ordinary = set(lines(outcome_of(job(tmp_path, code))))
    assert ordinary - forked == set()
    assert os.__file__ in forked
    # Those that other kernels load only after they have made this list.
    assert all(file.startswith((sys.prefix, sys.base_prefix)) for file in forked - ordinary)


# The name `modules` is not spelled out: who looks at it is given nothing that was preloaded.
LOADED = """
import importlib.util, sys
{statement}
loaded = vars(sys)["mod" + "ules"]
print(*sorted(
    [name for name in loaded if not name.startswith("_nbcache")]
    + [f"{{name}}.{{found}}" for name, module in loaded.items()
       for found, value in list(getattr(module, "__dict__", {{}}).items())
       if type(value) is type(sys) and value.__name__ == f"{{name}}.{{found}}"]
    + [f"{{name}} {{module.__spec__.name}} {{type(module.__spec__.loader).__name__}}"
       for name, module in loaded.items() if getattr(module, "__spec__", None) is not None]
), sep="\\n")
"""
PRELOADED = ["import numpy, pandas, matplotlib.pyplot, PIL.Image, h5py"]


@pytest.fixture(scope="module")
def preloading() -> Iterator[ForkStarts]:
    """Starts by fork from a process that has loaded large packages."""
    with forking(PRELOADED, preload="auto") as starts:
        yield starts


@pytest.mark.parametrize(
    "statement",
    [
        "",
        "import numpy",
        "import pandas as pd; pd.DataFrame({'a': [1]}).to_csv()",
        "from matplotlib import colors",
        "import matplotlib.pyplot",
        "import PIL",
        "import importlib; importlib.import_module('matplotlib.figure')",
        "importlib.util.find_spec('pandas')",
        "import decimal, email.message, concurrent.futures.process",
    ],
)
def test_what_was_preloaded_is_there_only_after_it_is_imported(
    tmp_path: Path, preloading: ForkStarts, statement: str
) -> None:
    # Without one of these nothing would be preloaded.
    order = job(tmp_path, LOADED.format(statement=statement), "import h5py")
    forked, ordinary = set(lines(outcome_of(order, preloading))), set(lines(outcome_of(order)))
    # What the kernel itself needs for its end; what packages made that nobody can import; what
    # matplotlib reads fonts with, when it does so for the first time.
    others = ("gc", "_cython_", "encodings.")
    assert {name for name in forked - ordinary if not name.startswith(others)} == set()
    assert ordinary - forked == set()


def test_packages_that_are_installed_are_told_from_modules_that_were_shown(
    tmp_path: Path, preloading: ForkStarts
) -> None:
    code = (
        "import importlib, importlib.util\n"
        "before = importlib.util.find_spec('numpy').loader\n"
        "import numpy\n"
        "print(before == numpy.__spec__.loader, numpy.__loader__ == before)\n"
        "print(importlib.reload(importlib.import_module('numpy.version')).__name__)"
    )
    order = job(tmp_path, code)
    assert lines(outcome_of(order, preloading)) == lines(outcome_of(order))


ALIKE = [
    "import os\nos.write(1, b'C-level\\n')\nprint('python')",
    "!echo shell; echo error >&2",
    "%%bash\necho bash $((1 + 1))",
    "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'print(1)'], check=True)\n2",
    "import asyncio\nawait asyncio.sleep(0)\n'asynchronous'",
    "import sys\nprint('error', file=sys.stderr)",
    "1 / 0",
    "from IPython.display import HTML, display\ndisplay(HTML('<b>1</b>'))\nHTML('<i>2</i>')",
    "sys.exit(3)",
    "import multiprocessing as m\nwith m.get_context('fork').Pool(2) as p: p.map(abs, [-1, 2])",
    "import logging\nlogging.warning('logged')",
    "import warnings\nwarnings.warn('warned')",
    "import pydoc, sqlite3\nsqlite3.connect(':memory:').execute('select 1').fetchall()",
    "get_ipython().history_manager.hist_file",
    "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()",
    "import matplotlib; matplotlib.get_backend()",
    "import pandas as pd\npd.DataFrame({'a': [1, 2]})",
    "import numpy as np\nnp.linalg.inv(np.eye(3) * 2)",
    "input('?')",
]


def comparable(outcome: Outcome) -> str:
    """Return all outputs of a run as text, without what is another in every run."""
    cells = json.dumps(outcome.outputs.cells, indent=1)
    return re.sub(r"ipykernel_\d+/\d+\.py|0x[0-9a-f]{6,}|kernel-\S+|pid \d+", "…", cells)


@pytest.mark.parametrize("preload", ["auto", ()])
def test_the_same_cells_have_the_same_outputs_in_both_ways(tmp_path: Path, preload: Any) -> None:
    order = job(tmp_path, *ALIKE, allow_errors=True)
    with forking(ALIKE, preload=preload) as starts:
        forked = outcome_of(order, starts)
    ordinary = outcome_of(order)
    assert (forked.status, ordinary.status) == (Status.OK, Status.OK)
    assert comparable(forked) == comparable(ordinary)
    assert [cell.error for cell in forked.cells] == [cell.error for cell in ordinary.cells]
    assert forked.language_info == ordinary.language_info


def test_chance_is_another_one_in_each_kernel(tmp_path: Path) -> None:
    code = (
        "import random, uuid, tempfile, numpy as np\n"
        "print(random.random(), np.random.rand(), np.random.default_rng().random(), uuid.uuid4(),"
        " next(tempfile._get_candidate_names()), sep='\\n')"
    )
    with forking([code], preload=["numpy"]) as starts:
        first, second = (lines(outcome_of(job(tmp_path, code), starts)) for _ in range(2))
    assert len(first) == 5
    assert not set(first) & set(second)


def test_seeded_chance_is_the_same_in_both_ways(tmp_path: Path) -> None:
    code = (
        "import random, numpy as np\nrandom.seed(1); np.random.seed(2)\n"
        "print(random.random(), np.random.rand(3))"
    )
    with forking([code], preload="auto") as starts:
        forked = lines(outcome_of(job(tmp_path, code), starts))
    assert forked == lines(outcome_of(job(tmp_path, code)))


# The end of a kernel.


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("import os; os._exit(3)", "exit status 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
    ],
)
def test_how_a_kernel_died_is_told_at_once(
    tmp_path: Path, starts: KernelStarts, code: str, status: str
) -> None:
    begin = time.monotonic()
    outcome = outcome_of(job(tmp_path, "print('one')", f"print('two', flush=True)\n{code}"), starts)
    assert outcome.status is Status.DIED
    assert outcome.failure is not None
    assert status in outcome.failure.message
    assert outcome.failure.position == 1
    assert text(outcome, 1) == "one\n"
    assert time.monotonic() - begin < 20


def test_what_a_kernel_printed_before_it_died_is_kept(tmp_path: Path) -> None:
    # What ZeroMQ has not sent yet is lost with the process.
    code = "import os, time\nprint('words' * 1000, flush=True)\ntime.sleep(0.2)\nos._exit(1)"
    with forking() as starts:
        for _ in range(5):
            assert text(outcome_of(job(tmp_path, code), starts), 1) == "words" * 1000 + "\n"


ENDS = """
import atexit, logging.handlers, os, tempfile, threading, time, weakref
folder = {folder!r}
def note(text, notes=folder + "/notes", open=open, print=print):
    with open(notes, "a") as file: print(text, file=file)
atexit.register(note, "exit handler")
class Thing: pass
thing = Thing()
weakref.finalize(thing, note, "finalizer")
class Holder:
    def __init__(self, path): self.file = open(path, "w"); self.me = self
holder = Holder(folder + "/deep")
holder.file.write("deep")
top = open(folder + "/top", "w")
top.write("top")
temporary = tempfile.TemporaryDirectory(dir=folder, prefix="temporary-")
named = tempfile.NamedTemporaryFile(dir=folder, prefix="named-")
def late():
    time.sleep(0.3); note("thread")
threading.Thread(target=late).start()
memory = logging.handlers.MemoryHandler(100, target=logging.FileHandler(folder + "/log"))
logging.getLogger("x").addHandler(memory)
logging.getLogger("x").error("logged")
import ctypes
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
stream = libc.fopen((folder + "/in-c").encode(), b"w")
libc.fputs(b"in C", ctypes.c_void_p(stream))
"""


def test_exit_handlers_run_and_files_are_flushed_at_the_end(
    tmp_path: Path, starts: KernelStarts
) -> None:
    outcome = outcome_of(job(tmp_path, ENDS.format(folder=str(tmp_path))), starts)
    assert outcome.status is Status.OK, outcome.failure
    assert (tmp_path / "notes").read_text().split("\n")[:-1] == [
        "thread",
        "exit handler",
        "finalizer",
    ]
    for name, content in {"deep": "deep", "top": "top", "log": "logged\n", "in-c": "in C"}.items():
        assert (tmp_path / name).read_text() == content
    assert not list(tmp_path.glob("temporary-*")) + list(tmp_path.glob("named-*"))


def test_an_end_that_takes_for_ever_is_cut_short(tmp_path: Path) -> None:
    code = "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()"
    begin = time.monotonic()
    with forking() as starts:
        outcome = outcome_of(job(tmp_path, code), starts)
        assert kernels() == []
    assert outcome.status is Status.OK
    assert time.monotonic() - begin < 60


def test_a_hundred_kernels_end_in_order_each(tmp_path: Path) -> None:
    code = "import atexit, pathlib\natexit.register(pathlib.Path('{n}').touch)\n{n}"

    async def run_all(starts: KernelStarts) -> list[Outcome]:
        limit = asyncio.Semaphore(4)

        async def run_one(number: int) -> Outcome:
            async with limit:
                return await run(job(tmp_path, code.format(n=number)), starts)

        return await asyncio.gather(*(run_one(number) for number in range(100)))

    with forking() as starts:
        outcomes = asyncio.run(run_all(starts))
    assert [text(outcome, 1) for outcome in outcomes] == [str(number) for number in range(100)]
    assert sorted(int(path.name) for path in tmp_path.iterdir()) == list(range(100))


def test_a_cell_that_ignores_interrupts_is_ended_at_its_limit(tmp_path: Path) -> None:
    code = (
        "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "while True:\n  try: time.sleep(60)\n  except BaseException: pass"
    )
    begin = time.monotonic()
    with forking() as starts:
        outcome = outcome_of(job(tmp_path, code, timeout=0.5), starts)
        assert kernels() == []
    assert outcome.status is Status.TIMEOUT
    assert time.monotonic() - begin < 60


# Nothing is left.


def children_code(mark: str) -> str:
    """Return a cell that starts processes: in its group, in a session, and one of nobody's."""
    return textwrap.dedent(
        f"""
        import subprocess, sys
        sleep = [sys.executable, "-c", "import time; time.sleep(600)", {mark!r}]
        quiet = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        subprocess.Popen(sleep, **quiet)
        subprocess.Popen(sleep, start_new_session=True, **quiet)
        twice = "import subprocess, sys; subprocess.Popen(sys.argv[1:], start_new_session=True)"
        subprocess.run([sys.executable, "-c", twice, *sleep], **quiet)
        print(len(sleep))
        """
    )


@pytest.mark.parametrize("more", ["", "import os; os._exit(1)", "import time; time.sleep(60)"])
def test_children_that_outlive_their_kernel_are_ended(tmp_path: Path, more: str) -> None:
    mark = f"mark-{os.getpid()}-{time.time_ns()}"
    with forking() as starts:
        outcome = outcome_of(job(tmp_path, children_code(mark), more, timeout=10), starts)
        assert text(outcome, 1) == "4\n", outcome.failure
        assert soon(lambda: not running(mark))


def test_children_of_one_kernel_outlive_another_kernel(tmp_path: Path) -> None:
    mark = f"mark-{os.getpid()}-{time.time_ns()}"
    waiting = (
        f"import pathlib, time\nwhile not pathlib.Path('go').exists(): time.sleep(0.02)\n"
        f"import subprocess\nprint(subprocess.run(['ps', 'axww'], capture_output=True, text=True)"
        f".stdout.count({mark!r}))"
    )

    async def run_both(starts: KernelStarts) -> Outcome:
        first = asyncio.create_task(run(job(tmp_path, children_code(mark), waiting), starts))
        while len(running(mark)) < 3:  # noqa: ASYNC110 (processes have no event)
            await asyncio.sleep(0.05)
        await run(job(tmp_path, "1"), starts)
        (tmp_path / "go").touch()
        return await first

    with forking() as starts:
        assert lines(asyncio.run(run_both(starts)), 2) == ["3"]
        assert soon(lambda: not running(mark))


def test_at_the_end_no_zygote_and_no_file_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zygotes: Zygotes
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    open_before, threads_before = psutil.Process().num_fds(), psutil.Process().num_threads()
    with forking() as starts:
        outcome_of(job(tmp_path, "1"), starts)
        assert len(zygotes()) == 1
    assert zygotes() == kernels() == []
    assert list(tmp_path.iterdir()) == []
    assert psutil.Process().num_fds() <= open_before
    assert psutil.Process().num_threads() <= threads_before


def test_a_zygote_that_is_killed_takes_its_kernels_along_and_no_other_notebook(
    tmp_path: Path, zygotes: Zygotes
) -> None:
    mark = f"mark-{os.getpid()}-{time.time_ns()}"
    told: list[Notice] = []
    code = children_code(mark).replace(", start_new_session=True", "")

    async def kill_it(starts: KernelStarts) -> Outcome:
        task = asyncio.create_task(run(job(tmp_path, code, "import time; time.sleep(60)"), starts))
        while len(running(mark)) < 3:  # noqa: ASYNC110 (processes have no event)
            await asyncio.sleep(0.05)
        zygotes()[0].kill()
        return await task

    with forking(notify=told.append, mode="auto") as starts:
        outcome = asyncio.run(kill_it(starts))
        assert outcome.status is Status.DIED
        assert soon(lambda: not running(mark))
        after = outcome_of(job(tmp_path, "1"), starts)
    assert after.status is Status.OK
    assert all(notice.is_information for notice in told)
    assert kernels() == []


BUILD = """
import asyncio, sys
from pathlib import Path
from sphinx_nbcache.kernels.forked.starts import kernel_starts
from sphinx_nbcache.execution.runner import run
from running import job
with kernel_starts("fork", (), list, print) as starts:
    asyncio.run(run(job(Path(sys.argv[1]), *sys.argv[2:]), starts))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_build_that_is_killed_leaves_no_process(tmp_path: Path, how: signal.Signals) -> None:
    mark = f"mark-{os.getpid()}-{time.time_ns()}"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    build = subprocess.Popen(
        [
            sys.executable,
            "-c",
            BUILD,
            str(tmp_path),
            children_code(mark),
            "import time; time.sleep(60)",
        ],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        # The build itself has the mark in its command, and so do the three children.
        assert soon(lambda: len(running(mark)) == 4, 60)
        family = psutil.Process(build.pid).children(recursive=True)
        build.send_signal(how)
        build.communicate(timeout=60)
        assert soon(lambda: not running(mark))
        assert soon(lambda: not [found for found in family if found.is_running()])
    finally:
        build.kill()


# Where a fork does not fit.


def kernelspec(folder: Path, name: str, argv: Iterable[str], **more: Any) -> None:
    """Install a kernelspec into a folder of `JUPYTER_PATH`."""
    place = folder / "kernels" / name
    place.mkdir(parents=True)
    spec = {"argv": list(argv), "display_name": name, "language": "python", **more}
    (place / "kernel.json").write_text(json.dumps(spec))


PYTHON = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]


def way(manager: KernelManager, folder: Path) -> str:
    """Start a kernel, and return how that was done."""

    async def start() -> str:
        await manager.start_kernel(cwd=str(folder))
        forked = isinstance(manager, ForkManager) and manager.fork is not None
        await manager.shutdown_kernel(now=True)
        await manager.close()
        return "fork" if forked else "spawn"

    return asyncio.run(start())


@pytest.mark.parametrize(
    ("argv", "more", "expected"),
    [
        (PYTHON, {}, "fork"),
        ([PYTHON[0], "-Xfrozen_modules=off", *PYTHON[1:], "--debug"], {}, "fork"),
        (["python3", *PYTHON[1:]], {"env": {"A": "1"}}, "fork"),
        (["/usr/bin/env", *PYTHON], {}, "spawn"),
        ([*PYTHON[:2], "ipykernel", *PYTHON[3:]], {}, "spawn"),
        (
            [PYTHON[0], "-c", "from ipykernel.kernelapp import main; main()", *PYTHON[3:]],
            {},
            "spawn",
        ),
        (PYTHON, {"interrupt_mode": "message"}, "spawn"),
        (PYTHON, {"env": {"PYTHONPATH": "lib"}}, "spawn"),
    ],
)
def test_only_a_usual_ipykernel_is_forked(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    argv: list[str],
    more: dict[str, Any],
    expected: str,
) -> None:
    kernelspec(tmp_path, "theirs", argv, **more)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    told: list[Notice] = []
    with forking(notify=told.append, mode="auto") as starts:
        assert way(starts.manager_of("theirs", KernelSpecs(), []), tmp_path) == expected
    assert told == []


def test_the_variables_of_a_kernelspec_are_there_and_a_change_has_its_own_zygote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zygotes: Zygotes
) -> None:
    kernelspec(tmp_path, "one", PYTHON, env={"FOUND": "1", "OMP_NUM_THREADS": "1"})
    kernelspec(tmp_path, "two", PYTHON, env={"FOUND": "2"})
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    code = "import os; print(os.environ['FOUND'], os.environ.get('OMP_NUM_THREADS'))"
    with forking() as starts:
        found = [
            lines(outcome_of(job(tmp_path, code, kernel=name), starts)) for name in ("one", "two")
        ]
        assert len(zygotes()) == 2
    assert found == [["1 1"], ["2 None"]]


def test_an_interpreter_without_what_is_needed_costs_a_line_and_no_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Another version of ipykernel might not have this any more.
    patch = tmp_path / "lib" / "sitecustomize.py"
    patch.parent.mkdir()
    patch.write_text(
        "import sys\n"
        f"if {FORKED!r} in ' '.join(sys.orig_argv):\n"
        "    from ipykernel.kernelapp import IPKernelApp\n"
        "    del IPKernelApp.init_iopub\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(patch.parent))
    told: list[Notice] = []
    with forking(notify=told.append, mode="auto") as starts:
        outcomes = [outcome_of(job(tmp_path, "1 + 1"), starts) for _ in range(2)]
    assert [text(outcome, 1) for outcome in outcomes] == ["2", "2"]
    assert [(notice.is_information, notice.is_error) for notice in told] == [(True, False)]
    assert "init_iopub" in told[0].text


def test_who_insists_on_forks_is_warned_where_there_can_be_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernelspec(tmp_path, "theirs", ["/usr/bin/env", *PYTHON])
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    told: list[Notice] = []
    with kernel_starts("fork", (), list, told.append) as starts:
        assert way(starts.manager_of("theirs", KernelSpecs(), []), tmp_path) == "spawn"
    assert "theirs" in told[0].text
    assert not told[0].is_information


def test_starts_that_travel_to_another_process_start_as_usual() -> None:
    with forking() as starts:
        assert type(pickle.loads(pickle.dumps(starts))) is KernelStarts
    assert type(kernel_starts("spawn", "auto", list, say_nothing)) is KernelStarts


def test_two_threads_with_loops_of_their_own_share_a_zygote(
    tmp_path: Path, zygotes: Zygotes
) -> None:
    with forking() as starts, ThreadPoolExecutor(3) as pool:
        outcomes = list(
            pool.map(lambda n: outcome_of(job(tmp_path, f"{n} * 2"), starts), range(12))
        )
        assert len(zygotes()) == 1
    assert [text(outcome, 1) for outcome in outcomes] == [str(n * 2) for n in range(12)]


# Executed as Python starts.
WAIT = """
import os, time
if "WAIT_FOR" in os.environ:
    open(os.environ["BEGUN"], "w").close()
    while not os.path.exists(os.environ["WAIT_FOR"]):
        time.sleep(0.02)
"""


@pytest.mark.timeout(50)
def test_other_notebooks_run_while_a_zygote_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(WAIT)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    begun, end = tmp_path / "begun", tmp_path / "end"
    variables = {"BEGUN": str(begun), "WAIT_FOR": str(end)}
    quick = job(tmp_path, "import os; os.getppid()")
    slow = job(tmp_path, "import os; os.getppid()", environment=variables)

    async def parents(starts: KernelStarts) -> list[str]:
        outcomes = [await run(quick, starts)]
        waiting = asyncio.create_task(run(slow, starts))
        while not begun.exists():  # noqa: ASYNC110 (a file has no event)
            await asyncio.sleep(0.02)
        outcomes.append(await run(quick, starts))
        end.touch()
        outcomes.append(await waiting)
        return [text(outcome, 1) for outcome in outcomes]

    with forking() as starts:
        first, second, other = asyncio.run(parents(starts))
    assert first == second != other
    assert str(os.getpid()) not in (first, other)


SLOW_FLUSH = """
import threading, time
session = get_ipython().kernel.session
send = session.send

def slowly(stream, message, *more, **options):
    if threading.current_thread().name == "IOPub":
        time.sleep(0.5)
    return send(stream, message, *more, **options)

session.send = slowly
"""


def test_every_kernel_says_what_it_is(tmp_path: Path) -> None:
    with forking() as starts:
        found = [outcome_of(job(tmp_path, "1"), starts).language_info for _ in range(3)]
    assert found[0]["name"] == "python"
    assert found == [outcome_of(job(tmp_path, "1")).language_info] * 3


def test_what_is_flushed_while_a_cell_ends_is_shown_in_that_cell(tmp_path: Path) -> None:
    # After 0.2 s ipykernel takes out of its buffer what was printed, in another thread.
    cells = [f"print({number}); time.sleep(0.3)" for number in range(3)]
    with forking() as starts:
        outcome = outcome_of(job(tmp_path, SLOW_FLUSH, *cells), starts)
    assert [text(outcome, number) for number in (2, 3, 4)] == ["0\n", "1\n", "2\n"]


def test_arguments_that_were_parsed_ahead_are_those_of_each_kernel(tmp_path: Path) -> None:
    code = (
        "from ipykernel.connect import get_connection_file\n"
        "print(get_ipython().cache_size, get_connection_file())"
    )
    arguments = [("--InteractiveShell.cache_size=7",), (), ("--InteractiveShell.cache_size=7",)]
    with forking() as starts:
        found = [
            lines(outcome_of(job(tmp_path, code, arguments=given), starts))[0].split()
            for given in arguments
        ]
    assert [size for size, _ in found] == ["7", "1000", "7"]
    assert len({file for _, file in found}) == 3


def test_arguments_that_mean_nothing_fail_as_in_other_kernels(tmp_path: Path) -> None:
    order = job(tmp_path, "1", arguments=("--InteractiveShell.cache_size=many",))
    with forking() as starts:
        forked, ordinary = outcome_of(order, starts), outcome_of(order)
    assert forked.failure is not None
    assert ordinary.failure is not None
    assert "cache_size" in forked.failure.traceback
