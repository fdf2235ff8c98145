"""The code key: what must not change it, and what must."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sphinx_nbcache.files.paths import portable_path
from sphinx_nbcache.files.stats import Stat
from sphinx_nbcache.notebooks.formats import read_notebook
from sphinx_nbcache.notebooks.key import key_parts
from sphinx_nbcache.notebooks.scan import Scan, cell_digest, scan_notebook

Json = dict[str, Any]
KNOWN_KEY = "a2fb2214a374bbd3069052590011746e6bf338982a3d8e7130027f6285540fc4"
PYTHON = {"name": "python3", "display_name": "Python 3"}

SOURCES = st.text(alphabet="xyz=1 \n#", min_size=1, max_size=12).filter(str.strip)


def code(source: str, *tags: str) -> Json:
    """Return a code cell."""
    cell: Json = {"cell_type": "code", "source": source, "metadata": {}, "outputs": []}
    if tags:
        cell["metadata"]["tags"] = list(tags)
    return cell | {"execution_count": None, "id": "a"}


def markdown(source: str) -> Json:
    """Return a Markdown cell."""
    return {"cell_type": "markdown", "source": source, "metadata": {}}


def notebook(*cells: Json, **metadata: Any) -> Json:
    """Return a notebook for Python."""
    metadata = {"kernelspec": dict(PYTHON), **metadata}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": list(cells)}


def key_of(
    text: str, fmt: str = "ipynb", directory: str = "docs", aliases: dict[str, str] | None = None
) -> str:
    """Return the code key of a notebook's text."""
    empty = Scan(Stat(0, 0, 0, 0), 0, "", "", fmt)
    scan = scan_notebook(empty, read_notebook(text, fmt))
    return key_parts(scan, directory, aliases or {}).digest()


def key(data: Json, **more: Any) -> str:
    """Return the code key of a notebook."""
    return key_of(json.dumps(data), **more)


NOTEBOOKS = st.lists(
    st.one_of(
        SOURCES.map(code),
        SOURCES.map(lambda source: code(source, "skip-execution")),
        st.text(max_size=8).map(markdown),
    ),
    max_size=6,
).map(lambda cells: notebook(*cells))


# Each edit changes the notebook in place, at a place that the number chooses.
def add_markdown(data: Json, n: int) -> None:
    data["cells"].insert(n % (len(data["cells"]) + 1), markdown(f"text {n}"))


def add_raw(data: Json, n: int) -> None:
    data["cells"].insert(n % (len(data["cells"]) + 1), markdown("raw") | {"cell_type": "raw"})


def remove_markdown(data: Json, _n: int) -> None:
    data["cells"] = [cell for cell in data["cells"] if cell["cell_type"] == "code"]


def change_markdown(data: Json, n: int) -> None:
    for cell in data["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = f"other text {n}"


def add_blank_code(data: Json, n: int) -> None:
    data["cells"].insert(n % (len(data["cells"]) + 1), code("  \n" * (n % 3)))


def run_it(data: Json, n: int) -> None:
    output = {"output_type": "stream", "name": "stdout", "text": f"{n}"}
    for position, cell in enumerate(data["cells"]):
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [output], n + position


def clear_it(data: Json, _n: int) -> None:
    for cell in data["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None


def change_ids(data: Json, n: int) -> None:
    for position, cell in enumerate(data["cells"]):
        cell["id"] = f"id-{n}-{position}"


def tag_for_display(data: Json, _n: int) -> None:
    for cell in data["cells"]:
        cell["metadata"].setdefault("tags", []).extend(["hide-input", "remove-stderr", "mine"])


def allow_exceptions(data: Json, _n: int) -> None:
    for cell in data["cells"]:
        cell["metadata"].setdefault("tags", []).append("raises-exception")


def set_limits(data: Json, n: int) -> None:
    data["metadata"]["execution"] = {"timeout": n, "allow_errors": True}


def add_metadata(data: Json, n: int) -> None:
    data["metadata"].update(title=f"T {n}", widgets={"a": n}, authors=[n])
    for cell in data["cells"]:
        cell["metadata"].update(collapsed=True, slideshow={"slide_type": "skip"})


def name_the_language(data: Json, _n: int) -> None:
    data["metadata"]["kernelspec"]["language"] = "python"
    data["metadata"]["language_info"] = {"name": "python", "version": "3.14.1"}


def rename_for_display(data: Json, n: int) -> None:
    data["metadata"]["kernelspec"]["display_name"] = f"Python {n}"


def use_crlf(data: Json, _n: int) -> None:
    for cell in data["cells"]:
        cell["source"] = cell["source"].replace("\r\n", "\n").replace("\n", "\r\n")


def add_newlines(data: Json, n: int) -> None:
    for cell in data["cells"]:
        cell["source"] += "\n" * (n % 3 + 1)


def split_sources(data: Json, _n: int) -> None:
    for cell in data["cells"]:
        cell["source"] = cell["source"].splitlines(keepends=True)


def change_minor(data: Json, n: int) -> None:
    data["nbformat_minor"] = n % 6


Edit = Callable[[Json, int], None]
IRRELEVANT: list[Edit] = [
    add_markdown,
    add_raw,
    remove_markdown,
    change_markdown,
    add_blank_code,
    run_it,
    clear_it,
    change_ids,
    tag_for_display,
    allow_exceptions,
    set_limits,
    add_metadata,
    name_the_language,
    rename_for_display,
    use_crlf,
    add_newlines,
    change_minor,
]


@given(
    NOTEBOOKS,
    st.lists(st.tuples(st.sampled_from(IRRELEVANT), st.integers(0, 20)), min_size=1, max_size=6),
    st.sampled_from([split_sources, change_minor]),
)
def test_edits_that_code_cannot_observe_change_no_key(
    data: Json, edits: list[tuple[Edit, int]], last: Edit
) -> None:
    edited = copy.deepcopy(data)
    for edit, number in edits:
        edit(edited, number)
    # Sources in lists come last: the other edits take them for texts.
    last(edited, 3)
    assert key(edited) == key(data)


CODE_ONLY = st.lists(SOURCES, min_size=1, max_size=5)


@given(CODE_ONLY, SOURCES, st.integers(0, 9))
def test_another_source_is_another_key(sources: list[str], other: str, n: int) -> None:
    n %= len(sources)
    assume(other.rstrip("\n") != sources[n].rstrip("\n"))
    changed = [*sources[:n], other, *sources[n + 1 :]]
    assert key(notebook(*map(code, changed))) != key(notebook(*map(code, sources)))


@given(CODE_ONLY, SOURCES, st.integers(0, 9))
def test_one_cell_more_or_less_is_another_key(sources: list[str], more: str, n: int) -> None:
    n %= len(sources) + 1
    longer = [*sources[:n], more, *sources[n:]]
    assert key(notebook(*map(code, longer))) != key(notebook(*map(code, sources)))


@given(CODE_ONLY, st.randoms(use_true_random=False))
def test_another_order_is_another_key(sources: list[str], random: Any) -> None:
    shuffled = random.sample(sources, len(sources))
    assume([s.rstrip("\n") for s in shuffled] != [s.rstrip("\n") for s in sources])
    assert key(notebook(*map(code, shuffled))) != key(notebook(*map(code, sources)))


@given(CODE_ONLY, st.integers(0, 9))
def test_skipping_a_cell_is_another_key(sources: list[str], n: int) -> None:
    cells = [code(source) for source in sources]
    before = key(notebook(*cells))
    cells[n % len(cells)] = code(sources[n % len(cells)], "skip-execution")
    assert key(notebook(*cells)) != before


@given(SOURCES, SOURCES)
def test_two_cells_are_not_one_cell(first: str, second: str) -> None:
    assert key(notebook(code(first), code(second))) != key(notebook(code(first + "\n" + second)))


@given(st.text(max_size=9), st.text(max_size=9))
def test_the_kernels_name_is_in_the_key(first: str, second: str) -> None:
    def named(name: str) -> str:
        return key(notebook(code("1"), kernelspec={"name": name, "language": "x"}))

    assert (named(first) == named(second)) == (first == second)


def test_the_language_is_in_the_key_whatever_its_case() -> None:
    def in_language(name: str, where: str = "kernelspec") -> str:
        spec = {"kernelspec": {"name": "k"}, "language_info": {}}
        spec[where]["language" if where == "kernelspec" else "name"] = name
        return key(notebook(code("1"), **spec))

    assert in_language("R") != in_language("julia")
    assert in_language("R") == in_language("r") == in_language("R", "language_info")


@given(st.text(max_size=9), st.text(max_size=9))
def test_the_directory_is_in_the_key(first: str, second: str) -> None:
    data = notebook(code("1"))
    equal = key(data, directory=first) == key(data, directory=second)
    assert equal == (first == second)


def test_what_an_alias_gives_is_in_the_key() -> None:
    data = notebook(code("1"))
    other = notebook(code("1"), kernelspec={"name": "other", "language": "python"})
    assert key(data, aliases={"python3": "a"}) != key(data, aliases={"python3": "b"})
    assert key(data, aliases={"python3": "a"}) != key(data)
    assert key(data, aliases={"python3": "other"}) == key(other)


def test_the_first_alias_that_matches_the_whole_name_counts() -> None:
    data = notebook(code("1"))
    assert key(data, aliases={"python": "a", "p": "b"}) == key(data)
    assert key(data, aliases={"x": "c", "py.*": "a", ".*": "b"}) == key(
        data, aliases={"python3": "a"}
    )


def arguments_of(text: str, **by_kernel: tuple[str, ...]) -> tuple[str, ...]:
    """Return what the kernel of an `.ipynb` notebook is given."""
    scan = scan_notebook(Scan(Stat(0, 0, 0, 0), 0, "", "", "ipynb"), read_notebook(text, "ipynb"))
    return key_parts(scan, "docs", {"a": "aliased"}, arguments=by_kernel).arguments


def test_arguments_are_for_kernels_whose_whole_name_matches_whatever_names_them() -> None:
    def named(**spec: str) -> str:
        return json.dumps(notebook(code("1"), kernelspec=spec))

    every = {".*": ("--x",), "python3": ("--y",), "python": ("--z",), "aliased": ("--b",)}
    assert arguments_of(named(name="python3"), **every) == ("--x", "--y")
    # The default of Python has a name, too.
    assert arguments_of(named(language="python"), **every) == ("--x", "--y")
    assert arguments_of(named(name="a"), **every) == ("--x", "--b")
    assert arguments_of(named(language="R"), **every) == ("--x",)


@given(st.lists(st.tuples(SOURCES.map(str.strip), st.booleans()), max_size=4))
def test_an_ipynb_file_and_its_myst_text_have_one_key(cells: list[tuple[str, bool]]) -> None:
    # In MyST a cell that starts like options has them; nobody writes `---` first in code.
    parts = [f"---\nkernelspec:\n  name: {PYTHON['name']}\n---\n", "# Title\n"]
    for source, skipped in cells:
        options = ":tags: [skip-execution]\n\n" if skipped else ""
        parts.append(f"```{{code-cell}}\n{options}{source}\n```\n")
    same = [code(source, *(["skip-execution"] if skipped else [])) for source, skipped in cells]
    assert key_of("\n".join(parts), "myst") == key(notebook(markdown("# Title"), *same))


def test_a_percent_script_has_the_key_of_its_ipynb_file() -> None:
    script = (
        "# ---\n# jupyter:\n#   kernelspec:\n#     name: python3\n# ---\n\n# %%\na = 1\n\n# %%\na\n"
    )
    assert key_of(script, "py:percent") == key(notebook(code("a = 1"), code("a")))


def test_the_key_is_the_same_in_every_process() -> None:
    data = notebook(code("a = 1"), code("é", "skip-execution"), title="T")
    script = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); import test_key;"
        "print(test_key.key(json.loads(sys.argv[2]), aliases={'p.*': 'x', 'q': 'y'}))"
    )
    here = key(data, aliases={"p.*": "x", "q": "y"})
    for seed in ("1", "77"):
        done = subprocess.run(
            [sys.executable, "-c", script, str(Path(__file__).parent), json.dumps(data)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == here
    assert re.fullmatch("[0-9a-f]{64}", here)


def test_the_key_of_a_known_notebook_stays_what_it_is() -> None:
    """If it must change, raise `SCHEMA` in `results/records.py`, then change it here."""
    data = notebook(code("a = 1"), code("a", "skip-execution"))
    assert key(data) == KNOWN_KEY


@given(st.text(max_size=20))
def test_line_endings_and_trailing_newlines_are_not_in_a_cells_digest(source: str) -> None:
    unix = source.replace("\r\n", "\n").replace("\r", "\n")
    digest = cell_digest(unix)
    assert cell_digest(unix.replace("\n", "\r\n")) == digest
    assert cell_digest(unix.replace("\n", "\r")) == digest
    assert cell_digest(unix + "\n\n") == digest
    assert cell_digest(unix + "x") != digest


def test_a_kernel_name_that_is_no_unicode_text_has_a_key() -> None:
    """JSON may hold half a surrogate pair: one bad notebook must not end the build."""
    text = json.dumps(notebook(code("'\ud800'"), kernelspec={"name": "\ud800"}))
    assert key_of(text)


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/r/a/b.md", "a/b.md"), ("/r", "."), ("/x/b.md", "/x/b.md"), ("/x/../y/b.md", "/y/b.md")],
)
def test_paths_are_relative_to_the_root_where_they_are_inside(path: str, expected: str) -> None:
    assert portable_path(Path(path), Path("/r")) == expected


def test_a_temporary_folder_and_its_assets_are_another_place() -> None:
    empty = Scan(Stat(0, 0, 0, 0), 0, "", "", "ipynb")
    text = json.dumps(notebook(code("x"), nbcache={"assets": ["a.csv"]}))
    scan = scan_notebook(empty, read_notebook(text, "ipynb"))

    def key_in(**place: Any) -> str:
        return key_parts(scan, "docs", {}, **place).digest()

    own = key_in()
    # In its own folder a notebook sees all files, whatever it lists.
    assert own == key_in(assets=["b.csv"]) == key(notebook(code("x")))
    temporary = key_in(temporary=True)
    more = key_in(temporary=True, assets=["b.csv"])
    assert len({own, temporary, more}) == 3
    assert more == key_in(temporary=True, assets=["b.csv", "a.csv", "b.csv"])
