"""Notebooks that do their worst: each has an outcome, the others are unharmed, nothing is left.

`NBCACHE_STRESS` is the number of notebooks for each way to start kernels, `NBCACHE_STRESS_MB` how
much the one prints that prints very much, `NBCACHE_STRESS_REPORT` a file for counts of how they
ended.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import pytest
from running import job, marked, soon, text, users_of

from sphinx_nbcache.config import KernelStart
from sphinx_nbcache.execution.job import Outcome
from sphinx_nbcache.execution.runner import run
from sphinx_nbcache.kernels.forked.starts import kernel_starts
from sphinx_nbcache.notices import Notice
from sphinx_nbcache.results.records import Status

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc"),
]

MEGABYTES = int(os.environ.get("NBCACHE_STRESS_MB", "20"))
AT_ONCE = 6
LIMIT = 3.0
MARK = "NBCACHE_STRESS_MARK"

OK, FAILED, DIED, TIMEOUT = Status.OK, Status.FAILED, Status.DIED, Status.TIMEOUT
ANY = (OK, FAILED, DIED, TIMEOUT)

# Newer Pythons warn of a fork beside threads.
UNWARNED = "import warnings; warnings.simplefilter('ignore')"
QUIET = "stdin=s.DEVNULL, stdout=s.DEVNULL, stderr=s.DEVNULL"


@dataclass(frozen=True)
class Kind:
    """What a notebook does, how that may end, and what it has printed if it ended well."""

    code: str
    ends: tuple[Status, ...] = (OK,)
    prints: str = "done\n"


KINDS = {
    # Those that only want to be left alone.
    "computes": Kind("total = sum(range(10**6))\nprint('done')"),
    "files": Kind(
        "open('own', 'w').write('x' * 10**6)\nassert len(open('own').read()) == 10**6\n"
        "print('done')"
    ),
    "waits": Kind(
        "import time\nfor n in range(10): time.sleep(0.05); print(n)\nprint('done')",
        prints="".join(f"{n}\n" for n in range(10)) + "done\n",
    ),
    "libraries": Kind(
        "import numpy as np\nprint(np.eye(3).sum())\nprint('done')", prints="3.0\ndone\n"
    ),
    "child": Kind(
        "import subprocess as s\nprint(s.check_output(['echo', 'done'], text=True), end='')"
    ),
    # Those that end their kernel.
    "raises": Kind("1 / 0", (FAILED,)),
    "exits": Kind("import os\nos._exit(3)", (DIED,)),
    "quits": Kind("exit()\nprint('done')", (OK, DIED)),
    "kills itself": Kind("import os\nos.kill(os.getpid(), 9)", (DIED,)),
    "kills its group": Kind("import os, signal\nos.killpg(0, signal.SIGKILL)", (DIED,)),
    "is killed": Kind(
        "import os, subprocess as s, time\n"
        f"s.Popen(['sh', '-c', f'sleep 0.3; kill -9 {{os.getpid()}}'], {QUIET})\ntime.sleep(60)",
        (DIED,),
    ),
    "segmentation fault": Kind("import ctypes\nctypes.string_at(0)", (DIED,)),
    "stack overflow": Kind(
        "import ctypes, sys\nsys.setrecursionlimit(10**8)\n"
        "call = ctypes.CFUNCTYPE(None)(lambda: call())\ncall()",
        # Newer Pythons count how deep C goes.
        (DIED,) if sys.version_info < (3, 12) else (OK, DIED),
        prints="",
    ),
    "out of memory": Kind(
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))\nx = bytes(2**32)",
        (FAILED,),
    ),
    # Those that do not end.
    "sleeps": Kind("import time\ntime.sleep(600)", (TIMEOUT,)),
    "stops": Kind("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", (TIMEOUT,)),
    "ignores signals": Kind(
        "import signal\nfor n in set(signal.Signals) - {9, 19}:\n"
        "    signal.signal(n, signal.SIG_IGN)\n"
        "while True: pass",
        (TIMEOUT,),
    ),
    "hangs in C": Kind("import ctypes\nctypes.PyDLL(None).sleep(600)", (TIMEOUT,)),
    "exit handler": Kind("import atexit, time\natexit.register(time.sleep, 600)\nprint('done')"),
    # Those that leave something behind.
    "children": Kind(
        "import subprocess as s, sys\nsleep = ['sleep', '600']\n"
        f"s.Popen(sleep, {QUIET})\ns.Popen(sleep, start_new_session=True, {QUIET})\n"
        f"s.run(['sh', '-c', 'setsid sleep 600 & exit 0'], {QUIET})\nprint('done')"
    ),
    "stubborn children": Kind(
        "import subprocess as s\n"
        f"s.Popen(['sh', '-c', 'trap \"\" 1 2 3 15; sleep 600; sleep 600'], {QUIET})\nprint('done')"
    ),
    "forks": Kind(f"import os, time\n{UNWARNED}\nif not os.fork(): time.sleep(600)\nprint('done')"),
    "forks itself": Kind("import os\nos.fork()\nprint('done')", ANY, prints=""),
    "pool": Kind(
        f"import multiprocessing as m\n{UNWARNED}\npool = m.get_context('fork').Pool(2)\n"
        "print(pool.map(abs, [-1]))\nprint('done')",
        prints="[1]\ndone\n",
    ),
    "threads": Kind(
        "import threading, time\n"
        "for _ in range(20):\n"
        "    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
        "threading.Thread(target=time.sleep, args=(0.3,)).start()\nprint('done')"
    ),
    "loops": Kind(
        "import asyncio\ntask = asyncio.create_task(asyncio.sleep(600))\n"
        "await asyncio.sleep(0.01)\n"
        "loop = asyncio.new_event_loop()\n"
        "import threading\nthreading.Thread(target=loop.run_forever, daemon=True).start()\n"
        "print('done')"
    ),
    # Those that take away what a kernel stands on.
    "closes": Kind("import os\nos.closerange(0, 21)\nprint('done')", ANY, prints=""),
    "closes its log": Kind("import os\nos.closerange(0, 3)\nprint('done')", ANY, prints=""),
    "folder": Kind(
        "import os, shutil\nshutil.rmtree(os.getcwd())\nprint('done')",
    ),
    "handlers": Kind(
        "import signal\nfor n in ('INT', 'TERM', 'CHLD', 'ALRM', 'USR1'):\n"
        "    signal.signal(getattr(signal, 'SIG' + n), lambda *_: None)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)\n"
        "print('done')"
    ),
    "prints": Kind(
        f"for n in range({MEGABYTES}): print('x' * (2**20 - 1))\nprint('done')", prints="done\n"
    ),
    "standard output": Kind("import sys\nsys.stdout = sys.stderr = None", ANY, prints=""),
}


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> str:
    """A variable that every process has which is started from now on."""
    mark = f"{MARK}={os.getpid()}-{time.time_ns()}"
    monkeypatch.setenv(*mark.split("="))
    return mark


async def all_outcomes(
    names: list[str], folder: Path, mode: KernelStart, told: list[Notice]
) -> dict[str, Outcome]:
    """Run a notebook of each kind that is named, some at once; return the outcomes by number."""
    limit = asyncio.Semaphore(AT_ONCE)
    with kernel_starts(mode, "auto", list, told.append) as starts:

        async def run_one(number: int, name: str) -> tuple[str, Outcome]:
            place = folder / f"{number}"
            place.mkdir()
            async with limit:
                order = job(
                    place, KINDS[name].code, timeout=LIMIT if TIMEOUT in KINDS[name].ends else 60.0
                )
                return f"{number} {name}", await run(order, starts)

        return dict(await asyncio.gather(*(run_one(*item) for item in enumerate(names))))


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mode", ["fork", "light", "spawn"])
def test_notebooks_that_do_their_worst_harm_no_other(
    tmp_path: Path, mark: str, mode: KernelStart
) -> None:
    names = list(islice(cycle(KINDS), int(os.environ.get("NBCACHE_STRESS", len(KINDS)))))
    random.Random(len(names)).shuffle(names)
    told: list[Notice] = []
    outcomes = asyncio.run(all_outcomes(names, tmp_path, mode, told))
    assert [notice.text for notice in told] == []
    wrong = {}
    for name, outcome in outcomes.items():
        kind = KINDS[name.partition(" ")[2]]
        printed = text(outcome, 1)
        as_expected = outcome.status in kind.ends and (
            outcome.status is not OK or printed.endswith(kind.prints)
        )
        if not as_expected:
            wrong[name] = (
                outcome.status,
                printed[-200:],
                outcome.failure and outcome.failure.message,
            )
    assert wrong == {}
    if report := os.environ.get("NBCACHE_STRESS_REPORT"):
        counts = Counter(outcome.status.value for outcome in outcomes.values())
        with Path(report).open("a", encoding="utf-8") as file:
            file.write(f"{mode}: {len(outcomes)} notebooks, {dict(counts)}\n")
    sizes = {len(text(o, 1)) for name, o in outcomes.items() if name.endswith(" prints")}
    assert sizes <= {MEGABYTES * 2**20 + 5}
    assert soon(lambda: not marked(mark)), marked(mark)
    assert users_of(tmp_path) == []
