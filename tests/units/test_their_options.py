"""Options of nbsphinx and MyST-NB as options of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sphinx_nbcache.config import execute_mode_of
from sphinx_nbcache.extension.handover import renderers_in_charge
from sphinx_nbcache.extension.their_options import (
    FORMER_NAMES,
    Their,
    excluded,
    file_types_in,
    formats_of,
    mode_in,
    options_of,
    reader_for,
)
from sphinx_nbcache.notebooks.renderers import MYST_NB, NBSPHINX, DeclaredFormat, taken_apart
from sphinx_nbcache.options import OptionError

DEFAULTS: dict[str, Any] = {
    "nbsphinx_execute": "auto",
    "nbsphinx_timeout": None,
    "nbsphinx_custom_formats": {},
    "nb_execution_mode": "auto",
    "nb_execution_timeout": 30,
    "nb_custom_formats": {},
    "myst_enable_extensions": set(),
    "nbcache_exclude": [],
}


def their(**values: Any) -> Their:
    """Return the options of a `conf.py` with these values."""
    return Their((DEFAULTS | values).get, values.__contains__)


def options(renderer: str, **values: Any) -> dict[str, Any]:
    """Return what follows from these values, without formats."""
    found = options_of((renderer,), {}, their(**values))
    del found["formats"]
    return found


@pytest.mark.parametrize(
    ("extensions", "wanted", "expected"),
    [
        ((), "auto", ()),
        (("nbsphinx",), "auto", ("nbsphinx",)),
        (("myst_nb",), "auto", ("myst_nb",)),
        (("myst_nb", "nbsphinx"), "auto", ("nbsphinx", "myst_nb")),
        (("nbsphinx_link",), "auto", ("nbsphinx",)),
        (("nbsphinx",), "own", ()),
        (("nbsphinx", "myst_nb"), "myst_nb", ("myst_nb",)),
    ],
)
def test_the_loaded_renderer_is_in_charge(
    extensions: tuple[str, ...], wanted: str, expected: tuple[str, ...]
) -> None:
    assert renderers_in_charge(extensions, wanted) == expected


def test_only_what_is_set_is_taken_over_and_nbsphinx_has_no_time_limit() -> None:
    assert options(NBSPHINX) == {"execute": "renderer", "timeout": None}
    assert options(MYST_NB) == {"execute": "renderer"}


def test_an_option_of_ours_counts_more_than_one_of_theirs() -> None:
    found = options(NBSPHINX, nbsphinx_timeout=5, nbcache_timeout=7, nbcache_execute="off")
    assert found == {}


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["a/*.md"], ["a/x.md"]),
        (["sub"], []),
        (["sub/*"], ["sub/y[[]1].md"]),
        (["*/*.md"], ["a/x.md", "sub/deep/z.md", "sub/y[[]1].md", "top.md"]),
        (["/src/sub/*"], ["sub/y[[]1].md"]),
    ],
)
def test_excluded_patterns_match_as_in_myst_nb(patterns: list[str], expected: list[str]) -> None:
    names = ("top.md", "a/x.md", "sub/y[1].md", "sub/deep/z.md")
    assert excluded(patterns, [Path("/src", name) for name in names], Path("/src")) == expected


def test_excluded_patterns_add_to_ours() -> None:
    given = their(nb_execution_excludepatterns=["a.md"], nbcache_exclude=["own"])
    given = Their(given.get, given.is_set, Path("/src"), lambda: ("a.md", "b.md"))
    assert options_of((MYST_NB,), {}, given)["exclude"] == ["own", "a.md"]


def test_a_value_that_cannot_be_used_is_left_out() -> None:
    assert "timeout" not in options(NBSPHINX, nbsphinx_timeout="soon")


def test_former_names_of_myst_nb_count() -> None:
    found = options(MYST_NB, execution_timeout=9, execution_in_temp=True)
    assert (found["timeout"], found["run_in"]) == (9, "temp")
    assert mode_in(MYST_NB, their(jupyter_execute_notebooks="off")) == "off"


@pytest.mark.parametrize("mode", ["alway", "inline", ["always"], None, 1])
def test_a_mode_that_there_is_not_is_an_error(mode: Any) -> None:
    with pytest.raises(OptionError, match="is not one of 'auto', 'always', 'never'"):
        mode_in(NBSPHINX, their(nbsphinx_execute=mode))


def test_nbsphinx_takes_the_first_suffix_that_fits() -> None:
    custom = {".x.ipynb": "m.f", ".py": "m.g", ".pct.py": "m.h"}
    types = dict.fromkeys((".ipynb", *custom), "jupyter_notebook")
    found = formats_of((NBSPHINX,), types, their(nbsphinx_custom_formats=custom))
    assert found[".x.ipynb"] == "nbsphinx/auto"
    assert found[".pct.py"] == "nbsphinx/auto m:g"


def test_former_names_are_those_of_myst_nb() -> None:
    pytest.importorskip("myst_nb", reason="MyST-NB is not installed: `nox -s renderers`")
    from myst_nb.core.config import NbParserConfig

    fields = NbParserConfig().as_triple()
    theirs = {f"nb_{name}": f.metadata.get("legacy_name") for name, _, f in fields}
    ours = {name: theirs[name] for name in FORMER_NAMES}
    assert ours == FORMER_NAMES


@pytest.mark.parametrize(
    ("converter", "expected"),
    [
        (["jupytext.reads", {"fmt": "py:percent"}], "py:percent"),
        (("jupytext.reads", {"fmt": ".Rmd"}), "Rmd"),
        ("jupytext.reads", "jupytext"),
        ("package.module.read", "package.module:read"),
        (["m.read", {"b": 1, "a": [2]}, True], 'm:read {"a": [2], "b": 1}'),
        (["m.read", None], "m:read"),
        (reader_for, "sphinx_nbcache.extension.their_options:reader_for"),
        (lambda text: text, None),
        ("read", None),
        (["m.read", {"a": {1}}], None),
        (3, None),
        ([], None),
        (("m.read", 5), None),
    ],
)
def test_converters_become_readers(converter: Any, expected: str | None) -> None:
    assert reader_for(converter) == expected


def test_formats_follow_the_parser_of_each_suffix() -> None:
    types = {".rst": "restructuredtext", ".md": "myst-nb", ".ipynb": "jupyter_notebook"}
    found = formats_of(
        (NBSPHINX, MYST_NB),
        types,
        their(nb_execution_mode="cache", myst_enable_extensions=["deflist", "amsmath"]),
    )
    assert found == {
        ".ipynb": "nbsphinx/auto",
        ".md": "myst_nb/cache myst-nb[amsmath,deflist]",
    }


def test_files_of_a_renderer_that_is_not_in_charge_are_no_notebooks() -> None:
    types = {".md": "myst-nb", ".ipynb": "jupyter_notebook"}
    assert formats_of((NBSPHINX,), types, their())[".md"] == "none"
    assert formats_of((MYST_NB,), types, their(nb_execution_mode="inline"))[".md"] == "none"


def test_file_types_without_sphinx_are_those_with_it() -> None:
    assert file_types_in({"extensions": ["nbsphinx"], "nbsphinx_custom_formats": {".x": 1}}) == {
        ".ipynb": "jupyter_notebook",
        ".x": "jupyter_notebook",
    }
    both = file_types_in({"extensions": ["nbsphinx", "myst_nb"]})
    assert both == {".ipynb": "myst-nb", ".md": "myst-nb"}
    named = {"extensions": ["myst_nb"], "source_suffix": {".ipynb": "jupyter_notebook"}}
    assert file_types_in(named)[".ipynb"] == "jupyter_notebook"
    assert file_types_in({"source_suffix": {".ipynb": ["myst-nb"], 5: "myst-nb"}}) == {}


@pytest.mark.parametrize(
    "declared",
    [
        DeclaredFormat(NBSPHINX, "auto", key="nbsphinx"),
        DeclaredFormat(MYST_NB, "cache", "m:f {}", "own_key"),
        DeclaredFormat(reader="py:light"),
    ],
)
def test_a_declared_format_is_taken_apart_as_it_was_put_together(declared: DeclaredFormat) -> None:
    assert taken_apart(str(declared)) == declared


@pytest.mark.parametrize(
    ("project", "own", "renderers", "expected"),
    [
        ("changed", None, "off", "changed"),
        ("renderer", None, "missing", "missing"),
        ("renderer", None, "changed", "changed"),
        ("renderer", "changed", "off", "changed"),
        ("renderer", "off", "changed", "off"),
        ("off", "changed", "changed", "off"),
        ("frozen", "force", "changed", "frozen"),
        ("frozen", "off", "changed", "off"),
        ("force", "missing", "changed", "force"),
        ("force", "off", "changed", "off"),
        ("missing", "changed", "off", "changed"),
    ],
)
def test_the_execution_mode_of_a_notebook(
    project: Any, own: Any, renderers: Any, expected: str
) -> None:
    assert execute_mode_of(project, own, renderers) == expected


def test_the_store_of_myst_nb_is_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert options(MYST_NB, nb_execution_cache_path="c")["store"] == str(tmp_path / "c")
