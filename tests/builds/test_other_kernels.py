"""Kernels of other languages and of other interpreters, through the whole path of a build."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from support import Book, code_cell

from sphinx_nbcache import Action
from sphinx_nbcache.kernels.fitting import may_fork
from sphinx_nbcache.kernels.watching import why_no_system_tracer

pytestmark = pytest.mark.kernel


def install_kernel(folder: Path, name: str, argv: list[str], language: str, **more: Any) -> None:
    """Install a kernelspec into a folder for `JUPYTER_PATH`."""
    place = folder / "kernels" / name
    place.mkdir(parents=True)
    spec = {"argv": argv, "display_name": f"Kernel {name}", "language": language, **more}
    (place / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")


def report(book: Book) -> dict[str, Any]:
    """Return the notebooks of the report, by path."""
    text = (book.folder / "_build" / "html" / "nbcache-report.json").read_text(encoding="utf-8")
    return {item["path"].rpartition("/")[2]: item for item in json.loads(text)["notebooks"]}


# Bash.


@pytest.fixture
def bash(book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Book:
    """A book that may have notebooks with bash in them."""
    pytest.importorskip("bash_kernel")
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    argv = [sys.executable, "-m", "bash_kernel", "-f", "{connection_file}"]
    install_kernel(tmp_path / "jupyter", "bash", argv, "bash", env={"PS1": "$"})
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    book.conf(kernel_start="fork")
    book.index("shell")
    return book


def write_bash(book: Book, *cells: str, **own: Any) -> None:
    """Write a notebook with cells of bash, which counts its runs."""
    spec = {"name": "bash", "display_name": "Bash", "language": "bash"}
    count = code_cell(f"echo shell.ipynb >> {book.counter}")
    book.ipynb(
        "shell.ipynb",
        "# Shell",
        count,
        *(code_cell(cell) for cell in cells),
        counts=False,
        kernelspec=spec,
        nbcache=own,
    )


def test_bash_is_run_once_and_again_when_what_is_declared_changes(
    bash: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = bash
    monkeypatch.setenv("MOOD", "good")
    book.write("data.csv", "one\n")
    cells = "cat data.csv", 'read -r x < data.csv; echo "x$x $MOOD"'
    write_bash(book, *cells, dependencies=["*.csv"], environment=["MOOD"])
    first = book.build()
    assert (first.status, first.ran) == (0, ("shell.ipynb",))
    # Who insists on forks is told why there is none.
    assert "kernels of 'bash' are started in the ordinary way" in first.warnings
    assert "xone good" in book.page("shell")
    book.conf()
    assert book.build().ran == ()
    assert book.build("-E").ran == ()
    book.write("data.csv", "two\n")
    third = book.build()
    assert (third.ran, third.warnings) == (("shell.ipynb",), "")
    assert "xtwo good" in book.page("shell")
    (found,) = report(book).values()
    assert (found["status"], found["kernel"]) == ("ok", "bash")
    assert "data.csv" in json.dumps(found)
    assert book.build().ran == ()
    monkeypatch.setenv("MOOD", "better")
    assert book.build().ran == ("shell.ipynb",)
    assert "xtwo better" in book.page("shell")


def test_a_command_that_fails_in_bash_makes_its_notebook_fail_and_no_other(bash: Book) -> None:
    bash.conf()
    bash.index("shell", "note")
    write_bash(bash, "echo before", "exit_with() { return 3; }; exit_with", "echo never-shown")
    bash.myst("note.md", "%%\nprint('from', 'python')")
    done = bash.build()
    assert done.status == 0
    assert sorted(done.ran) == ["note.md", "shell.ipynb"]
    assert "the notebook failed in code cell 3" in done.warnings
    assert "before" in bash.page("shell")
    assert "from python" in bash.page("note")
    states = {path: item["status"] for path, item in report(bash).items()}
    assert states == {"note.md": "ok", "shell.ipynb": "failed"}


# Other interpreters.


def other_pythons() -> list[str]:
    """Return interpreters of other versions: those in `NBCACHE_PYTHONS`, or the newest one."""
    if given := os.environ.get("NBCACHE_PYTHONS"):
        return given.split(os.pathsep)
    own = f"python3.{sys.version_info[1]}"
    names = [f"python3.{minor}" for minor in range(20, 8, -1)]
    candidates = [found for name in names if name != own and (found := shutil.which(name))]
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    candidates += sorted(map(str, pyenv.glob("3.1[0-9]*/bin/python")), reverse=True)
    return [path for path in candidates if _minor(path) not in (None, sys.version_info[1])][:1]


def _minor(python: str) -> int | None:
    code = "import sys; print(sys.version_info[1])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return int(done.stdout) if done.returncode == 0 else None


@pytest.fixture(scope="module", params=other_pythons() or [""])
def other(request: pytest.FixtureRequest) -> Path:
    """A virtual environment of another Python, with ipykernel. It is kept for the next session."""
    if not request.param:
        pytest.skip("there is no other Python")
    folder = request.config.cache.mkdir(f"kernel-3.{_minor(request.param)}") / "environment"
    python = folder / "bin" / "python"
    has_it = [str(python), "-c", "import ipykernel"]
    if python.exists() and subprocess.run(has_it, capture_output=True, check=False).returncode == 0:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    for command in (
        [request.param, "-m", "venv", str(folder)],
        [
            str(python),
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
            "ipykernel>=6.30",
        ],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no environment can be made of it: {done.stderr[-300:]}")
    return python


LOOK = """%%
import sys, os, helper
print("version", "%d.%d" % sys.version_info[:2], helper.VALUE, os.environ["FROM_SPEC"])
print("prefix", sys.prefix)
print(open("data.txt").read())
"""


@pytest.mark.skipif(not may_fork("fork"), reason="works on Linux only")
@pytest.mark.timeout(600)
def test_an_ipykernel_of_another_python_is_forked_and_traced(
    book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: Path
) -> None:
    argv = [str(other), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    install_kernel(tmp_path / "jupyter", "other", argv, "python", env={"FROM_SPEC": "yes"})
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    # If it could not be forked, this would be a warning.
    book.conf(kernel_start="fork")
    book.index("look")
    book.write("data.txt", "first")
    book.write("helper.py", "VALUE = 1")
    spec = {"name": "other", "display_name": "Other"}
    book.myst("look.md", LOOK, "%%\n1 + 1", kernelspec=spec)
    first = book.build()
    assert (first.status, first.warnings, first.ran) == (0, "", ("look.md",))
    page = book.page("look")
    assert f"version 3.{_minor(str(other))} 1 yes" in page
    assert f"prefix {other.parent.parent}" in page
    assert book.build().ran == ()
    book.write("data.txt", "second")
    assert book.build().ran == ("look.md",)
    assert "second" in book.page("look")
    book.write("helper.py", "VALUE = 2")
    assert book.build().ran == ("look.md",)
    planned = next(item for item in book.project().plan() if item.path.name == "look.md")
    assert planned.decision.action is Action.REUSE
    assert planned.decision.result is not None
    trace = book.project().results.trace(planned.decision.result)
    seen = str(trace)
    assert "data.txt" in seen
    assert "helper.py" in seen
    # The same notebook, started in the ordinary way, has the same dependencies.
    book.conf(kernel_start="spawn")
    assert book.build().ran == ()
    book.build("-D", "nbcache_execute=force")
    again = next(item for item in book.project().plan() if item.path.name == "look.md")
    assert again.decision.result is not None
    assert again.decision.result.id != planned.decision.result.id
    assert book.project().results.trace(again.decision.result) == trace


# What is read and written in other languages, as the system tells it.

needs_watchers = pytest.mark.skipif(
    why_no_system_tracer() is not None, reason=f"no system tracer: {why_no_system_tracer()}"
)


@needs_watchers
def test_bash_is_run_again_when_what_it_reads_changes(bash: Book) -> None:
    book = bash
    book.conf()
    book.write("data.csv", "one\n")
    book.write("helper.sh", "hello() { echo hello; }\n")
    book.write("Makefile", "all:\n\t@cat made.txt\n")
    book.write("made.txt", "made")
    book.write("script.py", "import os, helped\nprint(os.path.exists('late'), helped.X)")
    book.write("helped.py", "X = 1")
    write_bash(
        book,
        'name=data; cat "$name.csv"; [ ! -e maybe ] || echo maybe',
        f". ./helper.sh; hello; make -s; {sys.executable} script.py; echo out > out.txt",
    )
    first = book.build()
    assert (first.status, first.ran, first.warnings) == (0, ("shell.ipynb",), "")
    assert book.build("-E").ran == ()
    for name, content in (
        ("data.csv", "two\n"),
        ("helper.sh", "hello() { echo salut; }\n"),
        ("made.txt", "made again"),
        ("maybe", ""),
        ("helped.py", "X = 2"),
        ("late", ""),
    ):
        book.write(name, content)
        assert book.build().ran == ("shell.ipynb",), name
        assert book.build().ran == (), name
    (found,) = report(book).values()
    assert {item["path"].rpartition("/")[2] for item in found["produced"]} == {"out.txt"}
    # Without the file that it wrote, that file is brought back.
    (book.folder / "out.txt").unlink()
    assert book.build().ran == ()
    assert (book.folder / "out.txt").read_text() == "out\n"


@needs_watchers
def test_a_notebook_can_choose_its_tracer(bash: Book) -> None:
    bash.conf()
    bash.write("data.csv", "one\n")
    write_bash(bash, "cat data.csv", tracer="python")
    assert bash.build().ran == ("shell.ipynb",)
    bash.write("data.csv", "two\n")
    assert bash.build().ran == ()
    write_bash(bash, "cat ./data.csv", tracer="system")
    assert bash.build().ran == ("shell.ipynb",)
    (planned,) = bash.project().plan()
    assert planned.decision.result is not None
    trace = bash.project().results.trace(planned.decision.result)
    assert trace is not None
    assert trace.tracer == "system"
    bash.write("data.csv", "three\n")
    assert bash.build().ran == ("shell.ipynb",)


@needs_watchers
def test_a_result_from_before_the_first_traced_run_does_not_return(bash: Book) -> None:
    bash.conf(tracer="python")
    bash.write("data.csv", "one\n")
    write_bash(bash, "cat data.csv")
    assert bash.build().ran == ("shell.ipynb",)
    bash.conf()
    assert bash.build().ran == ()
    assert bash.build("-D", "nbcache_execute=force").ran == ("shell.ipynb",)
    assert bash.build().ran == ()
    bash.write("data.csv", "two\n")
    assert bash.build().ran == ("shell.ipynb",)
    assert "two" in bash.page("shell")
    assert bash.build().ran == ()


@pytest.fixture
def r_book(book: Book) -> Book:
    """A book that may have notebooks with R in them."""
    if shutil.which("R") is None or "ir" not in KernelSpecManager().find_kernel_specs():
        pytest.skip("R and IRkernel are not installed (r-base-core, r-cran-irkernel)")
    book.conf()
    book.index("r")
    return book


@needs_watchers
@pytest.mark.timeout(300)
def test_r_is_run_again_when_what_it_reads_changes(r_book: Book) -> None:
    book = r_book
    book.write("helpers.R", "f <- function() 42")
    book.write("data.csv", "a,b\n1,2\n")
    book.write("sub/x", "x")
    book.write("Makefile", "all:\n\t@cat made.txt\n")
    book.write("made.txt", "made")
    cells = (
        f"cat('r.ipynb', file='{book.counter}', sep='\\n', append=TRUE)",
        "source('helpers.R'); f()",
        "read.csv('data.csv')",
        "list.files('sub'); file.exists('maybe')",
        "system('make -s', intern=TRUE)",
        "library(jsonlite); requireNamespace('notthere', quietly=TRUE); toJSON(1:3)",
    )
    spec = {"name": "ir", "display_name": "R", "language": "R"}
    book.ipynb("r.ipynb", "# R", *map(code_cell, cells), counts=False, kernelspec=spec)
    first = book.build()
    assert (first.status, first.ran, first.warnings) == (0, ("r.ipynb",), "")
    assert book.build("-E").ran == ()
    (found,) = report(book).values()
    assert any(item["text"].startswith("jsonlite ") for item in found["depends_on"])
    assert found["tracer"] == "system"
    for name, content in (
        ("helpers.R", "f <- function() 43"),
        ("data.csv", "a,b\n1,3\n"),
        ("sub/y", "y"),
        ("maybe", ""),
        ("made.txt", "made again"),
        (".Rprofile", "options(digits = 3)"),
    ):
        book.write(name, content)
        assert book.build().ran == ("r.ipynb",), name
        assert book.build().ran == (), name
