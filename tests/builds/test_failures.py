"""Notebooks that fail, kernels that die, files that cannot be read: the build goes on."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from support import Book, code_cell

pytestmark = pytest.mark.kernel


def test_a_failed_notebook_shows_its_outputs_and_traceback_and_is_tried_until_it_passes(
    book: Book,
) -> None:
    book.conf(retry_failed="always")
    book.index("bad", "good")
    book.myst("bad.md", "%%\nprint('before it')", "%%\n1 / 0", "%%\nprint('after', 'it')")
    book.myst("good.md", "%%\nprint('fine')")
    first = book.build()
    assert first.status == 0
    assert sorted(first.ran) == ["bad.md", "good.md"]
    page = book.page("bad")
    assert "before it" in page
    assert "ZeroDivisionError" in page
    assert "<span></span>after it" not in page
    assert "ansi-red-fg" in page
    assert "fine" in book.page("good")
    again = book.build()
    assert again.ran == ("bad.md",)
    assert "its last run failed: ZeroDivisionError: division by zero in code cell 3" in again.log
    for built in (first, again):
        assert (
            "bad.md:16: WARNING: the notebook failed in code cell 3, line 1: Zero" in built.warnings
        )
        assert "[nbcache.execution]" in built.warnings
        assert built.warnings.count("WARNING") == 1
    assert "ZeroDivisionError" in book.page("nbcache-report")
    book.myst("bad.md", "%%\nprint('before it')", "%%\n1 / 1", "%%\nprint('after', 'it')")
    mended = book.build()
    assert mended.ran == ("bad.md",)
    assert mended.warnings == ""
    assert "ZeroDivisionError" not in book.page("bad")
    assert "<span></span>after it" in book.page("bad")
    assert "ZeroDivisionError" not in book.page("nbcache-report")


@pytest.mark.parametrize("tag", ["remove-cell", "remove-output", "hide-cell"])
def test_the_traceback_of_a_cell_that_is_not_shown_is_shown(book: Book, tag: str) -> None:
    book.index("bad")
    good, bad = code_cell("print('fi' 'ne')", tag), code_cell("print('be' 'fore')\n1 / 0", tag)
    book.ipynb("bad.ipynb", "# Bad", good, bad, counts=False)
    book.build()
    page = book.page("bad")
    assert "ZeroDivisionError" in page
    assert ("fine" in page) == (tag == "hide-cell")
    assert ("before" in page) == (tag == "hide-cell")
    # Only of a cell that is not to be seen at all, the source is left out.
    assert ("cell_input" in page) == (tag != "remove-cell")
    assert 'id="nbcache_cell_2"' in page


def test_a_traceback_that_belongs_to_no_cell_is_shown_whatever_tags_the_first_one_has(
    book: Book,
) -> None:
    book.index("bad", "listed")
    spec = {"name": "no-such-kernel", "display_name": "No"}
    first = code_cell("print('hidden')", "remove-cell")
    book.ipynb("bad.ipynb", first, "%%1", counts=False, kernelspec=spec)
    cell = "- point\n\n  ```{code-cell}\n  :tags: [remove-cell]\n  1\n  ```\n"
    book.myst("listed.md", f"# T\n\n{cell}", counts=False, kernelspec=spec)
    book.build()
    for name in ("bad", "listed"):
        page = book.page(name)
        assert page.count("no kernel named") == 1, name
        assert "hidden" not in page
    page = book.page("listed")
    assert page.index("</h1>") < page.index("no kernel named") < page.index('<ul class="simple')


def test_on_error_fail_finishes_the_build_and_exits_with_one(book: Book) -> None:
    book.conf(on_error="fail")
    book.index("bad", "good")
    book.myst("bad.md", "%%\nraise ValueError('no')")
    book.myst("good.md", "%%\nprint('fine')")
    built = book.build()
    assert built.status == 1
    assert len(built.ran) == 2
    assert "ERROR: the notebook failed in code cell 2, line 1: ValueError: no" in built.warnings
    assert "fine" in book.page("good")
    assert "ValueError" in book.page("nbcache-report")


def test_on_error_stop_ends_the_build_at_once_but_keeps_what_was_computed(book: Book) -> None:
    book.conf(on_error="stop", executor="local-serial")
    book.index("a", "b", "c")
    book.myst("a.md", "%%\nprint('fine')")
    book.myst("b.md", "%%\nraise ValueError('no')")
    book.myst("c.md")
    built = book.build()
    assert built.status != 0
    assert built.ran == ("a.md", "b.md")
    again = book.build()
    assert again.status != 0
    assert again.ran == ()
    for stopped in (built, again):
        assert (
            "b.md:12: ERROR: the notebook failed in code cell 2, line 1: Value" in stopped.warnings
        )
        assert "b.md: ValueError: no" in stopped.warnings
    after = book.build("-D", "nbcache_on_error=warn")
    assert after.ran == ("c.md",)


def test_a_build_that_stops_shows_the_traceback_and_writes_the_files_of_the_report(
    book: Book,
) -> None:
    book.conf("suppress_warnings = ['nbcache']", on_error="stop", executor="local-serial")
    book.index("a", "b", "c")
    book.myst("a.md", "%%\nprint('fine')")
    book.myst("b.md", "%%\ndef f():\n    raise ValueError('no')\nf()")
    book.myst("c.md")
    output = book.folder / "_build" / "html"
    for _ in range(2):
        built = book.build()
        assert built.status == 2
        # On Read the Docs, there is nothing else.
        assert "----> 2     raise ValueError('no')" in built.warnings
        assert "\x1b" not in built.warnings
        # Sphinx does not take it for a defect.
        for words in ("To report this error", "full traceback", "BuildStoppedError", "Loaded Ext"):
            assert words not in built.warnings
        assert "----> 2     raise" in (output / "reports" / "b.err.log").read_text()
        report = json.loads((output / "nbcache-report.json").read_text())
        assert {"a", "b"} <= {item["docname"] for item in report["notebooks"]}
        assert (output / "nbcache-report.xml").is_file()
        shutil.rmtree(output)


NOTHING_CHANGED = "not tried again: nothing it depends on has changed (its last run failed: "


def test_a_notebook_that_would_only_fail_again_is_tried_when_something_changed(book: Book) -> None:
    book.index("bad")
    book.write("data.txt", "0")
    book.myst("bad.md", "%%\nprint('before it')", "%%\n1 / int(open('data.txt').read())")
    first, again = book.build(), book.build()
    assert (first.ran, again.ran) == (("bad.md",), ())
    for built in (first, again):
        assert (
            "bad.md:16: WARNING: the notebook failed in code cell 3, line 1: ZeroDiv"
            in built.warnings
        )
        assert "tried again when something that it depends on changes" in built.warnings
        assert built.warnings.count("WARNING") == 1
    assert "before it" in book.page("bad")
    assert "ZeroDivisionError" in book.page("nbcache-report")
    assert NOTHING_CHANGED in book.page("nbcache-report")
    assert book.build("-D", "nbcache_on_error=fail").status == 1
    assert book.build("-D", "nbcache_execute=frozen").status == 1
    assert book.build("-D", "nbcache_retry_failed=always").ran == ("bad.md",)
    assert book.build("-D", "nbcache_execute=force").ran == ("bad.md",)
    book.write("data.txt", "1")
    mended = book.build()
    assert (mended.ran, mended.warnings) == (("bad.md",), "")


@pytest.mark.parametrize(
    "code",
    [
        "import time; time.sleep(60)",
        "import os; os._exit(3)",
        "import subprocess; subprocess.run(['true']); 1 / 0",
        "import socket\ntry: socket.create_connection(('localhost', 9), 1)\nfinally: 1 / 0",
    ],
    ids=["time limit", "kernel died", "subprocess", "network"],
)
def test_a_failure_of_which_not_everything_is_known_is_tried_in_every_build(
    book: Book, code: str
) -> None:
    book.conf(timeout=2)
    book.index("bad")
    book.myst("bad.md", "%%\n" + code)
    for _ in range(2):
        built = book.build()
        assert built.ran == ("bad.md",)
        assert "the next build tries it again" in built.warnings


def test_a_missing_kernel_is_looked_for_in_every_build(book: Book) -> None:
    book.index("bad")
    book.myst("bad.md", kernelspec={"name": "nowhere"})
    for _ in range(2):
        assert "the next build tries it again" in book.build().warnings


def test_warnings_as_errors_fail_the_build_each_time(book: Book) -> None:
    book.index("bad")
    book.myst("bad.md", "%%\n1 / 0")
    assert book.build("-W", "--keep-going").status == 1
    assert book.build("-W", "--keep-going").status == 1


def test_allowed_errors_by_option_by_notebook_and_by_tag(book: Book) -> None:
    book.index("by_tag", "by_notebook")
    book.ipynb("by_tag.ipynb", code_cell("1 / 0", "raises-exception"), "%%\nprint('went', 'on')")
    book.myst(
        "by_notebook.md", "%%\n1 / 0", "%%\nprint('went', 'on')", execution={"allow_errors": True}
    )
    built = book.build()
    assert built.warnings == ""
    for name in ("by_tag", "by_notebook"):
        assert "ZeroDivisionError" in book.page(name)
        assert "went on" in book.page(name)
    assert book.build().ran == ()
    # The rule is no part of the key: taking it away is noticed by holding the result against it.
    book.ipynb("by_tag.ipynb", code_cell("1 / 0"), "%%\nprint('went', 'on')")
    forbidden = book.build()
    assert forbidden.ran == ("by_tag.ipynb",)
    assert "code cell 2 raised ZeroDivisionError, which is no longer allowed" in forbidden.log
    assert "the notebook failed in code cell 2" in forbidden.warnings
    # Allowed by another rule, the first result counts again.
    allowed = book.build("-D", "nbcache_allow_errors=1")
    assert allowed.ran == ()
    assert allowed.warnings == ""
    assert "went on" in book.page("by_tag")


def test_a_cell_beyond_its_time_ends_the_notebook(book: Book) -> None:
    book.index("slow", "own")
    book.conf("import logging\nlogging.basicConfig()", timeout=1)
    book.myst("slow.md", "%%\nprint('started')", "%%\nimport time; time.sleep(60)")
    book.myst("own.md", "%%\nimport time; time.sleep(1.5)", execution={"timeout": 30})
    built = book.build()
    assert "slow.md:16: WARNING: the notebook failed in code cell 3: CellTimeout" in built.warnings
    assert "nbcache_timeout, or execution.timeout" in built.warnings
    assert len(built.warnings.splitlines()) == 1  # neither nbclient nor asyncio adds any
    assert "own.md" not in built.warnings
    assert "started" in book.page("slow")
    assert "the cell took longer than 1 s" in book.page("slow")


@pytest.mark.parametrize("start", ["auto", "light", "spawn"])
def test_an_output_that_cannot_be_used_is_one_warning_and_nothing_else_is_on_the_log(
    book: Book, start: str
) -> None:
    book.conf(kernel_start=start)
    book.index("bad")
    show = "from IPython.display import display\ndisplay({'text/plain': None}, raw=True)"
    book.myst("bad.md", "%%\nprint('kept')", f"%%\n{show}")
    built = book.build()
    assert "bad.md:16: WARNING: the notebook failed in code cell 3: " in built.warnings
    assert "Error: the kernel sent an output that nbformat refuses (" in built.warnings
    assert "; change what the cell displays; " in built.warnings
    assert len(built.warnings.splitlines()) == 1
    assert "kept" in book.page("bad")


def test_a_kernel_that_dies_is_one_bad_notebook(book: Book) -> None:
    book.index("dead", "good")
    book.myst("dead.md", "%%\nprint('alive')", "%%\nimport os; os._exit(1)")
    book.myst("good.md", "%%\nprint('fine')")
    built = book.build()
    assert built.status == 0
    assert "the notebook failed in code cell 3: DeadKernelError" in built.warnings
    assert len(built.warnings.splitlines()) == 1
    assert "alive" in book.page("dead")
    assert "the kernel died" in book.page("dead")
    assert "fine" in book.page("good")


def test_an_unknown_kernel_is_named_with_what_to_do(book: Book) -> None:
    book.index("odd", "good")
    book.myst("odd.md", kernelspec={"name": "klingon", "display_name": "Klingon"})
    book.myst("good.md", "%%\nprint('fine')")
    built = book.build()
    assert "there is no kernel named 'klingon' (installed: " in built.warnings
    assert "nbcache_kernel_aliases" in built.warnings
    assert "there is no kernel named" in book.page("odd")
    assert "fine" in book.page("good")


def test_asking_for_input_fails_at_once(book: Book) -> None:
    book.index("asks")
    book.myst("asks.md", "%%\ninput('name? ')")
    assert "StdinNotImplementedError" in book.build().warnings


BAD_SOURCES = {
    "broken.ipynb": ('{"cells": [', "not valid JSON"),
    "empty.ipynb": ("", "the file is empty"),
    "conflict.ipynb": ('{\n<<<<<<< HEAD\n "cells": []\n=======\n', "an unresolved merge conflict"),
    "list.ipynb": ("[]", "the JSON is not an object"),
    "cells.ipynb": ('{"nbformat": 4, "cells": [{"cell_type": "chart"}]}', "cell 1 is not a code"),
    "future.ipynb": ('{"nbformat": 7, "cells": []}', "nbformat 7 is not supported"),
}


def test_files_that_cannot_be_read_are_named_and_the_rest_is_built(book: Book) -> None:
    book.index("good", *(name.removesuffix(".ipynb") for name in BAD_SOURCES))
    book.myst("good.md", "%%\nprint('fine')")
    for name, (text, _) in BAD_SOURCES.items():
        book.write(name, text)
    for _ in range(2):
        built = book.build()
        assert built.status == 0
        for name, (_, problem) in BAD_SOURCES.items():
            assert problem in built.warnings
            assert "This notebook cannot be read" in book.page(name.removesuffix(".ipynb"))
        assert built.warnings.count("[nbcache.source]") == len(BAD_SOURCES)
    assert "fine" in book.page("good")
    # A notebook without a valid result is an error where that is asked for.
    assert book.build("-D", "nbcache_execute=frozen").status == 1
    assert book.build("-D", "nbcache_on_error=fail").status == 1


def test_a_file_that_is_not_utf_8_is_left_out(book: Book) -> None:
    book.index("good")
    book.myst("good.md", "%%\nprint('fine')")
    (book.folder / "latin.ipynb").write_bytes(b'{"cells": [], "metadata": {"x": "\xe9"}}')
    (book.folder / "page.md").write_bytes(b"# caf\xe9\n")
    built = book.build()
    assert built.status == 0
    assert "latin.ipynb:1: WARNING: " in built.warnings
    assert "page.md:1: WARNING: " in built.warnings
    assert built.warnings.count("not UTF-8") == 2
    assert "fine" in book.page("good")


def test_wrong_options_in_a_notebook_warn_with_their_line(book: Book) -> None:
    book.index("odd")
    book.myst(
        "odd.md",
        "```{code-cell}\n:tags: [a\nprint('still', 'run')\n```",
        execution={"timeout": "soon"},
    )
    built = book.build()
    assert "execution.timeout = 'soon' in its metadata is not a number of seconds" in built.warnings
    assert "the options of a code-cell: not valid YAML" in built.warnings
    assert "still run" in book.page("odd")


def test_frozen_never_runs_and_names_what_has_no_result(book: Book) -> None:
    book.index("one", "two")
    book.myst("one.md", "%%\nprint('kept')")
    book.build()
    book.myst("two.md", "%%\nprint('new')")
    book.myst("one.md", "Other text.", "%%\nprint('kept')")
    frozen = book.build("-D", "nbcache_execute=frozen")
    assert frozen.ran == ()
    assert frozen.status == 1
    assert "two.md: ERROR: it has no valid result" in frozen.warnings
    assert "(no earlier result)" in frozen.warnings
    assert "[nbcache.frozen]" in frozen.warnings
    assert frozen.warnings.count("ERROR") == 1
    assert "kept" in book.page("one")
    assert "refused" in book.page("nbcache-report")
    thawed = book.build()
    assert thawed.ran == ("two.md",)
    assert thawed.status == 0
    assert "new" in book.page("two")
    frozen = book.build("-D", "nbcache_execute=frozen")
    assert frozen.status == 0
    assert frozen.warnings == ""


def test_a_damaged_store_is_put_aside_and_everything_is_run_again(book: Book) -> None:
    book.index("one")
    book.myst("one.md", "%%\nprint('computed')")
    book.build()
    store = book.folder / "_build" / ".jupyter_cache" / "nbcache-2"
    for name in ("cache.db", "cache.db-wal", "cache.db-shm"):
        if (store / name).exists():
            (store / name).write_bytes(b"garbage" * 999)
    damaged = book.build()
    assert damaged.ran == ("one.md",)
    assert "is damaged" in damaged.warnings
    assert "[nbcache.store]" in damaged.warnings
    assert "computed" in book.page("one")
    assert book.build().warnings == ""


def test_outputs_that_vanished_from_the_store_are_computed_again(book: Book) -> None:
    book.index("one")
    book.myst("one.md", "%%\nprint('y' * 50_000)")
    book.build()
    for file in (book.folder / "_build" / ".jupyter_cache").rglob("*.val"):
        file.unlink()
    untouched = book.build()
    assert untouched.ran == ()
    book.myst("one.md", "New text.", "%%\nprint('y' * 50_000)")
    read_again = book.build()
    assert read_again.ran == ("one.md",)
    assert "its result in the store is damaged" in read_again.log
    assert "y" * 50_000 in book.page("one")


def test_a_notebook_without_code_is_just_shown(book: Book) -> None:
    book.index("prose", "nothing")
    book.ipynb("prose.ipynb", "# Prose\n\nOnly *text*.", counts=False)
    book.write("nothing.ipynb", json.dumps({"cells": [], "metadata": {}, "nbformat": 4}))
    built = book.build()
    assert built.ran == ()
    assert "Only <em>text</em>." in book.page("prose")
    assert "it has no code" in book.page("nbcache-report")


def test_the_problem_matcher_of_the_how_to_finds_the_line_of_a_failure(book: Book) -> None:
    how_to = Path(__file__).parents[2] / "docs" / "how-to" / "vscode.md"
    text = how_to.read_text(encoding="utf-8")
    (tasks,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    pattern = json.loads(tasks)["tasks"][0]["problemMatcher"]["pattern"]
    book.index("bad")
    path = book.myst("bad.md", "%%\nx = 1\n1 / 0")
    built = book.build("--no-color")
    found = [
        match
        for line in built.warnings.splitlines()
        if (match := re.match(pattern["regexp"], line))
    ]
    line = path.read_text(encoding="utf-8").splitlines().index("1 / 0") + 1
    assert [(match[pattern["file"]], match[pattern["line"]]) for match in found] == [
        (str(path), str(line))
    ]
    assert found[0][pattern["severity"]] == "WARNING"
    assert found[0][pattern["message"]].startswith("the notebook failed")


def test_tracebacks_are_in_the_log_of_the_build_that_ran_the_notebook(book: Book) -> None:
    book.conf(log_tracebacks=True)
    book.myst("one.md", "%%1 / 0")
    book.index("one")
    log = book.build().log
    assert "the traceback of one.md:" in log
    assert "ZeroDivisionError" in log
    assert "\x1b" not in log
    assert "the traceback of" not in book.build().log


def test_tracebacks_show_no_frame_of_the_tracer(book: Book) -> None:
    book.conf()
    book.myst("one.md", "%%import importlib\nimportlib.import_module('nope')")
    book.index("one")
    book.build()
    page = book.page("one")
    assert "No module named" in page
    assert "nbcache imports" not in page
    assert "importlib/__init__.py" in page
