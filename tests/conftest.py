"""What every test has: an empty home directory, and books to build."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import processes
import pytest
from buckets import Bucket, s3_server
from hypothesis import HealthCheck, settings
from support import Book
from support_cli import CommandLine
from tracing import Shells

from sphinx_nbcache.kernels.choosing import KernelStarts
from sphinx_nbcache.kernels.fitting import may_fork

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("default")


def pytest_configure() -> None:
    """Take signals, and let processes that tests start take them, also under `nohup` and `&`.

    A signal that is ignored when Python starts stays ignored, in its child processes as well.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip on Windows what needs a POSIX system."""
    if sys.platform == "win32":
        for item in items:
            if item.get_closest_marker("posix"):
                item.add_marker(pytest.mark.skip(reason="needs a POSIX system"))


@pytest.fixture(autouse=True, scope="session")
def _no_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the tests, and the kernels that they start, out of the real home directory."""
    home = tmp_path_factory.mktemp("home")
    for name in ("HOME", "USERPROFILE"):
        os.environ[name] = str(home)
    for name in (
        "IPYTHONDIR",
        "JUPYTER_CONFIG_DIR",
        "JUPYTER_DATA_DIR",
        "XDG_CACHE_HOME",
        "XDG_DATA_HOME",
    ):
        os.environ[name] = str(home / name.lower())
    for name in ("JUPYTERCACHE", "NBCACHE_SECRET", "SOURCE_DATE_EPOCH", "JUPYTER_PLATFORM_DIRS"):
        os.environ.pop(name, None)
    # Sphinx colours its output where one of the first two is set, also where nothing is a terminal
    # (Sphinx 9.0, `sphinx._cli.util.colour.terminal_supports_colour`).
    for name in ("CI", "FORCE_COLOR", "NO_COLOR"):
        os.environ.pop(name, None)
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"):
        os.environ.pop(name, None)


@pytest.fixture(autouse=True, scope="session")
def _bytecode(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep compiled modules for the many processes that are started, for this session only.

    Where Python may not write bytecode, every build and every kernel would compile all that it
    imports. That takes most of its time.
    """
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        shared = tmp_path_factory.getbasetemp()
        if "PYTEST_XDIST_WORKER" in os.environ:
            shared = shared.parent
        os.environ["PYTHONPYCACHEPREFIX"] = str(shared / "bytecode")


@pytest.fixture(scope="session")
def _forks() -> Iterator[KernelStarts]:
    """Kernels by fork: what is expensive of them is kept for the session."""
    from sphinx_nbcache.kernels.forked.starts import kernel_starts

    told: list[str] = []
    with kernel_starts("fork", (), list, lambda notice: told.append(notice.text)) as starts:
        yield starts
    # Else the tests have not seen what they are for.
    assert [text for text in told if "folder is not there" not in text] == []


@pytest.fixture(scope="session")
def _lights() -> Iterator[KernelStarts]:
    """Light kernels."""
    from sphinx_nbcache.kernels.forked.starts import kernel_starts

    told: list[str] = []
    with kernel_starts("light", (), list, lambda notice: told.append(notice.text)) as starts:
        yield starts
    assert [text for text in told if "folder is not there" not in text] == []


_BY_FORK = [
    pytest.param(way, marks=pytest.mark.skipif(not may_fork("fork"), reason="works on Linux only"))
    for way in ("fork", "light")
]


@pytest.fixture(params=["spawn", *_BY_FORK])
def starts(request: pytest.FixtureRequest) -> KernelStarts:
    """All ways to start kernels, one after the other."""
    if request.param == "spawn":
        return KernelStarts()
    made: KernelStarts = request.getfixturevalue("_forks" if request.param == "fork" else "_lights")
    return made


@pytest.fixture(autouse=True, scope="session")
def _servers(_no_home: None, _bytecode: None) -> Iterator[None]:
    """End the servers that builds are forked from; they have the environment of a session."""
    yield
    processes.end_servers()


@pytest.fixture
def book(tmp_path: Path) -> Book:
    """An empty book."""
    made = Book(tmp_path / "project" / "book", tmp_path / "counter.txt")
    made.conf()
    return made


@pytest.fixture
def cli(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """The command line in an empty folder."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "JUPYTERCACHE"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "work"
    folder.mkdir()
    return CommandLine(folder, capsys)


@pytest.fixture(scope="module")
def shells() -> Iterator[Shells]:
    """A process that runs cells in forks, for all tests of a module."""
    server = Shells()
    yield server
    server.close()


@pytest.fixture(scope="session")
def _s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    server = os.environ.get("NBCACHE_MOTO_SERVER", "moto_server")
    if shutil.which(server) is None or importlib.util.find_spec("obstore") is None:
        # `nox -s remote` installs both.
        assert "NBCACHE_NEEDS_REMOTE" not in os.environ
        pytest.skip("needs the extra `remote`, and moto")
    with s3_server(tmp_path_factory.mktemp("s3") / "log") as made:
        yield made


@pytest.fixture
def bucket(_s3: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket, which clients find by the environment."""
    _s3.empty()
    for name, value in _s3.environment().items():
        monkeypatch.setenv(name, value)
    return _s3
