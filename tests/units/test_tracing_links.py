"""What stands behind paths: links, descriptors of folders, logs of databases, libraries of C."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest
from tracing import OLD_NS, Project, Shells

from sphinx_nbcache.traces.facts_of_links import Link

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="runs cells in forks")
on_linux = pytest.mark.skipif(
    not Path("/proc/self/fd").is_dir(), reason="no system that tells where descriptors lead"
)


@pytest.fixture
def project(tmp_path: Path, shells: Shells) -> Project:
    return Project(tmp_path / "project", shells)


def link(project: Project, name: str, target: str) -> None:
    """Make a link, instead of what is there."""
    path = project.root / name
    path.unlink(missing_ok=True)
    path.symlink_to(target)


@on_linux
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("f = os.open('x', os.O_RDONLY, dir_fd=d); print(os.read(f, 9))", "d/x changed"),
        ("open('x', opener=lambda p, flags: os.open(p, flags, dir_fd=d)).read()", "d/x changed"),
        ("print(os.stat('x', dir_fd=d).st_size)", "d/x changed"),
        ("print(os.access('new', os.R_OK, dir_fd=d))", "d/new appeared"),
        ("print(os.listdir(d))", "d/new appeared"),
        ("print([e.name for e in os.scandir(d)])", "d/new appeared"),
        ("for _, _, names, _ in os.fwalk('d'): print(names)", "d/new appeared"),
    ],
)
def test_what_is_named_relative_to_a_descriptor_of_a_folder_counts(
    project: Project, code: str, reason: str
) -> None:
    project.write("d/x", "1")
    traced = project.run(f"import os\nd = os.open('d', os.O_RDONLY)\n{code}")
    assert project.says(traced) is None
    project.write("d/x", "22")
    project.write("d/new")
    assert project.says(traced) == reason


@on_linux
def test_what_is_made_and_removed_relative_to_a_descriptor_is_known(project: Project) -> None:
    project.write("d/old", "1")
    traced = project.run(
        "import os\nd = os.open('d', os.O_RDONLY)\n"
        "os.close(os.open('made', os.O_WRONLY | os.O_CREAT, dir_fd=d))\n"
        "os.rename('made', 'moved', src_dir_fd=d, dst_dir_fd=d)\n"
        "os.mkdir('folder', dir_fd=d); os.symlink('moved', 'link', dir_fd=d)\n"
        "os.unlink('old', dir_fd=d); print(sorted(os.listdir(d)))"
    )
    assert traced.output == "['folder', 'link', 'moved']\n"
    assert {written.path for written in traced.trace.written} >= {"d/moved"}
    assert traced.trace.removed == ("d/old",)
    assert project.says(traced) is None


@pytest.mark.parametrize(
    "code",
    [
        "os.readlink('link')",
        "pathlib.Path('link').readlink()" if hasattr(Path, "readlink") else "os.readlink('link')",
        "os.path.realpath('link')",
        "os.path.realpath('link/inner')",
        "pathlib.Path('link').resolve()",
    ],
)
def test_where_a_link_leads_counts_if_code_asks_for_it(project: Project, code: str) -> None:
    project.write("v1/inner", "same")
    project.write("v2/inner", "same")
    link(project, "link", "v1")
    traced = project.run(f"import os, pathlib\nprint({code})")
    assert project.says(traced) is None
    link(project, "link", "v2")
    assert project.says(traced) == "link leads to v2 now"
    (project.root / "link").unlink()
    shutil.copytree(project.root / "v1", project.root / "link")
    assert project.says(traced) == "link is no link any more"


@pytest.mark.parametrize(
    "code", ["os.path.islink('a')", "pathlib.Path('a').is_symlink()", "os.path.realpath('a')"]
)
def test_that_a_path_is_no_link_counts_if_code_asks_for_it(project: Project, code: str) -> None:
    project.write("a", "same")
    project.write("b", "same")
    traced = project.run(f"import os, pathlib\nprint({code})")
    assert project.says(traced) is None
    link(project, "a", "b")
    assert project.says(traced) == "a leads to b now"


def test_that_a_link_to_nothing_is_there_counts(project: Project) -> None:
    link(project, "a", "nowhere")
    traced = project.run("import os\nprint(os.path.lexists('a'), os.path.exists('a'))")
    assert project.says(traced) is None
    (project.root / "a").unlink()
    assert project.says(traced) == "a is no link any more"


def test_the_links_above_a_checkout_do_not_count(tmp_path: Path, shells: Shells) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "current").symlink_to("real")
    project = Project(tmp_path / "current" / "project", shells)
    project.write("a.txt")
    traced = project.run("import os\nos.path.basename(os.path.realpath('a.txt'))")
    assert [fact.path for fact in traced.all(Link)] == ["a.txt"]
    moved = Project(tmp_path / "elsewhere", shells, python=project.python)
    moved.write("a.txt")
    assert moved.says(traced) is None


@pytest.mark.parametrize("code", ["os.path.samefile('a', 'b')", "pathlib.Path('a').samefile('b')"])
def test_whether_two_names_are_of_one_file_counts_if_code_asks_for_it(
    project: Project, code: str
) -> None:
    project.write("a", "same")
    project.write("b", "same")
    traced = project.run(f"import os, pathlib\nprint({code})")
    assert traced.output == "False\n"
    assert project.says(traced) is None
    (project.root / "b").unlink()
    os.link(project.root / "a", project.root / "b")
    assert project.says(traced) == "a and b are one file now"


@pytest.mark.parametrize(
    "code",
    [
        "os.symlink('x', 'd/y'); print(open('d/y').read()); os.remove('d/y')",
        "os.symlink('d', 'l'); print(open('l/x').read()); os.remove('l')",
        "os.symlink('d', 'l'); print(os.path.getsize('l/x')); os.remove('l')",
        "os.symlink('d', 't'); os.replace('t', 'l'); print(open('l/x').read()); os.remove('l')",
        "os.symlink('d', 'l'); os.symlink('l', 'm'); open('m/x'); os.remove('m'); os.remove('l')",
        "os.link('d/x', 'y'); print(open('y').read()); os.remove('y')",
        "os.symlink('d/x', 'y'); os.system('cat y >/dev/null'); os.remove('y')",
    ],
)
def test_what_is_read_through_a_link_that_the_run_made_counts(project: Project, code: str) -> None:
    project.write("d/x", "1")
    traced = project.run(f"import os\n{code}")
    assert project.says(traced) is None
    project.write("d/x", "22")
    assert project.says(traced) == "d/x changed"


def test_a_listing_through_a_link_that_the_run_made_counts(project: Project) -> None:
    project.write("d/x", "1")
    traced = project.run("import os\nos.symlink('d', 'l'); print(os.listdir('l')); os.remove('l')")
    assert project.says(traced) is None
    project.write("d/y", "1")
    assert project.says(traced) == "d/y appeared"


@pytest.mark.parametrize("code", ["os.chmod(p, 0o755)", "os.utime(p)", "os.link(p, 'y')"])
@pytest.mark.parametrize("cells", [("print(open(p).read())", "{}"), ("{}", "open(p).read()")])
def test_a_run_that_changes_only_the_times_or_the_mode_of_a_file_can_be_trusted(
    project: Project, code: str, cells: tuple[str, str]
) -> None:
    project.write("x.sh", "1")
    traced = project.run("import os\np = 'x.sh'", *(cell.format(code) for cell in cells))
    assert project.says(traced) is None
    project.write("x.sh", "2")
    assert project.says(traced) == "x.sh changed"


@pytest.mark.parametrize(
    "cells",
    [
        ["f = open('a.log', 'a'); f.write('x'); f.close(); print(open('a.log').read())"],
        ["f = open('a.log', 'a'); print(f.tell()); f.close()"],
        ["f = open('a.log', 'a')", "print(f.tell()); f.close()"],
        ["import os\nopen('a.log', 'a').close(); print(os.path.getsize('a.log'))"],
        ["import m\nm.log()"],
        [
            "import subprocess, sys\nopen('a.log', 'a').close()",
            "print(subprocess.check_output([sys.executable, 'child.py']))",
        ],
    ],
)
def test_a_file_that_is_appended_to_counts_if_the_run_sees_what_is_in_it(
    project: Project, cells: list[str]
) -> None:
    project.write("a.log", "old")
    project.write("m.py", "def log():\n    with open('a.log', 'a') as f: return f.tell()")
    project.write("child.py", "print(open('a.log').read())")
    traced = project.run(*cells)
    assert project.says(traced) is None
    project.write("a.log", "another")
    assert project.says(traced) == "a.log changed"


def test_the_entries_of_a_folder_count_if_code_asks_for_their_stats(project: Project) -> None:
    project.write("d/x", "1")
    traced = project.run("import os\nprint([e.stat().st_size for e in os.scandir('d')])")
    assert project.says(traced) is None
    project.write("d/x", "22")
    assert project.says(traced) == "d/x changed"


def open_database(project: Project) -> sqlite3.Connection:
    base = sqlite3.connect(project.root / "x.db")
    base.execute("pragma journal_mode=wal")
    base.execute("create table if not exists t as select 1 as a")
    base.commit()
    return base


@pytest.mark.parametrize("is_open", [True, False])
@pytest.mark.parametrize("end", ["; base.close()", ""])
def test_a_change_that_only_the_log_of_a_database_has_counts(
    project: Project, end: str, *, is_open: bool
) -> None:
    base = open_database(project)
    if not is_open:
        base.close()
    code = f"print(base.execute('select * from t').fetchall()){end}"
    traced = project.run(f"import sqlite3\nbase = sqlite3.connect('x.db'); {code}")
    assert project.says(traced) is None
    if not is_open:
        base = sqlite3.connect(project.root / "x.db")
    base.execute("update t set a = 2")
    base.commit()
    assert project.says(traced) == "x.db changed (its log x.db-wal did)"
    base.close()


def make_library(project: Project, value: int) -> None:
    source = project.write("lib.c", f"int f(void) {{ return {value}; }}")
    made = project.root / "made.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(made), str(source)], check=True)
    os.utime(made, ns=(OLD_NS, OLD_NS))
    made.replace(project.root / "lib.so")


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a compiler of C")
def test_a_library_of_c_that_is_loaded_by_its_path_counts(project: Project) -> None:
    make_library(project, 1)
    path = "os.path.join(os.path.abspath('.'), 'li' + 'b.so')"
    traced = project.run(f"import ctypes, os\nprint(ctypes.CDLL({path}).f())")
    assert project.says(traced) is None
    make_library(project, 2)
    assert project.says(traced) == "lib.so changed"
