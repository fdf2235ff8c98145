"""Random builds and random users: every file that a user saved is there, byte for byte.

Users act between builds, while cells run, and at every step of a change of files; builds are
killed there as well. `NBCACHE_USER_FILES` sets how many sequences are tried, and
`NBCACHE_USER_FILES_SEED` which. The session `user-files` of nox tries many.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from cell_runner import CellRunner
from models import facts_with
from shadow import Shadow
from stepping import CALLS, Point, Stepped, Stop, stop_at_changes
from tracing import Shells
from user_files import (
    NAMES,
    NOTEBOOKS,
    PLAIN_ACTS,
    Cell,
    User,
    git,
    is_seen,
    new_repository,
    save_notebook,
    some_code,
    sources,
    surely_written,
)

import sphinx_nbcache.execution.runner
import sphinx_nbcache.project.validity
from sphinx_nbcache import Project
from sphinx_nbcache.notices import Notice

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="runs builds in forks")

SECRETS = ("", "a secret of sixteen", "another secret, longer")
PARTS = 4
STEPS = 6
# What happens to a build, and what a user does to a file.
KILL, OUTLIVED = "kill", "kill, but not the kernel"
ACTS = (
    *PLAIN_ACTS,
    *("save equal", "open", "write and close", "move folder", "folder outside", "notebook"),
)
POINTS = ("cell", "cell", "begin", "done", "store", "recover", *CALLS)


@dataclass(frozen=True)
class Act:
    """Something that a user does to a file.

    Attributes:
        kind: What.
        name: The file; empty for the one that the build changes at that moment.
    """

    kind: str
    name: str = ""


@dataclass(frozen=True)
class Moment:
    """The moment of a build at which something happens."""

    point: str
    count: int
    act: Act


def some_act(chance: Random, names: Sequence[str]) -> Act:
    """Return what a user does, mostly to a file that notebooks write."""
    return Act(chance.choice(ACTS), chance.choice([*names, *names, *names, chance.choice(NAMES)]))


def some_moment(chance: Random, names: Sequence[str]) -> Moment:
    act = some_act(chance, ["", *names])
    chosen = chance.choice([act, act, act, Act(chance.choice([KILL, KILL, OUTLIVED]))])
    if chance.random() < 0.2:
        return Moment("any", chance.randrange(60), chosen)
    return Moment(chance.choice(POINTS), chance.randrange(3), chosen)


class Scenario:
    """A project with users, builds, and kills."""

    # Builds import much in their forks; the next ones need not do so again.
    imported = frozenset(sys.modules)

    def __init__(self, base: Path, runner: CellRunner, seed: str) -> None:
        self.shadow = Shadow(base)
        self.runner = runner
        self.chance = Random(seed)
        self.user = User(self.shadow.folder, base / "outside" / "there.txt")
        self.messages: set[str] = set()
        self.opened: Any = None
        self.kept: Any = None
        self.is_interrupted = False
        self.awaited: list[Moment] = []
        self.names: list[str] = []
        self.codes: dict[str, list[list[Cell]]] = {}
        self.index: Any = None

    @property
    def folder(self) -> Path:
        return self.shadow.folder

    def play(self) -> None:
        """Let everything happen, and build to the end."""
        steps = [self.save, *[self.change_code] * 5, *[self.rename_notebook] * 2, self.use_git]
        steps += [self.change_checkout, self.change_store, self.change_secret]
        try:
            self.begin()
            for _ in range(STEPS):
                self.chance.choice(steps)()
                if self.chance.random() < 0.7:
                    self.build(self.moments())
            self.build([])
        finally:
            if self.opened is not None:
                self.opened.close()
            shutil.rmtree(self.shadow.base, ignore_errors=True)

    # -- Between builds.

    def begin(self) -> None:
        chance = self.chance
        self.folder.mkdir(parents=True)
        self.user.save(self.user.outside)
        new_repository(self.folder)
        # The last ones are never put back, and the user's from then on.
        self.names = chance.sample([*NAMES, *NAMES[:3], *NAMES[:3]], chance.choice([1, 2, 3]))
        for name in chance.sample(NAMES, chance.randrange(3)):
            self.user.save(self.folder / name)
        for name in chance.sample(NOTEBOOKS, chance.choice([1, 2, 2])):
            self.codes[name] = [some_code(chance, self.names) for _ in range(2)]
            self.edit(name, self.codes[name][0])
        self.shadow.user_changed({})
        self.build(self.moments())

    def save(self) -> None:
        self.act(some_act(self.chance, self.names))

    def change_code(self) -> None:
        """Change the code of a notebook, or change it back."""
        name = self.chance.choice(list(self.codes))
        new = some_code(self.chance, self.names)
        self.codes[name].reverse()
        if self.chance.random() < 0.1:
            self.codes[name][0] = new
        with self.acting():
            self.edit(name, self.codes[name][0])

    def rename_notebook(self) -> None:
        """Rename a notebook, or remove it."""
        name, new = self.chance.choice(NOTEBOOKS), self.chance.choice([None, *NOTEBOOKS])
        path = self.folder / name
        if not path.is_file() or name == new:
            return
        with self.acting():
            if new is None:
                path.unlink()
            else:
                (self.folder / new).parent.mkdir(exist_ok=True)
                path.rename(self.folder / new)

    def use_git(self) -> None:
        command = self.chance.choice(["main", "other", "stash", "pop", "reset"])
        if self.is_interrupted:
            return
        with self.acting():
            if command == "reset":
                git(self.folder, "reset", "-q", "--hard")
            elif command == "stash":
                git(self.folder, "stash", "-u")
            elif command == "pop":
                git(self.folder, "stash", "pop")
            else:
                git(self.folder, "add", "-A")
                git(self.folder, "commit", "-q", "--allow-empty", "-m", "x")
                git(self.folder, "branch", command)
                git(self.folder, "checkout", "-q", command)
        self.change_code()

    def change_checkout(self) -> None:
        """Copy the checkout, rename it, or go on in the other one."""
        if self.is_interrupted or self.opened is not None:
            return
        how = self.chance.choice(["copy", "move", "other", "other"])
        other = "copy" if self.shadow.root == "checkout" else "checkout"
        target = self.shadow.base / other
        if how == "other":
            if target.is_dir():
                self.shadow.root = other
        elif how == "copy":
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(self.folder, target, symlinks=True)
            self.shadow.copied(other)
            self.shadow.root = other
        else:
            shutil.rmtree(target, ignore_errors=True)
            self.folder.rename(target)
            self.shadow.moved(other)
        self.user.folder = self.folder
        self.ask_git()
        self.change_code()

    def change_store(self) -> None:
        """Delete the store, keep a copy of it, or restore that one."""
        store, kept = self.shadow.base / "store", self.shadow.base / "store-kept"
        if self.is_interrupted:
            return
        how = self.chance.choice(["delete", "keep", "restore"])
        if how == "keep" and store.exists():
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(store, kept)
            self.kept = self.shadow.snapshot()
        elif how == "delete":
            shutil.rmtree(store, ignore_errors=True)
            self.shadow.made.clear()
        elif how == "restore" and self.kept is not None:
            shutil.rmtree(store, ignore_errors=True)
            shutil.copytree(kept, store)
            self.shadow.made = self.kept
            self.kept = self.shadow.snapshot()
        self.change_code()

    def change_secret(self) -> None:
        if not self.is_interrupted:
            self.shadow.secret = self.chance.choice(SECRETS)
        self.change_code()

    # -- Builds.

    def moments(self) -> list[Moment]:
        """Return moments of the next build; those that did not come in the last one stay."""
        number = self.chance.choice([0, 0, 1, 1, 2, 3])
        new = [some_moment(self.chance, self.names) for _ in range(number)]
        self.awaited = [*new, *self.awaited][:4]
        return self.awaited

    def build(self, moments: Sequence[Moment]) -> None:
        """Build in a process of its own, and let things happen in the course of it."""
        counts: Counter[str] = Counter()
        build = Stepped(self.work)
        try:
            while (stop := build.stop())["kind"] != "end":
                assert stop["kind"] != "error", stop["text"]
                if not self.passes(build, stop, moments, counts):
                    return
        finally:
            build.end(kill=True)
        _import(stop["modules"])
        self.shadow.events["builds"] += 1
        self.is_interrupted = False
        self.ask_git()
        self.shadow.build_changed()
        left = [name for name in self.shadow.aside() if not self.is_named(name)]
        assert not left, f"left by a build: {left}"

    def passes(
        self, build: Stepped, stop: Stop, moments: Sequence[Moment], counts: Counter[str]
    ) -> bool:
        """Let happen what happens at a stop; tell whether the build lives on."""
        if stop["kind"] == "notice":
            self.messages.update(re.findall(r"\.nbcache-[^\s/()]+", stop["text"]))
        if stop["kind"] == "cell":
            self.observe_cell(stop)
        points = (stop["kind"], "any")
        now = [m for m in moments if m.point in points and m.count == counts[m.point]]
        self.awaited = [moment for moment in self.awaited if moment not in now]
        counts.update(points)
        for act in [moment.act for moment in now]:
            self.shadow.events[f"at {stop['kind']}"] += 1
            if act.kind in (KILL, OUTLIVED):
                build.end(kill=True)
                self.after_kill(stop, outlived=act.kind == OUTLIVED)
                return False
            self.act(act, stop.get("name", ""))
        build.go_on()
        return True

    def after_kill(self, stop: Stop, *, outlived: bool) -> None:
        self.shadow.events["killed"] += 1
        self.is_interrupted = True
        if stop["kind"] != "cell":
            return
        if outlived:
            self.runner.shells.resume(lambda number: self.observe_cell({**stop, "number": number}))
        else:
            self.runner.shells.abandon()

    def work(self, point: Point) -> Stop:
        """Build. This is called in a fork."""

        def pause(cells: Sequence[str], number: int) -> None:
            point(kind="cell", cells=list(cells), number=number)

        def notify(notice: Notice) -> None:
            point(kind="notice", text=notice.text)

        if self.opened is not None:
            self.opened.close()  # in this process
        os.environ.pop("NBCACHE_SECRET", None)
        if self.shadow.secret:
            os.environ["NBCACHE_SECRET"] = self.shadow.secret
        run: Any = replace(self.runner, pause=pause).run
        sphinx_nbcache.execution.runner.run = run
        stop_at_changes(point)
        project = Project.find(
            self.folder,
            place=self.shadow.base / "store",
            notify=notify,
            executor="local-serial",
            kernel_start="spawn",
        )
        project.execute(project.plan())
        project.close()
        return {"modules": [name for name in sys.modules if name not in self.imported]}

    def observe_cell(self, stop: Stop) -> None:
        """Take note of what the last cell did; before the first one, of what the build did."""
        number, cells = stop["number"], stop["cells"]
        if number == 0:
            self.ask_git()
            self.shadow.build_changed()
            self.shadow.run_began()
            return
        source = cells[number - 1]
        name = surely_written(source)
        written = None if name is None else self.folder / name
        self.shadow.cell_changed(seen=is_seen(source), written=written)
        if number == len(cells):
            self.shadow.run_ended()

    def is_named(self, name: str) -> bool:
        """Tell whether a message named a file that a build left."""
        return not self.messages.isdisjoint(name.split("/"))

    # -- Users.

    def act(self, act: Act, changed: str = "") -> None:
        path = self.folder / (act.name or changed or NAMES[0])
        with self.acting(), suppress(OSError):
            if act.kind in PLAIN_ACTS:
                self.user.do(act.kind, path)
            elif act.kind == "save equal":
                self.save_equal(path)
            elif act.kind == "open":
                self.open(path)
            elif act.kind == "write and close":
                self.write_and_close()
            elif act.kind == "notebook":
                name = NOTEBOOKS[next(self.user.counter) % len(NOTEBOOKS)]
                codes = self.codes.get(name, [[("write", NAMES[0], "1")]])
                self.edit(name, codes[next(self.user.counter) % len(codes)])
            else:
                self.move_folder(path.parent, linked=act.kind == "folder outside")

    def edit(self, name: str, code: Sequence[Cell]) -> None:
        save_notebook(self.folder / name, sources(name, code))

    def save_equal(self, path: Path) -> None:
        """Save what a run wrote there at some time."""
        written = self.shadow.written.get(path.relative_to(self.folder).as_posix(), ())
        equal = sorted(entry for entry in written if isinstance(entry, bytes))
        if equal:
            path.write_bytes(equal[next(self.user.counter) % len(equal)])

    def open(self, path: Path) -> None:
        if self.opened is None:
            self.opened = path.open("r+b", buffering=0)
            self.shadow.opened = self.opened.fileno()

    def write_and_close(self) -> None:
        if self.opened is not None:
            self.opened.write(self.user.content())
            self.shadow.wrote()
            self.opened.close()
            self.opened = None

    def move_folder(self, folder: Path, *, linked: bool) -> None:
        """Rename a folder, and perhaps put a link in its place that leads out."""
        if folder == self.folder or self.is_interrupted or folder.is_symlink():
            return
        moved = folder.with_name(f"moved{next(self.user.counter)}")
        folder.rename(moved)
        self.shadow.folder_moved(self.path(folder), self.path(moved))
        if linked:
            folder.symlink_to(self.user.outside.parent)

    def path(self, path: Path) -> str:
        return path.relative_to(self.shadow.base).as_posix()

    def ask_git(self) -> None:
        """Look at which files git tracks, if that may have changed."""
        try:
            found = (self.folder / ".git" / "index").stat()
        except FileNotFoundError:
            self.shadow.tracked, self.index = frozenset(), None
            return
        index = (self.folder, found.st_mtime_ns, found.st_size, found.st_ino)
        if self.index != index:
            self.index = index
            self.shadow.tracked = frozenset(git(self.folder, "ls-files", "-z").split("\0"))

    @contextmanager
    def acting(self) -> Iterator[None]:
        before = self.shadow.disk()
        yield
        self.shadow.user_changed(before)


def _import(names: Sequence[str]) -> None:
    for name in names:
        with suppress(ImportError):
            importlib.import_module(name)
    Scenario.imported = frozenset(sys.modules)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("part", range(PARTS))
def test_what_users_save_is_there_byte_for_byte(
    tmp_path: Path, shells: Shells, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    monkeypatch.setattr(sphinx_nbcache.project.validity, "kernel_facts", facts_with())
    totals: Counter[str] = Counter()
    seed = os.environ.get("NBCACHE_USER_FILES_SEED", "0")
    number = int(os.environ.get("NBCACHE_USER_FILES", "200"))
    for each in range(part, number, PARTS):
        base = Path(os.path.realpath(tmp_path)) / str(each)
        scenario = Scenario(base, CellRunner(shells), f"{seed}-{each}")
        try:
            scenario.play()
        except Exception as error:
            raise AssertionError(f"sequence {seed}-{each}: {error}") from error
        totals.update(scenario.shadow.events)
    # Or nothing that matters has happened. Few sequences meet the moments of a single call.
    common = ("killed", "removed", "replaced", "restored", "at cell", "at store")
    rare = ("at rename", "at link") if number >= 2000 else ()
    if number >= 200:
        assert [event for event in (*common, *rare) if not totals[event]] == []
