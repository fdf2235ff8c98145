"""Files that the run writes, and files that a user saves meanwhile: whose they are then.

The user is another process, which saves when a cell asks for it. No process of the run is its
parent.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tracing import Project, Shells, Traced

from sphinx_nbcache.traces.observe import observe
from sphinx_nbcache.traces.trace import Trace

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="runs cells in forks")

USER = """
import os, time
def user(ask={ask!r}, done={done!r}):
    open(ask, 'w').close()
    while not os.path.exists(done): time.sleep(0.002)
    os.remove(done)
"""
SAVED = "saved by the user, who has much to say" * 9
# Where there is no fanotify, as on other systems and in many containers.
BLIND = "\n__import__('sys').modules['_nbcache_trace.watch'].Watch.available = False"


@dataclass
class Desk:
    """A project, and a user who saves a file in it whenever a cell asks for it."""

    project: Project
    name: str = "out"
    text: str = SAVED

    def __post_init__(self) -> None:
        folder = self.project.root.parent / "desk"
        folder.mkdir()
        self.project.options = {"ignored": (str(folder),)}
        self.ask, self.done = folder / "ask", folder / "done"
        self.has_ended = threading.Event()

    @property
    def path(self) -> Path:
        return self.project.root / self.name

    def save(self) -> None:
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_text(self.text)

    def work(self) -> None:
        while not self.has_ended.is_set():
            if self.ask.exists():
                self.ask.unlink()
                self.save()
                self.done.touch()
            time.sleep(0.002)

    def run(self, *cells: str, blind: bool = False, **options: Any) -> Traced:
        first = USER.format(ask=str(self.ask), done=str(self.done))
        worker = threading.Thread(target=self.work)
        worker.start()
        try:
            return self.project.run(first, *cells, further=BLIND if blind else "", **options)
        finally:
            self.has_ended.set()
            worker.join()


@pytest.fixture
def desk(tmp_path: Path, shells: Shells) -> Desk:
    return Desk(Project(tmp_path / "project", shells))


BLINDNESS = pytest.mark.parametrize("blind", [False, True], ids=["fanotify", "blind"])


def can_watch() -> bool:
    """Tell whether this system tells who has written a file."""
    import ctypes

    libc = ctypes.CDLL(None)
    group = libc.fanotify_init(0xC03, 0) if hasattr(libc, "fanotify_init") else -1
    if group < 0:
        return False
    path = os.fsencode(Path.cwd())
    marked = libc.fanotify_mark(group, 0x9, ctypes.c_uint64(0x08000088), -100, path)
    with contextlib.suppress(OSError):
        os.close(group)
    return bool(marked == 0)


NEEDS_WATCH = pytest.mark.skipif(not can_watch(), reason="the system does not tell who writes")


def whose(trace: Trace, name: str = "out") -> str:
    """Return what becomes of a file, and whether the trace can be trusted."""
    written = {w.path: "perhaps" if w.inferred else "own" for w in trace.written}
    sure = "" if trace.unreliable is None else " in doubt"
    if trace.unreliable is not None:
        assert trace.unreliable == f"{name} changed while the notebook ran"
    return written.get(name, "theirs") + sure


# --- Files that are only looked for -------------------------------------------------------

LOOKS = {
    "exists": ("params.json", "os.path.exists('params.json'); user()"),
    "open": ("params.json", "try: open('params.json')\nexcept OSError: user()"),
    "computed": ("params.json", "p = 'params' + '.json'; os.path.exists(p); user()"),
    "later": ("params.json", "os.path.exists('params.json')"),
    "cat": ("d.txt", "!cat d.txt\nuser()"),
    "bash": ("d.txt", "user()\nimport subprocess; subprocess.run('cat d.txt | wc', shell=True)"),
    "import": ("settings.py", "try: import settings\nexcept ImportError: user()"),
    "package": ("settings/__init__.py", "try: import settings\nexcept ImportError: user()"),
    "h5py": ("d.h5", "import h5py\ntry: h5py.File('d.h5')\nexcept OSError: user()"),
}


@pytest.mark.parametrize("there", [False, True], ids=["absent", "present"])
@pytest.mark.parametrize("kind", sorted(LOOKS))
@BLINDNESS
def test_a_file_that_is_only_looked_for_is_no_product(
    desk: Desk, kind: str, *, there: bool, blind: bool
) -> None:
    desk.name, code = LOOKS[kind]
    if kind == "h5py":
        pytest.importorskip("h5py")
    if there:
        desk.project.write(desk.name, "no h5 file" if kind == "h5py" else "raise ImportError")
    code = code.replace("except OSError: user()", "except OSError: pass\nuser()")
    traced = desk.run(code, "user()", blind=blind)
    assert whose(traced.trace, desk.name) == "theirs in doubt"


@BLINDNESS
def test_what_a_cell_magic_only_reads_is_no_product(desk: Desk, *, blind: bool) -> None:
    desk.name = "d.txt"
    # The shell cannot ask the user; the trace must hold whoever the shell runs with.
    cell = f"%%bash\ncat d.txt\nprintf '' > {desk.ask}\nsleep 0.3\ncat d.txt | wc -l"
    traced = desk.run(cell, blind=blind)
    assert desk.path.exists()
    assert whose(traced.trace, "d.txt") == "theirs in doubt"


# --- Files that are written, and saved by the user as well ----------------------------------

PYTHON = {
    "open": "with open('out', 'w') as f: f.write('1')",
    "append": "with open('out', 'a') as f: f.write('1')",
    "append often": "for n in range(500):\n    with open('out', 'a') as f: f.write('1')",
    "update": "open('out', 'a').close()\nwith open('out', 'r+') as f: f.write('1')",
    "pathlib": "import pathlib; pathlib.Path('out').write_text('1')",
    "copy": "import shutil; open('in', 'w').close(); shutil.copy('in', 'out')",
    "replace": "with open('out.tmp', 'w') as f: f.write('1')\nos.replace('out.tmp', 'out')",
    "descriptor": "d = os.open('out', os.O_CREAT | os.O_WRONLY); os.write(d, b'1'); os.close(d)",
    "zip": "import zipfile\nwith zipfile.ZipFile('out', 'w') as z: z.writestr('a', '1')",
    "memmap": "import numpy as np\n"
    "m = np.memmap('out', mode='w+', shape=99); m[:] = 1; m.flush(); del m",
    "save": "import numpy as np\nwith open('out', 'wb') as f: np.save(f, [1])",
    "csv": "import pandas; pandas.DataFrame({'a': [1]}).to_csv('out')",
    "savefig": "import matplotlib; matplotlib.use('agg'); from matplotlib import pyplot\n"
    "pyplot.plot([1]); pyplot.savefig('out', format='png')",
    "failed": "try: open('no/out', 'w')\nexcept OSError: pass\n"
    "with open('out', 'w') as f: f.write('1')",
    "twice": "open('out', 'w').close(); os.remove('out')\nwith open('out', 'w') as f: f.write('1')",
    "moved": "os.mkdir('new.d'); f = open('new.d/x', 'w'); f.write('1'); f.close()\n"
    "os.rename('new.d/x', 'out'); os.rmdir('new.d')",
}
IN_C = {
    "h5py": "import h5py\nwith h5py.File('out', 'w') as f: f['a'] = 1",
    "parquet": "import pyarrow as pa, pyarrow.parquet as pq\n"
    "pq.write_table(pa.table({'a': [1]}), 'out')",
    "pandas": "import pandas; pandas.DataFrame({'a': [1]}).to_parquet('out')",
}
SHELL = {
    "echo": "!echo 1 > out",
    "run": "import subprocess; subprocess.run('echo 1 > out', shell=True)",
    "tee": "import subprocess; subprocess.run(['tee', 'out'], input=b'1')",
}
CHILDREN = {
    "process": "import multiprocessing\n"
    "def write():\n    with open('out', 'w') as f: f.write('1')\n"
    "p = multiprocessing.get_context('fork').Process(target=write); p.start(); p.join()",
    "python": "import subprocess, sys\n"
    'subprocess.run([sys.executable, \'-c\', \'f = open("out", "w"); f.write("1"); f.close()\'])',
}
KILLED = {
    "fork": "if os.fork() == 0:\n    f = open('out', 'w'); f.write('1'); f.close(); os._exit(0)\n"
    "os.wait()",
}
# Some of its workers are killed before they tell how they left what they wrote.
POOL = """
import multiprocessing
def write(n):
    with open('out', 'w') as f: f.write('1')
with multiprocessing.get_context('fork').Pool(1) as p: p.map(write, [1])
"""
WRITERS = {**PYTHON, **IN_C, **SHELL, **CHILDREN, **KILLED}
WHEN = ("never", "before", "same cell", "later", "after")
NEEDED = {"h5py": "h5py", "parquet": "pyarrow", "pandas": "pyarrow", "csv": "pandas"}
NEEDED |= {"memmap": "numpy", "save": "numpy", "savefig": "matplotlib"}


# A process that has not been seen may have made the link in the same cell.
THEIRS = {
    "same cell": ("theirs in doubt", "perhaps"),
    "later": ("theirs in doubt",),
    "after": ("theirs in doubt",),
}


def expected(kind: str, when: str, *, blind: bool) -> str:
    """Return whose a file is: never the run's if the user was the last one to save it."""
    is_unseen = kind in KILLED or (blind and (kind in IN_C or kind in CHILDREN))
    if when in ("never", "before"):
        return "perhaps" if is_unseen or kind in SHELL else "own"
    if when == "same cell" and (kind in {**CHILDREN, **KILLED} or (blind and kind == "h5py")):
        return "perhaps"
    if when == "same cell" and blind and kind in PYTHON:
        return "own"  # a known limit: nothing tells of it
    # Where only a comparison tells, the run has not written as many bytes as are in it.
    return "theirs in doubt"


def observed(desk: Desk, kind: str, when: str, *, blind: bool) -> Traced:
    if kind in NEEDED:
        pytest.importorskip(NEEDED[kind])
    write = WRITERS[kind]
    cells = {
        "before": ("user()", write),
        "same cell": (write + "\nuser()",),
        "later": (write, "user()"),
    }
    traced = desk.run(*cells.get(when, (write,)), blind=blind)
    if when == "after":
        desk.save()
        trace = observe(traced.report, desk.project.world(), (), "")
        return Traced(trace, traced.report, traced.output)
    return traced


def test_what_a_pool_writes_is_a_product(desk: Desk) -> None:
    assert whose(desk.run(POOL).trace) in ("own", "perhaps")


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("kind", sorted(WRITERS))
@NEEDS_WATCH
def test_a_product_that_the_user_saves_is_the_users(desk: Desk, kind: str, when: str) -> None:
    traced = observed(desk, kind, when, blind=False)
    assert whose(traced.trace) == expected(kind, when, blind=False)


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("kind", ["open", "append", "replace", "h5py", "echo", "process"])
def test_a_product_that_the_user_saves_later_is_the_users_where_nothing_tells_who_writes(
    desk: Desk, kind: str, when: str
) -> None:
    traced = observed(desk, kind, when, blind=True)
    assert whose(traced.trace) == expected(kind, when, blind=True)


@pytest.mark.parametrize("kind", ["open", "replace", "echo", "process"])
@BLINDNESS
def test_a_product_that_the_user_saves_while_the_run_is_judged_is_the_users(
    desk: Desk, kind: str, *, blind: bool
) -> None:
    """What the run has read is hashed then, which may take seconds."""
    desk.project.write("large")
    traced = desk.run("open('large').read()", WRITERS[kind], blind=blind)
    world = desk.project.world()

    def save_once() -> int:
        if desk.path.read_text() != desk.text:
            desk.save()
        return time.time_ns()

    world.fingerprints.now_ns = save_once
    assert whose(observe(traced.report, world)) == "theirs in doubt"


@pytest.mark.parametrize("when", ["same cell", "later", "after"])
@pytest.mark.parametrize("kind", ["open", "h5py", "echo", "process"])
@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
@NEEDS_WATCH
def test_a_product_that_the_user_makes_a_link_is_the_users(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, link: str, kind: str, when: str
) -> None:
    def save() -> None:
        desk.path.unlink()
        getattr(desk.path, link)(desk.project.write("old", SAVED))

    monkeypatch.setattr(desk, "save", save)
    assert whose(observed(desk, kind, when, blind=False).trace) in THEIRS[when]


# --- Files that get another name ---------------------------------------------------------------

RENAMES = {
    "rename": "os.rename('params.json', 'out')",
    "replace": "open('out', 'w').close(); os.replace('params.json', 'out')",
    "shutil": "import shutil; shutil.move('params.json', 'out')",
    "pathlib": "import pathlib; pathlib.Path('params.json').rename('out')",
    "link": "os.link('params.json', 'out'); os.remove('params.json')",
    "twice": "os.rename('params.json', 'b'); os.rename('b', 'out')",
    "backup": "os.rename('params.json', 'out'); open('params.json', 'w').close()",
    "folder": "os.rename('d', 'new')",
    "appended": "with open('params.json', 'a') as f: f.write('1')\nos.rename('params.json', 'out')",
    "child": "import subprocess, sys\n"
    "subprocess.run([sys.executable, '-c', 'import os; os.rename(\"params.json\", \"out\")'])",
}


@pytest.mark.parametrize("kind", sorted(RENAMES))
@BLINDNESS
def test_a_file_of_the_user_that_the_run_renames_is_not_the_runs(
    desk: Desk, kind: str, *, blind: bool
) -> None:
    desk.project.write("params.json", "the user's")
    desk.project.write("d/out", "the user's")
    name = "new/out" if kind == "folder" else "out"
    assert whose(desk.run(RENAMES[kind], blind=blind).trace, name) == "perhaps"


def test_a_file_that_takes_the_name_of_a_renamed_one_is_the_runs(desk: Desk) -> None:
    desk.project.write("a", "the user's")
    move = "open('b', 'w').close(); os.rename('b', 'out')"
    assert whose(desk.run("os.rename('a', 'out')", move).trace) == "own"


# --- Handles that stay open ---------------------------------------------------------------

OPEN_ACROSS = {
    "open": ("f = open('out', 'w')", "f.write('1'); f.flush()", "f.write('2'); f.close()"),
    "never closed": ("f = open('out', 'w')", "f.write('1')"),
    "memmap": (
        "import numpy as np; m = np.memmap('out', mode='w+', shape=9)",
        "m[:] = 1; m.flush()",
        "m[:] = 2; m.flush()",
    ),
    "h5py": ("import h5py; f = h5py.File('out', 'w')", "f['a'] = 1; f.flush()", "f.close()"),
    "sqlite": (
        "import sqlite3; c = sqlite3.connect('out')",
        "c.execute('create table t (a)'); c.commit()",
        "c.close()",
    ),
    "log": (
        "import logging; logging.basicConfig(filename='out', force=True)",
        "logging.error('1')",
        "logging.error('2')",
    ),
}


@pytest.mark.parametrize("kind", sorted(OPEN_ACROSS))
@BLINDNESS
def test_a_file_that_stays_open_is_the_runs(desk: Desk, kind: str, *, blind: bool) -> None:
    if kind in NEEDED:
        pytest.importorskip(NEEDED[kind])
    for number in range(1, len(OPEN_ACROSS[kind]) + 1):
        desk.path.unlink(missing_ok=True)
        desk.has_ended.clear()
        traced = desk.run(*OPEN_ACROSS[kind][:number], blind=blind)
        if number > 1 or kind != "sqlite":
            assert whose(traced.trace) == "own"


@NEEDS_WATCH
@pytest.mark.parametrize("kind", sorted(OPEN_ACROSS))
def test_a_file_that_stays_open_and_that_the_user_saves_is_the_users(desk: Desk, kind: str) -> None:
    if kind in NEEDED:
        pytest.importorskip(NEEDED[kind])
    first, *_ = OPEN_ACROSS[kind]
    assert whose(desk.run(first, "user()").trace) == "theirs in doubt"


# --- Commands -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "if not os.path.exists('out'):\n    !echo 1 > out",
        "if not os.path.exists('out'):\n    !printf 1 | tee out",
        "os.path.exists('out')\nos.system('sort /dev/null -o out')",
        "!echo 1 > out\nopen('out').read()",
    ],
)
@BLINDNESS
def test_what_a_command_says_that_it_writes_is_perhaps_the_runs(
    desk: Desk, code: str, *, blind: bool
) -> None:
    assert whose(desk.run("import os", code, blind=blind).trace) == "perhaps"


def test_what_a_child_changes_in_a_file_of_the_kernel_is_perhaps_the_runs(desk: Desk) -> None:
    traced = desk.run("open('out', 'w').close()", "!sort /dev/null -o out")
    assert whose(traced.trace) == "perhaps"
    code = "open('out', 'w').close()\nif os.fork() == 0:\n    f = open('out', 'a'); f.write('1')"
    desk.has_ended.clear()
    traced = desk.run("import os", f"{code}; f.close(); os._exit(0)\nos.wait()")
    assert whose(traced.trace) == "perhaps"


def test_a_directory_that_a_command_makes_is_looked_for_in_vain_as_before(desk: Desk) -> None:
    traced = desk.run("!mkdir -p out", "open('out/a', 'w').close()")
    assert whose(traced.trace, "out/a") == "own"
    assert desk.project.says(traced) is None


# --- What earlier runs have left -----------------------------------------------------------

LEFT_OVER = "out, which an earlier run seems to have written, was there; remove it to start from"


@pytest.mark.parametrize(
    ("code", "is_read"),
    [
        ("os.path.exists('out')", True),
        ("open('out').read()", True),
        ("!cat out", True),
        ("if os.path.exists('out'): open('out').read()\nelse: open('out', 'w').close()", True),
        ("with open('out', 'w') as f: f.write('1')", False),
        ("!echo 1 > out", False),
        ("os.path.exists('out') and os.remove('out')\n!echo 1 > out", False),
        ("1", False),
    ],
)
def test_a_run_that_reads_what_an_earlier_one_seems_to_have_written_is_in_doubt(
    desk: Desk, code: str, *, is_read: bool
) -> None:
    desk.project.write("out")
    report = desk.run("import os", code).report
    trace = observe(report, desk.project.world(), left_over=("out",))
    assert (LEFT_OVER in (trace.unreliable or "")) == is_read
    assert observe(report, desk.project.world()).unreliable is None


# --- Where the system tells less ------------------------------------------------------------


@NEEDS_WATCH
def test_a_group_that_a_library_has_closed_is_no_proof(desk: Desk) -> None:
    code = "open('other', 'w').close(); os.closerange(100, 1000)"
    traced = desk.run("import os", code, "with open('out', 'w') as f: f.write('1')\nuser()")
    assert traced.report["errors"] == []
    assert whose(traced.trace) == "own"


@NEEDS_WATCH
def test_a_folder_that_was_replaced_is_watched_again(desk: Desk) -> None:
    desk.name = "new/out"
    traced = desk.run(
        "import os, shutil; os.mkdir('new'); open('new/out', 'w').close(); shutil.rmtree('new')",
        "os.mkdir('new')\nwith open('new/out', 'w') as f: f.write('1')\nuser()",
    )
    assert whose(traced.trace, "new/out") == "theirs in doubt"
