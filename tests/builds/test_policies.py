"""Failure policies and the environment of runs, as options and metadata: in whole builds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import Book, code_cell

pytestmark = pytest.mark.kernel


def report(book: Book) -> dict[str, dict[str, object]]:
    """Return what the report file says of each notebook, by path."""
    text = (book.folder / "_build/html/nbcache-report.json").read_text(encoding="utf-8")
    return {item["path"]: item for item in json.loads(text)["notebooks"]}


def raising(source: str, **metadata: object) -> dict[str, object]:
    """Return a code cell of an `.ipynb` file with these metadata."""
    return code_cell(source) | {"metadata": metadata}


def test_errors_are_allowed_in_notebooks_that_match_a_glob(book: Book) -> None:
    book.conf(allow_errors=["errors/*", "*.md"])
    book.index("errors/a", "b", "c")
    for name in ("errors/a.ipynb", "b.md", "c.ipynb"):
        write = book.ipynb if name.endswith("ipynb") else book.myst
        write(name, "# N", f"%%\n1 / 0 # {name}", "%%\nprint('went', 'on')", counts=False)
    built = book.build()
    assert "c.ipynb" in built.warnings
    assert built.warnings.count("the notebook failed") == 1
    assert "went on" in book.page("errors/a")
    assert "went on" in book.page("b")
    # A pattern less is a change of rules, not of code: only what is concerned is run.
    book.conf(allow_errors=["*.ipynb", "errors/*"])
    built = book.build()
    assert "b.md" in built.warnings
    assert "which is no longer allowed" in built.log
    assert "went on" in book.page("c")


def test_globs_can_be_given_on_the_command_line(book: Book) -> None:
    book.conf()
    book.index("a", "b")
    for name in ("a.ipynb", "b.ipynb"):
        book.ipynb(name, "# N", "%%\n1 / 0", counts=False)
    built = book.build("-D", "nbcache_allow_errors=a.*")
    assert "b.ipynb" in built.warnings
    assert "a.ipynb" not in built.warnings
    assert "b.ipynb" not in book.build("-D", "nbcache_allow_errors=1").warnings


def test_promised_exceptions_are_allowed_and_those_that_did_not_come_are_told_in_every_build(
    book: Book,
) -> None:
    book.conf()
    book.index("kept", "broken", "silent")
    myst = "# K\n\n```{code-cell}\n:raises: ValueError, LookupError\n\n{}['a']\n```\n"
    front = "---\nkernelspec:\n  name: python3\n  display_name: P\n---\n"
    book.write("kept.md", front + myst)
    book.ipynb("broken.ipynb", "# B", raising("1 / 0", raises=["KeyError"]), counts=False)
    book.ipynb("silent.ipynb", "# S", raising("1", raises="KeyError, OSError"))
    for _ in range(2):
        built = book.build()
        assert "kept.md" not in built.warnings
        assert "the notebook failed in code cell 1, line 1: ZeroDivisionError" in built.warnings
        assert "(not KeyError, as its metadata promise)" in built.warnings
        silent = next(line for line in built.warnings.splitlines() if "silent.ipynb" in line)
        assert "code cell 2 raised no exception" in silent
        assert "KeyError or OSError" in silent
        assert "[nbcache.raises]" in silent
        assert report(book)["silent.ipynb"]["failed"] is False
        assert "promise KeyError or OSError" in str(report(book)["silent.ipynb"]["silent"])
        assert "promise KeyError or OSError" in book.page("nbcache-report")
    assert "KeyError" in book.page("kept")
    assert book.runs() == ("silent.ipynb",)
    # Another promise is no change of code.
    book.ipynb("silent.ipynb", "# S", raising("1"))
    built = book.build("-q")
    assert "silent.ipynb" not in built.warnings
    assert book.runs() == ("silent.ipynb",)


def test_a_promise_that_is_none_is_named_with_its_cell_and_left_out(book: Book) -> None:
    book.conf()
    book.ipynb("index.ipynb", "# I", raising("1", raises=["a b"]), raising("2", raises=3))
    built = book.build()
    assert "raises = ['a b'] of code cell 2 is not a list of names of exceptions" in built.warnings
    assert "raises = 3 of code cell 3 is not a list of names of exceptions" in built.warnings
    assert book.build().ran == ()


def flaky(counter: Path) -> str:
    """Return a cell that fails on its first run."""
    return (
        f"%%\nf = open({str(counter)!r}, 'a+'); f.write('x'); n = f.tell(); f.close()\n"
        "if n < 2: raise ConnectionError('no answer')\nprint('went', 'well')"
    )


def test_a_flaky_notebook_is_retried_and_that_is_told_and_recorded(
    book: Book, tmp_path: Path
) -> None:
    counter = tmp_path / "attempts"
    book.conf(retries=1, ignore=[f"{tmp_path}/attempts"])
    book.ipynb("index.ipynb", "# I", flaky(counter))
    built = book.build()
    assert built.warnings == ""
    assert built.ran == ("index.ipynb",) * 2
    assert "executed at attempt 2: index.ipynb (before: ConnectionError: no answer)" in built.log
    assert "went well" in book.page("index")
    told = "attempt 1 failed in code cell 2: ConnectionError: no answer"
    assert report(book)["index.ipynb"]["retried"] == [told]
    assert told in book.page("nbcache-report")
    again = book.build()
    assert again.ran == ()
    assert report(book)["index.ipynb"]["retried"] == [told]


def test_a_notebook_says_itself_how_often_it_is_retried(book: Book, tmp_path: Path) -> None:
    book.conf(retries=5)
    cells = (flaky(tmp_path / "attempts"),)
    book.ipynb("index.ipynb", "# I", *cells, nbcache={"retries": 0})
    built = book.build()
    assert "ConnectionError: no answer" in built.warnings
    assert built.ran == ("index.ipynb",)


def test_a_result_that_read_what_a_failed_attempt_had_written_is_not_reused(book: Book) -> None:
    book.conf(retries=1)
    book.write("input.txt", "1")
    book.ipynb(
        "index.ipynb",
        "# I",
        "%%\nimport os\nfirst = not os.path.exists('made.txt')\n"
        "if first: open('made.txt', 'w').write(open('input.txt').read())",
        "%%\nassert not first\nprint('value', open('made.txt').read())",
    )
    assert "value 1" in (book.build(), book.page("index"))[1]
    # Nothing of the last attempt tells that the value comes from this file.
    book.write("input.txt", "2")
    built = book.build()
    assert "made.txt changed while an attempt that failed ran" in built.log
    assert "index.ipynb" in built.ran


def test_a_kernel_works_where_option_and_metadata_say(book: Book) -> None:
    book.write("pyproject.toml", "")
    book.write("where.txt", "the root")
    book.write("sub/where.txt", "the folder")
    book.index("sub/a", "sub/b")
    book.ipynb("sub/a.ipynb", "# A", "%%\nprint('in', open('where.txt').read())")
    book.ipynb(
        "sub/b.ipynb",
        "# B",
        "%%\nimport os\nprint('there is', *os.listdir())",
        nbcache={"run_in": "temp", "assets": ["where.txt"]},
    )
    book.conf()
    book.build()
    assert "in the folder" in book.page("sub/a")
    assert "there is where.txt" in book.page("sub/b")
    book.conf(run_in="root")
    built = book.build()
    assert built.ran == ("sub/a.ipynb",)
    assert "it is now run in the root" in built.log
    assert "in the root" in book.page("sub/a")
    assert book.build().ran == ()
    # What it reads is followed there.
    book.write("sub/where.txt", "another folder")
    assert book.build().ran == ("sub/b.ipynb",)
    book.write("where.txt", "the new root")
    built = book.build()
    assert built.ran == ("sub/a.ipynb",)
    assert "where.txt changed" in built.log
    book.conf(run_in="notebook")
    built = book.build()
    assert built.ran == ("sub/a.ipynb",)
    assert "in another folder" in book.page("sub/a")
    book.conf(run_in="temp")
    built = book.build()
    assert "it is now run in a temporary folder" in built.log
    assert "FileNotFoundError" in built.warnings


def test_notebooks_have_the_variables_of_the_option_and_run_again_when_one_changes(
    book: Book,
) -> None:
    book.index("a", "b")
    code = "%%\nimport os\nprint('colour', os.environ.get('NBC_COLOUR'), os.environ.get('HOME'))"
    book.ipynb("a.ipynb", "# A", code)
    book.ipynb("b.ipynb", "# B", "%%bash\necho colour $NBC_COLOUR".replace("%%", "%%\n%%"))
    book.conf(environment={"NBC_COLOUR": "red", "HOME": None, "NBC_TOKEN": "1"})
    book.build()
    assert "colour red None" in book.page("a")
    assert "colour red" in book.page("b")
    assert book.build().ran == ()
    book.conf(environment={"NBC_COLOUR": "red", "HOME": None, "NBC_TOKEN": "2"})
    built = book.build()
    assert sorted(built.ran) == ["a.ipynb", "b.ipynb"]
    assert "environment variable NBC_TOKEN changed" in built.log
    # A program that reads it is not seen to do so.
    book.conf(environment={"NBC_COLOUR": "blue", "HOME": None, "NBC_TOKEN": "2"})
    built = book.build()
    assert sorted(built.ran) == ["a.ipynb", "b.ipynb"]
    assert "environment variable NBC_COLOUR changed" in built.log
    assert "colour blue" in book.page("b")
    book.conf(environment={"NBC_COLOUR": "red", "HOME": None, "NBC_TOKEN": "2"})
    assert book.build().ran == ()
    assert "colour red" in book.page("b")
    book.conf()
    assert sorted(book.build().ran) == ["a.ipynb", "b.ipynb"]


def test_where_the_environment_does_not_count_the_option_does_not(book: Book) -> None:
    book.conf(environment={"NBC_COLOUR": "red"}, track=["files", "imports", "versions"])
    book.ipynb("index.ipynb", "# I", "%%\nimport os\nprint(os.environ['NBC_COLOUR'])")
    book.build()
    book.conf(environment={"NBC_COLOUR": "blue"}, track=["files", "imports", "versions"])
    assert book.build().ran == ()


def test_modules_on_a_path_from_the_option_are_dependencies(book: Book) -> None:
    helper = book.write("lib/nbc_helper.py", "x = 'first'")
    book.conf(environment={"PYTHONPATH": str(helper.parent)})
    book.ipynb("index.ipynb", "# I", "%%\nimport nbc_helper\nprint('it is', nbc_helper.x)")
    book.build()
    assert "it is first" in book.page("index")
    assert book.build().ran == ()
    book.write("lib/nbc_helper.py", "x = 'second'")
    built = book.build()
    assert "lib/nbc_helper.py changed" in built.log
    assert "it is second" in book.page("index")


def test_arguments_of_kernels_are_part_of_the_code_key(book: Book) -> None:
    every = "--InteractiveShell.ast_node_interactivity=all"
    book.ipynb("index.ipynb", "# I", "%%\n'first' + ' value'\n'last' + ' value'")
    book.conf(kernel_arguments=[every])
    book.build()
    assert "first value" in book.page("index")
    assert book.build().ran == ()
    book.conf(kernel_arguments={"no-such-kernel": [every]})
    built = book.build()
    assert built.ran == ("index.ipynb",)
    assert "its kernel has other command-line arguments: none any more" in built.log
    assert "first value" not in book.page("index")
    book.conf(kernel_arguments={"python.*": [every]})
    assert book.build().ran == ()
    assert "first value" in book.page("index")


@pytest.mark.parametrize("kernel_start", ["auto", "light", "spawn"])
def test_the_home_directory_is_left_as_it_was(
    book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel_start: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    book.conf(kernel_start=kernel_start)
    book.write("script.py", "print('of a script')")
    cells = ("%%\n%run script.py", "%%\n!echo of a command", code_cell("1 / 0", "raises-exception"))
    book.ipynb("index.ipynb", "# I", *cells, "%%\nprint('given', globals().get('given'))")
    assert book.build().warnings == ""
    assert "given None" in book.page("index")
    assert list(home.rglob("*")) == []
    # Nor does a build touch it that runs nothing, and only looks up kernels.
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setenv("HOME", str(other))
    assert book.build().ran == ()
    assert list(other.rglob("*")) == []
    monkeypatch.setenv("HOME", str(home))
    # What is the user's counts, and stays; nothing is added to it.
    profile = home / ".ipython" / "profile_default"
    (profile / "startup").mkdir(parents=True)
    (profile / "startup" / "00-mine.py").write_text("given = 'by me'")
    history = f"c = get_config()\nc.HistoryManager.hist_file = {str(home / 'history.sqlite')!r}\n"
    (profile / "ipython_config.py").write_text(history)
    before = set(home.rglob("*"))
    assert book.build().ran == ("index.ipynb",)
    assert "given by me" in book.page("index")
    assert set(home.rglob("*")) == before
    assert book.build().ran == ()
