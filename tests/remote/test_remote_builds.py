"""Builds with a shared store behind the local one: in a bucket, in a folder, on a site."""

from __future__ import annotations

import os
import shutil
import ssl
import threading
import time
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from buckets import Bucket
from support import Book
from support_cli import CommandLine

# Addresses of folders are put together as on POSIX systems.
pytestmark = [pytest.mark.kernel, pytest.mark.posix]
NAMES = ("a", "b", "c")
# The build itself, on a busy machine.
USUAL_SECONDS = 15


def fill(book: Book, remote: str, mode: str = "read-write") -> None:
    """Make a book of three notebooks: one makes a file, another one reads it."""
    book.conf(remote=remote, remote_mode=mode)
    book.write("helper.py", "def twice(number):\n    return 2 * number\n")
    book.write("data.csv", "1\n2\n")
    book.myst("a.md", "%%import helper\nprint(helper.twice(4))", "%%print('x' * 300_000)")
    book.ipynb("b.ipynb", "%%with open('made.csv', 'w') as file:\n    print('made', file=file)")
    book.myst("c.md", "%%print(open('made.csv').read(), open('data.csv').read())")
    book.index(*NAMES)


def clone(book: Book, folder: Path) -> Book:
    """Return a fresh clone of a book."""
    files = shutil.ignore_patterns("_build", "made.csv", "__pycache__")
    shutil.copytree(book.folder, folder, ignore=files)
    return Book(folder, book.counter)


def pages(book: Book) -> list[str]:
    return [book.page(name) for name in NAMES]


def helpers() -> list[int]:
    """Return the helpers that are alive."""
    return [
        process.pid
        for process in psutil.Process().children(recursive=True)
        if "sphinx_nbcache.sharing.helper" in " ".join(process.cmdline())
    ]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Book:
    """A book whose results are in a folder next to it."""
    top = tmp_path_factory.mktemp("published")
    made = Book(top / "project" / "book", top / "counter.txt")
    fill(made, f"file://{top}/share")
    built = made.build("-W")
    assert (built.status, set(built.ran)) == (0, {"a.md", "b.ipynb", "c.md"})
    assert "3 results published to" in built.log
    return made


@pytest.fixture
def share(published: Book, tmp_path: Path) -> Path:
    """A copy of the folder with the results."""
    return Path(shutil.copytree(published.folder.parents[1] / "share", tmp_path / "share"))


@pytest.fixture
def fresh(published: Book, share: Path, tmp_path: Path) -> Book:
    """A fresh clone of the book, which reads the copy."""
    made = clone(published, tmp_path / "elsewhere" / "book")
    made.counter = tmp_path / "counter.txt"
    for name in ("a.md", "b.ipynb", "c.md"):
        assert str(published.counter) in (made.folder / name).read_text(encoding="utf-8")
    made.counter = published.counter
    made.conf(remote=f"file://{share}")
    return made


def test_a_fresh_clone_with_a_filled_folder_runs_nothing_and_has_equal_pages(
    published: Book, fresh: Book
) -> None:
    built = fresh.build("-W", "-j", "2")
    assert (built.status, built.ran) == (0, ())
    assert pages(fresh) == pages(published)
    assert (fresh.folder / "made.csv").read_text(encoding="utf-8") == "made\n"


def test_a_fresh_clone_with_a_filled_bucket_runs_nothing_and_has_equal_pages(
    book: Book, bucket: Bucket, tmp_path: Path
) -> None:
    fill(book, bucket.url)
    assert "3 results published to s3://results/a/prefix" in book.build("-W", "-j", "2").log
    other = clone(book, tmp_path / "elsewhere" / "book")
    built = other.build("-W", "-j", "2")
    assert (built.status, built.ran) == (0, ())
    assert pages(other) == pages(book)
    # What is fetched is none of this account, so that it is not published either.
    assert "published" not in built.log
    assert helpers() == []


def test_what_does_not_hold_here_runs(fresh: Book) -> None:
    fresh.write("data.csv", "3\n")
    assert fresh.build().ran == ("c.md",)


def test_the_command_line_uses_the_shared_store_as_a_build_does(
    fresh: Book, cli: CommandLine
) -> None:
    ran = fresh.runs()
    cli.ok("execute", "--conf", fresh.folder, "-p", fresh.store)
    assert fresh.runs() == ran


def test_a_build_with_nothing_changed_asks_nothing(fresh: Book, share: Path) -> None:
    fresh.build()
    shutil.rmtree(share)
    share.write_text("not a folder", encoding="utf-8")
    built = fresh.build("-W")
    assert (built.status, built.ran) == (0, ())
    assert "not used" not in built.log


def test_results_of_frozen_builds_come_from_the_shared_store(fresh: Book) -> None:
    built = fresh.build("-W", "-D", "nbcache_execute=frozen")
    assert (built.status, built.ran) == (0, ())


def test_a_forced_run_runs(fresh: Book) -> None:
    assert set(fresh.build("-D", "nbcache_execute=force").ran) == {"a.md", "b.ipynb", "c.md"}


# -- trouble

TROUBLES = {
    "down": "Connection refused",
    "forbidden": "403",
    "garbage": "",
    "broken": "500",
    "silent": "takes too long",
    "hangs": "takes too long",
    "cut": "",
    "drips": "takes too long",
    "slow": "",
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_remote_in_trouble_costs_ten_seconds_at_most_and_no_build(
    book: Book, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    fill(book, bucket.url)
    begin = time.monotonic()
    book.build()
    usual = time.monotonic() - begin
    other = clone(book, tmp_path / "elsewhere" / "book")
    with bucket.behind(trouble) as port:
        for name, value in bucket.environment(port).items():
            monkeypatch.setenv(name, value)
        begin = time.monotonic()
        built = other.build("-W")
        seconds = time.monotonic() - begin
    assert built.status == 0
    assert seconds < usual + 10
    assert pages(other) == pages(book)
    lines = [
        line for line in built.log.splitlines() if "is not used any more in this build" in line
    ]
    if trouble == "slow" and not lines:
        assert built.ran == ()  # it was slow, and not too slow
        return
    # What had arrived as a whole is used.
    ran = {"a.md"} if trouble in {"hangs", "cut"} else {"a.md", "b.ipynb", "c.md"}
    assert ran <= set(built.ran)
    (line,) = lines
    assert "s3://results/a/prefix is not used" in line
    assert TROUBLES[trouble] in line
    assert helpers() == []


def test_a_file_server_that_does_not_answer_costs_ten_seconds_at_most(
    fresh: Book, share: Path
) -> None:
    (pack,) = (share / "nbcache-2" / "p").iterdir()
    pack.unlink()
    os.mkfifo(pack)
    begin = time.monotonic()
    built = fresh.build("-W")
    assert (built.status, len(set(built.ran))) == (0, 3)
    assert time.monotonic() - begin < USUAL_SECONDS + 10
    assert "a request takes too long" in built.log


CHANGES = {
    "garbage": lambda _old: b"garbage",
    "empty": lambda _old: b"",
    "half": lambda old: old[: len(old) // 2],
    "longer": lambda old: old + b"x",
    "bit": lambda old: old[:-9] + bytes([old[-9] ^ 1]) + old[-8:],
    "gone": None,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", ["b", "o"])
def test_a_notebook_whose_object_was_changed_runs_and_no_other(
    fresh: Book, share: Path, kind: str, change: str
) -> None:
    folder = share / "nbcache-2"
    # That of a.md has more than all others.
    path = max((folder / kind).iterdir(), key=lambda path: path.stat().st_size)
    if kind == "o":
        path = bundle_of("a.md", folder)
    if (spoil := CHANGES[change]) is None:
        path.unlink()
    else:
        path.write_bytes(spoil(path.read_bytes()))
    built = fresh.build("-W")
    assert (built.status, built.ran) == (0, ("a.md",))
    assert ("is not what was written" in built.log) == (change != "gone")


def bundle_of(notebook: str, folder: Path) -> Path:
    from sphinx_nbcache.sharing.packing import Line, lines_of, offer_of

    (pack,) = (folder / "p").iterdir()
    offers = [offer_of(line) for line in lines_of(pack.read_bytes()) if isinstance(line, Line)]
    (found,) = (o.bundle for o in offers if o.result.notebook.endswith(notebook))
    return folder / "o" / found


# -- by https


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name)
        """Say nothing."""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """A web server with a certificate; its address, and the folder that it serves."""
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    folder = tmp_path / "site"
    folder.mkdir()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"https://localhost:{server.server_port}/results", folder / "results"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_site_serves_what_was_published_to_the_folder_behind_it(
    fresh: Book, share: Path, site: tuple[str, Path]
) -> None:
    url, folder = site
    share.rename(folder)
    fresh.conf(remote=url)
    built = fresh.build("-W")
    assert (built.status, built.ran) == (0, ())


def test_an_archive_that_is_unpacked_on_a_site_is_a_shared_store(
    published: Book, fresh: Book, cli: CommandLine, site: tuple[str, Path]
) -> None:
    url, folder = site
    cli.ok("cache", "export", "r.zip", "-p", published.store)
    with zipfile.ZipFile(cli.folder / "r.zip") as archive:
        archive.extractall(folder)
    fresh.conf(remote=url)
    assert fresh.build("-W").ran == ()


def test_a_site_is_not_written_to_and_a_warning_says_so(
    fresh: Book, site: tuple[str, Path]
) -> None:
    url, _ = site
    fresh.conf(remote=url, remote_mode="read-write")
    built = fresh.build()
    assert len(set(built.ran)) == 3
    assert "nothing is published: a site can only be read" in built.warnings
