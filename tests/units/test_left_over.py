"""Options of nbsphinx and MyST-NB in a `conf.py` that loads neither."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sphinx_nbcache.config import declared_options
from sphinx_nbcache.extension.left_over import (
    WITHOUT_COUNTERPART,
    Meaning,
    left_over_in,
    meanings,
    options_left_over,
    translations,
    unread,
)
from sphinx_nbcache.extension.their_options import Their
from sphinx_nbcache.notebooks.renderers import NBSPHINX
from sphinx_nbcache.notices import Topic


def left_over(*documents: str, **set_names: Any) -> Their:
    """Return the options of a `conf.py` with these values and documents."""
    return left_over_in(set_names, (), Path("/src"), lambda: documents)


def meanings_of(*documents: str, **set_names: Any) -> list[Meaning]:
    """Return what these values mean."""
    return [*meanings(left_over(*documents, **set_names))]


def options(*documents: str, **set_names: Any) -> dict[str, Any]:
    """Return the options of ours that follow from these values."""
    return options_left_over(left_over(*documents, **set_names))


@pytest.mark.parametrize(
    ("name", "value", "option", "expected"),
    [
        ("nb_execution_mode", "cache", "execute", "changed"),
        ("nb_execution_mode", "force", "execute", "changed"),
        ("nb_execution_mode", "off", "execute", "off"),
        ("nb_execution_mode", "auto", "execute", "missing"),
        ("nbsphinx_execute", "never", "execute", "off"),
        ("nb_execution_timeout", -1, "timeout", -1),
        ("nb_execution_timeout", 0, "timeout", 0),
        ("nb_execution_in_temp", True, "run_in", "temp"),
        ("nb_execution_in_temp", False, "run_in", "notebook"),
        ("nb_execution_raise_on_error", True, "on_error", "stop"),
        ("nb_execution_raise_on_error", False, "on_error", "warn"),
        ("nb_execution_allow_errors", True, "allow_errors", True),
        ("nb_execution_cache_path", "/c", "store", "../c"),
        ("nb_kernel_rgx_aliases", {"a": "b"}, "kernel_aliases", {"a": "b"}),
        ("nb_custom_formats", {".py": "jupytext.reads"}, "formats", {".py": "jupytext"}),
        ("nb_merge_streams", True, "merge_streams", True),
        ("nb_number_source_lines", True, "number_source_lines", True),
        ("nb_render_image_options", {"width": 3}, "image", {"width": 3}),
        ("nb_render_figure_options", {"name": "n"}, "figure", {"name": "n"}),
        ("nb_render_text_lexer", "python", "text_lexer", "python"),
        ("nb_render_markdown_format", "myst", "markdown", "myst"),
        ("nb_output_stderr", "remove", "output_stderr", "remove"),
        ("nbsphinx_kernel_name", "k", "kernel_aliases", {".*": "k"}),
        ("nbsphinx_kernel_name", "", "kernel_aliases", {}),
        ("nbsphinx_execute_arguments", ["--a"], "kernel_arguments", ["--a"]),
        ("nbsphinx_timeout", None, "timeout", None),
        ("jupyter_execute_notebooks", "off", "execute", "off"),
        ("execution_timeout", 3, "timeout", 3),
    ],
)
def test_an_option_counts_as_its_counterpart(
    name: str, value: Any, option: str, expected: Any
) -> None:
    (meaning,) = meanings_of(**{name: value})
    assert (meaning.option, meaning.value, meaning.problem) == (option, expected, "")
    ours = f"nbcache_{option} = {meaning.checked!r}"
    assert meaning.said == f"{name} = {value!r} counts as {ours}"
    assert options(**{name: value}) == {option: expected}


def test_the_line_names_the_checked_value() -> None:
    (meaning,) = meanings_of(nb_execution_timeout=30)
    assert meaning.said == "nb_execution_timeout = 30 counts as nbcache_timeout = 30.0"


def test_an_option_of_ours_wins() -> None:
    (meaning,) = meanings_of(nb_execution_timeout=30, nbcache_timeout=5)
    assert meaning == Meaning(
        "nb_execution_timeout", "nbcache_timeout counts, not nb_execution_timeout"
    )
    assert options("a.md", nb_execution_excludepatterns=["a*"], nbcache_exclude=[]) == {}


def test_one_of_two_options_with_the_same_counterpart_counts() -> None:
    first, second = meanings_of(nb_execution_timeout=30, nbsphinx_timeout=5)
    assert first.value == 5
    assert second.said == "nbsphinx_timeout counts, not nb_execution_timeout"
    named = [m.said for m in meanings_of(nb_execution_timeout=3, execution_timeout=4)]
    assert "execution_timeout counts, not nb_execution_timeout" in named


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("nb_execution_mode", "cahce", "did you mean `cache`?"),
        ("nb_execution_mode", ["off"], "is not one of 'auto', 'cache', 'force', 'off'"),
        ("nbsphinx_execute", True, "is not one of 'auto', 'always', 'never'"),
        ("nb_execution_timeout", "soon", "'soon' is not a number of seconds"),
        ("nb_execution_in_temp", "temp", "'temp' is not True or False"),
        ("nb_execution_excludepatterns", 3, "3 is not a list of globs"),
        ("nb_custom_formats", [".py"], "is not a dictionary from suffix to converter"),
        ("nb_kernel_rgx_aliases", {"(": "a"}, "a regular expression as key"),
        ("nb_render_image_options", {"widht": 3}, "did you mean `width`?"),
        ("nb_mime_priority_overrides", {"html": []}, "a list of (builder, MIME type, number)"),
        ("nb_mime_priority_overrides", [("*", "text/html")], "a list of (builder,"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_and_the_default_counts(
    name: str, value: Any, expected: str
) -> None:
    (meaning,) = meanings_of(**{name: value})
    assert meaning.problem.startswith(f"{name} does not count, and nbcache_")
    assert expected in meaning.problem
    assert (meaning.topic, meaning.said) == (Topic.CONFIG, "")
    assert options(**{name: value}) == {}


class Items(list[object]):
    """An array as NumPy has it: comparisons are item by item and have no truth value."""

    def __eq__(self, other: object) -> Any:
        return Items([item == other for item in self])

    __hash__ = None

    def __bool__(self) -> bool:
        raise ValueError("the truth value of an array is ambiguous")


@pytest.mark.parametrize("name", sorted(translations()))
def test_an_array_is_never_compared(name: str) -> None:
    for meaning in meanings_of(**{name: Items([1, 2])}):
        assert "ambiguous" not in meaning.said + meaning.problem


def test_expressions_in_the_text_need_no_mode_of_their_own() -> None:
    assert options(nb_execution_mode="inline") == {"execute": "changed"}
    (meaning,) = meanings_of(nb_execution_mode="inline")
    assert meaning.said == "nb_execution_mode = 'inline' counts as nbcache_execute = 'changed'"


def test_forms_that_come_first_for_every_builder_count() -> None:
    first = [("*", "image/png", 5), ("*", "text/plain", 0)]
    assert options(nb_mime_priority_overrides=first) == {
        "mime_priority": ["text/plain", "image/png"]
    }


def test_the_order_of_forms_for_one_builder_is_that_of_myst_nb() -> None:
    plotly = ("html", "application/vnd.plotly.v1+json", 25)
    assert options(nb_mime_priority_overrides=[plotly, ("latex", "image/png", 1)]) == {
        "mime_priority": {
            "html": [
                "application/vnd.jupyter.widget-view+json",
                "application/javascript",
                "application/vnd.plotly.v1+json",
            ],
            "latex": ["image/png"],
        }
    }


def test_forms_that_myst_nb_leaves_out_are_left_out() -> None:
    (found,) = options(nb_mime_priority_overrides=[("*", "text/html", None)]).values()
    assert found == {"*": ["-text/html"]}
    (found,) = options(nb_mime_priority_overrides=[("*", "image/png", 65)]).values()
    assert found["*"][-2:] == ["image/gif", "image/png"]
    assert found["text"] == ["text/latex", "text/markdown", "text/plain", "image/png"]


def test_the_former_name_of_the_order_counts() -> None:
    orders = {"html": ("image/png", "text/html")}
    assert options(nb_render_priority=orders) == {
        "mime_priority": {"html": ["image/png", "text/html"]}
    }


def test_a_converter_without_a_name_is_named() -> None:
    counted, lost = meanings_of(nb_custom_formats={".x": lambda text: text, ".y": "m.f"})
    assert counted.value == {".y": "m:f"}
    assert "the converters of .x cannot be imported by a name" in lost.problem


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["x*"], ["**/x*"]),
        (["sub/*"], ["**/sub/*"]),
        (["none"], ["**/none"]),
        # It matches the source directory, which no glob in it does.
        (["src/*"], ["top.md", "x.md"]),
        # Ours would exclude what is below as well.
        (["deep*"], []),
    ],
)
def test_excluded_patterns_become_globs_if_these_mean_the_same(
    patterns: list[str], expected: list[str]
) -> None:
    documents = ("top.md", "x.md", "sub/x.md", "deep/y.md")
    found = options(*documents, nb_execution_excludepatterns=patterns)
    assert found == {"exclude": expected}


@pytest.mark.parametrize("name", [*WITHOUT_COUNTERPART])
def test_an_option_without_a_counterpart_is_a_warning_if_it_had_an_effect(name: str) -> None:
    (meaning,) = meanings_of(**{name: "x"})
    assert meaning.problem.startswith(f"{name} has no counterpart: ")
    assert meaning.topic is Topic.OPTION
    (meaning,) = meanings_of(**{name: ""})
    assert (meaning.said, meaning.problem) == (f"{name} = '' is not needed", "")


def test_helpers_of_a_conf_are_no_options() -> None:
    assert meanings_of(execution_timeout=len, jupyter_cache=pytest) == []


def test_what_a_loaded_extension_reads_is_not_left_over() -> None:
    names = {"nbsphinx_timeout": 3, "nb_execution_timeout": 4}
    found = options_left_over(left_over_in(names, (NBSPHINX,), Path(), tuple))
    assert found == {"timeout": 4}


def test_names_that_nothing_knows_are_listed() -> None:
    text = unread({"nb_b": 1, "nbsphinx_a": 1, "nb_known": 1, "other": 1}, "nb_known".__eq__)
    assert text == "no loaded extension reads `nb_b`, `nbsphinx_a` of conf.py"


def test_every_option_of_myst_nb_is_known() -> None:
    pytest.importorskip("myst_nb", reason="MyST-NB is not installed: `nox -s renderers`")
    from myst_nb.core.config import NbParserConfig

    theirs = {
        f"nb_{name}"
        for name, _, field in NbParserConfig().as_triple()
        if not field.metadata.get("sphinx_exclude")
    }
    assert theirs - {*translations(), *WITHOUT_COUNTERPART} == set()


def test_counterparts_are_options() -> None:
    assert {option for option, _ in translations().values()} <= declared_options().keys()
