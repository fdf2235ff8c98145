"""Whoever writes to a shared store at once: what was acknowledged is found."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from buckets import Bucket
from publishing import key_of, publish, text_of

from sphinx_nbcache.notices import say_nothing
from sphinx_nbcache.sharing.packing import BLOBS, BUNDLES, PACKS
from sphinx_nbcache.sharing.remote import Remote
from sphinx_nbcache.store.marks import SECRET_VARIABLE
from sphinx_nbcache.store.store import Store

pytestmark = pytest.mark.posix
WRITER = Path(__file__).parents[1] / "publishing.py"
WRITERS, KILLED, ROUNDS, COUNT = 40, 12, 3, 2


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty local store."""
    with closing(Store(tmp_path / "reader", say_nothing)) as made:
        yield made


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The address of an empty folder."""
    return f"file://{tmp_path}/share"


def objects(tmp_path: Path, kind: str) -> list[Path]:
    return sorted((tmp_path / "share" / "nbcache-2" / kind).iterdir())


def assert_found(url: str, store: Store, numbers: list[int]) -> Remote:
    """Every result is found and can be fetched."""
    remote = Remote(url, store)
    offers = remote.offers({key_of(number) for number in numbers})
    assert (sorted(offers), remote.off) == (sorted(map(key_of, numbers)), None)
    taken = remote.bring(offer for found in offers.values() for offer in found)
    assert len(taken) == len(numbers)
    for stored in taken:
        number = int(stored.result.code_key, 16)
        assert store.outputs(stored.result).cells[0][0]["text"] == text_of(number)
    assert remote.spoilt == {}
    remote.finish(0)
    return remote


@pytest.mark.parametrize("kind", ["bucket", "folder"])
@pytest.mark.timeout(500)
def test_forty_writers_at_once_of_whom_some_are_killed(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, store: Store
) -> None:
    if kind == "bucket":
        bucket: Bucket = request.getfixturevalue("bucket")
        address = bucket.url
    else:
        address = f"file://{tmp_path}/share"
    numbers = random.Random(0)
    begin = time.monotonic()
    running = []
    for writer in range(WRITERS):
        arguments = [writer * 100, COUNT, ROUNDS]
        command = [sys.executable, str(WRITER), str(tmp_path / f"{writer}"), address]
        command += map(str, arguments)
        out = (tmp_path / f"{writer}.txt").open("wb")
        running.append((subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT), out))
    for process, _ in numbers.sample(running, KILLED):
        time.sleep(numbers.random())
        process.kill()
    for process, out in running:
        process.wait()
        out.close()
    acknowledged = []
    for writer in range(WRITERS):
        text = (tmp_path / f"{writer}.txt").read_text(encoding="utf-8")
        acknowledged += [int(word) for word in text.split() if word.isdigit()]
    assert len(acknowledged) >= (WRITERS - KILLED) * COUNT, time.monotonic() - begin
    assert_found(address, store, acknowledged)


def test_many_small_packs_become_few_and_nothing_is_lost(
    url: str, tmp_path: Path, store: Store
) -> None:
    for number in range(70):
        assert publish(tmp_path / "writer", url, [number]) == (1, None)
    assert len(objects(tmp_path, "p")) < 10
    assert_found(url, store, list(range(70)))


def test_a_reader_whose_packs_were_merged_meanwhile_lists_again(
    url: str, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(60):
        publish(tmp_path / "writer", url, [number])
    remote = Remote(url, store)
    listed = remote.listed()
    for number in range(60, 70):
        publish(tmp_path / "writer", url, [number])
    stale = iter([listed])
    real = remote.listed
    monkeypatch.setattr(remote, "listed", lambda: next(stale, None) or real())
    assert len(remote.offers({key_of(number) for number in range(70)})) == 70
    remote.finish(0)


def test_packs_that_were_read_are_not_read_again(url: str, tmp_path: Path, store: Store) -> None:
    publish(tmp_path / "writer", url, [1])
    assert_found(url, store, [1])
    (pack,) = objects(tmp_path, "p")
    # Whoever reads it now finds nothing.
    pack.write_bytes(b"")
    remote = Remote(url, store)
    assert len(remote.offers({key_of(1)})) == 1
    assert remote.spoilt == {}
    remote.finish(0)
    pack.unlink()
    remote = Remote(url, store)
    assert remote.offers({key_of(1)}) == {}
    remote.finish(0)
    assert store.access.keys("pack/") == []


@pytest.mark.parametrize("kind", [BUNDLES, BLOBS])
def test_an_object_that_a_lifecycle_rule_removed_is_a_miss_without_a_word(
    url: str, tmp_path: Path, store: Store, kind: str
) -> None:
    publish(tmp_path / "writer", url, [3, 4])
    for path in objects(tmp_path, kind):
        path.unlink()
    remote = Remote(url, store)
    offers = remote.offers({key_of(3), key_of(4)})
    taken = remote.bring(offer for found in offers.values() for offer in found)
    assert [int(s.result.code_key, 16) for s in taken] == ([] if kind == BUNDLES else [4])
    assert (remote.spoilt, remote.off) == ({}, None)
    remote.finish(0)


def test_a_result_is_published_once(url: str, tmp_path: Path) -> None:
    place = tmp_path / "writer"
    assert publish(place, url, [1]) == (1, None)
    assert publish(place, url, [1]) == (0, None)
    assert publish(place, f"{url}2", [1]) == (1, None)


def test_what_was_not_published_in_time_waits_for_the_next_build(url: str, tmp_path: Path) -> None:
    (tmp_path / "share").write_text("no folder", encoding="utf-8")
    assert publish(tmp_path / "writer", url, [1])[0] == 0
    (tmp_path / "share").unlink()
    assert publish(tmp_path / "writer", url, [1]) == (1, None)


def test_fetched_results_are_not_marked_and_not_published(
    url: str, tmp_path: Path, store: Store
) -> None:
    publish(tmp_path / "writer", url, [1])
    assert_found(url, store, [1])
    assert [stored.is_marked for stored in store.all_results()] == [False]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes in /proc")
def test_no_thread_lives_in_the_build_and_the_helper_has_no_secret(
    url: str, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECRET_VARIABLE, "a text that nobody guesses")
    publish(tmp_path / "writer", url, [1])
    before = threading.active_count()
    remote = Remote(url, store)
    remote.offers({key_of(1)})
    process = remote.client.process
    assert process is not None
    assert threading.active_count() == before
    variables = Path(f"/proc/{process.pid}/environ").read_bytes()
    assert b"PYTHONPATH=" in variables
    assert b"nobody guesses" not in variables
    remote.finish(0)
    assert process.poll() is not None


def test_a_helper_ends_with_its_build(url: str, tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from sphinx_nbcache.sharing.remote import Remote\n"
        "from sphinx_nbcache.store.store import Store\n"
        "remote = Remote(sys.argv[1], Store(Path(sys.argv[2]), print))\n"
        "remote.offers({'a'})\n"
        "print(remote.client.process.pid, flush=True)\n"
        "os._exit(9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, url, tmp_path / "local"],
        capture_output=True,
        text=True,
        check=False,
    )
    end = time.monotonic() + 10
    while time.monotonic() < end and is_alive(int(done.stdout)):
        time.sleep(0.05)
    assert not is_alive(int(done.stdout))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text(encoding="utf-8").split()[2] != "Z"


@pytest.mark.parametrize(
    "name", ["p/../../x", "p/" + "a" * 63, "p/" + "A" * 64, ".nbcache-x.partial"]
)
def test_names_that_no_writer_gives_are_not_asked_for(
    url: str, tmp_path: Path, store: Store, name: str
) -> None:
    publish(tmp_path / "writer", url, [1])
    remote = Remote(url, store)
    asked = remote.client.names
    remote.client.names = lambda prefix: [*asked(prefix), name]  # type: ignore[method-assign]
    assert len(remote.listed()) == len(objects(tmp_path, PACKS)) == 1
    remote.finish(0)
