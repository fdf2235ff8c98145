"""What a run finds of the files that it wrote before: nothing, as in a clean checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from cell_runner import CellRunner
from support import ipynb_text
from tracing import Shells

import sphinx_nbcache.execution.runner
from sphinx_nbcache import Project
from sphinx_nbcache.notices import Notice
from sphinx_nbcache.planning import Planned
from sphinx_nbcache.project import Progress
from sphinx_nbcache.project.journal import Journal

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="runs cells in forks")

CACHE = """import os
if not os.path.exists('cache'):
    open('cache', 'w').write(open('data').read())
print(open('cache').read())"""


class Told(Progress):
    """The names of what was run."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def started(self, planned: Planned, number: int, total: int) -> None:  # noqa: ARG002 (as all who are told)
        self.names.append(planned.name)


class Checkout:
    """A folder with notebooks, whose cells are run in forks."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.realpath(root))
        self.root.mkdir()
        self.store = root.parent / "store"

    def write(self, **texts: str) -> None:
        """Write files; a name without a dot is that of a data file."""
        for name, text in texts.items():
            (self.root / name).write_text(text)

    def notebook(self, name: str, code: str) -> None:
        (self.root / f"{name}.ipynb").write_text(ipynb_text(["%%" + code], {}))

    def build(self, **options: Any) -> tuple[list[str], dict[str, str]]:
        """Return what was run, and what each notebook shows."""
        project = Project.find(self.root, place=self.store, executor="local-serial", **options)
        told = Told()
        run = project.execute(project.plan(), told)
        shown = {}
        for item in run.notebooks:
            assert item.result is not None
            cells = project.outputs(item.result).cells
            shown[item.planned.name.removesuffix(".ipynb")] = "".join(
                output["text"].strip() for cell in cells for output in cell
            )
        project.close()
        return told.names, shown


@pytest.fixture
def checkout(tmp_path: Path, shells: Shells, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    monkeypatch.setattr(sphinx_nbcache.execution.runner, "run", CellRunner(shells).run)
    return Checkout(tmp_path / "checkout")


def test_a_file_that_is_made_only_if_there_is_none_is_made_anew_from_what_changed(
    checkout: Checkout,
) -> None:
    checkout.notebook("one", CACHE)
    checkout.write(data="first")
    assert checkout.build() == (["one.ipynb"], {"one": "first"})
    assert checkout.build() == ([], {"one": "first"})
    checkout.write(data="second")
    assert checkout.build() == (["one.ipynb"], {"one": "second"})
    assert checkout.build() == ([], {"one": "second"})
    # In a clean checkout the result can be used, and brings the file with it.
    (checkout.root / "cache").unlink()
    assert checkout.build() == ([], {"one": "second"})
    assert (checkout.root / "cache").read_text() == "second"
    checkout.write(data="first")
    assert checkout.build() == ([], {"one": "first"})
    assert (checkout.root / "cache").read_text() == "first"


def test_a_file_that_is_ignored_is_left_to_later_runs(checkout: Checkout) -> None:
    checkout.notebook("one", CACHE)
    checkout.write(data="first")
    checkout.build(ignore=("cache",))
    checkout.write(data="second")
    checkout.notebook("one", CACHE + " # edited")
    assert checkout.build(ignore=("cache",)) == (["one.ipynb"], {"one": "first"})


def test_what_a_run_appends_to_does_not_grow_with_every_run(checkout: Checkout) -> None:
    code = "f = open('log', 'a'); f.write('+'); f.close()\n"
    code += "print(open('log').read(), open('data').read())"
    checkout.notebook("one", code)
    for number in ("1", "2", "3"):
        checkout.write(data=number)
        assert checkout.build() == (["one.ipynb"], {"one": f"+ {number}"})
    assert checkout.build()[0] == []


def test_folders_that_a_run_made_go_with_their_files_but_those_of_users_stay(
    checkout: Checkout,
) -> None:
    (checkout.root / "theirs").mkdir()
    code = (
        "import os\nos.makedirs('own/deep')\nopen('own/deep/x', 'w').write('x')\n"
        "open('theirs/x', 'w').write('x'); print(open('data').read())"
    )
    checkout.notebook("one", code)
    for number in ("1", "2"):
        checkout.write(data=number)
        assert checkout.build() == (["one.ipynb"], {"one": number})


def test_what_users_changed_is_not_taken_away(checkout: Checkout) -> None:
    code = "import os\nif not os.path.exists('cache'): open('cache', 'w').write('made')\n"
    checkout.notebook("one", code + "print(open('cache').read())")
    assert checkout.build() == (["one.ipynb"], {"one": "made"})
    checkout.write(cache="mine")
    assert checkout.build() == (["one.ipynb"], {"one": "mine"})
    assert checkout.build() == ([], {"one": "mine"})
    assert (checkout.root / "cache").read_text() == "mine"


def test_what_another_notebook_has_come_to_write_is_not_taken_away(checkout: Checkout) -> None:
    write = "open('file', 'w').write('x'); print('w')"
    checkout.notebook("two", write)
    assert checkout.build() == (["two.ipynb"], {"two": "w"})
    # The code moves to another notebook, which is run before.
    checkout.notebook("one", "1; " + write)
    checkout.notebook("two", "print('nothing')")
    assert checkout.build() == (["one.ipynb", "two.ipynb"], {"one": "w", "two": "nothing"})
    assert (checkout.root / "file").read_text() == "x"
    assert checkout.build()[0] == []


def test_a_file_that_is_not_written_any_more_goes(checkout: Checkout) -> None:
    checkout.notebook("one", "import os; os.mkdir('out'); open('out/file', 'w').write('x')")
    checkout.build()
    checkout.notebook("one", "print(1) # and 'out/file' is only named")
    assert checkout.build() == (["one.ipynb"], {"one": "1"})
    assert not (checkout.root / "out" / "file").exists()
    shutil.rmtree(checkout.root / "out", ignore_errors=True)
    assert checkout.build()[0] == []


def test_what_looked_for_a_folder_that_another_notebook_made_runs_again(
    checkout: Checkout,
) -> None:
    """There is no file in it that could be named."""
    checkout.notebook("a", "import os; print(os.path.exists('out'))")
    checkout.notebook("b", "import os; os.makedirs('out', exist_ok=True); print('made')")
    ran, shown = checkout.build()
    assert ran == ["a.ipynb", "b.ipynb", "a.ipynb"]
    assert shown["a"] == "True"
    assert checkout.build()[0] == []


def test_a_notebook_that_need_not_run_after_all_has_its_files_put_back(checkout: Checkout) -> None:
    """What it reads was replaced, but is written again by the notebook that writes it."""
    checkout.notebook("a", "open('first', 'w').write('x'); print('a')")
    checkout.notebook("b", "open('second', 'w').write(open('first').read()); print('b')")
    checkout.build()
    checkout.write(first="something else")
    (checkout.root / "second").unlink()
    assert checkout.build()[0] == ["a.ipynb"]
    assert (checkout.root / "second").read_text() == "x"
    assert checkout.build()[0] == []


def test_a_file_of_the_user_that_a_run_changed_is_never_taken_away(checkout: Checkout) -> None:
    checkout.write(mine="1")
    checkout.notebook("a", "f = open('mine', 'a'); f.write('2'); f.close(); print(1)")
    checkout.build()
    assert (checkout.root / "mine").read_text() == "12"
    checkout.notebook("a", "f = open('mine', 'a'); f.write('3'); f.close(); print(2)")
    checkout.build()
    assert (checkout.root / "mine").read_text() == "123"
    checkout.notebook("a", "print(3)")
    checkout.build()
    assert (checkout.root / "mine").read_text() == "123"


COMMAND = "import os; _ = os.system('cat data > out.dat'); print({})"


def test_a_file_that_only_seems_to_be_written_is_neither_replaced_nor_removed(
    checkout: Checkout,
) -> None:
    checkout.write(data="first")
    checkout.notebook("a", COMMAND.format(1))
    assert checkout.build() == (["a.ipynb"], {"a": "1"})
    assert checkout.build() == ([], {"a": "1"})
    product = checkout.root / "out.dat"
    product.unlink()
    assert checkout.build() == ([], {"a": "1"})
    assert product.read_text() == "first"
    # The other content may be the user's: only the notebook itself may write over it.
    product.write_text("mine")
    assert checkout.build()[0] == ["a.ipynb"]
    checkout.notebook("a", "print(2) # no file any more")
    assert checkout.build() == (["a.ipynb"], {"a": "2"})
    assert product.read_text() == "first"


def git(root: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", *who, *arguments], cwd=root, check=True, capture_output=True)


def test_a_file_that_git_tracks_is_never_removed(checkout: Checkout) -> None:
    git(checkout.root, "init", "-q")
    write = "open('{}', 'w').write('made'); print(1)"
    for name in ("tracked", "other"):
        checkout.notebook(name, write.format(f"{name}.txt"))
    checkout.build()
    git(checkout.root, "add", "tracked.txt")
    git(checkout.root, "commit", "-qm", "x")
    for name in ("tracked", "other"):
        checkout.notebook(name, "print(2)")
    checkout.build()
    assert (checkout.root / "tracked.txt").read_text() == "made"
    assert not (checkout.root / "other.txt").exists()


def test_a_file_that_another_build_puts_back_first_is_no_trouble(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "for name in 'ab': open(name, 'w').write('1')"
    checkout.notebook("one", code)
    checkout.build()
    for name in "ab":
        (checkout.root / name).unlink()
    wait = Journal.of

    def other_build_first(*arguments: Any) -> Any:
        checkout.write(a="1")
        return wait(*arguments)

    monkeypatch.setattr(Journal, "of", other_build_first)
    notices: list[Notice] = []
    assert checkout.build(notify=notices.append)[0] == []
    assert (checkout.root / "b").read_text() == "1"
    assert notices == []


def test_what_is_written_through_a_link_out_of_the_project_is_never_put_in_its_place(
    checkout: Checkout, tmp_path: Path
) -> None:
    (tmp_path / "outside").write_text("the user's ")
    (checkout.root / "log").symlink_to(tmp_path / "outside")
    checkout.notebook("one", "with open('log', 'a') as file: file.write('+')")
    checkout.build()
    assert (tmp_path / "outside").read_text() == "the user's +"
    (checkout.root / "log").unlink()
    checkout.build()
    assert "user" not in (checkout.root / "log").read_text()
    assert (tmp_path / "outside").read_text() == "the user's +"


def test_a_build_that_runs_something_forgets_files_that_were_gone_for_thirty_days(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout.notebook("gone", "open('made', 'w').write('1')")
    checkout.notebook("one", "print(1)")
    checkout.build()
    for name in ("gone.ipynb", "made"):
        (checkout.root / name).unlink()
    now = time.time()
    for days in (2, 33):
        monkeypatch.setattr(time, "time", lambda days=days: now + days * 86_400)
        checkout.notebook("one", f"print({days}, 'days')")
        checkout.build()
    project = Project.find(checkout.root, place=checkout.store)
    keys = project.store.access.keys("")
    project.close()
    assert "scan/one.ipynb" in keys
    assert [key for key in keys if key.endswith(("gone.ipynb", "/made"))] == []
