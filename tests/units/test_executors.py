"""Executors: four of ours, in two places, and those of other packages."""

from __future__ import annotations

import importlib.metadata
import os
import re
import sys
import tempfile
import threading
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from packages import install
from support import Book

from sphinx_nbcache import Action, Project, plugins
from sphinx_nbcache.execution.executors import OURS, UnknownExecutorError, make_executor, slots_of
from sphinx_nbcache.execution.runner import run
from sphinx_nbcache.notices import Notice, Topic
from sphinx_nbcache.planning import Planned, Why
from sphinx_nbcache.project import Progress, Settled
from sphinx_nbcache.results.terminal import strip_ansi

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
TEMPORARY = [name for name in OURS if name.startswith("temp-")]

# A third party's executor: as small as it can be. `their_runs` says what it was given.
THEIR_EXECUTORS = """
import asyncio, os
from concurrent.futures import Future, ThreadPoolExecutor

class Threads:
    def __init__(self, run, *, jobs):
        self.run, self.slots = run, jobs or 2
        self.pool = ThreadPoolExecutor(self.slots)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.pool.shutdown()

    def submit(self, job):
        with open(os.environ["THEIR_RUNS"], "a") as file:
            print(job.notebook, job.temporary is not None, file=file)
        return self.pool.submit(lambda: asyncio.run(self.run(job)))

class Base(Threads):
    def submit(self, job):
        future = Future()
        self.end(future)
        return future

class Raising(Base):
    def end(self, future):
        future.set_exception(RuntimeError("the cluster has gone"))

class Wrong(Base):
    def end(self, future):
        future.set_result("done")

class Refusing(Base):
    def end(self, future):
        raise OSError("no worker")

class Cancelling(Base):
    def end(self, future):
        future.cancel()

class NoSlots(Threads):
    def __init__(self, run, *, jobs):
        self.slots = 0

class WrongSlots(Threads):
    def __init__(self, run, *, jobs):
        self.slots = True

class Failing:
    def __init__(self, run, *, jobs):
        raise OSError("no cluster")

class Nothing:
    def __init__(self, run, *, jobs):
        self.slots = 1
"""
THEIR_NAMES = {
    "threads": "Threads",
    "temp-threads": "Threads",
    "raising": "Raising",
    "wrong": "Wrong",
    "refusing": "Refusing",
    "cancelling": "Cancelling",
    "no-slots": "NoSlots",
    "wrong-slots": "WrongSlots",
    "failing": "Failing",
    "nothing": "Nothing",
    "absent": "Absent",
    "temp-failing": "Failing",
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on `sys.path` with a third party's package of executors."""
    folder = install(
        tmp_path / "site", "their_executors", THEIR_EXECUTORS, {plugins.EXECUTORS: THEIR_NAMES}
    )
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("THEIR_RUNS", str(tmp_path / "their-runs"))
    return folder


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The system's temporary files. Nothing is left there, and no thread, as Sphinx forks."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    assert list(tmp_path.glob("nbcache-*")) == []
    threads = [thread.name for thread in threading.enumerate()]
    assert not [name for name in threads if name.startswith(("asyncio", "nbcache"))], threads


class Watch(Progress):
    """Notes how many notebooks were under way at once."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def started(self, planned: Planned, number: int, total: int) -> None:  # noqa: ARG002
        self.now += 1
        self.most = max(self.most, self.now)

    def finished(self, settled: Settled) -> None:  # noqa: ARG002
        self.now -= 1


def project_of(book: Book, **more: Any) -> tuple[Project, list[Notice]]:
    """Return the project of a book, and the list in which its warnings will be."""
    told: list[Notice] = []
    place = book.folder.parent / "store"
    return Project.find(book.folder, place=place, notify=told.append, **more), told


def execute(book: Book, **more: Any) -> tuple[list[Settled], list[Notice]]:
    """Execute a book's notebooks; return what became of them, and the warnings."""
    project, told = project_of(book, **more)
    settled = list(project.execute(project.plan()).notebooks)
    project.close()
    return settled, told


def text_of(settled: Settled, project: Project) -> str:
    """Return all text that a notebook displayed."""
    assert settled.result is not None
    cells = project.outputs(settled.result).cells
    return "".join(output.get("text", "") for cell in cells for output in cell)


def traceback_of(settled: Settled) -> str:
    assert settled.result is not None
    assert settled.result.result.failure is not None
    return strip_ansi(settled.result.result.failure.traceback)


def reading_and_writing(book: Book, name: str = "chapter/a.md") -> None:
    """Write a notebook that reads two assets and writes two files, one of them in a folder."""
    book.write("chapter/data/x.txt", "from below")
    book.write("chapter/y.txt", "from beside")
    book.myst(
        name,
        """%%
import os
from pathlib import Path
print(Path('data/x.txt').read_text(), Path('y.txt').read_text(), sorted(os.listdir()))
Path('out').mkdir(exist_ok=True)
Path('out/made.bin').write_bytes(bytes(range(256)) * 2000)
Path('y.txt').write_text('changed')
""",
        nbcache={"assets": ["data/x.txt", "y.txt"]},
    )


@pytest.mark.kernel
@pytest.mark.parametrize("name", OURS)
def test_a_notebook_reads_its_assets_and_what_it_writes_is_kept(book: Book, name: str) -> None:
    reading_and_writing(book)
    sources = book.sources()
    project, told = project_of(book, executor=name, jobs=2)
    (settled,) = project.execute(project.plan()).notebooks
    assert told == []
    assert not settled.failed, traceback_of(settled)
    assert settled.result is not None
    result = settled.result.result
    assert result.executor == name
    assert text_of(settled, project).startswith("from below from beside ")
    kept = {artifact.path: project.store.blob(artifact.digest) for artifact in result.artifacts}
    if name in TEMPORARY:
        assert "['data', 'y.txt']" in text_of(settled, project)
        assert kept == {"out/made.bin": bytes(range(256)) * 2000, "y.txt": b"changed"}
        assert book.sources() == sources
    else:
        assert "a.md" in text_of(settled, project)
        assert kept == {
            "chapter/out/made.bin": bytes(range(256)) * 2000,
            "chapter/y.txt": b"changed",
        }
        assert (book.folder / "chapter" / "out" / "made.bin").exists()
    # And it is found again, also by a plan of the other scheduler of the same place.
    other = name.replace("serial", "x").replace("parallel", "serial").replace("x", "parallel")
    assert [item.decision.action for item in project.plan()] == [Action.REUSE]
    project.close()
    project, _ = project_of(book, executor=other)
    (planned,) = project.plan()
    assert planned.decision.action is Action.REUSE
    assert planned.decision.result == settled.result
    project.close()


@pytest.mark.kernel
@pytest.mark.parametrize("name", OURS)
def test_force_runs_again_what_was_run(book: Book, name: str) -> None:
    for number in range(2):
        book.myst(f"n{number}.md")
    for mode, runs in (("changed", 2), ("changed", 0), ("force", 2)):
        before = len(book.runs())
        execute(book, executor=name, execute=mode)
        assert len(book.runs()) - before == runs


@pytest.mark.kernel
@pytest.mark.parametrize(("name", "most"), [("temp-serial", 1), ("temp-parallel", 2)])
def test_each_run_has_a_temporary_folder_of_its_own(book: Book, name: str, most: int) -> None:
    for number in range(3):
        book.myst(
            f"n{number}.md",
            f"%%\nimport os, time\nassert os.listdir() == []\nopen('same', 'w').write('{number}')",
            f"%%\ntime.sleep(0.5)\nassert open('same').read() == '{number}'",
        )
    project, _ = project_of(book, executor=name, jobs=2)
    watch = Watch()
    settled = project.execute(project.plan(), watch).notebooks
    assert watch.most == most
    for number, item in enumerate(settled):
        assert not item.failed, traceback_of(item)
        assert item.result is not None
        (artifact,) = item.result.result.artifacts
        assert project.store.blob(artifact.digest) == str(number).encode()
    project.close()


@pytest.mark.kernel
def test_a_failed_run_keeps_no_files_and_leaves_no_folder(book: Book) -> None:
    book.myst("a.md", "%%\nopen('made', 'w').close()\n1 / 0")
    ((settled,), _) = execute(book, executor="temp-serial")
    assert settled.failed
    assert settled.result is not None
    assert settled.result.result.artifacts == ()


@pytest.mark.kernel
def test_a_missing_asset_is_a_failure_that_names_it_and_is_tried_again(book: Book) -> None:
    book.myst("a.md", "%%\nprint(open('x.txt').read())", nbcache={"assets": ["x.txt"]})
    ((settled,), _) = execute(book, executor="temp-serial")
    assert settled.failed
    assert "its asset x.txt does not exist" in traceback_of(settled)
    assert str(book.folder / "x.txt") in traceback_of(settled)
    assert book.runs() == ()
    book.write("x.txt", "here")
    ((settled,), _) = execute(book, executor="temp-serial")
    assert not settled.failed
    # In its own folder it sees every file, so assets are no matter.
    (book.folder / "x.txt").rename(book.folder / "y.txt")
    ((settled,), _) = execute(book, executor="local-serial")
    assert "FileNotFoundError" in traceback_of(settled)


@pytest.mark.kernel
def test_a_project_gives_a_notebook_further_assets(book: Book) -> None:
    book.write("x.txt", "x")
    book.write("y.txt", "y")
    book.myst("a.md", "%%\nimport os\nprint(sorted(os.listdir()))", nbcache={"assets": ["x.txt"]})
    project, _ = project_of(book, executor="temp-serial")
    first = project.plan().notebooks[0]
    project.notebooks.add([first.path], assets=[book.folder / "y.txt"])
    ((planned,), run_of_it) = project.plan().notebooks, project.execute(project.plan())
    assert planned.code_key != first.code_key
    assert text_of(run_of_it.notebooks[0], project) == "['x.txt', 'y.txt']\n"
    project.notebooks.clear()
    (planned,) = project.plan()
    assert (planned.decision.action, planned.decision.reason.why) == (
        Action.EXECUTE,
        Why.PLACE_CHANGED,
    )
    assert str(planned.decision.reason) == "the list of its assets changed: -y.txt"
    project.close()


@pytest.mark.kernel
def test_results_of_the_two_places_are_told_apart_and_the_reason_says_so(book: Book) -> None:
    book.myst("a.md")
    execute(book, executor="local-serial")
    project, _ = project_of(book, executor="temp-serial")
    (planned,) = project.plan()
    assert str(planned.decision.reason) == "it is now run in a temporary folder"
    project.execute(project.plan())
    project.close()
    assert book.runs() == ("a.md", "a.md")
    project, _ = project_of(book, executor="local-parallel")
    (planned,) = project.plan()
    assert planned.decision.action is Action.REUSE
    assert str(planned.decision.reason).startswith("everything is again as it was run at ")
    project.close()


@pytest.mark.kernel
def test_files_whose_names_cannot_be_kept_are_told(book: Book) -> None:
    if sys.platform == "win32":
        pytest.skip("there is no such name there")
    book.myst(
        "a.md",
        r"""%%
open('back\\slash', 'w').close()
open('good', 'w').close()
""",
    )
    ((settled,), told) = execute(book, executor="temp-serial")
    assert settled.result is not None
    assert [artifact.path for artifact in settled.result.result.artifacts] == ["good"]
    (notice,) = told
    assert notice.topic is Topic.STORE
    assert "a.md" in notice.text
    assert r"back\\slash" in notice.text


def test_our_four_names_cost_no_look_at_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_options: str) -> None:
        raise AssertionError

    monkeypatch.setattr(importlib.metadata, "entry_points", refuse)
    plugins._announced.cache_clear()  # noqa: SLF001
    for name in OURS:
        with make_executor(name, 2, run):
            pass
    with pytest.raises(UnknownExecutorError, match="AssertionError"):
        make_executor("other", 2, run)


@pytest.mark.parametrize("jobs", [None, 1, 3])
@pytest.mark.parametrize("name", sorted(OURS))
def test_how_many_run_at_once_is_known_before_an_executor_is_made(
    name: str, jobs: int | None
) -> None:
    with make_executor(name, jobs, run) as executor:
        assert slots_of(name, jobs) == executor.slots


def test_our_executors_are_announced_as_what_they_are() -> None:
    announced = tomllib.loads(PYPROJECT.read_text())["project"]["entry-points"][plugins.EXECUTORS]
    assert announced.keys() == set(OURS)
    for name, target in announced.items():
        module, _, attribute = target.partition(":")
        made = getattr(import_module(module), attribute)
        with made(run, jobs=2) as executor, make_executor(name, 2, run) as ours:
            assert (type(executor), executor.slots) == (type(ours), ours.slots)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (
            "no-such-one",
            "there is no executor of this name (known: absent, cancelling, failing, local-p",
        ),
        ("absent", "their_executors:Absent cannot be imported"),
        ("failing", "it cannot be made: OSError('no cluster')"),
        ("no-slots", "slots = 0; at least 1 is needed"),
        ("wrong-slots", "slots = True; at least 1 is needed"),
        ("nothing", "has no submit, __enter__, __exit__"),
    ],
)
def test_an_executor_that_cannot_be_used_is_told_with_the_reason(
    site: Path, name: str, why: str
) -> None:
    with pytest.raises(UnknownExecutorError) as caught:
        make_executor(name, 2, run)
    assert why in str(caught.value)


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("name", "used"),
    [("no-such-one", "local-parallel"), ("temp-failing", "temp-parallel")],
)
def test_instead_of_an_executor_that_cannot_be_used_ours_is_in_the_same_place(
    book: Book, site: Path, name: str, used: str
) -> None:
    book.myst("a.md")
    ((settled,), told) = execute(book, executor=name)
    (notice,) = told
    assert notice.topic is Topic.CONFIG
    assert f"nbcache_executor = {name!r} cannot be used" in notice.text
    assert f"{used!r} is used" in notice.text
    assert settled.result is not None
    assert settled.result.result.executor == used
    # Nothing is to be run: nothing is said.
    assert execute(book, executor=name)[1] == []


@pytest.mark.kernel
@pytest.mark.parametrize("name", ["threads", "temp-threads"])
def test_a_third_partys_executor_is_found_and_used(
    book: Book, site: Path, tmp_path: Path, name: str
) -> None:
    reading_and_writing(book)
    ((settled,), told) = execute(book, executor=name)
    assert told == []
    assert not settled.failed, traceback_of(settled)
    assert settled.result is not None
    result = settled.result.result
    assert result.executor == name
    assert len(result.artifacts) == 2
    notebook, is_temporary = (tmp_path / "their-runs").read_text().split()
    assert notebook.endswith("chapter/a.md")
    assert is_temporary == str(name == "temp-threads")


@pytest.mark.kernel
def test_the_executor_in_the_documentation_works(
    book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (PYPROJECT.parent / "docs/reference/executors.md").read_text(encoding="utf-8")
    ((code,), (table,)) = (
        [
            block
            for block in re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
            if mark in block
        ]
        for language, mark in (("python", "class Threads"), ("toml", "entry-points"))
    )
    announced = tomllib.loads(table)["project"]["entry-points"][plugins.EXECUTORS]
    names = {name: target.removeprefix("their_package:") for name, target in announced.items()}
    site = install(tmp_path / "site", "their_package", code, {plugins.EXECUTORS: names})
    monkeypatch.syspath_prepend(site)
    reading_and_writing(book)
    for name in names:
        ((settled,), told) = execute(book, executor=name)
        assert told == []
        assert not settled.failed, traceback_of(settled)
        assert settled.result is not None
        assert settled.result.result.executor == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("raising", "RuntimeError: its executor failed: the cluster has gone"),
        ("wrong", "TypeError: its executor returned 'done', no outcome"),
        ("refusing", "OSError: its executor failed: no worker"),
        ("cancelling", "CancelledError: its executor failed: it gives no reason"),
    ],
)
def test_an_executor_that_fails_makes_notebooks_fail_and_no_traceback(
    book: Book, site: Path, name: str, message: str
) -> None:
    book.myst("a.md")
    book.myst("b.md", "%%\n2")
    settled, _ = execute(book, executor=name)
    for item in settled:
        assert item.failed
        assert item.result is not None
        assert item.result.result.failure is not None
        assert item.result.result.failure.headline == message


@pytest.mark.kernel
def test_a_book_is_built_by_a_third_partys_executor(
    book: Book, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]))
    book.conf(executor="temp-threads")
    book.index("chapter/a")
    reading_and_writing(book)
    built = book.build()
    assert (built.status, built.warnings, built.ran) == (0, "", ("chapter/a.md",))
    assert "from below from beside" in book.page("chapter/a")
    assert "True" in (tmp_path / "their-runs").read_text()
    assert book.build().ran == ()


@pytest.mark.kernel
def test_a_book_whose_executor_is_not_installed_is_built_with_a_warning(book: Book) -> None:
    book.conf(executor="temp-threads")
    book.index("a")
    book.myst("a.md")
    built = book.build()
    assert (built.status, built.ran) == (0, ("a.md",))
    assert "nbcache_executor = 'temp-threads' cannot be used" in built.warnings
    assert "local-serial" in built.warnings
    assert "'temp-parallel' is used [nbcache.config]" in built.warnings
