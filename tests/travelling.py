"""Results that travel, without kernels, and archives that somebody else may have written."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from support import stream

from sphinx_nbcache import Project
from sphinx_nbcache.results.outputs import RunOutputs
from sphinx_nbcache.results.records import CellRun, Result, Rules, Status, Stored, content_digest
from sphinx_nbcache.sharing.leaving import Leaving
from sphinx_nbcache.sharing.packing import PACKS, Line, lines_of, packs_of, wrap
from sphinx_nbcache.store.access import encoded
from sphinx_nbcache.store.store import Store
from sphinx_nbcache.traces.names import PathNames
from sphinx_nbcache.traces.trace import Trace

KEY = "a" * 64
# A content that is an object of its own, and no valid UTF-8.
LARGE = "\xff" * 200_000
FOLDER = "nbcache-2/"
_NOTHING = Trace()


def keep(
    store: Store,
    text: str = "1\n",
    *,
    key: str = KEY,
    trace: Trace = _NOTHING,
    checkout: str = "here",
    **changes: Any,
) -> Stored:
    """Put the result of a run that printed a text into a store."""
    result = Result(
        code_key=key,
        status=Status.OK,
        rules=Rules(),
        cells=(CellRun("c" * 64, 1, 0.1),),
        outputs="",
        render_id="d" * 32,
        kernel="python3",
        language_info={"name": "python"},
        started=1000.0,
        seconds=1.0,
        executor="local-serial",
        notebook="a.ipynb",
    )
    result = msgspec.structs.replace(result, **changes)
    return store.commit(
        result, RunOutputs([stream(text)]), sources=["print(1)"], trace=trace, checkout=checkout
    )


def objects_of(store: Store, stored: Iterable[Stored]) -> dict[str, bytes]:
    """Return the objects of results, by name."""
    leaving = Leaving(store, PathNames("/nowhere", home="/nobody"))
    objects: dict[str, bytes] = {}
    lines = []
    for item in stored:
        line, contents = wrap(leaving.parcel(item), item.result.code_key)
        lines.append(line)
        objects |= contents
    return objects | packed(lines)


def packed(lines: Iterable[Line]) -> dict[str, bytes]:
    """Return packs of lines, by name."""
    return {PACKS + content_digest(pack): pack for pack in packs_of(lines)}


def with_lines(objects: Mapping[str, bytes], **changes: Any) -> dict[str, bytes]:
    """Return objects with changed lines of packs, under right digests."""
    lines: list[Line] = []
    rest: dict[str, bytes] = {}
    for name, content in objects.items():
        if name.startswith(PACKS):
            lines += [line for line in lines_of(content) if isinstance(line, Line)]
        else:
            rest[name] = content
    return rest | packed(msgspec.structs.replace(line, **changes) for line in lines)


def with_result(objects: Mapping[str, bytes], **changes: Any) -> dict[str, bytes]:
    """Return objects with changed records, under right digests."""
    (pack,) = (content for name, content in objects.items() if name.startswith(PACKS))
    (line,) = (line for line in lines_of(pack) if isinstance(line, Line))
    record = msgspec.json.decode(line.result) | changes
    return with_lines(objects, result=msgspec.Raw(encoded(record)))


def zipped(path: Path, objects: Mapping[str, bytes], **info: Any) -> Path:
    """Write an archive of objects; attributes of its entries can be set."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in objects.items():
            entry = zipfile.ZipInfo(name if name.startswith("!") else FOLDER + name)
            entry.filename = entry.filename.removeprefix("!")
            for attribute, value in info.items():
                setattr(entry, attribute, value)
            archive.writestr(entry, content)
    return path


def project_of(folder: Path) -> Project:
    """Return a project with a store of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    return Project.find(folder, place=folder / "store")
