"""Files of script libraries, from the packages of npm."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path

from sphinx_nbcache.rendering.live.libraries import Library

ASKED = "NBCACHE_NPM" in os.environ
WHY_SKIPPED = "it loads packages from npm if NBCACHE_NPM is set"


def content(wanted: Library, folder: Path) -> bytes:
    """Return the file of a library; its package is put into a folder."""
    npm = shutil.which("npm")
    assert npm is not None, "there is no npm"
    target = folder / wanted.name.replace("/", "-")
    target.mkdir(exist_ok=True)
    package = f"{wanted.package}@{wanted.version}"
    command = [npm, "pack", package, "--pack-destination", str(target)]
    subprocess.run(command, check=True, capture_output=True)
    (archive,) = target.glob("*.tgz")
    with tarfile.open(archive) as packed:
        file = packed.extractfile(f"package/{wanted.path}")
        assert file is not None
        return file.read()


def fill(folder: Path, libraries: Iterable[Library], packages: Path) -> None:
    """Put the files of libraries into a folder, as `nbcache_scripts` takes it."""
    for wanted in libraries:
        file = folder / f"{wanted.package}@{wanted.version}" / wanted.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content(wanted, packages))
