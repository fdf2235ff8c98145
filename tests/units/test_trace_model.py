"""Random code on random files: a trace that holds means that running again changes nothing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from tracing import Project, Shells

FILES = ("a.csv", "b.csv", "sub/c.csv", "sub/d.txt", "m.py", "n.py", "pkg/__init__.py", "pkg/p.py")
DATA = FILES[:4]
TEXTS = ("1", "2", "33")

# Each is code that prints what it got, with the path or paths it works on.
READS = {
    "read": "print(open({0!r}).read())",
    "try": "try: print(open({0!r}).read())\nexcept OSError: print('none')",
    "exists": "import os; print(os.path.exists({0!r}))",
    "size": "import os; print(os.path.exists({0!r}) and os.path.getsize({0!r}))",
    "path": "import pathlib; print(pathlib.Path({0!r}).is_file())",
    "cache": "import os\nif os.path.exists({0!r}): print(open({0!r}).read())\n"
    "else: open({0!r}, 'w').write('made')",
    "pipe": "import subprocess; print(subprocess.run(['cat', {0!r}], stdout=-1).stdout)",
    "fork": "import os, sys\nsys.stdout.flush()\nr, w = os.pipe()\n"
    "if os.fork() == 0:\n try: os.write(w, open({0!r}, 'rb').read() + b'.')\n"
    " except OSError: os.write(w, b'none')\n finally: os._exit(0)\n"
    "os.wait(); print(os.read(r, 99))",
}
WRITES = {
    "write": "f = open({0!r}, 'w'); f.write('own'); f.close()",
    "append": "f = open({0!r}, 'a'); f.write('+'); f.close(); print(open({0!r}).read())",
    "update": "f = open({0!r}, 'r+'); print(f.read()); f.write('!'); f.close()",
    "remove": "import os; os.remove({0!r})",
    "rename": "import os; os.replace({0!r}, {1!r})",
    "new": "f = open({0!r}, 'x'); f.write('own'); f.close()",
    "mkdir": "import os; os.mkdir({0!r} + '.d'); open({0!r} + '.d/x', 'w').close()",
    "makedirs": "import os; os.makedirs('sub/deep', exist_ok=True); print(os.listdir('sub/deep'))",
    "cd": "import os; os.chdir({0!r}.partition('/')[0]); os.chdir('..')",
    "copy": "import shutil; shutil.copy({0!r}, {1!r})",
}
LISTS = (
    "import os; print(sorted(os.listdir('.')))",
    "import os; print(sorted(os.listdir('sub')))",
    "import glob; print(sorted(glob.glob('*.csv')))",
    "import glob; print(sorted(glob.glob('**/*.csv', recursive=True)))",
    "import pathlib; print(sorted(pathlib.Path('.').rglob('*.txt')))",
    "import pathlib; print(sorted(pathlib.Path('sub').glob('*')))",
    "import glob; print(glob.glob('su*/c.csv'), glob.glob('b.csv'))",
    "import pathlib; print(sorted(pathlib.Path('.').glob('*/d.txt')))",
    "import os; print(os.path.lexists('b.csv'), sorted(os.walk('sub')))",
)
IMPORTS = (
    "import m; print(m.x)",
    "import n; print(n.x)",
    "try: import pkg.p; print(pkg.p.x)\nexcept Exception as e: print(type(e))",
    "try: import m; print(m.x)\nexcept Exception as e: print(type(e))",
    "import colorsys; print(getattr(colorsys, 'x', 'real'))",
)
MODULES = (
    *("x = 1", "x = 2", "from n import x", "import n; x = n.x + 1", "x = open('a.csv').read()"),
    *("import os; x = sorted(os.listdir('sub'))", "import glob; x = sorted(glob.glob('*.csv'))"),
)

reads = st.builds(str.format, st.sampled_from(sorted(READS.values())), st.sampled_from(DATA))
paths = st.sampled_from(DATA)
writes = st.builds(str.format, st.sampled_from(sorted(WRITES.values())), paths, paths)
cells = st.lists(
    reads | writes | st.sampled_from(LISTS) | st.sampled_from(IMPORTS), min_size=1, max_size=4
)
texts = {name: st.sampled_from(MODULES if name.endswith(".py") else TEXTS) for name in FILES}
trees = st.fixed_dictionaries({}, optional=texts)
new_files = st.sampled_from(
    ["e.csv", "sub/e.csv", "other.txt", "colorsys.py", "new/f.csv", "m/__init__.py"]
)
changes = st.lists(
    st.tuples(st.sampled_from(FILES), st.none() | st.sampled_from([*TEXTS, *MODULES]))
    | st.tuples(new_files, st.sampled_from(TEXTS)),
    min_size=1,
    max_size=2,
)


pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="runs cells in forks")


def make(project: Project, tree: dict[str, str]) -> None:
    shutil.rmtree(project.root)
    project.root.mkdir()
    (project.root / "sub").mkdir()
    for name, text in tree.items():
        project.write(name, text, old=False)


def change(project: Project, changed: list[tuple[str, str | None]]) -> None:
    for name, text in changed:
        path = project.root / name
        if text is not None:
            project.write(name, text, old=False)
        elif path.exists():
            path.unlink()


@settings(max_examples=40)
@given(tree=trees, code=cells, changed=changes)
def test_a_trace_that_holds_means_that_running_again_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    shells: Shells,
    tree: dict[str, str],
    code: list[str],
    changed: list[tuple[str, str | None]],
) -> None:
    folder = Path(os.path.realpath(tmp_path_factory.getbasetemp())) / "model"
    project = Project(folder / "project", shells)
    make(project, tree)
    first = project.run(*code)
    assert first.trace.unreliable is None
    # It holds in the state that it left, and in the one that it found.
    assert project.says(first) is None
    make(project, tree)
    assert project.says(first) is None
    # What the run itself wrote or removed has two states that are as good as each other, though
    # a run that starts with the second one may say something else: that is how caches work.
    own = {written.path for written in first.trace.written} | set(first.trace.removed)
    change(project, [item for item in changed if item[0] not in own])
    holds = project.says(first) is None
    event(f"holds: {holds}")
    if holds:
        assert project.run(*code).output == first.output
