"""What a run did, and whether its trace holds then: the holes, each by real code in IPython."""

from __future__ import annotations

import os
import shutil
from hashlib import sha256
from pathlib import Path

import pytest
from tracing import Project, Shells

from sphinx_nbcache.kernel_side.tracer.variables import names_in_script
from sphinx_nbcache.traces.facts import (
    Absent,
    Directory,
    Distribution,
    EnvironmentVariable,
    File,
    Listing,
    Location,
    Uninstalled,
    Unshadowed,
)

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="runs cells in forks")


@pytest.fixture
def project(tmp_path: Path, shells: Shells) -> Project:
    return Project(tmp_path / "project", shells)


def test_a_run_that_does_nothing_depends_on_nothing_but_python(project: Project) -> None:
    traced = project.run("1 + 1", "x = 'text'\nprint(x)")
    assert project.says(traced) is None
    kinds = {type(fact).__name__ for fact in traced.trace.facts}
    assert kinds == {"Interpreter", "Baseline", "EnvironmentVariable"}
    assert traced.trace.written == ()
    assert traced.trace.untracked == ()


def test_a_file_that_is_read_counts(project: Project) -> None:
    project.write("data/prices.csv", "1")
    traced = project.run("print(open('data/prices.csv').read())")
    assert traced.paths(File) == ["data/prices.csv"]
    assert project.says(traced) is None
    os.utime(project.root / "data/prices.csv")
    assert project.says(traced) is None
    project.write("data/prices.csv", "2")
    assert project.says(traced) == "data/prices.csv changed"


@pytest.mark.parametrize(
    "code",
    [
        "open('latest/a.csv').read()",
        "import os; os.chdir('latest')\nopen('a.csv').read()",
        "import os; os.chdir('v1'); os.chdir('../latest')\nopen('a.csv').read()",
        "open('v1/../latest/a.csv').read()",
        "open('v1/../v1/../latest/../latest/a.csv').read()",
    ],
)
def test_a_link_on_the_way_to_a_file_counts(project: Project, code: str) -> None:
    project.write("v1/a.csv", "1")
    project.write("v2/a.csv", "2")
    link = project.root / "latest"
    link.symlink_to("v1")
    traced = project.run(code)
    assert project.says(traced) is None
    link.unlink()
    link.symlink_to("v2")
    assert project.says(traced) == "latest/a.csv changed"


def test_a_working_directory_whose_link_leads_elsewhere_meanwhile_is_where_it_was(
    project: Project,
) -> None:
    project.write("v1/a.csv", "1")
    project.write("v2/a.csv", "2")
    (project.root / "latest").symlink_to("v1")
    change = "os.remove('../latest'); os.symlink('v2', '../latest')"
    traced = project.run(f"import os; os.chdir('latest'); {change}", "open('a.csv').read()")
    assert "v1/a.csv" in traced.paths(File)


def test_a_link_in_a_circle_does_not_hide_what_else_is_in_its_folder(project: Project) -> None:
    project.write("data/a")
    (project.root / "data" / "loop").symlink_to("loop")
    (project.root / "loop").symlink_to("loop")
    traced = project.run("import os; os.listdir('data')")
    assert project.says(traced) is None
    project.write("data/b")
    assert project.says(traced) == "data/b appeared"


def test_a_trace_holds_in_another_checkout(project: Project, tmp_path: Path) -> None:
    project.write("nb/data/a.csv")
    project.write("helpers.py", "import sub.part")
    project.write("sub/part.py")
    traced = project.run(
        "import os, sys, glob; sys.path.insert(0, '..'); import helpers",
        "open('data/a.csv').read(); os.listdir('data'); os.path.exists('no'); glob.glob('*.nc')",
        directory="nb",
    )
    assert project.says(traced) is None
    other = Project(tmp_path / "deep" / "elsewhere", python=project.python)
    shutil.copytree(project.root, other.root, dirs_exist_ok=True)
    assert other.says(traced) is None
    other.write("sub/part.py", "2")
    assert other.says(traced) == "sub/part.py changed (imported by helpers.py)"


def test_a_notebook_that_mentions_its_place_holds_only_there(project: Project) -> None:
    traced = project.run("import os; print(os.getcwd())")
    assert traced.all(Location) == [Location(str(project.root))]
    assert project.says(traced) is None


def test_a_file_that_is_looked_for_counts(project: Project) -> None:
    traced = project.run(
        "try: open('a')\nexcept OSError: pass",
        "import os; from pathlib import Path\nos.path.exists('b'); Path('c').is_file()",
        "os.path.isdir('d'); os.path.getsize('.')",
    )
    assert traced.paths(Absent) == ["a", "b", "c", "d"]
    for name in "abcd":
        path = project.write(name)
        assert project.says(traced) == f"{name} appeared"
        path.unlink()
    assert project.says(traced) is None


@pytest.mark.parametrize(
    ("code", "path"),
    [
        ("os.remove('a')", "a"),
        ("os.rmdir('a')", "a"),
        ("os.chdir('a')", "a"),
        ("os.rename('a', 'b')", "a"),
        ("open('a/b', 'w')", "a"),
        ("open('a', 'r+')", "a"),
        ("os.listdir('a')", "a"),
    ],
)
def test_what_failed_because_something_was_missing_depends_on_that(
    project: Project, code: str, path: str
) -> None:
    traced = project.run(f"import os\ntry: {code}\nexcept OSError: print('missing')")
    assert traced.output == "missing\n"
    assert project.says(traced) is None
    (project.root / path).mkdir()
    assert project.says(traced) is not None


@pytest.mark.parametrize("code", ["os.mkdir('a')", "open('a', 'x')", "os.symlink('b', 'a')"])
def test_what_failed_because_something_was_there_depends_on_that(
    project: Project, code: str
) -> None:
    (project.root / "a").mkdir()
    traced = project.run(f"import os\ntry: {code}\nexcept OSError: print('there')")
    assert traced.output == "there\n"
    assert project.says(traced) is None
    (project.root / "a").rmdir()
    assert project.says(traced) is not None


def test_what_failed_to_be_written_was_not_written(project: Project) -> None:
    traced = project.run(
        "import os; print(os.listdir('.'))",
        "try: os.replace('b', 'a')\nexcept OSError: pass",
        "try: open('no/c', 'w')\nexcept OSError: print(os.path.exists('no/c'))",
    )
    assert traced.trace.written == ()
    assert project.says(traced) is None
    path = project.write("a")
    assert project.says(traced) == "a appeared"
    path.unlink()
    project.write("no/c")
    assert project.says(traced) is not None


def test_files_outside_of_the_root_count(project: Project, tmp_path: Path) -> None:
    outside = tmp_path / "elsewhere" / "größe.csv"
    outside.parent.mkdir()
    outside.write_text("1")
    os.utime(outside, ns=(1, 1))
    traced = project.run(f"open({str(outside)!r}).read()", "open('../elsewhere/größe.csv').read()")
    assert traced.paths(File) == [str(outside)]
    outside.write_text("2")
    assert project.says(traced) == f"{outside} changed"


@pytest.mark.parametrize(
    ("code", "is_there"),
    [
        ("os.path.exists(p)", False),
        ("os.path.exists(p)", True),
        ("os.path.isdir(p)", False),
        ("os.path.getsize(p)", True),
        ("pathlib.Path(p).is_file()", True),
        ("os.access(p, os.R_OK)", False),
    ],
)
def test_what_code_looks_for_outside_of_the_root_counts(
    project: Project, tmp_path: Path, code: str, *, is_there: bool
) -> None:
    path = tmp_path / "elsewhere" / "data"
    path.parent.mkdir()
    if is_there:
        path.write_text("1")
        os.utime(path, ns=(1, 1))
    traced = project.run(f"import os, pathlib\np = {str(path)!r}; {code}")
    project.source = ""
    assert project.says(traced) is None
    path.write_text("22")
    assert project.says(traced) == f"{path} {'changed' if is_there else 'appeared'}"


def test_a_folder_outside_of_the_root_counts_if_code_looks_for_it_but_not_if_it_makes_it(
    project: Project, tmp_path: Path
) -> None:
    data = tmp_path / "home" / "data"
    data.mkdir(parents=True)
    looked = project.run("import os\nprint(os.path.isdir('../home/data'))")
    made = project.run(
        "import os, pathlib\nos.makedirs('../home/data', exist_ok=True)",
        "pathlib.Path('../home/data').mkdir(parents=True, exist_ok=True)",
    )
    above = project.run("import os\nprint(os.path.isdir('..'), os.path.isdir('../..'))")
    data.rmdir()
    assert project.says(looked) == "directory ~/data/ is not there any more"
    assert project.says(made) is None
    assert above.paths(Directory) == []


def test_what_libraries_look_for_outside_of_the_root_does_not_count(
    project: Project, tmp_path: Path
) -> None:
    library = tmp_path / "elsewhere"
    library.mkdir()
    traced = project.run(
        f"import os, shutil\nshutil.which('tool', path={str(library)!r})\n"
        f"shutil.rmtree({str(library / 'gone')!r}, ignore_errors=True)"
    )
    assert not [path for path in traced.paths(Absent) if "tool" in path]


def test_a_link_counts_by_what_it_leads_to(project: Project, tmp_path: Path) -> None:
    target = project.write("target.csv", "1")
    (project.root / "link.csv").symlink_to(target)
    traced = project.run("open('link.csv').read()")
    assert traced.paths(File) == ["link.csv"]
    target.write_text("2")
    assert project.says(traced) == "link.csv changed"
    target.write_text("1")
    assert project.says(traced) is None
    (project.root / "link.csv").unlink()
    (project.root / "link.csv").symlink_to(project.write("other", "3"))
    assert project.says(traced) == "link.csv changed"


@pytest.mark.parametrize(
    "look",
    [
        "pathlib.Path('link.csv').is_symlink()",
        "pathlib.Path('link.csv').lstat()",
        "os.stat('link.csv', follow_symlinks=False)",
        "os.lstat('link.csv')",
        "os.path.islink('link.csv')",
        "os.path.lexists('link.csv')",
        "pathlib.Path('link.csv').readlink()",
        "list(os.walk('.'))",
        "[entry.stat(follow_symlinks=False) for entry in os.scandir('.')]",
    ],
)
@pytest.mark.parametrize("inside", [True, False])
def test_a_look_at_a_link_does_not_hide_the_read_that_follows(
    project: Project, tmp_path: Path, look: str, *, inside: bool
) -> None:
    target = project.write("target.csv", "1") if inside else tmp_path / "target.csv"
    target.write_text("1")
    (project.root / "link.csv").symlink_to(target)
    traced = project.run(f"import os, pathlib\n{look}\nopen('link.csv').read()")
    assert project.says(traced) is None
    target.write_text("2")
    assert "link.csv changed" in str(project.says(traced))


def test_a_link_to_itself_beside_the_notebook_does_not_end_the_tracing(project: Project) -> None:
    project.write("data.csv", "1")
    (project.root / "loop.ipynb").symlink_to("loop.ipynb")
    (project.root / "nowhere.ipynb").symlink_to("gone.ipynb")
    traced = project.run("open('data.csv').read()")
    assert project.says(traced) is None
    assert traced.paths(File) == ["data.csv"]


def test_a_folder_that_cannot_be_listed_does_not_end_the_tracing(project: Project) -> None:
    # Root may list every folder; one that is removed while it is looked at fails in the same way.
    project.write("private/data.csv", "1")
    refuse = (
        "import os; listdir = os.listdir\n"
        "def refuse(path='.'):\n"
        "    if str(path).endswith('private'): raise PermissionError(13, 'denied', path)\n"
        "    return listdir(path)\n"
        "os.listdir = refuse\n"
        "os.utime('private', (5, 5)); os.utime('.', (5, 5))"
    )
    traced = project.run(refuse, "1", "os.listdir = listdir")
    assert project.says(traced) is None


# --- What the run itself writes -----------------------------------------------------------


def test_what_the_run_wrote_first_is_no_input(project: Project) -> None:
    traced = project.run("open('out.txt', 'w').write('1')", "open('out.txt').read()")
    assert traced.all(File) == traced.all(Absent) == []
    assert [written.path for written in traced.trace.written] == ["out.txt"]
    project.write("out.txt", "other")
    assert project.says(traced) is None
    again = project.run("open('out.txt', 'w').write('1')", "open('./out.txt').read()")
    assert again.all(File) == []


CACHED = """
import os
if os.path.exists('cache'): x = open('cache').read()
else: x = '1'; f = open('cache', 'w'); f.write(x); f.close()
"""


def test_a_cache_that_the_run_made_holds_with_and_without_it(project: Project) -> None:
    traced = project.run(CACHED)
    assert project.says(traced) is None
    (project.root / "cache").unlink()
    assert project.says(traced) is None
    project.write("cache", "2")
    assert project.says(traced) == "cache changed"
    again = project.run(CACHED)
    assert again.paths(File) == ["cache"]
    assert again.trace.written == ()


def test_appending_is_no_reading_but_what_was_there_is_known(project: Project) -> None:
    path = project.write("log", "1")
    before = sha256(b"1").hexdigest()
    traced = project.run("f = open('log', 'a'); f.write('2'); f.close()")
    (written,) = traced.trace.written
    assert (written.path, written.before, written.created) == ("log", before, False)
    path.write_text("1 of others")
    assert project.says(traced) is None


def test_a_notebook_that_names_itself_does_not_depend_on_its_own_text(project: Project) -> None:
    project.source = str(project.write("own.ipynb"))
    project.write("other.bin")
    code = "print('own.ipynb', 'other.bin')"
    assert project.run(code).paths(File) == ["other.bin"]
    assert "own.ipynb" in project.run("open('own.ipynb').read()").paths(File)


def test_an_empty_path_is_nowhere(project: Project) -> None:
    code = """
import os
print(os.path.exists(""), os.path.isfile(b""))
try:
    open("")
except FileNotFoundError:
    print("no file")
"""
    traced = project.run(code)
    assert traced.output == "False False\nno file\n"
    assert traced.paths(Absent) == []
    assert project.says(traced) is None


def test_a_log_elsewhere_that_others_append_to_as_well_is_no_dependency(
    project: Project, tmp_path: Path
) -> None:
    log = tmp_path / "elsewhere.log"
    log.write_text("1")
    traced = project.run(f"f = open({str(log)!r}, 'a'); f.write('2'); f.close()")
    log.write_text("123")
    assert project.says(traced) is None
    read = project.run(f"f = open({str(log)!r}, 'a+'); f.seek(0); f.read(); f.close()")
    log.write_text("1234")
    assert project.says(read) == f"{log} changed"


def test_a_file_that_was_not_there_is_created(project: Project) -> None:
    (written,) = project.run("f = open('new', 'a'); f.write('2'); f.close()").trace.written
    assert (written.path, written.before, written.created) == ("new", None, True)


@pytest.mark.parametrize(
    "code",
    [
        "x = open('a').read(); open('a', 'w').write(x + '2')",
        "f = open('a', 'r+'); f.read(); f.write('2'); f.close()",
        "x = open('a').read(); open('b', 'w').write(x + '2'); import os; os.replace('b', 'a')",
        "import os; x = open('a').read(); os.remove('a'); open('a', 'w').write('2')",
    ],
)
def test_a_file_that_is_read_and_rewritten_holds_before_and_after(
    project: Project, code: str
) -> None:
    path = project.write("a", "1")
    traced = project.run(code)
    assert traced.trace.unreliable is None
    assert project.says(traced) is None
    path.write_text("1")
    assert project.says(traced) is None
    path.write_text("3")
    assert project.says(traced) == "a changed"


def test_a_file_that_is_read_and_removed_holds_before_and_after(project: Project) -> None:
    path = project.write("a", "1")
    traced = project.run("import os; open('a').read(); os.remove('a')")
    assert traced.trace.removed == ("a",)
    assert project.says(traced) is None
    path.write_text("1")
    assert project.says(traced) is None
    path.write_text("2")
    assert project.says(traced) == "a changed"


def test_renaming_moves_the_input(project: Project) -> None:
    project.write("a", "1")
    traced = project.run("import os; os.rename('a', 'b'); open('b').read()")
    assert traced.trace.removed == ("a",)
    assert [written.path for written in traced.trace.written] == ["b"]
    assert traced.paths(File) == ["a"]
    assert project.says(traced) is None


def test_what_is_written_and_renamed_is_no_input(project: Project) -> None:
    traced = project.run(
        "import os, shutil\nos.makedirs('tmp/x')\nopen('tmp/x/a', 'w').write('1')",
        "os.rename('tmp', 'out'); open('out/x/a').read(); shutil.copy('out/x/a', 'c')",
        "shutil.move('c', 'd'); os.mkdir('gone'); open('gone/a', 'w'); shutil.rmtree('gone')",
    )
    assert [written.path for written in traced.trace.written] == ["d", "out/x/a"]
    assert traced.trace.removed == ()
    assert traced.paths(File) == []
    assert project.says(traced) is None
    shutil.rmtree(project.root / "out")
    assert project.says(traced) is None


def test_a_directory_that_the_run_made_holds_with_and_without_it(project: Project) -> None:
    code = "import os; os.path.isdir('out') or os.mkdir('out'); open('out/a', 'w').write('1')"
    traced = project.run(code)
    assert project.says(traced) is None
    shutil.rmtree(project.root / "out")
    assert project.says(traced) is None
    project.run(code)
    again = project.run(code)
    assert again.all(Directory) == []
    shutil.rmtree(project.root / "out")
    assert project.says(again) is None


def test_files_opened_for_update_but_not_changed_are_inputs_only(project: Project) -> None:
    project.write("a", "1")
    traced = project.run("f = open('a', 'r+'); f.read(); f.close()")
    assert traced.trace.written == ()
    assert traced.paths(File) == ["a"]


def test_temporary_files_are_no_facts(project: Project, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    project.variables["TMPDIR"] = str(tmp_path / "tmp")
    project.options = {}
    traced = project.run(
        "import tempfile, os\nwith tempfile.NamedTemporaryFile('w+') as f:\n"
        " f.write('1'); f.flush(); open(f.name).read()",
        "with tempfile.TemporaryDirectory() as d:\n open(d + '/x', 'w'); os.listdir(d)\n"
        " open(d + '/x').read(); os.path.exists(d + '/y')",
    )
    assert [str(fact) for fact in traced.all(File) + traced.all(Listing)] == []
    assert project.says(traced) is None


# --- Changes from outside -----------------------------------------------------------------


def change(path: Path, text: str) -> str:
    """Return code that changes a file so that the tracer does not see it, as an editor would."""
    return f"import os; os.system('printf {text} > {path}')"


def test_a_file_that_changed_while_the_run_read_it_makes_the_trace_unreliable(
    project: Project,
) -> None:
    path = project.write("a.csv", "1")
    target = "$(echo a.c)sv"  # not to be recognised as the name of a file
    traced = project.run("open('a.csv').read()", change(Path(target), "2"), "1")
    assert path.read_text() == "2"
    assert traced.trace.unreliable == "a.csv changed while the notebook ran"
    assert project.says(traced) == "a.csv changed while the notebook ran"


def test_a_change_that_put_the_time_back_makes_the_trace_unreliable(project: Project) -> None:
    project.write("a.csv", "1")
    rewrite = (
        "import subprocess, os\n"
        "subprocess.run(['sh', '-c', 'printf 1 > $(echo a.c)sv'])\n"
        "s = os.stat('a.' + 'csv'); open('a.csv').read()\n"
        "subprocess.run(['sh', '-c', 'printf 2 > $(echo a.c)sv'])\n"
        "os.utime('a.csv', ns=(s.st_mtime_ns, s.st_mtime_ns))"
    )
    traced = project.run(rewrite)
    assert traced.trace.unreliable == "a.csv changed while the notebook ran"


def test_a_file_that_was_written_just_before_it_is_read_can_be_trusted(project: Project) -> None:
    traced = project.run(
        "import subprocess\nsubprocess.run(['sh', '-c', 'printf 1 > $(echo a.c)sv'])\n"
        "open('a.csv').read()"
    )
    assert traced.trace.unreliable is None
    assert project.says(traced) is None


def test_a_file_that_appeared_after_it_was_looked_for_makes_the_trace_unreliable(
    project: Project,
) -> None:
    traced = project.run(
        "import os; os.path.exists('model' + '.bin')", change(Path("$(echo model.)bin"), "1"), "1"
    )
    assert traced.trace.unreliable == "model.bin changed while the notebook ran"
    assert traced.trace.written == ()


# --- Directories --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "import glob; glob.glob('data/*.csv')",
        "import glob; glob.glob('data/**/*.csv', recursive=True)",
        "from pathlib import Path; list(Path('data').glob('*.csv'))",
        "from pathlib import Path; list(Path('data').rglob('*.csv'))",
        "from pathlib import Path; list(Path('.').glob('data/*.csv'))",
    ],
)
def test_a_glob_depends_on_names_that_match(project: Project, code: str) -> None:
    project.write("data/a.csv")
    project.write("data/deep/b.csv")
    traced = project.run(code)
    assert project.says(traced) is None
    project.write("data/readme.txt")
    assert project.says(traced) is None
    project.write("data/new.csv")
    assert project.says(traced) == "data/new.csv appeared"


def test_a_recursive_glob_depends_on_new_directories(project: Project) -> None:
    project.write("data/a.csv")
    for code in (
        "import glob; glob.glob('data/**/*.csv', recursive=True)",
        "from pathlib import Path; list(Path('data').rglob('*.csv'))",
    ):
        traced = project.run(code)
        path = project.write("data/deep/b.csv")
        assert project.says(traced) == "data/deep/ appeared"
        shutil.rmtree(path.parent)


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.listdir('data')",
        "import os; list(os.scandir('data'))",
        "import os; list(os.walk('data'))",
        "from pathlib import Path; list(Path('data').iterdir())",
    ],
)
def test_a_listing_depends_on_all_names(project: Project, code: str) -> None:
    project.write("data/a.csv")
    traced = project.run(code)
    assert project.says(traced) is None
    project.write("data/__pycache__/a.pyc")
    assert project.says(traced) is None
    project.write("data/readme.txt")
    assert project.says(traced) == "data/readme.txt appeared"


def test_what_a_module_lists_while_it_is_imported_counts(project: Project) -> None:
    project.write("helpers.py", "import os\nnames = os.listdir('data')")
    project.write("data/a")
    traced = project.run("import helpers")
    assert project.says(traced) is None
    project.write("data/b")
    assert project.says(traced) == "data/b appeared"


def test_a_path_without_wildcards_in_a_glob_counts(project: Project) -> None:
    path = project.write("data/a.csv")
    traced = project.run("import glob; glob.glob('*/a.csv')")
    assert project.says(traced) is None
    path.unlink()
    assert project.says(traced) is not None


def test_names_that_the_run_wrote_do_not_count_in_a_listing(project: Project) -> None:
    project.write("a.csv")
    code = "import os; open('out.csv', 'w').write('1'); os.mkdir('new'); print(os.listdir('.'))"
    traced = project.run(code)
    assert project.says(traced) is None
    (project.root / "out.csv").unlink()
    assert project.says(traced) is None
    project.write("b.csv")
    assert project.says(traced) == "b.csv appeared"


# --- Modules ------------------------------------------------------------------------------


def test_modules_count_with_those_that_they_import(project: Project) -> None:
    project.write("helpers.py", "import stats\nfrom pkg import deep")
    project.write("stats.py")
    project.write("pkg/__init__.py")
    project.write("pkg/deep.py", "from . import other")
    project.write("pkg/other.py")
    project.write("pkg/unused.py")
    traced = project.run("import helpers")
    names = ["helpers.py", "pkg/__init__.py", "pkg/deep.py", "pkg/other.py", "stats.py"]
    assert traced.paths(File) == names
    assert traced.trace.imported_by == {
        "stats.py": "helpers.py",
        "pkg/__init__.py": "helpers.py",
        "pkg/deep.py": "helpers.py",
        "pkg/other.py": "pkg/deep.py",
    }
    project.write("pkg/unused.py", "2")
    assert project.says(traced) is None
    project.write("pkg/other.py", "2")
    assert project.says(traced) == "pkg/other.py changed (imported by pkg/deep.py)"


def test_a_second_run_that_reads_bytecode_has_the_same_facts(project: Project) -> None:
    project.write("helpers.py", "x = 1")
    first = project.run("import sys; sys.dont_write_bytecode = False; import helpers")
    assert (project.root / "__pycache__").exists()
    second = project.run("import sys; sys.dont_write_bytecode = False; import helpers")
    assert first.trace == second.trace
    assert project.says(first) is None


def test_no_bytecode_is_kept_of_a_source_that_is_too_young(project: Project) -> None:
    code = "import sys; sys.dont_write_bytecode = False; import helpers; print(helpers.x)"
    project.write("helpers.py", "x = 1", old=False)
    assert project.run(code).output == "1\n"
    stat = (project.root / "helpers.py").stat()
    path = project.write("helpers.py", "x = 2", old=False)
    os.utime(path, ns=(stat.st_mtime_ns, stat.st_mtime_ns))
    assert project.run(code).output == "2\n"


def test_reloading_a_module_that_changed_makes_the_trace_unreliable(project: Project) -> None:
    project.write("helpers.py", "x = 1")
    traced = project.run(
        "import helpers",
        change(Path("$(echo help)ers.py"), "x=2"),
        "import importlib",
        "importlib.reload(helpers)",
    )
    assert traced.trace.unreliable == "helpers.py changed while the notebook ran"


def test_a_namespace_package_counts_by_its_modules(project: Project) -> None:
    project.write("ns/part.py")
    traced = project.run("import ns.part")
    assert traced.paths(File) == ["ns/part.py"]
    project.write("ns/other.py")
    assert project.says(traced) is None
    project.write("ns/__init__.py")
    assert project.says(traced) == "ns/ is now what import ns finds"


def test_a_module_beside_the_notebook_that_would_be_imported_instead_is_noticed(
    project: Project,
) -> None:
    traced = project.run("import yaml, csv, mailbox")
    assert project.says(traced) is None
    project.write("unrelated.py")
    assert project.says(traced) is None
    for name in ("yaml", "mailbox"):
        path = project.write(f"{name}.py")
        assert project.says(traced) == f"{name}.py is now what import {name} finds"
        path.unlink()


def test_a_package_that_would_come_before_a_module_is_noticed(project: Project) -> None:
    project.write("helpers.py")
    traced = project.run("import helpers")
    assert project.says(traced) is None
    project.write("helpers/__init__.py")
    assert project.says(traced) == "helpers/__init__.py appeared"


def test_a_module_that_failed_counts_as_one(project: Project) -> None:
    project.write("helpers.py", "1 / 0")
    traced = project.run("try: import helpers\nexcept ZeroDivisionError: pass")
    assert traced.paths(File) == ["helpers.py"]
    assert project.says(traced) is None
    project.write("helpers/__init__.py")
    assert project.says(traced) == "helpers/__init__.py appeared"


def test_a_module_that_was_missing_is_noticed(project: Project) -> None:
    project.write("pkg/__init__.py")
    traced = project.run(
        "try: import speedups\nexcept ImportError: pass",
        "try: from pkg import fast\nexcept ImportError: pass",
    )
    assert traced.all(Uninstalled) == [Uninstalled("speedups", everywhere=True)]
    assert project.says(traced) is None
    path = project.write("speedups.py")
    assert project.says(traced) == "speedups.py is now what import speedups finds"
    path.unlink()
    project.write("speedups/part.py")
    assert project.says(traced) == "speedups/ is now what import speedups finds"
    shutil.rmtree(project.root / "speedups")
    project.write("pkg/fast.py")
    assert project.says(traced) == "pkg/fast.py is now what import pkg.fast finds"


def test_an_editable_install_counts_by_its_files(project: Project, tmp_path: Path) -> None:
    source = tmp_path / "checkout" / "src" / "mylib" / "__init__.py"
    source.parent.mkdir(parents=True)
    source.write_text("x = 1")
    os.utime(source, ns=(1, 1))
    code = f"import sys; sys.path.append({str(source.parent.parent)!r}); import mylib"
    traced = project.run(code)
    assert traced.paths(File) == [str(source)]
    source.write_text("x = 2")
    assert project.says(traced) == f"{source} changed"


def test_only_packages_that_user_code_reaches_count(project: Project) -> None:
    project.write("helpers.py", "import yaml")
    names = [fact.name for fact in project.run("import helpers, IPython.display").all(Distribution)]
    assert names == ["pyyaml"]
    # Loaded by every kernel, and yet: this notebook imports it.
    names = [fact.name for fact in project.run("import pygments").all(Distribution)]
    assert names == ["pygments"]
    assert project.run("import json").all(Distribution) == []


def test_packages_count_that_are_imported_below_a_magic(project: Project) -> None:
    project.write("a.h5")
    traced = project.run("%%time\nimport pygments\nname = 'a.h5'\n1")
    assert [fact.name for fact in traced.all(Distribution)] == ["pygments"]
    assert traced.paths(File) == ["a.h5"]
    traced = project.run("%load_ext pygments.styles")
    assert [fact.name for fact in traced.all(Distribution)] == ["pygments"]


def test_packages_count_with_those_that_they_need(project: Project) -> None:
    pytest.importorskip("pandas")
    names = {fact.name for fact in project.run("import pandas as pd").all(Distribution)}
    assert {"pandas", "numpy", "python-dateutil"} <= names
    assert names.isdisjoint({"tornado", "pyzmq", "ipython", "traitlets", "sphinx"})


def test_packages_that_are_imported_by_a_computed_name_count(project: Project) -> None:
    traced = project.run("from importlib import import_module\nimport_module('YAML'.lower())")
    assert "pyyaml" in {fact.name for fact in traced.all(Distribution)}
    assert traced.report["errors"] == []


def test_a_module_that_was_loaded_before_counts_as_if_it_was_not(project: Project) -> None:
    pytest.importorskip("pandas")
    code = "import pandas as pd"
    first = project.run(code)
    second = project.run(code, preload=["pandas", "sqlite3", "yaml"])
    names = [{fact.name for fact in traced.all(Distribution)} for traced in (first, second)]
    assert names[0] == names[1]
    assert {"pandas", "numpy"} <= names[0]
    assert "pyyaml" not in names[0]
    assert first.all(Unshadowed)[0].modules.split().count("pandas") == 1
    assert second.all(Unshadowed)[0].modules.split().count("pandas") == 1


def test_a_version_that_is_asked_for_counts(project: Project) -> None:
    traced = project.run("from importlib.metadata import version; print(version('pyyaml'))")
    assert [fact.name for fact in traced.all(Distribution)] == ["pyyaml"]


# --- The environment ----------------------------------------------------------------------


def test_variables_that_are_read_count(project: Project) -> None:
    project.variables = {"MODE": "fast", "API_TOKEN": "secret"}
    project.write("helpers.py", "import os\nlevel = os.getenv('LEVEL')")
    traced = project.run(
        "import os, helpers\nos.environ['MODE'], os.environ.get('UNSET'), 'ASKED' in os.environ",
        "os.environ.get('API_TOKEN')",
    )
    names = [fact.name for fact in traced.all(EnvironmentVariable)]
    assert names == ["API_TOKEN", "ASKED", "LEVEL", "MODE", "UNSET", "PYTHON*"]
    assert project.says(traced) is None
    project.variables["API_TOKEN"] = "other"
    assert project.says(traced) is None
    for name in ("ASKED", "LEVEL", "MODE", "UNSET"):
        before = dict(project.variables)
        project.variables[name] = "x"
        assert project.says(traced) == f"environment variable {name} changed"
        project.variables = before


@pytest.mark.parametrize(
    "code",
    [
        "dict(os.environ)",
        "os.environ.copy()",
        "{**os.environ}",
        "list(os.environ.items())",
        "[k for k in os.environ]",
        "for k in os.environ: os.environ[k]",
        "subprocess.run(['true'], env={**os.environ, 'X': '1'})",
        "os.environ['X'] = '1'; os.environ['X']",
        "os.path.expanduser('~'); tempfile.gettempdir()",
    ],
)
def test_what_does_not_read_a_variable_on_purpose_does_not_count(
    project: Project, code: str
) -> None:
    traced = project.run("import os, subprocess, tempfile\n" + code)
    assert [fact.name for fact in traced.all(EnvironmentVariable)] == ["PYTHON*"]


def test_a_variable_that_is_read_after_copying_all_counts(project: Project) -> None:
    project.variables["MODE"] = "1"
    traced = project.run("import os; dict(os.environ); list(os.environ)", "os.environ['MODE']")
    assert "MODE" in [fact.name for fact in traced.all(EnvironmentVariable)]


def test_variables_that_change_how_python_works_count(project: Project) -> None:
    traced = project.run("1")
    project.variables["PYTHONHASHSEED"] = "1"
    assert project.says(traced) == "environment variable PYTHONHASHSEED changed"


@pytest.mark.parametrize(
    "code",
    [
        "os.path.expandvars('$MODE/x')",
        "%env MODE",
        "!echo $MODE",
        "%%bash\necho ${MODE:-none}",
        "string.Template('$MODE').substitute(os.environ)",
        "dict(os.environ)['MODE']",
        "e = os.environ.copy()\ne['MODE']",
        "'{MODE}'.format(**os.environ)",
        "{k: v for k, v in os.environ.items() if k.startswith('MOD')}",
        "for k in os.environ:\n    if 'MOD' in k: print(k)",
        "if os.fork() == 0:\n os.environ['MODE']; os._exit(0)\nos.wait()",
    ],
)
def test_a_variable_that_is_read_by_other_means_counts(project: Project, code: str) -> None:
    project.variables["MODE"] = "old"
    traced = project.run("import os, string", code)
    assert project.says(traced) is None
    project.variables["MODE"] = "new"
    assert "MOD" in (project.says(traced) or "nothing is said")


def test_a_variable_that_a_loop_selects_counts_from_when_it_appears(project: Project) -> None:
    traced = project.run("import os\n[k for k in os.environ if k.startswith('MYAPP_')]")
    assert project.says(traced) is None
    project.variables["MYAPP_MODE"] = "1"
    assert project.says(traced) == "environment variable MYAPP_MODE appeared"


def test_a_loop_that_compares_whole_names_ignores_longer_ones(project: Project) -> None:
    traced = project.run("import os\n[v for k, v in os.environ.items() if k in ('MODE', 'X')]")
    project.variables["JAVA_MODE"] = "1"
    assert project.says(traced) is None
    project.variables["MODE"] = "1"
    assert project.says(traced) == "environment variable MODE changed"


def test_a_secret_that_a_loop_selects_counts(project: Project) -> None:
    project.variables["MYAPP_TOKEN"] = "old"
    traced = project.run("import os\n[k for k in os.environ if k.startswith('MYAPP_')]")
    names = [fact.name for fact in traced.all(EnvironmentVariable)]
    assert "MYAPP_TOKEN" in names


@pytest.mark.parametrize(
    ("script", "names"),
    [
        ("echo $MODE ${MODE:-x}", {"MODE"}),
        ("awk '{print $NF}' a.csv | grep \"$WORD\"", {"WORD"}),
        ("echo \"it's $MODE\"  # isn't $IT", {"MODE"}),
        ("bash -c 'echo $MODE'", {"MODE"}),
        ("find . -exec sh -ec 'echo $MODE' ';'", {"MODE"}),
        ("eval 'echo $MODE'", {"MODE"}),
        ("cat <<END\nit's $MODE, isn't it\nEND", {"MODE"}),
        ("A=1; for b in x; do echo $A $b; done; read c; echo $c", set()),
    ],
)
def test_a_shell_script_reads_the_variables_that_its_shell_expands(
    script: str, names: set[str]
) -> None:
    assert set(names_in_script(script)) == names


@pytest.mark.parametrize("given", ["{**os.environ, 'GIVEN': '1'}", "dict(os.environ, GIVEN='1')"])
def test_a_variable_that_a_run_gives_to_its_child_is_no_input(project: Project, given: str) -> None:
    project.write("child.py", "import os; os.environ['GIVEN'], os.environ.get('MODE')")
    traced = project.run(
        "import os, subprocess, sys; os.environ['MODE'] = '1'",
        f"subprocess.run([sys.executable, 'child.py'], env={given}, check=True)",
    )
    project.variables.update(GIVEN="2", MODE="2")
    assert project.says(traced) is None


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_child_of_multiprocessing_counts_by_the_variables_that_it_reads(
    project: Project, method: str
) -> None:
    project.write("work.py", "import os\ndef mode(_): return os.environ.get('MODE')")
    traced = project.run(
        "import multiprocessing as m, work",
        f"with m.get_context('{method}').Pool(1) as pool: print(pool.map(work.mode, [1]))",
    )
    assert project.says(traced) is None
    project.variables["MODE"] = "new"
    assert project.says(traced) == "environment variable MODE changed"


def test_a_variable_that_code_sets_only_if_it_is_unset_counts(project: Project) -> None:
    code = "os.environ['X_MODE'] = '1' if 'X_MODE' not in os.environ else os.environ['X_MODE']"
    traced = project.run("import os", code, "os.environ['X_MODE']")
    assert project.says(traced) is None
    project.variables["X_MODE"] = "2"
    assert project.says(traced) == "environment variable X_MODE changed"


def test_variables_that_the_kernel_sets_itself_run_nothing(project: Project) -> None:
    traced = project.run("import os; [os.environ.get(n) for n in ('TERM', 'PAGER', 'MPLBACKEND')]")
    for value in ("xterm", "dumb"):
        project.variables.update(TERM=value, PAGER=value, JPY_PARENT_PID=value)
        assert project.says(traced) is None
    project.variables["MPLBACKEND"] = "agg"
    assert project.says(traced) == "environment variable MPLBACKEND changed"


@pytest.mark.parametrize(
    "start",
    [
        "subprocess.run([sys.executable, 'child.py'])",
        "subprocess.run([sys.executable, 'child.py'], env={**os.environ, 'X': '1'})",
        "os.environ['PYTHONPATH'] = 'lib'; subprocess.run([sys.executable, 'child.py'])",
        "os.environ.pop('PYTHONPATH', 0); subprocess.run([sys.executable, 'child.py'])",
        "os.waitpid(os.posix_spawn(sys.executable, ['python', 'child.py'], os.environ), 0)",
    ],
)
def test_cells_and_their_children_do_not_see_the_variables_of_the_tracer(
    project: Project, start: str
) -> None:
    assertions = (
        "import os; assert 'NBCACHE_TRACE' not in os.environ;"
        " assert 'support' not in os.environ.get('PYTHONPATH', '')"
    )
    project.write("child.py", f"{assertions}; open('a.csv')")
    project.write("a.csv")
    traced = project.run(f"{assertions}; import subprocess, sys; print('unseen')", start)
    assert "unseen" in traced.output
    assert "a.csv" in traced.paths(File)
    assert traced.trace.untracked == ()


def test_a_process_with_an_environment_of_its_own_gets_nothing_of_ours(project: Project) -> None:
    traced = project.run(
        "import subprocess; print(subprocess.check_output(['env'], env={'A': '1'}))"
    )
    assert "NBCACHE" not in traced.output
    assert "support" not in traced.output


# --- Sub-processes ------------------------------------------------------------------------


def test_forked_children_are_traced(project: Project) -> None:
    project.write("a.csv")
    code = "import os\nif os.fork() == 0:\n open('a.' + 'csv').read(); os._exit(0)\nos.wait()"
    traced = project.run(code)
    assert traced.paths(File) == ["a.csv"]


def test_python_processes_are_traced(project: Project) -> None:
    project.write("script.py", "import helpers, yaml; open('a.csv').read(); open('out', 'w')")
    project.write("helpers.py")
    project.write("a.csv")
    traced = project.run("import subprocess, sys; subprocess.run([sys.executable, 'script.py'])")
    assert traced.paths(File) == ["a.csv", "helpers.py", "script.py"]
    assert [fact.name for fact in traced.all(Distribution)] == ["pyyaml"]
    assert [written.path for written in traced.trace.written] == ["out"]
    assert traced.trace.untracked == ()


def test_a_sitecustomize_of_the_user_is_still_loaded(project: Project, tmp_path: Path) -> None:
    (tmp_path / "custom").mkdir()
    (tmp_path / "custom" / "sitecustomize.py").write_text("import builtins; builtins.mine = 1")
    project.variables["PYTHONPATH"] = str(tmp_path / "custom")
    code = "import sys; assert mine == 1; assert 'support' not in ' '.join(sys.path); print('ok')"
    traced = project.run(
        f"import subprocess, sys; print(subprocess.check_output([sys.executable, '-c', {code!r}]))"
    )
    assert "ok" in traced.output


def test_other_processes_are_untracked_and_files_in_their_arguments_count(
    project: Project,
) -> None:
    project.write("a.csv")
    project.write("b.csv")
    traced = project.run("import subprocess; subprocess.run(['cat', 'a.csv'])", "!wc -l b.csv")
    assert traced.paths(File) == ["a.csv", "b.csv"]
    assert traced.trace.untracked == ("sub-process: cat a.csv", "sub-process: wc -l b.csv")


def test_files_in_arguments_are_those_in_the_folder_of_the_process(project: Project) -> None:
    project.write("data/a.csv")
    code = "import subprocess; subprocess.run(['cat', 'a.csv'], cwd='data', stdout=-3)"
    assert project.run(code).paths(File) == ["data/a.csv"]


def test_a_missing_file_in_the_arguments_of_a_process_counts(project: Project) -> None:
    traced = project.run("import subprocess; subprocess.run(['cat', 'a.csv'])", "!cat b.csv -x.y")
    assert traced.paths(Absent) == ["a.csv", "b.csv"]
    assert project.says(traced) is None


def test_a_socket_of_any_kind_makes_no_trouble(project: Project) -> None:
    traced = project.run(
        "import socket\ns = socket.socket(socket.AF_UNIX)\n"
        "try: s.connect('/nowhere')\nexcept OSError: pass\ns.close()\n"
        "s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)\n"
        "try: s.connect((0, 0))\nexcept OSError: pass\ns.close()"
    )
    assert traced.trace.unreliable is None
    assert traced.trace.untracked == ()


def test_what_a_command_writes_is_an_inferred_artifact(project: Project) -> None:
    traced = project.run("!echo 1 > made.txt", "open('made.txt').read()")
    assert [(w.path, w.inferred) for w in traced.trace.written] == [("made.txt", True)]
    (project.root / "made.txt").unlink()
    assert project.says(traced) is None


@pytest.mark.parametrize(
    "cells",
    [
        ("!echo 1 > made.txt\nopen('made.txt').read()",),
        ("import os, subprocess\nos.path.exists('made.txt')", "!echo 1 > made.txt", "1"),
        ("import os, subprocess\nos.path.exists('made.txt')\n!echo 1 > made.txt",),
    ],
)
def test_a_file_made_by_a_command_is_no_input(project: Project, cells: tuple[str, ...]) -> None:
    traced = project.run(*cells)
    assert [(w.path, w.inferred) for w in traced.trace.written] == [("made.txt", True)]
    assert traced.paths(File) == []
    assert project.says(traced) is None
    (project.root / "made.txt").unlink()
    assert project.says(traced) is None


def test_network_hosts_are_untracked(project: Project) -> None:
    traced = project.run(
        "import urllib.request\n"
        "try: urllib.request.urlopen('http://user@localhost:9/x', timeout=1)\n"
        "except OSError: pass"
    )
    assert "network: localhost" in traced.trace.untracked


# --- Discretion ---------------------------------------------------------------------------


def test_the_tracer_leaves_no_names_and_no_traces_in_outputs(project: Project) -> None:
    traced = project.run("%who", "print(__name__, [n for n in dir() if 'nbcache' in n], In)")
    lines = traced.output.splitlines()
    assert lines[0] == "Interactive namespace is empty."
    assert "__main__ []" in traced.output
    assert "install" not in traced.output


def test_an_error_of_user_code_is_none_of_the_tracer(project: Project) -> None:
    project.write("a")
    traced = project.run("def f(:", "1/0", "open('missing')", "open('a').read()")
    assert traced.paths(File) == ["a"]
    assert traced.paths(Absent) == ["missing"]


def test_warnings_about_the_code_of_a_cell_come_from_ipython_alone(project: Project) -> None:
    traced = project.run(
        "import warnings; seen = []; before = list(warnings.filters)\n"
        "warnings.simplefilter('always')\n"
        "warnings.showwarning = lambda *parts, **more: seen.append(parts[2])",
        r"x = '\d'",
        "print({'<unknown>', '<nbcache>'} & set(seen), seen != [], warnings.filters[1:] == before)",
    )
    assert traced.output == "set() True True\n"


def test_odd_arguments_make_no_trouble(project: Project) -> None:
    traced = project.run(
        "import os\nfor p in ['', b'x', 'a\\0b', 10**6, '\\udc80', None]:\n"
        " for f in (open, os.stat, os.listdir, os.path.exists):\n"
        "  try: f(p)\n  except Exception: pass"
    )
    assert project.says(traced) is None
    assert not any(isinstance(fact, Unshadowed) for fact in traced.trace.facts)


def test_a_text_that_is_shown_is_looked_for_as_a_file_if_it_could_be_one(project: Project) -> None:
    long = "word " * 60
    traced = project.run(
        "from IPython.display import Markdown",
        "Markdown('a.md')",
        f"Markdown({long!r})",
        "Markdown('# Title\\n\\nand text')",
    )
    absent = {fact.path for fact in traced.trace.facts if isinstance(fact, Absent)}
    assert {"a.md", "# Title\n\nand text"} <= absent
    assert not any(len(name) > 255 for name in absent)
    words = [text for _, text in traced.trace.in_words()]
    assert "# Title and text… was not there" in words
    project.write("a.md", "found")
    assert project.says(traced) == "a.md appeared"


def test_a_text_that_is_too_long_for_a_path_is_not_kept(project: Project) -> None:
    traced = project.run(
        "import os; from pathlib import Path; from IPython.display import HTML\n"
        "text = '<a href=\"../up\">' + 'pictures/of/an/animation/' * 40_000",
        "HTML(text)",
        "Path(text).exists(), os.path.exists(text.encode())",
        "try: open(text)\nexcept OSError: pass",
    )
    assert max(map(len, traced.report["reads"])) < 1000
    assert project.says(traced) is None
