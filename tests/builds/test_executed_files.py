"""Executed notebooks as files, and links to them: what is written, and what is never touched."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from support import Book, code_cell

LIST = "nbcache-files.json"
pytestmark = pytest.mark.kernel


def folder_of(book: Book) -> Path:
    return book.folder / "_build" / "jupyter_execute"


def written(book: Book, docname: str) -> Any:
    """Return the executed copy of a notebook."""
    return json.loads((folder_of(book) / f"{docname}.ipynb").read_text("utf-8"))


def outputs_in(notebook: Any) -> list[Any]:
    """Return the outputs of all code cells, as the text of streams or the kind of others."""
    return [
        "".join(output["text"]) if output["output_type"] == "stream" else output["output_type"]
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
        for output in cell["outputs"]
    ]


def stats(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.stat().st_ino)
        for path in folder.rglob("*")
    }


def downloads(book: Book, output: str = "html") -> dict[str, str]:
    """Return the texts of the files that pages offer, by name."""
    found = (book.folder / "_build" / output / "_downloads").rglob("*.*")
    return {path.name: path.read_text("utf-8") for path in found}


@pytest.fixture
def small(book: Book) -> Book:
    """A book that writes executed notebooks: one in a subfolder, one that fails."""
    book.conf(write_executed=True)
    book.index("guide/fit", "ipy", "bad")
    book.myst("guide/fit.md", "Text.", "%%\nprint('fitted')")
    book.ipynb("ipy.ipynb", "%%\nprint('from ipynb')", counts=False, author="me")
    book.myst("bad.md", "%%\nprint('before')\n1 / 0", "%%\nprint('after')", counts=False)
    return book


def test_each_notebook_is_written_with_its_outputs_also_if_it_failed(small: Book) -> None:
    sources = small.sources()
    small.build("-j", "2")
    fit = written(small, "guide/fit")
    assert outputs_in(fit) == ["fitted\n"]
    assert fit["metadata"]["kernelspec"]["name"] == "python3"
    assert fit["metadata"]["language_info"]["name"] == "python"
    assert outputs_in(written(small, "ipy")) == ["from ipynb\n"]
    assert written(small, "ipy")["metadata"]["author"] == "me"
    assert outputs_in(written(small, "bad")) == ["before\n", "error"]
    for path in folder_of(small).rglob("*.ipynb"):
        nbformat.validate(nbformat.read(path, as_version=4))
    assert small.sources() == sources
    assert not (folder_of(small) / "nbcache-report.ipynb").exists()


def test_an_unchanged_build_writes_nothing_and_a_missing_file_is_written_again(
    small: Book,
) -> None:
    small.build()
    before = stats(folder_of(small))
    small.build()
    assert stats(folder_of(small)) == before
    fit = folder_of(small) / "guide" / "fit.ipynb"
    content = fit.read_bytes()
    shutil.rmtree(fit.parent)
    assert small.build().ran == ()
    assert fit.read_bytes() == content


def test_a_file_that_was_only_touched_is_not_written_again(small: Book) -> None:
    small.build()
    for path in [*folder_of(small).rglob("*.ipynb"), *small.folder.glob("*.ipynb")]:
        os.utime(path, (1, 1))
    before = stats(folder_of(small))
    small.build()
    after = stats(folder_of(small))
    # The list has the new times.
    assert {name for name in after if before.get(name) != after[name]} <= {LIST}
    assert small.build().ran == ()


def test_a_changed_notebook_is_written_again_and_one_that_is_gone_is_removed(small: Book) -> None:
    small.build()
    small.myst("guide/fit.md", "Other text.", "%%\nprint('again')")
    (small.folder / "ipy.ipynb").unlink()
    small.write("bad.md", "# No notebook any more\n")
    small.build()
    fit = written(small, "guide/fit")
    assert outputs_in(fit) == ["again\n"]
    assert "Other text." in json.dumps(fit)
    assert sorted(path.name for path in folder_of(small).rglob("*.ipynb")) == ["fit.ipynb"]


def test_two_builders_share_the_files_also_if_one_leaves_out_a_notebook(small: Book) -> None:
    small.build()
    before = stats(folder_of(small))
    small.build(builder="text")
    small.build("-D", "exclude_patterns=_build,bad.md", builder="xml")
    assert stats(folder_of(small)) == before


def test_two_builds_at_once_write_the_same_files(small: Book) -> None:
    builds = [small.start(builder=name, trees=name) for name in ("html", "text")]
    logs = [build.communicate(timeout=200)[0] for build in builds]
    assert [build.returncode for build in builds] == [0, 0], logs
    assert not any("nbcache.executed" in log for log in logs), logs
    assert outputs_in(written(small, "guide/fit")) == ["fitted\n"]
    assert len([*folder_of(small).rglob("*")]) == len(["guide", LIST, "fit", "ipy", "bad"])
    small.build("-D", "nbcache_execute=frozen")
    assert outputs_in(written(small, "guide/fit")) == ["fitted\n"]


def test_a_notebook_that_is_shown_as_it_is_is_written_as_it_is(book: Book) -> None:
    book.conf(write_executed=True, exclude=["stored.ipynb", "text.md"])
    book.index("stored", "text")
    stream = {"output_type": "stream", "name": "stdout", "text": "stored"}
    book.ipynb("stored.ipynb", code_cell("0", outputs=[stream], count=7), counts=False)
    book.myst("text.md", "%%\nprint('never run')", counts=False)
    book.build()
    copy = folder_of(book) / "stored.ipynb"
    assert copy.read_bytes() == (book.folder / "stored.ipynb").read_bytes()
    assert outputs_in(written(book, "text")) == []
    book.build("-D", "nbcache_execute=frozen", "-D", "nbcache_exclude=stored.ipynb")
    assert outputs_in(written(book, "text")) == []


def test_the_files_are_not_read_when_they_are_no_longer_written(small: Book) -> None:
    small.build()
    small.conf("exclude_patterns = []")
    assert "jupyter_execute" not in small.build().log


def test_nothing_is_written_unless_the_option_says_so(book: Book) -> None:
    book.index("a")
    book.myst("a.md")
    book.build()
    assert not folder_of(book).exists()


def test_a_copy_that_the_user_has_edited_stays_and_is_named(small: Book) -> None:
    small.build()
    fit = folder_of(small) / "guide" / "fit.ipynb"
    fit.write_text("mine", "utf-8")
    for _ in range(2):
        built = small.build()
        assert "1 executed notebook not written" in built.warnings
        assert "guide/fit.ipynb (no build has written what is there)" in built.warnings
        assert "nbcache_write_executed" in built.warnings
        assert fit.read_text("utf-8") == "mine"
    (small.folder / "guide" / "fit.md").unlink()
    small.build()
    assert fit.read_text("utf-8") == "mine"


def copied(book: Book) -> dict[str, bytes]:
    """Return the executed copies, by name."""
    found = folder_of(book).rglob("*.ipynb")
    return {path.relative_to(folder_of(book)).as_posix(): path.read_bytes() for path in found}


def test_a_file_of_the_user_with_the_same_content_is_linked_to_and_never_removed(
    small: Book,
) -> None:
    small.write("page.md", "# Page\n\n{nb-download}`ipy.ipynb`\n")
    small.index("guide/fit", "ipy", "bad", "page")
    small.build()
    listed = folder_of(small) / LIST
    kept = json.loads(listed.read_text("utf-8"))
    # From now on, no build has written it.
    del kept["files"]["ipy.ipynb"]
    listed.write_text(json.dumps(kept), "utf-8")
    mine = copied(small)["ipy.ipynb"]
    built = small.build(output="again")
    assert built.warnings.count("nbcache.executed") == 0
    assert "from ipynb" in downloads(small, "again")["ipy.ipynb"]
    (small.folder / "ipy.ipynb").unlink()
    (small.folder / "page.md").unlink()
    small.build()
    assert copied(small)["ipy.ipynb"] == mine


KILLED = """
import os, signal
from sphinx_nbcache.files import owned
before, place = [], owned.place
def die(*arguments):
    if len(before) == {files}:
        os.kill(os.getpid(), signal.SIGKILL)
    before.append(place(*arguments))
owned.place = die
"""


@pytest.mark.parametrize("files", [0, 1, 2])
def test_files_of_a_build_that_was_killed_are_replaced_and_removed_later(
    small: Book, files: int
) -> None:
    small.conf(KILLED.format(files=files), write_executed=True)
    small.start().communicate(timeout=200)
    assert len(copied(small)) == files
    small.myst("bad.md", "%%\nprint('other')")
    small.myst("guide/fit.md", "%%\nprint('other')")
    small.conf(write_executed=True)
    assert "nbcache.executed" not in small.build().warnings
    assert outputs_in(written(small, "bad")) == ["other\n"]
    # And a build that is killed while it replaces them.
    small.myst("bad.md", "%%\nprint('third')")
    small.myst("guide/fit.md", "%%\nprint('third')")
    small.conf(KILLED.format(files=1), write_executed=True)
    small.start().communicate(timeout=200)
    for name in ("bad.md", "guide/fit.md", "ipy.ipynb"):
        (small.folder / name).unlink()
    small.conf(write_executed=True)
    assert "nbcache.executed" not in small.build().warnings
    assert copied(small) == {}


FOREIGN_LISTS = {
    "mine": '{"mine": 1}',
    "no JSON": "mine",
    "another version": '{"writer": "sphinx_nbcache", "version": 3, "source": "../..", "files": {}}',
    "another writer": '{"writer": "me", "version": 2, "source": "../..", "files": {}}',
    "no files": '{"writer": "sphinx_nbcache", "version": 2, "source": "../..", "files": 1}',
}


@pytest.mark.parametrize("text", FOREIGN_LISTS.values(), ids=FOREIGN_LISTS)
def test_a_folder_whose_list_no_build_has_written_is_refused(small: Book, text: str) -> None:
    small.write(f"_build/jupyter_execute/{LIST}", text)
    built = small.build()
    assert "is not a list that a build has written" in built.warnings
    assert "nbcache_write_executed" in built.warnings
    assert stats(folder_of(small)).keys() == {LIST}
    assert (folder_of(small) / LIST).read_text("utf-8") == text


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_a_list_that_is_no_file_is_not_replaced(small: Book, kind: str) -> None:
    listed = folder_of(small) / LIST
    listed.parent.mkdir(parents=True)
    mine = small.write("mine.json", "{}")
    if kind == "link":
        listed.symlink_to(mine)
    elif kind == "folder":
        listed.mkdir()
    else:
        os.mkfifo(listed)
    before = stats(folder_of(small))
    assert "nbcache_write_executed" in small.build().warnings
    assert stats(folder_of(small)) == before


@pytest.mark.parametrize("what", ["folder", "list"])
def test_a_folder_or_list_that_cannot_be_read_is_refused(small: Book, what: str) -> None:
    small.build()
    path = folder_of(small) / (LIST if what == "list" else "")
    path.chmod(0)
    try:
        if os.access(path, os.R_OK):
            pytest.skip("this account may read everything")
        built = small.build()
    finally:
        path.chmod(0o755)
    assert built.status == 0
    assert "Permission denied; name another folder in nbcache_write_executed" in built.warnings
    assert small.build().warnings.count("nbcache.executed") == 0


def test_a_link_that_leads_to_itself_is_refused(small: Book) -> None:
    folder_of(small).parent.mkdir()
    folder_of(small).symlink_to(folder_of(small))
    built = small.build()
    assert built.status == 0
    assert "name another folder in nbcache_write_executed" in built.warnings


def test_a_folder_of_another_project_is_refused(small: Book, tmp_path: Path) -> None:
    other = Book(tmp_path / "other", tmp_path / "their counter.txt")
    shared = tmp_path / "shared"
    small.conf(write_executed=str(shared))
    other.conf(write_executed=str(shared))
    other.index("theirs")
    other.myst("theirs.md", "%%\nprint('theirs')")
    small.build()
    before = stats(shared)
    built = other.build()
    assert "the executed notebooks of another project" in built.warnings
    assert "name another folder in nbcache_write_executed" in built.warnings
    assert stats(shared) == before
    assert str(tmp_path) not in (shared / LIST).read_text("utf-8")
    assert "nbcache.executed" not in small.build().warnings
    assert stats(shared) == before


def test_a_link_in_the_place_of_a_copy_is_not_followed(small: Book, tmp_path: Path) -> None:
    small.build()
    mine = tmp_path / "mine.ipynb"
    fit = folder_of(small) / "guide" / "fit.ipynb"
    mine.write_bytes(fit.read_bytes())
    fit.unlink()
    fit.symlink_to(mine)
    small.myst("guide/fit.md", "%%\nprint('again')")
    before = mine.read_bytes()
    assert "guide/fit.ipynb" in small.build().warnings
    assert mine.read_bytes() == before
    assert fit.is_symlink()


@pytest.mark.parametrize("option", [".", "..", "guide", "made", "conf.py"])
def test_a_folder_with_files_of_the_user_is_refused(book: Book, option: str) -> None:
    book.conf(write_executed=option)
    book.index("guide/fit", "fit")
    book.myst("guide/fit.md", "%%\nprint('fitted')")
    # The executed copies would replace this notebook, or have its name.
    book.ipynb("fit.ipynb", "%%\nprint('mine')")
    book.write("made/guide/fit.ipynb", "a file of the user's")
    before = book.sources()
    built = book.build("-D", "exclude_patterns=_build,made")
    assert "executed notebooks are not written" in built.warnings
    assert "nbcache_write_executed" in built.warnings
    assert book.sources() == before
    assert "fitted" in book.page("guide/fit")


def test_a_new_folder_in_the_source_directory_is_written_and_not_read(book: Book) -> None:
    book.conf(write_executed="executed")
    book.index("guide/fit")
    book.myst("guide/fit.md", "%%\nprint('fitted')")
    for _ in range(2):
        built = book.build()
        assert built.warnings == ""
        assert (book.folder / "executed" / "guide" / "fit.ipynb").is_file()
        assert not (book.folder / "_build" / "html" / "executed").exists()
    assert built.ran == ()


@pytest.mark.parametrize(
    "later", ["", "nbcache_write_executed = False", "nbcache_write_executed = 'other'"]
)
def test_a_folder_that_the_option_no_longer_names_has_no_documents(book: Book, later: str) -> None:
    book.index("guide/fit")
    book.myst("guide/fit.md", "%%\nprint('fitted')")
    book.conf(write_executed="old/executed")
    book.build()
    # The user's own notebook next to that folder stays a document.
    book.ipynb("old/mine.ipynb", "%%\nprint('mine')")
    book.index("guide/fit", "old/mine")
    book.conf(later)
    for _ in range(2):
        built = book.build()
        assert built.warnings == ""
        assert not (book.folder / "_build" / "html" / "old" / "executed").exists()
    assert "mine" in book.page("old/mine")
    assert built.read == (0, 0, 0)
    assert book.runs() == ("guide/fit.md", "old/mine.ipynb")


def test_a_list_that_others_have_written_removes_nothing_elsewhere(small: Book) -> None:
    small.build()
    mine = small.write("mine.ipynb.txt", "mine")
    listed = folder_of(small) / LIST
    kept = json.loads(listed.read_text("utf-8"))
    entry = next(iter(kept["files"].values()))
    digest = hashlib.sha256(b"mine").hexdigest()
    for name in ("../../mine.ipynb.txt", str(mine), "../x/../../mine.ipynb.txt"):
        kept["files"][name] = [entry[0], [digest], entry[2]]
    listed.write_text(json.dumps(kept), "utf-8")
    small.build()
    assert mine.read_text("utf-8") == "mine"


def test_a_page_links_to_executed_copies(small: Book) -> None:
    small.write(
        "guide/page.md",
        "# Page\n\n{nb-download}`fit.ipynb`, {nb-download}`the other <../ipy.ipynb>`,"
        " {nb-download}`a script </guide/fit.py>`\n",
    )
    small.index("guide/fit", "guide/page", "ipy", "bad")
    built = small.build("-j", "2")
    assert "nb-download" not in built.warnings
    page = small.page("guide/page")
    assert '>the</span> <span class="pre">other</span>' in page
    assert page.count('class="reference download') == 3
    found = downloads(small)
    assert found.keys() == {"fit.ipynb", "ipy.ipynb", "fit.py"}
    assert "fitted" in found["fit.ipynb"]
    assert "# %%" in found["fit.py"]
    # When a notebook changes, so do the downloads; and then all is as before.
    small.myst("guide/fit.md", "%%\nprint('again')")
    small.build()
    assert "again" in downloads(small)["fit.ipynb"]
    assert "again" in downloads(small)["fit.py"]
    assert small.build().read == (0, 0, 0)
    small.build(builder="text")
    assert "the other" in small.page("guide/page", builder="text")


def test_a_link_without_a_copy_is_a_text_and_a_warning(book: Book) -> None:
    book.index("a", text=":nb-download:`the notebook <a.ipynb>` :nb-download:`b.ipynb`")
    book.myst("a.md")
    built = book.build()
    assert "index.rst:4: WARNING: nb-download: `a` has no executed copy" in built.warnings
    assert "set nbcache_write_executed = True" in built.warnings
    assert "there is no notebook `b`" in built.warnings
    assert "[nbcache.executed]" in built.warnings
    assert '>the</span> <span class="pre">notebook</span>' in book.page("index")
    assert "_downloads" not in book.page("index")
    book.index("alpha", text=":nb-download:`alhpa.ipynb`")
    book.myst("alpha.md")
    assert "did you mean `alpha`?" in book.build().warnings


def test_launch_buttons_have_their_notebooks(book: Book) -> None:
    book.index("a")
    book.myst("a.md")
    book.conf("html_theme_options = {'launch_buttons': {'thebe': True}}")
    book.build()
    assert (folder_of(book) / "a.ipynb").is_file()
    assert "launch_buttons" in book.build("-D", "nbcache_write_executed=0").warnings
