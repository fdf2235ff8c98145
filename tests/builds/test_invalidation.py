"""What makes notebooks run again, and what does not: real builds, kernels, files and libraries."""

from __future__ import annotations

import pickle
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import h5py  # type: ignore[import-untyped]
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from running import soon
from support import Book, Built

from sphinx_nbcache.planning import Planned
from sphinx_nbcache.project import Progress, Settled

pytestmark = pytest.mark.kernel


@dataclass(frozen=True)
class Use:
    """A notebook that depends on one file.

    Attributes:
        code: Its code, which prints the number that is in the file.
        path: The file, relative to the book.
        save: Puts a number into it.
        told: What the reason names, if not the path.
    """

    code: str
    path: str
    save: Callable[[Path, int], object]
    told: str = ""


def text(path: Path, number: int) -> None:
    path.write_text(f"a,b\n1,{number}\n")


def module(path: Path, number: int) -> None:
    path.write_text(f"value = {number}  # {'.' * number}\n")


def database(path: Path, number: int) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("create table if not exists t (b)")
        connection.execute("delete from t")
        connection.execute("insert into t values (?)", (number,))


def cube(path: Path, number: int) -> None:
    with h5py.File(path, "w") as file:
        file["b"] = [number]


def table(path: Path, number: int) -> None:
    pq.write_table(pa.table({"b": [number]}), path)


def array(path: Path, number: int) -> None:
    np.save(path, np.array([number]))


def raw(path: Path, number: int) -> None:
    path.write_bytes(bytes([number]))


def pickled(path: Path, number: int) -> None:
    path.write_bytes(pickle.dumps(number))


OPEN = "print(open({!r}, encoding='utf-8').read())"
USES = {
    "pandas": Use(
        "import pandas; print(pandas.read_csv('data/prices.csv').b[0])", "data/prices.csv", text
    ),
    "numpy": Use("import numpy; print(numpy.load('data/array.npy'))", "data/array.npy", array),
    "memmap": Use("import numpy; print(numpy.memmap('data/raw.bin'))", "data/raw.bin", raw),
    "sqlite": Use(
        "import sqlite3\nprint(*sqlite3.connect('data/base.db').execute('select b from t'))",
        "data/base.db",
        database,
    ),
    "h5py": Use("import h5py; print(h5py.File('data/cube.h5')['b'][:])", "data/cube.h5", cube),
    "pyarrow": Use(
        "import pyarrow.parquet as p\nprint(p.read_table('data/t.parquet', memory_map=True)['b'])",
        "data/t.parquet",
        table,
    ),
    "pickle": Use("import pickle; print(pickle.load(open('data/p', 'rb')))", "data/p", pickled),
    "run": Use("%run script.py\nprint(value)", "script.py", module),
    "cat": Use("!cat data/lines.txt", "data/lines.txt", text),
    "bash": Use(
        "%%bash\nwhile read line; do echo $line; done < data/bash.txt", "data/bash.txt", text
    ),
    "processes": Use(
        "import multiprocessing, pathlib\n"
        "with multiprocessing.get_context('fork').Pool(1) as pool:\n"
        "    print(pool.map(pathlib.Path.read_text, [pathlib.Path('data/part.txt')]))",
        "data/part.txt",
        text,
    ),
    "relative": Use("from package.sub import value; print(value)", "package/deep.py", module),
    "reload": Use(
        "import importlib, again\nimportlib.reload(again); print(again.value)", "again.py", module
    ),
    "namespace": Use("import space.inner as s; print(s.value)", "space/inner.py", module),
    "editable": Use(
        "import site; site.addsitedir('site')\nimport edited; print(edited.value)",
        "src/edited/__init__.py",
        module,
    ),
    "link": Use(OPEN.format("data/link.csv"), "elsewhere/target.csv", text, "link.csv"),
    "outside": Use(OPEN.format("../../far.csv"), "../../far.csv", text, "far.csv"),
    "names": Use(OPEN.format("data/übung - é 字.csv"), "data/übung - é 字.csv", text),
}
QUIET = {
    "plot": "import matplotlib\nmatplotlib.use('Agg')\n"
    "import matplotlib.pyplot as p\np.plot([1]); 1",
    "temporary": "import tempfile\n"
    "with tempfile.NamedTemporaryFile('w+') as f: print(f.write('x'))\n"
    "with tempfile.TemporaryDirectory() as d: open(d + '/x', 'w').close()",
    "compiled": "import compileall; compileall.compile_dir('compiled', quiet=1)\nimport random",
    "folder": "import os; print(sorted(os.listdir('data')))\nos.makedirs('data', exist_ok=True)",
}


def save(book: Book, name: str, number: int) -> None:
    path = book.folder / USES[name].path
    path.parent.mkdir(parents=True, exist_ok=True)
    USES[name].save(path, number)


def reasons(built: Built, book: Book) -> dict[str, str]:
    """Return why each notebook was run, as the log tells."""
    found = {}
    for line in built.log.splitlines():
        for name in built.ran:
            if f"{name} (" in line:
                found[name] = line.partition(f"{name} (")[2].rstrip(")")
    return found


def test_a_change_of_a_file_runs_exactly_the_notebooks_that_read_it_however_they_do(
    book: Book,
) -> None:
    book.index(*USES, *QUIET)
    for number, name in enumerate(USES):
        save(book, name, number)
    book.write("package/__init__.py", "")
    book.write("compiled/one.py", "")
    book.write("package/sub.py", "from .deep import value\n")
    book.write("site/__editable__.edited.pth", str(book.folder / "src"))
    (book.folder / "data" / "link.csv").symlink_to("../elsewhere/target.csv")
    for name, use in USES.items():
        cells = [f"%%{cell}" for cell in [use.code]]
        book.myst(f"{name}.md", *cells)
    for name, code in QUIET.items():
        book.myst(f"{name}.md", "%%" + code)
    first = book.build()
    assert first.warnings == ""
    assert sorted(first.ran) == sorted(f"{name}.md" for name in (*USES, *QUIET))
    second = book.build()
    assert (second.ran, second.warnings) == ((), "")
    for changed in (list(USES)[::2], list(USES)[1::2]):
        for name in changed:
            save(book, name, 40 + len(name))
        built = book.build()
        assert built.warnings == ""
        why = reasons(built, book)
        assert sorted(built.ran) == sorted(f"{name}.md" for name in changed), why
        for name in changed:
            told = USES[name].told or USES[name].path
            assert Path(told).name in why[f"{name}.md"], why
            assert str(40 + len(name)) in book.page(name)
    last = book.build()
    assert (last.ran, last.warnings) == ((), "")


WRITER = "import os; os.makedirs('out', exist_ok=True)\n"
WRITER += "open('out/table.csv', 'w').write('a,b\\n1,{}\\n')"
READER = "print(open('out/table.csv').read())"


def chain(book: Book, number: int = 1) -> None:
    book.index("a-reader", "z-writer")
    book.myst("a-reader.md", "%%" + READER)
    book.myst("z-writer.md", "%%" + WRITER.format(number))


def test_a_reader_runs_after_the_writer_of_what_it_reads(book: Book) -> None:
    """In the first build nobody knows that; the reader fails, and runs again."""
    book.conf(executor="local-serial")
    chain(book)
    first = book.build()
    assert first.warnings == ""
    assert first.ran == ("a-reader.md", "z-writer.md", "a-reader.md")
    assert "1,1" in book.page("a-reader")
    assert book.build().ran == ()
    chain(book, 2)
    edited = book.build()
    assert edited.warnings == ""
    assert edited.ran == ("z-writer.md", "a-reader.md")
    assert "reads out/table.csv, which z-writer.md rewrote" in edited.log.replace("book/", "")
    assert "1,2" in book.page("a-reader")
    # Back again: both results are there, and the file as well.
    chain(book, 1)
    back = book.build()
    assert (back.ran, back.warnings) == ((), "")
    assert (book.folder / "out/table.csv").read_text() == "a,b\n1,1\n"
    assert "1,1" in book.page("a-reader")


def test_what_a_notebook_wrote_is_put_back_but_nothing_of_others_is_overwritten(
    book: Book,
) -> None:
    book.conf(executor="local-serial")
    chain(book)
    book.build()
    path = book.folder / "out/table.csv"
    shutil.rmtree(path.parent)
    restored = book.build()
    assert (restored.ran, restored.warnings) == ((), "")
    assert path.read_text() == "a,b\n1,1\n"
    path.write_text("mine")
    foreign = book.build()
    assert foreign.ran == ("z-writer.md",)
    assert "out/table.csv, which it writes, was changed by something else" in foreign.log
    assert path.read_text() == "a,b\n1,1\n"
    assert book.build().ran == ()


WAIT = """
import os, time
def tell(what): open({folder!r} + what, 'w').close()
def wait_for(what):
    end = time.time() + 30
    while not os.path.exists({folder!r} + what) and time.time() < end: time.sleep(0.02)
"""


@pytest.mark.parametrize("last", ["reader", "writer"])
def test_a_reader_that_was_too_early_runs_again_also_if_both_ran_at_the_same_time(
    book: Book, last: str
) -> None:
    """The reader did not find the file, which was there at its end: it did not write it, though."""
    book.store.mkdir(parents=True)  # files in there are no dependencies
    wait = "%%" + WAIT.format(folder=f"{book.store}/")
    read = "import os\nprint(open('t').read() if os.path.exists('t') else 'nothing')\n"
    reader = read + "tell('looked'); wait_for('wrote')"
    writer = "wait_for('looked'); open('t', 'w').write('table'); tell('wrote')"
    if last == "reader":
        writer, reader = writer + "; tell('end')", reader + "; wait_for('end'); time.sleep(1)"
    else:
        writer, reader = writer + "; wait_for('end'); time.sleep(1)", reader + "; tell('end')"
    book.myst("a-reader.md", wait, "%%" + reader)
    book.myst("z-writer.md", wait, "%%" + writer)
    project = book.project(executor="local-parallel", jobs=2)
    run = project.execute(project.plan())
    assert sorted(book.runs()) == ["a-reader.md", "a-reader.md", "z-writer.md"]
    shown = run.notebooks[0].result
    assert shown is not None
    assert "table" in str(project.outputs(shown).cells)
    assert shown.result.artifacts == ()
    plan = project.plan()
    assert plan.to_run == ()
    # And the file is put back as that of the writer.
    (book.folder / "t").unlink()
    assert project.plan().to_run == ()
    project.execute(project.plan())
    assert (book.folder / "t").read_text() == "table"
    project.close()


class Going(Progress):
    """Lets the writer go on once its end is awaited, and a result of the reader was found."""

    def __init__(self, go: Path) -> None:
        self.go = go
        self.seen: set[str] = set()

    def waiting(self, planned: Planned) -> None:
        self.see(planned.name)

    def finished(self, settled: Settled) -> None:
        assert settled.ran_elsewhere or settled.planned.name == "a-reader.md"
        self.see(settled.planned.name)

    def see(self, name: str) -> None:
        self.seen.add(name)
        if self.seen == {"a-reader.md", "z-writer.md"}:
            self.go.touch()


def test_a_reader_that_was_too_early_in_another_build_is_not_what_this_one_shows(
    book: Book,
) -> None:
    """Two first builds at once: one finds what the other one ran first, and why it failed."""
    book.store.mkdir(parents=True)
    wait = "%%" + WAIT.format(folder=f"{book.store}/")
    book.index("a-reader", "z-writer")
    book.myst("a-reader.md", "%%\nprint('read', open('t').read())")
    book.myst("z-writer.md", wait, "%%\nwait_for('go'); open('t', 'w').write('table')")
    project = book.project()
    plan = project.plan()
    first = book.start()
    assert soon(lambda: "its last run failed" in str(project.plan().notebooks[0].decision.reason))
    run = project.execute(plan, Going(book.store / "go"))
    log, _ = first.communicate(timeout=60)
    assert "WARNING" not in log
    assert "read table" in book.page("a-reader")
    shown = run.notebooks[0].result
    assert shown is not None
    assert "read table" in str(project.outputs(shown).cells)
    assert book.runs().count("z-writer.md") == 1
    project.close()


def test_two_notebooks_that_write_one_file_are_told_and_do_not_run_each_other_for_ever(
    book: Book,
) -> None:
    book.conf(executor="local-serial")
    book.index("one", "two")
    for name in ("one", "two"):
        book.myst(f"{name}.md", f"%%open('same.txt', 'w').write('{name}')")
    first = book.build()
    assert sorted(first.ran) == ["one.md", "two.md"]
    assert "same.txt is written by several notebooks" in first.warnings
    for name in ("one.md", "two.md"):
        assert name in first.warnings.partition("written by several")[2]
    for _ in range(2):
        again = book.build()
        assert again.ran == ()
        assert "same.txt is written by several notebooks" in again.warnings
        assert (book.folder / "same.txt").read_text() == "two"


def test_notebooks_that_invalidate_each_other_for_ever_end_with_a_warning_that_names_them(
    book: Book,
) -> None:
    book.conf(executor="local-serial")
    book.index("one", "two")
    code = (
        "import pathlib\nold = pathlib.Path('{0}.txt')\n"
        "n = int(old.read_text()) if old.exists() else 0\n"
        "pathlib.Path('{1}.txt').write_text(str(n + 1)); print(n)"
    )
    book.myst("one.md", "%%" + code.format("b", "a"))
    book.myst("two.md", "%%" + code.format("a", "b"))
    built = book.build()
    assert 2 < len(built.ran) < 20
    assert "[nbcache.order]" in built.warnings
    assert "one.md" in built.warnings
    assert built.warnings.count("WARNING") == 1


def test_a_module_that_comes_to_stand_before_another_one_is_noticed(book: Book) -> None:
    book.index("one", "two")
    book.myst("one.md", "%%import click; print(getattr(click, 'value', 'installed'))")
    book.myst("two.md", "%%import json; print(json.dumps(1))")
    book.build()
    assert book.build().ran == ()
    book.write("click.py", "value = 'beside'\n")
    shadowed = book.build()
    assert shadowed.ran == ("one.md",)
    assert "click.py is now what import click finds" in shadowed.log
    assert "beside" in book.page("one")


def test_start_up_files_of_ipython_are_dependencies(
    book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    startup = tmp_path / "ipython" / "profile_default" / "startup" / "00-x.py"
    startup.parent.mkdir(parents=True)
    startup.write_text("started = 'first'\n")
    book.index("one")
    book.myst("one.md", "%%print(globals().get('started'))")
    book.build()
    assert "first" in book.page("one")
    assert book.build().ran == ()
    startup.write_text("started = 'second'\n")
    changed = book.build()
    assert changed.ran == ("one.md",)
    assert "00-x.py changed" in changed.log
    assert "second" in book.page("one")


def test_a_fresh_home_directory_as_in_ci_runs_nothing(
    book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("IPYTHONDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR"):
        monkeypatch.delenv(variable, raising=False)
    book.index("one", "two", "three")
    book.myst("one.md", "%%print(6 * 7)")
    # A library that makes folders for its settings and what it remembers; the second one to use
    # it finds them. If matplotlib is installed, it is one.
    keeps = """
import os, pathlib
for place in ("~/.config/library", "~/.cache/library"):
    folder = os.path.expanduser(place)
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    if os.path.isdir(folder) and "cache" in folder:
        open(os.path.join(folder, "remembered.json"), "a").write("1")
try:
    import matplotlib.pyplot as plt; plt.figure()
except ImportError:
    pass
"""
    book.myst("two.md", "%%" + keeps)
    book.myst("three.md", "%%" + keeps)
    for home in ("first", "second"):
        (tmp_path / home).mkdir()
        monkeypatch.setenv("HOME", str(tmp_path / home))
        built = book.build("-D", "nbcache_jobs=1")
        assert built.ran == (("one.md", "three.md", "two.md") if home == "first" else ()), built.log
    assert (tmp_path / "first/.config/library").is_dir()


def test_a_checkout_that_is_moved_runs_only_what_mentions_its_place(
    book: Book, tmp_path: Path
) -> None:
    book.index("here", "there")
    book.write("data.txt", "1")
    book.myst("here.md", "%%import os; print(os.getcwd())")
    book.myst("there.md", "%%print(open('data.txt').read())")
    book.build()
    project = tmp_path / "moved"
    book.folder.parent.rename(project)
    moved = Book(project / "book", book.counter)
    built = moved.build()
    assert built.ran == ("here.md",)
    assert "the project moved from" in built.log
    assert str(project) in moved.page("here")
    assert moved.build().ran == ()


PAGE = """User
====

.. csv-table::
   :file: out/table.csv
   :header-rows: 1

.. literalinclude:: out/part.txt
   :language: none

.. image:: out/plot.png
"""
MAKER = """%%
import os
os.makedirs('out')
open('out/table.csv', 'w').write('a,b\\n1,cell made\\n')
open('out/part.txt', 'w').write('line made\\n')
open('out/plot.png', 'wb').write(b'\\x89PNG made')
"""


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=n", "-c", "user.email=e"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def test_a_clean_checkout_with_the_store_has_all_artifacts_and_runs_nothing(
    book: Book, tmp_path: Path
) -> None:
    book.index("maker", "reader", "user")
    book.write("user.rst", PAGE)
    book.myst("maker.md", "# Maker", MAKER, counts=False)
    book.myst("reader.md", "# Reader", "%%print(open('out/part.txt').read())", counts=False)
    book.write(".gitignore", "_build\nout\n")
    top = book.folder.parent
    git(top, "init", "-q")
    git(top, "add", "-A")
    git(top, "commit", "-q", "-m", "all")
    assert book.build().status == 0
    clone = Book(tmp_path / "clone" / "book", book.counter)
    shutil.rmtree(clone.folder.parent)
    git(tmp_path, "clone", "-q", str(top), "clone")
    shutil.copytree(book.store, clone.store)
    built = clone.build("--fail-on-warning")
    assert (built.warnings, built.status) == ("", 0)
    assert "2 reused" in built.log or "reused" in built.log, built.log
    assert "it is run" not in built.log
    page = clone.page("user")
    assert "cell made" in page
    assert "line made" in page
    assert (clone.folder / "_build/html/_images/plot.png").read_bytes() == b"\x89PNG made"
    assert "line made" in clone.page("reader")
    assert (clone.folder / "out/table.csv").exists()
