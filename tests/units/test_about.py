"""`--version --verbose`: what an issue should state, found without leaving a trace."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import CliRunner
from support import Book
from support_cli import CommandLine

import sphinx_nbcache
from sphinx_nbcache.cli import jcache
from sphinx_nbcache.cli.about import (
    PACKAGES,
    kernel_start,
    means_in_words,
    state_of_store,
    versions,
)
from sphinx_nbcache.kernels.fitting import may_fork
from sphinx_nbcache.traces.tracer_code import tracing_means

FIRST_LINE = f"version {sphinx_nbcache.__version__}\n"


def facts(text: str) -> dict[str, str]:
    """Return the lines below the first one, by name."""
    lines = text.splitlines()[1:]
    return {line[:16].strip(): line[16:] for line in lines}


def state(folder: Path) -> dict[Path, tuple[int, int, int]]:
    """Return what changes when something below a folder is written."""
    found = ((path, path.stat()) for path in folder.rglob("*"))
    return {path: (stat.st_ino, stat.st_size, stat.st_mtime_ns) for path, stat in found}


@pytest.mark.parametrize(
    "arguments", [["--version"], ["-q", "--version"], ["--version", "--verbosity", "WARNING"]]
)
def test_the_version_alone_is_one_line(arguments: list[str]) -> None:
    result = CliRunner().invoke(jcache, arguments)
    assert result.output.endswith(FIRST_LINE)
    assert len(result.output.splitlines()) == 1
    assert result.exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [["--version", "--verbose"], ["-v", "--version"], ["--version", "--verbosity=DEBUG"]],
    ids=" ".join,
)
def test_verbose_tells_versions_platform_tracer_kernel_start_and_store(
    cli: CommandLine, arguments: list[str]
) -> None:
    written = cli.ok(*arguments).out
    assert FIRST_LINE in written
    told = facts(written)
    assert list(told) == [
        *("sphinx_nbcache", "Python", *PACKAGES, "platform", "tracer", "kernel start", "store")
    ]
    assert told["sphinx_nbcache"].startswith(sphinx_nbcache.__version__)
    assert told["Python"].startswith(platform.python_version())
    assert {name: told[name] for name in PACKAGES} == {n: metadata.version(n) for n in PACKAGES}
    assert told["platform"] == platform.platform()
    assert "audit hooks" in told["tracer"]
    way = "fork" if may_fork("auto") else "spawn"
    assert told["kernel start"] == f"{way} (nbcache_kernel_start = 'auto')"
    assert told["store"] == f"{cli.folder.resolve() / '.jupyter_cache'} (not there yet)"


def test_nothing_is_created_run_or_changed(cli: CommandLine) -> None:
    cli.ipynb("a.ipynb", "%%open('ran', 'w').close()")
    cli.ok("project", "add", "a.ipynb")
    (place,) = (cli.folder / ".jupyter_cache").iterdir()
    (place / "cache.db").write_bytes(b"damaged")
    before = state(cli.folder)
    assert facts(cli.ok("--version", "-v").out)["store"].endswith(" (writable)")
    assert state(cli.folder) == before


def test_the_store_and_the_options_are_those_of_the_build(
    book: Book, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JUPYTERCACHE", raising=False)
    book.conf(kernel_start="spawn")
    book.write("index.md", "# Page\n")
    book.build()
    cli.folder = book.folder
    told = facts(cli.ok("--version", "-v").out)
    store = book.folder / "_build" / ".jupyter_cache"
    assert told["kernel start"] == "spawn (nbcache_kernel_start = 'spawn')"
    assert facts(cli.ok("--version", "-v", "--conf", ".").out) == told
    assert told["store"] == f"{store.resolve()} (writable)"


def test_a_conf_that_fails_is_told_and_hides_nothing_else(cli: CommandLine) -> None:
    cli.write("conf.py", "1 / 0\n")
    told = facts(cli.ok("--version", "-v", "--conf", ".").out.partition("\n\n")[0])
    assert told["store"].startswith("not found: ")
    assert told["platform"] == platform.platform()


def test_a_package_that_is_missing_is_told() -> None:
    assert versions(["no-such-package"]) == {"no-such-package": "not installed"}


def test_what_cannot_be_traced_is_told() -> None:
    assert means_in_words({"a": True, "b": True}) == "a, b"
    assert means_in_words({"a": True, "b": False, "c": False}) == "a (not available: b, c)"


def test_looking_for_means_to_trace_leaves_no_descriptor_open(tmp_path: Path) -> None:
    tracing_means(tmp_path)
    first = os.open(os.devnull, os.O_RDONLY)
    os.close(first)
    tracing_means(tmp_path)
    assert os.dup(0) == first
    os.close(first)


def test_kernels_are_spawned_where_that_was_asked_for() -> None:
    assert kernel_start("spawn").startswith("spawn ")


def test_a_store_that_cannot_be_there_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert state_of_store(tmp_path) == "writable"
    assert state_of_store(file) == "not a folder"
    assert state_of_store(file / "inside") == "not there, cannot be created"
    assert state_of_store(tmp_path / "a" / "b") == "not there yet"


class OnAbsentDrive(type(Path())):  # type: ignore[misc]  # the class for this system
    """A path on a drive of Windows that does not exist: neither does any folder above it."""

    def exists(self, **_: object) -> bool:
        """Return False."""
        return False


def test_a_store_on_a_drive_that_does_not_exist_is_told(tmp_path: Path) -> None:
    place = OnAbsentDrive(tmp_path / "a" / "b")
    assert state_of_store(place) == "not there, cannot be created"
