"""Files that runs have made, in the store."""

from __future__ import annotations

import sqlite3
import tracemalloc
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from sphinx_nbcache.files.moving import move_of
from sphinx_nbcache.notices import Notice, Topic
from sphinx_nbcache.project.journal import Journal
from sphinx_nbcache.results.artifacts import Artifact, MadeFile
from sphinx_nbcache.results.outputs import OutputsError, RunOutputs
from sphinx_nbcache.results.records import Result, Rules, Status
from sphinx_nbcache.store.shelf import ShelfError
from sphinx_nbcache.store.store import PIECE, Store

KEY = "ab" * 32
LARGE = bytes(range(256)) * 1000


def result() -> Result:
    return Result(
        code_key=KEY,
        status=Status.OK,
        rules=Rules(),
        cells=(),
        outputs="",
        render_id="0" * 32,
        kernel="python3",
        language_info={},
        started=1.0,
        seconds=1.0,
        executor="temp-serial",
        notebook="docs/a.md",
    )


@pytest.fixture
def told() -> list[Notice]:
    """What the store said."""
    return []


@pytest.fixture
def store(tmp_path: Path, told: list[Notice]) -> Store:
    """An empty store."""
    return Store(tmp_path / "place", told.append)


def made(folder: Path, path: str, content: bytes, mode: int = 0o644) -> MadeFile:
    """Return a file as a run leaves it."""
    kept_in = folder / f"kept-{len(list(folder.iterdir()))}"
    kept_in.write_bytes(content)
    return MadeFile(path, str(kept_in), mode)


def test_artifacts_come_back_as_they_were(store: Store, tmp_path: Path) -> None:
    files = [made(tmp_path, "a/small", b"s", 0o755), made(tmp_path, "large", LARGE)]
    stored = store.commit(result(), RunOutputs([]), [*files, made(tmp_path, "same", b"s")])
    store.close()
    (found,) = store.results(KEY)
    assert found == stored
    described = [(a.path, a.size, a.mode) for a in found.result.artifacts]
    assert described == [("a/small", 1, 0o755), ("large", len(LARGE), 0o644), ("same", 1, 0o644)]
    contents = [store.blob(artifact.digest) for artifact in found.result.artifacts]
    assert contents == [b"s", LARGE, b"s"]
    store.close()


@pytest.mark.parametrize("path", ["../out", "/out", "C:/out", "back\\slash", "\udcff"])
def test_a_file_with_a_path_that_cannot_be_kept_is_left_out_with_a_warning(
    store: Store, told: list[Notice], tmp_path: Path, path: str
) -> None:
    files = [made(tmp_path, path, b"1"), made(tmp_path, "good", b"2")]
    stored = store.commit(result(), RunOutputs([]), files)
    assert [artifact.path for artifact in stored.result.artifacts] == ["good"]
    (notice,) = told
    assert notice.topic is Topic.STORE
    assert "docs/a.md" in notice.text
    assert repr(path) in notice.text
    store.close()


def test_a_file_that_has_gone_is_left_out_with_a_warning(
    store: Store, told: list[Notice], tmp_path: Path
) -> None:
    gone = MadeFile("gone", str(tmp_path / "nowhere"), 0o644)
    assert store.commit(result(), RunOutputs([]), [gone]).result.artifacts == ()
    assert "'gone', is not kept" in told[0].text
    store.close()


def test_where_nothing_can_be_written_artifacts_are_kept_for_this_build(
    store: Store, told: list[Notice], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_values: object, **_options: object) -> None:
        monkeypatch.undo()
        raise ShelfError("the disk is full")

    monkeypatch.setattr(store.access, "write", fail)
    (artifact,) = store.commit(
        result(), RunOutputs([]), [made(tmp_path, "large", LARGE)]
    ).result.artifacts
    assert store.blob(artifact.digest) == LARGE
    assert [stored.result.artifacts for stored in store.results(KEY)] == [(artifact,)]
    assert "the disk is full" in told[0].text
    store.close()


def test_an_artifact_whose_content_is_missing_or_damaged_is_told(
    store: Store, tmp_path: Path
) -> None:
    (artifact,) = store.commit(
        result(), RunOutputs([]), [made(tmp_path, "a", b"content")]
    ).result.artifacts
    other = msgspec.structs.replace(artifact, digest="0" * 64)
    with pytest.raises(OutputsError, match="missing"):
        store.blob(other.digest)
    store.close()
    with closing(sqlite3.connect(store.folder / "cache.db")) as database, database:
        changed = database.execute(
            "UPDATE Cache SET value = ? WHERE key = ?", (b"other", f"blob/{artifact.digest}")
        )
        assert changed.rowcount == 1
    with pytest.raises(OutputsError, match="not what was written"):
        store.blob(artifact.digest)
    store.close()


@pytest.mark.parametrize("path", ["../../conf.py", "/etc/passwd", "C:\\x", "a/../../b"])
def test_a_record_with_an_artifact_outside_is_not_read(path: str) -> None:
    good = Artifact("a", "0" * 64, 1, 0o644)
    record = msgspec.to_builtins(msgspec.structs.replace(result(), artifacts=(good,)))
    assert msgspec.convert(record, Result).artifacts == (good,)
    record["artifacts"][0]["path"] = path
    with pytest.raises(msgspec.ValidationError, match="artifact"):
        msgspec.json.decode(msgspec.json.encode(record), type=Result)


def test_a_large_file_is_never_in_memory_as_a_whole(store: Store, tmp_path: Path) -> None:
    rows = b"".join(number.to_bytes(8, "big") for number in range(5 * PIECE // 16))
    file = made(tmp_path, "large", rows)
    tracemalloc.start()
    try:
        stored = store.commit(result(), RunOutputs([]), [file], [])
        (artifact,) = stored.result.artifacts
        size = sum(map(len, store.content(artifact)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size == artifact.size == len(rows)
    assert len(artifact.pieces) == 3
    assert b"".join(store.content(artifact)) == rows
    assert peak < len(rows) * 0.9


def test_pieces_of_a_file_in_another_order_are_not_taken_for_it(
    store: Store, tmp_path: Path
) -> None:
    file = made(tmp_path, "large", b"a" * PIECE + b"b" * PIECE)
    (artifact,) = store.commit(result(), RunOutputs([]), [file], []).result.artifacts
    turned = msgspec.structs.replace(artifact, pieces=artifact.pieces[::-1])
    with pytest.raises(OutputsError, match="is not what was written"):
        b"".join(store.content(turned))


def test_a_change_that_cannot_be_recovered_is_tried_again_by_the_next_build(store: Store) -> None:
    journal, moves = Journal(store, "here"), [move_of("a.csv"), move_of("data/b.csv")]

    def killed() -> None:
        with journal.of(moves):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()
    with journal.interrupted() as left:
        assert left == moves
        left.remove(moves[0])  # the other one is in a folder that may not be entered now
    with Journal(store, "another checkout").interrupted() as left:
        assert left == []
    with journal.interrupted() as left:
        assert left == moves
        left.clear()
    with journal.interrupted() as left:
        assert left == []
