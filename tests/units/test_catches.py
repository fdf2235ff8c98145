"""What is caught in a real kernel, by each way in which notebooks read and write files."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from tracing import Kernel, Project, Traced

from sphinx_nbcache.traces.facts import Absent, File

pytestmark = pytest.mark.kernel


@dataclass(frozen=True)
class Case:
    """A cell, and the file that it must be seen to read or write."""

    name: str
    code: str
    path: str
    needs: str = "json"


READS = [
    Case("open", "open('in/open').read()", "in/open"),
    Case("pathlib", "import pathlib; pathlib.Path('in/pathlib').read_text()", "in/pathlib"),
    Case("json", "import json; json.load(open('in/j.json'))", "in/j.json"),
    Case("pickle", "import pickle; pickle.load(open('in/p.pkl', 'rb'))", "in/p.pkl"),
    Case("read_csv", "import pandas as pd; pd.read_csv('in/a.csv')", "in/a.csv", "pandas"),
    Case("np.load", "import numpy as np; np.load('in/a.npy')", "in/a.npy", "numpy"),
    Case("fromfile", "np.fromfile('in/raw')", "in/raw", "numpy"),
    Case("memmap", "m = np.memmap('in/map', mode='r')", "in/map", "numpy"),
    Case(
        "imread",
        "import matplotlib.pyplot as plt; plt.imread('in/i.png')",
        "in/i.png",
        "matplotlib",
    ),
    Case(
        "sqlite", "import sqlite3; sqlite3.connect('in/a.db').execute('select * from t')", "in/a.db"
    ),
    Case("h5py", "import h5py; list(h5py.File('in/a.h5'))", "in/a.h5", "h5py"),
    Case(
        "pq",
        "import pyarrow.parquet as pq; pq.read_table('in/pq.parquet')",
        "in/pq.parquet",
        "pyarrow",
    ),
    Case("read_parquet", "pd.read_parquet('in/pd.parquet')", "in/pd.parquet", "pyarrow"),
    Case(
        "memory_map", "import pyarrow as pa\nmm = pa.memory_map('in/' + 'mm')", "in/mm", "pyarrow"
    ),
    Case(
        "variable",
        "import os; name = os.path.join('in', 'v' + '.h5'); h5py.File(name)",
        "in/v.h5",
        "h5py",
    ),
    Case(
        "path in a list",
        "names = [pathlib.Path('in') / ('l' + '.h5')]; h5py.File(names[0])",
        "in/l.h5",
        "h5py",
    ),
    Case("in a module", "import reader; reader.read()", "in/m.h5", "h5py"),
    Case("beside a module", "import pkg.reader; pkg.reader.read()", "pkg/data.h5", "h5py"),
    Case("%run", "%run script.py", "script.py"),
    Case("read by %run", "1", "in/run"),
    Case("!cat", "!cat in/cat", "in/cat"),
    Case("x = !cat", "x = !cat in/cat2", "in/cat2"),
    Case("%%bash", "%%bash\ncat in/bash", "in/bash"),
    Case("os.system", "import os; os.system('cat in/system')", "in/system"),
    Case(
        "subprocess",
        "import subprocess, sys; subprocess.run([sys.executable, 'child.py'])",
        "in/child",
    ),
    Case("!python", "!{sys.executable} child2.py", "in/child2"),
    Case(
        "spawn",
        "import multiprocessing as mp, work\n"
        "with mp.get_context('spawn').Pool(1) as p: p.map(work.read, ['in/spawn'])",
        "in/spawn",
    ),
    Case(
        "fork", "with mp.get_context('fork').Pool(1) as p: p.map(work.read, ['in/fork'])", "in/fork"
    ),
    Case(
        "executor",
        "from concurrent.futures import ProcessPoolExecutor as P\n"
        "with P(1) as p: list(p.map(work.read, ['in/executor']))",
        "in/executor",
    ),
    Case(
        "thread",
        "import threading\n"
        "t = threading.Thread(target=work.read, args=('in/thread',)); t.start(); t.join()",
        "in/thread",
    ),
    Case("zipfile", "import zipfile; zipfile.ZipFile('in/z.zip').namelist()", "in/z.zip"),
    Case("chdir", "os.chdir('in'); open('open2').read(); os.chdir('..')", "in/open2"),
    Case("%cd", "%cd -q in\nopen('open3').read()\n%cd -q ..", "in/open3"),
    Case("names", "open('in/größe 1.csv').read()", "in/größe 1.csv"),
]

WRITES = [
    Case("open", "open('out/open', 'w').write('1')", "out/open"),
    Case("to_csv", "pd.DataFrame({'x': [1]}).to_csv('out/a.csv')", "out/a.csv", "pandas"),
    Case("savefig", "plt.plot([1]); plt.savefig('out/f.png')", "out/f.png", "matplotlib"),
    Case("copy", "import shutil; shutil.copy('in/open', 'out/copy')", "out/copy"),
    Case("%%writefile", "%%writefile out/wf\n1", "out/wf"),
    Case("rename", "open('out/r1', 'w').close(); os.rename('out/r1', 'out/r2')", "out/r2"),
    Case("np.save", "np.save('out/a.npy', [1])", "out/a.npy", "numpy"),
    Case(
        "to_parquet",
        "pd.DataFrame({'x': [1]}).to_parquet('out/a.parquet')",
        "out/a.parquet",
        "pyarrow",
    ),
    Case("h5py", "h5py.File('out/a.h5', 'w').close()", "out/a.h5", "h5py"),
    Case(
        "h5py, in a variable",
        "made = 'out/b' + '.h5'; h5py.File(made, 'w').close()",
        "out/b.h5",
        "h5py",
    ),
    Case(
        "sqlite",
        "c = sqlite3.connect('out/a.db'); c.execute('create table t(x)'); c.close()",
        "out/a.db",
    ),
    Case("shell", "!echo 1 > out/shell", "out/shell"),
    Case("%%bash", "%%bash\necho 1 > out/bash", "out/bash"),
    Case(
        "child", "subprocess.run([sys.executable, '-c', 'open(\"out/child\", \"w\")'])", "out/child"
    ),
]

MISSING = [
    Case("open", "try: open('no/open')\nexcept OSError: pass", "no/open"),
    Case("exists", "os.path.exists('no/exists')", "no/exists"),
    Case("Path", "pathlib.Path('no/path').exists()", "no/path"),
    Case("h5py", "try: h5py.File('no/a.h5')\nexcept OSError: pass", "no/a.h5", "h5py"),
    Case(
        "child",
        "subprocess.run([sys.executable, '-c', 'import os; os.path.exists(\"no/child\")'])",
        "no/child",
    ),
]

SETUP = """
import pickle, sqlite3, zipfile
pickle.dump(1, open('in/p.pkl', 'wb'))
c = sqlite3.connect('in/a.db'); c.execute('create table t(x)'); c.commit(); c.close()
zipfile.ZipFile('in/z.zip', 'w').close()
try:
    import numpy as np
    np.save('in/a.npy', [1])
    import matplotlib.pyplot as plt
    plt.imsave('in/i.png', np.zeros((2, 2)))
    import h5py
    for name in ('in/a.h5', 'in/v.h5', 'in/l.h5', 'in/m.h5', 'pkg/data.h5'):
        h5py.File(name, 'w').close()
    import pandas as pd
    for name in ('pq', 'pd'):
        pd.DataFrame({'x': [1]}).to_parquet(f'in/{name}.parquet')
except ImportError:
    pass
"""


def make(project: Project) -> None:
    """Make all files that are read, with old times."""
    texts: tuple[str, ...] = (
        "open",
        "open2",
        "open3",
        "pathlib",
        "raw",
        "map",
        "mm",
        "run",
        "cat",
        "cat2",
        "bash",
    )
    texts += ("system", "child", "child2", "spawn", "fork", "executor", "thread", "größe 1.csv")
    for name in texts:
        project.write(f"in/{name}", "12345678")
    project.write("in/j.json", "{}")
    project.write("in/a.csv", "x\n1\n")
    project.write("script.py", "print(open('in/run').read())")
    project.write("child.py", "open('in/child').read()")
    project.write("child2.py", "open('in/child2').read()")
    project.write("work.py", "def read(name): return open(name).read()")
    project.write("reader.py", "import h5py\ndef read(): return h5py.File('in/m.h5')")
    body = (
        "import h5py, os\ndef read(): h5py.File(os.path.join(os.path.dirname(__file__), 'data.h5'))"
    )
    project.write("pkg/reader.py", body)
    (project.root / "out").mkdir()
    subprocess.run([sys.executable, "-c", SETUP], cwd=project.root, check=True)
    for path in project.root.rglob("*"):
        os.utime(path, ns=(1_600_000_000_123_456_789,) * 2)


def is_installed(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Traced]:
    """All cases, in the cells of one notebook."""
    project = Project(tmp_path_factory.mktemp("catches") / "project")
    make(project)
    kernel = Kernel(project)
    cells = [case.code for case in [*READS, *WRITES, *MISSING] if is_installed(case.needs)]
    output = "".join(kernel.run(cell) for cell in cells)
    who = kernel.run("%who")
    traced = project.traced(kernel.report(), output, cells)
    traced.output = who
    kernel.close()
    assert "Traceback" not in output
    return project, traced


def ids(cases: list[Case]) -> list[str]:
    return [case.name for case in cases]


Run = tuple[Project, Traced]


@pytest.mark.parametrize("case", READS, ids=ids(READS))
def test_what_is_read_is_a_fact(run: Run, case: Case) -> None:
    pytest.importorskip(case.needs)
    _, traced = run
    assert case.path in traced.paths(File)


@pytest.mark.parametrize("case", WRITES, ids=ids(WRITES))
def test_what_is_written_is_a_candidate_for_an_artifact_and_no_input(run: Run, case: Case) -> None:
    pytest.importorskip(case.needs)
    _, traced = run
    assert case.path in [written.path for written in traced.trace.written]
    assert case.path not in traced.paths(File)


@pytest.mark.parametrize("case", MISSING, ids=ids(MISSING))
def test_what_is_missing_is_a_fact(run: Run, case: Case) -> None:
    pytest.importorskip(case.needs)
    _, traced = run
    assert case.path in traced.paths(Absent)


def test_the_trace_holds_as_long_as_nothing_changes(run: Run) -> None:
    project, traced = run
    assert project.says(traced) is None


def test_nothing_else_is_a_fact_or_an_artifact(run: Run) -> None:
    _, traced = run
    expected = {case.path for case in [*READS, *MISSING]}
    modules = {"work.py", "reader.py", "pkg/reader.py", "child.py", "child2.py"}
    files = {*traced.paths(File)} - expected - modules
    assert files == set()
    written = {item.path for item in traced.trace.written} - {case.path for case in WRITES}
    assert written == set()


def test_processes_that_could_not_be_traced_are_told(run: Run) -> None:
    _, traced = run
    told = set(traced.trace.untracked)
    assert "sub-process: cat in/cat" in told
    assert not any("python" in text for text in told)


def test_names_of_the_user_are_as_they_would_be(run: Run) -> None:
    _, traced = run
    assert "nbcache" not in traced.output
    assert "TRACER" not in traced.output


def test_a_trace_is_small(run: Run) -> None:
    import msgspec

    _, traced = run
    assert len(msgspec.json.encode(traced.trace)) < 30_000


def test_installing_twice_changes_nothing(tmp_path: Path) -> None:
    from sphinx_nbcache.traces.tracer_code import install_code

    project = Project(tmp_path / "project")
    project.write("a")
    kernel = Kernel(project)
    kernel.run("open('a').read()")
    kernel.silently(install_code(project.config()))
    assert kernel.run("1 + 1") == "2"
    assert (
        kernel.run("In, Out, _")
        == "(['', \"open('a').read()\", '1 + 1', 'In, Out, _'], {1: '1', 2: 2}, 2)"
    )
    traced = project.traced(kernel.report(), "", ())
    assert traced.paths(File) == ["a"]
    kernel.close()


def test_a_startup_file_of_ipython_counts(tmp_path: Path) -> None:
    folder = Path(os.environ["IPYTHONDIR"]) / "profile_default" / "startup"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "00-mine.py"
    path.write_text("mine = 1")
    try:
        project = Project(tmp_path / "project")
        time.sleep(0.02)  # older than the run, by the clock of files
        kernel = Kernel(project, startup=True)
        assert kernel.run("mine") == "1"
        traced = project.traced(kernel.report(), "", ())
        kernel.close()
        assert project.says(traced) is None
        path.write_text("mine = 2")
        assert (project.says(traced) or "").endswith("00-mine.py changed")
        path.write_text("mine = 1")
        assert project.says(traced) is None
        (folder / "01-more.py").write_text("")
        assert (project.says(traced) or "").endswith("01-more.py appeared")
    finally:
        for file in folder.glob("*.py"):
            file.unlink()


def test_thousands_of_files_are_reported(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    for number in range(2000):
        project.write(f"data/{number}")
    kernel = Kernel(project)
    kernel.run("for n in range(2000): open(f'data/{n}').close()")
    traced = project.traced(kernel.report(), "", ())
    kernel.close()
    assert len(traced.all(File)) == 2000
    assert project.says(traced) is None
