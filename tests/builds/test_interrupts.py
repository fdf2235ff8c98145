"""Builds that are interrupted or killed: what was computed is kept, and nothing is left running."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import processes
import psutil
import pytest
from running import marked, users_of
from support import Book

from sphinx_nbcache import Action, Project
from sphinx_nbcache.kernels.fitting import may_fork

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX"),
]

# In each of the tests below; together they are a hundred in a session.
KILLS = int(os.environ.get("NBCACHE_KILLS", "25"))
MARK = "NBCACHE_KILL_MARK"


def kernels(book: Book) -> Iterator[psutil.Process]:
    """Yield the processes that work in the book's folder."""
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()) == book.folder and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except (psutil.Error, OSError):
            continue


def assert_no_kernel_is_left(book: Book) -> None:
    end = time.monotonic() + 15
    while left := list(kernels(book)):
        assert time.monotonic() < end, left
        time.sleep(0.1)


def assert_no_process_is_left(book: Book, mark: str) -> None:
    """Also none elsewhere: what kernels are forked from, and what they have started."""
    assert_no_kernel_is_left(book)
    if sys.platform == "linux":
        end = time.monotonic() + 15
        while left := [*marked(mark), *users_of(book.folder)]:
            assert time.monotonic() < end, left
            time.sleep(0.1)


def wait_for(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.05)


def reusable(book: Book) -> set[str]:
    project = Project.find(book.folder, place=book.folder / "_build" / ".jupyter_cache")
    names = {planned.path.name for planned in project.plan().with_action(Action.REUSE)}
    project.close()
    return names


def seconds_of_a_build(book: Book) -> float:
    begin = time.monotonic()
    assert book.build().status == 0
    return time.monotonic() - begin


def test_ctrl_c_ends_running_cells_and_keeps_what_is_finished(book: Book, tmp_path: Path) -> None:
    mark = tmp_path / "running"
    book.conf(executor="local-serial")
    book.index("a", "b")
    book.myst("a.md", "%%\nprint('quick')")
    book.myst("b.md", f"%%\nopen({str(mark)!r}, 'w').close()\nimport time; time.sleep(100)")
    build = book.start()
    wait_for(mark)
    begin = time.monotonic()
    build.send_signal(signal.SIGINT)
    log, _ = build.communicate(timeout=30)
    assert time.monotonic() - begin < 10
    assert build.returncode == 130
    assert "interrupted: 1 of 2 notebooks were executed, and their results are kept" in log
    assert "Traceback" not in log
    assert "never awaited" not in log
    assert_no_kernel_is_left(book)
    book.myst("b.md", "%%\nprint('shorter')")
    assert book.build().ran == ("b.md",)
    assert "quick" in book.page("a")


def test_a_second_ctrl_c_ends_at_once(book: Book, tmp_path: Path) -> None:
    """The first one gives kernels a moment; the second does not."""
    mark = tmp_path / "running"
    book.index("stubborn")
    stubborn = f"""%%
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
open({str(mark)!r}, 'w').close()
end = time.time() + 100
while time.time() < end:
    try:
        time.sleep(1)
    except BaseException:
        pass
"""
    book.myst("stubborn.md", stubborn)
    build = book.start()
    wait_for(mark)
    build.send_signal(signal.SIGINT)
    time.sleep(0.3)
    begin = time.monotonic()
    build.send_signal(signal.SIGINT)
    build.communicate(timeout=30)
    assert time.monotonic() - begin < 3
    assert build.returncode == 130
    assert_no_kernel_is_left(book)


SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
# What a shell reports.
STATUSES = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}
WAITS = "open({mark!r}, 'w').close(); __import__('time').sleep(100)"
# A phase of the build -> what `conf.py` does so that the build stays in it.
PHASES = {
    "configuring": "app.connect('config-inited', wait)",
    "planning": "app.connect('env-before-read-docs', wait, priority=1)",
    "reading": "app.connect('source-read', wait)",
    "writing": "app.connect('html-page-context', wait)",
}


def assert_ended_by(build: processes.Process, name: str, mark: Path) -> str:
    """Send a signal when the mark is there; the build ends soon, in one line."""
    wait_for(mark)
    begin = time.monotonic()
    build.send_signal(getattr(signal, name))
    log, _ = build.communicate(timeout=30)
    assert time.monotonic() - begin < 5
    assert build.returncode == STATUSES[name], log
    words = "interrupted" if name == "SIGINT" else f"interrupted by {name}"
    assert f"{words}: " in log.splitlines()[-1]
    assert log.count("interrupted") == 1
    for noise in ("Traceback", "never", "Exception ignored", "Interrupted!"):
        assert noise not in log
    return log


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("workers", [1, 2])
def test_one_signal_ends_each_phase_in_one_line_with_the_status_of_shells(
    book: Book, tmp_path: Path, phase: str, name: str, workers: int
) -> None:
    mark = tmp_path / "waits"
    book.conf(f"""
        def wait(*_):
            {WAITS.format(mark=str(mark))}
        def setup(app):
            {PHASES[phase]}
            return {{'parallel_read_safe': True, 'parallel_write_safe': True}}
        """)
    names = [f"page{number}" for number in range(8)]
    book.index(*names)
    for page in names:
        book.write(f"{page}.rst", f"{page}\n=====\n")
    build = book.start("-j", str(workers))
    log = assert_ended_by(build, name, mark)
    assert log.endswith("results of notebooks are kept\n")
    assert_no_kernel_is_left(book)


@pytest.mark.parametrize("name", SIGNALS)
def test_one_signal_ends_running_cells(book: Book, tmp_path: Path, name: str) -> None:
    mark = tmp_path / "waits"
    book.index("a")
    book.myst("a.md", f"%%\n{WAITS.format(mark=str(mark))}")
    log = assert_ended_by(book.start(), name, mark)
    assert "0 of 1 notebooks were executed; the next build executes the others" in log
    assert_no_kernel_is_left(book)


@pytest.mark.skipif(not may_fork("fork"), reason="kernels are forked on Linux only")
@pytest.mark.parametrize("name", SIGNALS)
def test_one_signal_ends_the_start_of_a_kernel(
    book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    mark = tmp_path / "waits"
    (tmp_path / "slow_to_import.py").write_text(WAITS.format(mark=str(mark)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    book.conf(preload=["slow_to_import"], kernel_start="fork")
    book.index("a")
    book.myst("a.md")
    assert_ended_by(book.start(), name, mark)
    assert_no_kernel_is_left(book)


def test_commands_know_the_notebooks_of_a_first_build_that_was_interrupted(
    book: Book, tmp_path: Path
) -> None:
    mark = tmp_path / "waits"
    book.index("a", "b", "plain")
    book.conf(executor="local-serial")
    book.myst("a.md", f"%%\n{WAITS.format(mark=str(mark))}")
    book.myst("b.md", "%%\n1")
    book.write("plain.md", "# No notebook\n")
    assert_ended_by(book.start(), "SIGINT", mark)
    done = processes.run("sphinx_nbcache", "project", "list", "--json", folder=book.folder)
    listed = json.loads(done.stdout)["notebooks"]
    assert [Path(item["path"]).name for item in listed] == ["a.md", "b.md"]


def test_a_signal_that_was_ignored_at_the_start_stays_ignored(book: Book, tmp_path: Path) -> None:
    """As under `nohup`, and of a command that a script starts with `&`."""
    mark = tmp_path / "runs"
    book.index("a")
    book.myst("a.md", f"%%\nopen({str(mark)!r}, 'w').close()\nimport time; time.sleep(1)")
    script = "trap '' INT HUP; exec \"$@\""
    command = [sys.executable, "-m", "sphinx", "-b", "html", str(book.folder), str(tmp_path / "o")]
    build = subprocess.Popen(
        ["sh", "-c", script, "sh", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    wait_for(mark)
    build.send_signal(signal.SIGINT)
    build.send_signal(signal.SIGHUP)
    log, _ = build.communicate(timeout=60)
    assert build.returncode == 0, log


# It would outlive its kernel, and nobody would know whose it was. Only a fork ends it in any case.
CHILD = (
    """%%
import subprocess
quiet = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
child = subprocess.Popen(["sleep", "600"], start_new_session=True, **quiet)
"""
    if sys.platform == "linux"
    else "%%\n1"
)


@pytest.mark.timeout(900 * max(1, KILLS // 25))  # it starts some thirty builds
@pytest.mark.parametrize("seed", range(4))
def test_kill_at_random_moments_loses_nothing_and_leaves_nothing(
    book: Book, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = random.Random(seed)
    mark = f"{os.getpid()}-{seed}-{time.time_ns()}"
    names = [f"note{number}" for number in range(4)]
    book.index(*names)
    for name in names:
        book.myst(f"{name}.md", CHILD)
    # How long a build takes that has something to run, and one that has not.
    seconds = {True: seconds_of_a_build(book), False: seconds_of_a_build(book)}
    # Only now: the servers from which builds are forked live on.
    monkeypatch.setenv(MARK, mark)
    kept: set[str] = set()
    version = kills = 0
    while kills < KILLS:
        if kills % 5 == 0:  # other code, so that there is something to run
            version += 1
            for name in names:
                book.myst(f"{name}.md", CHILD, f"%%\nprint('version', {version})")
            kept = set()
        to_run = len(kept) < len(names)
        begin = time.monotonic()
        build = book.start(*(["-j", "2"] if kills % 2 else []))
        try:
            build.wait(moments.uniform(0, seconds[to_run]))
        except subprocess.TimeoutExpired:
            build.kill()
            kills += 1
        else:  # it was quicker than the ones before
            seconds[to_run] = time.monotonic() - begin
        build.communicate()
        # Kernels see within a second or so that their parent has gone.
        assert_no_process_is_left(book, f"{MARK}={mark}")
        now = reusable(book)
        assert now >= kept
        kept = now
    last = book.build()
    assert (last.status, last.warnings) == (0, "")
    assert set(last.ran).isdisjoint(kept)
    for name in names:
        assert f"version {version}" in book.page(name)


def test_kill_while_pages_are_written_leaves_no_old_page(book: Book) -> None:
    """The environment is stored by then: Sphinx alone would never write these pages again."""
    names = [f"note{number}" for number in range(6)]
    book.index(*names)
    for name in names:
        book.myst(f"{name}.md", "%%\nprint('version', 1)")
    book.build()
    book.conf(
        """
        import os, signal
        def setup(app):
            def die(app, pagename, *args):
                if os.environ.get('DIE') == pagename:
                    os.kill(os.getpid(), signal.SIGKILL)
            app.connect('html-page-context', die)
        """
    )
    book.build()
    for name in names:
        book.myst(f"{name}.md", "%%\nprint('version', 2)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIE", "note3")
        assert book.build().status != 0
    after = book.build()
    assert after.ran == ()
    for name in names:
        assert "version 2" in book.page(name)


def test_kill_before_the_environment_is_stored_leaves_no_old_page(book: Book) -> None:
    book.index("note")
    book.myst("note.md", "%%\nprint('version', 1)")
    book.conf(
        """
        import os, signal
        def setup(app):
            def die(app, env):
                if os.environ.get('DIE'):
                    os.kill(os.getpid(), signal.SIGKILL)
            app.connect('env-updated', die)
        """
    )
    book.build()
    book.myst("note.md", "%%\nprint('version', 2)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIE", "1")
        assert book.build().status != 0
    after = book.build()
    assert after.ran == ()
    assert "version 2" in book.page("note")


@pytest.mark.parametrize("module", ["sphinx", "sphinx_nbcache"])
def test_a_terminal_that_is_closed_ends_a_build_and_a_command_with_the_status_of_sighup(
    book: Book, tmp_path: Path, module: str
) -> None:
    import fcntl
    import pty
    import termios

    mark = tmp_path / "waits"
    book.index("a")
    book.myst("a.md", f"%%\n{WAITS.format(mark=str(mark))}")
    arguments = {"sphinx": ["-b", "html", ".", "_build/html"], "sphinx_nbcache": ["execute", "."]}
    ours, theirs = pty.openpty()

    def take_terminal() -> None:
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments[module]],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=book.folder,
        start_new_session=True,
        preexec_fn=take_terminal,  # noqa: PLW1509 (there are no threads here)
    )
    os.close(theirs)
    wait_for(mark)
    os.close(ours)
    assert process.wait(30) == 129
    assert_no_kernel_is_left(book)


def test_an_empty_record_of_the_html_builder_ends_no_build(book: Book) -> None:
    """A kill at that moment leaves it so."""
    book.index()
    book.build()
    (book.folder / "_build" / "html" / ".buildinfo").write_text("")
    built = book.build()
    assert (built.status, built.warnings) == (0, "")
