"""Forks of the tests' servers are as interpreters of their own would be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import processes
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only there builds are forks")

LOOK = """
import json, os, signal, sys, tempfile, threading
streams = sys.stdin, sys.stdout, sys.stderr
json.dump({
    "folder": os.getcwd(),
    "arguments": [*sys.argv],
    "path": sys.path,
    "environment": {**os.environ},
    "name": __name__,
    "spec": __spec__.name,
    "streams": [[s.encoding, s.errors, s.line_buffering, s.seekable()] for s in streams],
    "open": sorted(n for n in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{n}")),
    "signals": [str(signal.getsignal(s)) for s in (signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE)],
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "leads": os.getsid(0) == os.getpid() == os.getpgid(0),
    "threads": threading.active_count(),
    "temporary": tempfile.gettempdir(),
    "ours": [name for name in sys.modules if name.startswith("sphinx_nbcache")],
}, sys.stdout)
print("and\\r\\nerrors", file=sys.stderr)
"""
HASH = "print(hash('a text'))"
WAIT = "import sys, time\nprint('begun', flush=True)\ntime.sleep(100)"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with modules to run."""
    modules = {"look": LOOK, "hashed": HASH, "wait": WAIT, "fail": "import sys; sys.exit('no')"}
    for name, text in modules.items():
        (tmp_path / f"{name}.py").write_text(text)
    return tmp_path


def look(folder: Path, *, fresh: bool) -> dict[str, Any]:
    environment = os.environ | {"SOMETHING": "new", "TMPDIR": str(folder)}
    environment.pop("HOME")
    done = processes.run(
        "look", "-x", "two words", folder=folder, environment=environment, fresh=fresh
    )
    assert (done.returncode, done.stderr) == (0, "and\nerrors\n")
    return dict(json.loads(done.stdout))


def test_a_fork_sees_what_an_interpreter_of_its_own_sees(folder: Path) -> None:
    assert look(folder, fresh=False) == look(folder, fresh=True)


def test_forks_share_nothing_with_each_other(folder: Path) -> None:
    (folder / "leave.py").write_text("import os, click\nclick.left = os.environ['LEFT'] = '1'")
    (folder / "find.py").write_text("import os, click\nprint(hasattr(click, 'left'), *os.environ)")
    for _ in range(2):  # both servers
        assert processes.run("leave", folder=folder).returncode == 0
    for _ in range(2):
        found = processes.run("find", folder=folder).stdout.split()
        assert found[0] == "False"
        assert "LEFT" not in found


def test_two_runs_one_after_the_other_have_different_hashes(folder: Path) -> None:
    first, second = (processes.run("hashed", folder=folder).stdout for _ in range(2))
    assert first != second


def test_variables_that_python_reads_when_it_starts_have_their_effect(folder: Path) -> None:
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    hashes = {
        processes.run("hashed", folder=folder, environment=environment).stdout for _ in range(2)
    }
    assert len(hashes) == 1


def test_statuses_errors_and_signals_are_told(folder: Path) -> None:
    failed = processes.run("fail", folder=folder)
    assert (failed.returncode, failed.stdout, failed.stderr) == (1, "", "no\n")
    for number, status in ((signal.SIGKILL, -9), (signal.SIGTERM, -15), (signal.SIGINT, -2)):
        process = processes.start("wait", folder=folder, merged=True)
        with pytest.raises(subprocess.TimeoutExpired):
            process.communicate(timeout=1)
        assert process.poll() is None
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, process.poll(), err) == (status, status, "")
        assert out.startswith("begun\n")
        assert ("KeyboardInterrupt" in out) == (number == signal.SIGINT)
        process.kill()  # it has ended: nothing happens
