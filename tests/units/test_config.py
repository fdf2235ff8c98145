"""Options: each is declared once, and a value that cannot be used costs that option only."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import Book

from sphinx_nbcache.config import Settings, checked_settings, declared_options, read_settings
from sphinx_nbcache.options import OptionError
from sphinx_nbcache.project import Project

OPTIONS = declared_options()

# Every option must have a row: see the test below.
INVALID: dict[str, list[Any]] = {
    "rerun": [1, None, True, {"a": "b"}],
    "root": [1, True, ["."], {}],
    "store": [1, False, ["."], {}],
    "remote": [
        *(
            1,
            True,
            ["s3://a"],
            {},
            "a/folder",
            "/a/folder",
            "s3://",
            "s3:bucket",
            "http://a/b",
            "ftp://a/b",
        ),
        *(
            "https://a:b@c/d",
            "https://a/b?signature=c",
            "s3://a b",
            "file://host/a",
            "file:a",
            "s3://a#b",
        ),
    ],
    "remote_mode": ["write", "", None, 1, []],
    "restore": [1, None, True, {"a": "b"}],
    "exclude": [1, None, True, {"a": "b"}],
    "dependencies": [1, None, [1]],
    "ignore": [1, None, True, {"a": "b"}],
    "track": ["all", 1, None, True, ["file"], {"files": "imports"}],
    "retry_failed": ["never", "", None, 1, []],
    "untraced": ["never", "", None, 1, []],
    "tracer": ["seccomp", "", None, 1, []],
    "executor": ["", " ", None, 2, [], True],
    "jobs": ["many", 0, -1, "0", True, False, [], {}, 2.7, float("nan"), float("inf")],
    "kernel_start": ["thread", "", None, 1, []],
    "preload": ["not a name", 1, True, ["a b"], [1], {"a": "b"}],
    "timeout": ["soon", True, False, [], {}, float("nan"), "nan", 10**400],
    "notebook_timeout": ["soon", True, [], {}],
    "output_limit": ["much", True, [], {}, float("nan")],
    "notebook_output_limit": ["much", False, [], {}],
    "allow_errors": ["maybe", "a.md, maybe", "", 2, None, [1], {}, 0.5],
    "retries": ["often", -1, "-1", True, None, [], 1.5],
    "run_in": ["temporary", "", None, 1, ["root"]],
    "environment": [1, None, "A=1", ["A"]],
    "kernel_arguments": [1, None, "--a", [1], ["\0"]],
    "ci": ["gitlab", "", None, True, []],
    "on_error": ["ignore", "", None, 1, []],
    "log_tracebacks": ["perhaps", None, 2, []],
    "metadata_key": ["", " ", None, 2, []],
    "write_executed": [None, "", 2, [], {}, "nul\0"],
    "kernel_aliases": [1, None, "a", ["a"]],
    "scripts": [None, "", 1, True, [], {}, "nul\0", "\ud800", "a" * 5000],
    "cli_root": [1, True, ["."], {}],
    "cli_store": [0, True, ["."], "nul\0"],
    "formats": [1, None, ".py", [".py"]],
    "prompts": ["perhaps", None, 2, []],
    "number_source_lines": ["perhaps", None, 2, []],
    "remove_code_source": ["perhaps", None, 2, []],
    "remove_code_outputs": ["perhaps", None, 2, []],
    "scroll_outputs": ["perhaps", None, 2, []],
    "merge_streams": ["perhaps", None, 2, []],
    "code_prompt_show": [1, None, "two\nlines", []],
    "code_prompt_hide": [1, None, "two\nlines", []],
    "output_stderr": ["hide", "", None, 1, []],
    "text_lexer": [1, None, [], {}],
    "error_lexer": [1, None, [], {}],
    "image": [1, "width", {"widht": "1"}, {"width": "wide"}, {"scale": "x"}, {"align": "up"}],
    "figure": [1, {"caption": 1}, {"name": None}, {"classes": 1}, {"captoin": "x"}],
    "table": [1, {"caption": 1}, {"width": True}, {"height": "1px"}],
    "markdown": ["markdown", "", None, 1, []],
    "mime_priority": [1, None, ["png"], [1], {"html": ["png"]}, {1: ["image/png"]}, {"a": 1}],
}

# Entries that cost no other entry: the option, a bad entry, and a good one beside it.
BAD_ENTRIES: list[tuple[str, Any, Any, Any]] = [
    *((name, [1, "a"], ("a",), 0) for name in ("restore", "exclude", "ignore", "rerun")),
    *(
        ("dependencies", {key: value, "b": ["x"]}, {"b": ("x",)}, key)
        for key, value in (("a", 1), (1, ["a"]), ("a", [None]))
    ),
    *(
        ("environment", {key: value, "B": "x", "C": None}, {"B": "x", "C": None}, key)
        for key, value in (("A", 1), (1, "A"), ("", "a"), ("A=", "b"), ("A", "\0"))
    ),
    *(
        ("kernel_arguments", {key: value, "b": ["-x"]}, {"b": ("-x",)}, key)
        for key, value in (("a", "b"), (1, ["a"]), ("(", ["a"]), ("a", ["\0"]))
    ),
    *(
        ("kernel_aliases", {key: value, "b": "x"}, {"b": "x"}, key)
        for key, value in (("a", 1), (1, "a"), ("(", "a"), ("a{9999999999}", "b"))
    ),
    *(
        ("formats", {key: value, ".b": "x"}, {".b": "x"}, key)
        for key, value in ((".py", 1), (1, "a"), ("py", "py:percent"), (".py", ""))
    ),
]

# Raw values as conf.py and `sphinx-build -D` give them, and what is made of them.
VALID: list[tuple[str, Any, Any]] = [
    *(
        (name, raw, value)
        for name in (
            "prompts",
            "number_source_lines",
            "remove_code_source",
            "remove_code_outputs",
            "scroll_outputs",
            "merge_streams",
        )
        for raw, value in ((True, True), ("0", False), ("true", True))
    ),
    ("code_prompt_show", "Mehr: {type}", "Mehr: {type}"),
    ("code_prompt_hide", "", ""),
    ("output_stderr", "remove-warn", "remove-warn"),
    ("text_lexer", "json", "json"),
    # Their text has its own colours anyway.
    ("text_lexer", "myst-ansi", ""),
    ("error_lexer", "ipythontb", ""),
    ("image", {"width": "60%", "class": "a b"}, {"width": "60%", "classes": ["a", "b"]}),
    ("image", {"scale": "50%", "height": 9}, {"scale": 50, "height": "9"}),
    ("figure", {"caption": "C", "caption_before": 1}, {"caption": "C", "caption_before": True}),
    ("table", {"name": "tab-a", "align": "left"}, {"name": "tab-a", "align": "left"}),
    ("markdown", "myst", "myst"),
    ("mime_priority", "image/png, text/latex", ("image/png", "text/latex")),
    ("log_tracebacks", 1, True),
    ("metadata_key", " render ", "render"),
    ("scripts", "local", "local"),
    ("scripts", "cdn", "cdn"),
    ("scripts", Path("npm/files"), "npm/files"),
    ("mime_priority", {}, {}),
    (
        "mime_priority",
        {"*": ["-text/html"], "latex": "image/png"},
        {"*": ("-text/html",), "latex": ("image/png",)},
    ),
    ("rerun", "guide/fit, a.md", ("guide/fit", "a.md")),
    ("rerun", ["guide/fit", " a.md"], ("guide/fit", "a.md")),
    ("track", ["versions", " files"], ("files", "versions")),
    ("ci", "github", "github"),
    ("execute", "off", "off"),
    ("execute", "frozen", "frozen"),
    ("renderer", "own", "own"),
    ("root", "", None),
    ("root", "..", ".."),
    ("root", Path("a/b"), "a/b"),
    ("store", "", None),
    ("store", "cache", "cache"),
    ("remote", "", None),
    ("remote", "s3://bucket", "s3://bucket"),
    ("remote", "gs://bucket/a/b/", "gs://bucket/a/b"),
    ("remote", "file:///mnt/shared", "file:///mnt/shared"),
    ("remote", "https://example.org:8443/a", "https://example.org:8443/a"),
    ("remote_mode", "read-write", "read-write"),
    ("exclude", "a/*.md, b.ipynb", ("a/*.md", "b.ipynb")),
    ("exclude", "", ()),
    ("exclude", ["a", "b"], ("a", "b")),
    ("restore", "figures/**, *.svg", ("figures/**", "*.svg")),
    ("dependencies", ["data/*.csv"], {"**": ("data/*.csv",)}),
    ("dependencies", {"a/*": ["x", "y"], "b": []}, {"a/*": ("x", "y")}),
    ("dependencies", "a, b", {"**": ("a", "b")}),
    ("ignore", "*.log, tmp/**", ("*.log", "tmp/**")),
    ("track", "versions, files", ("files", "versions")),
    ("track", [], ()),
    ("track", "", ()),
    ("retry_failed", "changed", "changed"),
    ("untraced", "run", "run"),
    ("executor", "temp-serial", "temp-serial"),
    ("executor", "of another package", "of another package"),
    ("jobs", "2", 2),
    ("jobs", 3, 3),
    ("jobs", "auto", None),
    ("kernel_start", "spawn", "spawn"),
    ("tracer", "system", "system"),
    ("preload", "auto", "auto"),
    ("preload", "numpy, matplotlib.pyplot", ("numpy", "matplotlib.pyplot")),
    ("preload", [], ()),
    ("timeout", "2", 2.0),
    ("timeout", "0.5", 0.5),
    ("timeout", 0, None),
    ("timeout", -1, None),
    ("timeout", "none", None),
    ("timeout", None, None),
    ("timeout", float("inf"), None),
    ("notebook_timeout", "60", 60.0),
    ("output_limit", "none", None),
    ("output_limit", "0.5", 0.5),
    ("notebook_output_limit", 0, None),
    ("allow_errors", "1", True),
    ("allow_errors", "0", False),
    ("allow_errors", [], ()),
    ("allow_errors", ["a", "b/*"], ("a", "b/*")),
    ("allow_errors", "a.md, b/*", ("a.md", "b/*")),
    ("retries", "2", 2),
    ("retries", 0, 0),
    ("run_in", "root", "root"),
    ("environment", {"A": "b", "C": None, "D": ""}, {"A": "b", "C": None, "D": ""}),
    ("kernel_arguments", ["--a", "b, c"], {".*": ("--a", "b, c")}),
    ("kernel_arguments", {"py.*": ["--a"], "ir": []}, {"py.*": ("--a",)}),
    ("allow_errors", "True", True),
    ("allow_errors", "false", False),
    ("allow_errors", 1, True),
    ("allow_errors", 0, False),
    ("on_error", "stop", "stop"),
    ("write_executed", "auto", "auto"),
    ("write_executed", "1", True),
    ("write_executed", False, False),
    ("write_executed", Path("../run"), "../run"),
    ("kernel_aliases", {"py.*": "python3"}, {"py.*": "python3"}),
    ("formats", {".py": "py:percent"}, {".py": "py:percent"}),
    ("cli_root", "../..", "../.."),
    ("cli_root", "", None),
    ("cli_store", Path("a/b"), "a/b"),
]

# For each option that is not in the key: values that differ from the default.
ELSEWISE: dict[str, list[Any]] = {
    "scripts": ["local"],
    "log_tracebacks": [True],
    "metadata_key": ["render"],
    "prompts": [True],
    "number_source_lines": [True],
    "remove_code_source": [True],
    "remove_code_outputs": [True],
    "scroll_outputs": [True],
    "merge_streams": [True],
    "code_prompt_show": ["More"],
    "code_prompt_hide": ["Less"],
    "output_stderr": ["remove"],
    "text_lexer": ["json"],
    "error_lexer": ["pytb"],
    "image": [{"width": "60%"}],
    "figure": [{"caption": "C"}],
    "table": [{"caption": "C"}],
    "markdown": ["myst", "commonmark"],
    "mime_priority": [["image/png"]],
    "execute": ["missing", "force", "off", "frozen", "renderer"],
    "renderer": ["own"],
    "rerun": [["book/*"]],
    "store": ["elsewhere"],
    "remote": ["file:///mnt/shared"],
    "remote_mode": ["read-write"],
    "restore": [["book/*"]],
    "exclude": [["book/*"]],
    "dependencies": [["book/*.csv"]],
    "ignore": [["book/*.log"]],
    "track": [[], ["files"]],
    "retry_failed": ["changed", "always"],
    "untraced": ["run"],
    "tracer": ["system", "python"],
    "jobs": [1],
    "kernel_start": ["light", "fork", "spawn"],
    "preload": [[], ["numpy"]],
    "timeout": [5, None],
    "notebook_timeout": [5],
    "output_limit": [5, None],
    "notebook_output_limit": [5, None],
    "allow_errors": [True, ["book/*"]],
    "retries": [3],
    "environment": [{"A": "b"}],
    "ci": ["github", "off"],
    "on_error": ["fail", "stop"],
    "write_executed": [True, False, "run"],
    "cli_root": ["elsewhere"],
    "cli_store": ["elsewhere"],
}


@pytest.mark.parametrize("name", list(OPTIONS))
def test_the_default_of_every_option_is_valid(name: str) -> None:
    declared, default = OPTIONS[name]
    settings, problems = read_settings({name: default})
    assert problems == []
    assert getattr(settings, name) == declared.check(default) == getattr(Settings(), name)


@pytest.mark.parametrize("name", list(OPTIONS))
def test_every_option_says_what_it_does_and_what_it_takes(name: str) -> None:
    declared, _ = OPTIONS[name]
    assert declared.help.strip().endswith(".")
    assert declared.expects.strip()
    assert declared.rebuild in ("", "env", "html")


def test_every_field_of_the_settings_is_a_declared_option() -> None:
    in_metadata = {"emphasize_lines"}
    names = [field.name for field in fields(Settings) if field.name not in in_metadata]
    assert list(OPTIONS) == names


def test_the_tables_of_values_cover_every_option() -> None:
    strict = {name for name, (declared, _) in OPTIONS.items() if declared.is_strict}
    assert INVALID.keys() | strict == OPTIONS.keys()
    assert {name for name, _, _ in VALID} == OPTIONS.keys()
    not_in_key = {name for name, (declared, _) in OPTIONS.items() if not declared.in_key}
    assert ELSEWISE.keys() == not_in_key


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in INVALID.items() for value in values],
    ids=lambda value: repr(value)[:20],
)
def test_a_value_that_cannot_be_used_costs_that_option_only(name: str, value: Any) -> None:
    others: dict[str, Any] = {"execute": "off", "jobs": 7, "exclude": ["x"], "timeout": 3}
    expected, _ = read_settings({key: v for key, v in others.items() if key != name})
    settings, problems = read_settings({**others, name: value})
    assert settings == expected
    (problem,) = problems
    assert problem.option == f"nbcache_{name}"
    assert f"nbcache_{name} " in problem.text
    assert repr(value)[:150] in problem.text
    assert repr(OPTIONS[name][1]) in problem.text


@pytest.mark.parametrize(("name", "value", "usable", "key"), BAD_ENTRIES)
def test_a_bad_entry_costs_that_entry_only(name: str, value: Any, usable: Any, key: Any) -> None:
    settings, problems = read_settings({name: value})
    assert getattr(settings, name) == usable
    (problem,) = problems
    assert problem.text.startswith(f"nbcache_{name}[{key!r}] = {value[key]!r} is not ")
    assert "that entry is left out" in problem.text
    with pytest.raises(ValueError, match=f"nbcache_{name}"):
        checked_settings({name: value})


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("Off", "off"),
        (False, "off"),
        (None, "off"),
        ("never", "off"),
        ("frozn", "frozen"),
        ("cache", "changed"),
        (True, "changed"),
        ("always", "force"),
        ("auto", "missing"),
        (1, "changed"),
    ],
)
def test_a_wrong_value_of_execute_never_executes(value: Any, meant: str) -> None:
    with pytest.raises(OptionError, match=f"did you mean `{meant}`") as raised:
        read_settings({"execute": value})
    assert raised.value.option == "nbcache_execute"
    assert repr(value) in str(raised.value)


@pytest.mark.parametrize("value", ["", ["off"], {}, "xyz", 7])
def test_a_value_of_execute_that_is_like_none_is_an_error_without_a_guess(value: Any) -> None:
    with pytest.raises(OptionError, match=r"'renderer'$"):
        read_settings({"execute": value})


def test_a_word_that_is_nearly_right_is_told_with_the_right_one() -> None:
    _, (problem,) = read_settings({"on_error": "sotp"})
    assert problem.text.endswith("did you mean `stop`? The default 'warn' is used")


@pytest.mark.parametrize(("name", "raw", "value"), VALID)
def test_values_are_taken_as_conf_py_and_the_command_line_give_them(
    name: str, raw: Any, value: Any
) -> None:
    settings, problems = read_settings({name: raw})
    assert problems == []
    got = getattr(settings, name)
    assert (got, type(got)) == (value, type(value))


@given(
    name=st.sampled_from(sorted(OPTIONS)),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
        ),
        max_leaves=5,
    ),
)
def test_no_value_makes_reading_the_settings_fail(name: str, value: Any) -> None:
    if OPTIONS[name][0].is_strict:
        return
    settings, problems = read_settings({name: value})
    assert len(problems) <= max(1, len(value) if isinstance(value, list | dict) else 1)
    # What was accepted is accepted again: the check is stable.
    again, problems = read_settings({name: getattr(settings, name)})
    assert problems == []
    assert again == settings


def test_several_bad_values_are_all_told() -> None:
    _, problems = read_settings({"on_error": "no", "jobs": 0, "timeout": "x"})
    assert len(problems) == 3


def code_key(book: Book, **options: Any) -> str:
    """Return the code key of the one notebook of a book."""
    project = Project.find(book.folder, **options)
    (planned,) = project.plan().notebooks
    project.close()
    return planned.code_key


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in ELSEWISE.items() for value in values]
)
def test_an_option_that_is_not_in_the_key_changes_no_key(
    book: Book, monkeypatch: pytest.MonkeyPatch, name: str, value: Any
) -> None:
    book.ipynb("one.ipynb", "%%1 + 1", counts=False)
    monkeypatch.setenv("JUPYTERCACHE", str(book.folder.parent / "store"))
    assert OPTIONS[name][1] != value
    assert code_key(book, **{name: value}) == code_key(book)


@pytest.mark.parametrize(
    ("name", "value"),
    [("kernel_aliases", {"python3": "other"}), ("root", ".."), ("executor", "temp-parallel")],
)
def test_an_option_that_is_in_the_key_can_change_a_key(book: Book, name: str, value: Any) -> None:
    book.ipynb("one.ipynb", "%%1 + 1", counts=False)
    assert OPTIONS[name][0].in_key
    assert code_key(book, **{name: value}) != code_key(book)


def test_the_project_refuses_unknown_and_bad_options(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown options: colour"):
        Project.find(tmp_path, colour="red")
    with pytest.raises(ValueError, match="unknown options: job; did you mean `jobs`"):
        Project.find(tmp_path, job=1)
    with pytest.raises(ValueError, match="nbcache_jobs = 0"):
        Project.find(tmp_path, jobs=0)
