"""Archives of results: what leaves a store, and what is refused on the way into another."""

from __future__ import annotations

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from travelling import (
    FOLDER,
    KEY,
    LARGE,
    keep,
    objects_of,
    project_of,
    with_lines,
    with_result,
    zipped,
)

from sphinx_nbcache import Project
from sphinx_nbcache.project.requests import ProjectError
from sphinx_nbcache.results.records import Failure, Status, content_digest
from sphinx_nbcache.sharing.packing import BLOBS, BUNDLES, PACKS
from sphinx_nbcache.store.upkeep import collect_blobs
from sphinx_nbcache.traces.facts import EnvironmentVariable, File, Location
from sphinx_nbcache.traces.trace import Trace
from sphinx_nbcache.traces.variables import key_name, keyed_digest

Objects = dict[str, bytes]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Project]:
    """The project whose results leave."""
    made = project_of(tmp_path / "here")
    yield made
    made.close()


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Project]:
    """The project of another machine."""
    made = project_of(tmp_path / "there")
    yield made
    made.close()


@pytest.fixture
def objects(here: Project) -> Objects:
    """What one result consists of: a pack, a bundle and a large content."""
    made = objects_of(here.store, [keep(here.store, LARGE)])
    assert sorted(name[:2] for name in made) == [BLOBS, BUNDLES, PACKS]
    return made


def holds_nothing(project: Project) -> bool:
    return not project.store.all_results() and not project.store.access.keys("")


def text_of(project: Project, number: int = 0) -> str:
    stored = project.store.all_results()[number]
    text = project.outputs(stored).cells[0][0]["text"]
    assert isinstance(text, str)
    return text


def test_what_is_exported_is_imported_with_its_outputs_and_sources(
    here: Project, there: Project, tmp_path: Path
) -> None:
    keep(here.store, LARGE)
    file = tmp_path / "results.zip"
    assert len(here.results.export(file).exported) == 1
    done = there.results.import_archives([file])
    assert (len(done.added), done.present) == (1, 0)
    assert text_of(there) == LARGE
    assert there.results.sources(done.added[0]) == ["print(1)"]
    assert there.results.check() == []
    assert collect_blobs(there.store) == []


def test_an_imported_result_is_never_marked(here: Project, there: Project, tmp_path: Path) -> None:
    assert keep(here.store).is_marked
    here.results.export(tmp_path / "a.zip")
    there.results.import_archives([tmp_path / "a.zip"])
    assert [stored.is_marked for stored in there.store.all_results()] == [False]
    # Not even where the same account has it with its mark, and the mark stays there.
    here.results.import_archives([tmp_path / "a.zip"])
    assert [stored.is_marked for stored in here.store.all_results()] == [True]


def test_a_second_import_adds_nothing(here: Project, there: Project, tmp_path: Path) -> None:
    keep(here.store, LARGE)
    keep(here.store, "2\n", key="b" * 64)
    file = tmp_path / "a.zip"
    here.results.export(file)
    assert len(there.results.import_archives([file, file]).added) == 2
    before = sorted(there.store.access.keys(""))
    done = there.results.import_archives([file])
    assert (done.added, done.present) == ((), 2)
    assert sorted(there.store.access.keys("")) == before


def test_an_import_repairs_a_result_whose_outputs_are_missing(
    here: Project, tmp_path: Path
) -> None:
    stored = keep(here.store, LARGE)
    here.results.export(tmp_path / "a.zip")
    here.store.access.write({}, gone=[f"blob/{stored.result.outputs}"])
    assert len(here.results.import_archives([tmp_path / "a.zip"]).added) == 1
    assert [s.id for s in here.store.all_results()] == [stored.id]
    assert text_of(here) == LARGE


def test_equal_results_give_equal_bytes_whatever_their_order_of_arrival(
    here: Project, there: Project, tmp_path: Path
) -> None:
    for number in range(5):
        keep(here.store, f"{number}\n", key=str(number) * 64)
    first, second, third = (tmp_path / name for name in ("1.zip", "2.zip", "3.zip"))
    here.results.export(first)
    os.utime(here.root, (0, 0))
    here.results.export(second)
    there.results.import_archives([first])
    there.results.export(third)
    assert first.read_bytes() == second.read_bytes() == third.read_bytes()
    with zipfile.ZipFile(first) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_results_of_this_account_come_before_imported_ones(
    here: Project, there: Project, tmp_path: Path
) -> None:
    keep(here.store, "theirs\n", started=2000.0)
    here.results.export(tmp_path / "a.zip")
    own = keep(there.store, "ours\n")
    there.results.import_archives([tmp_path / "a.zip"])
    assert [s.digest == own.digest for s in there.store.results(KEY)] == [True, False]


def test_a_full_list_of_stale_results_has_room_for_an_imported_one(
    here: Project, there: Project, tmp_path: Path
) -> None:
    keep(here.store, "theirs\n")
    here.results.export(tmp_path / "a.zip")
    for number in range(25):
        keep(there.store, f"{number}\n", started=3000.0 + number)
    there.results.import_archives([tmp_path / "a.zip"])
    found = there.store.results(KEY)
    assert len(found) == 20
    assert [s.is_marked for s in found] == [True] * 19 + [False]


# -- what stays

FAILURE = Failure("ValueError", "no", "Traceback")
STAYS: dict[str, tuple[Trace, dict[str, Any], str]] = {
    "failed": (Trace(), {"status": Status.FAILED, "failure": FAILURE}, "its run failed"),
    "unreliable": (Trace(unreliable="data.csv changed"), {}, "it cannot be reused: data.csv"),
    "elsewhere": (Trace((File("/srv/data.csv", "e" * 64),)), {}, "a place of this machine: /srv"),
    "of Windows": (Trace((File("D:/data.csv", "e" * 64),)), {}, "a place of this machine: D:/"),
    "place": (Trace((Location("/home/ada/book"),)), {}, "it depends on where the project is"),
    "notebook": (Trace(), {"notebook": "/srv/a.ipynb"}, "a place of this machine: /srv"),
}


@pytest.mark.parametrize("name", STAYS)
def test_what_belongs_to_one_machine_stays(here: Project, tmp_path: Path, name: str) -> None:
    trace, changes, why = STAYS[name]
    keep(here.store, trace=trace, **changes)
    done = here.results.export(tmp_path / "a.zip")
    assert done.exported == ()
    ((_, reason),) = done.left_out
    assert why in reason


@pytest.mark.parametrize("home", [False, True], ids=["root", "home"])
def test_a_result_whose_outputs_name_the_project_or_the_home_stays(
    here: Project, tmp_path: Path, *, home: bool
) -> None:
    keep(here.store, f"in {Path.home() if home else here.root}/x\n")
    ((_, reason),) = here.results.export(tmp_path / "a.zip").left_out
    assert reason.startswith("its outputs, sources or files name")


def test_commands_are_named_without_their_folder(
    here: Project, there: Project, tmp_path: Path
) -> None:
    trace = Trace(untracked=("sub-process: /opt/ada/bin/tool -o 'C:\\Users\\ada\\x' a/b", "c"))
    keep(here.store, trace=trace)
    here.results.export(tmp_path / "a.zip")
    (stored,) = there.results.import_archives([tmp_path / "a.zip"]).added
    found = there.results.trace(stored)
    assert found is not None
    assert found.untracked == ("sub-process: tool -o 'x' a/b", "c")


def test_of_a_secret_only_that_it_was_unset_leaves(
    here: Project, there: Project, tmp_path: Path
) -> None:
    key = here.store.access.marks.variable_key(make=True)
    assert key is not None

    def fact(**variables: str) -> EnvironmentVariable:
        digest = keyed_digest("API_KEY", variables, key)
        return EnvironmentVariable("API_KEY", None, digest, key_name(key))

    keep(here.store, trace=Trace((fact(),)))
    secret = keep(here.store, key="b" * 64, trace=Trace((fact(API_KEY="x"),)))
    # The same form in which the values of other variables are kept.
    plain = Trace((EnvironmentVariable("API_KEY", "f" * 64),))
    other = keep(here.store, key="c" * 64, trace=plain)
    done = here.results.export(tmp_path / "a.zip")
    stayed = {stored.digest: why for stored, why in done.left_out}
    why = "it depends on the variable API_KEY, which looks like a secret"
    assert stayed == {secret.digest: why, other.digest: why}
    (stored,) = there.results.import_archives([tmp_path / "a.zip"]).added
    found = there.results.trace(stored)
    assert found is not None
    assert found.facts == (EnvironmentVariable("API_KEY", ""),)


def test_an_export_that_fails_leaves_no_file(here: Project, tmp_path: Path) -> None:
    keep(here.store)
    (tmp_path / "a.zip").mkdir()
    with pytest.raises(OSError, match="a"):
        here.results.export(tmp_path / "a.zip")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "here"]


# -- forged archives


def renamed(old: str, new: str) -> Callable[[Objects], Objects]:
    """Give the objects of a kind another name."""
    return lambda objects: {
        (new if name.startswith(old) else name): content for name, content in objects.items()
    }


def changed(kind: str, change: Callable[[bytes], bytes]) -> Callable[[Objects], Objects]:
    """Change the objects of a kind, whose names stay."""
    return lambda objects: {
        name: change(content) if name.startswith(kind) else content
        for name, content in objects.items()
    }


def replaced(kind: str, content: bytes) -> Callable[[Objects], Objects]:
    """Replace the object of a kind, and name it by its digest."""
    return lambda objects: (
        {name: old for name, old in objects.items() if not name.startswith(kind)}
        | {kind + content_digest(content): content}
    )


def without(kind: str) -> Callable[[Objects], Objects]:
    """Leave out the objects of a kind."""
    return lambda objects: {n: c for n, c in objects.items() if not n.startswith(kind)}


def swapped(objects: Objects) -> Objects:
    """Give each object the content of another."""
    contents = list(objects.values())
    return dict(zip(objects, [*contents[1:], contents[0]], strict=True))


def other_bundle(objects: Objects) -> Objects:
    """Name a bundle that is right, and of another result."""
    bundle = zlib.compress(msgspec.msgpack.encode({content_digest(b"1"): b"1"}))
    return with_lines(objects, bundle=content_digest(bundle)) | {
        BUNDLES + content_digest(bundle): bundle
    }


DEEP = b"[" * 100_000 + b"]" * 100_000
BOMB = zlib.compress(bytes(1 << 28))
FORGED: dict[str, Callable[[Objects], Objects]] = {
    "absolute": renamed(BUNDLES, "!/etc/cron.d/x"),
    "up": renamed(BUNDLES, "!../../x"),
    "up inside": renamed(BUNDLES, f"!{FOLDER}../o/{'a' * 64}"),
    "drive": renamed(BUNDLES, "!C:\\x"),
    "backslashes": renamed(BUNDLES, f"!nbcache-2\\o\\{'a' * 64}"),
    "a line end": renamed(BUNDLES, f"!{FOLDER}o/{'a' * 64}\n"),
    "capitals": renamed(BUNDLES, f"{BUNDLES}{'A' * 64}"),
    "short digest": renamed(BUNDLES, f"{BUNDLES}{'a' * 63}"),
    "another kind": renamed(BUNDLES, f"x/{'a' * 64}"),
    "another format": renamed(BUNDLES, f"!nbcache-3/o/{'a' * 64}"),
    "folder": lambda objects: objects | {"!nbcache-2/": b""},
    "wrong digest of a pack": changed(PACKS, lambda old: old + b"x"),
    "wrong digest of a bundle": changed(BUNDLES, lambda old: old[:-1]),
    "wrong digest of a content": changed(BLOBS, lambda old: b"x" + old[1:]),
    "swapped": swapped,
    "garbage pack": replaced(PACKS, b"garbage"),
    "empty pack": replaced(PACKS, b""),
    "pack of garbage": replaced(PACKS, zlib.compress(b"garbage\n{}\n[]")),
    "deep pack": replaced(PACKS, zlib.compress(DEEP)),
    "bomb": replaced(PACKS, BOMB),
    "half a pack": replaced(PACKS, BOMB[: len(BOMB) // 2]),
    "bundle of another result": other_bundle,
    "without the bundle": without(BUNDLES),
    "without the content": without(BLOBS),
    "another key": lambda objects: with_lines(objects, key="b" * 64),
    "another trace": lambda objects: with_lines(objects, trace=msgspec.Raw(b'{"known":[]}')),
    "deep trace": lambda objects: with_lines(objects, trace=msgspec.Raw(DEEP)),
    "no record": lambda objects: with_lines(objects, result=msgspec.Raw(b"{}")),
    "foreign contents": lambda objects: with_lines(objects, large={"e" * 64: 5}),
    "failed": lambda objects: with_result(objects, status="failed"),
    "no such cell": lambda objects: with_result(objects, rules={"raising": [7]}),
    "more cells": lambda objects: with_result(objects, cells=[]),
    "no outputs": lambda objects: with_result(objects, outputs="f" * 64),
    "the trace as outputs": lambda objects: with_result(objects, outputs=with_trace(objects)),
    "a file above": lambda objects: with_result(
        objects, artifacts=[{"path": "../x", "digest": "e" * 64, "size": 1, "mode": 420}]
    ),
}


def with_trace(objects: Objects) -> str:
    (pack,) = (content for name, content in objects.items() if name.startswith(PACKS))
    record = msgspec.json.decode(zlib.decompress(pack))["result"]
    return str(record["trace"])


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_archive_is_refused_as_a_whole(
    objects: Objects, here: Project, there: Project, tmp_path: Path, name: str
) -> None:
    good = objects_of(here.store, [keep(here.store, "2\n", key="b" * 64)])
    bad = zipped(tmp_path / "bad.zip", FORGED[name](objects))
    with pytest.raises(ProjectError, match=r"bad\.zip"):
        there.results.import_archives([zipped(tmp_path / "good.zip", good), bad])
    assert holds_nothing(there)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "bad.zip",
        "good.zip",
        "here",
        "there",
    ]


ATTRIBUTES = {
    "link": {"external_attr": (stat.S_IFLNK | 0o777) << 16},
    "device": {"external_attr": (stat.S_IFCHR | 0o666) << 16},
    "pipe": {"external_attr": (stat.S_IFIFO | 0o666) << 16},
    "folder": {"external_attr": 0x10},
    "compressed": {"compress_type": zipfile.ZIP_DEFLATED},
    "LZMA": {"compress_type": zipfile.ZIP_LZMA},
}


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_entries_that_are_no_plain_files_are_refused(
    objects: Objects, there: Project, tmp_path: Path, name: str
) -> None:
    file = zipped(tmp_path / "a.zip", objects, **ATTRIBUTES[name])
    with pytest.raises(ProjectError, match="is not safe"):
        there.results.import_archives([file])
    assert holds_nothing(there)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_entry_that_is_there_twice_is_refused(
    objects: Objects, there: Project, tmp_path: Path
) -> None:
    file = zipped(tmp_path / "a.zip", objects)
    with zipfile.ZipFile(file, "a") as archive:
        name = next(iter(objects))
        archive.writestr(FOLDER + name, objects[name])
    with pytest.raises(ProjectError, match="is in it twice"):
        there.results.import_archives([file])


def test_entries_that_overlap_are_refused(objects: Objects, there: Project, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(f"{FOLDER}b/{'a' * 64}", bytes(100_000))
        first = archive.infolist()[0]
        for digit in "bcdef":
            entry = zipfile.ZipInfo(f"{FOLDER}b/{digit * 64}")
            for name in ("CRC", "file_size", "compress_size", "header_offset"):
                setattr(entry, name, getattr(first, name))
            archive.filelist.append(entry)
            archive.NameToInfo[entry.filename] = entry
    with pytest.raises(ProjectError, match=r"overlap|no archive of results"):
        there.results.import_archives([tmp_path / "a.zip"])


@pytest.mark.parametrize("left", [0, 1, 10, "half", "most", -1, -22, -23])
def test_a_file_that_was_cut_off_is_refused(
    objects: Objects, there: Project, tmp_path: Path, left: int | str
) -> None:
    file = zipped(tmp_path / "a.zip", objects)
    content = file.read_bytes()
    parts = {"half": len(content) // 2, "most": len(content) * 9 // 10}
    end = left if isinstance(left, int) else parts[left]
    file.write_bytes(content[:end])
    with pytest.raises(ProjectError, match=r"no archive of results|damaged"):
        there.results.import_archives([file])
    assert holds_nothing(there)


def test_no_flipped_byte_changes_a_result(objects: Objects, there: Project, tmp_path: Path) -> None:
    file = zipped(tmp_path / "a.zip", objects)
    content = file.read_bytes()
    steps = [*range(0, len(content), max(1, len(content) // 300)), *range(-400, 0, 3)]
    for step in steps:
        spoilt = bytearray(content)
        spoilt[step] ^= 0x55
        file.write_bytes(spoilt)
        try:
            there.results.import_archives([file])
        except ProjectError:
            assert not there.store.all_results()
        else:
            # Some bytes say nothing, such as the date of an entry.
            assert text_of(there) == LARGE
            there.results.clear()


def test_a_list_that_would_fill_the_memory_is_not_read(there: Project, tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    size = 1 << 31
    with file.open("wb") as made:
        made.truncate(size)
        made.seek(size)
        made.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65535, 65535, size, 0, 0))
    with pytest.raises(ProjectError, match="its list is too long"):
        there.results.import_archives([file])
    file.unlink()


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x1f\x8b" + bytes(100), bytes(1000)])
def test_another_kind_of_file_is_refused(there: Project, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ProjectError, match="no archive of results"):
        there.results.import_archives([tmp_path / "a.zip"])
