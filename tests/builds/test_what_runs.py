"""Which notebooks a build runs: real kernels, counted by a file outside of the book."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support import Book, code_cell

pytestmark = pytest.mark.kernel


def two_notebooks(book: Book) -> None:
    book.index("one", "two")
    book.ipynb("one.ipynb", "Some text.", "%%\nprint('result', 6 * 7)")
    book.myst("two.md", "Some text.", "%%\nprint('second')")


def test_the_first_build_runs_all_and_the_second_runs_nothing_and_writes_nothing(
    book: Book,
) -> None:
    two_notebooks(book)
    before = book.sources()
    first = book.build()
    assert first.status == 0
    assert first.warnings == ""
    assert sorted(first.ran) == ["one.ipynb", "two.md"]
    assert "result 42" in book.page("one")
    assert book.sources() == before
    # The second build's report says "reused", so that page is written again; then all is quiet.
    second = book.build()
    assert second.ran == ()
    assert second.read == (0, 0, 0)
    third = book.build()
    assert third.ran == ()
    assert third.read == (0, 0, 0)
    assert "no targets are out of date" in third.log
    assert book.sources() == before


def test_editing_text_runs_nothing_and_keeps_the_outputs(book: Book) -> None:
    two_notebooks(book)
    book.build()
    book.ipynb("one.ipynb", "Quite *other* text.", "%%\nprint('result', 6 * 7)")
    book.myst("two.md", "Quite *other* text.", "%%\nprint('second')")
    edited = book.build()
    assert edited.ran == ()
    assert edited.read == (0, 2, 0)
    for name, output in (("one", "result 42"), ("two", "second")):
        assert "Quite <em>other</em> text." in book.page(name)
        assert output in book.page(name)


def test_editing_code_runs_that_notebook_and_says_which_cell_changed(book: Book) -> None:
    two_notebooks(book)
    book.build()
    book.ipynb("one.ipynb", "Some text.", "%%\nprint('result', 7 * 7)")
    edited = book.build()
    assert edited.ran == ("one.ipynb",)
    assert "one.ipynb (code cell 2 changed)" in edited.log
    assert "result 49" in book.page("one")
    assert "code cell 2 changed" in book.page("nbcache-report")


def test_going_back_to_earlier_code_is_a_hit(book: Book) -> None:
    two_notebooks(book)
    book.build()
    earlier = (book.folder / "one.ipynb").read_text()
    book.ipynb("one.ipynb", "Some text.", "%%\nprint('result', 7 * 7)")
    book.build()
    book.write("one.ipynb", earlier)
    back = book.build()
    assert back.ran == ()
    assert "result 42" in book.page("one")
    assert "the code is again what was run at" in book.page("nbcache-report")


def test_reordering_cells_runs_the_notebook(book: Book) -> None:
    book.index("one")
    book.ipynb("one.ipynb", "%%\na = 1", "%%\na = 2", "%%\nprint('a is', a)")
    book.build()
    book.ipynb("one.ipynb", "%%\na = 2", "%%\na = 1", "%%\nprint('a is', a)")
    edited = book.build()
    assert edited.ran == ("one.ipynb",)
    assert "the code cells were reordered" in edited.log
    assert "a is 1" in book.page("one")


def test_display_tags_change_the_page_but_run_nothing(book: Book) -> None:
    book.index("one")
    book.ipynb("one.ipynb", code_cell("print('shown', 1)"))
    book.build()
    book.ipynb("one.ipynb", code_cell("print('shown', 1)", "hide-input", "remove-output"))
    edited = book.build()
    assert edited.ran == ()
    assert "shown 1" not in book.page("one")
    assert "Show code cell source" in book.page("one")


def test_the_tag_skip_execution_is_part_of_the_code(book: Book) -> None:
    book.index("one")
    book.ipynb("one.ipynb", code_cell("print('skipped', 2 * 2)"))
    book.build()
    book.ipynb("one.ipynb", code_cell("print('skipped', 2 * 2)", "skip-execution"))
    edited = book.build()
    assert edited.ran == ("one.ipynb",)
    assert "the tag skip-execution of code cell 2 changed" in edited.log
    assert "skipped 4" not in book.page("one")


def test_a_skipped_cell_shows_the_outputs_stored_in_the_file(book: Book) -> None:
    stored = [{"output_type": "stream", "name": "stdout", "text": "from the file\n"}]
    book.index("one")
    book.ipynb("one.ipynb", code_cell("1 / 0", "skip-execution", outputs=stored))
    assert book.build().warnings == ""
    assert "from the file" in book.page("one")


def test_deleting_and_renaming(book: Book) -> None:
    two_notebooks(book)
    book.build()
    (book.folder / "two.md").unlink()
    (book.folder / "one.ipynb").rename(book.folder / "renamed.ipynb")
    book.index("renamed")
    after = book.build()
    assert after.ran == ()
    assert after.warnings == ""
    assert "result 42" in book.page("renamed")
    report = book.page("nbcache-report")
    assert "same code as book/one.ipynb" in report or "same code as one.ipynb" in report
    assert "two.md" not in report


def test_the_same_code_in_two_folders_is_run_in_each(book: Book) -> None:
    book.index("a/note", "b/note")
    book.conf(executor="local-serial")
    for folder in "ab":
        cells = "%%" + book.counting("note"), "%%\nimport os; print(os.path.basename(os.getcwd()))"
        book.myst(f"{folder}/note.md", "# Note", *cells, counts=False)
    assert book.build().ran == ("note", "note")
    for folder in "ab":
        assert f"<span></span>{folder}\n" in book.page(f"{folder}/note")


def test_the_same_code_twice_in_one_folder_is_run_once(book: Book) -> None:
    book.index("one", "two")
    for name in ("one.md", "two.md"):
        book.myst(
            name, f"# {name}", "%%" + book.counting("same"), "%%\nprint('x' * 3)", counts=False
        )
    built = book.build()
    assert built.ran == ("same",)
    assert "xxx" in book.page("one")
    assert "xxx" in book.page("two")
    assert book.build().ran == ()


def test_a_notebook_and_its_text_twin_are_one_document_and_the_text_is_the_source(
    book: Book,
) -> None:
    book.index("one")
    book.ipynb("one.ipynb", "%%\nprint('twin')")
    book.myst("one.md", "%%\nprint('source')")
    built = book.build()
    assert built.warnings == ""
    assert built.ran == ("one.md",)
    assert ">source\n" in book.page("one")


def test_parallel_readers_show_the_same_pages(book: Book) -> None:
    names = [f"note{number}" for number in range(8)]
    book.index(*names)
    for name in names:
        book.myst(f"{name}.md", f"%%\nprint('this is', {name!r})")
    built = book.build("-j", "6")
    assert built.warnings == ""
    assert len(built.ran) == len(names)
    for name in names:
        assert f"this is {name}" in book.page(name)
    assert book.build("-j", "2").read == (0, 0, 0)


def test_scripts_count_only_with_a_header_and_helpers_never(book: Book) -> None:
    book.conf(formats={".py": "py:percent"})
    book.index("script")
    header = "# ---\n# jupyter:\n#   jupytext:\n#     text_representation:\n"
    header += "#       format_name: percent\n#   kernelspec:\n#     name: python3\n# ---\n"
    code = f"# %%\n{book.counting('script.py')}\nimport helper\nprint('helped', helper.value)\n"
    book.write("script.py", f"{header}# %% [markdown]\n# # Script\n\n{code}")
    book.write("helper.py", "# %% not a notebook\nvalue = 5\n")
    built = book.build()
    assert built.warnings == ""
    assert built.ran == ("script.py",)
    assert "helped 5" in book.page("script")
    pages = {path.stem for path in (book.folder / "_build" / "html").glob("*.html")}
    assert pages.isdisjoint({"helper", "conf"})
    assert book.build().read == (0, 0, 0)


def test_a_reader_function_of_the_users(book: Book) -> None:
    book.conf(
        """
        import sys, os
        sys.path.insert(0, os.path.dirname(__file__))
        """,
        formats={".mynb": "reader:read"},
    )
    book.write(
        "reader.py",
        "from nbformat.v4 import new_notebook, new_code_cell, new_markdown_cell\n"
        "def read(text):\n"
        "    return new_notebook(cells=[new_markdown_cell('# Mine'), new_code_cell(text)])\n",
    )
    book.index("note")
    book.write("note.mynb", f"{book.counting('note')}\nprint('read by mine')")
    assert book.build().ran == ("note",)
    assert "read by mine" in book.page("note")
    assert book.build().ran == ()


def test_a_no_op_build_imports_no_notebook_library_stats_a_source_and_opens_the_store_once(
    book: Book,
) -> None:
    two_notebooks(book)
    book.conf(
        """
        import atexit, json, os, sys
        stats = {}
        original = os.stat
        def counting_stat(path, *args, **kwargs):
            if str(path).endswith(('one.ipynb', 'two.md')):
                caller = sys._getframe(1).f_globals.get('__name__', '')
                if caller.startswith('sphinx_nbcache'):
                    stats[os.path.basename(path)] = stats.get(os.path.basename(path), 0) + 1
            return original(path, *args, **kwargs)
        os.stat = counting_stat
        connections = []
        def hear(event, arguments):
            if event == 'sqlite3.connect' and 'cache.db' in str(arguments[0]):
                connections.append(str(arguments[0]))
        sys.addaudithook(hear)
        names = ('nbformat', 'nbclient', 'jupytext', 'jupyter_client')
        atexit.register(lambda: print('SEEN', json.dumps(
            [stats, [name for name in names if name in sys.modules], connections])))
        """
    )
    book.build()
    old = 1_600_000_000
    for name in ("one.ipynb", "two.md"):
        os.utime(book.folder / name, (old, old))
    book.build()
    quiet = book.build(fresh=True)
    stats, imported, connections = json.loads(quiet.log.rpartition("SEEN ")[2])
    assert quiet.ran == ()
    assert imported == []
    assert stats == {"one.ipynb": 1, "two.md": 1}
    # diskcache would write to the database, and has no part in it.
    assert len(connections) == 1, connections


def test_force_runs_everything_again(book: Book) -> None:
    two_notebooks(book)
    book.build()
    forced = book.build("-D", "nbcache_execute=force")
    assert sorted(forced.ran) == ["one.ipynb", "two.md"]
    assert "execution is forced" in forced.log
    # The outputs are the same: nothing is read again.
    assert forced.read == (0, 0, 0)
    assert book.build().ran == ()


def test_missing_uses_notebooks_that_have_outputs_as_they_are(book: Book) -> None:
    stored = [{"output_type": "stream", "name": "stdout", "text": "stored by hand\n"}]
    book.conf(execute="missing")
    book.index("one", "counted", "two")
    book.ipynb("one.ipynb", code_cell("print('run')", outputs=stored))
    book.ipynb("counted.ipynb", code_cell("x = 1", count=1))
    book.myst("two.md", "%%\nprint('run, too')")
    built = book.build()
    assert built.ran == ("two.md",)
    assert "stored by hand" in book.page("one")
    assert "run, too" in book.page("two")


def test_off_runs_nothing_and_shows_what_is_stored_in_the_files(book: Book) -> None:
    stored = [{"output_type": "stream", "name": "stdout", "text": "stored by hand\n"}]
    book.index("one")
    book.ipynb("one.ipynb", code_cell("print('run')", outputs=stored))
    built = book.build("-D", "nbcache_execute=off")
    assert built.ran == ()
    assert "stored by hand" in book.page("one")
    # Back to the default: it is run, and its page is read again although it did not change.
    changed = book.build()
    assert changed.ran == ("one.ipynb",)
    assert changed.read == (0, 1, 0)
    assert "stored by hand" not in book.page("one")


def test_excluded_notebooks_are_shown_as_they_are(book: Book) -> None:
    book.conf(exclude=["drafts/**", "two.*"])
    book.index("one", "two", "drafts/three")
    book.ipynb("one.ipynb")
    book.myst("two.md")
    book.myst("drafts/three.md")
    assert book.build().ran == ("one.ipynb",)
    assert "excluded by" in book.page("nbcache-report")


def test_options_of_execution_read_no_page_again_and_formats_read_every_page(book: Book) -> None:
    book.index("one", "two", "plain")
    book.write("plain.rst", "Plain\n=====\n")
    printed = [{"output_type": "stream", "name": "stdout", "text": "printed\n"}]
    code = code_cell("print('printed')", outputs=printed)
    book.ipynb("one.ipynb", "# One", code, counts=False)
    book.myst("two.md", "# Two", "%%\nx = 1", counts=False)
    book.remember({"one.ipynb": ["new\n"], "two.md": [""]})
    assert book.build().ran == ()
    execution = ("nbcache_jobs=2", "nbcache_timeout=77", "nbcache_on_error=fail")
    built = book.build(*(word for option in execution for word in ("-D", option)))
    assert (built.ran, built.read) == ((), (0, 0, 0))
    # Other outputs are shown then: only the notebooks are read.
    off = book.build("-D", "nbcache_execute=off")
    assert (off.ran, off.read) == ((), (0, 2, 0))
    assert ">printed\n" in book.page("one")
    assert (book.build().ran, ">new\n" in book.page("one")) == ((), True)
    book.conf(formats={".Rmd": "Rmd"})
    every = book.build()
    assert (every.ran, every.read[0]) == ((), 5)


def test_an_invalid_option_warns_and_only_that_option_falls_back(book: Book) -> None:
    book.conf(executor="warp", timeout=-1, on_error="fail")
    book.index("one")
    book.myst("one.md")
    built = book.build()
    assert built.status == 0
    assert built.ran == ("one.md",)
    assert "nbcache_executor = 'warp' cannot be used" in built.warnings
    assert "'local-parallel' is used" in built.warnings
    assert "[nbcache.config]" in built.warnings
    assert built.warnings.count("WARNING") == 1


def test_kernel_aliases_replace_names_and_are_in_the_key(book: Book) -> None:
    book.conf(kernel_aliases={"conda-env-.*": "python3"})
    book.index("one")
    book.myst("one.md", kernelspec={"name": "conda-env-books", "display_name": "Books"})
    built = book.build()
    assert built.warnings == ""
    assert built.ran == ("one.md",)


def test_the_store_can_be_moved_and_another_checkout_uses_it(book: Book, tmp_path: Path) -> None:
    two_notebooks(book)
    book.conf(store=str(tmp_path / "store"), root=".")
    book.build()
    assert (tmp_path / "store" / "nbcache-2").is_dir()
    assert not (book.folder / "_build" / ".jupyter_cache").exists()
    other = Book(tmp_path / "elsewhere" / "copy", book.counter)
    two_notebooks(other)
    other.conf(store=str(tmp_path / "store"), root=".")
    assert other.build().ran == ()
    assert "result 42" in other.page("one")


def test_the_store_lies_beside_the_output_and_another_tool_may_use_the_folder(book: Book) -> None:
    two_notebooks(book)
    foreign = book.write("_build/.jupyter_cache/global.db", "not ours")
    book.build()
    assert (book.folder / "_build" / ".jupyter_cache" / "nbcache-2").is_dir()
    assert foreign.read_text() == "not ours"


def test_two_builds_at_once_run_each_notebook_once(book: Book) -> None:
    from concurrent.futures import ThreadPoolExecutor

    names = [f"note{number}" for number in range(5)]
    book.index(*names)
    for name in names:
        book.myst(f"{name}.md", "%%\nimport time; time.sleep(0.3)")
    with ThreadPoolExecutor(2) as pool:
        builds = [
            pool.submit(
                book.build, "-d", str(book.folder / "_build" / f"trees-{kind}"), builder=kind
            )
            for kind in ("html", "latex")
        ]
        first, second = (build.result() for build in builds)
    assert first.warnings == second.warnings == ""
    assert sorted(book.runs()) == sorted(f"{name}.md" for name in names)


def test_a_second_builder_on_shared_doctrees_rewrites_what_the_first_one_read(book: Book) -> None:
    two_notebooks(book)
    book.build()
    book.build(builder="text")
    book.ipynb("one.ipynb", "Some text.", "%%\nprint('result', 7 * 7)")
    assert book.build().ran == ("one.ipynb",)
    text = book.build(builder="text")
    assert text.ran == ()
    assert "result 49" in book.page("one", "text")


def test_files_that_a_run_wrote_are_seen_in_the_same_build(book: Book) -> None:
    book.index("one", text=".. literalinclude:: made.txt\n   :language: none\n")
    book.write("made.txt", "old\n")
    book.myst("one.md", "%%\nopen('made.txt', 'w').write('version 1')")
    book.build()
    assert "version 1" in book.page("index")
    book.myst("one.md", "%%\nopen('made.txt', 'w').write('version 2')")
    book.build()
    assert "version 2" in book.page("index")


def test_a_moved_store_variable(
    book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTERCACHE", str(tmp_path / "variable"))
    book.index("one")
    book.myst("one.md")
    book.build()
    assert (tmp_path / "variable" / "nbcache-2").is_dir()


def test_a_notebook_that_a_notebook_writes_is_run_and_shown_in_the_same_build(book: Book) -> None:
    book.conf("suppress_warnings = ['toc.not_included']")
    book.index("maker")
    made = "---\nkernelspec: {name: python3}\norphan: true\n---\n# Made\n\n```{code-cell}\n"
    made += f"{book.counting('made.md')}\nprint('made', 'here')\n```\n"
    book.myst("maker.md", f"%%\nopen('made.md', 'w').write({made!r})")
    built = book.build()
    assert built.warnings == ""
    assert built.ran == ("maker.md", "made.md")
    assert "made here" in book.page("made")
    assert book.build().ran == ()


def test_a_notebook_that_is_edited_while_it_runs_shows_no_output_until_the_next_build(
    book: Book,
) -> None:
    """The result is of the old code: not even the cells that stayed the same may show it."""
    book.index("note")
    edit = "p = 'note.md'; t = open(p).read(); n = t.replace('x = ' + '1', 'x = 2')"
    book.myst(
        "note.md", f"%%\n{edit}; open(p, 'w').write(n); None", "%%\nx = 1", "%%\nprint('is', x)"
    )
    built = book.build()
    assert "edited while the build was running: its outputs are left out" in built.warnings
    assert "<span></span>is " not in book.page("note")
    after = book.build()
    assert after.ran == ("note.md",)
    assert after.warnings == ""
    assert "is 2" in book.page("note")


def test_a_reader_function_that_changed_is_noticed_in_text_and_code(book: Book) -> None:
    book.conf(
        "import sys, os; sys.path.insert(0, os.path.dirname(__file__))",
        formats={".mynb": "reader:read"},
    )
    template = """
from nbformat.v4 import new_notebook, new_code_cell, new_markdown_cell
def read(text):
    return new_notebook(cells=[new_markdown_cell('# {title}'), new_code_cell("print('{word}')")])
"""
    book.index("note")
    book.write("note.mynb", "x")
    book.write("reader.py", template.format(title="Old", word="first"))
    book.build()
    book.write("reader.py", template.format(title="Newer", word="first"))
    book.build()
    assert "<h1>Newer" in book.page("note")
    book.write("reader.py", template.format(title="Newer", word="second"))
    book.build()
    assert "second" in book.page("note")


def test_the_same_code_under_other_rules_is_run_by_each_rule(book: Book) -> None:
    book.conf(executor="local-parallel", jobs=2)
    book.index("one", "two")
    for name, timeout in (("one.md", 50), ("two.md", 60)):
        cells = "%%" + book.counting("same")
        book.myst(name, f"# {name}", cells, counts=False, execution={"timeout": timeout})
    built = book.build()
    assert built.ran == ("same",)
    assert "another build" not in built.log
    assert "1 of 2 notebooks executed" in built.log
    assert "same code as" in book.page("nbcache-report")


def test_html_then_dirhtml_and_epub_on_shared_doctrees(book: Book) -> None:
    two_notebooks(book)
    book.conf("version = copyright = epub_copyright = '1'")
    for builder in ("html", "dirhtml", "epub"):
        book.build(builder=builder)
    book.ipynb("one.ipynb", "Some text.", "%%\nprint('result', 7 * 7)")
    for builder, page in (
        ("html", "one.html"),
        ("dirhtml", "one/index.html"),
        ("epub", "one.xhtml"),
    ):
        assert book.build(builder=builder).status == 0
        assert "result 49" in (book.folder / "_build" / builder / page).read_text(encoding="utf-8")
    assert book.runs().count("one.ipynb") == 2


def test_folders_with_blanks_and_other_letters(tmp_path: Path) -> None:
    book = Book(tmp_path / "Ünï cödé" / "a book", tmp_path / "counter")
    book.conf()
    book.index("ein Heft/nötiz")
    book.myst("ein Heft/nötiz.md", "%%\nimport os; print(os.path.basename(os.getcwd()))")
    built = book.build()
    assert built.warnings == ""
    assert "ein Heft" in book.page("ein Heft/nötiz")
    assert book.build().ran == ()


def test_a_jupytext_markdown_notebook_is_read_by_jupytext(book: Book) -> None:
    book.index("note")
    front = "jupyter:\n  jupytext:\n    text_representation:\n      format_name: markdown\n"
    front += "  kernelspec:\n    name: python3\n    display_name: Python 3\n    language: python\n"
    code = f"{book.counting('note')}\nprint('from', 'markdown')"
    book.write("note.md", f"---\n{front}---\n\n# Note\n\n```python\n{code}\n```\n")
    built = book.build()
    assert built.warnings == ""
    assert built.ran == ("note",)
    assert "from markdown" in book.page("note")


def test_code_that_a_cell_loads_from_a_file_is_run_when_the_file_changes(book: Book) -> None:
    book.index("a")
    book.write("code/part.py", "print('first', 6 * 7)\n")
    load = "```{code-cell}\n:load: code/part.py\n```"
    book.myst("a.md", load, f"````{{note}}\n{load}\n````")
    first = book.build()
    assert (first.ran, first.warnings) == (("a.md",), "")
    assert book.page("a").count("first 42") == 2
    assert book.build().ran == ()
    book.write("code/part.py", "print('second', 6 * 7)\n")
    changed = book.build()
    assert changed.ran == ("a.md",)
    assert "code cells 2 and 3 changed" in changed.log
    assert book.page("a").count("second 42") == 2


def test_a_notebook_that_is_deleted_before_its_turn_is_removed_not_reused(book: Book) -> None:
    book.conf(executor="local-serial")
    book.index("a", "b")
    book.myst("a.md", "%%\nimport pathlib; pathlib.Path('b.md').unlink(missing_ok=True)")
    book.myst("b.md", "%%\n1")
    built = book.build()
    assert built.ran == ("a.md",)
    assert built.status == 0, built
    assert "b.md was removed while the build ran" in built.warnings
    assert "1 of 2 notebooks executed" in built.log
    assert "(1 removed)" in built.log
    report = json.loads((book.folder / "_build/html/nbcache-report.json").read_text())
    entry = next(item for item in report["notebooks"] if item["path"].endswith("b.md"))
    assert (entry["decision"], entry["status"], entry["failed"]) == ("removed", None, False)
    assert book.build().status == 0
