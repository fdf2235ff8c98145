"""Stores that somebody else wrote to: a genuine one, and all that a stranger can put into it.

The stranger knows the format, the keys, every checksum and digest, and everything that the store
holds. The one thing that is missing is the secret of the account.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from support import ipynb_text

from sphinx_nbcache import Project
from sphinx_nbcache.notices import Notice, say_nothing
from sphinx_nbcache.planning import Planned
from sphinx_nbcache.project import Progress
from sphinx_nbcache.results.artifacts import MadeFile
from sphinx_nbcache.results.outputs import pack
from sphinx_nbcache.results.records import SCHEMA, Stored, content_digest
from sphinx_nbcache.store.marks import MARK_SIZE, NO_MARK, Marks, wrapped
from sphinx_nbcache.store.store import Store

CHECKSUM_SIZE = 16
EVIL = b"#!/bin/sh\necho owned\n"
Tree = dict[str, tuple[Any, ...]]
Artifact = dict[str, Any]


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always")
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout


class StrangersMarks(Marks):
    """The marks of another account."""

    def _existing(self) -> bytes:
        return b"another secret of 32 bytes here."


@dataclass
class Forge:
    """Writes into the store of somebody else.

    Args:
        place: The folder of the store.
    """

    place: Path
    marks: Marks = field(default_factory=lambda: StrangersMarks(SCHEMA, say_nothing))

    @property
    def folder(self) -> Path:
        return self.place / f"nbcache-{SCHEMA}"

    def _shelf(self) -> Any:
        from sphinx_nbcache.store.disk_shelf import DiskShelf

        return DiskShelf(self.folder)

    def raw(self, values: Mapping[str, bytes]) -> None:
        """Put bytes under keys, as they are."""
        shelf = self._shelf()
        for key, value in values.items():
            shelf.set(key, value)
        shelf.close()

    def bytes_of(self, key: str) -> bytes:
        shelf = self._shelf()
        found = shelf.get(key)
        shelf.close()
        assert found is not None, key
        return bytes(found)

    def keys(self, prefix: str) -> list[str]:
        shelf = self._shelf()
        found = shelf.keys(prefix)
        shelf.close()
        return list(found)

    def record(self, key: str, value: Any) -> None:
        """Put JSON under a key, with a valid checksum and the mark of a stranger."""
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.raw({key: wrapped(key, content, self.marks)})

    def blob(self, content: bytes) -> str:
        digest = content_digest(content)
        self.raw({f"blob/{digest}": content})
        return digest

    def genuine(self) -> list[Stored]:
        """Return the results that the account made."""
        store = Store(self.place, say_nothing)
        found = store.all_results()
        store.close()
        return found

    def result_record(self, digest: str) -> dict[str, Any]:
        """Return a result as JSON."""
        return dict(json.loads(self.bytes_of(f"result/{digest}")[MARK_SIZE:]))

    def trace(self, stored: Stored, **changes: Any) -> str:
        """Keep the trace of a result with changes; return its digest."""
        found = json.loads(self.bytes_of(f"blob/{stored.result.trace}"))
        return self.blob(json.dumps({**found, **changes}).encode())

    def result(
        self,
        based_on: Stored,
        *,
        mark: bytes | None = None,
        listed: Sequence[Any] = (),
        **changes: Any,
    ) -> str:
        """Put a result in front of a genuine one; return its digest.

        Args:
            based_on: What it is a changed copy of.
            mark: Its mark; by default that of the stranger.
            listed: The entry of the list, if not the usual one.
            changes: Fields of the record.
        """
        values = {**self.result_record(based_on.digest), **changes}
        blobs = [a.get("digest") for a in _dicts(values.get("artifacts"))]
        if "blobs" not in changes and isinstance(values["blobs"], list):
            pieces = [p for a in _dicts(values.get("artifacts")) for p in a.get("pieces") or ()]
            named = [*blobs, *pieces, values.get("trace"), values.get("outputs")]
            values["blobs"] = [*values["blobs"], *(b for b in named if isinstance(b, str))]
        key = based_on.result.code_key
        return self.put(json.dumps(values).encode(), mark=mark, listed=listed, key=key)

    def put(
        self, record: bytes, *, mark: bytes | None = None, listed: Sequence[Any] = (), key: str = ""
    ) -> str:
        """Put a record, and list it alone under its code key."""
        digest = content_digest(record)
        where = f"result/{digest}"
        if mark is None:
            mark = self.marks.of(where, record)
        self.raw({where: mark + record})
        code_key = key or self.genuine_key()
        self.record(f"results/{code_key}", [list(listed) or [99, digest]])
        return digest

    def genuine_key(self) -> str:
        (key,) = self.keys("results/")
        return key.removeprefix("results/")


def _dicts(values: Any) -> Iterator[dict[str, Any]]:
    for value in values if isinstance(values, list) else ():
        if isinstance(value, dict):
            yield value


def checksummed(key: str, content: bytes) -> bytes:
    """Return what is kept for a content that has its mark already."""
    name = key.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(name + b"\0" + content, digest_size=CHECKSUM_SIZE).digest() + content


def artifact(path: Any, content: bytes = EVIL, mode: Any = 0o755, **changes: Any) -> Artifact:
    """Return an artifact as JSON."""
    digest = hashlib.sha256(content).hexdigest()
    return {
        "path": path,
        "digest": digest,
        "size": len(content),
        "mode": mode,
        "created": True,
        "pieces": [],
        **changes,
    }


class Told(Progress):
    """The names of what was run."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def started(self, planned: Planned, number: int, total: int) -> None:  # noqa: ARG002 (as all)
        self.names.append(planned.name)


@dataclass
class Build:
    """What a build did.

    Attributes:
        ran: The names of the notebooks that were run.
        reasons: Why, or why not, by name.
        told: What was said.
        shown: What the pages show.
    """

    ran: list[str]
    reasons: dict[str, str]
    told: list[Notice]
    shown: dict[str, str]

    @property
    def texts(self) -> list[str]:
        return [notice.text for notice in self.told]


@dataclass
class Site:
    """A checkout under git, a store that a stranger can write to, and a folder outside."""

    folder: Path

    def __post_init__(self) -> None:
        self.folder = Path(os.path.realpath(self.folder))

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def outside(self) -> Path:
        return self.folder / "outside"

    @property
    def place(self) -> Path:
        return self.folder / "place"

    @property
    def forge(self) -> Forge:
        return Forge(self.place)

    @property
    def result(self) -> Stored:
        """The genuine result of the first notebook."""
        return self.forge.genuine()[0]

    @property
    def genuine_mark(self) -> bytes:
        """The mark of the genuine result."""
        return self.forge.bytes_of(f"result/{self.result.digest}")[:MARK_SIZE]

    @property
    def genuine_digest(self) -> str:
        """The digest of the genuine result: the one with the mark of this account."""
        marks = Marks(SCHEMA, say_nothing)
        for key in self.forge.keys("result/"):
            kept = self.forge.bytes_of(key)
            record = json.loads(kept[MARK_SIZE:])
            if marks.is_ours(kept[:MARK_SIZE], key, kept[MARK_SIZE:]) and not record["artifacts"]:
                return key.removeprefix("result/")
        raise AssertionError

    @property
    def genuine_history(self) -> bytes:
        return self.forge.bytes_of("history/a.ipynb")[CHECKSUM_SIZE:]

    def marked_record(self, key: str) -> dict[str, Any]:
        """Return a record that has a mark, as JSON."""
        return dict(json.loads(self.forge.bytes_of(key)[CHECKSUM_SIZE + MARK_SIZE :]))

    def make(self, code: str) -> None:
        """Make the checkout: a notebook, a page, a configuration and a module, all tracked."""
        self.root.mkdir(parents=True)
        self.outside.mkdir()
        (self.outside / "canary").write_text("outside")
        self.write("conf.py", "project = 'x'\n")
        self.write("a.ipynb", ipynb_text(["%%" + code], {}))
        self.write("page.md", "# A page\n")
        self.write("tool.py", "x = 1\n")
        self.write("data/in.csv", "1,2\n")
        # Without the samples of hooks: each test copies and compares all of it.
        git(self.root, "init", "-q", "--template=")
        self.write(".git/hooks/pre-commit", "#!/bin/sh\n", 0o755)
        git(self.root, "add", "-A")
        git(self.root, "commit", "-qm", "x")
        self.write("mine.csv", "the user's\n")
        self.write("mine.py", "x = 'mine'\n")

    def write(self, name: str, text: str | bytes, mode: int = 0o644) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return path

    def copy(self, target: Path) -> Site:
        """Return a fresh checkout with a copy of the store."""
        shutil.copytree(self.folder, target, symlinks=True)
        return Site(target)

    def forged(self, *artifacts: Artifact, content: bytes = EVIL, **changes: Any) -> str:
        """Forge a result with artifacts."""
        self.forge.blob(content)
        return self.forge.result(self.result, artifacts=list(artifacts), **changes)

    def own(self, *artifacts: Artifact, content: bytes = EVIL, **changes: Any) -> str:
        """Keep such a result as a run of this account would, with its mark."""
        self.forge.blob(content)
        forge = Forge(self.place, Marks(SCHEMA, say_nothing))
        return forge.result(self.result, artifacts=list(artifacts), **changes)

    def made_here(self, name: str, content: bytes = EVIL) -> None:
        """Note, as a run of this account would, that a run gave a file its present content."""
        from sphinx_nbcache.store.file_records import checkout_id, note_made

        store = Store(self.place, say_nothing)
        digest = hashlib.sha256(content).hexdigest()
        note_made(store.access, {name: digest}, checkout_id(self.root))
        store.close()

    def project(self, told: list[Notice], **options: Any) -> Project:
        options = {"executor": "local-serial", "kernel_start": "spawn", **options}
        return Project.find(self.root, place=self.place, notify=told.append, **options)

    def build(self, **options: Any) -> Build:
        told: list[Notice] = []
        project = self.project(told, **options)
        progress = Told()
        plan = project.plan()
        reasons = {p.name: f"{p.decision.action}: {p.decision.reason}" for p in plan}
        run = project.execute(plan, progress)
        shown = {}
        for item in run.notebooks:
            if item.result is not None:
                cells = project.outputs(item.result).cells
                shown[item.planned.name] = "".join(o.get("text", "") for c in cells for o in c)
        project.close()
        return Build(progress.names, reasons, told, shown)

    def tree(self) -> Tree:
        """Return all that must not change: contents, modes, links and times, `.git` included."""
        return {
            str(path.relative_to(self.folder)): _described(path)
            for base in (self.root, self.outside)
            for path in (base, *base.rglob("*"))
        }


def _described(path: Path) -> tuple[Any, ...]:
    found = path.lstat()
    mode = oct(found.st_mode)
    if stat.S_ISLNK(found.st_mode):
        return mode, os.readlink(path)  # noqa: PTH115 (as it stands there)
    if stat.S_ISDIR(found.st_mode):
        return (mode,)  # what is in it is looked at by itself
    content = path.read_bytes() if stat.S_ISREG(found.st_mode) else b""
    return mode, content, found.st_mtime_ns, found.st_nlink


def changes(before: Tree, after: Tree) -> dict[str, tuple[Any, ...] | None]:
    """Return what is new or different (as it is now), or has gone (`None`)."""
    names = sorted({*before, *after})
    return {n: after.get(n) for n in names if before.get(n) != after.get(n)}


def committed(site: Site, files: Sequence[MadeFile], checkout: str = "") -> Stored:
    """Commit a copy of the genuine result with files, as [](Store.commit) does for all."""
    store = Store(site.place, say_nothing)
    based_on = site.result
    (trace,) = store.traces([based_on.result]).values()
    result = msgspec.structs.replace(based_on.result, started=based_on.result.started + 5)
    outputs = store.outputs(based_on.result)
    stored = store.commit(result, outputs, files, ["print(1)"], trace, checkout=checkout)
    store.close()
    return stored


__all__ = ["MARK_SIZE", "NO_MARK", "pack"]
