"""The command line in a folder of its own, as a user has it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from support import ipynb_text

import sphinx_nbcache
from sphinx_nbcache.cli import jcache

PACKAGE = Path(sphinx_nbcache.__file__).parent
NOTEBOOKS = Path(__file__).parent / "notebooks"


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document on the standard output, which must hold nothing else."""
        return json.loads(self.out)


@dataclass
class CommandLine:
    """A folder with notebooks, and the commands that are given in it."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: object, group: click.Group = jcache) -> Done:
        """Run a command in this process; a traceback of ours fails the test."""
        self.capsys.readouterr()
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            group.main([str(argument) for argument in arguments], prog_name="jcache")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        finally:
            os.chdir(before)
        written = self.capsys.readouterr()
        assert f'File "{PACKAGE}' not in written.err
        return Done(code, written.out, written.err)

    def ok(self, *arguments: object, group: click.Group = jcache) -> Done:
        """Run a command that must end well."""
        done = self(*arguments, group=group)
        assert done.code == 0, done
        return done

    def copy(self, *names: str, to: str = "") -> None:
        """Copy notebooks of the test suite into the folder."""
        for name in names:
            target = self.folder / to / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(NOTEBOOKS / name, target)

    def write(self, name: str, text: str) -> Path:
        """Write a file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def ipynb(self, name: str, *cells: str | Mapping[str, Any], **metadata: Any) -> Path:
        """Write a notebook from texts (`%%` starts code) or whole cells."""
        return self.write(name, ipynb_text(cells, metadata))

    def read(self, name: str) -> Any:
        """Return the JSON of a notebook file."""
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def statuses(self) -> dict[str, str]:
        """Return the state of each notebook of the project."""
        listed = self.ok("project", "list", "--json").json["notebooks"]
        return {item["path"]: item["status"] for item in listed}


def printing(*texts: str) -> list[dict[str, Any]]:
    """Return outputs of a cell that printed these texts."""
    return [{"output_type": "stream", "name": "stdout", "text": text} for text in texts]
