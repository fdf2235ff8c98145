"""Which files are notebooks, which become documents, and what globs mean."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sphinx_nbcache.files.paths import matching_glob
from sphinx_nbcache.notebooks.formats import Formats, not_documents, read_notebook
from sphinx_nbcache.notebooks.notebook import NotebookError
from sphinx_nbcache.notebooks.readers import is_function

SCRIPTS = Formats({".py": "py:percent", ".R": "R:spin", ".jl": "jl:light", ".txt": "myst"})
KERNELSPEC = "kernelspec:\n  name: python3\n  display_name: Python 3\n"


def markdown(front: str) -> str | None:
    """Return the format of a Markdown file with this front matter."""
    return Formats().format_of("page.md", f"---\n{front}\n---\n\n# T\n")


def header(comment: str = "# ", fmt: str = "percent") -> str:
    """Return a jupytext header as it stands in a script."""
    lines = ["---", "jupyter:", "  jupytext:", "    text_representation:", "      extension: .x"]
    lines += [f"      format_name: {fmt}", "  kernelspec:", "    name: python3", "---"]
    return "".join(f"{comment}{line}\n" for line in lines)


@pytest.mark.parametrize(
    ("front", "fmt"),
    [
        (KERNELSPEC, "myst"),
        ("kernelspec: {name: python3}", "myst"),
        ("kernelspec: {}", "myst"),
        ("file_format: mystnb", "myst"),
        ("file_format: myst", "myst"),
        ("jupyter:\n  kernelspec: {name: x}", "myst"),
        ("jupytext: {text_representation: {format_name: myst}}", "myst"),
        ("jupytext: {text_representation: {format_name: markdown}}", "markdown"),
        ("jupyter: {jupytext: {text_representation: {format_name: pandoc}}}", "pandoc"),
        ("title: A page", None),
        ("jupytext: {formats: md}", None),
        ("jupytext: 3", None),
        ("kernelspec:", None),
        ("file_format: other", None),
        ("jupyter: python3", None),
        ("- kernelspec", None),
        ("", None),
        # What PyYAML itself fails on: an ordinary page must not end the build.
        ("date: 2024-13-45", None),
        ("number: 0b_", None),
        ("when: !!timestamp x", None),
        ("deep: " + "[" * 3000, None),
    ],
)
def test_front_matter_tells_whether_a_markdown_file_is_a_notebook(
    front: str, fmt: str | None
) -> None:
    assert markdown(front) == fmt


@pytest.mark.parametrize(
    ("front", "words", "line"),
    [
        ("kernelspec: [", "did not find expected node content", 3),
        ("title: T\nkernelspec:\n  name: a: b", "mapping values are not allowed", 4),
        ('{"kernelspec": {"name": "x"}, title: a: b}', "not valid YAML", 2),
        ("title: [\nfile_format: mystnb", "not valid YAML", 4),
        ("title: T\nkernelspec: python3", "write the kernel's name below it", 3),
    ],
)
def test_a_notebook_whose_front_matter_cannot_be_used_is_no_ordinary_page(
    front: str, words: str, line: int
) -> None:
    with pytest.raises(NotebookError, match=re.escape(words)) as raised:
        markdown(front)
    assert raised.value.line == line


def test_a_page_with_code_cells_and_front_matter_that_cannot_be_parsed_is_a_notebook() -> None:
    cell = "```{code-cell}\n1 + 1\n```\n"
    with pytest.raises(NotebookError, match="not valid YAML"):
        Formats().format_of("page.md", f"---\nkernlespec\n  name: x: y\n---\n\n{cell}")


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_the_front_matter_of_a_notebook_that_does_not_end_is_told(newline: str) -> None:
    open_text = f"---\n{KERNELSPEC}\n# T\n".replace("\n", newline)
    with pytest.raises(NotebookError, match="does not end; put a line `---` after it"):
        Formats().format_of("page.md", open_text)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("blank", ["", "  ", "\t"])
def test_a_page_that_begins_with_a_rule_and_shows_front_matter_is_no_notebook(
    blank: str, newline: str
) -> None:
    page = f"---\n{blank}\nA rule, and then:\n\n{KERNELSPEC}".replace("\n", newline)
    assert Formats().format_of("page.md", page) is None


def test_a_script_whose_jupytext_header_cannot_be_parsed_is_a_notebook_that_cannot_be_read(
    tmp_path: Path,
) -> None:
    broken = header().replace("format_name: percent", "format_name: per: cent")
    with pytest.raises(NotebookError, match="mapping values are not allowed") as raised:
        SCRIPTS.format_of("a.py", "#!/usr/bin/env python\n" + broken)
    assert raised.value.line == 7
    (tmp_path / "a.py").write_text(broken)
    assert list(not_documents(tmp_path, ["a.py"], SCRIPTS)) == []
    assert SCRIPTS.format_of("b.py", "# ---\n# title: a: b\n# ---\n") is None


KERNEL = "# jupyter:\n#   kernelspec:\n#     name: python3\n"


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        (f"# ---\n{KERNEL}\nx = 1\n", "does not end", 1),
        (f"#!/bin/x\n# ---\n{KERNEL}x = 1\n# ---\n", "does not end", 2),
        (f"# ---\n{KERNEL}\n#   own: 1\n# ---\n", "no blank line into it", 1),
        ("# ---\n# a: 1\n# kernelspec:\n#   name: x\n# ---\n", "indent it below a line", 3),
        ("# ---\n# jupytext:\n#   formats: ipynb,py\n# ---\n", "indent it below a line", 2),
        ("# ---\n# jupyter:\n#   kernelspec: x\n# ---\n", "write the kernel's name", 3),
        (f"# ---\n{KERNEL}# a: b: c\n# ---\n", "mapping values are not allowed", 5),
        (f"# Copyright: me\n#\n\n# ---\n{KERNEL}# ---\n", "stands below other lines", 4),
        (f"\n# ---\n{KERNEL}# ---\n", "stands below other lines", 2),
    ],
)
def test_a_script_with_half_a_header_is_a_notebook_that_cannot_be_read(
    tmp_path: Path, text: str, words: str, line: int
) -> None:
    with pytest.raises(NotebookError, match=words) as raised:
        SCRIPTS.format_of("a.py", text)
    assert raised.value.line == line
    (tmp_path / "a.py").write_text(text)
    assert list(not_documents(tmp_path, ["a.py"], SCRIPTS)) == []


def test_a_script_that_is_not_utf8_is_a_document_only_if_it_is_a_notebook(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(header().encode() + "# %% [markdown]\n# ä\n".encode("latin-1"))
    (tmp_path / "b.py").write_bytes(b"# -*- coding: latin-1 -*-\nx = '\xe4'\n")
    assert list(not_documents(tmp_path, ["a.py", "b.py"], SCRIPTS)) == ["b.py"]


@pytest.mark.parametrize("encoding", ["latin-1", "utf8", "UTF-8"])
def test_an_encoding_line_that_jupytext_refuses_is_named_with_what_to_write(encoding: str) -> None:
    text = f"#!/usr/bin/env python\n# -*- coding: {encoding} -*-\n{header()}"
    fmt = SCRIPTS.format_of("a.py", text)
    assert fmt is not None
    with pytest.raises(NotebookError, match="write `utf-8` there") as raised:
        read_notebook(text, fmt)
    assert raised.value.line == 2


def test_files_are_read_once_to_tell_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = write(
        tmp_path, a__py=header(), a__ipynb="{}", b__py="x = 1\n", c__py=f"# ---\n{KERNEL}"
    )
    read: list[str] = []
    read_bytes = Path.read_bytes

    def counted(path: Path) -> bytes:
        read.append(path.name)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", counted)
    assert set(not_documents(tmp_path, names, SCRIPTS)) == {"a.ipynb", "b.py"}
    assert sorted(read) == ["a.py", "b.py", "c.py"]


@pytest.mark.parametrize("text", [f"\n---\n{KERNELSPEC}---\n", f"----\n{KERNELSPEC}----\n", "# T"])
def test_what_is_not_at_the_top_between_dashes_is_no_front_matter(text: str) -> None:
    assert Formats().format_of("page.md", text) is None


def test_every_ipynb_file_is_a_notebook() -> None:
    assert Formats().format_of("a.ipynb", "") == "ipynb"


def test_other_suffixes_count_only_by_declaration() -> None:
    assert Formats().format_of("a.py", header()) is None
    assert Formats().format_of("a.txt", "") is None
    assert SCRIPTS.format_of("a.txt", "") == "myst"
    assert Formats({".md": "markdown"}).format_of("a.md", "# T") == "markdown"


@pytest.mark.parametrize(
    ("name", "text", "fmt"),
    [
        ("a.py", header(), "py:percent"),
        ("a.py", "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n" + header(), "py:percent"),
        ("a.jl", header() + "\nx = 1\n", "jl:light"),
        ("a.R", header("#' "), "R:spin"),
        ("a.R", header(), "R:spin"),
        ("a.py", "", None),
        ("a.py", "# %%\nx = 1\n", None),
        ("a.py", "import os\n" + header(), None),
        ("a.py", '"""Text."""\n' + header(), None),
        ("a.py", header().replace("# ", ""), None),
        ("a.py", "# ---\n# title: x\n# ---\n", None),
        ("a.py", "# -*- coding: utf-8 -*-\n" + header(), "py:percent"),
        ("a.py", f"# ---\n{KERNEL}# ---\n", "py:percent"),
        ("a.py", "# ---\n# jupyter:\n#   jupytext:\n#     formats: py\n# ---\n", "py:percent"),
        ("a.py", "# ---\n# title: x\n", None),
        ("a.py", "# ---\n# jupyter: python3\n# ---\n", None),
        ("a.py", "# Coding:\n# ---\n# title: x\n# ---\n", None),
        ("a.py", f"# %% [markdown]\n# A header:\n# ---\n{KERNEL}# ---\n", None),
        ("a.py", "# A rule:\n# ---\n# kernelspec: what it is\n", None),
        ("a.py", "# ---\n# a: [\n# ---\n", None),
        ("a.py", "# ---\n# date: 2024-13-45\n# ---\n", None),
        ("a.jl", "x = 1\n", None),
        ("a.R", "x <- 1\n", None),
        ("conf.py", header(), None),
    ],
)
def test_a_script_is_a_notebook_only_by_its_jupytext_header(
    name: str, text: str, fmt: str | None
) -> None:
    assert SCRIPTS.format_of(name, text) == fmt


def test_a_users_function_reads_no_script_without_a_header() -> None:
    formats = Formats({".py": "module:read", ".dat": "module:read"})
    assert formats.format_of("helpers.py", "x = 1\n") is None
    assert formats.format_of("a.dat", "anything") == "module:read"


@pytest.mark.parametrize(
    ("fmt", "expected"),
    [
        ("module:read", True),
        ("package.module:read", True),
        ("py:percent", False),
        ("md:myst", False),
        ("Rmd", False),
        ("ipynb", False),
        (":read", False),
        ("module:", False),
    ],
)
def test_functions_are_told_from_jupytext_formats(fmt: str, expected: bool) -> None:  # noqa: FBT001 (a table)
    assert is_function(fmt) is expected


def test_the_longest_suffix_counts() -> None:
    formats = Formats({".nb.md": "markdown", ".txt": "myst"})
    assert formats.suffix_of("a.nb.md") == ".nb.md"
    assert formats.suffix_of("a.md") == ".md"
    assert formats.suffix_of("folder.md/a.rst") == ""


@given(
    st.sampled_from(["a.md", "a.ipynb", "a.py", "a.R", "a.jl", "a.txt", "conf.py", "x", ""]),
    st.lists(
        st.sampled_from(
            [
                "---",
                "# ---",
                "#' ---",
                "kernelspec: {}",
                "# jupyter:",
                "!!",
                "&a",
                "*a",
                "? ",
                "- ",
                ": ",
                "{",
                "[",
                "'",
                "...",
                "%YAML 9",
                "\t",
                "<<: 1",
                "\x00",
                "=",
                "0x_",
                "1:99",
            ]
        )
        | st.text(max_size=9),
        max_size=8,
    ),
)
def test_telling_the_format_of_a_text_raises_nothing_but_a_notebook_error(
    name: str, lines: list[str]
) -> None:
    for formats in (Formats(), SCRIPTS):
        for text in ("\n".join(lines), "---\n" + "\n".join(lines) + "\n---\n"):
            with suppress(NotebookError):
                fmt = formats.format_of(name, text)
                if fmt in ("ipynb", "myst"):
                    read_notebook(text, fmt)


def write(folder: Path, **files: str) -> list[str]:
    """Write files, with `__` for the dot; return their names."""
    names = [name.replace("__", ".") for name in files]
    for name, text in zip(names, files.values(), strict=True):
        (folder / name).write_text(text, encoding="utf-8")
    return names


NOTEBOOK_MD = f"---\n{KERNELSPEC}---\n"


def test_conf_py_and_helpers_never_become_documents(tmp_path: Path) -> None:
    names = write(tmp_path, conf__py=header(), helpers__py="x = 1\n", nb__py=header())
    assert set(not_documents(tmp_path, names, SCRIPTS)) == {"conf.py", "helpers.py"}


def test_of_a_pair_the_text_file_is_the_document(tmp_path: Path) -> None:
    names = write(tmp_path, a__md=NOTEBOOK_MD, a__ipynb="{}", b__ipynb="{}", c__md="# C")
    left_out = not_documents(tmp_path, names, Formats())
    assert list(left_out) == ["a.ipynb"]
    assert "a.md is used, and a.ipynb is not" in left_out.words


def test_a_script_beside_its_ipynb_file_is_the_document(tmp_path: Path) -> None:
    names = write(tmp_path, a__py=header(), a__ipynb="{}", b__py="x = 1\n", b__ipynb="{}")
    assert set(not_documents(tmp_path, names, SCRIPTS)) == {"a.ipynb", "b.py"}


def test_of_two_texts_and_their_twin_one_is_the_document(tmp_path: Path) -> None:
    names = write(tmp_path, a__py=header(), a__md=NOTEBOOK_MD, a__ipynb="{}")
    assert set(not_documents(tmp_path, names, SCRIPTS)) == {"a.py", "a.ipynb"}


def test_a_page_that_is_no_notebook_is_no_twin(tmp_path: Path) -> None:
    names = write(tmp_path, a__md="# A", a__ipynb="{}")
    assert list(not_documents(tmp_path, names, Formats())) == []


def test_files_of_one_name_in_different_folders_are_no_pair(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub", a__md=NOTEBOOK_MD)
    write(tmp_path, a__ipynb="{}")
    assert list(not_documents(tmp_path, ["a.ipynb", "sub/a.md"], Formats())) == []


def test_files_that_are_gone_or_not_utf8_hide_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"---\nkernelspec: {}\n---\n\xff")
    names = ["a.md", "a.ipynb", "b.md", "b.ipynb"]
    assert list(not_documents(tmp_path, names, Formats())) == []


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("a.md", "a.md", True),
        ("a.md", "x/a.md", False),
        ("a.md", "aXmd", False),
        ("./a.md", "a.md", True),
        ("*.md", "a.md", True),
        ("*.md", "x/a.md", False),
        ("x/*.md", "x/a.md", True),
        ("x/*.md", "x/y/a.md", False),
        ("x/*", "x/y/a.md", True),
        ("x", "x/y/a.md", True),
        ("x/", "x/y/a.md", True),
        ("x", "xy/a.md", False),
        ("**/a.md", "a.md", True),
        ("**/a.md", "x/y/a.md", True),
        ("**/a.md", "x/ba.md", False),
        ("x/**", "x/y/a.md", True),
        ("**.md", "x/y/a.md", True),
        ("?.md", "a.md", True),
        ("?.md", "ab.md", False),
        ("x?a.md", "x/a.md", False),
        ("[ab].md", "b.md", True),
        ("[!ab].md", "b.md", False),
        ("[!ab].md", "c.md", True),
        ("[a.md", "[a.md", True),
        ("a+(1).md", "a+(1).md", True),
        ("", "a.md", False),
    ],
)
def test_globs_stop_at_slashes_and_take_whole_folders(
    pattern: str,
    path: str,
    matches: bool,  # noqa: FBT001 (a table)
) -> None:
    assert matching_glob(path, [pattern]) == (pattern if matches else None)


def test_the_first_glob_that_matches_is_named() -> None:
    assert matching_glob("x/a.md", ["b", "x/*.md", "x"]) == "x/*.md"
    assert matching_glob("x/a.md", []) is None


@given(st.text(alphabet="ab[]!^-*?/\\.()", max_size=8), st.text(alphabet="ab/.", max_size=6))
def test_no_glob_is_an_error(pattern: str, path: str) -> None:
    assert matching_glob(path, [pattern]) in (pattern, None)


@given(st.lists(st.text(alphabet="ab.", min_size=1, max_size=3), min_size=1, max_size=4))
def test_a_name_without_signs_matches_itself_and_what_lies_below(parts: list[str]) -> None:
    path = "/".join(parts)
    if not path.startswith("./"):
        assert matching_glob(path, [path]) == path
        assert matching_glob(path + "/c", [path]) == path
        assert matching_glob(path + "c", [path]) is None


def test_a_module_beside_a_page_of_its_name_is_no_twin(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# T\n")
    (tmp_path / "a.py").write_text("x = 1\n")
    left_out = not_documents(tmp_path, ["a.md", "a.py"], SCRIPTS)
    assert list(left_out) == ["a.py"]
    assert left_out.words == ""


def test_many_pairs_are_one_line(tmp_path: Path) -> None:
    names = [f"{number}{suffix}" for number in range(9) for suffix in (".md", ".ipynb")]
    for name in names:
        (tmp_path / name).write_text(f"---\n{KERNELSPEC}---\n")
    words = not_documents(tmp_path, names, Formats()).words
    assert words.count(" is used, and ") == 5
    assert words.endswith("; and 4 more pairs")
