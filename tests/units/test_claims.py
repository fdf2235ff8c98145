"""Claims: of several processes on one store, each notebook is run by one at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sphinx_nbcache.store.claims import Claims

KEY, OTHER = "aa" + "0" * 62, "bb" + "0" * 62

HOLDER = """
import sys
from pathlib import Path
from sphinx_nbcache.store.claims import Claims
claims = Claims(Path(sys.argv[1]))
print(claims.try_claim(sys.argv[2]), flush=True)
sys.stdin.read()
"""

# Whoever holds the claim makes a file that must not be there; it finds out if it is.
CONTENDER = """
import os, sys, time
from pathlib import Path
from sphinx_nbcache.store.claims import Claims
folder, mark = Path(sys.argv[1]), Path(sys.argv[2])
claims, won = Claims(folder), 0
while won < 60:
    if not claims.try_claim(sys.argv[3]):
        time.sleep(0.0005)
        continue
    os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
    time.sleep(0.0002)
    mark.unlink()
    claims.release(sys.argv[3])
    won += 1
print(won)
"""


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a script in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for locks, which does not exist yet."""
    return tmp_path / "store" / "locks"


@pytest.fixture
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the claim on `KEY`."""
    process = start(HOLDER, folder, KEY)
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    yield process
    process.kill()
    process.communicate()


def claimed_soon(claims: Claims, key: str) -> bool:
    """Try for some seconds."""
    for _ in range(200):
        if claims.try_claim(key):
            return True
        time.sleep(0.02)
    return False


def test_a_claim_is_granted_once_until_it_is_released(folder: Path) -> None:
    one, other = Claims(folder), Claims(folder)
    assert one.try_claim(KEY)
    assert not other.try_claim(KEY)
    assert not one.try_claim(KEY)
    assert other.try_claim(OTHER)
    one.release(KEY)
    assert other.try_claim(KEY)
    other.release_all()
    assert one.try_claim(KEY)
    assert one.try_claim(OTHER)
    one.release_all()


def test_releasing_what_is_not_held_does_nothing(folder: Path) -> None:
    one, other = Claims(folder), Claims(folder)
    assert one.try_claim(KEY)
    other.release(KEY)
    other.release_all()
    assert not other.try_claim(KEY)
    one.release_all()
    one.release_all()


def test_two_keys_of_one_file_do_not_shut_out_their_own_process(folder: Path) -> None:
    one, other = Claims(folder), Claims(folder)
    neighbour = KEY[:2] + "1" * 62
    assert one.try_claim(KEY)
    assert one.try_claim(neighbour)
    one.release(KEY)
    # The file is still held for the second key.
    assert not other.try_claim(neighbour)
    one.release(neighbour)
    assert other.try_claim(neighbour)
    other.release_all()


def test_keys_share_a_bounded_number_of_files(folder: Path) -> None:
    claims = Claims(folder)
    for number in range(600):
        key = f"{number * 7919 % 256:02x}{number:062x}"
        if claims.try_claim(key):
            claims.release(key)
    assert len(list(folder.iterdir())) <= 256


def test_what_another_process_holds_is_not_granted(
    folder: Path, holder: subprocess.Popen[str]
) -> None:
    claims = Claims(folder)
    begin = time.perf_counter()
    assert not claims.try_claim(KEY)
    # It does not wait.
    assert time.perf_counter() - begin < 1
    assert claims.try_claim(OTHER)
    holder.communicate("")
    assert claimed_soon(claims, KEY)
    claims.release_all()


def test_the_claims_of_a_killed_process_are_free(
    folder: Path, holder: subprocess.Popen[str]
) -> None:
    holder.kill()
    holder.wait()
    claims = Claims(folder)
    assert claimed_soon(claims, KEY)
    claims.release_all()


def test_no_two_processes_ever_hold_one_key(folder: Path, tmp_path: Path) -> None:
    processes = [start(CONTENDER, folder, tmp_path / "mark", KEY) for _ in range(3)]
    for process in processes:
        output, errors = process.communicate(timeout=60)
        assert (output, errors) == ("60\n", "")


def test_where_no_lock_can_be_made_every_claim_is_granted(tmp_path: Path) -> None:
    # Root passes every permission bit; a file in the way stops root as well.
    (tmp_path / "store").write_text("in the way")
    for folder in (tmp_path / "store", tmp_path / "store" / "locks"):
        one, other = Claims(folder), Claims(folder)
        assert one.try_claim(KEY)
        assert other.try_claim(KEY)
        one.release(KEY)
        one.release_all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_can_be_forked_once_claims_are_released(folder: Path) -> None:
    """Sphinx forks its readers after the notebooks were run."""
    claims = Claims(folder)
    assert claims.try_claim(KEY)
    claims.release_all()
    script = (
        "import os, sys; from pathlib import Path; from sphinx_nbcache.store.claims import Claims\n"
        "claims = Claims(Path(sys.argv[1])); assert claims.try_claim('aa'); claims.release_all()\n"
        "child = os.fork()\n"
        "if child == 0: os._exit(0 if Claims(Path(sys.argv[1])).try_claim('aa') else 1)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    process = start(script, folder)
    process.communicate("")
    assert process.returncode == 0
