"""What notebooks and users do to the same files, by chance."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

from support import ipynb_text

NOTEBOOKS = ("a.ipynb", "deep/b.ipynb", "c.ipynb")
# Files that notebooks write and users save: in folders, inert ones, a module, pages.
NAMES = ("out/a.txt", "out/sub/b.csv", "c.txt", "settings.py", "notes.md", "conf.py")
ELSEWHERE = ("kept.txt", "out/kept.csv")

_FOLDER = "import os; os.makedirs(os.path.dirname('{0}') or '.', exist_ok=True)\n"
# What cells do, by kind. {0} is a file, {1} its content, {2} another file, {3} leads to the root.
SEEN = {
    "write": _FOLDER + "f = open('{0}', 'w'); f.write('{1}'); f.close()",
    "cache": _FOLDER + "if not os.path.exists('{0}'):\n    open('{0}', 'w').write('{1}')",
    "append": _FOLDER + "f = open('{0}', 'a'); f.write('+'); f.close()",
    "replace": _FOLDER + "f = open('{0}~', 'w'); f.write('{1}'); f.close()\n"
    "os.replace('{0}~', '{0}')",
    "copy": "import os, shutil\nif os.path.exists('{2}'): shutil.copy('{2}', '{0}')",
    "hold": _FOLDER + "f = open('{0}', 'w'); f.write('{1}'); f.flush()",
    "unlink": "import os\nif os.path.exists('{0}'): os.remove('{0}')",
}
SURE = ("write", "replace", "hold")
# Writes of subprocesses that the tracer does not follow. No other cell writes this content.
UNSEEN = {"shell": _FOLDER + "!printf '{1} unseen' > '{0}'"}
READS = {
    "exists": "import os; print(os.path.exists('{0}'))",
    "read": "try: print(open('{0}').read())\nexcept OSError: print('none')",
    "cat": "import subprocess as s; print(s.run(['cat', '{0}'], stdout=-1, stderr=-3).stdout)",
    "import": "import os, sys; sys.path.append('{3}' or '.')\n"
    "try: import settings\nexcept Exception: print('none')",
}
KINDS = {**SEEN, **UNSEEN, **READS}

Cell = tuple[str, str, str]
"""The kind of a cell, the file, and which of two contents."""

# What a user does to a file without a build noticing any other way than by looking.
PLAIN_ACTS = (
    *("save", "save by rename", "edit", "delete", "rename", "directory", "link", "link outside"),
    "commit",
)


def some_code(chance: Random, names: Sequence[str]) -> list[Cell]:
    """Return the cells of a notebook that mostly writes these files."""
    often = ["write", "write", "write", "write", "replace", "cache", chance.choice(list(READS))]
    return [
        (chance.choice([*often, *KINDS]), chance.choice(names), chance.choice("12"))
        for _ in range(chance.choice([1, 1, 2]))
    ]


def sources(notebook: str, code: Sequence[Cell]) -> list[str]:
    """Return the sources of cells, which say in their last line what they do."""
    up = "../" * notebook.count("/")
    return [
        KINDS[kind].format(up + name, f"{notebook} {variant}", up + NAMES[2], up)
        + f"\n# {kind} {name}"
        for kind, name, variant in code
    ]


def is_seen(source: str) -> bool:
    """Tell whether the tracer sees what a cell writes."""
    return _last_line(source)[0] not in UNSEEN


def surely_written(source: str) -> str | None:
    """Return the file that a cell writes whatever is there, if any."""
    kind, name = _last_line(source)
    return name if kind in SURE else None


def _last_line(source: str) -> list[str]:
    return source.rpartition("# ")[2].split()


def save_notebook(path: Path, cells: Sequence[str]) -> None:
    """Save a notebook of which every cell begins with `%%` in this text."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(ipynb_text([f"%%{cell}" for cell in cells], {}))


class User:
    """Someone whose every save has a content that is found nowhere else.

    Attributes:
        folder: The root of the project.
        outside: A file elsewhere, to which links may lead.
        counter: Numbers the contents.
    """

    def __init__(self, folder: Path, outside: Path) -> None:
        self.folder = folder
        self.outside = outside
        self.counter = itertools.count()

    def content(self) -> bytes:
        return b"the user's %d" % next(self.counter)

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.content())

    def do(self, kind: str, path: Path) -> None:
        """Do one of the plain acts to a file.

        Raises:
            OSError: It cannot be done as things are.
        """
        if kind == "save":
            self.save(path)
        elif kind == "save by rename":
            partial = path.with_name(f"{path.name}.tmp")
            self.save(partial)
            partial.replace(path)
        elif kind == "edit":
            with path.open("r+b") as file:
                file.seek(0, os.SEEK_END)
                file.write(b"!")
        elif kind == "delete":
            path.unlink()
        elif kind == "rename":
            path.replace(self.folder / ELSEWHERE[next(self.counter) % len(ELSEWHERE)])
        elif kind == "directory":
            path.unlink(missing_ok=True)
            self.save(path / "inner.txt")
        elif kind.startswith("link"):
            path.unlink(missing_ok=True)
            path.symlink_to(self.outside if kind == "link outside" else self.folder / NAMES[2])
        elif kind == "commit":
            git(self.folder, "add", "-f", str(path))
            git(self.folder, "commit", "-q", "-m", "x")


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder; what fails, fails."""
    who = ["-c", "user.name=n", "-c", "user.email=e", "-c", "gc.auto=0"]
    command = ["git", *who, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    return done.stdout.decode()


def new_repository(folder: Path) -> None:
    """Make what `git init` makes, in less time."""
    repository = folder / ".git"
    for name in ("objects", "refs/heads", "info"):
        (repository / name).mkdir(parents=True)
    (repository / "HEAD").write_text("ref: refs/heads/main\n")
    (repository / "config").write_text("[core]\n\trepositoryformatversion = 0\n")
    (repository / "info" / "exclude").write_text(".nbcache-*\n")
