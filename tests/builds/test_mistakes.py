"""Twenty mistakes of users: each message has the file, the line, the cause, and a remedy."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass
from typing import Any

import pytest
from support import Book, Built, code_cell, ipynb_text
from support_cli import CommandLine

from sphinx_nbcache.extension.log import line_in_conf

pytestmark = pytest.mark.kernel

PERCENT = """\
# ---
# jupyter:
#   jupytext:
#     text_representation:
#       format_name: percent
#   kernelspec:
#     name: python3
# ---

# %% [markdown]
# # A script

# %%
values = {}

# %%
def look_up():
    return values["price"]

look_up()
"""


@dataclass(frozen=True)
class Made:
    """A book with mistakes, and two builds of it: mistakes must be told in both of them."""

    book: Book
    first: Built
    second: Built

    def told(self, place: str, subtype: str) -> str:
        """Return what both builds say of a place in a file, with a subtype."""
        found = []
        for built in (self.first, self.second):
            start, end = f"{self.book.folder}/{place}: ", f"[nbcache.{subtype}]"
            lines = [line for line in built.warnings.splitlines() if line.endswith(end)]
            found.append([line.removeprefix(start) for line in lines if line.startswith(start)])
        assert len(found[0]) == len(found[1]) == 1, (place, self.first.warnings)
        assert found[0] == found[1]
        return found[0][0]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A book with most of the mistakes. It is built twice, for all tests."""
    folder = tmp_path_factory.mktemp("mistakes")
    book = Book(folder / "project" / "book", folder / "counter.txt")
    write_book(book)
    return Made(book, book.build(), book.build())


def write_book(book: Book) -> None:
    """Write a book with one mistake after the other."""
    book.conf(
        """\
        nbcache_timout = 60
        nbcache_on_error = "warning"
        nbcache_kernel_aliases = {
            "old-python": "python3",
            "(": "python3",
        }
        nbcache_formats = {".py": "py:percent", ".jl": "jl:percnt"}
        nb_execution_mode = "cache"
        nbsphinx_prolog = "text"
        """,
        exclude=["never/*", 3],
    )
    names = "syntax raises script late kernel broken open text keys tags slow pair typo".split()
    book.index(*names, "julia")
    book.ipynb("syntax.ipynb", "# S", "%%x = 1", as_lists("y = 2\nfor x in range(3)\n    x"))
    book.myst("raises.md", "# R", "%%values = {}\n\nvalues['price']", counts=False)
    book.write("script.py", PERCENT)
    book.ipynb("late.ipynb", "# L", "%%import time\ntime.sleep(60)", execution={"timeout": 1})
    spec = {"name": "pyhton3", "display_name": "P"}
    book.ipynb("kernel.ipynb", "# K", "%%1", kernelspec=spec)
    book.write("broken.md", "---\nkernelspec:\n  name: python3: x\n---\n\n# B\n")
    book.write("open.md", "---\nkernelspec:\n  name: python3\n\n# O\n")
    book.write("text.md", "---\ntitle: T\nkernelspec: python3\n---\n\n# T\n")
    front = "---\nkernelspec:\n  name: python3\nexecution:\n  timeuot: 3\n"
    front += "nbcache:\n  retires: 3\n  run_in: tmep\nnbcahe:\n  alone: true\n---\n\n# K\n"
    book.write("keys.md", front)
    cells = [code_cell("1", "hide_inputs"), code_cell("2", "hide-input", "mine")]
    cells[1]["metadata"]["raise"] = "ValueError"
    book.ipynb("tags.ipynb", "# T", *cells, counts=False)
    book.myst("slow.md", "# S", "%%while True: pass", counts=False, nbcache={"notebook_timeout": 2})
    book.myst("pair.md", "# P", "%%1")
    book.ipynb("pair.ipynb", "# Another", "%%2")
    book.myst(
        "typo.md", "# T\n\n```{code-cell}\n:tag: [hide-input]\n:raises: 3\n\n1\n```", counts=False
    )
    book.write("julia.jl", PERCENT.replace("python3", "julia").replace("percent", "percnt"))


def as_lists(source: str) -> dict[str, object]:
    """Return a code cell as every editor writes it: line by line."""
    return code_cell("") | {"source": source.splitlines(keepends=True)}


def line_of(made: Made, name: str, text: str) -> int:
    """Return the line of a file in which a text stands."""
    lines = (made.book.folder / name).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_an_option_that_there_is_not(made: Made) -> None:
    line = line_of(made, "conf.py", "nbcache_timout")
    told = made.told(f"conf.py:{line}", "option")
    assert "there is no option `nbcache_timout`; did you mean `nbcache_timeout`?" in told


def test_a_word_that_an_option_does_not_take(made: Made) -> None:
    line = line_of(made, "conf.py", "nbcache_on_error")
    told = made.told(f"conf.py:{line}", "config")
    assert "'warning' is not one of 'warn', 'fail', 'stop'; did you mean `warn`?" in told
    assert "The default 'warn' is used" in told


def test_a_bad_entry_of_a_mapping_costs_no_other(made: Made) -> None:
    line = line_of(made, "conf.py", "nbcache_kernel_aliases")
    told = made.told(f"conf.py:{line}", "config")
    assert "nbcache_kernel_aliases['('] = 'python3' is not" in told
    assert "that entry is left out" in told


def test_a_bad_entry_of_a_list_costs_no_other(made: Made) -> None:
    line = line_of(made, "conf.py", "nbcache_exclude")
    assert "nbcache_exclude[1] = 3 is not a glob" in made.told(f"conf.py:{line}", "config")


def test_an_option_of_another_extension_with_a_counterpart(made: Made) -> None:
    text = "conf.py: nb_execution_mode = 'cache' counts as nbcache_execute = 'changed'"
    assert made.first.log.count(text) == made.second.log.count(text) == 1


def test_an_option_of_another_extension_without_a_counterpart(made: Made) -> None:
    line = line_of(made, "conf.py", "nbsphinx_prolog")
    told = made.told(f"conf.py:{line}", "option")
    assert told.startswith(
        "WARNING: nbsphinx_prolog has no counterpart: remove it; write the text into"
    )


def test_a_syntax_error_in_an_ipynb_file(made: Made) -> None:
    line = line_of(made, "syntax.ipynb", "for x in range(3)")
    told = made.told(f"syntax.ipynb:{line}", "execution")
    assert "the notebook failed in code cell 3, line 2: SyntaxError: expected ':';" in told
    assert ".py" not in told


def test_an_exception_in_a_text_notebook(made: Made) -> None:
    line = line_of(made, "raises.md", "values['price']")
    told = made.told(f"raises.md:{line}", "execution")
    assert "the notebook failed in code cell 1, line 3: KeyError: 'price'" in told


def test_an_exception_in_a_function_of_a_script(made: Made) -> None:
    line = line_of(made, "script.py", 'return values["price"]')
    told = made.told(f"script.py:{line}", "execution")
    assert "the notebook failed in code cell 2, line 2: KeyError: 'price'" in told


def test_a_cell_that_takes_too_long(made: Made) -> None:
    line = line_of(made, "late.ipynb", "time.sleep")
    told = made.told(f"late.ipynb:{line}", "execution")
    assert "in code cell 2: CellTimeoutError: the cell took longer than 1 s" in told
    assert "nbcache_timeout, or execution.timeout in the notebook's metadata, gives it" in told


def test_a_notebook_that_takes_too_long(made: Made) -> None:
    # Its kernel may not be ready by then: it depends on the load whether a cell is to blame.
    for built in (made.first, made.second):
        (told,) = (line for line in built.warnings.splitlines() if "/slow.md" in line)
        assert "the notebook took longer than 2 s (nbcache_notebook_timeout, or" in told


def test_a_kernel_that_there_is_not(made: Made) -> None:
    told = made.told("kernel.ipynb", "execution")
    assert "there is no kernel named 'pyhton3' (installed: " in told
    assert "did you mean `python3`?" in told


def test_front_matter_that_is_not_yaml(made: Made) -> None:
    told = made.told("broken.md:3", "source")
    assert "not valid YAML: mapping values are not allowed in this context" in told
    assert "cannot be read" in made.book.page("broken")


def test_front_matter_that_does_not_end(made: Made) -> None:
    told = made.told("open.md:1", "source")
    assert "the front matter does not end; put a line `---` after it" in told


def test_a_kernelspec_that_is_a_text(made: Made) -> None:
    told = made.told("text.md:3", "source")
    assert "write the kernel's name below it, as `name: python3`" in told


@pytest.mark.parametrize(
    ("text", "subtype", "words"),
    [
        ("timeuot", "metadata", "nothing reads `execution.timeuot` in its metadata; did you mean"),
        ("retires", "metadata", "`nbcache.retires` in its metadata; did you mean `retries`?"),
        ("run_in", "config", "nbcache.run_in = 'tmep' in its metadata is not one of"),
        ("nbcahe", "metadata", "nothing reads `nbcahe` in its metadata; did you mean `nbcache`?"),
    ],
)
def test_a_slip_in_the_metadata_of_a_notebook(
    made: Made, text: str, subtype: str, words: str
) -> None:
    assert words in made.told(f"keys.md:{line_of(made, 'keys.md', text)}", subtype)


def test_a_slip_in_a_tag(made: Made) -> None:
    line = line_of(made, "tags.ipynb", '"source": "1"')
    told = made.told(f"tags.ipynb:{line}", "tag")
    assert "the tag `hide_inputs` of code cell 1 has no effect; did you mean `hide_input`?" in told


def test_a_slip_in_the_metadata_of_a_cell(made: Made) -> None:
    line = line_of(made, "tags.ipynb", '"source": "2"')
    told = made.told(f"tags.ipynb:{line}", "metadata")
    assert "`raise` in the metadata of code cell 2; did you mean `raises`?" in told
    line = line_of(made, "typo.md", ":tag:") + 3
    assert "did you mean `tags`?" in made.told(f"typo.md:{line}", "metadata")


def test_a_promise_that_is_none(made: Made) -> None:
    line = line_of(made, "typo.md", ":tag:") + 3
    assert "raises = 3 of code cell 1 is not a list" in made.told(f"typo.md:{line}", "config")


def test_a_format_that_jupytext_has_not(made: Made) -> None:
    told = made.told("julia.jl", "source")
    assert "jupytext has no format `percnt`; did you mean `percent`?" in told


def test_two_files_for_one_page(made: Made) -> None:
    text = "the text notebook counts: pair.md is used, and pair.ipynb is not"
    assert made.first.log.count(text) == made.second.log.count(text) == 1
    assert "pair.md" in made.book.runs()
    assert "pair.ipynb" not in made.book.runs()


@dataclass(frozen=True)
class Mistake:
    """A file with a mistake, and what the build says of it."""

    name: str
    content: bytes
    place: str
    """The text on the line that the message names; empty if it names none."""
    subtype: str
    words: str


def in_ipynb(name: str, metadata: dict[str, object], place: str, words: str) -> Mistake:
    """Return a notebook with a mistake in its metadata."""
    text = ipynb_text(["# T", "%%1"], {"kernelspec": {"name": "python3"}} | metadata)
    return Mistake(name, text.encode(), place, "config", words)


SCRIPT = """\
# ---
# jupyter:
#   kernelspec:
#     name: python3
# ---

# %%
print("printed", "by a script")
"""
GOOD = ipynb_text(["# T", "%%1"], {})
FRONT = "---\nkernelspec:\n  name: python3\n---\n\n"
CONFLICT = "kernelspec:\n<<<<<<< HEAD\n  name: python3\n=======\n  name: julia\n>>>>>>> fix\n"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 1234\n"
MORE = [
    Mistake("empty.ipynb", b"", "1", "source", "the file is empty"),
    Mistake("pointer.ipynb", LFS, "version", "source", "`git lfs pull` fetches the notebook"),
    Mistake(
        "half.ipynb",
        GOOD[: GOOD.index("# T")].encode(),
        '"source',
        "source",
        "Unterminated string)",
    ),
    Mistake(
        "conflict.ipynb",
        GOOD.replace('   "source": "# T"', '<<<<<<< HEAD\n"source": "# T"\n=======').encode(),
        "<<<<<<<",
        "source",
        "an unresolved merge conflict",
    ),
    Mistake(
        "conflict_md.md",
        f"---\n{CONFLICT}---\n# T\n".encode(),
        "<<<<<<<",
        "source",
        "an unresolved merge conflict",
    ),
    Mistake(
        "tab.md",
        b"---\nkernelspec:\n\tname: python3\n---\n# T\n",
        "\t",
        "source",
        "YAML cannot be indented with tabs; use spaces",
    ),
    Mistake(
        "latin.md", (FRONT + "# Über\n").encode("latin-1"), "ber", "source", "; save it in UTF-8)"
    ),
    Mistake("utf16.ipynb", GOOD.encode("utf-16"), "1", "source", "; save it in UTF-8)"),
    Mistake(
        "future.ipynb",
        GOOD.replace('"nbformat": 4', '"nbformat": 5').encode(),
        "",
        "source",
        "nbformat 5 is not supported: it must be 3 or 4",
    ),
    Mistake(
        "object.ipynb",
        GOOD.replace('"markdown"', '"markdwon"').encode(),
        "",
        "source",
        "cell 1 is not a code, Markdown or raw cell",
    ),
    in_ipynb("text.ipynb", {"kernelspec": "python3"}, "kernelspec", "write one, such as `python3`"),
    in_ipynb("number.ipynb", {"kernelspec": {"name": 3}}, "kernelspec", "has no `name`, so the"),
    in_ipynb("own.ipynb", {"nbcache": "no"}, "nbcache", "nbcache = 'no' in its metadata is not a"),
    in_ipynb("run.ipynb", {"execution": [1]}, '"execution":', "execution = [1] in its metadata is"),
    Mistake(
        "misnamed.md",
        FRONT.replace("name", "nmae").encode(),
        "kernelspec",
        "config",
        "has no `name`, so the default kernel is used",
    ),
    Mistake(
        "numbers.ipynb",
        ipynb_text(["# T", {**code_cell("7"), "metadata": {"tags": [1]}}], {}).encode(),
        '"source": "7"',
        "tag",
        "tags = [1] of code cell 1 is not a list of texts",
    ),
    Mistake("licence.py", f"# (C) me\n\n{SCRIPT}".encode(), "# ---", "source", "below other lines"),
    Mistake(
        "open.py",
        SCRIPT.replace("# ---\n\n", "\n").encode(),
        "# ---",
        "source",
        "the header does not end; put a commented `---` after it",
    ),
    Mistake(
        "outside.py",
        SCRIPT.replace("# jupyter:\n", "").replace("#   ", "# ").encode(),
        "kernelspec",
        "source",
        "indent it below a line `jupyter:`",
    ),
    Mistake(
        "latin_1.py", f"{SCRIPT}# Über\n".encode("latin-1"), "ber", "source", "; save it in UTF-8)"
    ),
    Mistake(
        "encoding.py",
        f"# coding: latin-1\n{SCRIPT}".encode(),
        "coding",
        "source",
        "and write `utf-8` there",
    ),
]


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A book with further mistakes, in files of all kinds. It is built twice."""
    folder = tmp_path_factory.mktemp("more")
    book = Book(folder / "project" / "book", folder / "counter.txt")
    book.conf(exclude=["[abc", "[z-a]/*", "never/*"], root="nowhere", formats={".py": "py:percent"})
    documents = [mistake.name.rpartition(".")[0] for mistake in MORE]
    book.index(*documents, "bom", "crlf", "folder", "script")
    book.write("script.py", f"#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n{SCRIPT}")
    (book.folder / "helper.py").write_bytes(b"# -*- coding: latin-1 -*-\nNAME = '\xfc'\n")
    for mistake in MORE:
        (book.folder / mistake.name).write_bytes(mistake.content)
    (book.folder / "folder.ipynb").mkdir()
    text = FRONT + "# T\n\n```{code-cell}\nprint('out', 'put')\n```\n"
    (book.folder / "bom.md").write_bytes(b"\xef\xbb\xbf" + text.encode())
    (book.folder / "crlf.md").write_bytes(text.replace("\n", "\r\n").encode())
    return Made(book, book.build(), book.build())


@pytest.mark.parametrize("mistake", MORE, ids=lambda mistake: mistake.name)
def test_a_file_with_a_mistake_is_named_with_line_and_remedy(more: Made, mistake: Mistake) -> None:
    place = mistake.name
    if mistake.place == "1":
        place += ":1"
    elif mistake.place:
        lines = mistake.content.decode("latin-1").splitlines()
        place += f":{next(n for n, line in enumerate(lines, 1) if mistake.place in line)}"
    assert mistake.words in more.told(place, mistake.subtype)
    others = [line for line in more.first.warnings.splitlines() if f"/{mistake.name}" in line]
    assert len(others) == 1


def test_marks_of_editors_are_no_mistakes(more: Made) -> None:
    for name in ("bom", "crlf"):
        assert "out put" in more.book.page(name)
        assert f"{name}.md" not in more.first.warnings


def test_half_a_header_makes_a_script_a_page_and_other_scripts_are_silent(more: Made) -> None:
    assert "printed by a script" in more.book.page("script")
    for name in ("script.py", "helper"):
        assert name not in more.first.warnings


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("[abc", "nbcache_exclude[0] = '[abc' is not a glob: a `[` in it begins no set"),
        ("[z-a]/*", "nbcache_exclude[1] = '[z-a]/*' is not a glob: it has a bad character range"),
    ],
)
def test_a_broken_glob_is_told_and_left_out(more: Made, entry: str, words: str) -> None:
    line = line_of(more, "conf.py", entry)
    start = f"{more.book.folder}/conf.py:{line}: WARNING: "
    for built in (more.first, more.second):
        assert start + words in built.warnings
        assert "write `[[]` for a bracket itself" in built.warnings


def test_a_root_that_there_is_not(more: Made) -> None:
    (line,) = (text for text in more.first.warnings.splitlines() if "nbcache_root" in text)
    assert f"conf.py:{line_of(more, 'conf.py', 'nbcache_root')}: " in line
    assert "nbcache_root = 'nowhere' is not a folder" in line


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
def test_a_name_that_is_no_text_is_left_out(book: Book) -> None:
    book.conf()
    book.index("a")
    book.myst("a.md", "%%1")
    odd = os.fsencode(book.folder) + b"/b\xfc.ipynb"
    with open(odd, "w", encoding="utf-8") as file:  # noqa: PTH123 (a name in bytes)
        file.write(GOOD)
    built = book.build()
    assert built.status == 0
    assert r"WARNING: b\udcfc.ipynb is left out: its name is not in the encoding" in built.warnings
    assert "; rename it [nbcache.source]" in built.warnings
    assert built.ran == ("a.md",)


def test_every_mistake_has_one_message_and_no_other_message_is_there(made: Made) -> None:
    lines = [line for line in made.first.warnings.splitlines() if "[nbcache." in line]
    assert len(lines) == len(set(lines)) == 23, made.first.warnings
    assert all(re.search(r"\w+\.\w+(:\d+)?: WARNING: ", line) for line in lines)


@pytest.mark.parametrize(
    ("options", "status"),
    [(("nbcache_execute=frozen",), 1), (("nbcache_on_error=fail",), 1), ((), 0)],
)
def test_broken_front_matter_fails_the_builds_that_failures_fail(
    book: Book, options: tuple[str, ...], status: int
) -> None:
    book.conf()
    book.index("broken")
    book.write("broken.md", "---\nkernelspec:\n  name: python3: x\n---\n\n# B\n")
    overrides = [word for option in options for word in ("-D", option)]
    for _ in range(2):
        built = book.build(*overrides)
        assert built.status == status
        assert f"{book.folder}/broken.md:3: " in built.warnings
    book.write("broken.md", "---\nkernelspec:\n  name: python3\n---\n\n# B\n")
    assert book.build(*overrides).warnings == ""


def built_with(book: Book, *arguments: str, **options: Any) -> Built:
    """Build a book of one notebook with these options."""
    book.conf(**options)
    book.index("a")
    book.myst("a.md", "%%1")
    return book.build(*arguments)


@pytest.mark.parametrize("value", ["Off", "0", "frozn"])
def test_a_wrong_word_for_what_is_run_ends_the_build_before_anything_is_run(
    book: Book, value: str
) -> None:
    built = built_with(book, "-D", f"nbcache_execute={value}")
    assert built.status == 2
    assert f"nbcache_execute = {value!r} is not one of 'changed', 'missing'" in built.warnings
    assert "did you mean" in built.warnings
    assert built.ran == ()


def test_a_wrong_value_for_what_is_run_names_its_line_in_conf_py(book: Book) -> None:
    book.conf(execute=False)
    book.index("a")
    built = book.build()
    assert built.status == 2
    assert f"{book.folder}/conf.py:4: nbcache_execute = False is not one of" in built.warnings


def test_a_wrong_value_for_what_is_run_is_a_usage_error_of_the_command_line(
    book: Book, cli: CommandLine
) -> None:
    book.conf(execute="frozn")
    book.index("a")
    done = cli("project", "plan", "--conf", str(book.folder))
    assert done.code == 2
    assert "did you mean `frozen`?" in done.err


def test_an_option_on_the_command_line_that_there_is_not(book: Book) -> None:
    book.conf()
    book.index()
    built = book.build("-D", "nbcache_exeute=off")
    assert "there is no option `nbcache_exeute`; did you mean `nbcache_execute`?" in built.warnings
    assert "[nbcache.option]" in built.warnings


def test_names_of_helpers_in_conf_py_are_no_options(book: Book) -> None:
    book.conf(
        """\
        import os as nbcache_os
        def nb_helper(): pass
        nbcache_execute = "off"
        """
    )
    book.index()
    built = book.build()
    assert built.warnings == ""
    assert "no loaded extension" not in built.log


@pytest.mark.parametrize("kind", ["myst-nb", "jupyter_notebook"])
def test_the_file_types_of_other_extensions_are_read_here(book: Book, kind: str) -> None:
    book.conf(f"source_suffix = {{'.rst': 'restructuredtext', '.ipynb': {kind!r}}}")
    book.index("a")
    book.ipynb("a.ipynb", "# T", "%%print('out', 'put')")
    built = book.build()
    assert built.status == 0
    assert built.warnings == ""
    assert "out put" in book.page("a")
    assert built.log.count(f"sphinx_nbcache reads `.ipynb` (`{kind}`)") == 1


def test_tags_and_keys_of_other_tools_are_no_slips(book: Book) -> None:
    book.conf()
    book.index("a")
    cell = code_cell("1", "parameters", "scroll-output", "hide_input", "tag_x")
    cell["metadata"] |= {"name": "x", "editable": True, "slideshow": {}, "collapsed": False}
    execution = {"mode": "auto", "raise_on_error": True, "show_tb": True}
    book.ipynb("a.ipynb", "# T", cell, counts=False, execution=execution, toc={"x": 1})
    assert book.build().warnings == ""


def test_one_notebook_is_run_again_by_its_name(book: Book) -> None:
    book.conf()
    book.index("guide/fit", "b")
    book.ipynb("guide/fit.ipynb", "# F", "%%1")
    book.myst("b.md", "%%2")
    book.build()
    again = book.build("-D", "nbcache_rerun=guide/fit")
    assert again.ran == ("guide/fit.ipynb",)
    assert "nbcache_rerun names it" in again.log
    both = book.build("-D", "nbcache_rerun=b.md, guide").ran
    assert sorted(both) == ["b.md", "guide/fit.ipynb"]
    # It holds for that build alone, also for the commands that take over its settings.
    assert book.build().ran == ()
    settings = json.loads(next(book.store.rglob("project.json")).read_text(encoding="utf-8"))
    assert "rerun" not in settings["settings"]


def test_a_rerun_that_runs_nothing_says_why(book: Book) -> None:
    book.conf(exclude=["b.md"])
    book.index("guide/fit", "b")
    book.ipynb("guide/fit.ipynb", "# F", "%%1")
    book.myst("b.md", "%%2")
    book.build()
    built = book.build("-D", "nbcache_rerun=guide/fti,b")
    assert built.ran == ()
    text = "nbcache_rerun names `guide/fti`, which matches no notebook; did you mean `guide/fit`?"
    assert text in built.warnings
    assert "nbcache_rerun does not run b.md: excluded by 'b.md'" in built.warnings
    built = book.build("-D", "nbcache_rerun=guide/fit", "-D", "nbcache_execute=frozen")
    assert 'nbcache_rerun does not run guide/fit.ipynb: nbcache_execute is "frozen"' in (
        built.warnings
    )
    assert built.status == 0


def test_a_root_that_is_a_file_is_ignored(book: Book) -> None:
    built = built_with(book, root="a.md")
    assert built.status == 0
    assert "nbcache_root = 'a.md' is not a folder" in built.warnings
    assert "; the default is used [nbcache.config]" in built.warnings
    assert built.ran == ("a.md",)


def test_a_store_below_a_file_is_called_so(book: Book) -> None:
    built = built_with(book, store="conf.py")
    assert built.status == 0
    file = book.folder / "conf.py"
    assert f"cannot be used ({file} is a file, not a folder); results are kept" in built.warnings
    assert built.ran == ("a.md",)


def test_an_executor_that_there_is_not_is_named_with_its_line(book: Book) -> None:
    built = built_with(book, executor="local-serail")
    line = line_in_conf("nbcache_executor", book.folder / "conf.py")
    start = f"{book.folder}/conf.py:{line}: WARNING: nbcache_executor = 'local-serail' cannot be"
    assert start in built.warnings
    assert "did you mean `local-serial`?" in built.warnings


def test_an_executor_that_the_command_line_names_has_no_line(book: Book) -> None:
    built = built_with(book, "-D", "nbcache_executor=local", executor="local-serial")
    assert "WARNING: nbcache_executor = 'local' cannot be used" in built.warnings
    assert "conf.py:" not in built.warnings


@pytest.mark.parametrize("options", [":load: no.py\n", "---\nload: no.py\ntags: [a]\n---\n\n"])
def test_code_that_is_not_there_to_load_is_missed_where_its_cell_begins(
    book: Book, options: str
) -> None:
    book.conf()
    book.index("a")
    book.write("a.md", f"{FRONT}# T\n\n```{{code-cell}}\n{options}```\n")
    built = book.build()
    assert f"{book.folder}/a.md:8: WARNING: the code cell loads no.py, which" in built.warnings


def test_a_mode_for_one_build_does_not_last_for_the_commands(book: Book, cli: CommandLine) -> None:
    book.conf()
    book.index("a")
    book.myst("a.md", "%%1")
    for mode in ("force", "frozen"):
        assert book.build("-D", f"nbcache_execute={mode}").status == 0
        store = str(book.store)
        (planned,) = cli.ok("plan", "--json", "-p", store).json["notebooks"]
        assert planned["action"] == "reuse", mode
    book.conf(execute="force")
    book.build()
    (planned,) = cli.ok("plan", "--json", "-p", store).json["notebooks"]
    assert planned["reason"] == "execution is forced"


def test_a_second_reader_of_the_same_files_is_named(book: Book) -> None:
    book.conf("extensions.append('myst_nb')", renderer="own")
    book.index()
    built = book.build()
    assert built.status != 0
    text = " ".join(built.warnings.split())
    assert 'nbcache_renderer is "own", and conf.py loads myst_nb' in text
    assert "remove myst_nb from `extensions`" in text
