"""Random projects, random changes, builds: outputs are always those of running all from scratch.

`NBCACHE_MODEL_EXAMPLES` sets how many projects are tried, `NBCACHE_MODEL_KERNELS` how many of
them in real kernels.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cell_runner import CellRunner
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)
from models import facts_with
from support import ipynb_text
from tracing import Shells

import sphinx_nbcache.execution.runner
import sphinx_nbcache.project.validity
from sphinx_nbcache import Project
from sphinx_nbcache.notices import Notice
from sphinx_nbcache.planning import Planned, Reason, Why
from sphinx_nbcache.project import Progress
from sphinx_nbcache.results.records import Status

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="runs cells in forks")

# The rank of a notebook says what it may read: artifacts of those of a lower rank. Names say
# nothing of ranks, so that the first build does not run producers first by chance.
RANKS = range(4)
NAMES = ("a.ipynb", "b.ipynb", "deep/c.ipynb", "d.ipynb", "deep/e.ipynb")
DATA = ("data/a.csv", "data/b.csv", "data/sub/c.csv", "side.txt")
MODULES = ("m.py", "n.py", "pkg/__init__.py", "pkg/p.py")
LATER = ("data/new.csv", "data/sub/d.csv", "deep/m.py", "m/__init__.py", "fakelib.py", "deep/x.txt")
NOISE = ("noise/x.txt", "README.rst")
TEXTS = ("1", "2", "33", "")
CODE = (
    *("x = 1", "x = 2", "from n import x", "import n; x = n.x * 2", "import pkg.p; x = pkg.p.x"),
    *("x = open('data/a.csv').read()", "import glob; x = sorted(glob.glob('data/*.csv'))"),
    *(
        "import fakelib; x = fakelib.version",
        "from .q import x",
        "import os; x = os.path.exists('{0}side.txt')",
    ),
)
SAFE = "try:\n    {}\nexcept Exception as error:\n    print(type(error).__name__)"
# What cells do, by kind; {0} leads to the root, {1} is a file, {2} the notebook's rank.
READS = {
    "read": SAFE.format("print(open('{0}{1}').read())"),
    "exists": "import os; print(os.path.exists('{0}{1}'))",
    "path": "import pathlib; p = pathlib.Path('{0}{1}'); print(p.is_file() and p.read_bytes())",
    "size": SAFE.format("import os; print(os.path.getsize('{0}{1}'))"),
    "cat": "import subprocess as s; print(s.run(['cat', '{0}{1}'], stdout=-1, stderr=-3).stdout)",
    "shell": "lines = !cat '{0}{1}' 2>/dev/null\nprint(list(lines))",
    "numpy": SAFE.format("import numpy; print(numpy.fromfile('{0}{1}', dtype='u1'))"),
}
WRITES = {
    "write": "import os; os.makedirs('{0}out', exist_ok=True)\n"
    "with open('{0}out/r{2}.txt', 'w') as f:\n"
    "    f.write('r{2}:' + (open('{0}{1}').read() if os.path.exists('{0}{1}') else 'none'))",
    "maybe": "import os, pathlib\n"
    "if os.path.exists('{0}{1}'):\n"
    "    os.makedirs('{0}out', exist_ok=True); pathlib.Path('{0}out/r{2}.txt').write_text('yes')",
    "rename": "import os; os.makedirs('{0}out', exist_ok=True)\n"
    "t = open('{0}{1}').read() if os.path.exists('{0}{1}') else '?'\n"
    "f = open('{0}out/part{2}', 'w'); f.write(t); f.close()\n"
    "os.replace('{0}out/part{2}', '{0}out/r{2}.txt')",
    "copy": "import os, shutil; os.makedirs('{0}out', exist_ok=True)\n"
    "if os.path.exists('{0}{1}'): shutil.copy('{0}{1}', '{0}out/r{2}.txt')",
}
OTHERS = {
    "cache": "import os\n"
    "if not os.path.exists('{0}cache{2}.txt'): open('{0}cache{2}.txt', 'w').write('made')\n"
    "print(open('{0}cache{2}.txt').read())",
    "stale": "import os\n"
    "if not os.path.exists('{0}cache{2}.txt'):\n"
    "    t = open('{0}side.txt').read() if os.path.exists('{0}side.txt') else 'no side'\n"
    "    open('{0}cache{2}.txt', 'w').write(t)\n"
    "print(open('{0}cache{2}.txt').read())",
    "append": "f = open('{0}cache{2}.log', 'a'); f.write('+'); f.close()\n"
    "print(open('{0}cache{2}.log').read())",
    "list": SAFE.format("import os; print(sorted(os.listdir('{0}data')))"),
    "glob": "import glob; print(sorted(glob.glob('{0}data/**/*.csv', recursive=True)))",
    "rglob": "import pathlib; print(sorted(map(str, pathlib.Path('{0}data').rglob('c*'))))",
    "import": SAFE.format("import m; print(m.x)"),
    "package": SAFE.format("from pkg import p; print(p.x)"),
    "installed": SAFE.format("import fakelib; print(fakelib.version)"),
    "where": "import os; print(os.getcwd())",
    "pure": "print(6 * 7)",
}
# Those that only a notebook may have that writes nothing itself: they see all artifacts.
LAST = {
    "all": "import glob; print(sorted(glob.glob('{0}out/*.txt')))",
    "out": SAFE.format("import os; print(sorted(os.listdir('{0}out')))"),
}
# What kinds of cells may depend on, as paths or starts of paths; all others on their file.
TOUCHED: Mapping[str, tuple[str, ...]] = {
    "cache": ("cache",),
    "stale": ("cache", "side.txt"),
    "append": ("cache",),
    "list": ("data/",),
    "glob": ("data/",),
    "rglob": ("data/",),
    "import": (*MODULES, "m", "n", "pkg", "deep/", "data/", "side.txt", "fakelib"),
    "package": (*MODULES, "pkg", "n", "deep/", "data/", "side.txt", "fakelib"),
    "installed": ("fakelib", "deep/"),
    "where": ("location",),
    "pure": (),
    "all": ("out/",),
    "out": ("out/",),
}
KINDS = {**READS, **WRITES, **OTHERS, **LAST}
ARTIFACT = "out/r{}.txt"

Cell = tuple[str, str]
files = st.sampled_from([*DATA, "data/new.csv"])


@st.composite
def codes(draw: st.DrawFn, rank: int) -> tuple[Cell, ...]:
    """Draw the cells of a notebook of this rank."""
    lower = [ARTIFACT.format(other) for other in RANKS if other < rank]
    sources = st.sampled_from([*DATA, "data/new.csv", *lower * 2])
    kinds = st.tuples(st.sampled_from(sorted(READS)), sources)
    kinds |= st.tuples(st.sampled_from(sorted(OTHERS)), st.just(""))
    last = rank == RANKS[-1]
    kinds |= (
        st.tuples(st.sampled_from(sorted(LAST)), st.just(""))
        if last
        else st.tuples(st.sampled_from(sorted(WRITES)), sources)
    )
    cells = draw(st.lists(kinds, min_size=1, max_size=3))
    # It writes its artifact at most once: what it reads of itself is another subject.
    writes = [position for position, cell in enumerate(cells) if cell[0] in WRITES]
    return tuple(cell for position, cell in enumerate(cells) if position not in writes[1:])


@st.composite
def texts(draw: st.DrawFn, name: str) -> str:
    """Draw the content of a file."""
    if not name.endswith(".py"):
        return draw(st.sampled_from(TEXTS))
    return draw(st.sampled_from(CODE))


@dataclass(frozen=True)
class Notebook:
    """A notebook of the model."""

    name: str
    rank: int
    cells: tuple[Cell, ...]

    @property
    def up(self) -> str:
        return "../" * self.name.count("/")

    @property
    def sources(self) -> tuple[str, ...]:
        values = str(self.rank)
        return tuple(
            KINDS[kind].replace("{0}", self.up).replace("{1}", path).replace("{2}", values)
            for kind, path in self.cells
        )

    @property
    def code(self) -> tuple[str, ...]:
        """What its code key depends on."""
        return (str(Path(self.name).parent), *self.sources)

    @property
    def written(self) -> set[str]:
        """What it may write."""
        return {ARTIFACT.format(self.rank), f"cache{self.rank}.txt", f"cache{self.rank}.log"}

    @property
    def always_writes(self) -> bool:
        return any(kind in ("write", "rename") for kind, _ in self.cells)

    @property
    def touched(self) -> set[str]:
        """What it may depend on, as paths or starts of paths."""
        found: set[str] = set()
        for kind, path in self.cells:
            found.update(TOUCHED.get(kind, (path,)))
            if kind in WRITES:
                found.add(ARTIFACT.format(self.rank))
        return found


@dataclass
class Seen:
    """What a notebook and everything was at the end of a build."""

    notebook: Notebook
    state: Mapping[str, str]


@dataclass
class Told(Progress):
    """What was run in a build, and why."""

    runs: list[Planned] = field(default_factory=list)

    def started(self, planned: Planned, number: int, total: int) -> None:  # noqa: ARG002 (as all who are told)
        self.runs.append(planned)

    def __str__(self) -> str:
        return "; ".join(f"{p.name} ({p.decision.reason})" for p in self.runs)


class Machine(RuleBasedStateMachine):
    """A project under git in which anything changes, and its builds."""

    folders = itertools.count()
    base: Path
    runner: CellRunner
    site: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = self.base / f"p{next(self.folders)}"
        self.root = self.folder / "checkout"
        self.root.mkdir(parents=True)
        self.site.mkdir(exist_ok=True)
        self.version = ""
        self.notebooks: dict[str, Notebook] = {}
        self.branches: dict[str, dict[str, Notebook]] = {}
        self.branch = "main"
        self.moves = 0
        self.foreign: set[str] = set()
        self.directories: set[Path] = set()
        self.writers: dict[str, tuple[str, int]] = {}
        self.last: dict[str, Seen] = {}
        self.ever: list[Seen] = []
        self.done: list[tuple[Any, ...]] = []
        self.notices: list[Notice] = []
        self.oracles: dict[Any, Any] = {}

    def teardown(self) -> None:
        if self.notebooks:
            self._build()
        shutil.rmtree(self.folder, ignore_errors=True)

    # What changes.

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        self._install("1")
        for name in (*DATA, *MODULES):
            if data.draw(st.integers(0, 3), label=name):
                self._write(name, data.draw(texts(name)))
        self._write(".gitignore", "out/\ncache*\n__pycache__/\n")
        self._write("data/keep", "")
        names = data.draw(st.permutations(NAMES))
        for rank in data.draw(st.lists(st.sampled_from(RANKS), min_size=2, unique=True)):
            self._save(Notebook(names[rank], rank, data.draw(codes(rank))))
        self._git("init", "-q", "-b", "main")
        self._commit()
        self._build()

    @rule(data=st.data(), name=st.sampled_from([*DATA, *MODULES, *LATER]))
    def write(self, data: st.DataObject, name: str) -> None:
        if name == "deep/x.txt" or (self.root / name).parent.suffix:
            return
        self._write(name, data.draw(texts(name)))

    @rule(name=st.sampled_from([*DATA, *MODULES, *LATER]))
    def delete(self, name: str) -> None:
        self._remove(name)

    @rule(name=st.sampled_from([*DATA, *MODULES]))
    def touch(self, name: str) -> None:
        if (self.root / name).exists():
            (self.root / name).touch()

    @rule(old=st.sampled_from(DATA), new=st.sampled_from([*DATA, "data/new.csv"]))
    def rename(self, old: str, new: str) -> None:
        if (self.root / old).exists() and old != new:
            (self.root / new).parent.mkdir(parents=True, exist_ok=True)
            (self.root / old).rename(self.root / new)
            self._remove(old)

    @rule(name=st.sampled_from(NOISE), text=st.sampled_from(TEXTS))
    def write_what_nobody_reads(self, name: str, text: str) -> None:
        self._write(name, text)

    @rule(data=st.data())
    def edit_code(self, data: st.DataObject) -> None:
        if self.notebooks:
            old = self.notebooks[data.draw(st.sampled_from(sorted(self.notebooks)))]
            self._save(Notebook(old.name, old.rank, data.draw(codes(old.rank))))

    @rule(data=st.data())
    def add_or_remove_notebook(self, data: st.DataObject) -> None:
        ranks = {notebook.rank: name for name, notebook in self.notebooks.items()}
        rank = data.draw(st.sampled_from(RANKS))
        if rank in ranks and len(ranks) > 1:
            self._drop(ranks[rank])
        elif rank not in ranks:
            free = [name for name in NAMES if name not in self.notebooks]
            self._save(Notebook(data.draw(st.sampled_from(free)), rank, data.draw(codes(rank))))

    @rule(data=st.data())
    def rename_notebook(self, data: st.DataObject) -> None:
        old = self.notebooks[data.draw(st.sampled_from(sorted(self.notebooks)))]
        free = [name for name in NAMES if name not in self.notebooks]
        self._drop(old.name)
        self._save(Notebook(data.draw(st.sampled_from(free)), old.rank, old.cells))

    @rule(name=st.sampled_from(["main", "other", "third"]))
    def switch_branch(self, name: str) -> None:
        if name == self.branch:
            return
        self._commit()
        new = name not in self.branches
        self._git("checkout", "-q", *(["-b"] if new else []), name)
        self.branch = name
        if not new:
            self.notebooks = dict(self.branches[name])

    @rule()
    def move_the_checkout(self) -> None:
        self.moves += 1
        moved = self.folder / f"moved{self.moves % 2}"
        if moved != self.root:
            self.root.rename(moved)
            self.root = moved

    @rule(version=st.sampled_from(["1", "2", "3.1"]))
    def install(self, version: str) -> None:
        self._install(version)

    @rule(rank=st.sampled_from(RANKS))
    def delete_artifact(self, rank: int) -> None:
        self._remove(ARTIFACT.format(rank))

    @rule(rank=st.sampled_from(RANKS))
    def overwrite_artifact(self, rank: int) -> None:
        path = self.root / ARTIFACT.format(rank)
        if path.exists() and any(n.rank == rank for n in self.notebooks.values()):
            path.write_text("something else")
            self.foreign.add(ARTIFACT.format(rank))

    @rule()
    def build(self) -> None:
        self._build()

    # What is done with it.

    def _build(self) -> None:
        told = Told()
        self._clean()
        before = self._state()
        self.directories = {path for path in self.root.rglob("*") if path.is_dir()}
        project = Project.find(
            self.root, place=self.folder / "store", notify=self._notify, executor="local-serial"
        )
        assert project.root == self.root
        run = project.execute(project.plan(), told)
        note(f"build in {self.root.name}: {told}")
        after = self._state()
        self._compare(project, run.notebooks)
        self._judge(told, before, after)
        # A second build right after it runs nothing, in this process or another one.
        again = Told()
        project.execute(project.plan(), again)
        project.close()
        assert not again.runs, f"runs again: {again}"
        assert self._state() == after
        for name, notebook in self.notebooks.items():
            seen = Seen(notebook, after)
            self.last[name] = seen
            self.ever.append(seen)
            for written in notebook.written & after.keys():
                self.writers[written] = (name, notebook.rank)
        self.done.append(self._situation(before))
        self.foreign.clear()

    def _clean(self) -> None:
        """Remove what notebooks once wrote that are not there any more: that is left to users."""
        there = {(notebook.name, notebook.rank) for notebook in self.notebooks.values()}
        for written, writer in list(self.writers.items()):
            if writer not in there:
                self._remove(written)
                del self.writers[written]
        # A file that is not ours is left, if it is not overwritten: that is for users, too.
        always = {n.rank for n in self.notebooks.values() if n.always_writes}
        for name in list(self.foreign):
            if name not in map(ARTIFACT.format, always):
                self._remove(name)
                self.foreign.discard(name)

    def _compare(self, project: Project, settled: Any) -> None:
        outputs, artifacts = self._oracle()
        shown = {}
        for item in settled:
            assert item.result is not None, item.planned.decision
            assert item.result.result.status is Status.OK, item.result.result.failure
            cells = project.outputs(item.result).cells
            shown[item.planned.name] = "".join(output["text"] for cell in cells for output in cell)
        assert shown == outputs
        assert {
            name: text for name, text in self._state().items() if name.startswith(("out/", "cache"))
        } == artifacts

    def _judge(self, told: Told, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        """Hold what was run against what did change."""
        again = self._situation(before) in self.done and not self.foreign
        assert not (again and told.runs), f"had been built before, but runs: {told}"
        for planned in told.runs:
            notebook = self.notebooks[planned.name]
            assert self._is_true(planned.decision.reason, notebook, before, after), str(told)
            last = self.last.get(planned.name)
            if last is None or last.notebook.code != notebook.code:
                continue
            changed = {
                name
                for state in (before, after)
                for name in {*state, *last.state}
                if state.get(name) != last.state.get(name)
            }
            assert any(
                name.startswith(touched) for name in changed for touched in notebook.touched
            ), f"of {notebook.touched} nothing changed, only {changed}: {told}"

    def _is_true(
        self,
        reason: Reason,
        notebook: Notebook,
        before: Mapping[str, str],
        after: Mapping[str, str],
    ) -> bool:
        """Tell whether a reason names what really did change."""
        note(f"  {notebook.name}: {reason.why} {reason}")
        last = self.last.get(notebook.name)
        # A result may have been made for another name.
        same = [seen.state for seen in self.ever if seen.notebook.code == notebook.code]
        states = [*same, *([last.state] if last is not None else []), before]
        path, text = reason.path, reason.text
        if reason.why is Why.DEPENDENCY_CHANGED and not path and text.startswith("fakelib"):
            return any(f"{_version(state)} → {self.version}" == text for state in same)
        if reason.why is Why.DEPENDENCY_CHANGED and "moved from" in text:
            places = {state["location"] for state in same} - {after["location"]}
            return any(f" {place}," in text for place in places)
        # States are of files; notebooks make folders as well, which may stay empty.
        folder = self.root / path
        is_new = (folder in self.directories) != (path != "" and folder.is_dir())
        return {
            Why.NO_RESULT: not same,
            Why.CODE_CHANGED: last is not None and last.notebook.sources != notebook.sources,
            Why.FOREIGN_FILE: any(name in text for name in self.foreign),
            Why.DEPENDENCY_CHANGED: is_new or _differs(path, states, (before, after)),
            Why.REWRITTEN: is_new or _differs(path, states, (before, after)),
        }.get(reason.why, False)

    def _oracle(self) -> Any:
        """Return what running everything from scratch leads to: outputs by name, and artifacts."""
        tracked = {
            name: text
            for name, text in self._state().items()
            if not name.startswith(("out/", "cache", "location", "fakelib version"))
        }
        key = (str(self.root), self.version, *sorted(tracked.items()))
        if key not in self.oracles:
            scratch = self.folder / "scratch"
            shutil.rmtree(scratch, ignore_errors=True)
            for name, text in tracked.items():
                path = scratch / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            outputs = {}
            for notebook in sorted(self.notebooks.values(), key=lambda n: n.rank):
                folder = str((scratch / notebook.name).parent)
                text = self.runner.printed(folder, notebook.sources)
                outputs[notebook.name] = text.replace(str(scratch), str(self.root))
            made = {n: t for n, t in _tree(scratch).items() if n not in tracked}
            self.oracles[key] = outputs, made
        return self.oracles[key]

    def _state(self) -> dict[str, str]:
        """Return everything that anything may depend on."""
        files = {n: t for n, t in _tree(self.root).items() if not n.startswith(".git/")}
        return {**files, "fakelib version": self.version, "location": str(self.root)}

    def _situation(self, state: Mapping[str, str]) -> tuple[Any, ...]:
        """Return what decides on the outputs of a build: not what it has written itself."""
        kept = {n: t for n, t in state.items() if not n.startswith(("out/", "cache", *NOISE))}
        return tuple(sorted(kept.items()))

    def _notify(self, notice: Notice) -> None:
        note(f"  notice: {notice.text}")
        self.notices.append(notice)

    def _write(self, name: str, text: str) -> None:
        path = self.root / name
        if path.parent.is_file():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def _remove(self, name: str) -> None:
        """Remove a file, and folders in which nothing is left: git does not know them."""
        path = self.root / name
        path.unlink(missing_ok=True)
        for folder in path.relative_to(self.root).parents:
            if (
                folder.name
                and (self.root / folder).is_dir()
                and not any((self.root / folder).iterdir())
            ):
                (self.root / folder).rmdir()

    def _save(self, notebook: Notebook) -> None:
        self.notebooks[notebook.name] = notebook
        cells = ["%%" + source for source in notebook.sources]
        self._write(notebook.name, ipynb_text(cells, {}))

    def _drop(self, name: str) -> None:
        del self.notebooks[name]
        self._remove(name)

    def _install(self, version: str) -> None:
        shutil.rmtree(self.site)
        folder = self.site / f"fakelib-{version}.dist-info"
        folder.mkdir(parents=True)
        (folder / "RECORD").write_text("fakelib.py,,\n")
        (self.site / "fakelib.py").write_text(f"version = {version!r}\n")
        self.version = version

    def _commit(self) -> None:
        self._git("add", "-A")
        self._git("commit", "-q", "--allow-empty", "-m", "change")
        self.branches[self.branch] = dict(self.notebooks)

    def _git(self, *arguments: str) -> None:
        who = ["-c", "user.name=n", "-c", "user.email=e", "-c", "gc.auto=0"]
        command = ["git", *who, *arguments]
        subprocess.run(command, cwd=self.root, check=True, capture_output=True)


def _tree(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): path.read_text()
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and ".git" not in path.parts
    }


def _at(path: str, state: Mapping[str, str]) -> Any:
    """Return what is at a path, and below it, in a state."""
    if path == ".":
        return state
    return {n: t for n, t in state.items() if n == path or n.startswith(path + "/")}


def _version(state: Mapping[str, str]) -> str:
    return f"fakelib {state['fakelib version']}"


def _differs(
    path: str, earlier: Iterable[Mapping[str, str]], now: Iterable[Mapping[str, str]]
) -> bool:
    """Tell whether something at a path, or below it, has not always been the same."""
    return any(_at(path, old) != _at(path, new) for old in earlier for new in now)


def machine(folder: Path, runner: CellRunner) -> type[Machine]:
    """Return machines that work in this folder."""

    class Here(Machine):
        pass

    Here.base = Path(os.path.realpath(folder))
    Here.runner, Here.site = runner, Path(runner.site or folder / "site")
    return Here


def chosen(examples: int, steps: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize="NBCACHE_MODEL_EXAMPLES" not in os.environ,
        database=None,
        suppress_health_check=list(HealthCheck),
        # Smaller examples take minutes to find; these are small enough to be read.
        phases=[Phase.generate],
    )


@pytest.mark.timeout(0)
def test_outputs_are_always_those_of_running_everything_from_scratch(
    tmp_path: Path, shells: Shells, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = os.path.realpath(tmp_path / "site")
    runner = CellRunner(shells, site)
    monkeypatch.setattr(sphinx_nbcache.project.validity, "kernel_facts", facts_with(site))
    monkeypatch.setattr(sphinx_nbcache.execution.runner, "run", runner.run)
    examples = int(os.environ.get("NBCACHE_MODEL_EXAMPLES", "15"))
    run_state_machine_as_test(machine(tmp_path, runner), settings=chosen(examples, 12))


@pytest.mark.kernel
@pytest.mark.timeout(0)
def test_and_so_they_are_in_real_kernels(
    tmp_path: Path, shells: Shells, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In these nobody finds the package that is installed; all else is the same."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # see `cell_runner`
    examples = int(os.environ.get("NBCACHE_MODEL_KERNELS", "2"))
    run_state_machine_as_test(machine(tmp_path, CellRunner(shells)), settings=chosen(examples, 8))
